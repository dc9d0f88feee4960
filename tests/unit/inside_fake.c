// SPDX-License-Identifier: Apache-2.0
/* Of keepfs/inside.h what programs need that make up dumps of their own: there is nothing to be done for these. With all of the room's functions in such a program none of the room's own
 * files is linked. */
#include <keepfs/inside.h>

#include <errno.h>

int inside_new(const struct inside_options *options, struct inside **ret, struct error *err)
{
	return -ENOSYS;
}

struct inside *inside_free(struct inside *in)
{
	return NULL;
}

bool inside_blob_pread_is_long(struct inside_dump *d, uint32_t oid, uint64_t offset)
{
	return false;
}

void inside_tidy(struct inside *in)
{
}

void inside_drop_dump(struct inside *in, uint64_t artifact_ino)
{
}

void inside_forget_dump(struct inside *in, uint64_t artifact_ino)
{
}

size_t inside_kept_places(struct inside_dump *d, uint32_t number, uint32_t form, struct inside_place *places,
                          size_t max)
{
	return 0;
}

void inside_keep_places(struct inside_dump *d, uint32_t number, const struct inside_places *x)
{
}

void inside_forget_places(struct inside_dump *d, uint32_t number)
{
}
