// SPDX-License-Identifier: Apache-2.0
/*
 * One copy: made in an unlinked file, compressed on its way into the store, read back from there. Its name has the digest of
 * the file, so that the newest name alone says whether anything has changed since.
 */
#include "copies_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/codec/compression.h>
#include <keepfs/keyring.h>
#include <keepfs/stream.h>
#include <keepfs/stream/age.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PART_BYTES ((uint64_t)5 << 20)

static const struct compression how = {.method = COMPRESSION_ZSTD, .level = 6};

int64_t copies_now_us(const struct copies_context *ctx)
{
	return ctx->now_us ? ctx->now_us() : clock_now_us();
}

static int tell_read_failure(struct error *err)
{
	return error_system(err, errno, "the copy of the catalog cannot be read from the disk");
}

/* Call @take with the file, a segment at a time. */
static int read_segments(int fd, int (*take)(void *arg, const void *data, size_t len, struct error *err),
                         void *arg, struct error *err)
{
	_cleanup(free) uint8_t *buf = mem_alloc(SEGMENT_RAW_BYTES);
	off_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = pread(fd, buf, SEGMENT_RAW_BYTES, at)) != 0) {
		if (n < 0)
			return tell_read_failure(err);
		r = take(arg, buf, (size_t)n, err);
		at += n;
	}
	return r;
}

static int hash_segment(void *arg, const void *data, size_t len, struct error *err)
{
	sha256_update(arg, data, len);
	return 0;
}

static int hash_copy(int fd, char ret_hash[static COPY_HASH_HEX + 1], struct error *err)
{
	struct sha256 *sha256 = sha256_new();
	uint8_t digest[SHA256_BYTES];
	int r = read_segments(fd, hash_segment, sha256, err);

	sha256_final(sha256, digest);
	sha256_free(sha256);
	hex_encode(digest, COPY_HASH_BYTES, ret_hash);
	return r;
}

struct sending {
	struct stream_object *object;
	struct compressor *compressor;
	uint8_t *buf;
	size_t buf_bytes;
};

static int send_segment(void *arg, const void *data, size_t len, struct error *err)
{
	struct sending *s = arg;
	struct segment segment;
	int r = compressor_run(s->compressor, data, len, s->buf, s->buf_bytes, &segment, err);

	return r < 0 ? r : stream_object_write(s->object, s->buf, segment.bytes, err);
}

/* @stage: NULL: it is not encrypted. */
static int send_stored(const struct copies_context *ctx, struct cancel *cancel, int fd, const char *key,
                       const struct stream_stage *stage, struct stream_facts *ret, struct error *err)
{
	const struct stream_object_options options = {.store = ctx->store,
	                                              .pool = ctx->pool,
	                                              .key = key,
	                                              .part_bytes = PART_BYTES,
	                                              .stage = stage,
	                                              .cancel = cancel};
	_cleanup(stream_object) struct stream_object *object = NULL;
	_cleanup(compressor) struct compressor *compressor = compressor_new(&how, SEGMENT_CHECK_NONE);
	size_t buf_bytes = compressor_bound(&how, SEGMENT_RAW_BYTES);
	_cleanup(free) uint8_t *buf = mem_alloc(buf_bytes);
	struct sending s = {.compressor = compressor, .buf = buf, .buf_bytes = buf_bytes};
	int r = stream_object_new(&options, &object, err);

	s.object = object;
	if (r == 0)
		r = read_segments(fd, send_segment, &s, err);
	return r < 0 ? r : stream_object_finish(object, NULL, ret, err);
}

/* For whom it is encrypted: asked for once, so that its name and its bytes say the same. */
static int find_copy_recipients(const struct copies_context *ctx, struct cancel *cancel,
                                struct age_recipients **ret, struct error *err)
{
	_cleanup(conf_ref) const struct conf *live = ctx->live ? conf_live_ref(ctx->live) : NULL;

	return keyring_recipients(live ? live : ctx->conf, NULL, cancel, ret, err);
}

struct copy_source {
	int fd;
	const struct age_recipients *recipients; /* NULL: it is not encrypted */
};

static int send_copy(const struct copies_context *ctx, struct cancel *cancel,
                     const struct copy_source *source, const char *key, struct stream_facts *ret,
                     struct error *err)
{
	const struct age_recipients *recipients = source->recipients;
	struct stream_age age = {0};
	struct stream_stage stage = {0};
	int r = 0;

	if (recipients)
		r = stream_age_init(&age, recipients, err);
	if (r == 0 && recipients)
		stage = stream_age_stage(&age);
	if (r == 0)
		r = send_stored(ctx, cancel, source->fd, key, recipients ? &stage : NULL, ret, err);
	stream_age_finish(&age);
	return r;
}

static int read_copy_back(const struct copies_context *ctx, struct cancel *cancel, const char *key,
                          const struct stream_facts *sent, struct error *err)
{
	const struct readback_options options = {.store = ctx->store,
	                                         .pool = ctx->pool,
	                                         .key = key,
	                                         .extents = &sent->extents,
	                                         .cancel = cancel};
	char sha256[SHA256_HEX_BYTES] = "";
	int r = stream_readback(&options, sha256, err);

	if (r == 0 && strcmp(sha256, sent->stored_sha256) != 0)
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "%s is not what was put there", key);
	return r;
}

/* A crash may have left uploads; nobody else has any below this prefix. */
static int abort_left(const struct copies_context *ctx, const struct store_call *call, struct error *err)
{
	struct store_upload_info *left = NULL;
	size_t count = 0;
	int r = store_upload_list(ctx->store, call, COPIES_PREFIX, &left, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = store_upload_abort(ctx->store, call, left[i].key, left[i].upload_id, err);
	store_upload_list_free(left, count);
	return r;
}

static int put_copy(const struct copies_context *ctx, struct cancel *cancel, const struct copy_source *source,
                    const char *key, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	struct stream_facts sent = {0};
	int r = abort_left(ctx, &call, err);

	if (r == 0)
		r = send_copy(ctx, cancel, source, key, &sent, err);
	if (r == 0) {
		r = read_copy_back(ctx, cancel, key, &sent, err);
		/* What cannot be relied on must not be the newest. */
		if (r == -EBADMSG)
			(void)store_remove(ctx->store, &call, key, NULL);
	}
	extents_finish(&sent.extents);
	return r;
}

/* Later than all others, whatever the clock says: the last by name is the last that was made. */
static void name_copy(const struct copies_context *ctx, const struct copy_list *list, struct copy_name *name)
{
	const struct copy_name *newest = list->count ? &list->items[list->count - 1] : NULL;

	name->at_us = copies_now_us(ctx) / US_PER_S * US_PER_S;
	if (newest && name->at_us <= newest->at_us)
		name->at_us = newest->at_us + US_PER_S;
}

static bool has_failed(struct catalog *c)
{
	struct catalog_copy_state state = {0};

	return catalog_copy_state(c, &state) == 0 && state.failure[0];
}

static int put_unless_there(const struct copies_context *ctx, struct cancel *cancel,
                            const struct copy_source *source, struct copy_list *list, char **ret_key,
                            struct error *err)
{
	const struct copy_name *newest = list->count ? &list->items[list->count - 1] : NULL;
	struct copy_name name = {.is_sealed = source->recipients != NULL};
	_cleanup(free) char *key = NULL;
	int r = hash_copy(source->fd, name.hash, err);

	if (r < 0)
		return r;
	/* After a failure it may be one that was sent and could not be read back. */
	if (newest && strcmp(newest->hash, name.hash) == 0 && newest->is_sealed == name.is_sealed &&
	    !has_failed(ctx->catalog)) {
		*ret_key = copy_key(newest);
		return 0;
	}
	name_copy(ctx, list, &name);
	key = copy_key(&name);
	r = put_copy(ctx, cancel, source, key, err);
	if (r < 0)
		return r;
	list->items = mem_resize(list->items, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = name;
	*ret_key = take_ptr(&key);
	return 0;
}

static int make_copy(const struct copies_context *ctx, struct cancel *cancel, char **ret_key,
                     struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(copy_list) struct copy_list list = {0};
	_cleanup(age_recipients) struct age_recipients *recipients = NULL;
	_cleanup(fd) int fd = -1;
	int r = catalog_copy_make(ctx->catalog, cancel, &fd, err);

	if (r == 0)
		r = find_copy_recipients(ctx, cancel, &recipients, err);
	if (r == 0)
		r = copy_list_get(ctx->store, &call, &list, err);
	if (r == 0)
		r = put_unless_there(ctx, cancel, &(struct copy_source){fd, recipients}, &list, ret_key, err);
	if (r == 0)
		copies_remove_old(ctx, &call, &list, ctx->conf->catalog_copies);
	return r;
}

int copies_make(const struct copies_context *ctx, struct cancel *cancel, struct error *err)
{
	_cleanup(free) char *key = NULL;
	struct error failure = {0};
	int64_t now_us = copies_now_us(ctx);
	int r;

	if (ctx->conf->catalog_copies == 0)
		return 0;
	r = make_copy(ctx, cancel, &key, &failure);
	if (r == 0)
		return catalog_copy_note(ctx->catalog, key, now_us, err);
	if (r != -ECANCELED)
		(void)catalog_copy_failed(ctx->catalog, failure.message, NULL);
	if (err)
		*err = failure;
	return r;
}
