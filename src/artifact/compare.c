// SPDX-License-Identifier: Apache-2.0
/*
 * The catalog against the store, by the names of the manifests. A catalog that was copied back, or came with a snapshot,
 * is older than the store: what was made since would be seen by nobody, and its numbers of runs would be given out again.
 *
 * The catalog is asked about each manifest after it was listed. So one that is published or removed meanwhile is known,
 * or gone when it is fetched: a row, a tomb or an intent stands for it at every moment between the two.
 */
#include "compare_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>
#include <keepfs/conf.h>
#include <keepfs/lease.h>

/* Another keepfs that has lost the answer to its last put may still take back what it has published. */
#define YOUNG_US            (INT64_C(3600) * US_PER_S)
#define UNLISTED_KEPT       100
#define READ_REPLACED_TRIES 5

void compare_remember_seen(struct comparison *c, uint64_t ino)
{
	if (c->seen.count == c->seen.cap) {
		c->seen.cap = c->seen.cap ? 2 * c->seen.cap : 1024;
		c->seen.inos = mem_resize(c->seen.inos, c->seen.cap, sizeof(*c->seen.inos));
	}
	c->seen.inos[c->seen.count++] = ino;
}

static void note_unlisted(struct comparison *c, const char *path, const char *reason)
{
	struct catalog_unlisted *row;

	c->counts->unlisted++;
	if (c->unlisted_count == UNLISTED_KEPT)
		return;
	c->unlisted = mem_resize(c->unlisted, c->unlisted_count + 1, sizeof(*c->unlisted));
	row = &c->unlisted[c->unlisted_count++];
	str_copy(row->path, sizeof(row->path), path);
	str_cut(row->reason, sizeof(row->reason), reason);
}

static bool is_young(const struct comparison *c, const struct manifest *m)
{
	int64_t age_us = c->now_us - m->finished_at_us;

	/* Who is the only one to write knows what he has not finished himself. */
	if (c->follows || lease_number(c->repo->lease))
		return false;
	return age_us < YOUNG_US && age_us > -YOUNG_US;
}

/* Of a whole artifact. */
static int list_unknown(struct comparison *c, const struct manifest *m, struct error *err)
{
	_cleanup(artifact_marks) struct artifact_marks marks = {0};
	struct error why = {0};
	int r = artifact_marks_read(c->store, &c->call, m, c->now_us, &c->marks, &marks, err);

	if (r < 0)
		return r;
	marks.known.store = c->store_id;
	if (c->reads_only && marks.known.trash)
		return 0;
	r = catalog_adopt_artifact(c->repo->catalog, m, &marks.known, &why);
	if (r == -EEXIST) {
		note_unlisted(c, m->path, why.message);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	if (r != 0)
		return r < 0 ? r : 0;
	if (!c->reads_only)
		artifact_marks_clear(c->store, &c->call, m->path, &marks);
	if (marks.known.trash)
		return 0;
	c->counts->adopted++;
	log_info("%s of run %" PRId64 " is in the store, and the catalog did not list it: it does now",
	         m->path, m->run_id);
	artifact_tell_listed(c->repo, m);
	return 0;
}

static int weigh_unknown(struct comparison *c, const struct manifest *m, struct error *err)
{
	struct artifact_match match = {0};
	int r;

	if (c->at && !artifact_is_credible(c->repo, c->at, m)) {
		note_unlisted(
		        c, m->path,
		        "it is in the store of a tenant, and says of itself what keepfs would not have made there");
		return 0;
	}
	if (m->run_id > c->largest_run)
		c->largest_run = m->run_id;
	r = artifact_learn_place(c->repo, c->store_id, m, err);
	if (r < 0)
		return r;
	if (is_young(c, m)) {
		c->counts->young++;
		note_unlisted(c, m->path,
		              "it was made within the last hour, by another keepfs or before an older "
		              "catalog was put back: it is listed when it is older");
		return 0;
	}
	/* Each reader would ask for what the writer has read back. */
	r = c->reads_only ? 0 : artifact_check_objects(c->store, &c->call, m, &match, err);
	if (r == 0 && match.broken)
		note_unlisted(c, m->path, str_text(&match.problem));
	else if (r == 0)
		r = list_unknown(c, m, err);
	str_finish(&match.problem);
	return r;
}

/* 1: the store has a mark that says so; which says it of all between two keys in one request. */
static int is_in_trash(struct comparison *c, const char *path, struct error *err)
{
	_cleanup(free) char *key = artifact_trash_key(path);
	const struct store_object *object;
	int r = lookup_find(&c->marks.trash, key, &object, err);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

static int consider_unknown(struct comparison *c, const char *path, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	int r = c->reads_only ? is_in_trash(c, path, err) : 0;

	if (r != 0)
		return r < 0 ? r : 0;
	r = artifact_fetch(c->repo, c->store, &c->call, path, &m, &why);
	if (r == 0)
		sealed_take_facts(c->repo, c->store, &c->call, &m);
	if (r == -ENOENT) /* removed since it was listed */
		return 0;
	if (r == ARTIFACT_UNUSABLE || r == -ENOTSUP) {
		note_unlisted(c, path, why.message);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r < 0 ? r : weigh_unknown(c, &m, err);
}

/* The one that we list is gone, and another one has its path: only who follows knows that it is not he who has to tell of it. */
static int take_another(struct comparison *c, struct manifest *m, struct error *err)
{
	int r;

	if (!c->follows)
		return ARTIFACT_IS_ANOTHER;
	sealed_take_facts(c->repo, c->store, &c->call, m);
	r = artifact_forget(c->repo, ino_of_artifact(m->path), err);
	return r < 0 ? r : weigh_unknown(c, m, err);
}

/* What cannot be read is told by whoever reads or verifies it, and looked at again by the next comparison. */
static int read_once_more(struct comparison *c, const char *path, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	int r = artifact_fetch(c->repo, c->store, &c->call, path, &m, &why);

	if (r == -ENOENT || r == ARTIFACT_UNUSABLE || r == -ENOTSUP)
		return ARTIFACT_IS_ANOTHER;
	if (r == 0 && c->at && !artifact_is_credible(c->repo, c->at, &m))
		return ARTIFACT_IS_ANOTHER;
	if (r == 0)
		r = artifact_take_objects(c->repo, &m, &why);
	if (r < 0 && err)
		*err = why;
	return r == ARTIFACT_IS_ANOTHER ? take_another(c, &m, err) : r;
}

/* Its objects may be other ones since somebody else has rewrapped it, and those that are listed may be gone. A run of our own may rewrap it just now: what we list is what was
 * read behind that. */
static int read_replaced(struct comparison *c, const char *path, struct error *err)
{
	int r = ARTIFACT_HAS_CHANGED;

	for (int i = 0; i < READ_REPLACED_TRIES && r == ARTIFACT_HAS_CHANGED; i++) {
		r = read_once_more(c, path, err);
		if (r == ARTIFACT_HAS_CHANGED && i == 0)
			c->counts->changed++;
	}
	return r;
}

static int note_object(struct comparison *c, const struct catalog_manifest_mark *mark, struct error *err)
{
	return artifact_seen_add(c->repo, &c->objects, mark, err);
}

/* A tenant may have put a manifest of that path into his store; the one that is listed is in another one. */
static bool is_of_store(const struct comparison *c, const char *path)
{
	uint64_t store = CATALOG_MAIN_STORE;

	return catalog_store_of(c->repo->catalog, path, &store) == 0 && store == c->store_id;
}

/* Who has the lease, and has caught up with those who had it before, knows what every manifest says, since nobody else writes one. */
static int consider_known(struct comparison *c, const char *path, const struct store_object *object,
                          struct error *err)
{
	struct catalog_manifest_mark mark = {.ino = ino_of_artifact(path)};
	bool is_ours = !c->follows && lease_number(c->repo->lease);
	int r;

	artifact_mark_object(object, &mark);
	r = catalog_look_at_manifest(c->repo->catalog, mark.ino, mark.mark);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (r == CATALOG_LOOK_SAME || !is_of_store(c, path))
		return 0;
	r = is_ours || r == CATALOG_LOOK_BEFORE ? 0 : read_replaced(c, path, err);
	return r == 0 ? note_object(c, &mark, err) : r < 0 ? r : 0;
}

static int consider_new(struct comparison *c, const char *path, const struct store_object *object,
                        struct error *err)
{
	struct catalog_manifest_mark mark = {.ino = ino_of_artifact(path)};
	int r = consider_unknown(c, path, err);

	artifact_mark_object(object, &mark);
	return r < 0 ? r : note_object(c, &mark, err);
}

static int consider_manifest(struct comparison *c, const struct store_object *object, struct error *err)
{
	_cleanup(free) char *path = manifest_path_of_key(object->key);
	int r;

	if (!path)
		return 0;
	compare_remember_seen(c, ino_of_artifact(path));
	r = catalog_knows(c->repo->catalog, path);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return r > 0 ? consider_known(c, path, object, err) : consider_new(c, path, object, err);
}

static int consider_each(struct comparison *c, struct listing *l, struct error *err)
{
	const struct store_object *object;
	int r;

	while ((r = listing_peek(l, &object, err)) == 0 && object) {
		if (cancel_is_set(c->call.cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "the comparison was cancelled");
		r = consider_manifest(c, object, err);
		if (r < 0)
			return r;
		c->counts->looked_at++;
		if (c->counts->progress)
			c->counts->progress(c->counts->arg, c->counts->looked_at);
		listing_pop(l);
	}
	return r;
}

/* What was read is noted also when the rest of it failed. */
static int consider_all(struct comparison *c, struct listing *l, struct error *err)
{
	int r = consider_each(c, l, err),
	    noted = artifact_seen_flush(c->repo, &c->objects, r == 0 ? err : NULL);

	return r < 0 ? r : noted;
}

/* Numbers are kept also when the rest of it failed. */
static int keep_numbers(struct comparison *c, struct error *err)
{
	return c->largest_run > 0 ? catalog_raise_run_number(c->repo->catalog, c->largest_run, err) : 0;
}

struct comparison compare_of(struct repository *repo, int64_t now_us, struct artifact_comparison *counts)
{
	return (struct comparison){
	        .repo = repo, .store = repository_store(repo), .now_us = now_us, .counts = counts};
}

static void begin_marks(struct comparison *c)
{
	c->marks.trash = (struct lookup){.store = c->store, .call = &c->call, .prefix = "trash/"};
	c->marks.holds = (struct lookup){.store = c->store, .call = &c->call, .prefix = "holds/"};
}

void compare_finish(struct comparison *c)
{
	lookup_finish(&c->marks.trash);
	lookup_finish(&c->marks.holds);
	free(c->seen.inos);
	artifact_seen_finish(&c->objects);
	free(c->unlisted);
}

static int compare_root(struct comparison *c, const char *root, struct error *err)
{
	_cleanup(free) char *prefix = mem_printf("manifests/%s/", root);
	_cleanup(listing) struct listing l = {.store = c->store, .call = &c->call, .prefix = prefix};

	return consider_all(c, &l, err);
}

/* A tenant's store has nothing but exports. */
static int compare_roots(struct comparison *c, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < tree_roots_count; i++)
		if (!c->at || str_equal(tree_roots[i].name, CONF_EXPORTS))
			r = compare_root(c, tree_roots[i].name, err);
	return r;
}

static int compare_one(struct comparison *c, struct error *err)
{
	const struct chain_at at = {.id = c->store_id, .store = c->store, .call = &c->call};
	int r = chain_learn(c->repo->chain, &at, NULL, err), kept;

	if (r < 0)
		return r;
	begin_marks(c);
	r = compare_roots(c, err);
	kept = keep_numbers(c, r == 0 ? err : NULL);
	if (r == 0)
		r = kept;
	if (r == 0)
		r = compare_find_missing(c, err);
	/* Behind it: the numbers of all manifests are known now. */
	if (r == 0)
		chain_tidy(c->repo->chain, &at, c->now_us);
	return r;
}

/* What is wrong with one store of a tenant is told, and is no reason to know less of all others. */
static int compare_tenants_store(void *arg, const struct catalog_store *at, struct error *err)
{
	struct comparison *all = arg;
	struct comparison c = compare_of(all->repo, all->now_us, all->counts);
	_cleanup(store) struct store *store = NULL;
	struct error why = {0};
	int r;

	c.follows = all->follows;
	c.reads_only = all->reads_only;
	if (at->artifacts == 0 && !*str_or_empty(at->trouble))
		return 0;
	c.call = all->call;
	c.at = at;
	c.store_id = at->id;
	r = repository_open_store(all->repo, at->id, &store, &why);
	c.store = store;
	if (r == 0)
		r = compare_one(&c, &why);
	for (size_t i = 0; i < c.unlisted_count && all->unlisted_count < UNLISTED_KEPT; i++) {
		all->unlisted = mem_resize(all->unlisted, all->unlisted_count + 1, sizeof(*all->unlisted));
		all->unlisted[all->unlisted_count++] = c.unlisted[i];
	}
	compare_finish(&c);
	if (r == -ECANCELED) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0)
		log_warning("what is there cannot be held against the catalog now: %s", why.message);
	return catalog_set_store_trouble(all->repo->catalog, at->id, r < 0 ? why.message : NULL, err);
}

static int compare_everything(struct comparison *c, struct repository *repo, struct error *err);

int artifact_compare(struct repository *repo, int64_t now_us, struct cancel *cancel,
                     struct artifact_comparison *counts, struct error *err)
{
	struct comparison c = compare_of(repo, now_us, counts);

	c.call.cancel = cancel;
	return compare_everything(&c, repo, err);
}

/* What was put into the trash while nobody told us is there still, and listed here. */
static int follow_trash(struct comparison *c, struct error *err)
{
	_cleanup(listing) struct listing l = {.store = c->store, .call = &c->call, .prefix = "trash/"};
	const struct store_object *object;
	int r;

	while ((r = listing_peek(&l, &object, err)) == 0 && object) {
		_cleanup(free) char *path = artifact_path_of_mark(object->key);

		if (path && catalog_knows(c->repo->catalog, path) > 0)
			r = artifact_follow_trashed(c->repo, c->store, &c->call, path, err);
		if (r < 0)
			return r;
		listing_pop(&l);
	}
	return r;
}

struct tomb {
	uint64_t ino;
	char *path;
};

struct tombs {
	struct tomb *items;
	size_t count, cap;
};

static void add_tomb(void *arg, uint64_t ino, const char *path)
{
	struct tombs *t = arg;

	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->items = mem_resize(t->items, t->cap, sizeof(*t->items));
	}
	t->items[t->count++] = (struct tomb){ino, mem_strdup(path)};
}

/* Of the store that is compared, and with a mark there when it was last looked at? */
static bool is_marked_here(struct comparison *c, const struct tomb *tomb)
{
	uint64_t store = CATALOG_MAIN_STORE;
	struct catalog_tomb facts;

	return catalog_store_of(c->repo->catalog, tomb->path, &store) == 0 && store == c->store_id &&
	       catalog_tomb(c->repo->catalog, tomb->ino, &facts) == 0 && facts.is_trashed && facts.is_marked;
}

/* What another one has brought back, or deleted for good, is listed; the comparison that follows finds the latter. */
static int follow_undeleted(struct comparison *c, struct lookup *marks, const struct tomb *tomb,
                            struct error *err)
{
	_cleanup(free) char *key = artifact_trash_key(tomb->path);
	const struct store_object *object;
	int r;

	if (!is_marked_here(c, tomb))
		return 0;
	r = lookup_find(marks, key, &object, err);
	if (r != -ENOENT || !artifact_removal_try(c->repo, tomb->ino))
		return r == -ENOENT ? 0 : r;
	r = artifact_list_again(c->repo, tomb->ino, err);
	artifact_removal_end(c->repo, tomb->ino);
	return r == -ENOENT ? 0 : r;
}

/* What is in the trash here need not be there any more. A reader has no use for it: what is brought back is new to him. */
static int follow_tombs(struct comparison *c, struct error *err)
{
	struct lookup marks = {.store = c->store, .call = &c->call, .prefix = "trash/"};
	struct tombs tombs = {0};
	int r = catalog_tombs(c->repo->catalog, INT64_MAX, add_tomb, &tombs);

	if (r < 0)
		error_system(err, -r, "the catalog cannot be read");
	for (size_t i = 0; r == 0 && i < tombs.count; i++)
		r = c->reads_only ? catalog_drop_artifact(c->repo->catalog, tombs.items[i].ino, err)
		                  : follow_undeleted(c, &marks, &tombs.items[i], err);
	for (size_t i = 0; i < tombs.count; i++)
		free(tombs.items[i].path);
	free(tombs.items);
	lookup_finish(&marks);
	return r;
}

int artifact_follow_all(struct repository *repo, int64_t now_us, struct cancel *cancel,
                        struct artifact_comparison *counts, struct error *err)
{
	struct comparison c = compare_of(repo, now_us, counts);
	int r;

	c.call.cancel = cancel;
	c.follows = true;
	c.reads_only = !repo->lease;
	r = follow_trash(&c, err);
	if (r == 0)
		r = follow_tombs(&c, err);
	return r < 0 ? r : compare_everything(&c, repo, err);
}

static int compare_everything(struct comparison *all, struct repository *repo, struct error *err)
{
	struct comparison c = *all;
	int r = compare_one(&c, err);

	if (r == 0)
		r = catalog_each_store(repo->catalog, CATALOG_MAIN_STORE, compare_tenants_store, &c, err);
	if (r == 0)
		r = catalog_set_unlisted(repo->catalog, c.unlisted, c.unlisted_count, err);
	compare_finish(&c);
	return r;
}

static int learn_number(struct comparison *c, const char *key, struct error *err)
{
	_cleanup(free) char *path = manifest_path_of_key(key);
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	int r = path ? catalog_knows(c->repo->catalog, path) : 1;

	if (r != 0)
		return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
	r = artifact_fetch(c->repo, c->store, &c->call, path, &m, &why);
	if (r == -ENOENT || r == ARTIFACT_UNUSABLE || r == -ENOTSUP)
		return 0;
	if (r < 0 && err)
		*err = why;
	return r < 0 ? r : artifact_learn_place(c->repo, c->store_id, &m, err);
}

int artifact_learn_numbers(struct repository *repo, struct store *store, uint64_t store_id,
                           const struct store_call *call, struct error *err)
{
	struct comparison c = {.repo = repo, .store = store, .store_id = store_id, .call = *call};
	_cleanup(listing) struct listing l = {.store = store, .call = call, .prefix = "manifests/"};
	const struct store_object *object;
	int r;

	while ((r = listing_peek(&l, &object, err)) == 0 && object) {
		r = learn_number(&c, object->key, err);
		if (r < 0)
			return r;
		listing_pop(&l);
	}
	return r;
}

int artifact_read_numbers(void *repo, const struct chain_at *at, struct error *err)
{
	static const struct store_call no_call = {0};

	return artifact_learn_numbers(repo, at->store, at->id, at->call ? at->call : &no_call, err);
}

/* The key behind which new manifests come; NULL: all are new. It ends with the time: "…Z-2.dump" is newer than "…Z.dump" of
 * the same second, but sorts before it. */
static char *newest_known_key(struct catalog *catalog, const char *directory)
{
	struct catalog_entry entry;

	if (catalog_entry_made_last(catalog, ino_of_directory(directory), &entry) < 0)
		return NULL;
	entry.name[strcspn(entry.name, "-.")] = '\0';
	return mem_printf("manifests/%s/%s", directory, entry.name);
}

int artifact_look_ahead(struct repository *repo, const char *directory, int64_t now_us, int64_t deadline_ms,
                        struct artifact_comparison *counts, struct error *err)
{
	struct comparison c = compare_of(repo, now_us, counts);
	_cleanup(free) char *prefix = mem_printf("manifests/%s/", directory),
	                    *after = newest_known_key(repo->catalog, directory);
	_cleanup(listing) struct listing l = {
	        .store = c.store, .call = &c.call, .prefix = prefix, .start_after = after};
	int r, kept;

	c.call.deadline_ms = deadline_ms;
	begin_marks(&c);
	r = consider_all(&c, &l, err);
	kept = keep_numbers(&c, r == 0 ? err : NULL);
	compare_finish(&c);
	return r < 0 ? r : kept;
}
