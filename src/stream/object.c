// SPDX-License-Identifier: Apache-2.0
/*
 * One object: a chain of stages, built from its end.
 *
 *     digest of the plain bytes → [the stage → digest of the stored bytes] → list of extents → upload
 *
 * With a head the first bytes come last: their extents are entered with their lengths at once and with their
 * CRCs at the end, and a SHA-256, which needs all bytes in order, is not computed.
 *
 * Without sums all that is left of the chain is the upload and a count.
 */
#include "digest.h"
#include "lister.h"
#include "upload.h"

#include <keepfs/base/mem.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Of bytes that are stored as they are, any extent can be read by itself. */
static const struct cells no_cells = {.plain_bytes = EXTENT_MIN_BYTES, .stored_bytes = EXTENT_MIN_BYTES};

struct stream_object {
	const struct stream_stage *stage; /* NULL: stored bytes are the plain ones */
	size_t head_bytes;                /* plain */
	size_t head_given;                /* of these, by now */
	struct stream_facts facts;
	struct sink *sink; /* the first of the chain */
};

static struct sink *list_extents(struct stream_object *o, struct sink *next, size_t stored_head_bytes)
{
	return lister_new(next, &(struct lister_options){.cells = o->stage ? o->stage->cells : no_cells,
	                                                 .head_bytes = stored_head_bytes,
	                                                 .max_extents = EXTENTS_MAX,
	                                                 .ret = &o->facts.extents});
}

static struct sink *transform(struct stream_object *o, struct sink *next)
{
	struct stream_facts *facts = &o->facts;
	struct sink *stored =
	        digest_new(next, &facts->stored_bytes, o->head_bytes ? NULL : facts->stored_sha256);

	return o->stage->new (stored, o->head_bytes, o->stage->arg);
}

int stream_object_buffers(const struct stream_object_options *options, size_t *ret, struct error *err)
{
	return upload_buffers(options, ret, err);
}

static bool has_digest(const struct stream_object_options *options)
{
	return !options->no_sums && !options->no_digest && options->head_bytes == 0;
}

int stream_object_new(const struct stream_object_options *options, struct stream_object **ret_object,
                      struct error *err)
{
	struct stream_object_options stored = *options;
	struct stream_object *o;
	struct sink *sink;
	int r;

	assert(!(options->no_sums || options->no_digest) || !options->stage);
	if (options->stage) {
		assert(cells_are_usable(&options->stage->cells));
		stored.head_bytes = (size_t)cells_covering_bytes(&options->stage->cells, options->head_bytes);
	}
	r = upload_new(&stored, &sink, err);
	if (r < 0)
		return r;
	o = mem_alloc(sizeof(*o));
	*o = (struct stream_object){.stage = options->stage, .head_bytes = options->head_bytes};
	if (!options->no_sums)
		sink = list_extents(o, sink, stored.head_bytes);
	if (o->stage)
		sink = transform(o, sink);
	o->sink = digest_new(sink, &o->facts.bytes, has_digest(options) ? o->facts.sha256 : NULL);
	*ret_object = o;
	return 0;
}

static int drop_bytes(struct sink *s, const void *data, size_t len, struct error *err)
{
	return 0;
}

static int drop_end(struct sink *s, struct error *err)
{
	return 0;
}

static void drop_free(struct sink *s)
{
	free(s);
}

static const struct sink_ops drop_ops = {.write = drop_bytes, .finish = drop_end, .free = drop_free};

struct stream_object *stream_object_sums(void)
{
	struct stream_object *o = mem_alloc(sizeof(*o));
	struct sink *end = mem_alloc(sizeof(*end));

	end->ops = &drop_ops;
	o->sink = digest_new(list_extents(o, end, 0), &o->facts.bytes, o->facts.sha256);
	return o;
}

int stream_object_write(struct stream_object *o, const void *data, size_t len, struct error *err)
{
	return sink_write(o->sink, data, len, err);
}

int stream_object_head(struct stream_object *o, const void *data, size_t len, struct error *err)
{
	assert(len <= o->head_bytes - o->head_given);
	o->head_given += len;
	return sink_head(o->sink, data, len, err);
}

int stream_object_copy(struct stream_object *o, const struct sink_copy *from, struct error *err)
{
	struct stream_facts *facts = &o->facts;

	assert(facts->copied_bytes == 0 && facts->bytes % STREAM_COPIED_UNIT == 0 &&
	       from->from->bytes % STREAM_COPIED_UNIT == 0);
	if (o->stage)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "the store holds other bytes than those of the object");
	facts->copied_at = facts->bytes;
	facts->copied_bytes = from->from->bytes;
	return sink_copy(o->sink, from, err);
}

int stream_object_finish(struct stream_object *o, const void *head, struct stream_facts *ret,
                         struct error *err)
{
	struct stream_facts *facts = &o->facts;
	int r = 0;

	/* A failure stays, however often it is asked for. */
	if (head && o->head_given == 0)
		r = stream_object_head(o, head, o->head_bytes, err);
	assert(o->head_given == o->head_bytes);
	if (r == 0)
		r = sink_finish(o->sink, err);
	if (r < 0)
		return r;
	if (!o->stage) {
		facts->stored_bytes = facts->bytes;
		memcpy(facts->stored_sha256, facts->sha256, sizeof(facts->stored_sha256));
	}
	*ret = *facts;
	*facts = (struct stream_facts){0};
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
