/*
 * The list of artifacts from the bucket alone.
 *
 * Two listings are walked side by side, manifests and objects, both in the order of their keys, so that no
 * request is made to learn that an object is there. Manifests are fetched by several threads, and listed in
 * the order of the keys by the thread that walks; at most `limit` of them are on their way or in memory.
 *
 * Keys that are prefixes of others may come in another order with ".json" behind them, and a bucket may
 * change while it is walked. So what seems to be missing is asked for by name before it is reported. Nothing
 * is ever deleted here.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#define MANIFESTS  "manifests/backups/"
#define OBJECTS    "backups/"
#define PER_THREAD 4 /* manifests on their way or waiting, for each thread */

struct rebuild;

struct slot {
	struct rebuild *rebuild;
	char *path;
	uint64_t object_bytes;
	struct manifest manifest;
	struct error error;
	int result;
	bool done; /* the rebuild's lock */
};

struct rebuild {
	struct store *store;
	struct catalog *catalog;
	struct artifact_rebuild *io;
	struct store_call call;
	struct listing manifests, objects;
	char *lone_extents; /* path of a table whose manifest has not come yet */
	struct workers *workers;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot *slots; /* a ring: the oldest of `busy` is at `first` */
	size_t limit, first, busy;
};

static void problem(struct rebuild *rb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void problem(struct rebuild *rb, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	rb->io->problems++;
	if (rb->io->problem)
		rb->io->problem(rb->io->arg, str_text(&text));
}

static void fetch(void *arg)
{
	struct slot *slot = arg;
	struct rebuild *rb = slot->rebuild;

	slot->result = artifact_fetch(rb->store, &rb->call, slot->path, &slot->manifest, &slot->error);
	pthread_mutex_lock(&rb->lock);
	slot->done = true;
	pthread_cond_broadcast(&rb->changed);
	pthread_mutex_unlock(&rb->lock);
}

/* List what a slot holds. Only the store's and the catalog's own failures are failures. */
static int list_slot(struct rebuild *rb, struct slot *slot, struct error *err)
{
	const struct manifest *m = &slot->manifest;
	int r = slot->result;

	if (r == ARTIFACT_UNUSABLE) {
		problem(rb, "%s", slot->error.message);
		return 0;
	}
	if (r == -ENOENT) /* removed since it was listed */
		return 0;
	if (r < 0) {
		if (err)
			*err = slot->error;
		return r;
	}
	if (m->stored_bytes != slot->object_bytes) {
		problem(rb, "%s: the object has %" PRIu64 " bytes, its manifest says %" PRIu64, m->path,
		        slot->object_bytes, m->stored_bytes);
		return 0;
	}
	r = catalog_add_artifact(rb->catalog, m, &slot->error);
	if (r == -EEXIST) {
		problem(rb, "%s", slot->error.message);
		return 0;
	}
	if (r < 0 && err)
		*err = slot->error;
	if (r == 0) {
		rb->io->artifacts++;
		rb->io->bytes += m->stored_bytes;
	}
	return r < 0 ? r : 0;
}

static void free_slot(struct slot *slot)
{
	free(slot->path);
	manifest_finish(&slot->manifest);
	*slot = (struct slot){0};
}

/* Wait for the oldest fetch, list it, free its slot. */
static int finish_oldest(struct rebuild *rb, struct error *err)
{
	struct slot *slot = &rb->slots[rb->first];
	int r;

	pthread_mutex_lock(&rb->lock);
	while (!slot->done)
		pthread_cond_wait(&rb->changed, &rb->lock);
	pthread_mutex_unlock(&rb->lock);
	r = list_slot(rb, slot, err);
	free_slot(slot);
	rb->first = (rb->first + 1) % rb->limit;
	rb->busy--;
	if (r == 0 && rb->io->progress)
		rb->io->progress(rb->io->arg, rb->io->artifacts);
	return r;
}

static int submit(struct rebuild *rb, const char *path, uint64_t object_bytes, struct error *err)
{
	struct slot *slot;
	int r = rb->busy == rb->limit ? finish_oldest(rb, err) : 0;

	if (r < 0)
		return r;
	slot = &rb->slots[(rb->first + rb->busy++) % rb->limit];
	slot->rebuild = rb;
	slot->path = mem_strdup(path);
	slot->object_bytes = object_bytes;
	workers_add(rb->workers, fetch, slot);
	return 0;
}

static void tell_lone_extents(struct rebuild *rb)
{
	if (rb->lone_extents)
		problem(rb, "%s: an extent table without a manifest", rb->lone_extents);
	mem_replace_string(&rb->lone_extents, NULL);
}

/* What stands among the manifests and is none: an extent table (its manifest comes next), or something
 * foreign. */
static void skip_other(struct rebuild *rb, const char *key)
{
	tell_lone_extents(rb);
	if (str_ends(key, ".extents"))
		mem_replace_string(&rb->lone_extents, key);
	else
		problem(rb, "%s: not the key of a manifest", key);
}

static int on_missing_object(struct rebuild *rb, const char *path, struct error *err)
{
	uint64_t bytes;
	int r = artifact_stored_bytes(rb->store, &rb->call, path, &bytes, err);

	if (r == 0)
		return submit(rb, path, bytes, err);
	if (r != -ENOENT)
		return r;
	problem(rb, "%s: there is a manifest, but the object is missing", path);
	return 0;
}

static int on_missing_manifest(struct rebuild *rb, const char *path, struct error *err)
{
	_cleanup(free) char *key = manifest_key(path);
	struct store_object object;
	int r = store_key_check(key, NULL) < 0 ? -ENOENT
	                                       : store_head(rb->store, &rb->call, key, &object, err);

	if (r == -ENOENT) {
		problem(rb, "%s: an object without a manifest", path);
		r = 0;
	}
	return r;
}

/* One step of the walk. @manifest and @object are what comes next in each listing, or NULL. */
static int step(struct rebuild *rb, const struct store_object *manifest, const struct store_object *object,
                struct error *err)
{
	_cleanup(free) char *path = manifest ? manifest_path_of_key(manifest->key) : NULL;
	_cleanup(free) char *extents = path ? manifest_extents_key(path) : NULL;
	int order, r;

	if (manifest && !path) {
		skip_other(rb, manifest->key);
		listing_pop(&rb->manifests);
		return 0;
	}
	order = !object ? -1 : !path ? 1 : strcmp(path, object->key);
	if (order > 0) {
		r = on_missing_manifest(rb, object->key, err);
		listing_pop(&rb->objects);
		return r;
	}
	if (str_equal(rb->lone_extents, extents))
		mem_replace_string(&rb->lone_extents, NULL);
	tell_lone_extents(rb);
	r = order < 0 ? on_missing_object(rb, path, err) : submit(rb, path, object->bytes, err);
	listing_pop(&rb->manifests);
	if (order == 0)
		listing_pop(&rb->objects);
	return r;
}

static int walk(struct rebuild *rb, struct error *err)
{
	const struct store_object *manifest, *object;
	int r;

	for (;;) {
		if (cancel_is_set(rb->call.cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "the rebuild was cancelled");
		r = listing_peek(&rb->manifests, &manifest, err);
		if (r == 0)
			r = listing_peek(&rb->objects, &object, err);
		if (r < 0 || (!manifest && !object))
			break;
		r = step(rb, manifest, object, err);
		if (r < 0)
			break;
	}
	while (r == 0 && rb->busy > 0)
		r = finish_oldest(rb, err);
	if (r == 0)
		tell_lone_extents(rb);
	return r;
}

static int start(struct rebuild *rb, struct error *err)
{
	unsigned threads = rb->io->threads ? rb->io->threads : 1;

	rb->limit = (size_t)threads * PER_THREAD;
	rb->slots = mem_array(rb->limit, sizeof(*rb->slots));
	rb->workers = workers_new("rebuild", threads);
	if (!rb->workers)
		return error_set(err, ERROR_INTERNAL, EAGAIN, "no threads for the rebuild could be started");
	return 0;
}

static void finish(struct rebuild *rb)
{
	workers_free(rb->workers); /* what was on its way ends first */
	for (size_t i = 0; i < rb->limit; i++)
		free_slot(&rb->slots[i]);
	free(rb->slots);
	free(rb->lone_extents);
	listing_finish(&rb->manifests);
	listing_finish(&rb->objects);
	pthread_cond_destroy(&rb->changed);
	pthread_mutex_destroy(&rb->lock);
}

static int rebuild_all(struct rebuild *rb, struct error *err)
{
	int r = catalog_begin_rebuild(rb->catalog, err), ended;

	if (r < 0)
		return r;
	r = walk(rb, err);
	ended = catalog_end_rebuild(rb->catalog, r == 0, r == 0 ? err : NULL);
	return r < 0 ? r : ended;
}

int artifact_rebuild(struct store *store, struct catalog *catalog, struct artifact_rebuild *io,
                     struct cancel *cancel, struct error *err)
{
	struct rebuild rb = {
	        .store = store,
	        .catalog = catalog,
	        .io = io,
	        .call = {.cancel = cancel},
	        .lock = PTHREAD_MUTEX_INITIALIZER,
	        .changed = PTHREAD_COND_INITIALIZER,
	};
	int r;

	rb.manifests = (struct listing){.store = store, .call = &rb.call, .prefix = MANIFESTS};
	rb.objects = (struct listing){.store = store, .call = &rb.call, .prefix = OBJECTS};
	io->artifacts = io->bytes = io->problems = 0;
	r = start(&rb, err);
	if (r == 0)
		r = rebuild_all(&rb, err);
	finish(&rb);
	return r;
}
