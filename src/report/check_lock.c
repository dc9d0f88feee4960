// SPDX-License-Identifier: Apache-2.0
/* Health of object lock: does the bucket keep locks, as 'keepfs check' last found out, and is everything locked that is to be? */
#include "checks.h"
#include "line.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/replica_locks.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/store.h>
#include <keepfs/stores.h>

#include <string.h>

#define PROBES_MAX 64

/* The section of the store that a probe is about, as long as locks are asked for there; NULL: they are not. */
static const struct conf_store *store_of_probe(const struct conf *conf, const struct catalog_probe *probe)
{
	const char *of = strchr(probe->check, '[');
	const struct conf_named_store *named = NULL;
	_cleanup(free) char *name = NULL;
	const struct conf_store *store = &conf->store;

	if (of && str_starts(of, "[store ")) {
		name = mem_printf("%.*s", (int)strcspn(of + strlen("[store "), "]"), of + strlen("[store "));
		named = conf_find_store(conf, name);
		store = named ? &named->store : NULL;
	}
	return store && store->object_lock != STORE_LOCK_NONE ? store : NULL;
}

static void tell_failed_canary(struct checking *c, const struct catalog_probe *probe)
{
	const char *of = strchr(probe->check, '[');
	struct health_item *item = checking_add(c, REPORT_CRIT, mem_strdup("object lock"), of ? of : "");

	item->since_us = probe->at_us;
	item->text = mem_strdup(probe->detail);
	item->what_to_do =
	        mem_strdup(*probe->fix ? probe->fix : "mend it, and look again with: keepfs check");
}

/* What no run that completes since can prove wrong: it stands until the next probe. */
static bool tell_failed_canaries(struct checking *c)
{
	_cleanup(free) struct catalog_probe *probes = mem_array(PROBES_MAX, sizeof(*probes));
	ssize_t count = catalog_probes(c->from->catalog, probes, PROBES_MAX);
	bool any = false;

	for (ssize_t i = 0; i < count; i++) {
		if (probes[i].ok || !is_about_locks(&probes[i]) || !store_of_probe(c->from->conf, &probes[i]))
			continue;
		tell_failed_canary(c, &probes[i]);
		any = true;
	}
	if (count < 0)
		checking_catalog_failed(c, (int)count);
	return any;
}

static void tell_failing_locks(struct checking *c, const struct catalog_lock_state *state)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_strdup("object lock"), state->path);
	char since[32];

	item->since_us = state->since_us;
	item->text = mem_printf("%llu backups are not locked in the store as they are to be; %s since %s: %s",
	                        (unsigned long long)state->failing, state->path,
	                        line_time(state->since_us, "-", since), state->why);
	item->what_to_do = mem_strdup(
	        "it is tried again by itself; give the key the right that is missing, if it is that");
}

static char *store_of_proofs(struct checking *c, uint64_t id)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	_cleanup(str) struct str place = {0};

	if (id == CATALOG_MAIN_STORE || catalog_get_store(c->from->catalog, id, &at) < 0)
		return mem_strdup("the store");
	stores_describe(&at, &place);
	return str_take(&place);
}

/* Links of the chain and checkpoints, which are no backups. */
static bool tell_failing_proofs(struct checking *c)
{
	struct catalog_proof_lock lock = {0};
	_cleanup(free) char *store = NULL;
	struct health_item *item;
	uint64_t count = 0, id = 0;
	char since[32];
	int r = catalog_failing_proof_locks(c->from->catalog, &count, &id);

	if (r == 0 && count > 0)
		r = catalog_proof_lock(c->from->catalog, id, &lock);
	if (r < 0)
		checking_catalog_failed(c, r);
	if (r < 0 || count == 0)
		return false;
	store = store_of_proofs(c, id);
	item = checking_add(c, REPORT_WARN, mem_strdup("object lock"), store);
	item->since_us = lock.failing_us;
	item->text = mem_printf(
	        "links of the chain and checkpoints in %s are not locked for as long as they are to be, since %s: %s",
	        store, line_time(lock.failing_us, "-", since), lock.why);
	item->what_to_do = mem_strdup(
	        "it is tried again each day; give the key the right that is missing, if it is that");
	return true;
}

static bool are_copies_locked(const struct conf *conf)
{
	for (size_t i = 0; i < conf->store_count; i++)
		if (conf->stores[i].store.object_lock != STORE_LOCK_NONE &&
		    conf_is_for_copies(conf, conf->stores[i].name))
			return true;
	return false;
}

static void tell_failing_copies(struct checking *c, const struct catalog_replica_lock_state *state)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct health_item *item =
	        checking_add(c, REPORT_WARN, mem_strdup("object lock of copies"), state->path);
	char since[32];

	catalog_get_store(c->from->catalog, state->store, &at);
	item->since_us = state->since_us;
	item->text = mem_printf(
	        "%llu copies are not locked in their store as they are to be; %s in %s since %s: %s",
	        (unsigned long long)state->failing, state->path, str_or_empty(at.name),
	        line_time(state->since_us, "-", since), state->why);
	item->what_to_do = mem_strdup(
	        "it is tried again by itself; give the key the right that is missing, if it is that");
}

/* Beside the first store's, of which this says nothing. */
static void check_copies_lock(struct checking *c)
{
	struct catalog_replica_lock_state state = {0};
	struct health_item *item;
	int r;

	if (!are_copies_locked(c->from->conf))
		return;
	r = catalog_replica_lock_state(c->from->catalog, c->from->now_us, &state);
	if (r < 0) {
		checking_catalog_failed(c, r);
		return;
	}
	if (state.failing > 0) {
		tell_failing_copies(c, &state);
		return;
	}
	item = checking_add(c, REPORT_OK, mem_strdup("object lock of copies"), "");
	item->text = mem_printf(
	        "%llu copies are locked in their store; the removal of %llu is put off until their locks end",
	        (unsigned long long)state.locked, (unsigned long long)state.put_off);
}

void check_object_lock(struct checking *c)
{
	struct catalog_lock_state state = {0};
	struct health_item *item;
	int r;

	if (tell_failed_canaries(c))
		return;
	check_copies_lock(c);
	r = catalog_lock_state(c->from->catalog, c->from->now_us, &state);
	if (r < 0) {
		checking_catalog_failed(c, r);
		return;
	}
	if (state.failing > 0) {
		tell_failing_locks(c, &state);
		return;
	}
	if (tell_failing_proofs(c))
		return;
	if (c->from->conf->store.object_lock == STORE_LOCK_NONE)
		return;
	item = checking_add(c, REPORT_OK, mem_strdup("object lock"), "");
	item->text = mem_printf(
	        "%llu backups are locked in the store; the locks of %llu are to be brought up to date",
	        (unsigned long long)state.locked, (unsigned long long)state.due);
}
