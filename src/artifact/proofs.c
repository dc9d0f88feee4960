// SPDX-License-Identifier: Apache-2.0
/*
 * Links of the chain and checkpoints have to outlive what they prove something about. They are as many as artifacts were ever made, and are asked for one by one, so they are looked at only when
 * one may be due: how they were found the last time says when that is.
 */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/stores.h>

#define AT_ONCE 500 /* that are looked at in one attempt */
#define DAY_US  (INT64_C(86400) * US_PER_S)
/* What another keepfs has put there meanwhile, or somebody's mistake has unlocked, is found all the same. */
#define LOOK_AGAIN_US (30 * DAY_US)

static int64_t store_now_us(struct store *store)
{
	struct store_features f = {0};

	return store_features(store, &f, NULL) == 0 && f.clock_us ? f.clock_us : clock_now_us();
}

static bool are_proofs_due(const struct catalog_proof_lock *known, int64_t needed_us, int64_t now_us)
{
	return known->looked_at_us == 0 || known->failing_us > 0 || known->until_us < needed_us ||
	       now_us >= known->looked_at_us + LOOK_AGAIN_US || now_us < known->looked_at_us - DAY_US;
}

/* 1: they are to be looked at; 0: they are not. */
static int begin_proofs(struct repository *repo, struct store *store, struct artifact_proofs_turn *turn,
                        struct error *err)
{
	struct catalog_proof_lock known = {0};
	struct store_features f = {0};
	int64_t needed_us;
	int r = store_features(store, &f, err);

	if (r < 0)
		return r;
	r = catalog_proof_lock(repo->catalog, turn->store, &known);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (f.lock_mode == STORE_LOCK_NONE)
		return r == 0 ? catalog_forget_proof_lock(repo->catalog, turn->store, err) : 0;
	turn->look = (struct store_proofs_turn){0};
	r = catalog_locked_until(repo->catalog, turn->store, &turn->look.latest_us);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = store_proof_needs_until(store, turn->look.latest_us, &needed_us, err);
	return r < 0 ? r : are_proofs_due(&known, needed_us, store_now_us(store));
}

static int note_proofs(struct repository *repo, struct store *store, struct artifact_proofs_turn *turn,
                       struct error *err)
{
	const struct store_proofs_turn *look = &turn->look;
	int64_t now_us = store_now_us(store);
	struct catalog_proof_lock found = {.looked_at_us = now_us,
	                                   .until_us = look->until_us,
	                                   .count = look->seen + look->failed,
	                                   .failed = look->failed,
	                                   .failing_us = look->failed ? now_us : 0};

	if (look->failed)
		snprintf(found.why, sizeof(found.why), "%.100s: %.380s", look->key, look->why);
	if (look->extended)
		log_info("%s: %llu links of the chain and checkpoints are locked for longer", store->name,
		         (unsigned long long)look->extended);
	if (look->failed)
		log_warning(
		        "%s: %llu links of the chain and checkpoints could not be locked, the first is %s",
		        store->name, (unsigned long long)look->failed, found.why);
	return catalog_set_proof_lock(repo->catalog, turn->store, &found, err);
}

/* The store, or all of its locks: those of others go on. */
static void note_failed_proofs(struct repository *repo, uint64_t store, const struct error *why)
{
	struct catalog_proof_lock found = {0};

	catalog_proof_lock(repo->catalog, store, &found);
	found.failing_us = found.failing_us > 0 ? found.failing_us : clock_now_us();
	str_cut(found.why, sizeof(found.why), why->message);
	log_warning(
	        "links of the chain and checkpoints could not be looked at, whether they are locked for long enough: %s",
	        why->message);
	catalog_set_proof_lock(repo->catalog, store, &found, NULL);
}

/* 0: these were all of the store; STORE_PROOFS_MORE. */
static int look_at_store_proofs(struct repository *repo, const struct store_call *call,
                                struct artifact_proofs_turn *turn, struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	int r = repository_open_store(repo, turn->store, &store, err);

	if (r == 0 && !turn->begun) {
		r = begin_proofs(repo, store, turn, err);
		if (r <= 0)
			return r;
		turn->begun = true;
		r = 0;
	}
	if (r == 0)
		r = store_lock_proofs(store, call, AT_ONCE, &turn->look, err);
	return r == 0 ? note_proofs(repo, store, turn, err) : r;
}

static int take_store_number(void *arg, const struct catalog_store *store, struct error *err)
{
	*(uint64_t *)arg = store->id;
	return 1;
}

int artifact_lock_proofs(struct repository *repo, const struct store_call *call,
                         struct artifact_proofs_turn *turn, struct error *err)
{
	int r;

	do {
		struct error why = {0};

		r = look_at_store_proofs(repo, call, turn, &why);
		if (r == STORE_PROOFS_MORE)
			return ARTIFACT_LOCKS_MORE;
		turn->begun = false;
		if (cancel_is_set(call->cancel))
			return 0;
		if (r < 0) {
			note_failed_proofs(repo, turn->store, &why);
			turn->failed = turn->failed || why.retry;
		}
		r = catalog_each_store(repo->catalog, turn->store, take_store_number, &turn->store, err);
	} while (r > 0);
	turn->store = CATALOG_MAIN_STORE;
	return r;
}
