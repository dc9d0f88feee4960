// SPDX-License-Identifier: Apache-2.0
/*
 * What may go goes. Each removal stands for itself: it is judged once more by the catalog, in the transaction that hides the
 * backup, and the line of the audit comes with the transaction that ends the removal. What was decided is written when all is done, so a crash in between leaves what it
 * has removed removed, and the rest to the next run, by the same judgement.
 */
#include "prune_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/codec/name.h>

struct catalog_removal prune_removal(const struct prune *p, const struct prune_plan *plan, const char *by,
                                     const char *reason)
{
	/* By a clock that was set back its time would be over before it has begun. */
	int64_t trash_us = p->time.now_us > p->seen_us ? p->time.now_us : p->seen_us;

	return (struct catalog_removal){
	        .min_keep = plan->rules.min_keep,
	        .is_gone = plan->is_gone,
	        .now_us = p->time.now_us,
	        .trash_until_us = p->conf->trash_ms ? trash_us + p->conf->trash_ms * 1000 : 0,
	        .by = by,
	        .reason = reason,
	};
}

/* As it is told when it is done, which is the catalog's to tell: once, also when that is after a crash. */
static void describe_removal(const char *path, const char *by, const char *why, struct catalog_audit *ret)
{
	*ret = (struct catalog_audit){.at_us = clock_now_us(),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "remove",
	                              .result = "ok"};
	str_cut(ret->object, sizeof(ret->object), path);
	snprintf(ret->detail, sizeof(ret->detail), "%.100s (%.180s)", by, why);
}

static void note_failed_removal(const struct prune *p, struct catalog_audit *entry, int result,
                                const char *failure)
{
	size_t len = strlen(entry->detail);
	struct error err = {0};

	str_copy(entry->result, sizeof(entry->result), result == -EPERM ? "denied" : "failed");
	snprintf(entry->detail + len, sizeof(entry->detail) - len, ": %.200s", failure);
	if (catalog_add_audit(p->repository->catalog, entry, &err) < 0)
		log_error("that %s could not be removed could not be written to the audit: %s", entry->object,
		          err.message);
}

static void count_refused(struct prune_outcome *outcome, struct catalog_retention *state, const char *failure)
{
	outcome->refused++;
	state->refused++;
	str_cut(state->refused_why, sizeof(state->refused_why), failure);
	str_cut(outcome->why, sizeof(outcome->why), failure);
}

/* 0; -ENOENT: somebody else was faster; another negative errno: it was not removed, which was told. */
static int remove_backup(const struct prune *p, const struct prune_plan *plan, size_t i,
                         const struct prune_order *order, struct prune_outcome *outcome,
                         struct catalog_retention *state)
{
	uint64_t ino = plan->artifacts[i].ino;
	_cleanup(free) char *path = catalog_path(p->repository->catalog, ino);
	_cleanup(str) struct str why = {0};
	struct catalog_audit audit;
	struct catalog_removal how;
	struct error err = {0};
	int r;

	if (!path)
		return -ENOENT;
	prune_append_why(plan, i, &why);
	describe_removal(path, order->by, str_text(&why), &audit);
	how = prune_removal(p, plan, order->by, str_text(&why));
	how.audit = &audit;
	r = artifact_remove(p->repository, ino, &how, &err);
	/* A store may be busy, too. */
	if (r == -EBUSY && err.class == ERROR_CONFLICT) {
		outcome->in_use++;
		str_cut(outcome->use, sizeof(outcome->use), err.message);
	} else if (r < 0 && r != -ENOENT) {
		note_failed_removal(p, &audit, r, err.message);
		count_refused(outcome, state, err.message);
	}
	outcome->removed += r == 0;
	return r;
}

/* A store that forbids to delete forbids it for all mostly: some are tried, so that the others are not hidden for a moment
 * each. One that cannot go by itself must not keep the others: who begins is another one each time. */
#define REFUSALS_MAX 3

static size_t first_to_try(const struct prune *p, const struct prune_plan *plan)
{
	return plan->last.refused ? (size_t)(p->time.now_us / US_PER_S) % plan->count : 0;
}

/* True when all of it was gone through, as far as the store lets it go. */
static bool remove_due(const struct prune *p, const struct prune_plan *plan, const struct prune_order *order,
                       struct prune_outcome *outcome, struct catalog_retention *state)
{
	size_t first = first_to_try(p, plan), removed = outcome->removed, refused = outcome->refused;
	unsigned refusals = 0;

	for (size_t n = 0; n < plan->count && refusals < REFUSALS_MAX; n++) {
		size_t i = (first + n) % plan->count;
		int r;

		if (plan->backups[i].reasons)
			continue;
		if (order->stop && order->stop(order->arg))
			return false;
		r = remove_backup(p, plan, i, order, outcome, state);
		refusals += r == -EACCES || r == -EROFS;
	}
	if (refusals == REFUSALS_MAX) {
		state->refused = plan->due - (outcome->removed - removed);
		outcome->refused = refused + state->refused;
	}
	return true;
}

static void end_waiting(struct catalog_retention *state)
{
	state->waits_why[0] = state->waits_rules[0] = state->waits_plan[0] = '\0';
	state->waits_since_us = 0;
	state->waits_due = 0;
}

static void begin_waiting(const struct prune_plan *plan, struct catalog_retention *state)
{
	/* How many there were when it began, so that one by one cannot become very many unseen. */
	if (state->waits_since_us != plan->waits_since_us)
		state->waits_due = plan->due;
	str_copy(state->waits_why, sizeof(state->waits_why), plan->why);
	str_copy(state->waits_rules, sizeof(state->waits_rules), plan->rules_text);
	str_copy(state->waits_plan, sizeof(state->waits_plan), plan->id);
	state->waits_since_us = plan->waits_since_us;
}

/* @why: "" when it is not. */
static void set_suspended(const struct prune *p, const char *why, struct catalog_retention *state)
{
	if (!*why || !state->suspended_why[0])
		state->suspended_since_us = *why ? p->time.now_us : 0;
	str_copy(state->suspended_why, sizeof(state->suspended_why), why);
}

/* Backups go because others take their place. Where the store is older than the catalog, or somebody has deleted there, those
 * may be gone: so they are looked for before the first one goes. "" when all is there, and else why nothing goes now. */
static void look_for_the_others(const struct prune *p, const struct prune_plan *plan, char *why, size_t bytes)
{
	struct artifact_comparison counts = {0};
	struct error err = {0};

	*why = '\0';
	if (artifact_find_missing(p->repository, plan->place.path, &counts, &err) < 0)
		snprintf(why, bytes, "the store does not say whether it has those that are to stay: %.350s",
		         err.message);
	else if (counts.missing > 0)
		snprintf(
		        why, bytes,
		        "the store lacks %llu of the backups that are listed: they count as damaged from now on, and the next run removes only what others take the place of",
		        (unsigned long long)counts.missing);
}

static void carry_out(const struct prune *p, const struct prune_plan *plan, const struct prune_order *order,
                      struct prune_outcome *outcome, struct catalog_retention *state)
{
	bool goes = plan->state == PRUNE_READY || (plan->state == PRUNE_WAITS && order->is_confirmed);
	bool is_done = plan->state == PRUNE_NOTHING;
	char why[sizeof(plan->why)] = "";

	state->refused = 0;
	state->refused_why[0] = '\0';
	if (goes)
		look_for_the_others(p, plan, why, sizeof(why));
	else if (plan->state == PRUNE_SUSPENDED)
		str_copy(why, sizeof(why), plan->why);
	set_suspended(p, why, state);
	if (goes && !*why)
		is_done = remove_due(p, plan, order, outcome, state);
	if (is_done) {
		end_waiting(state);
		str_copy(state->rules, sizeof(state->rules), plan->rules_text);
	} else if (*why) {
		outcome->suspended++;
	} else if (plan->state == PRUNE_WAITS) {
		begin_waiting(plan, state);
		outcome->waiting++;
	}
	if (!is_done && (*why || plan->why[0]))
		str_copy(outcome->why, sizeof(outcome->why), *why ? why : plan->why);
}

#define TAGS_AT_ONCE 4096

int prune_tag(const struct prune *p, const struct prune_plan *plan, struct error *err)
{
	_cleanup(free) struct catalog_tag *tags = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		if (plan->artifacts[i].tiers >= 0)
			continue;
		tags = tags ? tags : mem_array(TAGS_AT_ONCE, sizeof(*tags));
		tags[n++] = (struct catalog_tag){plan->artifacts[i].ino,
		                                 plan->artifacts[i].partial ? 0 : plan->backups[i].tiers};
		if (n < TAGS_AT_ONCE)
			continue;
		r = catalog_set_tiers(p->repository->catalog, tags, n, err);
		n = 0;
	}
	return r < 0 || n == 0 ? r : catalog_set_tiers(p->repository->catalog, tags, n, err);
}

/* Locks. */

#define WISHES_AT_ONCE 4096

struct lock_wishes {
	struct repository *repository;
	struct catalog_lock_wish *items;
	size_t count;
	bool any;
	struct retention_lock_terms terms; /* of @store */
	uint64_t store;
	bool has_terms, locks;
};

static int send_wishes(struct lock_wishes *w, struct error *err)
{
	int r = w->count ? catalog_want_locks(w->repository->catalog, w->items, w->count, err) : 0;

	w->any = w->any || w->count > 0;
	w->count = 0;
	return r;
}

/* What bounds locks where backup @i is; false: nothing is locked there, or nobody can say. */
static bool find_terms(struct lock_wishes *w, const struct prune_artifact *a)
{
	_cleanup(store) struct store *store = NULL;

	if (w->has_terms && w->store == a->store)
		return w->locks;
	w->has_terms = true;
	w->store = a->store;
	w->locks = repository_open_store(w->repository, a->store, &store, NULL) == 0 &&
	           artifact_lock_terms(store, &w->terms, NULL) > 0;
	return w->locks;
}

/* Its tiers are those of its birth: what is known of one that is damaged is no less true. */
static int wish_lock(struct lock_wishes *w, const struct prune_plan *plan, size_t i,
                     const struct retention_rules *rules, struct error *err)
{
	const struct prune_artifact *a = &plan->artifacts[i];
	struct retention_backup b = plan->backups[i];
	struct retention_lock lock;
	int64_t known_s = a->lock_wanted_us / US_PER_S;

	if (b.damaged || a->missing || !find_terms(w, a))
		return 0;
	b.tiers = (uint16_t)(a->tiers > 0 ? a->tiers : 0);
	w->terms.forever = a->named;
	retention_lock_of(rules, plan->zone, &b, &w->terms, &lock);
	known_s = known_s > b.locked_until_s ? known_s : b.locked_until_s;
	if (lock.is_doubtful || !retention_lock_is_due(&lock, known_s, w->terms.now_s))
		return 0;
	w->items = w->items ? w->items : mem_array(WISHES_AT_ONCE, sizeof(*w->items));
	w->items[w->count++] = (struct catalog_lock_wish){a->ino, lock.until_s * US_PER_S};
	return w->count == WISHES_AT_ONCE ? send_wishes(w, err) : 0;
}

/* Of a job that nobody configures any more: how its rules would go on nobody can say, and that a name was mistyped for a day is no reason to lock all for years, which nobody can take
 * back. What was promised of a backup itself stays promised. A rule that says no date is one, so that this is not "everything is kept". */
static const struct retention_rules promises_alone = {.last = 1};

int prune_lock(const struct prune *p, const struct prune_plan *plan, struct error *err)
{
	struct lock_wishes w = {.repository = p->repository};
	int r = 0;

	/* Of what is gone for good nothing has to stay. */
	if (plan->is_gone)
		return 0;
	for (size_t from = 0, to; r == 0 && from < plan->count; from = to) {
		struct retention_rules rules;

		to = prune_next_content(plan, from);
		if (plan->job)
			prune_rules_of(plan, from, &rules);
		else
			rules = promises_alone;
		for (size_t i = from; r == 0 && i < to; i++)
			r = wish_lock(&w, plan, i, &rules, err);
	}
	if (r == 0)
		r = send_wishes(&w, err);
	free(w.items);
	if (w.any)
		artifact_locks_changed(p->repository);
	return r;
}

int prune_carry_out(const struct prune *p, const struct prune_plan *plan, const struct prune_order *order,
                    struct prune_outcome *outcome, struct error *err)
{
	struct catalog_retention state = plan->last;
	size_t removed = outcome->removed;
	int64_t seen_us;
	int r = prune_tag(p, plan, err);

	if (r == 0)
		r = prune_lock(p, plan, err);
	if (r == 0)
		r = artifact_see_clock(p->repository, &p->time, &seen_us, err);
	if (r < 0)
		return r;
	outcome->directories++;
	if (plan->put_off > 0 &&
	    (outcome->put_off == 0 || plan->put_off_until_us < outcome->put_off_until_us))
		outcome->put_off_until_us = plan->put_off_until_us;
	outcome->put_off += plan->put_off;
	if (plan->state != PRUNE_NO_JOB)
		carry_out(p, plan, order, outcome, &state);
	removed = outcome->removed - removed;
	state.planned_at_us = p->time.now_us;
	state.due = plan->due - removed;
	state.kept = plan->count - plan->due;
	outcome->kept += plan->count - removed;
	return catalog_set_retention(p->repository->catalog, plan->place.ino, &state, err);
}

static int prune_place(const struct prune *p, const struct catalog_place *place,
                       const struct prune_order *order, struct prune_outcome *outcome, struct error *err)
{
	_cleanup(prune_plan) struct prune_plan plan = {0};
	int r = prune_plan(p, place, &plan, err);

	return r < 0 ? r : prune_carry_out(p, &plan, order, outcome, err);
}

/* The directory itself, and nothing below it. 0 also when it lists nothing. */
static int find_place(const struct prune *p, const char *path, struct catalog_place *ret)
{
	ssize_t n = catalog_places(p->repository->catalog, path, "", ret, 1);

	if (n < 0)
		return (int)n;
	return n == 1 && strcmp(ret->path, path) == 0 ? 0 : -ENOENT;
}

int prune_directory(const struct prune *p, const char *path, const struct prune_order *order,
                    struct prune_outcome *outcome, struct error *err)
{
	struct catalog_place place;
	int r = find_place(p, path, &place);

	if (r == 0)
		return prune_place(p, &place, order, outcome, err);
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}

/* Nothing will ever be made there again. */
int prune_gone(const struct prune *p, const char *directory, const struct prune_order *order,
               struct prune_outcome *outcome, struct error *err)
{
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = catalog_places(p->repository->catalog, directory, place->path, place, 1)) > 0)
		if (place->gone_since_us > 0)
			r = prune_place(p, place, order, outcome, err);
	if (r == 0 && n < 0)
		r = error_system(err, (int)-n, "the catalog cannot be read");
	return r;
}

int prune_tag_all(const struct prune *p, struct error *err)
{
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = catalog_places(p->repository->catalog, NULL, place->path, place, 1)) > 0) {
		_cleanup(prune_plan) struct prune_plan plan = {0};

		bool untagged = catalog_has_untagged(p->repository->catalog, place->ino);

		if (!untagged && !prune_locks_anything(p->conf))
			continue;
		r = prune_plan(p, place, &plan, err);
		if (r == 0 && untagged)
			r = prune_tag(p, &plan, err);
		if (r == 0)
			r = prune_lock(p, &plan, err);
	}
	if (r == 0 && n < 0)
		r = error_system(err, (int)-n, "the catalog cannot be read");
	return r;
}

/* As the keys of its job say. */
static int removal_by_hand(const struct prune *p, uint64_t ino, const char *by, struct catalog_removal *ret,
                           struct error *err)
{
	_cleanup(free) char *directory = catalog_path(p->repository->catalog, ino);
	_cleanup(prune_plan) struct prune_plan plan = {0};
	char *slash = directory ? strrchr(directory, '/') : NULL;
	int r;

	if (!slash)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	*slash = '\0';
	r = find_place(p, directory, &plan.place);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = prune_find_rules(p, &plan, err);
	if (r == 0)
		*ret = prune_removal(p, &plan, by, "by hand");
	return r;
}

int prune_remove(const struct prune *p, uint64_t ino, const char *by, const struct catalog_audit *audit,
                 struct error *err)
{
	struct catalog_removal how;
	int r = removal_by_hand(p, ino, by, &how, err);

	if (r < 0)
		return r;
	how.audit = audit;
	return artifact_remove(p->repository, ino, &how, err);
}

int prune_check_removal(const struct prune *p, uint64_t ino, const char *by, struct error *err)
{
	struct catalog_removal how;
	int r = removal_by_hand(p, ino, by, &how, err);

	return r < 0 ? r : artifact_check_removal(p->repository, ino, &how, err);
}
