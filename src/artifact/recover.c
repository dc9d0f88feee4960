// SPDX-License-Identifier: Apache-2.0
/*
 * After a crash, and when the store has not answered. An intent is a name that may hold anything from nothing to a whole artifact whose row is
 * missing; the manifest decides which. A tombstone is a deletion to go on with. Neither is given up on: what
 * the store does not answer now stays as it is for the next start, and keepfs works without it.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/chain.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/codec/name.h>

struct leftover {
	uint64_t ino;   /* of a tomb */
	int64_t run_id; /* of an intent, or a run */
	char *path;
};

struct leftovers {
	struct leftover *items;
	size_t count, cap;
};

static void leftovers_finish(struct leftovers *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].path);
	free(l->items);
}

static void cleanup_leftovers(struct leftovers *l)
{
	leftovers_finish(l);
}

static void remember(struct leftovers *l, struct leftover item)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 8;
		l->items = mem_resize(l->items, l->cap, sizeof(*l->items));
	}
	l->items[l->count++] = item;
}

static void remember_tomb(void *arg, uint64_t ino, const char *path)
{
	remember(arg, (struct leftover){.ino = ino, .path = mem_strdup(path)});
}

static void remember_intent(void *arg, int64_t run_id, const char *path)
{
	remember(arg, (struct leftover){.run_id = run_id, .path = mem_strdup(path)});
}

static void remember_run(void *arg, const struct catalog_run *run)
{
	remember(arg, (struct leftover){.run_id = run->id});
}

/* Each settle_…() returns 0, or a negative errno with `is_store` telling whose failure it was. */
struct settling {
	struct repository *repo;
	struct store *store; /* of the present leftover */
	uint64_t store_id;
	struct artifact_broken broken;
	struct catalog *catalog;
	struct store_call call;
	struct artifact_recovery *counts;
	unsigned live; /* intents of runs that have not ended */
	bool is_store;
};

/* What has become of a tomb, as the store tells. */
enum fate {
	TO_DELETE, /* its deletion goes on */
	MADE_ANEW, /* the store has another one of that path: an older catalog was put back, and the deletion has ended long ago */
	BROUGHT_BACK, /* somebody holds it, or has taken it out of the trash: before that older catalog was put back, or by removing the mark */
	TRASHED, /* its time is not over: it was removed anew, as a newer catalog or a second host has told the store */
};

/* From the trash nothing is deleted that is not marked in the store, but for what it could not be told of. */
static int fate_of_trashed(struct settling *s, const struct catalog_tomb *tomb, uint64_t ino, int64_t now_us,
                           const struct artifact_marks *marks, struct error *err)
{
	int r;

	if (tomb->is_marked && !marks->is_trashed)
		return BROUGHT_BACK;
	if (!marks->trash.says_until || marks->trash.until_us <= now_us)
		return TO_DELETE;
	r = catalog_trash_extend(s->catalog, ino, marks->trash.until_us, err);
	return r < 0 ? r : TRASHED;
}

static int fate_by_marks(struct settling *s, const struct manifest *m, const struct catalog_tomb *tomb,
                         struct error *err)
{
	_cleanup(artifact_marks) struct artifact_marks marks = {0};
	int64_t now_us = clock_now_us();
	int r = artifact_marks_read(s->store, &s->call, m, now_us, NULL, &marks, err);

	if (r < 0)
		return r;
	artifact_marks_clear(s->store, &s->call, m->path, &marks);
	if (marks.is_held)
		return BROUGHT_BACK;
	if (!tomb->is_trashed)
		return TO_DELETE;
	return fate_of_trashed(s, tomb, ino_of_artifact(m->path), now_us, &marks, err);
}

/* enum fate; negative errno. */
static int fate_of(struct settling *s, const char *path, const struct catalog_tomb *tomb, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = artifact_fetch(s->repo, s->store, &s->call, path, &m, err);

	if (r == -ENOENT || r == ARTIFACT_UNUSABLE)
		return TO_DELETE;
	if (r < 0)
		return r;
	return m.run_id != tomb->run_id ? MADE_ANEW : fate_by_marks(s, &m, tomb, err);
}

static int bring_back(struct settling *s, const struct leftover *tomb, struct error *err)
{
	int r = artifact_list_again(s->repo, tomb->ino, err);

	if (r < 0) /* -ENOENT: it has come to its end meanwhile */
		return r == -ENOENT ? 0 : r;
	log_warning("%s was removed, and the store says that somebody wants it back: it is listed again",
	            tomb->path);
	s->counts->adopted++;
	return 0;
}

static int end_tomb(struct settling *s, const struct leftover *tomb, struct error *err)
{
	int r = catalog_drop_artifact(s->catalog, tomb->ino, err);

	s->is_store = false;
	if (r == 0)
		s->counts->removed++;
	return r;
}

static int go_on_deleting(struct settling *s, const struct leftover *tomb, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	int r = artifact_delete_all(s->repo, &s->call, tomb->ino, tomb->path, &why);

	if (r == 0)
		return end_tomb(s, tomb, err);
	s->is_store = r < 0;
	if (r == ARTIFACT_REFUSED) {
		log_warning("%s", why.message);
		if (catalog_manifest(s->catalog, tomb->ino, &m) == 0)
			artifact_tell_listed(s->repo, &m);
		return 0;
	}
	if (err)
		*err = why;
	return r;
}

static int settle_claimed_tomb(struct settling *s, const struct leftover *tomb, struct error *err)
{
	struct catalog_tomb facts;
	int r = catalog_tomb(s->catalog, tomb->ino, &facts);

	s->is_store = false;
	if (r < 0) /* -ENOENT: it has come to its end meanwhile */
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	r = fate_of(s, tomb->path, &facts, err);
	s->is_store = r < 0;
	if (r == BROUGHT_BACK)
		return bring_back(s, tomb, err);
	if (r == TO_DELETE)
		return go_on_deleting(s, tomb, err);
	if (r == MADE_ANEW)
		return end_tomb(s, tomb, err);
	return r < 0 ? r : 0;
}

static int settle_tomb(struct settling *s, const struct leftover *tomb, struct error *err)
{
	int r;

	/* Whoever removes it, or brings it back, tells when something is left. */
	if (!artifact_removal_try(s->repo, tomb->ino))
		return 0;
	r = settle_claimed_tomb(s, tomb, err);
	artifact_removal_end(s->repo, tomb->ino);
	return r;
}

/* Returns 1 when the objects of @m are there, as far as the backup needs them; 0 when they are not. */
static int has_objects(struct settling *s, const struct manifest *m, struct error *err)
{
	struct artifact_match match = {0};
	int r = artifact_check_objects(s->store, &s->call, m, &match, err);

	if (r == 0 && match.problem.len > 0 && !match.broken)
		log_warning("%s", str_text(&match.problem));
	str_finish(&match.problem);
	return r < 0 ? r : !match.broken;
}

/* Returns 1 and the manifest when @path is a whole artifact; 0 when it is not. */
static int find_whole(struct settling *s, const char *path, struct manifest *ret, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = artifact_fetch(s->repo, s->store, &s->call, path, &m, err);

	if (r == -ENOENT)
		return 0;
	/* One bad read must not be the end of a whole backup: it is read again later. */
	if (r == ARTIFACT_UNUSABLE)
		return -EBADMSG;
	if (r == 0)
		r = has_objects(s, &m, err);
	if (r <= 0)
		return r;
	*ret = m;
	m = (struct manifest){0};
	return 1;
}

/* The name is another's. What may lie beside its manifest is our table, unless that manifest names it. */
static int take_back_table(struct settling *s, const char *path, struct error *err)
{
	_cleanup(free) char *table = manifest_extents_key(path);
	_cleanup(manifest) struct manifest theirs = {0};
	int r = artifact_fetch(s->repo, s->store, &s->call, path, &theirs, err);

	if (r == ARTIFACT_UNUSABLE || r == -ENOTSUP || (r == 0 && theirs.extents_key))
		return 0;
	return r < 0 && r != -ENOENT ? r : store_remove(s->store, &s->call, table, err);
}

/* An older catalog that was put back announces what was held, or removed, since. */
static int adopt_whole(struct settling *s, const struct manifest *m, struct error *err)
{
	_cleanup(artifact_marks) struct artifact_marks marks = {0};
	int r = artifact_marks_read(s->store, &s->call, m, clock_now_us(), NULL, &marks, err);

	s->is_store = r < 0;
	marks.known.store = s->store_id;
	if (r == 0)
		r = catalog_restore_artifact(s->catalog, m, &marks.known, err);
	if (r < 0)
		return r;
	artifact_marks_clear(s->store, &s->call, m->path, &marks);
	s->counts->adopted++;
	if (!marks.known.trash)
		artifact_tell_listed(s->repo, m);
	return 0;
}

/* Where a tenant writes, too, a manifest may be what the tenant made of it. */
static bool may_be_adopted(struct settling *s, const struct manifest *m)
{
	_cleanup(catalog_store) struct catalog_store at = {0};

	return s->store_id == CATALOG_MAIN_STORE || (catalog_get_store(s->catalog, s->store_id, &at) == 0 &&
	                                             artifact_is_credible(s->repo, &at, m));
}

/* The number that its manifest had is void. */
static int end_links(struct settling *s, const char *path, struct error *err)
{
	const struct artifact_place place = {.store = s->store, .id = s->store_id};
	int r = artifact_end_links(s->repo, &place, &s->call, path, LINK_VOID, 0, err);

	s->is_store = r < 0;
	return r;
}

/* Of a base that came to nothing: "backups/main/20261120T020000Z". The store was just asked, and has no such base. */
static void remove_its_packs(struct settling *s, const struct leftover *intent)
{
	const char *root = tree_roots[0].name;
	_cleanup(free) char *job = NULL;
	struct error err = {0};

	/* An intent of a pack tells nothing of its base. */
	if (!str_starts(intent->path, root) || intent->path[strlen(root)] != '/')
		return;
	job = mem_strdup(intent->path + strlen(root) + 1);
	job[strcspn(job, "/")] = '\0';
	if (artifact_remove_base_packs(s->repo, job, intent->run_id, &err) < 0)
		log_warning("packs of %s, which came to nothing, stay for now: %s", intent->path,
		            err.message);
}

static int settle_intent(struct settling *s, const struct leftover *intent, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	bool foreign, whole;
	int r = artifact_abort_uploads(s->store, &s->call, intent->path, err);

	if (r == 0)
		r = artifact_is_foreign(s->repo, s->store, &s->call, intent->path, intent->run_id, err);
	foreign = r > 0;
	if (r == 0)
		r = find_whole(s, intent->path, &m, err);
	whole = r > 0 && !foreign && may_be_adopted(s, &m);
	if (foreign)
		r = take_back_table(s, intent->path, err);
	else if (r == 0)
		r = artifact_delete(s->store, &s->call, intent->path, err);
	s->is_store = r < 0;
	if (r < 0)
		return r;
	if (whole)
		return adopt_whole(s, &m, err);
	r = end_links(s, intent->path, err);
	if (r == 0)
		r = catalog_drop_intent(s->catalog, intent->path, err);
	if (r < 0)
		return r;
	s->counts->discarded++;
	remove_its_packs(s, intent);
	return 0;
}

#define INTERRUPTED "interrupted: keepfs ended before the run did"

static int settle_run(struct settling *s, const struct leftover *run, struct error *err)
{
	int r = catalog_finish_run(s->catalog, run->run_id, RUN_FAILED, INTERRUPTED, err);

	s->is_store = false;
	if (r == 0)
		s->counts->runs_failed++;
	return r;
}

typedef int (*settle_fn)(struct settling *, const struct leftover *, struct error *);

/* In its own store. */
static int settle_at(struct settling *s, const struct leftover *item, settle_fn settle, struct error *err)
{
	struct artifact_place place;
	int r = artifact_place(s->repo, item->path, &place, err);

	s->is_store = true;
	if (r < 0)
		return r;
	s->store = place.store;
	s->store_id = place.id;
	if (artifact_is_broken(&s->broken, place.id))
		r = error_set(err, ERROR_UNAVAILABLE, EIO, "its store has failed just now");
	else
		r = settle(s, item, err);
	s->store = store_free(s->store);
	if (r < 0 && s->is_store && r != -EBADMSG && r != -EEXIST)
		artifact_note_broken(&s->broken, place.id);
	return r;
}

static int settle_all(struct settling *s, const struct leftovers *l, settle_fn settle, struct error *err)
{
	for (size_t i = 0; i < l->count; i++) {
		struct error failure = {0};
		int r = l->items[i].path ? settle_at(s, &l->items[i], settle, &failure)
		                         : settle(s, &l->items[i], &failure);

		/* One whose place is taken is no reason to leave the others. */
		if (r < 0 && (s->is_store || r == -EEXIST)) {
			s->counts->left++;
			log_warning("what is left of %s stays for now: %s", l->items[i].path,
			            failure.message);
		} else if (r < 0) {
			if (err)
				*err = failure;
			return r;
		}
	}
	return 0;
}

/* What is in the trash stays there until its time is over, by a clock that is to be trusted. */
static int64_t trash_until(struct repository *repo)
{
	struct artifact_time time;
	struct error err = {0};
	int64_t first_us;
	int r;

	if (catalog_trash_next(repo->catalog, &first_us) < 0)
		return INT64_MAX;
	artifact_read_clock(&time);
	r = artifact_check_clock(repo, &time, &err);
	if (r == 0)
		return time.now_us;
	log_warning("nothing leaves the trash now: %s", err.message);
	return INT64_MIN;
}

static int read_leftovers(struct repository *repo, struct leftovers *tombs, struct leftovers *intents,
                          struct error *err)
{
	struct catalog *catalog = repo->catalog;
	int r = catalog_tombs(catalog, trash_until(repo), remember_tomb, tombs);

	if (r == 0)
		r = catalog_intents(catalog, remember_intent, intents);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

/* The next attempt goes on with what the store did not take. */
static int settle_marks(struct settling *s)
{
	struct error err = {0};
	int r = artifact_trash_mark_all(s->repo, &s->call, &err);

	if (r < 0) {
		s->counts->left++;
		log_warning("the store could not be told yet what is in the trash: %s", err.message);
	}
	return 0;
}

static int settle_rewraps(struct settling *s)
{
	struct error err = {0};
	bool left = false;
	int r = artifact_settle_rewraps(s->repo, &s->call, &left, &err);

	if (r < 0)
		log_warning("what was rewrapped could not be looked at: %s", err.message);
	if (r < 0 || left)
		s->counts->left++;
	return 0;
}

struct settling_chains {
	struct settling *s;
	bool learns; /* an older catalog may have been put back */
	bool ends;   /* and something is left, of which a link would say that it is gone */
	bool failed;
};

static int settle_chain(struct settling_chains *all, uint64_t id, struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	struct chain_at at = {.id = id, .call = &all->s->call};
	int r = repository_open_store(all->s->repo, id, &store, err);

	if (r < 0)
		return r;
	at.store = store;
	if (all->learns)
		r = chain_learn(all->s->repo->chain, &at, NULL, err);
	if (r == 0 && all->learns && all->ends)
		r = artifact_learn_numbers(all->s->repo, store, id, &all->s->call, err);
	return r < 0 ? r : chain_ready(all->s->repo->chain, &at, err);
}

/* What one store does not take is no reason to leave the others. */
static int try_chain(void *arg, uint64_t id, struct error *err)
{
	struct settling_chains *all = arg;
	struct error why = {0};
	int r = settle_chain(all, id, &why);

	if (r < 0) {
		all->s->counts->left++;
		all->failed = all->failed || id == CATALOG_MAIN_STORE;
		artifact_note_broken(&all->s->broken, id);
		log_warning("the chain of signatures waits: %s", why.message);
	}
	return 0;
}

/* That of the catalog's own store begins here; others with the first that is written there. Where the store has numbers that the catalog does not know, none may be given out for what is
 * left: the same would be there twice. 1: that is so of the catalog's own. */
static int settle_chains(struct settling *s, bool learns, bool ends, struct error *err)
{
	struct settling_chains all = {.s = s, .learns = learns, .ends = ends};
	struct catalog_chain known;
	int r;

	if (!s->repo->chain)
		return 0;
	if (catalog_chain(s->catalog, CATALOG_MAIN_STORE, &known) == -ENOENT)
		try_chain(&all, CATALOG_MAIN_STORE, err);
	r = catalog_each_chain(s->catalog, try_chain, &all, err);
	return r < 0 ? r : all.failed && learns && ends;
}

static int settle_leftovers(struct settling *s, const struct leftovers *tombs,
                            const struct leftovers *intents, settle_fn settle, bool is_start,
                            struct error *err)
{
	bool learns = is_start || chain_is_doubted(s->repo->chain);
	int r = settle_chains(s, learns, tombs->count + intents->count > 0, err);

	if (r >= 0)
		chain_set_doubted(s->repo->chain, r > 0);
	if (r != 0)
		return r < 0 ? r : 0;
	r = settle_all(s, tombs, settle_tomb, err);
	if (r == 0)
		r = settle_all(s, intents, settle, err);
	if (r == 0)
		r = settle_marks(s);
	return r < 0 ? r : settle_rewraps(s);
}

int artifact_recover(struct repository *repo, struct artifact_recovery *ret, struct error *err)
{
	_cleanup(leftovers) struct leftovers tombs = {0}, intents = {0}, runs = {0};
	struct artifact_recovery counts = {0};
	struct settling s = {.repo = repo, .catalog = repo->catalog, .counts = &counts};
	int r = read_leftovers(repo, &tombs, &intents, err);

	if (r == 0) {
		r = catalog_unfinished_runs(repo->catalog, remember_run, &runs);
		if (r < 0)
			error_system(err, -r, "the catalog cannot be read");
	}
	if (r == 0)
		r = settle_leftovers(&s, &tombs, &intents, settle_intent, true, err);
	/* Last: an artifact that was adopted is noted at its run as long as that one is there to be noted at. */
	if (r == 0)
		r = settle_all(&s, &runs, settle_run, err);
	free(s.broken.ids);
	if (r == 0)
		*ret = counts;
	return r;
}

/* An intent belongs to its run as long as that one lives. */
static int settle_abandoned(struct settling *s, const struct leftover *intent, struct error *err)
{
	struct catalog_run run;
	int r = catalog_run(s->catalog, intent->run_id, &run);

	if (r == 0 && (run.state == RUN_PENDING || run.state == RUN_RUNNING)) {
		s->live++;
		return 0;
	}
	return settle_intent(s, intent, err);
}

int artifact_settle(struct repository *repo, struct cancel *cancel, struct artifact_recovery *counts,
                    unsigned *live, struct error *err)
{
	_cleanup(leftovers) struct leftovers tombs = {0}, intents = {0};
	struct settling s = {
	        .repo = repo, .catalog = repo->catalog, .call = {.cancel = cancel}, .counts = counts};
	int r = read_leftovers(repo, &tombs, &intents, err);

	if (r == 0)
		r = settle_leftovers(&s, &tombs, &intents, settle_abandoned, false, err);
	free(s.broken.ids);
	*live = s.live;
	return r;
}
