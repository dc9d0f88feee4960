// SPDX-License-Identifier: Apache-2.0
/* What is a text, or a tar: read to its end, where that says that it is one. */
#include "prove.h"

#include <keepfs/base/mem.h>
#include <keepfs/files/tar_check.h>

#include <errno.h>
#include <string.h>

/* What pg_dump writes last. A newer one writes a line behind it ("\unrestrict …"). */
static const char end_of_dump[] = "\n-- PostgreSQL database dump complete\n";

#define TAIL_BYTES 512

struct tail {
	char bytes[TAIL_BYTES];
	size_t len;
};

static int keep_tail_of_text(void *arg, const void *data, size_t len, struct error *err)
{
	struct tail *t = arg;
	const char *p = data;
	size_t keep;

	if (len >= TAIL_BYTES) {
		memcpy(t->bytes, p + len - TAIL_BYTES, TAIL_BYTES);
		t->len = TAIL_BYTES;
		return 0;
	}
	keep = t->len + len > TAIL_BYTES ? TAIL_BYTES - len : t->len;
	memmove(t->bytes, t->bytes + t->len - keep, keep);
	memcpy(t->bytes + keep, p, len);
	t->len = keep + len;
	return 0;
}

static int read_own_plain(struct backup *b, const struct backup_out *out, struct error *err)
{
	struct catalog_entry own;
	int r = backup_own(b, &own);

	return r < 0 ? error_system(err, -r, "the catalog cannot be read")
	             : backup_read_plain(b, &own, out, err);
}

int prove_sql(struct backup *b, struct error *err)
{
	struct tail tail = {.len = 0};
	const struct backup_out out = {.write = keep_tail_of_text, .arg = &tail};
	int r = read_own_plain(b, &out, err);

	if (r < 0)
		return r;
	if (memmem(tail.bytes, tail.len, end_of_dump, sizeof(end_of_dump) - 1))
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the text has not the end that pg_dump writes: it is cut off");
}

static int check_block(void *arg, const void *data, size_t len, struct error *err)
{
	return tar_check_write(arg, data, len, err);
}

int prove_tar(struct backup *b, struct error *err)
{
	struct tar_check check;
	const struct backup_out out = {.write = check_block, .arg = &check};
	int r;

	tar_check_init(&check);
	r = read_own_plain(b, &out, err);
	return r < 0 ? r : tar_check_finish(&check, NULL, err);
}
