// SPDX-License-Identifier: Apache-2.0
/*
 * What a store did not answer for is tried again, after a minute, after two, …, once an hour at most, until nothing is
 * left. And once a day the catalog is held against the store. After a start, and when there are other identities, what encrypted backups
 * tell of their tables is learnt. Nobody waits for any of it, and nothing wakes up while there is nothing to do.
 */
#include "artifact_private.h"

#include <errno.h>
#include <pthread.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/store/canary.h>

#define FIRST_MS         INT64_C(60000)
#define MOST_MS          INT64_C(3600000)
#define COMPARE_MS       INT64_C(86400000)
#define COMPARE_AGAIN_MS INT64_C(3900000) /* when it failed, or something was too young: that is an hour */

struct artifact_tidier {
	struct repository *repo;
	struct cancel cancel;
	int64_t first_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* due_ms, stopping */
	int64_t due_ms;         /* lock: clock_mono_ms() of the next attempt; 0: nothing is left */
	int64_t pause_ms;       /* between the last attempt and the next */
	int64_t trash_ms;   /* lock: clock_mono_ms() at which something leaves the trash; 0: it is empty */
	int64_t tried_us;   /* lock: when the last attempt began, by the clock on the wall */
	bool waits_for_run; /* lock: something is left of a run that has not ended */
	int64_t compare_ms; /* clock_mono_ms() of the next comparison; 0: none */
	int64_t facts_ms;   /* lock: clock_mono_ms() at which facts are to be learnt; 0: never */
	struct artifact_lock_turn locks;    /* its thread's */
	struct artifact_proofs_turn proofs; /* its thread's */
	bool knows_all;  /* its thread's: the last comparison found nothing that the catalog does not list */
	bool proofs_due; /* its thread's: they are to be looked at, or are */
	uint64_t *claimed;    /* lock: artifacts that somebody else is removing */
	size_t claimed_count; /* lock */
	bool stopping;        /* lock */
	pthread_t thread;
	bool started;
};

/* With the lock: soon, however long the pause is that the last attempt was followed by. */
static void be_due_soon(struct artifact_tidier *t)
{
	int64_t soon_ms = clock_mono_ms() + t->first_ms;

	if (t->due_ms == 0 || t->due_ms > soon_ms)
		t->due_ms = soon_ms;
	t->pause_ms = t->first_ms;
	pthread_cond_signal(&t->changed);
}

void artifact_left(struct repository *repo)
{
	struct artifact_tidier *t = repo->tidier;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	be_due_soon(t);
	pthread_mutex_unlock(&t->lock);
}

void artifact_run_ended(struct repository *repo)
{
	struct artifact_tidier *t = repo->tidier;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	if (t->waits_for_run)
		be_due_soon(t);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock: where it is in the list; its length when it is not. */
static size_t find_claim(const struct artifact_tidier *t, uint64_t ino)
{
	size_t i = 0;

	while (i < t->claimed_count && t->claimed[i] != ino)
		i++;
	return i;
}

/* With the lock. */
static void add_claim(struct artifact_tidier *t, uint64_t ino)
{
	t->claimed = mem_resize(t->claimed, t->claimed_count + 1, sizeof(*t->claimed));
	t->claimed[t->claimed_count++] = ino;
}

void artifact_removal_begin(struct repository *repo, uint64_t ino)
{
	struct artifact_tidier *t = repo->tidier;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	add_claim(t, ino);
	pthread_mutex_unlock(&t->lock);
}

void artifact_removal_end(struct repository *repo, uint64_t ino)
{
	struct artifact_tidier *t = repo->tidier;
	size_t i;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	i = find_claim(t, ino);
	if (i < t->claimed_count)
		t->claimed[i] = t->claimed[--t->claimed_count];
	pthread_mutex_unlock(&t->lock);
}

bool artifact_removal_try(struct repository *repo, uint64_t ino)
{
	struct artifact_tidier *t = repo->tidier;
	bool is_free;

	if (!t)
		return true;
	pthread_mutex_lock(&t->lock);
	is_free = find_claim(t, ino) == t->claimed_count;
	if (is_free)
		add_claim(t, ino);
	pthread_mutex_unlock(&t->lock);
	return is_free;
}

static int64_t earlier_ms(int64_t a_ms, int64_t b_ms)
{
	if (a_ms == 0 || b_ms == 0)
		return a_ms + b_ms;
	return a_ms < b_ms ? a_ms : b_ms;
}

/* With the lock: whichever comes first; 0: nothing is to be done. */
static int64_t next_due_ms(const struct artifact_tidier *t)
{
	return earlier_ms(earlier_ms(earlier_ms(t->due_ms, t->trash_ms), t->compare_ms), t->facts_ms);
}

/* When something leaves the trash; not later than in a day, since the clock may be set. 0: it is empty. What was over by
 * @tried_us and is still there was refused, or the clock is doubted: that lasts. */
static int64_t find_trash_ms(struct artifact_tidier *t, int64_t tried_us)
{
	/* Read before the clock on the wall: a pause between the two makes it early, not late. */
	int64_t mono_ms = clock_mono_ms(), until_us, wait_ms;

	if (catalog_trash_next(t->repo->catalog, &until_us) < 0)
		return 0;
	wait_ms = until_us <= tried_us ? MOST_MS : (until_us - clock_now_us()) / 1000 + 1;
	wait_ms = wait_ms < 1 ? 1 : wait_ms > COMPARE_MS ? COMPARE_MS : wait_ms;
	return mono_ms + wait_ms;
}

void artifact_trash_changed(struct repository *repo)
{
	struct artifact_tidier *t = repo->tidier;
	int64_t trash_ms, tried_us;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	tried_us = t->tried_us;
	pthread_mutex_unlock(&t->lock);
	trash_ms = find_trash_ms(t, tried_us);
	pthread_mutex_lock(&t->lock);
	t->trash_ms = earlier_ms(t->trash_ms, trash_ms);
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock: until something is due. False: stop. */
static bool wait_until_due(struct artifact_tidier *t)
{
	while (!t->stopping) {
		int64_t due_ms = next_due_ms(t), wait_ms = due_ms - clock_mono_ms();

		if (due_ms == 0)
			pthread_cond_wait(&t->changed, &t->lock);
		else if (wait_ms > 0)
			clock_cond_wait_ms(&t->changed, &t->lock, wait_ms);
		else
			return true;
	}
	return false;
}

/* What an attempt has left. */
struct left {
	bool failed; /* something: tried again after a pause that grows */
	bool more;   /* there was too much for one attempt */
	unsigned live;
};

static int settle_locks(struct artifact_tidier *t, const struct store_call *call, struct left *left,
                        struct error *err)
{
	int r = artifact_settle_locks(t->repo, call, &t->locks, err);

	left->more = r == ARTIFACT_LOCKS_MORE;
	if (r == 0) {
		left->failed = left->failed || t->locks.failed;
		t->locks.failed = false;
	}
	if (r < 0 || !t->proofs_due)
		return r < 0 ? r : 0;
	r = artifact_lock_proofs(t->repo, call, &t->proofs, err);
	if (r == ARTIFACT_LOCKS_MORE) {
		left->more = true;
		return 0;
	}
	left->failed = left->failed || t->proofs.failed;
	t->proofs_due = t->proofs.failed;
	t->proofs.failed = false;
	return r;
}

/* What a store has and the catalog does not list may need any pack. */
static void collect_packs(struct artifact_tidier *t, struct left *left)
{
	struct error err = {0};
	uint64_t count = 0;
	int r;

	if (!t->knows_all)
		return;
	r = artifact_collect_packs(t->repo, clock_now_us(), &t->cancel, &count, &err);
	if (count > 0)
		log_info("%llu packs were removed, which no backup needs any more",
		         (unsigned long long)count);
	if (r < 0 && r != -ECANCELED)
		log_warning("packs that no backup needs stay for now: %s", err.message);
	left->failed = left->failed || r < 0;
}

static void try_again(struct artifact_tidier *t, struct left *left)
{
	struct artifact_recovery counts = {0};
	struct error err = {0};
	const struct store_call call = {.cancel = &t->cancel};
	int r = artifact_settle(t->repo, &t->cancel, &counts, &left->live, &err);
	bool is_settled = r == 0;

	if (counts.removed || counts.discarded || counts.adopted)
		log_info(
		        "tried again: %u removals finished, %u remains of failed runs discarded, %u backups listed",
		        counts.removed, counts.discarded, counts.adopted);
	if (r == 0)
		r = settle_locks(t, &call, left, &err);
	if (r < 0 && r != -ECANCELED)
		log_warning("what is left in the store could not be cleared up: %s", err.message);
	/* What a run had published, and could not list, is listed by now. */
	if (is_settled)
		collect_packs(t, left);
	left->failed = left->failed || r < 0 || counts.left > 0;
}

/* With the lock: when to go on. What there was too much of goes on soon, however often something else has failed. */
static void plan_next_attempt(struct artifact_tidier *t, const struct left *left)
{
	int64_t pause_ms = left->more ? t->first_ms : t->pause_ms;

	if (!left->more)
		t->pause_ms = !left->failed               ? t->first_ms
		              : t->pause_ms < MOST_MS / 2 ? 2 * t->pause_ms
		                                          : MOST_MS;
	if (!left->more)
		pause_ms = t->pause_ms;
	if ((left->failed || left->more) && t->due_ms == 0)
		t->due_ms = clock_mono_ms() + pause_ms;
}

/* With the lock, which is given up meanwhile. */
static void make_attempt(struct artifact_tidier *t)
{
	struct left left = {0};
	int64_t trash_ms, tried_us;

	t->due_ms = t->trash_ms = 0;
	t->tried_us = tried_us = clock_now_us();
	/* Before it is looked at: a run may end meanwhile. */
	t->waits_for_run = true;
	pthread_mutex_unlock(&t->lock);
	try_again(t, &left);
	trash_ms = find_trash_ms(t, tried_us);
	pthread_mutex_lock(&t->lock);
	t->trash_ms = earlier_ms(t->trash_ms, trash_ms);
	t->waits_for_run = left.live > 0;
	plan_next_attempt(t, &left);
}

/* What 'keepfs check' has locked for a minute: there are some mostly where locks are in use, and nobody asks else. */
static void clear_canaries_of(struct repository *repo, uint64_t id, struct cancel *cancel)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(store) struct store *store = NULL;
	struct store_features f = {0};
	unsigned left;

	if (repository_open_store(repo, id, &store, NULL) == 0 && store_features(store, &f, NULL) == 0 &&
	    f.lock_mode != STORE_LOCK_NONE)
		store_clear_canaries(store, &call, &left, NULL);
}

static int clear_canaries_at(void *arg, const struct catalog_store *at, struct error *err)
{
	struct artifact_tidier *t = arg;

	clear_canaries_of(t->repo, at->id, &t->cancel);
	return cancel_is_set(&t->cancel);
}

static void clear_canaries(struct artifact_tidier *t)
{
	clear_canaries_of(t->repo, CATALOG_MAIN_STORE, &t->cancel);
	catalog_each_store(t->repo->catalog, CATALOG_MAIN_STORE, clear_canaries_at, t, NULL);
}

/* Time alone has locks end, whether or not anything is made or removed. */
static void look_at_locks(struct artifact_tidier *t)
{
	if (t->repo->daily)
		t->repo->daily(t->repo->daily_arg);
	t->proofs_due = true;
	artifact_left(t->repo);
}

/* Returns when it is worth comparing again. */
static int64_t compare_all(struct artifact_tidier *t)
{
	struct artifact_comparison counts = {0};
	struct catalog_pack pack;
	struct error err = {0};
	int r = artifact_compare(t->repo, clock_now_us(), &t->cancel, &counts, &err);

	if (counts.adopted || counts.unlisted || counts.missing)
		log_warning(
		        "the catalog was held against the store: %llu backups that it did not list are listed now, "
		        "%llu in the store are not, %llu that are listed are missing there",
		        (unsigned long long)counts.adopted, (unsigned long long)counts.unlisted,
		        (unsigned long long)counts.missing);
	if (counts.changed)
		log_info("another keepfs has rewrapped %llu backups: their new objects are listed",
		         (unsigned long long)counts.changed);
	if (r < 0 && r != -ECANCELED)
		log_warning("the catalog could not be held against the store: %s", err.message);
	t->knows_all = r == 0 && counts.unlisted == 0;
	if (r == 0 && counts.unlisted > 0 && catalog_next_unneeded_pack(t->repo->catalog, "", &pack) == 0)
		log_info(
		        "packs that no backup needs are not removed, since the store holds backups that are not listed");
	clear_canaries(t);
	look_at_locks(t);
	return r < 0 || counts.young ? COMPARE_AGAIN_MS : COMPARE_MS;
}

/* With the lock, which is given up meanwhile. */
static void make_comparison(struct artifact_tidier *t)
{
	int64_t next_ms;

	pthread_mutex_unlock(&t->lock);
	next_ms = compare_all(t);
	pthread_mutex_lock(&t->lock);
	t->compare_ms = clock_mono_ms() + next_ms;
}

void artifact_identities_changed(struct repository *repo)
{
	struct artifact_tidier *t = repo->tidier;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->facts_ms = clock_mono_ms();
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock, which is given up meanwhile. */
static void learn_hidden_facts(struct artifact_tidier *t)
{
	struct error err = {0};
	int r;

	t->facts_ms = 0;
	pthread_mutex_unlock(&t->lock);
	r = artifact_learn_facts(t->repo, &t->cancel, &err);
	if (r < 0 && r != -ECANCELED)
		log_warning("what encrypted backups tell of their tables is learnt later: %s", err.message);
	pthread_mutex_lock(&t->lock);
	if (r < 0)
		t->facts_ms = earlier_ms(t->facts_ms, clock_mono_ms() + MOST_MS);
}

static void *tidier_main(void *arg)
{
	struct artifact_tidier *t = arg;

	pthread_mutex_lock(&t->lock);
	while (wait_until_due(t)) {
		int64_t attempt_ms = earlier_ms(t->due_ms, t->trash_ms);

		if (attempt_ms != 0 && attempt_ms <= clock_mono_ms())
			make_attempt(t);
		else if (t->facts_ms != 0 && t->facts_ms <= clock_mono_ms())
			learn_hidden_facts(t);
		else
			make_comparison(t);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int artifact_tidier_start(struct repository *repo, int64_t first_ms, int64_t compare_ms,
                          struct artifact_tidier **ret_tidier, struct error *err)
{
	struct artifact_tidier *t = mem_alloc(sizeof(*t));
	int r;

	t->repo = repo;
	t->first_ms = t->pause_ms = first_ms;
	/* What the start could not settle is due as well. */
	t->due_ms = clock_mono_ms() + first_ms;
	t->compare_ms = compare_ms ? clock_mono_ms() + compare_ms : 0;
	t->facts_ms = clock_mono_ms();
	cancel_init(&t->cancel);
	pthread_mutex_init(&t->lock, NULL);
	clock_cond_init(&t->changed);
	/* Before its thread starts, because that asks the repository for its tidier. */
	repo->tidier = t;
	r = thread_start(&t->thread, "tidy", tidier_main, t);
	t->started = r == 0;
	if (r < 0) {
		artifact_tidier_free(t);
		return error_system(err, -r, "a thread for clearing up cannot be started");
	}
	*ret_tidier = t;
	return 0;
}

int artifact_tidier_new(struct repository *repo, struct artifact_tidier **ret_tidier, struct error *err)
{
	return artifact_tidier_start(repo, FIRST_MS, FIRST_MS, ret_tidier, err);
}

struct artifact_tidier *artifact_tidier_free(struct artifact_tidier *t)
{
	if (!t)
		return NULL;
	cancel_set(&t->cancel);
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (t->started)
		pthread_join(t->thread, NULL);
	if (t->repo->tidier == t)
		t->repo->tidier = NULL;
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	cancel_finish(&t->cancel);
	free(t->claimed);
	free(t);
	return NULL;
}
