// SPDX-License-Identifier: Apache-2.0
/*
 * The life of an artifact, with a store that dies at each of its calls in turn: whatever the moment, a
 * restart finds the artifact whole or wholly gone. And the list that is rebuilt from the bucket is the list
 * that was lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../support/tree.h"

#include "../support/manifests.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/name.h>

#include "catalog_test.h"
#include "manifest_support.h"
#include "../../src/artifact/artifact_private.h"

#define AT_US       (INT64_C(1795140000) * US_PER_S) /* 2026-11-20T02:00:00Z */
#define FIRST       "backups/full/20261120T020000Z.dump"
#define SECOND      "backups/full/20261120T020000Z-2.dump"
#define MANY_PIECES 9000 /* extents: their table is an object of its own */

/* A store that hands its calls on, until it dies: before or after the call that is its last. */
struct mortal {
	struct store base;
	struct store *inner;
	pthread_mutex_t lock;
	unsigned calls_left; /* lock; 0: lives for ever, or is dead */
	bool after;          /* the last call is done, only its answer is lost */
	bool dead;           /* lock */
};

struct mortal_upload {
	struct store_upload base;
	struct store_upload *inner;
};

static struct mortal *mortal_of(struct store *s)
{
	return (struct mortal *)s;
}

static int dead(struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE, EIO, "the store is dead");
}

/* Whether the call still reaches the store; *@ret_answered whether its answer comes back. */
static bool reaches(struct mortal *m, bool *ret_answered)
{
	bool last, reached;

	pthread_mutex_lock(&m->lock);
	last = m->calls_left > 0 && --m->calls_left == 0;
	reached = !m->dead && (!last || m->after);
	*ret_answered = !m->dead && !last;
	m->dead = m->dead || last;
	pthread_mutex_unlock(&m->lock);
	return reached;
}

#define MORTAL(store, call)                                                                                  \
	do {                                                                                                 \
		bool answered_, reached_ = reaches(mortal_of(store), &answered_);                            \
		int r_ = reached_ ? (call) : 0;                                                              \
		return answered_ ? r_ : dead(err);                                                           \
	} while (0)

static int mortal_put(struct store *s, const struct store_call *call, const char *key,
                      const struct iovec *iov, int count, const struct store_put_options *options,
                      struct error *err)
{
	MORTAL(s, store_put(mortal_of(s)->inner, call, key, iov, count, options, err));
}

static int mortal_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                      const struct iovec *iov, int count, const struct store_get_options *options,
                      struct error *err)
{
	MORTAL(s, store_get(mortal_of(s)->inner, call, key, offset, iov, count, options, err));
}

static int mortal_head(struct store *s, const struct store_call *call, const char *key,
                       struct store_object *ret, struct error *err)
{
	MORTAL(s, store_head(mortal_of(s)->inner, call, key, ret, err));
}

static int mortal_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	MORTAL(s, store_remove(mortal_of(s)->inner, call, key, err));
}

static int mortal_list(struct store *s, const struct store_call *call, const char *prefix,
                       const char *start_after, size_t max, struct store_object **ret_objects,
                       size_t *ret_count, bool *ret_more, struct error *err)
{
	struct mortal *m = mortal_of(s);
	bool answered;

	/* A small page, so that there are many; and no answer at all when it is lost, since it would be
	 * memory. */
	if (!reaches(m, &answered) || !answered)
		return dead(err);
	return store_list(m->inner, call, prefix, start_after, max < 7 ? max : 7, ret_objects, ret_count,
	                  ret_more, err);
}

static int mortal_upload_begin(struct store *s, const struct store_call *call, const char *key,
                               const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	_cleanup(store_upload) struct store_upload *inner = NULL;
	struct mortal_upload *up;
	bool answered, reached = reaches(mortal_of(s), &answered);
	int r = reached ? store_upload_begin(mortal_of(s)->inner, call, key, &inner, err) : 0;

	if (!answered)
		return dead(err);
	if (r < 0)
		return r;
	up = mem_alloc(sizeof(*up));
	up->base = (struct store_upload){.ops = s->ops, .store = s, .key = inner->key};
	up->inner = take_ptr(&inner);
	*ret_upload = &up->base;
	return 0;
}

static struct store_upload *inner_of(const struct store_upload *up)
{
	return ((const struct mortal_upload *)up)->inner;
}

static void mortal_upload_announce(struct store_upload *up, unsigned number, uint64_t bytes)
{
	store_upload_announce(inner_of(up), number, bytes);
}

static int mortal_upload_part(struct store_upload *up, const struct store_call *call, unsigned number,
                              const struct iovec *iov, int count, struct store_part *ret_part,
                              struct error *err)
{
	MORTAL(up->store, store_upload_part(inner_of(up), call, number, iov, count, ret_part, err));
}

static int mortal_upload_complete(struct store_upload *up, const struct store_call *call,
                                  const struct store_part *parts, size_t count, struct error *err)
{
	MORTAL(up->store, store_upload_complete(inner_of(up), call, parts, count, err));
}

static const char *mortal_upload_id(const struct store_upload *up)
{
	return store_upload_id(inner_of(up));
}

static struct store_upload *mortal_upload_free(struct store_upload *up)
{
	store_upload_free(inner_of(up));
	free(up);
	return NULL;
}

static int mortal_upload_abort(struct store *s, const struct store_call *call, const char *key,
                               const char *upload_id, struct error *err)
{
	MORTAL(s, store_upload_abort(mortal_of(s)->inner, call, key, upload_id, err));
}

static int mortal_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                              struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	bool answered;

	if (!reaches(mortal_of(s), &answered) || !answered)
		return dead(err);
	return store_upload_list(mortal_of(s)->inner, call, prefix, ret_uploads, ret_count, err);
}

static int mortal_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                          struct str *ret_url, struct error *err)
{
	return store_presign(mortal_of(s)->inner, key, ttl_ms, ret_url, err);
}

static int mortal_features(struct store *s, struct store_features *ret, struct error *err)
{
	return store_features(mortal_of(s)->inner, ret, err);
}

static struct store *mortal_free(struct store *s)
{
	store_free(mortal_of(s)->inner);
	pthread_mutex_destroy(&mortal_of(s)->lock);
	free(s);
	return NULL;
}

static const struct store_ops mortal_ops = {
        .put = mortal_put,
        .get = mortal_get,
        .head = mortal_head,
        .remove = mortal_remove,
        .list = mortal_list,
        .upload_begin = mortal_upload_begin,
        .upload_announce = mortal_upload_announce,
        .upload_part = mortal_upload_part,
        .upload_complete = mortal_upload_complete,
        .upload_id = mortal_upload_id,
        .upload_free = mortal_upload_free,
        .upload_abort = mortal_upload_abort,
        .upload_list = mortal_upload_list,
        .presign = mortal_presign,
        .features = mortal_features,
        .free = mortal_free,
};

struct fixture {
	char directory[64];
	char *state_dir, *objects;
	struct store *store;
	struct catalog *catalog;
	struct repository repo; /* of both */
};

static void set_repository(struct fixture *f)
{
	f->repo = (struct repository){.store = f->store, .catalog = f->catalog};
}

/* A life for each call, each with a store and a catalog of its own: in memory, where there is a place for it,
 * since no disk fails here. */
static void fixture_begin(struct fixture *f)
{
	struct mortal *m = mem_alloc(sizeof(*m));
	bool memory = access("/dev/shm", W_OK) == 0;

	pthread_mutex_init(&m->lock, NULL);
	snprintf(f->directory, sizeof(f->directory), "%s/keepfs-artifact-XXXXXX",
	         memory ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(f->directory));
	f->state_dir = mem_printf("%s/state", f->directory);
	f->objects = mem_printf("%s/objects", f->directory);
	assert_int_equal(store_dir_new(f->objects, &m->inner, NULL), 0);
	m->base = (struct store){.ops = &mortal_ops, .name = m->inner->name};
	f->store = &m->base;
	assert_int_equal(catalog_open(f->state_dir, &f->catalog, NULL), 0);
	set_repository(f);
}

static void fixture_end(struct fixture *f)
{
	catalog_free(f->catalog);
	store_free(f->store);
	remove_tree(f->directory);
	free(f->state_dir);
	free(f->objects);
}

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	fixture_begin(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_end(*state);
	free(*state);
	return 0;
}

/* The store dies at its @calls-th call from now; 0: never, and it lives again. */
static void set_fate(struct fixture *f, unsigned calls, bool after)
{
	struct mortal *m = mortal_of(f->store);

	pthread_mutex_lock(&m->lock);
	m->calls_left = calls;
	m->after = after;
	m->dead = false;
	pthread_mutex_unlock(&m->lock);
}

static bool is_dead(struct fixture *f)
{
	struct mortal *m = mortal_of(f->store);
	bool is;

	pthread_mutex_lock(&m->lock);
	is = m->dead;
	pthread_mutex_unlock(&m->lock);
	return is;
}

static void restart(struct fixture *f)
{
	set_fate(f, 0, false);
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(catalog_open(f->state_dir, &f->catalog, NULL), 0);
	set_repository(f);
}

static int reserve(struct fixture *f, const char *directory, const char *suffix, int64_t run_id,
                   int64_t at_us, char **ret_path, struct error *err)
{
	const struct artifact_name name = {.directory = directory, .suffix = suffix, .at_us = at_us};

	return artifact_reserve(&f->repo, &name, run_id, ret_path, err);
}

static void describe(struct manifest *m, const char *path, int64_t run_id, const char *database)
{
	manifest_describe(m, path, run_id, database);
	m->started_at_us = name_sequence(strrchr(path, '/') + 1) / 1000 * US_PER_S + 3;
	m->finished_at_us = m->started_at_us + 17;
}

static void put_own(struct manifest *m, uint32_t pieces)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_once(m->path, strlen(m->path), digest);
	hex_encode(digest, sizeof(digest), hex);
	manifest_put_own(m, pieces, pieces, hex);
}

/* What an artifact consists of. */
struct shape {
	const char *suffix; /* "": a directory */
	unsigned files;     /* beside it, or in it */
};

static const struct shape dump = {".dump", 0}, with_files = {".dump", 2}, directory_of_3 = {"", 3};
static const struct shape *const shapes[] = {&dump, &with_files, &directory_of_3};

static void add_file(struct manifest *m, const char *name, uint32_t bytes)
{
	char sha256[SHA256_HEX_BYTES] = "";

	memset(sha256, 'a', SHA256_HEX_BYTES - 1);
	manifest_put_file(m, name, bytes, bytes, sha256);
}

static void describe_shape(struct manifest *m, const struct shape *shape, const char *path, int64_t run_id,
                           const char *database, uint32_t pieces)
{
	_cleanup(free) char *stem = manifest_stem(path);
	bool is_directory = shape->suffix[0] == '\0';

	describe(m, path, run_id, database);
	m->is_directory = is_directory;
	if (is_directory)
		memset(m->sha256, 'b', SHA256_HEX_BYTES - 1);
	else
		put_own(m, pieces);
	for (unsigned i = 0; i < shape->files; i++) {
		/* Not in the order of their names; the first of a directory has all the pieces. */
		_cleanup(free) char *name = is_directory ? mem_printf("%u.dat", shape->files - i)
		                                         : mem_printf("%s.%u", strrchr(stem, '/') + 1, 9 - i);
		uint32_t bytes = is_directory && i == 0 ? pieces : i + 2;

		add_file(m, name, bytes);
		if (is_directory)
			m->size_bytes += bytes;
	}
	manifest_seal(m);
}

static int upload(struct fixture *f, const char *path, size_t bytes, struct error *err)
{
	_cleanup(store_upload) struct store_upload *up = NULL;
	_cleanup(free) char *data = mem_alloc(bytes);
	struct iovec iov = {data, bytes};
	struct store_part part;
	int r = store_upload_begin(f->store, NULL, path, &up, err);

	if (r == 0)
		r = store_upload_part(up, NULL, 1, &iov, 1, &part, err);
	if (r == 0)
		r = store_upload_complete(up, NULL, &part, 1, err);
	return r;
}

/* In one call: what is small needs no more. */
static int put_zeros(struct fixture *f, const char *path, size_t bytes, struct error *err)
{
	_cleanup(free) char *data = mem_alloc(bytes);

	return store_put_bytes(f->store, NULL, path, data, bytes, NULL, err);
}

static int upload_all(struct fixture *f, const struct manifest *m, struct error *err)
{
	int r = m->is_directory ? 0 : upload(f, m->path, m->size_bytes, err);

	for (size_t i = manifest_first_beside(m); r == 0 && i < m->file_count; i++) {
		_cleanup(free) char *path = manifest_file_path(m, &m->files[i]);

		r = put_zeros(f, path, m->files[i].size_bytes, err);
	}
	return r;
}

/* What a dump does: reserve, upload, publish; discard when that failed. */
static int make_shape(struct fixture *f, const struct shape *shape, const char *directory, int64_t run_id,
                      const char *database, uint32_t pieces, char **ret_path)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL;
	struct error err = {0};
	int r;

	assert_int_equal(reserve(f, directory, shape->suffix, run_id, AT_US + 1, &path, &err), 0);
	describe_shape(&m, shape, path, run_id, database, pieces);
	r = upload_all(f, &m, &err);
	if (r == 0)
		r = artifact_publish(&f->repo, &m, NULL, &err);
	if (r < 0) {
		assert_true(err.message[0] != '\0');
		artifact_discard(&f->repo, path, NULL);
	}
	if (ret_path)
		*ret_path = take_ptr(&path);
	return r;
}

static int make(struct fixture *f, const char *directory, int64_t run_id, const char *database,
                uint32_t pieces, char **ret_path)
{
	return make_shape(f, &dump, directory, run_id, database, pieces, ret_path);
}

static bool is_there(struct fixture *f, const char *key)
{
	struct store_object object;
	int r = store_head(f->store, NULL, key, &object, NULL);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static void count_intent(void *arg, int64_t run_id, const char *path)
{
	*(unsigned *)arg += 1;
}

static void count_tomb(void *arg, uint64_t ino, const char *path)
{
	*(unsigned *)arg += 1;
}

static void assert_nothing_pending(struct fixture *f)
{
	struct store_upload_info *uploads = NULL;
	size_t count = 0;
	unsigned pending = 0;

	assert_int_equal(catalog_intents(f->catalog, count_intent, &pending), 0);
	assert_int_equal(catalog_tombs(f->catalog, INT64_MAX, count_tomb, &pending), 0);
	assert_int_equal(pending, 0);
	assert_int_equal(store_upload_list(f->store, NULL, "", &uploads, &count, NULL), 0);
	store_upload_list_free(uploads, count);
	assert_int_equal(count, 0);
}

static unsigned count_below(struct fixture *f, const char *stem)
{
	struct store_object *objects = NULL;
	size_t count = 0;
	bool more = true;
	unsigned found = 0;
	char after[STORE_KEY_BYTES] = "";

	while (more) {
		assert_int_equal(store_list(f->store, NULL, stem, after, 1000, &objects, &count, &more, NULL),
		                 0);
		for (size_t i = 0; i < count; i++) {
			char next = objects[i].key[strlen(stem)];

			found += next == '.' || next == '/';
			str_copy(after, sizeof(after), objects[i].key);
		}
		free(objects);
	}
	return found;
}

/* What the manifest says is what the store has and what the catalog shows. */
static void files_are_there(struct fixture *f, const struct manifest *m)
{
	_cleanup(free) char *stem = manifest_stem(m->path);

	assert_int_equal(count_below(f, stem), m->file_count);
	for (size_t i = 0; i < m->file_count; i++) {
		_cleanup(free) char *path = manifest_file_path(m, &m->files[i]);
		_cleanup(manifest_object) struct manifest_object o = {0};
		struct catalog_entry entry;

		assert_true(is_there(f, path));
		assert_int_equal(catalog_entry_by_ino(f->catalog, ino_of_artifact(path), &entry), 0);
		assert_int_equal(entry.size_bytes, m->files[i].size_bytes);
		assert_int_equal(catalog_object(f->catalog, entry.ino, &o), 0);
		assert_string_equal(o.key, path);
		assert_int_equal(o.extents.total_bytes, entry.size_bytes);
	}
}

/* Returns whether the artifact is there; it is so in every place or in none. */
static bool whole_or_gone(struct fixture *f, const char *path)
{
	_cleanup(free) char *manifest = manifest_key(path), *extents = manifest_extents_key(path),
	                    *text = NULL, *stem = manifest_stem(path);
	_cleanup(manifest) struct manifest m = {0};
	uint64_t ino = ino_of_artifact(path);
	struct catalog_entry entry;
	bool listed = catalog_entry_by_ino(f->catalog, ino, &entry) == 0;
	size_t len;

	assert_int_equal(is_there(f, manifest), listed);
	if (!listed) {
		assert_false(is_there(f, extents));
		assert_int_equal(count_below(f, stem), 0);
		return false;
	}
	assert_int_equal(store_get_all(f->store, NULL, manifest, 1 << 20, &text, &len, NULL), 0);
	assert_int_equal(manifest_decode(manifest, text, len, &m, NULL), 0);
	assert_int_equal(is_there(f, extents), m.extents_key != NULL);
	assert_int_equal(entry.size_bytes, m.size_bytes);
	assert_int_equal(is_there(f, path), !m.is_directory);
	files_are_there(f, &m);
	return true;
}

static void put_text(struct fixture *f, const char *key, const char *text)
{
	assert_int_equal(store_put_bytes(f->store, NULL, key, text, strlen(text), NULL, NULL), 0);
}

static void put_manifest_of(struct fixture *f, const struct manifest *m)
{
	_cleanup(free) char *key = manifest_key(m->path);
	_cleanup(str) struct str text = {0};

	manifest_encode(m, &text);
	put_text(f, key, str_text(&text));
}

static void an_artifact_is_made(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL;

	assert_int_equal(make(f, "backups/full", 1, "primary", 100, &first), 0);
	assert_int_equal(make(f, "backups/full", 2, "primary", MANY_PIECES, &second), 0);
	assert_string_equal(first, FIRST);
	assert_string_equal(second, SECOND);
	assert_true(whole_or_gone(f, FIRST));
	assert_true(whole_or_gone(f, SECOND));
	assert_false(is_there(f, "manifests/" FIRST ".extents"));
	assert_true(is_there(f, "manifests/" SECOND ".extents"));
	assert_nothing_pending(f);
}

static void artifacts_of_files_are_made(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL, *third = NULL;

	assert_int_equal(make_shape(f, &with_files, "backups/full", 1, "primary", 100, &first), 0);
	assert_int_equal(make_shape(f, &directory_of_3, "backups/full", 2, "primary", 100, &second), 0);
	assert_int_equal(make_shape(f, &directory_of_3, "backups/full", 3, "primary", MANY_PIECES, &third),
	                 0);
	assert_string_equal(first, FIRST);
	assert_string_equal(second, "backups/full/20261120T020000Z-2");
	assert_true(is_there(f, "backups/full/20261120T020000Z-2/1.dat"));
	assert_true(is_there(f, "manifests/backups/full/20261120T020000Z-2.json"));
	assert_true(is_there(f, "manifests/backups/full/20261120T020000Z-3.extents"));
	assert_true(whole_or_gone(f, first));
	assert_true(whole_or_gone(f, second));
	assert_true(whole_or_gone(f, third));
	assert_nothing_pending(f);
}

static void names_are_reserved_once(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *a = NULL, *b = NULL, *other = NULL;

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US + 999999, &a, NULL), 0);
	assert_int_equal(reserve(f, "backups/full", ".dump", 2, AT_US, &b, NULL), 0);
	assert_int_equal(reserve(f, "backups/other", ".dump", 3, AT_US, &other, NULL), 0);
	assert_string_equal(a, FIRST);
	assert_string_equal(b, SECOND);
	assert_string_equal(other, "backups/other/20261120T020000Z.dump");
}

/* One life of a store that dies at call @n. Returns whether it died. */
static bool make_and_die(unsigned n, bool after, const struct shape *shape, uint32_t pieces)
{
	struct fixture f = {0};
	_cleanup(free) char *path = NULL;
	struct artifact_recovery recovery = {0};
	int made;
	bool died;

	fixture_begin(&f);
	set_fate(&f, n, after);
	made = make_shape(&f, shape, "backups/full", 1, "primary", pieces, &path);
	died = is_dead(&f);
	assert_true(died || made == 0);
	restart(&f);
	assert_int_equal(artifact_recover(&f.repo, &recovery, NULL), 0);
	assert_int_equal(recovery.left, 0);
	assert_true(whole_or_gone(&f, path) || made < 0);
	assert_nothing_pending(&f);
	fixture_end(&f);
	return died;
}

/* Each case is a life for each call: answers get lost only where there are few. */
struct fate_case {
	const struct shape *shape;
	uint32_t pieces;
	unsigned calls;
	bool lose_answers;
};

static void making_may_end_at_any_call(void **state)
{
	static const struct fate_case cases[] = {
	        {&dump, 100, 4, true}, /* begin, part, complete, manifest */
	        {&dump, MANY_PIECES, 5, true},
	        {&with_files, 100, 6, false},
	        {&directory_of_3, MANY_PIECES, 5, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n = 1;

		while (make_and_die(n, false, cases[i].shape, cases[i].pieces))
			n++;
		assert_int_equal(n, cases[i].calls + 1);
		for (n = 1; cases[i].lose_answers && make_and_die(n, true, cases[i].shape, cases[i].pieces);)
			n++;
	}
}

static bool remove_and_die(unsigned n, bool after, const struct shape *shape, uint32_t pieces)
{
	struct fixture f = {0};
	struct artifact_recovery recovery = {0};
	_cleanup(free) char *first = NULL, *second = NULL;
	struct error err = {0};
	bool died;
	int removed;

	fixture_begin(&f);
	assert_int_equal(make_shape(&f, shape, "backups/full", 1, "primary", pieces, &first), 0);
	assert_int_equal(make_shape(&f, shape, "backups/full", 2, "primary", 5, &second), 0);
	set_fate(&f, n, after);
	removed = artifact_remove(&f.repo, ino_of_artifact(first), NULL, &err);
	died = is_dead(&f);
	assert_int_equal(removed < 0, died);
	if (died)
		assert_non_null(strstr(err.message, first));
	restart(&f);
	assert_int_equal(artifact_recover(&f.repo, &recovery, NULL), 0);
	/* At the first call it is asked who holds it: nothing has begun. */
	assert_int_equal(recovery.removed, died && n > 1);
	assert_int_equal(whole_or_gone(&f, first), n == 1);
	assert_true(whole_or_gone(&f, second));
	assert_nothing_pending(&f);
	fixture_end(&f);
	return died;
}

static void removing_may_end_at_any_call(void **state)
{
	/* Who holds it, the search for another's manifest, the manifest, a listing of what lies beside it, one of objects (of a directory
	 * another one, for manifests below it), and the object by its name; and each object that was listed, as the table of many pieces is. */
	static const struct fate_case cases[] = {
	        {&dump, 100, 6 + 1, true},
	        {&dump, MANY_PIECES, 6 + 1 + 1, true},
	        {&with_files, 100, 6 + 3, false},
	        {&directory_of_3, MANY_PIECES, 7 + 3 + 1, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n = 1;

		while (remove_and_die(n, false, cases[i].shape, cases[i].pieces))
			n++;
		assert_int_equal(n, cases[i].calls + 1);
		for (n = 1;
		     cases[i].lose_answers && remove_and_die(n, true, cases[i].shape, cases[i].pieces);)
			n++;
	}
}

/* A crash in the recovery itself: the next one brings it to the end. */
static bool recover_and_die(unsigned n, bool after, const struct shape *shape)
{
	struct fixture f = {0};
	struct artifact_recovery recovery = {0};
	struct error err = {0};
	_cleanup(free) char *first = NULL, *second = NULL, *path = NULL, *part = NULL;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(store_upload) struct store_upload *up = NULL;
	bool died;

	fixture_begin(&f);
	assert_int_equal(make_shape(&f, shape, "backups/full", 1, "primary", 5, &first), 0);
	assert_int_equal(make_shape(&f, shape, "backups/full", 2, "primary", 5, &second), 0);
	assert_int_equal(catalog_entomb_artifact(f.catalog, ino_of_artifact(first), BY_POLICY, NULL), 0);
	assert_int_equal(reserve(&f, "backups/full", shape->suffix, 3, AT_US, &path, NULL), 0);
	/* All but one are there, which is on its way. */
	describe_shape(&m, shape, path, 3, "primary", 5);
	part = m.file_count ? manifest_file_path(&m, &m.files[m.file_count - 1]) : mem_strdup(path);
	if (m.file_count) {
		assert_int_equal(upload_all(&f, &m, NULL), 0);
		assert_int_equal(store_remove(f.store, NULL, part, NULL), 0);
	}
	assert_int_equal(store_upload_begin(f.store, NULL, part, &up, NULL), 0);
	set_fate(&f, n, after);
	assert_int_equal(artifact_recover(&f.repo, &recovery, &err), 0);
	died = is_dead(&f);
	assert_int_equal(recovery.left > 0, died);
	restart(&f);
	assert_int_equal(artifact_recover(&f.repo, &recovery, &err), 0);
	assert_int_equal(recovery.left, 0);
	assert_false(whole_or_gone(&f, first));
	assert_false(whole_or_gone(&f, path));
	assert_true(whole_or_gone(&f, second));
	assert_nothing_pending(&f);
	store_upload_free(take_ptr(&up));
	fixture_end(&f);
	return died;
}

static void recovering_may_end_at_any_call(void **state)
{
	unsigned n = 1;

	while (recover_and_die(n, false, &dump))
		n++;
	assert_true(n > 8);
	for (n = 1; recover_and_die(n, true, &dump);)
		n++;
	for (n = 1; recover_and_die(n, false, &directory_of_3);)
		n++;
}

/* A crash before the row: what the manifest names is there, but for one object. */
static void recover_without(struct fixture *f, const struct shape *shape, int missing, unsigned adopted)
{
	_cleanup(free) char *path = NULL, *key = NULL;
	_cleanup(manifest) struct manifest m = {0};
	struct artifact_recovery recovery = {0};

	assert_int_equal(reserve(f, "backups/full", shape->suffix, 1, AT_US, &path, NULL), 0);
	describe_shape(&m, shape, path, 1, "primary", 5);
	assert_int_equal(upload_all(f, &m, NULL), 0);
	put_manifest_of(f, &m);
	if (missing >= 0) {
		key = mem_strdup(m.objects[missing].key);
		assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	}
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.adopted, adopted);
	assert_int_equal(recovery.discarded, !adopted);
	assert_nothing_pending(f);
}

static void what_the_manifest_names_decides(void **state)
{
	struct fixture *f = *state;

	recover_without(f, &with_files, -1, 1);
	assert_true(whole_or_gone(f, FIRST));
	recover_without(f, &directory_of_3, -1, 1);
	assert_true(whole_or_gone(f, "backups/full/20261120T020000Z-2"));
	/* Without the dump it is nothing; without a file beside it, it is still a dump. */
	recover_without(f, &with_files, 0, 0);
	assert_false(whole_or_gone(f, "backups/full/20261120T020000Z-3.dump"));
	recover_without(f, &directory_of_3, 1, 0);
	assert_false(whole_or_gone(f, "backups/full/20261120T020000Z-3"));
	recover_without(f, &with_files, 2, 1);
	assert_true(is_there(f, "backups/full/20261120T020000Z-3.dump"));
	assert_true(is_there(f, "backups/full/20261120T020000Z-3.9"));
	assert_false(is_there(f, "backups/full/20261120T020000Z-3.8"));
}

static void many_files_are_removed(void **state)
{
	static const struct shape many = {"", 40};
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL, *path = NULL;
	struct error err = {0};
	struct artifact_recovery recovery = {0};

	assert_int_equal(make_shape(f, &many, "backups/full", 1, "primary", 5, &first), 0);
	assert_int_equal(make_shape(f, &directory_of_3, "backups/full", 2, "primary", 5, &second), 0);
	assert_true(whole_or_gone(f, first));
	set_fate(f, 20, false); /* while several threads delete */
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, &err), -EIO);
	assert_non_null(strstr(err.message, "the store is dead"));
	restart(f);
	assert_true(count_below(f, first) > 10);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 1);
	assert_false(whole_or_gone(f, first));
	assert_true(whole_or_gone(f, second));
	/* Nor is an empty directory left where keys are paths. */
	path = mem_printf("%s/%s", f->objects, first);
	assert_int_equal(access(path, F_OK), -1);
	path[strlen(path) - strlen(first)] = '\0';
	assert_int_equal(access(path, F_OK), 0);
}

static void the_last_one_is_not_removed(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	assert_int_equal(make(f, "backups/full", 1, "primary", 5, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(FIRST), NULL, &err), -EPERM);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_non_null(strstr(err.message, "last"));
	assert_true(whole_or_gone(f, FIRST));
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(SECOND), NULL, &err), -ENOENT);
}

static void a_lost_answer_is_no_conflict(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL;

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	describe_shape(&m, &dump, path, 1, "primary", MANY_PIECES);
	assert_int_equal(upload(f, path, MANY_PIECES, NULL), 0);
	set_fate(f, 2, true); /* the table, then the manifest, whose answer is lost */
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), -EIO);
	set_fate(f, 0, false);
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), 0);
	assert_true(whole_or_gone(f, FIRST));
	assert_nothing_pending(f);
}

static void anothers_manifest_is_left_alone(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest theirs = {0}, ours = {0};
	_cleanup(free) char *path = NULL;
	struct error err = {0};

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	describe_shape(&theirs, &dump, path, 77, "theirs", 5);
	describe_shape(&ours, &dump, path, 1, "primary", MANY_PIECES);
	assert_int_equal(upload(f, path, 5, NULL), 0);
	put_manifest_of(f, &theirs);
	assert_int_equal(artifact_publish(&f->repo, &ours, NULL, &err), -EEXIST);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "second keepfs"));
	assert_int_equal(artifact_discard(&f->repo, path, NULL), 0);
	assert_true(is_there(f, FIRST));
	assert_true(is_there(f, "manifests/" FIRST ".json"));
	assert_false(is_there(f, "manifests/" FIRST ".extents"));
	assert_nothing_pending(f);
}

/* Two hosts with the same history make the same names, and the same numbers of runs. */
static void what_was_not_published_yet_is_anothers(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest theirs = {0};
	_cleanup(free) char *path = NULL;
	struct error err = {0};

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	assert_int_equal(artifact_check_free(&f->repo, path, NULL, &err), 0);
	describe_shape(&theirs, &dump, path, 1, "theirs", 5);
	put_text(f, path, "12345");
	put_manifest_of(f, &theirs);
	assert_int_equal(artifact_check_free(&f->repo, path, NULL, &err), -EEXIST);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "second keepfs"));
	assert_int_equal(artifact_discard(&f->repo, path, NULL), 0);
	assert_true(is_there(f, FIRST));
	assert_true(is_there(f, "manifests/" FIRST ".json"));
	assert_nothing_pending(f);
}

static void anothers_artifact_is_not_adopted(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery = {0};
	_cleanup(manifest) struct manifest theirs = {0};
	_cleanup(free) char *path = NULL;
	struct catalog_entry entry;

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	describe_shape(&theirs, &dump, path, 77, "theirs", 5);
	put_text(f, path, "12345");
	put_manifest_of(f, &theirs);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.adopted, 0);
	assert_int_equal(catalog_entry_by_ino(f->catalog, ino_of_artifact(path), &entry), -ENOENT);
	assert_true(is_there(f, FIRST));
	assert_true(is_there(f, "manifests/" FIRST ".json"));
	assert_nothing_pending(f);
}

/* Two hosts in the same second, with another format: the stem is one, the names are not. */
static void anothers_stem_is_left_alone(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest theirs = {0};
	_cleanup(free) char *path = NULL, *ours = NULL;
	struct artifact_recovery recovery = {0};
	struct error err = {0};

	describe_shape(&theirs, &directory_of_3, "backups/full/20261120T020000Z", 1, "theirs", 5);
	assert_int_equal(upload_all(f, &theirs, NULL), 0);
	put_text(f, "backups/full/20261120T020000Z.9", "theirs, too");
	put_manifest_of(f, &theirs);
	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	put_text(f, path, "12345");
	assert_int_equal(artifact_check_free(&f->repo, path, NULL, &err), -EEXIST);
	assert_non_null(strstr(err.message, "20261120T020000Z.json exists already"));
	assert_int_equal(artifact_discard(&f->repo, path, NULL), 0);
	assert_int_equal(count_below(f, "backups/full/20261120T020000Z"), 5);
	free(take_ptr(&path));

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.discarded, 1);
	assert_int_equal(count_below(f, "backups/full/20261120T020000Z"), 5);

	/* Published in spite of it: what is removed is what is surely ours. */
	assert_int_equal(make(f, "backups/full", 2, "primary", 5, &ours), 0);
	assert_string_equal(ours, FIRST);
	assert_int_equal(make(f, "backups/full", 3, "primary", 5, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(ours), NULL, &err), 0);
	assert_false(is_there(f, ours));
	assert_false(is_there(f, "manifests/" FIRST ".json"));
	assert_int_equal(count_below(f, "backups/full/20261120T020000Z"), 4);
	assert_true(is_there(f, "manifests/backups/full/20261120T020000Z.json"));
	assert_nothing_pending(f);
}

/* An object, and an upload that would replace it. */
static void leave(struct fixture *f, const char *key)
{
	struct store_upload *up = NULL;

	put_text(f, key, "left");
	assert_int_equal(store_upload_begin(f->store, NULL, key, &up, NULL), 0);
	store_upload_free(up);
}

static void discarding_clears_what_is_ours_only(void **state)
{
	struct fixture *f = *state;
	static const char *const ours[] = {FIRST, "backups/full/20261120T020000Z.tables.csv"},
	                         *const others[] = {SECOND, "backups/full/20261120T020000Z/toc.dat",
	                                            "backups/full/20261120T020000Z-2.tables.csv",
	                                            "backups/full/20261120T020000Z-2/toc.dat",
	                                            "backups/full/20261120T020000Zx"};
	_cleanup(free) char *path = NULL;
	struct store_upload_info *uploads = NULL;
	size_t count = 0;

	assert_int_equal(artifact_discard(&f->repo, FIRST, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		leave(f, ours[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		leave(f, others[i]);
	assert_int_equal(artifact_discard(&f->repo, FIRST, NULL), 0);
	assert_true(is_there(f, FIRST)); /* without an intent it is not ours */
	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	assert_int_equal(artifact_discard(&f->repo, path, NULL), 0);
	assert_int_equal(store_upload_list(f->store, NULL, "", &uploads, &count, NULL), 0);
	assert_int_equal(count, ARRAY_SIZE(others));
	store_upload_list_free(uploads, count);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		assert_false(is_there(f, ours[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_true(is_there(f, others[i]));
}

/* The subdirectory "acme" is archived, and a database of the same job's name had backups in a directory "acme" once. */
static void a_directory_of_the_same_name_is_left_alone(void **state)
{
	static const char other[] = "backups/media/acme/20261120T020000Z.dump";
	const struct artifact_name
	        archive = {.directory = "backups/media", .stem = "acme", .suffix = ".tar.gz", .at_us = AT_US},
	        directory = {.directory = "backups/media", .stem = "acme", .suffix = "", .at_us = AT_US};
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *plain = NULL, *key = manifest_key(other);
	struct error err = {0};

	leave(f, other);
	assert_int_equal(artifact_reserve(&f->repo, &archive, 1, &path, NULL), 0);
	leave(f, path);
	assert_int_equal(artifact_discard(&f->repo, path, NULL), 0);
	assert_false(is_there(f, path));
	assert_true(is_there(f, other));
	/* One that is a directory itself would own all of it, but for the manifest that is somebody else's. */
	put_text(f, key, "{}");
	assert_int_equal(artifact_reserve(&f->repo, &directory, 2, &plain, NULL), 0);
	assert_int_equal(artifact_discard(&f->repo, plain, &err), -EEXIST);
	assert_non_null(strstr(err.message, key));
	assert_true(is_there(f, other));
}

static void a_run_that_was_interrupted_failed(void **state)
{
	struct fixture *f = *state;
	struct catalog_target targets[3] = {{.label = "a", .state = RUN_RUNNING},
	                                    {.label = "b", .state = RUN_PENDING}};
	struct artifact_recovery recovery = {0};
	struct catalog_run run;
	int64_t id;

	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(catalog_set_target(f->catalog, id, &targets[i], NULL), 0);
	assert_int_equal(make(f, "backups/full", id, "a", 5, NULL), 0);
	restart(f);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.runs_failed, 1);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_true(str_starts(run.error, "interrupted"));
	assert_int_equal(catalog_run_targets(f->catalog, id, 0, targets, 3), 2);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_string_equal(targets[0].path, FIRST);
	assert_int_equal(targets[1].state, RUN_FAILED);
	assert_true(str_starts(targets[1].error, "interrupted"));
}

static void a_manifest_without_its_object_is_not_adopted(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery = {0};
	_cleanup(free) char *path = NULL;
	_cleanup(manifest) struct manifest m = {0};

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	describe_shape(&m, &dump, path, 1, "primary", 5);
	put_text(f, path, "1234");
	put_manifest_of(f, &m);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.discarded, 1);
	assert_false(whole_or_gone(f, path));
	assert_nothing_pending(f);
}

/* Rebuild. */

static void see_sum(void *arg, const char *line)
{
	str_appendf(arg, "  sum %s\n", line);
}

static void see_file(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	str_appendf(arg, "  file %s %" PRIu64 " %s\n", name, size_bytes, sha256);
}

/* The further files that a directory shows. */
static void write_files(struct fixture *f, uint64_t ino, struct str *out)
{
	struct catalog_entry entry;

	for (int64_t after = -1; catalog_entries(f->catalog, ino, CATALOG_FILE, after, &entry, 1) > 0;
	     after = entry.sequence) {
		_cleanup(free) char *path = catalog_path(f->catalog, entry.ino);
		_cleanup(manifest_object) struct manifest_object o = {0};

		assert_int_equal(catalog_object(f->catalog, entry.ino, &o), 0);
		str_appendf(out,
		            "  %" PRIu64 " of %" PRIu64 ": %" PRId64 " %s %" PRIu64 " %" PRId64 " %s %zu\n",
		            entry.ino, entry.artifact_ino, entry.sequence, path, entry.size_bytes,
		            entry.mtime_us, o.key, o.extents.count);
	}
}

static void write_file(struct fixture *f, const struct catalog_entry *entry, struct str *out)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(manifest_object) struct manifest_object o = {0};

	assert_int_equal(catalog_manifest(f->catalog, entry->ino, &m), 0);
	assert_int_equal(catalog_object(f->catalog, entry->ino, &o), entry->is_directory ? -ENOENT : 0);
	str_appendf(out, "  %s %zu\n", o.key ? o.key : "none", o.extents.count);
	assert_int_equal(catalog_files(f->catalog, entry->ino, see_file, out), 0);
	str_appendf(out, "  %" PRIu64 " %" PRId64 " %s %" PRIu64 " %" PRId64 "\n", entry->ino,
	            entry->sequence, entry->name, entry->size_bytes, entry->mtime_us);
	manifest_encode(&m, out);
	if (entry->is_directory)
		write_files(f, entry->ino, out);
}

static void write_directory(struct fixture *f, uint64_t ino, struct str *out)
{
	struct catalog_entry entry;
	_cleanup(free) char *path = catalog_path(f->catalog, ino);
	int64_t after = -1;

	assert_int_equal(catalog_entry_by_ino(f->catalog, ino, &entry), 0);
	str_appendf(out, "%s: %" PRIu64 " %" PRId64 " %u %u %" PRIu64 "\n", path, ino, entry.mtime_us,
	            entry.subdirectories, entry.files, entry.sums_bytes);
	assert_int_equal(catalog_sums(f->catalog, ino, CATALOG_SUMS_PLAIN, see_sum, out), 0);
	for (; catalog_entries(f->catalog, ino, CATALOG_ARTIFACT, after, &entry, 1) > 0;
	     after = entry.sequence)
		write_file(f, &entry, out);
	write_files(f, ino, out);
	for (after = -1; catalog_entries(f->catalog, ino, CATALOG_DIRECTORY, after, &entry, 1) > 0;
	     after = entry.sequence)
		write_directory(f, entry.ino, out);
}

/* All that users see of the backups, and the runs that made them. */
static char *everything(struct fixture *f)
{
	_cleanup(str) struct str out = {0};
	struct catalog_totals totals;
	struct catalog_run run;

	write_directory(f, 0, &out);
	assert_int_equal(catalog_totals(f->catalog, NULL, &totals), 0);
	str_appendf(&out, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 "\n", totals.artifacts,
	            totals.stored_bytes, totals.oldest_at_us, totals.newest_at_us);
	for (int64_t before = 0; catalog_runs(f->catalog, NULL, before, &run, 1) > 0; before = run.id)
		str_appendf(&out, "run %" PRId64 " %s %s %s %" PRIu64 " %" PRIu64 " %s\n", run.id, run.job,
		            run.kind, run.triggered_by, run.size_bytes, run.targets, run.sha256);
	return str_take(&out);
}

#define RUNS 12

static void make_many(struct fixture *f)
{
	for (int i = 0; i < RUNS; i++) {
		int64_t id;

		assert_int_equal(catalog_add_run(f->catalog, run_of("full", "uid 0 (bash)"), &id, NULL), 0);
		assert_int_equal(make(f, "backups/acme=20x", id, "acme x", 3 + (uint32_t)i, NULL), 0);
		if (i % 3 == 0)
			assert_int_equal(make(f, "backups/full/deep", id, "b", i ? 7 : MANY_PIECES, NULL), 0);
		assert_int_equal(make_shape(f, shapes[i % 3], "backups/shapes", id, "c",
		                            i == 2 ? MANY_PIECES : 7, NULL),
		                 0);
		assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	}
}

static void lose_catalog(struct fixture *f)
{
	catalog_free(take_ptr(&f->catalog));
	remove_tree(f->state_dir);
	assert_int_equal(catalog_open(f->state_dir, &f->catalog, NULL), 0);
	set_repository(f);
}

struct heard {
	struct str problems;
	uint64_t progress;
};

static void hear_problem(void *arg, const char *text)
{
	str_appendf(&((struct heard *)arg)->problems, "%s\n", text);
}

static void hear_progress(void *arg, uint64_t done)
{
	((struct heard *)arg)->progress = done;
}

static int rebuild(struct fixture *f, struct artifact_rebuild *io, struct heard *heard, struct cancel *cancel,
                   struct error *err)
{
	*io = (struct artifact_rebuild){
	        .threads = 3, .progress = hear_progress, .problem = hear_problem, .arg = heard};
	return artifact_rebuild(&f->repo, io, cancel, err);
}

static void a_lost_catalog_comes_back_as_it_was(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *before = NULL, *after = NULL, *again = NULL;
	struct heard heard = {0};
	struct artifact_rebuild io;

	make_many(f);
	before = everything(f);
	lose_catalog(f);
	assert_int_equal(rebuild(f, &io, &heard, NULL, NULL), 0);
	after = everything(f);
	assert_string_equal(before, after);
	assert_int_equal(io.artifacts, 2 * RUNS + 4);
	assert_int_equal(heard.progress, io.artifacts);
	assert_int_equal(io.problems, 0);
	assert_int_equal(rebuild(f, &io, &heard, NULL, NULL), 0);
	again = everything(f);
	assert_string_equal(before, again);
}

static void what_is_wrong_is_told_and_left(void **state)
{
	static const char *const expected[] = {
	        "backups/acme=20x/20261120T020000Z.dump: there is a manifest, but the object is missing",
	        "backups/acme=20x/20261120T020000Z-2.dump: the object has 1 bytes, its manifest says 4",
	        "manifests/backups/acme=20x/20261120T020000Z-3.dump.json: not valid JSON",
	        "manifests/backups/acme=20x/20261120T020000Z-4.dump.json: it is the manifest of another",
	        "backups/acme=20x/20261120T020000Z-5.dump: an object without a manifest",
	        "manifests/backups/full/deep/20261120T020000Z.dump.extents: the extent table's SHA-256",
	        "manifests/backups/full/zzz.extents: it belongs to a manifest, which is not there",
	        "manifests/backups/notes.txt: not the key",
	        "backups/zzz.txt: an object without a manifest",
	};
	struct fixture *f = *state;
	struct heard heard = {0};
	struct artifact_rebuild io;
	_cleanup(manifest) struct manifest other = {0};

	make_many(f);
	assert_int_equal(store_remove(f->store, NULL, "backups/acme=20x/20261120T020000Z.dump", NULL), 0);
	put_text(f, "backups/acme=20x/20261120T020000Z-2.dump", "x");
	put_text(f, "manifests/backups/acme=20x/20261120T020000Z-3.dump.json", "{");
	describe_shape(&other, &dump, FIRST, 1, "x", 6);
	put_manifest_of(f, &other);
	{
		_cleanup(free) char *text = NULL;
		size_t len;

		assert_int_equal(
		        store_get_all(f->store, NULL, "manifests/" FIRST ".json", 4096, &text, &len, NULL),
		        0);
		put_text(f, "manifests/backups/acme=20x/20261120T020000Z-4.dump.json", text);
		assert_int_equal(store_remove(f->store, NULL, "manifests/" FIRST ".json", NULL), 0);
	}
	assert_int_equal(
	        store_remove(f->store, NULL, "manifests/backups/acme=20x/20261120T020000Z-5.dump.json", NULL),
	        0);
	put_text(f, "manifests/backups/full/deep/20261120T020000Z.dump.extents", "x");
	put_text(f, "manifests/backups/full/zzz.extents", "x");
	put_text(f, "manifests/backups/notes.txt", "x");
	put_text(f, "backups/zzz.txt", "x");
	assert_int_equal(rebuild(f, &io, &heard, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		if (!strstr(str_text(&heard.problems), expected[i]))
			fail_msg("not told: %s\nbut: %s", expected[i], str_text(&heard.problems));
	assert_int_equal(io.problems, ARRAY_SIZE(expected));
	assert_int_equal(io.artifacts, 2 * RUNS + 4 - 6);
	assert_true(is_there(f, "backups/zzz.txt"));
	assert_true(is_there(f, "manifests/backups/full/zzz.extents"));
	assert_true(is_there(f, "manifests/backups/acme=20x/20261120T020000Z-3.dump.json"));
	str_finish(&heard.problems);
}

static void what_is_wrong_with_files_is_told(void **state)
{
	static const char *const expected[] = {
	        "backups/full/20261120T020000Z.8: there is a manifest, but the object is missing",
	        "backups/full/20261120T020000Z.unknown: an object without a manifest",
	        "backups/full/20261120T020000Z-2.9: the object has 1 bytes, its manifest says 2",
	        "backups/full/20261120T020000Z-3/1.dat: there is a manifest, but the object is missing",
	        "backups/full/20261120T020000Z-4/3.dat: the object has 1 bytes, its manifest says 5",
	        "backups/full/20261120T020000Z-5/0: an object without a manifest",
	        "backups/full/20261120T020000Z-5/9/x: an object without a manifest",
	        "backups/full/20261120T020000Z-5.x: an object without a manifest",
	        "backups/full/20261120T020000Z-6/1.dat: an object without a manifest",
	        "manifests/backups/full/20261120T020000Z-7.json: not valid JSON",
	        "backups/full/20261120T020000Z-8/1.dat: there is a manifest, but the object is missing",
	};
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct heard heard = {0};
	struct artifact_rebuild io;

	for (int i = 0; i < 2; i++)
		assert_int_equal(make_shape(f, &with_files, "backups/full", i + 1, "a", 5, NULL), 0);
	for (int i = 2; i < 7; i++)
		assert_int_equal(make_shape(f, &directory_of_3, "backups/full", i + 1, "a", 5, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, "backups/full/20261120T020000Z.8", NULL), 0);
	put_text(f, "backups/full/20261120T020000Z.unknown", "x");
	put_text(f, "backups/full/20261120T020000Z-2.9", "x");
	assert_int_equal(store_remove(f->store, NULL, "backups/full/20261120T020000Z-3/1.dat", NULL), 0);
	put_text(f, "backups/full/20261120T020000Z-4/3.dat", "x");
	put_text(f, "backups/full/20261120T020000Z-5/0", "x");
	put_text(f, "backups/full/20261120T020000Z-5/9/x", "x");
	put_text(f, "backups/full/20261120T020000Z-5.x", "x");
	assert_int_equal(store_remove(f->store, NULL, "manifests/backups/full/20261120T020000Z-6.json", NULL),
	                 0);
	put_text(f, "manifests/backups/full/20261120T020000Z-7.json", "{");
	describe_shape(&m, &directory_of_3, "backups/full/20261120T020000Z-8", 9, "a", 5);
	for (int i = 0; i < 10000; i++) { /* a manifest of more than 1 MiB */
		char name[16];

		snprintf(name, sizeof(name), "x%d", i);
		add_file(&m, name, 1);
		m.size_bytes++;
	}
	manifest_seal(&m);
	put_manifest_of(f, &m);
	assert_int_equal(rebuild(f, &io, &heard, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		if (!strstr(str_text(&heard.problems), expected[i]))
			fail_msg("not told: %s\nbut: %s", expected[i], str_text(&heard.problems));
	/* -6 has three objects. A dump is listed without the files beside it, a directory only as a whole. */
	assert_int_equal(io.problems, ARRAY_SIZE(expected) + 2);
	assert_int_equal(io.artifacts, 3);
	str_finish(&heard.problems);
}

/* Keys that are not in the order of the manifests' keys: every object is found all the same. */
static void stems_that_are_not_alone_are_told(void **state)
{
	static const char *const paths[] = {
	        "backups/full/20261120T020000Z.dump",
	        "backups/full/20261120T020000Z.sql.gz",
	        "backups/full/20261120T020000Z",
	        "backups/full/20261120T020000Z/20261120T020000Z.dump",
	        "backups/full/20261120T020000Z/20261120T020000Z-2",
	};
	static const struct shape *const kinds[] = {&with_files, &dump, &directory_of_3, &with_files,
	                                            &directory_of_3};
	struct fixture *f = *state;
	struct heard heard = {0};
	struct artifact_rebuild io;
	_cleanup(free) char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup(manifest) struct manifest m = {0};

		describe_shape(&m, kinds[i], paths[i], (int64_t)i + 1, "a", 5);
		assert_int_equal(upload_all(f, &m, NULL), 0);
		put_manifest_of(f, &m);
	}
	assert_int_equal(rebuild(f, &io, &heard, NULL, NULL), 0);
	text = str_take(&heard.problems);
	assert_int_equal(io.artifacts, 3);
	/* The places that were taken, and of no artifact that it was not there. */
	assert_null(strstr(text, "missing"));
	assert_null(strstr(text, FIRST ": an object"));
	assert_null(strstr(text, ".sql.gz: an object"));
	assert_non_null(strstr(text, "backups/full/20261120T020000Z.sql.gz has the place"));
	assert_non_null(strstr(text, "backups/full/20261120T020000Z has the place"));
}

static void a_store_that_dies_changes_nothing(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *before = NULL;
	struct heard heard = {0};
	struct artifact_rebuild io;
	unsigned n = 1;

	make_many(f);
	/* Without one, so that a rebuild would change something. */
	assert_int_equal(store_remove(f->store, NULL, "backups/acme=20x/20261120T020000Z.dump", NULL), 0);
	before = everything(f);
	for (;; n += 3) {
		_cleanup(free) char *after = NULL;
		struct error err = {0};
		int r;

		set_fate(f, n, false);
		r = rebuild(f, &io, &heard, NULL, &err);
		if (r == 0)
			break;
		assert_int_equal(r, -EIO);
		assert_string_equal(err.message, "the store is dead");
		set_fate(f, 0, false);
		after = everything(f);
		assert_string_equal(before, after);
	}
	assert_true(n > RUNS);
	str_finish(&heard.problems);
}

static void a_cancelled_rebuild_changes_nothing(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *before = NULL, *after = NULL;
	struct heard heard = {0};
	struct artifact_rebuild io;
	struct cancel cancel;

	make_many(f);
	assert_int_equal(store_remove(f->store, NULL, "backups/acme=20x/20261120T020000Z.dump", NULL), 0);
	before = everything(f);
	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(rebuild(f, &io, &heard, &cancel, NULL), -ECANCELED);
	cancel_finish(&cancel);
	after = everything(f);
	assert_string_equal(before, after);
}

static void a_deletion_that_has_begun_stays_hidden(void **state)
{
	struct fixture *f = *state;
	struct heard heard = {0};
	struct artifact_rebuild io;
	struct artifact_recovery recovery;

	assert_int_equal(make(f, "backups/full", 1, "primary", 5, NULL), 0);
	assert_int_equal(make(f, "backups/full", 2, "primary", 5, NULL), 0);
	set_fate(f, 2, false);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(FIRST), NULL, NULL), -EIO);
	set_fate(f, 0, false);
	assert_int_equal(rebuild(f, &io, &heard, NULL, NULL), 0);
	assert_int_equal(io.artifacts, 1);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 1);
	assert_false(whole_or_gone(f, FIRST));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void wait_for_nothing_pending(struct fixture *f)
{
	unsigned pending = 1;

	while (pending > 0) {
		pending = 0;
		assert_int_equal(catalog_intents(f->catalog, count_intent, &pending), 0);
		assert_int_equal(catalog_tombs(f->catalog, INT64_MAX, count_tomb, &pending), 0);
		sched_yield();
	}
}

static void what_a_store_did_not_answer_for_is_tried_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *third = NULL;
	struct artifact_tidier *tidier;
	struct catalog_run run;
	int64_t id;

	assert_int_equal(make(f, "backups/full", 1, "primary", 5, &first), 0);
	assert_int_equal(make(f, "backups/full", 2, "primary", 5, NULL), 0);
	assert_int_equal(artifact_tidier_start(&f->repo, 1, 0, &tidier, NULL), 0);
	set_fate(f, 2, false);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, NULL), -EIO);
	set_fate(f, 0, false);
	wait_for_nothing_pending(f);
	assert_false(whole_or_gone(f, first));

	/* The rest of a run that failed; one that lives is left alone. */
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "uid 0 (bash)"), &id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	assert_int_equal(reserve(f, "backups/full", ".dump", id, AT_US + 9 * US_PER_S, &third, NULL), 0);
	assert_int_equal(put_zeros(f, third, 5, NULL), 0);
	set_fate(f, 1, false);
	assert_int_equal(artifact_discard(&f->repo, third, NULL), -EIO);
	set_fate(f, 0, false);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_true(is_there(f, third));
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "no", NULL), 0);
	artifact_run_ended(&f->repo);
	wait_for_nothing_pending(f);
	assert_false(is_there(f, third));
	assert_null(artifact_tidier_free(tidier));
	assert_nothing_pending(f);
}

struct heard_events {
	unsigned listed, removed;
	char path[128], beside[128];
	size_t cache_ids;
};

static void hear_listed(void *arg, const struct manifest *m)
{
	struct heard_events *heard = arg;

	heard->listed++;
	str_copy(heard->path, sizeof(heard->path), m->path);
}

static void hear_removed(void *arg, const struct artifact_removed *what)
{
	struct heard_events *heard = arg;

	heard->removed++;
	str_copy(heard->path, sizeof(heard->path), what->path);
	str_copy(heard->beside, sizeof(heard->beside), what->beside[0] ? what->beside[0] : "");
	heard->cache_ids = what->cache_id_count;
}

static void who_listens_is_told(void **state)
{
	struct fixture *f = *state;
	struct heard_events heard = {0}, other = {0};
	struct artifact_events events = {.listed = hear_listed, .removed = hear_removed, .arg = &heard};
	struct artifact_events others = {.removed = hear_removed, .arg = &other};
	_cleanup(free) char *first = NULL, *second = NULL;

	repository_listen(&f->repo, &events);
	repository_listen(&f->repo, &others);
	assert_int_equal(make_shape(f, &with_files, "backups/full", 1, "a", 5, &first), 0);
	assert_int_equal(heard.listed, 1);
	assert_string_equal(heard.path, first);
	assert_int_equal(make_shape(f, &directory_of_3, "backups/full", 2, "a", 5, &second), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, NULL), 0);
	assert_int_equal(heard.removed, 1);
	assert_int_equal(other.removed, 1);
	assert_string_equal(other.path, first);
	assert_string_equal(heard.beside, "20261120T020000Z.9");
	assert_int_equal(heard.cache_ids, 3);
	/* What is refused is no news. */
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(second), NULL, NULL), -EPERM);
	assert_int_equal(heard.removed, 1);
}

/* An older keepfs after a newer one: it does not understand what that wrote, and must not delete it. */
static void what_a_newer_keepfs_wrote_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery = {0};
	_cleanup(free) char *path = NULL, *key = NULL;

	assert_int_equal(reserve(f, "backups/full", ".dump", 1, AT_US, &path, NULL), 0);
	assert_int_equal(put_zeros(f, path, 5, NULL), 0);
	key = manifest_key(path);
	put_text(f, key, "{\"version\": 3, \"path\": \"backups/full/20261120T020000Z.dump\"}");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.left, 1);
	assert_int_equal(recovery.discarded, 0);
	assert_true(is_there(f, path));
	assert_true(is_there(f, key));
}

static char *unknown_kind(const struct manifest *m)
{
	return strcmp(m->kind, "snapshot") == 0 ? mem_strdup("the kind \"snapshot\"") : NULL;
}

static void hear_notice(void *arg, const char *text)
{
	str_appendf(&((struct heard *)arg)->problems, "note: %s\n", text);
}

/* A stored example of a backup that a keepfs makes which is years younger: listed, readable as far as it is known, and
 * named. */
static void a_later_kind_is_listed_and_named(void **state)
{
	struct fixture *f = *state;
	struct heard heard = {0};
	struct artifact_rebuild io = {.threads = 2,
	                              .problem = hear_problem,
	                              .notice = hear_notice,
	                              .unknown = unknown_kind,
	                              .arg = &heard};
	_cleanup(str) struct str text = {0};
	_cleanup(manifest_object) struct manifest_object o = {0};
	struct catalog_entry entry;

	read_text(TEST_DATA "/manifest-v2-future.json", &text);
	put_text(f, "manifests/backups/main/20270301T020000Z.index", "12345678");
	put_text(f, "manifests/backups/main/20270301T020000Z.json", str_text(&text));
	assert_int_equal(put_zeros(f, "backups/main/20270301T020000Z/backup_label.age", 239, NULL), 0);
	assert_int_equal(put_zeros(f, "shared/main/0000000000000012.tar.zst", 700, NULL), 0);
	assert_int_equal(artifact_rebuild(&f->repo, &io, NULL, NULL), 0);
	assert_int_equal(io.problems, 0);
	assert_int_equal(io.artifacts, 1);
	assert_string_equal(
	        str_text(&heard.problems),
	        "note: backups/main/20270301T020000Z is listed; keepfs 3.1.4 has written it, and this one does "
	        "not know the kind \"snapshot\", the fields previous, witness, objects[].shared, files[].mode, "
	        "files[].pieces\n");
	assert_int_equal(
	        catalog_entry_by_ino(
	                f->catalog, ino_of_artifact("backups/main/20270301T020000Z/base/16384/2619"), &entry),
	        0);
	assert_int_equal(entry.size_bytes, 16384);
	assert_int_equal(
	        catalog_object(f->catalog, ino_of_artifact("backups/main/20270301T020000Z/backup_label"), &o),
	        0);
	assert_string_equal(o.cipher, "age");
	assert_string_equal(o.key, "backups/main/20270301T020000Z/backup_label.age");
	str_finish(&heard.problems);
}

/* More keys than a page holds come between the beginning of the page and the key that is asked for. */
static void a_page_that_ends_too_early_is_no_answer(void **state)
{
	struct fixture *f = *state;
	struct lookup lookup = {.store = f->store, .prefix = "backups/"};
	const struct store_object *found;

	for (int i = 0; i < 1001; i++) {
		_cleanup(free) char *key = mem_printf("backups/a%04d", i);

		assert_int_equal(put_zeros(f, key, 1, NULL), 0);
	}
	assert_int_equal(put_zeros(f, "backups/b", 7, NULL), 0);
	assert_int_equal(lookup_find(&lookup, "backups/b", &found, NULL), 0);
	assert_int_equal(found->bytes, 7);
	assert_int_equal(lookup_find(&lookup, "backups/c", &found, NULL), -ENOENT);
	assert_int_equal(lookup_find(&lookup, "backups/a0999", &found, NULL), 0);
	lookup_finish(&lookup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(an_artifact_is_made),
	        TEST(a_page_that_ends_too_early_is_no_answer),
	        TEST(a_directory_of_the_same_name_is_left_alone),
	        TEST(artifacts_of_files_are_made),
	        TEST(names_are_reserved_once),
	        cmocka_unit_test(making_may_end_at_any_call),
	        cmocka_unit_test(removing_may_end_at_any_call),
	        cmocka_unit_test(recovering_may_end_at_any_call),
	        TEST(what_the_manifest_names_decides),
	        TEST(many_files_are_removed),
	        TEST(the_last_one_is_not_removed),
	        TEST(a_lost_answer_is_no_conflict),
	        TEST(anothers_manifest_is_left_alone),
	        TEST(what_was_not_published_yet_is_anothers),
	        TEST(anothers_artifact_is_not_adopted),
	        TEST(anothers_stem_is_left_alone),
	        TEST(discarding_clears_what_is_ours_only),
	        TEST(a_run_that_was_interrupted_failed),
	        TEST(a_manifest_without_its_object_is_not_adopted),
	        TEST(a_lost_catalog_comes_back_as_it_was),
	        TEST(what_a_store_did_not_answer_for_is_tried_again),
	        TEST(who_listens_is_told),
	        TEST(what_a_newer_keepfs_wrote_is_left_alone),
	        TEST(a_later_kind_is_listed_and_named),
	        TEST(what_is_wrong_is_told_and_left),
	        TEST(what_is_wrong_with_files_is_told),
	        TEST(stems_that_are_not_alone_are_told),
	        TEST(a_store_that_dies_changes_nothing),
	        TEST(a_cancelled_rebuild_changes_nothing),
	        TEST(a_deletion_that_has_begun_stays_hidden),
	};

	log_set_level(LOG_LEVEL_ERROR); /* what a dead store leaves is expected here */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
