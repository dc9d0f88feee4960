// SPDX-License-Identifier: Apache-2.0
/*
 * The list of artifacts from the bucket alone.
 *
 * Two listings are walked side by side, manifests and objects, both in the order of their keys, so that no
 * request is made to learn that an object is there. Manifests are fetched by several threads ahead of the
 * walk, at most `limit` of them; the thread that walks lists them in the order of their keys, and moves the
 * objects on to the end of what the manifest names.
 *
 * Both have the same order because the objects of an artifact begin with its stem and '.' or '/', its
 * manifest with its stem and '.', and those of another artifact sort before or behind all of them: names of
 * artifacts go on with '-' or digits, which are not between '.' and '/'. Where two artifacts have one stem,
 * or a directory is named like one, this does not hold, and a bucket may change while it is walked: so what
 * seems to be missing is looked up by name before it is reported: in a page of a listing, which answers for all names
 * that are near, since there may be thousands of foreign objects. Nothing of a backup is ever deleted here.
 */
#include "artifact_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/rewraps.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/codec/name.h>
#include <keepfs/conf.h>

#define PER_THREAD 4 /* manifests on their way or waiting, for each thread */
/* Of their objects together, unless one alone is larger. */
#define AHEAD_BYTES ((uint64_t)16 << 20)

struct rebuild;

struct slot {
	struct rebuild *rebuild;
	char *path;
	uint64_t bytes;                    /* of the manifest's object */
	struct catalog_manifest_mark mark; /* of the same */
	struct manifest manifest;
	struct error error;
	int result;
	bool done; /* the rebuild's lock */
};

struct rebuild {
	struct repository *repo;
	struct store *store; /* that is listed now */
	uint64_t store_id;
	const struct catalog_store *at; /* of a tenant's; NULL: it is the catalog's own */
	uint64_t *others;               /* stores that are listed behind it */
	size_t other_count;
	uint64_t failed_other; /* of these the one at which a rebuild ended; CATALOG_MAIN_STORE: none */
	struct catalog *catalog;
	struct artifact_rebuild *io;
	struct store_call call;
	struct listing manifests, objects;
	struct lookup manifest_names, object_names; /* what is not in its place in these */
	struct marks_lookup marks;
	char *lone; /* key of what lies beside a manifest that has not come yet */
	struct workers *workers;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot *slots; /* a ring: the oldest of `busy` is at `first` */
	size_t limit, first, busy;
	uint64_t busy_bytes;
	int64_t largest_run; /* of all manifests that could be read, listed or not */
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

static void fetch_manifest(void *arg)
{
	struct slot *slot = arg;
	struct rebuild *rb = slot->rebuild;

	slot->result =
	        artifact_fetch(rb->repo, rb->store, &rb->call, slot->path, &slot->manifest, &slot->error);
	if (slot->result == 0)
		sealed_take_facts(rb->repo, rb->store, &rb->call, &slot->manifest);
	pthread_mutex_lock(&rb->lock);
	slot->done = true;
	pthread_cond_broadcast(&rb->changed);
	pthread_mutex_unlock(&rb->lock);
}

/* An object that was not expected here. It may have a manifest that comes elsewhere in the order. */
static int on_unexpected(void *arg, const char *path, struct error *err)
{
	struct rebuild *rb = arg;
	_cleanup(free) char *key = manifest_key(path);
	const struct store_object *manifest;
	int r = store_key_check(key, NULL) < 0 ? -ENOENT
	                                       : lookup_find(&rb->manifest_names, key, &manifest, err);

	if (r == -ENOENT) {
		problem(rb, "%s: an object without a manifest", path);
		r = 0;
	}
	return r;
}

/* Objects before @key (NULL: all): no manifest has come for them. */
static int skip_objects(struct rebuild *rb, const char *key, struct error *err)
{
	const struct store_object *object;
	int r;

	while ((r = listing_peek(&rb->objects, &object, err)) == 0 && object &&
	       (!key || strcmp(object->key, key) < 0)) {
		r = on_unexpected(rb, object->key, err);
		if (r < 0)
			return r;
		listing_pop(&rb->objects);
	}
	return r;
}

/* What a manifest that cannot be used was about is not known. */
static int pass_objects(struct rebuild *rb, const char *prefix, struct error *err)
{
	const struct store_object *object;
	int r;

	while ((r = listing_peek(&rb->objects, &object, err)) == 0 && object &&
	       str_starts(object->key, prefix))
		listing_pop(&rb->objects);
	return r;
}

struct matching {
	struct rebuild *rb;
	const struct manifest *m;
	struct artifact_old_names *names; /* NULL: nobody has asked yet */
	bool has_old;                     /* from before it was rewrapped */
};

static int on_unnamed(void *arg, const char *key, struct error *err)
{
	struct matching *matching = arg;

	if (!matching->names)
		matching->names = artifact_old_names_new(matching->m);
	if (!artifact_is_old_object(matching->names, key))
		return on_unexpected(matching->rb, key, err);
	matching->has_old = true;
	return 0;
}

/* 1 when the backup that @m describes is there; 0 when it is not. */
static int match_objects(struct rebuild *rb, const struct manifest *m, struct error *err)
{
	struct matching matching = {.rb = rb, .m = m};
	struct artifact_match match = {.unknown = on_unnamed, .arg = &matching, .lookup = &rb->object_names};
	int r = artifact_match(&rb->objects, m, &match, err);

	if (r == 0 && match.problem.len > 0)
		problem(rb, "%s", str_text(&match.problem));
	str_finish(&match.problem);
	artifact_old_names_free(matching.names);
	/* The next start removes them, as the catalog that was lost would have. */
	if (r == 0 && !match.broken && matching.has_old)
		r = catalog_begin_rewrap(rb->repo->catalog, ino_of_artifact(m->path), m->path, clock_now_us(),
		                         err);
	return r < 0 ? r : !match.broken;
}

/* A newer keepfs may have written it: it is listed, and what is not known here is named. */
static void tell_unknown(struct rebuild *rb, const struct manifest *m)
{
	_cleanup(free) char *what = rb->io->unknown ? rb->io->unknown(m) : NULL, *text = NULL;

	if ((!what && !m->unknown) || !rb->io->notice)
		return;
	text = mem_printf("%s is listed; keepfs %s has written it, and this one does not know %s%s%s%s",
	                  m->path, m->keepfs_version, what ? what : "", what && m->unknown ? ", " : "",
	                  m->unknown ? "the fields " : "", m->unknown ? m->unknown : "");
	rb->io->notice(rb->io->arg, text);
}

/* The catalog has it in the trash, and the store had a mark that said so: somebody has removed that to have it back. */
static bool is_wanted_back(struct rebuild *rb, const struct manifest *m, const struct artifact_marks *marks)
{
	struct catalog_trashed t;

	return !marks->known.trash && catalog_trash_find(rb->catalog, ino_of_artifact(m->path), &t) == 0 &&
	       t.is_marked;
}

static int add_with_marks(struct rebuild *rb, const struct manifest *m, const struct artifact_marks *marks,
                          struct error *why)
{
	int r = catalog_restore_artifact(rb->catalog, m, &marks->known, why);

	if (r != CATALOG_ENTOMBED || !is_wanted_back(rb, m, marks))
		return r;
	r = catalog_drop_artifact(rb->catalog, ino_of_artifact(m->path), why);
	return r < 0 ? r : catalog_restore_artifact(rb->catalog, m, &marks->known, why);
}

static int list_artifact(struct rebuild *rb, const struct manifest *m, struct error *err)
{
	_cleanup(artifact_marks) struct artifact_marks marks = {0};
	struct error why = {0};
	int r = artifact_marks_read(rb->store, &rb->call, m, clock_now_us(), &rb->marks, &marks, err);

	if (r < 0)
		return r;
	marks.known.store = rb->store_id;
	r = add_with_marks(rb, m, &marks, &why);
	if (r == -EEXIST) {
		problem(rb, "%s", why.message);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	if (r == 0) {
		artifact_marks_clear(rb->store, &rb->call, m->path, &marks);
		rb->io->artifacts++;
		rb->io->bytes += manifest_stored_bytes(m);
		tell_unknown(rb, m);
	}
	return r < 0 ? r : 0;
}

/* List what a slot holds. Only the store's and the catalog's own failures are failures. */
static int list_slot(struct rebuild *rb, struct slot *slot, struct error *err)
{
	_cleanup(free) char *prefix = artifact_prefix(slot->path);
	int r = skip_objects(rb, prefix, err);

	if (r < 0)
		return r;
	if (slot->result == ARTIFACT_UNUSABLE || slot->result == -ENOTSUP)
		problem(rb, "%s", slot->error.message);
	/* -ENOENT: removed since it was listed. */
	if (slot->result == ARTIFACT_UNUSABLE || slot->result == -ENOTSUP || slot->result == -ENOENT)
		return pass_objects(rb, prefix, err);
	if (slot->result < 0) {
		if (err)
			*err = slot->error;
		return slot->result;
	}
	if (rb->at && !artifact_is_credible(rb->repo, rb->at, &slot->manifest)) {
		problem(rb,
		        "%s: it is in the store of a tenant, and says of itself what keepfs would not have made there",
		        slot->path);
		return pass_objects(rb, prefix, err);
	}
	if (slot->manifest.run_id > rb->largest_run)
		rb->largest_run = slot->manifest.run_id;
	r = artifact_learn_place(rb->repo, rb->store_id, &slot->manifest, err);
	if (r < 0)
		return r;
	r = match_objects(rb, &slot->manifest, err);
	if (r > 0)
		r = list_artifact(rb, &slot->manifest, err);
	/* Else the next comparison would read it once more. */
	return r < 0 ? r : catalog_note_manifests(rb->catalog, &slot->mark, 1, err);
}

static void free_slot(struct slot *slot)
{
	free(slot->path);
	manifest_finish(&slot->manifest);
	*slot = (struct slot){0};
}

static void wait_for_oldest(struct rebuild *rb)
{
	pthread_mutex_lock(&rb->lock);
	while (!rb->slots[rb->first].done)
		pthread_cond_wait(&rb->changed, &rb->lock);
	pthread_mutex_unlock(&rb->lock);
}

/* Wait for the oldest fetch, list it, free its slot. */
static int finish_oldest(struct rebuild *rb, struct error *err)
{
	struct slot *slot = &rb->slots[rb->first];
	int r;

	wait_for_oldest(rb);
	r = list_slot(rb, slot, err);
	rb->busy_bytes -= slot->bytes;
	free_slot(slot);
	rb->first = (rb->first + 1) % rb->limit;
	rb->busy--;
	if (r == 0 && rb->io->progress)
		rb->io->progress(rb->io->arg, rb->io->artifacts);
	return r;
}

static int submit_manifest(struct rebuild *rb, const char *path, const struct store_object *object,
                           struct error *err)
{
	uint64_t bytes = object->bytes;
	struct slot *slot;
	int r = 0;

	while (r == 0 && rb->busy > 0 && (rb->busy == rb->limit || rb->busy_bytes + bytes > AHEAD_BYTES))
		r = finish_oldest(rb, err);
	if (r < 0)
		return r;
	slot = &rb->slots[(rb->first + rb->busy++) % rb->limit];
	slot->rebuild = rb;
	slot->path = mem_strdup(path);
	slot->bytes = bytes;
	slot->mark.ino = ino_of_artifact(path);
	artifact_mark_object(object, &slot->mark);
	rb->busy_bytes += bytes;
	workers_add(rb->workers, fetch_manifest, slot);
	return 0;
}

static void tell_lone(struct rebuild *rb)
{
	if (rb->lone)
		problem(rb, "%s: it belongs to a manifest, which is not there", rb->lone);
	mem_replace_string(&rb->lone, NULL);
}

/* What stands among the manifests and is none: something that lies beside one, which comes next, or something
 * foreign. */
static void skip_other(struct rebuild *rb, const char *key)
{
	_cleanup(free) char *first = manifest_key_of_generation(key, 1);
	/* An artifact with several listings has several of these: ".contents.PART.zst". */
	const char *contents = strstr(first, ".contents.");
	size_t len = contents ? (size_t)(contents - first) + 1 : strlen(first);

	len -= str_ends(first, MANIFEST_SEALED_SUFFIX) && !contents ? strlen(MANIFEST_SEALED_SUFFIX) : 0;
	while (len > 0 && first[len - 1] != '.')
		len--;
	if (rb->lone && len > 0 && strncmp(rb->lone, key, len) == 0)
		return;
	tell_lone(rb);
	if (manifest_is_beside_any(key))
		mem_replace_string(&rb->lone, key);
	else
		problem(rb, "%s: not the key of a manifest", key);
}

static int take_manifest(struct rebuild *rb, const struct store_object *object, struct error *err)
{
	_cleanup(free) char *path = manifest_path_of_key(object->key);

	if (!path) {
		skip_other(rb, object->key);
		return 0;
	}
	if (rb->lone && manifest_is_beside(rb->lone, path))
		mem_replace_string(&rb->lone, NULL);
	tell_lone(rb);
	return submit_manifest(rb, path, object, err);
}

/* After a failure: what is on its way uses the store, which may be gone behind this. */
static void drop_fetches(struct rebuild *rb)
{
	for (; rb->busy > 0; rb->busy--) {
		wait_for_oldest(rb);
		free_slot(&rb->slots[rb->first]);
		rb->first = (rb->first + 1) % rb->limit;
	}
	rb->busy_bytes = 0;
	mem_replace_string(&rb->lone, NULL);
}

static int walk_manifests(struct rebuild *rb, struct error *err)
{
	const struct store_object *manifest;
	int r;

	for (;;) {
		if (cancel_is_set(rb->call.cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "the rebuild was cancelled");
		r = listing_peek(&rb->manifests, &manifest, err);
		if (r < 0 || !manifest)
			break;
		r = take_manifest(rb, manifest, err);
		if (r < 0)
			break;
		listing_pop(&rb->manifests);
	}
	while (r == 0 && rb->busy > 0)
		r = finish_oldest(rb, err);
	if (r == 0)
		r = skip_objects(rb, NULL, err);
	if (r == 0)
		tell_lone(rb);
	else
		drop_fetches(rb);
	return r;
}

/* Below one root of the tree both listings are in the same order. */
static int walk_root(struct rebuild *rb, const char *root, struct error *err)
{
	_cleanup(free) char *objects = mem_printf("%s/", root);
	_cleanup(free) char *manifests = mem_printf("manifests/%s", objects);
	_cleanup(free) char *trash = mem_printf("trash/%s", objects),
	                    *holds = mem_printf("holds/%s", objects);
	int r;

	rb->manifests = (struct listing){.store = rb->store, .call = &rb->call, .prefix = manifests};
	rb->objects = (struct listing){.store = rb->store, .call = &rb->call, .prefix = objects};
	rb->manifest_names = (struct lookup){.store = rb->store, .call = &rb->call, .prefix = manifests};
	rb->object_names = (struct lookup){.store = rb->store, .call = &rb->call, .prefix = objects};
	rb->marks.trash = (struct lookup){.store = rb->store, .call = &rb->call, .prefix = trash};
	rb->marks.holds = (struct lookup){.store = rb->store, .call = &rb->call, .prefix = holds};
	r = walk_manifests(rb, err);
	listing_finish(&rb->manifests);
	listing_finish(&rb->objects);
	lookup_finish(&rb->manifest_names);
	lookup_finish(&rb->object_names);
	lookup_finish(&rb->marks.trash);
	lookup_finish(&rb->marks.holds);
	return r;
}

/* A tenant's store has nothing but exports. */
static int walk_roots(struct rebuild *rb, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < tree_roots_count; i++)
		if (!rb->at || str_equal(tree_roots[i].name, CONF_EXPORTS))
			r = walk_root(rb, tree_roots[i].name, err);
	return r;
}

static int start_rebuild(struct rebuild *rb, struct error *err)
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
	free(rb->lone);
	free(rb->others);
	pthread_cond_destroy(&rb->changed);
	pthread_mutex_destroy(&rb->lock);
}

static int walk_other(struct rebuild *rb, uint64_t id, struct error *err)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	_cleanup(store) struct store *store = NULL;
	struct store *main = rb->store;
	int r = catalog_get_store(rb->catalog, id, &at);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = repository_open_store(rb->repo, id, &store, err);
	if (r < 0)
		return r;
	rb->store = store;
	rb->store_id = id;
	rb->at = &at;
	r = walk_roots(rb, err);
	rb->store = main;
	rb->store_id = CATALOG_MAIN_STORE;
	rb->at = NULL;
	return r;
}

static int walk_others(struct rebuild *rb, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rb->other_count; i++) {
		r = walk_other(rb, rb->others[i], err);
		if (r < 0)
			rb->failed_other = rb->others[i];
	}
	return r;
}

/* One that does not answer keeps what is listed of it, and leaves the others. */
static int try_other(void *arg, const struct catalog_store *at, struct error *err)
{
	struct rebuild *rb = arg;
	_cleanup(free) struct store_object *found = NULL;
	_cleanup(store) struct store *store = NULL;
	struct error why = {0};
	size_t count;
	bool more;
	int r = repository_open_store(rb->repo, at->id, &store, &why);

	if (r == 0)
		r = store_list(store, &rb->call, "manifests/" CONF_EXPORTS "/", NULL, 1, &found, &count,
		               &more, &why);
	if (r == 0) {
		rb->others = mem_resize(rb->others, rb->other_count + 1, sizeof(*rb->others));
		rb->others[rb->other_count++] = at->id;
	} else {
		problem(rb, "%s: what it has is listed as it was", why.message);
	}
	return catalog_set_store_trouble(rb->catalog, at->id, r < 0 ? why.message : NULL, err);
}

/* Before the manifests: links say which keys signed them. */
static int learn_chain(struct rebuild *rb, uint64_t id, struct store *store, struct error *err)
{
	const struct chain_at at = {.id = id, .store = store, .call = &rb->call};

	return chain_learn(rb->repo->chain, &at, &rb->io->problems, err);
}

static int learn_other_chains(struct rebuild *rb, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rb->other_count; i++) {
		_cleanup(store) struct store *store = NULL;

		r = repository_open_store(rb->repo, rb->others[i], &store, err);
		if (r == 0)
			r = learn_chain(rb, rb->others[i], store, err);
		if (r < 0)
			rb->failed_other = rb->others[i];
	}
	return r;
}

static int rebuild_all(struct rebuild *rb, struct error *err)
{
	int r = learn_chain(rb, CATALOG_MAIN_STORE, rb->store, err), ended;

	if (r == 0)
		r = learn_other_chains(rb, err);
	if (r == 0)
		r = catalog_begin_rebuild(rb->catalog, err);
	if (r < 0)
		return r;
	r = walk_roots(rb, err);
	if (r == 0)
		r = walk_others(rb, err);
	if (r == 0)
		r = catalog_raise_run_number(rb->catalog, rb->largest_run, err);
	ended = catalog_end_rebuild(rb->catalog, r == 0, r == 0 ? err : NULL);
	return r < 0 ? r : ended;
}

/* It answered, and then failed: nothing was changed, and what is listed of it stays, as of one that does not answer. */
static int leave_other_out(struct rebuild *rb, const struct error *why, struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < rb->other_count; i++)
		if (rb->others[i] != rb->failed_other)
			rb->others[kept++] = rb->others[i];
	rb->other_count = kept;
	problem(rb, "%s: what it has is listed as it was", why->message);
	return catalog_set_store_trouble(rb->catalog, rb->failed_other, why->message, err);
}

static int rebuild_with_others(struct rebuild *rb, struct error *err)
{
	uint64_t problems = rb->io->problems;
	struct error why;
	int r;

	for (;;) {
		why = (struct error){0};
		rb->failed_other = CATALOG_MAIN_STORE;
		rb->io->artifacts = rb->io->bytes = 0;
		rb->largest_run = 0;
		r = rebuild_all(rb, &why);
		if (r == 0 || r == -ECANCELED || rb->failed_other == CATALOG_MAIN_STORE)
			break;
		rb->io->problems = problems;
		r = leave_other_out(rb, &why, err);
		if (r < 0)
			return r;
		problems = rb->io->problems;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

int artifact_rebuild(struct repository *repo, struct artifact_rebuild *io, struct cancel *cancel,
                     struct error *err)
{
	struct rebuild rb = {
	        .repo = repo,
	        .store = repository_store(repo),
	        .catalog = repo->catalog,
	        .io = io,
	        .call = {.cancel = cancel},
	        .lock = PTHREAD_MUTEX_INITIALIZER,
	        .changed = PTHREAD_COND_INITIALIZER,
	};
	int r;

	io->artifacts = io->bytes = io->problems = 0;
	r = start_rebuild(&rb, err);
	if (r == 0 && repo->stores)
		r = catalog_each_store(rb.catalog, CATALOG_MAIN_STORE, try_other, &rb, err);
	if (r == 0)
		r = rebuild_with_others(&rb, err);
	finish(&rb);
	return r;
}
