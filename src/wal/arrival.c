// SPDX-License-Identifier: Apache-2.0
/*
 * A file that comes in. What it is, its first bytes say; so buffers for all of it are reserved before any of it is taken. It is compressed, and encrypted, piece by piece while it comes: when its end has come,
 * all that is left to do is one put. The order of the rest:
 *
 *   bind     the archive is of that cluster from now on, before anything of it is in the store
 *   put      never over something that is there
 *   list     in the catalog; whoever crashes in between finds the object when the same file is handed over again, which it is, since nobody was told that it was taken
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/wal_keep.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/wal_index_frame.h>
#include <keepfs/keyring.h>
#include <keepfs/stream/age.h>
#include <keepfs/stream/intake.h>
#include <keepfs/stream/sink.h>

#include <errno.h>
#include <string.h>

#define SLACK_BYTES ((uint64_t)64 << 10) /* by which a file could become longer, header and tags included */
/* What encryption has taken and not given on yet, and what it adds: so much room is left behind the index. */
#define ON_ITS_WAY ((uint64_t)256 << 10)

const struct compression wal_compression = {
        .method = COMPRESSION_ZSTD, .level = 1, .frames_have_checksums = true};

uint64_t wal_packed_bytes_max(uint64_t bytes)
{
	return bytes + bytes / 256 + SLACK_BYTES;
}

struct wal_arrival {
	struct wal *w;
	struct pool *pool;
	struct cancel *cancel;
	struct wal_name parsed;
	struct wal_key key;
	struct catalog_wal_cluster known, cluster; /* before it; system_id 0: none. What it says */
	struct age_recipients *recipients;         /* NULL: it is not encrypted */
	struct stream_age age;
	struct pages_sink last;
	struct sink *chain; /* the first; NULL: nothing has come yet that says what it is */
	struct pages stored;
	uint64_t bytes, most_bytes;
	uint8_t head[WAL_LONG_PAGE_HEADER_BYTES];
	size_t head_len;
	struct sha256 *sha256;
	char sum[SHA256_HEX_BYTES];   /* at the end */
	struct wal_indexing indexing; /* of a segment */
	const struct wal_index
	        *index;  /* at the end; NULL: it is no segment, or what is in it cannot be told */
	struct str text; /* of a history, at the end */
	struct compressor *compressor;
	uint8_t *raw, *packed; /* of the pool */
	size_t raw_len;
	bool has_nul; /* it is no text */
	/* One of that name was there when it began to come: it is taken as it is, to be compared. */
	bool is_known;
};

/* Beginning. */

static bool is_segment(const struct wal_arrival *a)
{
	return a->parsed.kind == WAL_NAME_SEGMENT || a->parsed.kind == WAL_NAME_PARTIAL;
}

static int find_recipients(struct wal_arrival *a, struct error *err)
{
	const struct conf *conf = wal_conf_ref(a->w);
	const struct conf_job *job = conf_find_job(conf, a->key.job);
	int r = 0;

	if (!wal_is_archived(job))
		r = error_set(err, ERROR_USAGE, EINVAL, "there is no section [cluster %s]", a->key.job);
	if (r == 0)
		r = keyring_recipients(conf, job, a->cancel, &a->recipients, err);
	a->key.is_sealed = a->recipients;
	wal_conf_unref(a->w, conf);
	return r;
}

static int find_known_cluster(struct wal_arrival *a, struct error *err)
{
	int r = catalog_wal_cluster(a->w->options.repository->catalog, a->key.job, &a->known);

	a->key.system_id = a->known.system_id;
	return r < 0 && r != -ENOENT ? error_system(err, -r, "the catalog cannot be read") : 0;
}

int wal_arrival_new(struct wal *w, const char *job, const char *name, struct cancel *cancel,
                    struct wal_arrival **ret, struct error *err)
{
	_cleanup(wal_arrival) struct wal_arrival *a = mem_alloc(sizeof(*a));
	int r;

	a->w = w;
	a->pool = w->options.pool;
	a->cancel = cancel;
	a->sha256 = sha256_new();
	str_copy(a->key.job, sizeof(a->key.job), job);
	str_copy(a->key.name, sizeof(a->key.name), name);
	if (strlen(job) >= sizeof(a->key.job) || wal_name_parse(name, &a->parsed) < 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "'%s' is no name of WAL: archive_command copies %%p to %%f, and nothing else belongs into wal/%s",
		        name, job);
	r = find_recipients(a, err);
	if (r == 0)
		r = find_known_cluster(a, err);
	if (r == 0)
		*ret = take_ptr(&a);
	return r;
}

void wal_arrival_use(struct wal_arrival *a, struct pool *pool)
{
	a->pool = pool;
}

struct wal_arrival *wal_arrival_free(struct wal_arrival *a)
{
	if (!a)
		return NULL;
	a->chain = sink_free(a->chain);
	stream_age_finish(&a->age);
	age_recipients_free(a->recipients);
	sha256_free(a->sha256);
	wal_indexing_finish(&a->indexing);
	str_finish(&a->text);
	compressor_free(a->compressor);
	if (a->raw) {
		pool_give(a->pool, a->raw);
		pool_give(a->pool, a->packed);
		pool_unreserve(a->pool, WAL_PIECES);
	}
	pages_finish(&a->stored);
	free(a);
	return NULL;
}

static int check_page_of_arrival(struct wal_arrival *a, struct error *err)
{
	const struct wal_first_page_expected expected = {.system_id = a->known.system_id,
	                                                 .segment_bytes = a->known.segment_bytes};
	struct wal_page_header page = {0};
	int r = wal_first_page_check(a->head, a->head_len, &a->parsed, &expected, &page, err);

	a->cluster = (struct catalog_wal_cluster){.system_id = page.system_id,
	                                          .segment_bytes = page.segment_bytes};
	a->key.system_id = page.system_id;
	a->most_bytes = page.segment_bytes;
	return r;
}

static int reserve_pages(struct wal_arrival *a, struct error *err)
{
	int r = pages_reserve(&a->stored, a->pool, wal_packed_bytes_max(a->most_bytes), WAL_PIECES,
	                      a->cancel);

	if (r == -ENOSPC)
		return error_set(err, ERROR_USAGE, ENOSPC,
		                 "segments of %llu MiB need as many buffers: [keepfs] memory has to be more",
		                 (unsigned long long)(a->most_bytes >> 20));
	if (r < 0)
		return error_set(err, ERROR_CANCELLED, -r, "keepfs ends");
	a->raw = pool_take(a->pool);
	a->packed = pool_take(a->pool);
	return 0;
}

/* Its SHA-256 is compared, and to compress it would be for nothing. */
static bool has_come_before(const struct wal_arrival *a)
{
	struct catalog_wal there;

	return catalog_wal_find(a->w->options.repository->catalog, a->key.job, a->key.name, &there) == 0 &&
	       there.sha256[0];
}

static int begin_arrival_chain(struct wal_arrival *a, struct error *err)
{
	int r;

	a->most_bytes = WAL_TEXT_BYTES_MAX;
	r = is_segment(a) ? check_page_of_arrival(a, err) : 0;
	if (r == 0)
		r = reserve_pages(a, err);
	if (r < 0)
		return r;
	pages_sink_init(&a->last, &a->stored);
	a->is_known = has_come_before(a);
	if (a->is_known) {
		a->chain = &a->last.sink;
		return 0;
	}
	if (a->recipients)
		r = stream_age_init(&a->age, a->recipients, err);
	if (r < 0)
		return r;
	if (is_segment(a))
		wal_indexing_follow(&a->indexing, a->w, a->key.job, &a->parsed, a->cluster.segment_bytes);
	a->compressor = compressor_new(&wal_compression, SEGMENT_CHECK_NONE);
	a->chain = &a->last.sink;
	if (a->recipients) {
		const struct stream_stage stage = stream_age_stage(&a->age);

		a->chain = stage.new(a->chain, 0, stage.arg);
	}
	return 0;
}

/* Bytes. */

static int pack_arrival(struct wal_arrival *a, struct error *err)
{
	struct segment segment;
	int r;

	if (a->raw_len == 0)
		return 0;
	sha256_update(a->sha256, a->raw, a->raw_len);
	if (is_segment(a))
		wal_indexing_feed(&a->indexing, a->raw, a->raw_len);
	r = compressor_run(a->compressor, a->raw, a->raw_len, a->packed, POOL_BUFFER_BYTES, &segment, err);
	a->raw_len = 0;
	return r < 0 ? r : sink_write(a->chain, a->packed, segment.bytes, err);
}

static int gather_arrival(struct wal_arrival *a, const uint8_t *data, size_t len, struct error *err)
{
	int r = 0;

	if (a->bytes + len > a->most_bytes)
		return error_set(
		        err, ERROR_USAGE, EFBIG,
		        is_segment(a) ? "it is longer than the %llu bytes that a segment of its cluster has"
		                      : "it is longer than the %llu bytes that such a text can have",
		        (unsigned long long)a->most_bytes);
	a->has_nul |= memchr(data, '\0', len) != NULL;
	a->bytes += len;
	if (a->is_known) {
		sha256_update(a->sha256, data, len);
		return sink_write(a->chain, data, len, err);
	}
	while (r == 0 && len > 0) {
		size_t n = SEGMENT_RAW_BYTES - a->raw_len < len ? SEGMENT_RAW_BYTES - a->raw_len : len;

		memcpy(a->raw + a->raw_len, data, n);
		a->raw_len += n;
		data += n;
		len -= n;
		if (a->raw_len == SEGMENT_RAW_BYTES)
			r = pack_arrival(a, err);
	}
	return r;
}

/* The first bytes are kept until they tell what it is. */
static size_t gather_head(struct wal_arrival *a, const uint8_t *data, size_t len)
{
	size_t room = sizeof(a->head) - a->head_len, n = len < room ? len : room;

	memcpy(a->head + a->head_len, data, n);
	a->head_len += n;
	return n;
}

int wal_arrival_write(struct wal_arrival *a, const void *data, size_t len, struct error *err)
{
	size_t taken = 0;
	int r = 0;

	if (!a->chain) {
		taken = gather_head(a, data, len);
		if (a->head_len < sizeof(a->head))
			return 0;
		r = begin_arrival_chain(a, err);
		if (r == 0)
			r = gather_arrival(a, a->head, a->head_len, err);
	}
	return r < 0 ? r : gather_arrival(a, (const uint8_t *)data + taken, len - taken, err);
}

/* The end. */

static int check_whole_arrival(const struct wal_arrival *a, struct error *err)
{
	if (is_segment(a) && a->bytes != a->most_bytes)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it has %llu bytes, and a segment of its cluster has %llu: it was cut off before it came here",
		        (unsigned long long)a->bytes, (unsigned long long)a->most_bytes);
	if (!is_segment(a) && a->has_nul)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it is no text, as a file of that name is: it was damaged before it came here");
	return 0;
}

/* The index goes behind the segment, where there is room for it: what was reserved is meant for a segment that does not compress, too. */
static int pack_index(struct wal_arrival *a, struct error *err)
{
	_cleanup(str) struct str frame = {0};
	uint64_t room = (uint64_t)a->stored.reserved * POOL_BUFFER_BYTES - a->stored.bytes;
	uint8_t digest[SHA256_BYTES];

	sha256_final(a->sha256, digest);
	hex_encode(digest, sizeof(digest), a->sum);
	if (!is_segment(a) || a->is_known)
		return 0;
	a->index = wal_indexing_close(&a->indexing, a->bytes, a->sum);
	if (!a->index || wal_index_frame(a->index, &frame) < 0 || frame.len + ON_ITS_WAY > room)
		return 0;
	return sink_write(a->chain, frame.data, frame.len, err);
}

/* A short text has been gathered only, so far. */
static int end_arrival_bytes(struct wal_arrival *a, struct error *err)
{
	int r = 0;

	if (!a->chain) {
		if (is_segment(a) || a->head_len == 0)
			return error_set(err, ERROR_USAGE, EINVAL,
			                 "it has %zu bytes: it was cut off before it came here", a->head_len);
		r = begin_arrival_chain(a, err);
		if (r == 0)
			r = gather_arrival(a, a->head, a->head_len, err);
	}
	if (r == 0)
		r = check_whole_arrival(a, err);
	/* It is shorter than what is packed at once. */
	if (r == 0 && a->parsed.kind == WAL_NAME_HISTORY)
		str_append_bytes(&a->text, (const char *)a->raw, a->raw_len);
	if (r == 0)
		r = pack_arrival(a, err);
	if (r == 0)
		r = pack_index(a, err);
	return r < 0 ? r : sink_finish(a->chain, err);
}

static int bind_cluster(const struct wal_arrival *a, struct error *err)
{
	int r = a->cluster.system_id
	                ? catalog_wal_bind(a->w->options.repository->catalog, a->key.job, &a->cluster, err)
	                : 0;

	if (r == -EEXIST)
		return error_set(
		        err, ERROR_CONFLICT, EINVAL,
		        "it is of the cluster %llu, and another one has begun to archive here: a cluster has a section [cluster NAME] of its own",
		        (unsigned long long)a->cluster.system_id);
	return r;
}

static int put_arrival(const struct wal_arrival *a, const char *key, struct store_lock *ret_lock,
                       struct error *err)
{
	const struct store_call call = {.cancel = a->cancel};
	_cleanup(free) struct iovec *iov = NULL;
	const struct conf *conf = wal_conf_ref(a->w);
	struct wal_put put = {.job = conf_find_job(conf, a->key.job),
	                      .key = key,
	                      .content_type = a->key.is_sealed ? NULL : WAL_CONTENT_TYPE};
	int r;

	put.iov = iov = pages_iov(&a->stored, &put.count);
	r = wal_put_locked(repository_store(a->w->options.repository), &call, &put, ret_lock, err);
	wal_conf_unref(a->w, conf);
	return r;
}

static int compare_with_known(struct wal_arrival *a, const struct catalog_wal *there, const char *key,
                              char **ret_note, struct error *err)
{
	const struct wal_twin twin = {.there = there,
	                              .name = &a->parsed,
	                              .bytes = a->bytes,
	                              .sha256 = a->sum,
	                              .stored = &a->stored,
	                              .is_plain = a->is_known,
	                              .key_text = key,
	                              .key = a->key.is_sealed ? &a->age.key : NULL};

	return wal_compare_twins(a->w, &twin, a->cancel, ret_note, err);
}

/* The store has an object of that key which the catalog does not list: somebody was not told that it was taken. */
static int learn_what_is_there(const struct wal_arrival *a, const char *key, struct catalog_wal *ret,
                               struct error *err)
{
	const struct repository *repo = a->w->options.repository;
	const struct store_call call = {.cancel = a->cancel};
	struct wal_learning l = {.repository = a->w->options.repository,
	                         .pool = a->w->options.pool,
	                         .cancel = a->cancel,
	                         .at_once = true};
	struct store_object object;
	int r = store_head(repository_store(repo), &call, key, &object, err);

	str_copy(object.key, sizeof(object.key), key);
	if (r == 0)
		r = wal_learn_object(&l, &object, err);
	if (r == 0)
		r = catalog_wal_find(repo->catalog, a->key.job, a->key.name, ret);
	return r == -ENOENT ? error_set(err, ERROR_CONFLICT, EEXIST,
	                                "the store has %s, and what it is cannot be seen", key)
	                    : r;
}

static int note_history(const struct wal_arrival *a, struct error *err)
{
	if (a->parsed.kind != WAL_NAME_HISTORY)
		return 0;
	return catalog_wal_set_history(a->w->options.repository->catalog, a->key.job, a->parsed.timeline,
	                               str_text(&a->text), a->text.len, err);
}

static int list_arrival(struct wal_arrival *a, const char *key, char **ret_note, struct error *err)
{
	const struct catalog_wal_known known = {
	        .index = a->index, .history = a->parsed.kind == WAL_NAME_HISTORY ? str_text(&a->text) : NULL};
	struct catalog_wal row = {
	        .bytes = a->bytes, .stored_bytes = a->stored.bytes, .arrived_us = clock_now_us()};
	struct store_lock lock;
	int r;

	str_copy(row.job, sizeof(row.job), a->key.job);
	str_copy(row.name, sizeof(row.name), a->key.name);
	str_copy(row.key, sizeof(row.key), key);
	str_copy(row.sha256, sizeof(row.sha256), a->sum);
	r = put_arrival(a, key, &lock, err);
	if (r == STORE_EXISTS) {
		r = learn_what_is_there(a, key, &row, err);
		return r < 0 ? r : compare_with_known(a, &row, key, ret_note, err);
	}
	if (r == 0)
		r = catalog_wal_add_known(a->w->options.repository->catalog, &row, &known, err);
	if (r == 0 && lock.until_us)
		r = catalog_wal_set_locked(a->w->options.repository->catalog, row.job, row.name,
		                           lock.until_us, err);
	if (r == 0 && a->parsed.kind == WAL_NAME_SEGMENT)
		wal_indexing_keep(&a->indexing, a->w, a->key.job);
	if (r == 0)
		wal_copier_kick(a->w->copier);
	return r < 0 ? r : note_history(a, err);
}

static int settle_arrival(struct wal_arrival *a, char **ret_note, struct error *err)
{
	_cleanup(free) char *key = wal_key_format(&a->key);
	struct catalog_wal there;
	int r = catalog_wal_find(a->w->options.repository->catalog, a->key.job, a->key.name, &there);

	if (r == 0)
		return compare_with_known(a, &there, key, ret_note, err);
	if (r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (a->is_known)
		return error_set(
		        err, ERROR_UNAVAILABLE, EIO,
		        "it was there already when it began to come, and was removed meanwhile: hand it over again");
	r = bind_cluster(a, err);
	return r < 0 ? r : list_arrival(a, key, ret_note, err);
}

int wal_arrival_end(struct wal_arrival *a, char **ret_note, struct error *err)
{
	struct wal_claim claim = {.job = a->key.job, .name = a->key.name};
	int r = end_arrival_bytes(a, err);

	if (r < 0)
		return r;
	r = wal_claim(a->w, &claim);
	if (r < 0)
		return error_set(err, ERROR_CANCELLED, -r, "keepfs ends");
	r = settle_arrival(a, ret_note, err);
	wal_unclaim(a->w, &claim);
	return r;
}

static int take_intake(struct wal_arrival *a, struct intake *in, struct cancel *cancel, struct error *err)
{
	const void *data;
	size_t len;
	int r;

	while ((r = intake_next(in, cancel, -1, &data, &len, err)) == INTAKE_PIECE) {
		r = wal_arrival_write(a, data, len, err);
		if (r < 0)
			break;
	}
	return r;
}

int wal_take(struct wal *w, const char *job, const char *name, struct intake *in, char **ret_note,
             struct error *err)
{
	_cleanup(wal_arrival) struct wal_arrival *a = NULL;
	int r;

	wal_early_settle(w->early, job, name);
	r = wal_arrival_new(w, job, name, &w->cancel, &a, err);
	if (r == 0)
		r = take_intake(a, in, &w->cancel, err);
	if (r == 0)
		r = wal_arrival_end(a, ret_note, err);
	if (r == 0)
		wal_early_look(w->early, job, &a->parsed, a->cluster.segment_bytes);
	return r;
}
