// SPDX-License-Identifier: Apache-2.0
/*
 * One artifact, from one store into another. The order is that of a draft: objects, the table of extents, the manifest. An object counts
 * when it was read back where it is now; so what is found there is read, too, before it is taken for a part of the copy.
 */
#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/replica.h>
#include <keepfs/stream.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <string.h>

#define EXTENTS_MAX_BYTES ((size_t)64 << 20)

struct copying {
	struct replica_copy *c;
	struct store_call call;
	struct pool *pool;
	struct stream_object *object; /* that is being written */
	uint64_t done_bytes;          /* of all objects, that are in the target, or on their way */
	uint64_t stored_bytes;
	uint64_t part_bytes;
	bool *is_right; /* heap, NULL allowed: of each object, whether it was found there, and right */
};

/* Returns @r. */
static int of_target(struct replica_copy *c, int r)
{
	if (r < 0 && r != -ECANCELED)
		c->to_failed = true;
	return r;
}

static int conflict_with(const struct replica_copy *c, const char *key, const char *what, struct error *err)
{
	error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "%s: %s %s, and keepfs has not put it there: it is left as it is. Move it away, or give the copies a prefix of their own",
	        c->to->name, key, what);
	return REPLICA_CONFLICT;
}

static int tell_copied(struct copying *w, uint64_t bytes, struct error *err)
{
	struct replica_copy *c = w->c;

	w->done_bytes += bytes;
	return c->progress ? c->progress(c->arg, w->done_bytes, w->stored_bytes, err) : 0;
}

/* Before anything is put there. */
static int begin_putting(struct copying *w, struct error *err)
{
	struct replica_copy *c = w->c;
	int r = c->has_put || !c->begin ? 0 : c->begin(c->arg, err);

	c->has_put = c->has_put || r == 0;
	return r;
}

/* Objects. */

static int copy_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct copying *w = arg;
	int r = rate_take(w->c->rate, len, w->c->cancel);

	if (r < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	r = of_target(w->c, stream_object_write(w->object, data, len, err));
	if (r < 0)
		return r;
	w->c->copied_bytes += len;
	return tell_copied(w, len, err);
}

static int check_copy_sum(const struct store *store, const char *key, const char *found, const char *expected,
                          struct error *err)
{
	if (!expected[0] || str_equal(expected, found))
		return 0;
	error_set(err, ERROR_CORRUPT, EBADMSG, "%s: the SHA-256 of %s is %s, and not %s", store->name, key,
	          found, expected);
	error_note_damage(err);
	return -EBADMSG;
}

/* All of the object in @store is read, and held against the manifest. */
static int read_object_of(struct copying *w, struct store *store, const struct manifest_object *object,
                          int (*take)(void *, const void *, size_t, struct error *),
                          char found[static SHA256_HEX_BYTES], struct error *err)
{
	const struct readback_options options = {.store = store,
	                                         .pool = w->pool,
	                                         .key = object->key,
	                                         .extents = &object->extents,
	                                         .cancel = w->c->cancel,
	                                         .take = take,
	                                         .arg = w};
	int r = stream_readback(&options, found, err);

	return r < 0 ? r : check_copy_sum(store, object->key, found, object->stored_sha256, err);
}

/* The copy is what the manifest and the extents say; where the manifest has no SHA-256, it has the one that the source was read with. */
static int read_copy_of(struct copying *w, const struct manifest_object *object, const char *source_sha256,
                        struct error *err)
{
	char found[SHA256_HEX_BYTES];
	int r = read_object_of(w, w->c->to, object, NULL, found, err);

	return r < 0 ? r : check_copy_sum(w->c->to, object->key, found, source_sha256, err);
}

static int write_copy_of(struct copying *w, const struct manifest_object *object,
                         char source_sha256[static SHA256_HEX_BYTES], struct error *err)
{
	const struct stream_object_options options = {.store = w->c->to,
	                                              .pool = w->pool,
	                                              .key = object->key,
	                                              .part_bytes = w->part_bytes,
	                                              .max_parts = w->c->max_parts,
	                                              .no_sums = true,
	                                              .cancel = w->c->cancel};
	struct stream_facts facts = {0};
	int r = of_target(w->c, stream_object_new(&options, &w->object, err));

	if (r == 0)
		r = read_object_of(w, w->c->from, object, copy_bytes, source_sha256, err);
	if (r == 0)
		r = of_target(w->c, stream_object_finish(w->object, NULL, &facts, err));
	/* Its memory is needed for reading back. */
	w->object = stream_object_free(w->object);
	return r;
}

/* What is wrong with bytes says nothing of a store that does not answer. */
static bool is_wrong_copy(int r, const struct error *err)
{
	return r == -EBADMSG || r == -ENOENT || err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND;
}

#define COPY_NEEDED 2
/* 0: it is there, and right; COPY_NEEDED: it is not there, or is to be replaced; REPLICA_CONFLICT. */
static int look_at_object(struct copying *w, const struct manifest_object *object, struct error *err)
{
	char found[SHA256_HEX_BYTES];
	struct store_object there;
	struct error why = {0};
	int r = store_head(w->c->to, &w->call, object->key, &there, &why);

	if (r == -ENOENT)
		return COPY_NEEDED;
	if (r == 0 && there.bytes == object->stored_bytes)
		r = read_object_of(w, w->c->to, object, NULL, found, &why);
	else if (r == 0)
		r = error_set(&why, ERROR_CORRUPT, EBADMSG, "it has another size");
	if (r == 0)
		return 0;
	if (is_wrong_copy(r, &why))
		return w->c->is_ours ? COPY_NEEDED
		                     : conflict_with(w->c, object->key, "is there with other content", err);
	if (err)
		*err = why;
	return of_target(w->c, r);
}

static int copy_object(struct copying *w, size_t number, struct error *err)
{
	const struct manifest_object *object = &w->c->manifest.objects[number];
	char source_sha256[SHA256_HEX_BYTES];
	int r = w->is_right && w->is_right[number] ? 0 : look_at_object(w, object, err);

	if (r == 0)
		return tell_copied(w, object->stored_bytes, err);
	if (r != COPY_NEEDED)
		return r;
	r = begin_putting(w, err);
	if (r == 0)
		r = write_copy_of(w, object, source_sha256, err);
	return r < 0 ? r : of_target(w->c, read_copy_of(w, object, source_sha256, err));
}

/* What is put whole. */

#define WHOLE_DIFFERS 2
/* 0: the same bytes; WHOLE_DIFFERS; -ENOENT: it is not there. */
static int compare_whole(struct copying *w, const char *key, const char *data, size_t len, struct error *err)
{
	_cleanup(free) char *there = NULL;
	size_t there_len;
	int r = store_get_all(w->c->to, &w->call, key, len, &there, &there_len, err);

	if (r == -EFBIG)
		return WHOLE_DIFFERS;
	if (r < 0)
		return r == -ENOENT ? r : of_target(w->c, r);
	return there_len == len && memcmp(there, data, len) == 0 ? 0 : WHOLE_DIFFERS;
}

/* What is there already is looked at before anything is put: a copy that is whole is not said to be begun for that. */
static int put_copy_whole(struct copying *w, const char *key, const char *data, size_t len, bool may_replace,
                          const char *content_type, struct error *err)
{
	struct store_put_options options = {.content_type = content_type};
	struct error why = {0};
	int r = compare_whole(w, key, data, len, &why);

	if (r == WHOLE_DIFFERS && !may_replace)
		return conflict_with(w->c, key, "is there with other content", err);
	if (r != -ENOENT && r != WHOLE_DIFFERS) {
		if (r < 0 && err)
			*err = why;
		return r;
	}
	options.only_if_absent = r == -ENOENT;
	r = begin_putting(w, err);
	if (r == 0)
		r = of_target(w->c, store_put_bytes(w->c->to, &w->call, key, data, len, &options, err));
	if (r != STORE_EXISTS)
		return r;
	/* It has come since, or an answer to our own put was lost. */
	r = compare_whole(w, key, data, len, err);
	return r == WHOLE_DIFFERS ? conflict_with(w->c, key, "is there with other content", err) : r;
}

static int copy_extents(struct copying *w, struct error *err)
{
	const char *key = w->c->manifest.extents_key;
	_cleanup(free) char *data = NULL;
	size_t len;
	int r;

	if (!key)
		return 0;
	r = store_get_all(w->c->from, &w->call, key, EXTENTS_MAX_BYTES, &data, &len, err);
	return r < 0 ? r : put_copy_whole(w, key, data, len, w->c->is_ours, NULL, err);
}

/* Before anything is put. */

static int look_at_extents(struct copying *w, struct error *err)
{
	const char *key = w->c->manifest.extents_key;
	_cleanup(free) char *data = NULL;
	struct error why = {0};
	size_t len;
	int r = key ? store_get_all(w->c->from, &w->call, key, EXTENTS_MAX_BYTES, &data, &len, err) : 0;

	if (r < 0 || !key)
		return r;
	r = compare_whole(w, key, data, len, &why);
	if (r == WHOLE_DIFFERS)
		return conflict_with(w->c, key, "is there with other content", err);
	if (r < 0 && r != -ENOENT && err)
		*err = why;
	return r == -ENOENT ? 0 : r;
}

/* What was begun is ours from then on, and what is not right of it is replaced: so all of it is looked at first, and nothing of it may be somebody else's. */
static int look_before_beginning(struct copying *w, struct error *err)
{
	struct replica_copy *c = w->c;
	const struct manifest *m = &c->manifest;
	int r = 0;

	if (c->is_ours)
		return 0;
	w->is_right = mem_array(m->object_count + 1, sizeof(*w->is_right));
	for (size_t i = 0; r == 0 && i < m->object_count; i++) {
		r = look_at_object(w, &m->objects[i], err);
		w->is_right[i] = r == 0;
		r = r == COPY_NEEDED ? 0 : r;
	}
	if (r == 0)
		r = look_at_extents(w, err);
	return r;
}

/* The beginning. */

static void hash_text(const char *text, size_t len, char ret[static SHA256_HEX_BYTES])
{
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];

	sha256_update(h, text, len);
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), ret);
}

static int read_source(struct copying *w, char **ret_text, size_t *ret_len, struct error *err)
{
	struct replica_copy *c = w->c;
	_cleanup(free) char *key = manifest_key(c->path);
	int r = store_get_all(c->from, &w->call, key, MANIFEST_MAX_BYTES, ret_text, ret_len, err);

	if (r < 0)
		return r;
	hash_text(*ret_text, *ret_len, c->sha256);
	if (c->from_sha256 && *c->from_sha256 && !str_equal(c->sha256, c->from_sha256))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: %s is not the manifest any more that keepfs has put there",
		                 c->from->name, key);
	r = artifact_decode(c->repository, c->from, &w->call, c->path, *ret_text, *ret_len, &c->manifest,
	                    err);
	if (r == 0 && c->check)
		r = c->check(c->arg, &c->manifest, err);
	return r == ARTIFACT_UNUSABLE ? -EBADMSG : r;
}

/* Ours, but changed since: by the backup that it says it is of, or since it is none any more. One that was put, and then the copy was cut before that was known, may have been rewrapped here since. */
static bool is_damaged_manifest(const struct replica_copy *c, const char *key, const char *text, size_t len)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = c->is_ours && text ? manifest_decode(key, text, len, &m, NULL) : -ENOTSUP;

	/* What a newer keepfs has written is not damaged. */
	if (r < 0)
		return c->had_manifest && r != -ENOTSUP;
	return str_equal(m.path, c->path) && m.run_id == c->manifest.run_id &&
	       m.started_at_us == c->manifest.started_at_us;
}

static int replace_or_leave(const struct replica_copy *c, const char *key, const char *text, size_t len,
                            struct error *err)
{
	if (!is_damaged_manifest(c, key, text, len))
		return conflict_with(c, key, "is the manifest of another backup", err);
	log_warning("%s: %s is not the manifest any more that keepfs has put there: it is replaced",
	            c->to->name, key);
	return 0;
}

/* Whose is what is there? 0: nobody's, or ours. */
static int look_at_target(struct copying *w, const char *text, size_t len, bool *ret_is_there,
                          struct error *err)
{
	struct replica_copy *c = w->c;
	_cleanup(free) char *published = NULL, *key = manifest_key(c->path), *there = NULL;
	char found[SHA256_HEX_BYTES];
	size_t there_len = 0;
	int r = artifact_find_published(c->to, &w->call, c->path, &published, err);

	if (r <= 0)
		return of_target(c, r);
	if (!str_equal(published, c->path))
		return conflict_with(c, published, "has a manifest, and the same name but for its suffix",
		                     err);
	r = store_get_all(c->to, &w->call, key, MANIFEST_MAX_BYTES, &there, &there_len, err);
	if (r < 0 && r != -EFBIG)
		return of_target(c, r);
	hash_text(r == 0 ? there : "", there_len, found);
	*ret_is_there = true;
	if (str_equal(found, c->sha256) || str_equal(found, str_or_empty(c->manifest_sha256)))
		return 0;
	return replace_or_leave(c, key, there, there_len, err);
}

/* So large that all of the largest object fits into the parts that there may be. */
static uint64_t choose_part_bytes(const struct replica_copy *c)
{
	unsigned parts = c->max_parts ? c->max_parts : STORE_MAX_PARTS;
	uint64_t part = c->part_bytes, most = 0;

	for (size_t i = 0; i < c->manifest.object_count; i++)
		if (c->manifest.objects[i].stored_bytes > most)
			most = c->manifest.objects[i].stored_bytes;
	if (most / parts >= part)
		part = most / parts + 1;
	return (part + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES * POOL_BUFFER_BYTES;
}

static int copy_objects(struct copying *w, struct error *err)
{
	const struct manifest *m = &w->c->manifest;
	int r = 0;

	w->stored_bytes = manifest_stored_bytes(m);
	w->part_bytes = choose_part_bytes(w->c);
	w->pool = pool_new(4 * w->part_bytes + READBACK_BUFFERS * POOL_BUFFER_BYTES);
	if (!w->pool)
		return error_system(err, ENOMEM, "there is no memory for copying %s", w->c->path);
	r = look_before_beginning(w, err);
	for (size_t i = 0; r == 0 && i < m->object_count; i++)
		r = copy_object(w, i, err);
	w->pool = pool_free(w->pool);
	return r;
}

int replica_copy(struct replica_copy *c, struct error *err)
{
	struct copying w = {.c = c, .call = {.cancel = c->cancel}};
	_cleanup(free) char *text = NULL, *key = manifest_key(c->path);
	bool is_there = false;
	size_t len = 0;
	int r;

	c->to_failed = false;
	c->copied_bytes = 0;
	c->has_put = false;
	r = read_source(&w, &text, &len, err);
	if (r == 0)
		r = look_at_target(&w, text, len, &is_there, err);
	/* What an attempt has left that was cut: nobody else writes below a name that has no manifest. */
	if (r == 0 && !is_there)
		r = of_target(c, artifact_abort_uploads(c->to, &w.call, c->path, err));
	if (r == 0)
		r = copy_objects(&w, err);
	free(w.is_right);
	if (r == 0)
		r = copy_extents(&w, err);
	return r != 0 ? r : put_copy_whole(&w, key, text, len, is_there, "application/json", err);
}
