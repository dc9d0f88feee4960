// SPDX-License-Identifier: Apache-2.0
/*
 * One object: what is written passes the digest and goes into the upload. With a head the first bytes come
 * last, so their extents are entered with their lengths at once and with their CRCs at the end; a SHA-256,
 * which needs all bytes in order, is not computed then.
 */
#include "digest.h"
#include "upload.h"

#include <keepfs/base/mem.h>

#include <assert.h>

struct stream_object {
	size_t head_bytes;
	struct stream_facts facts;
	struct sink *upload; /* owned by @sink */
	struct sink *sink;   /* the digest in front of it */
};

static void enter_head(struct stream_object *o)
{
	for (size_t left = o->head_bytes; left > 0;) {
		uint32_t n = left < EXTENT_MIN_BYTES ? (uint32_t)left : EXTENT_MIN_BYTES;

		extents_append(&o->facts.extents, n, 0);
		left -= n;
	}
	o->facts.bytes = o->head_bytes;
}

int stream_object_new(const struct stream_object_options *options, struct stream_object **ret_object,
                      struct error *err)
{
	struct sink *upload;
	struct stream_object *o;
	int r = upload_new(options, &upload, err);

	if (r < 0)
		return r;
	o = mem_alloc(sizeof(*o));
	o->head_bytes = options->head_bytes;
	o->upload = upload;
	enter_head(o);
	o->sink = digest_new(upload, &o->facts, o->head_bytes == 0, EXTENTS_MAX);
	*ret_object = o;
	return 0;
}

int stream_object_write(struct stream_object *o, const void *data, size_t len, struct error *err)
{
	return sink_write(o->sink, data, len, err);
}

static int set_head(struct stream_object *o, const uint8_t *head, struct error *err)
{
	struct extent *x = o->facts.extents.items;

	for (; x < o->facts.extents.items + o->facts.extents.count && x->offset < o->head_bytes; x++)
		x->crc32c = crc32c(0, head + x->offset, x->length);
	return upload_set_head(o->upload, head, err);
}

int stream_object_finish(struct stream_object *o, const void *head, struct stream_facts *ret,
                         struct error *err)
{
	int r = 0;

	assert((head != NULL) == (o->head_bytes > 0));
	if (head)
		r = set_head(o, head, err);
	if (r == 0)
		r = sink_finish(o->sink, err);
	if (r < 0)
		return r;
	*ret = o->facts;
	o->facts = (struct stream_facts){0};
	return 0;
}

struct stream_object *stream_object_free(struct stream_object *o)
{
	if (!o)
		return NULL;
	sink_free(o->sink);
	extents_finish(&o->facts.extents);
	free(o);
	return NULL;
}
