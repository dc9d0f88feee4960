// SPDX-License-Identifier: Apache-2.0
/*
 * Deletion of all that an artifact has in the store. The manifest goes first: from then on what is left is a
 * leftover. What is below the stem is found by listing it, so that nothing has to be known of an artifact but
 * its path, and nothing is forgotten that a crash kept from being written down.
 *
 * A directory may hold a hundred thousand objects: those are deleted by several threads.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/adopted.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/stores.h>

#define PAGE_OBJECTS 1000
#define FEW          32 /* objects for which no threads are started */

struct deletion {
	struct store *store;
	const struct store_call *call;
	struct store_object *page;
	pthread_mutex_t lock;
	size_t count, next; /* next: lock */
	int result;         /* lock: the first failure */
	struct error error; /* lock */
};

static const struct store_object *take_next(struct deletion *d)
{
	const struct store_object *object = NULL;

	pthread_mutex_lock(&d->lock);
	if (d->result == 0 && d->next < d->count)
		object = &d->page[d->next++];
	pthread_mutex_unlock(&d->lock);
	return object;
}

static void remove_objects(void *arg)
{
	struct deletion *d = arg;
	const struct store_object *object;

	while ((object = take_next(d))) {
		struct error error = {0};
		int r = store_remove(d->store, d->call, object->key, &error);

		pthread_mutex_lock(&d->lock);
		if (r < 0 && d->result == 0) {
			d->result = r;
			d->error = error;
		}
		pthread_mutex_unlock(&d->lock);
	}
}

/* All objects of @d->page, by as many threads as the store is worth. */
static int remove_page(struct deletion *d, struct error *err)
{
	struct store_features features = {0};
	struct workers *workers = NULL;
	int r = d->count > FEW ? store_features(d->store, &features, err) : 0;

	if (r < 0)
		return r;
	if (features.parallel > 1)
		workers = workers_new("delete", features.parallel);
	for (unsigned i = 0; workers && i < features.parallel; i++)
		workers_add(workers, remove_objects, d);
	if (!workers)
		remove_objects(d);
	workers_free(workers); /* when they are done */
	if (d->result < 0 && err)
		*err = d->error;
	return d->result;
}

static int remove_below(struct store *store, const struct store_call *call, const char *prefix,
                        struct error *err)
{
	struct deletion d = {.store = store, .call = call, .lock = PTHREAD_MUTEX_INITIALIZER};
	char after[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		r = store_list(store, call, prefix, after[0] ? after : NULL, PAGE_OBJECTS, &d.page, &d.count,
		               &more, err);
		if (r == 0 && d.count == 0)
			break;
		if (r == 0) {
			str_copy(after, sizeof(after), d.page[d.count - 1].key);
			d.next = 0;
			r = remove_page(&d, err);
		}
		free(take_ptr(&d.page));
	}
	free(d.page);
	pthread_mutex_destroy(&d.lock);
	return r;
}

/* A name without a suffix may also be that of a directory with backups of its own: of a database, of an earlier job. */
static int refuse_directory_of_others(struct store *store, const struct store_call *call, const char *path,
                                      struct error *err)
{
	_cleanup(free) char *manifests = mem_printf("manifests/%s/", path);
	_cleanup(free) struct store_object *others = NULL;
	size_t count = 0;
	bool more;
	int r = store_list(store, call, manifests, NULL, 1, &others, &count, &more, err);

	if (r == 0 && count > 0)
		r = error_set(err, ERROR_CONFLICT, EEXIST,
		              "%s: other backups lie below it, so nothing there is deleted: %s", path,
		              others[0].key);
	return r;
}

/* The files in a backup that is a directory, or those beside one that is a file: never both, for what is below the stem of
 * a file is another's. */
static int remove_all_below(struct store *store, const struct store_call *call, const char *path,
                            struct error *err)
{
	_cleanup(free) char *prefix = artifact_prefix(path);

	return remove_below(store, call, prefix, err);
}

/* What lies beside the manifest: it may be there though no manifest ever was. */
static int remove_beside_manifest(struct store *store, const struct store_call *call, const char *path,
                                  struct error *err)
{
	_cleanup(free) char *prefix = mem_printf("manifests/%s.", path);
	_cleanup(listing) struct listing l = {.store = store, .call = call, .prefix = prefix};
	const struct store_object *object;
	int r;

	while ((r = listing_peek(&l, &object, err)) == 0 && object) {
		if (manifest_is_beside(object->key, path))
			r = store_remove(store, call, object->key, err);
		if (r < 0)
			break;
		listing_pop(&l);
	}
	return r;
}

/* The manifest, with all that has to be looked at before. */
struct beginning {
	bool is_shared; /* a second keepfs may have used the stem: what is below it cannot be told apart */
	bool is_whole;  /* the manifest was there, and still is */
};

static int remove_manifest(struct store *store, const struct store_call *call, const char *path,
                           struct beginning *ret, struct error *err)
{
	_cleanup(free) char *manifest = manifest_key(path), *published = NULL;
	int r = artifact_find_published(store, call, path, &published, err);

	*ret = (struct beginning){.is_shared = r > 0 && strcmp(published, path) != 0,
	                          .is_whole = r > 0 && strcmp(published, path) == 0};
	if (r >= 0 && artifact_is_directory_path(path))
		r = refuse_directory_of_others(store, call, path, err);
	if (r >= 0)
		r = store_remove(store, call, manifest, err);
	ret->is_whole = ret->is_whole && r < 0;
	return r;
}

static int delete_from(struct store *store, const struct store_call *call, const char *path,
                       struct beginning *b, struct error *err)
{
	_cleanup(free) char *sealed = mem_printf("%s" MANIFEST_SEALED_SUFFIX, path);
	int r = remove_manifest(store, call, path, b, err);

	if (r == 0)
		r = remove_beside_manifest(store, call, path, err);
	if (r == 0 && !b->is_shared)
		r = remove_all_below(store, call, path, err);
	/* The object itself; where keys are paths, a directory that is empty now. */
	if (r == 0)
		r = store_remove(store, call, path, err);
	return r < 0 || !b->is_shared ? r : store_remove(store, call, sealed, err);
}

int artifact_delete(struct store *store, const struct store_call *call, const char *path, struct error *err)
{
	struct beginning beginning;

	return delete_from(store, call, path, &beginning, err);
}

/* Behind the manifest: were the mark gone before it, a catalog made anew would list the artifact again. */
static int remove_marks(struct store *store, const struct store_call *call, const struct catalog_tomb *tomb,
                        const char *path, struct error *err)
{
	_cleanup(free) char *mark = artifact_trash_key(path), *holds = artifact_holds_key(path);
	int r = tomb->has_holds ? store_remove(store, call, holds, err) : 0;

	return r == 0 && tomb->is_trashed ? store_remove(store, call, mark, err) : r;
}

bool artifact_is_forbidden(int r, const struct error *why)
{
	return why->class == ERROR_DENIED || r == -EACCES || r == -EPERM || r == -EROFS;
}

/* What nobody may delete is no less a backup for that: it is listed again, and whoever wants it removed tries again. */
static int give_up(struct repository *repo, uint64_t ino, const char *path, int r, struct error *why)
{
	struct error failure = {0};
	int given_up = catalog_give_up_removal(repo->catalog, ino, &failure);

	if (given_up < 0)
		return given_up == -ENOENT ? r
		                           : error_system(why, -given_up, "the catalog cannot be written");
	error_prefix(why, "the store does not let %s go, so it is still listed", path);
	return ARTIFACT_REFUSED;
}

/*
 * What was adopted, before the manifest that knows of it: what keepfs did not make it never looks for. Only what it read goes, and not what somebody has put in its place, or what cannot be told from that.
 * Return: 1: it is not there any more; 0: it stays; negative errno.
 */
static int remove_adopted(const struct repository *repo, struct store *store, const struct store_call *call,
                          uint64_t ino, const char *path, struct error *err)
{
	_cleanup(free) char *key = NULL, *etag = NULL;
	struct store_object there;
	uint64_t bytes = 0;
	int r = catalog_adopted_object(repo->catalog, ino, &key, &etag, &bytes);

	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	if (!repo->stores || !stores_removes_adopted(repo->stores, key))
		return 0;
	r = store_head(store, call, key, &there, err);
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	if (there.bytes == bytes && *etag && str_equal(there.etag, etag)) {
		r = store_remove(store, call, key, err);
		return r < 0 ? r : 1;
	}
	log_warning("%s is removed, and %s stays: it is another file than the one that was adopted", path,
	            key);
	return 0;
}

/* In a store of copies what was adopted is an object as every other, under the same key. */
static int remove_adopted_copies(struct store *store, const struct store_call *call, const char *path,
                                 struct error *err)
{
	_cleanup(free) char *key = manifest_key(path), *text = NULL;
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	size_t len = 0;
	int r = store_get_all(store, call, key, MANIFEST_MAX_BYTES, &text, &len, &why);

	if (r < 0 && r != -ENOENT && r != -EFBIG) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0 || manifest_decode(key, text, len, &m, &why) < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < m.object_count; i++)
		if (manifest_adopted_in(m.objects[i].key, NULL))
			r = store_remove(store, call, m.objects[i].key, err);
	return r;
}

int artifact_delete_copy(struct store *store, const struct store_call *call, const char *path,
                         struct error *err)
{
	int r = remove_adopted_copies(store, call, path, err);

	return r < 0 ? r : artifact_delete(store, call, path, err);
}

int artifact_delete_all(struct repository *repo, const struct store_call *call, uint64_t ino,
                        const char *path, struct error *err)
{
	struct artifact_place place = {0};
	struct beginning beginning = {0};
	struct catalog_tomb tomb;
	struct error why = {0};
	bool is_bare = false;
	int r = catalog_tomb(repo->catalog, ino, &tomb);

	if (r < 0)
		return r == -ENOENT ? r : error_system(err, -r, "the catalog cannot be read");
	r = artifact_place(repo, path, &place, &why);
	if (r == 0) {
		r = artifact_check_unlocked(repo, place.store, call, ino, path, &why);
		beginning.is_whole = r < 0;
	}
	if (r == 0) {
		r = remove_adopted(repo, place.store, call, ino, path, &why);
		beginning.is_whole = r < 0;
		is_bare = r > 0;
		r = r > 0 ? 0 : r;
	}
	if (r == 0)
		r = delete_from(place.store, call, path, &beginning, &why);
	if (r == 0)
		r = remove_marks(place.store, call, &tomb, path, &why);
	if (r == 0)
		r = artifact_end_links(repo, &place, call, path, LINK_REMOVED, tomb.run_id, &why);
	store_free(place.store);
	/* A manifest that stays behind its bytes is no backup: it is tried again. */
	if (r < 0 && beginning.is_whole && !is_bare && !tomb.is_trashed && artifact_is_forbidden(r, &why))
		r = give_up(repo, ino, path, r, &why);
	if (r < 0)
		catalog_note_left(repo->catalog, ino, why.message, NULL);
	if (r != 0 && err)
		*err = why;
	return r;
}
