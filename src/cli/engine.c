// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include "process.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/chain.h>
#include <keepfs/codec/name.h>
#include <keepfs/keyring.h>
#include <keepfs/keyring/signing.h>
#include <keepfs/kinds.h>
#include <keepfs/report/expected.h>
#include <keepfs/use.h>
#include <keepfs/prune.h>

#include <errno.h>
#include <string.h>

/* The first look at the store must not hold up a start for long when the store is down, nor the last one an end: what is
 * not done then is done after the next start. */
#define HASTY_DEADLINE_MS      10000
#define LOOK_AHEAD_DEADLINE_MS 10000
#define REBUILD_THREADS        8
#define OTHER_CONNECTIONS      16 /* beside those for reading */

int engine_open_net(const struct conf *conf, struct net **ret_net, struct error *err)
{
	const struct net_options options = {
	        .ca_file = conf->store.ca_file && *conf->store.ca_file ? conf->store.ca_file : NULL,
	        .max_connections = OTHER_CONNECTIONS + (unsigned)conf->read.connections,
	};

	return net_new(&options, ret_net, err);
}

int engine_open_store(const struct conf *conf, struct store_metrics *metrics, struct net **ret_net,
                      struct store **ret_store, struct error *err)
{
	struct net *net = NULL;
	int r = engine_open_net(conf, &net, err);

	if (r < 0)
		return r;
	r = store_open(&conf->store, net, metrics, ret_store, err);
	if (r < 0) {
		net_free(net);
		return r;
	}
	*ret_net = net;
	return 0;
}

/* A catalog that is new begins with an empty store: what is there already would not be listed, and look
 * lost. */
static int begin_catalog(struct engine *e, struct store *store, struct error *err)
{
	_cleanup(free) struct store_object *found = NULL;
	size_t count = 0;
	bool more;
	int r = store_list(store, NULL, "manifests/", NULL, 1, &found, &count, &more, err);

	if (r < 0) {
		error_prefix(err, "the catalog in %s is new, so the store must say whether it holds backups",
		             e->conf->state_dir);
		return r;
	}
	if (count > 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s holds backups that the catalog in %s does not know: list them with 'keepfs rebuild', or give this keepfs a prefix of its own in [store] url",
		        e->conf->store.url, e->conf->state_dir);
	return catalog_set_store_url(e->catalog, e->conf->store.url, err);
}

/* The same store, which gives up soon. It keeps a pointer to @hasty. */
static int open_hasty_store(struct engine *e, struct conf_store *hasty, struct store **ret_store,
                            struct error *err)
{
	*hasty = e->conf->store;
	hasty->retry_deadline_ms = HASTY_DEADLINE_MS;
	return store_open_fenced(hasty, e->net, e->metrics, e->fence, ret_store, err);
}

/* A store whose settings are its own: a driver keeps a pointer to them. */
struct own_store {
	struct conf_store conf; /* its texts are the configuration's */
	struct store *store;
};

static void free_own_store(void *arg)
{
	struct own_store *o = arg;

	store_free(o->store);
	free(o);
}

/* It gives up while there is time to try again, and is not what faults are rehearsed on. */
static int open_own_store(const struct engine *e, int64_t deadline_ms, const struct store_fence *fence,
                          struct store **ret_store, struct error *err)
{
	struct own_store *o = mem_alloc(sizeof(*o));
	int r;

	o->conf = e->conf->store;
	o->conf.retry_deadline_ms = deadline_ms;
	o->conf.faults = NULL;
	r = store_open_fenced(&o->conf, e->net, e->metrics, fence, &o->store, err);
	if (r < 0) {
		free(o);
		return r;
	}
	*ret_store = store_handle_new(o->store, NULL, free_own_store, o);
	return 0;
}

static int64_t lease_deadline_ms(const struct conf *conf)
{
	return conf->lease_ms / 3 < HASTY_DEADLINE_MS ? conf->lease_ms / 3 : HASTY_DEADLINE_MS;
}

int engine_take_lease(const struct conf *conf, struct net *net, struct store_metrics *metrics,
                      const struct lease_wait *wait, struct lease **ret_lease, struct error *err)
{
	struct lease_options options = {.state_dir = conf->state_dir, .length_ms = conf->lease_ms};
	const struct engine from = {.conf = conf, .net = net, .metrics = metrics};
	struct lease *lease = NULL;
	int r;

	if (conf->role == CONF_READER)
		return error_set(
		        err, ERROR_USAGE, EROFS,
		        "[keepfs] role = reader: this keepfs writes nothing to the store, so this is for the host of the writer");
	r = open_own_store(&from, lease_deadline_ms(conf), NULL, &options.store, err);
	if (r == 0)
		r = lease_new(&options, &lease, err);
	if (r == 0)
		r = lease_take(lease, wait, err);
	if (r < 0) {
		lease_free(lease);
		return r;
	}
	*ret_lease = lease;
	return r;
}

/* While the store does not answer everything goes on but writing. */
static int begin_writing(struct engine *e, const struct lease_wait *wait, struct error *err)
{
	struct error why = {0};
	int r = engine_take_lease(e->conf, e->net, e->metrics, wait, &e->lease, &why);

	if (r < 0 && err)
		*err = why;
	if (r < 0)
		return r;
	if (r == LEASE_LATER)
		log_warning("nothing is written to the store until it answers: %s", why.message);
	e->fence = lease_fence(e->lease);
	e->taken_over = r == LEASE_TAKEN_OVER;
	return 0;
}

static int begin_telling(struct engine *e, struct error *err)
{
	struct store *store = NULL;
	int r = open_own_store(e, HASTY_DEADLINE_MS, e->fence, &store, err);

	return r < 0 ? r : head_writer_new(&e->repository, store, &e->head, err);
}

/* Has anybody written since what the catalog lists? Also by what a start before this one has not come to: it took the lease of another one, and failed, or was killed. */
static int is_behind(struct engine *e, bool *ret, struct error *err)
{
	uint64_t number = lease_number(e->lease), known = 0;
	int restored = catalog_is_restored(e->catalog),
	    r = restored < 0 ? restored : catalog_fence(e->catalog, &known);

	if (r < 0)
		return error_system(err, -r, "the catalog in %s cannot be read", e->conf->state_dir);
	*ret = restored || e->taken_over || (number && known != number - 1);
	return 0;
}

/* The next start need not compare: nobody else had the lease between the one that is known and ours. */
static void note_fence(struct engine *e)
{
	uint64_t number = lease_number(e->lease), known = 0;
	struct error err = {0};

	if (!number || !e->catalog || catalog_fence(e->catalog, &known) < 0 || known == number ||
	    (!e->caught_up && (e->taken_over || known != number - 1)))
		return;
	if (catalog_set_fence(e->catalog, number, &err) < 0)
		log_warning("the next start compares the catalog with the store once more: %s", err.message);
}

/* Another keepfs wrote here meanwhile: what it has made is listed, what it has removed is not any more. */
static int catch_up(struct engine *e, struct error *err)
{
	struct artifact_comparison counts = {.progress = e->opening->reading, .arg = e->opening->reading_arg};
	int r = artifact_follow_all(&e->repository, clock_now_us(), NULL, &counts, err);

	if (r == 0 && (counts.adopted || counts.missing || counts.changed))
		log_info(
		        "another keepfs wrote here before: %llu backups of its are listed, %llu that it removed are not any more, %llu were rewrapped",
		        (unsigned long long)counts.adopted, (unsigned long long)counts.missing,
		        (unsigned long long)counts.changed);
	return r;
}

static int settle_catalog(struct engine *e, bool is_new, struct error *err)
{
	struct conf_store hasty;
	_cleanup(store) struct store *store = NULL;
	_cleanup(stores) struct stores *stores = NULL;
	struct artifact_recovery recovery = {0};
	struct repository repository = {.catalog = e->catalog, .chain = e->chain, .lease = e->lease};
	int r = open_hasty_store(e, &hasty, &store, err);

	stores = stores_new(&(struct stores_options){.conf = e->conf,
	                                             .main = store,
	                                             .catalog = e->catalog,
	                                             .metrics = e->metrics,
	                                             .fence = e->fence,
	                                             .retry_deadline_ms = HASTY_DEADLINE_MS});
	repository.store = store ? stores_main(stores) : NULL;
	repository.stores = stores;
	if (r == 0 && is_new)
		r = begin_catalog(e, store, err);
	if (r == 0)
		r = artifact_recover(&repository, &recovery, err);
	if (r == 0)
		r = use_restore_recover(e->catalog, e->conf->state_dir, err);
	if (r < 0)
		return r;
	if (recovery.adopted || recovery.discarded || recovery.removed || recovery.runs_failed)
		log_info(
		        "after a crash: %u unfinished runs failed, %u uploads discarded, %u backups adopted, %u removals finished",
		        recovery.runs_failed, recovery.discarded, recovery.adopted, recovery.removed);
	if (recovery.left)
		log_warning(
		        "%u leftovers of a crash are still in the store, which did not answer: that is tried again later, or at the next start",
		        recovery.left);
	return 0;
}

struct directories { /* NULL-terminated */
	char **items;
	size_t count;
};

static void add_directory(struct directories *d, char *path)
{
	d->items = mem_resize(d->items, d->count + 2, sizeof(*d->items));
	d->items[d->count++] = path;
	d->items[d->count] = NULL;
}

/* The directories of what each job makes; those of jobs that are gone go when they are empty. What a job would make now
 * may not be known now: then it has its own, and those that are not empty. */
static void gather_directories(struct engine *e, const struct conf *conf, struct directories *d)
{
	for (size_t i = 0; i < conf->job_count; i++) {
		_cleanup(make_targets) struct make_targets targets = {0};
		const struct conf_job *job = &conf->jobs[i];
		/* A server that is down must not hold up a start. */
		const struct make_wanted known = {.offline = true};

		add_directory(d, make_directory_of(job, NULL));
		if (kind_of(job)->targets(&e->make, job, &known, &targets, NULL) < 0)
			continue;
		for (size_t k = 0; k < targets.count; k++)
			add_directory(d, mem_strdup(targets.items[k].directory));
	}
}

/* A catalog that was put back knows nothing of what was made since, and would give the numbers of those runs to others. The
 * tidier compares all; here is looked for what is newer than the newest, before a run can begin. */
static void look_ahead(struct engine *e, const struct directories *d)
{
	const int64_t deadline_ms = clock_mono_ms() + LOOK_AHEAD_DEADLINE_MS;
	struct artifact_comparison counts = {0};
	struct error err = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->count; i++)
		r = artifact_look_ahead(&e->repository, d->items[i], clock_now_us(), deadline_ms, &counts,
		                        &err);
	if (counts.adopted)
		log_warning(
		        "%llu backups in the store were not listed, as if an older catalog had been put back: "
		        "they are listed now",
		        (unsigned long long)counts.adopted);
	if (r < 0)
		log_warning(
		        "whether the store holds newer backups than the catalog lists is not known yet: %s",
		        err.message);
}

static void cleanup_directories(struct directories *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->items[i]);
	free(d->items);
}

static int ensure_directories(struct engine *e, const struct directories *d, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < d->count && r == 0; i++)
		r = catalog_ensure_directory(e->catalog, d->items[i], clock_now_us(), err);
	return r;
}

static int make_directories(struct engine *e, struct error *err)
{
	_cleanup(directories) struct directories d = {.items = mem_array(1, sizeof(*d.items))};
	int r;

	gather_directories(e, e->conf, &d);
	look_ahead(e, &d);
	r = catalog_drop_empty_directories(e->catalog, (const char *const *)d.items, err);
	if (r == 0)
		r = ensure_directories(e, &d, err);
	return r < 0 ? r : report_expect_backups(e->catalog, e->conf, clock_now_us(), err);
}

/* Those of jobs that are gone go at the next start: a run may be making a backup there. */
int engine_add_directories(struct engine *e, const struct conf *conf, struct error *err)
{
	_cleanup(directories) struct directories d = {.items = mem_array(1, sizeof(*d.items))};
	int r;

	gather_directories(e, conf, &d);
	r = ensure_directories(e, &d, err);
	return r < 0 ? r : report_expect_backups(e->catalog, conf, clock_now_us(), err);
}

int engine_read_keys(struct engine *e, const struct conf *conf, struct error *err)
{
	struct error why = {0};
	const struct chain_at at = {.id = CATALOG_MAIN_STORE, .store = e->store};
	int r = signing_read_again(e->signing, conf, err);

	if (r < 0 || e->conf->role == CONF_READER)
		return r;
	chain_set_compaction(e->chain, conf->chain_compact_ms, conf->chain_compact_links);
	/* With the old key at hand, which may be taken away behind this. */
	if (chain_ready(e->chain, &at, &why) < 0)
		log_warning("the chain of signatures waits: %s", why.message);
	return 0;
}

/* Backups are made without them, so they are no reason to go on with an older configuration. */
void engine_read_identities(struct engine *e, const struct conf *conf, struct str *warnings)
{
	struct error err = {0};
	size_t count;

	keyring_follow(e->keyring, conf);
	if (keyring_can_read(e->keyring) && keyring_check(e->keyring, NULL, &count, &err) < 0)
		str_appendf(warnings, "what is encrypted cannot be read: %s\n", err.message);
	artifact_identities_changed(&e->repository);
}

void engine_tag_backups(struct engine *e, const struct conf *conf)
{
	struct artifact_time time;
	struct error err = {0};
	struct prune p;
	int r;

	artifact_read_clock(&time);
	r = prune_begin(&p, &e->repository, conf, &time, &err);
	if (r == 0)
		r = prune_tag_all(&p, &err);
	if (r < 0)
		log_warning(
		        "which backups are the first of their day, week, month or year is found out later: %s",
		        err.message);
}

/*
 * The catalog lists what is in one store. With another one, or with the empty mountpoint of a disk that is
 * not mounted, its backups would be listed and not be there, and new ones would go where nobody looks for
 * them.
 */
static int check_bound(struct engine *e, bool *ret_new, struct error *err)
{
	const char *url = e->conf->store.url;
	_cleanup(free) char *known = catalog_store_url(e->catalog);
	struct catalog_totals totals;
	int r = catalog_totals(e->catalog, NULL, &totals);

	if (r < 0)
		return error_system(err, -r, "the catalog in %s cannot be read", e->conf->state_dir);
	*ret_new = !str_equal(known, url);
	if (totals.artifacts == 0)
		return 0;
	if (known && *ret_new)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the catalog in %s lists %llu backups of %s, but [store] url is %s: "
		        "set the old url again, give this store a state_dir of its own, or list what it holds with 'keepfs rebuild'",
		        e->conf->state_dir, (unsigned long long)totals.artifacts, known, url);
	if (str_starts(url, "dir:") && !store_dir_is_used(url + strlen("dir:")))
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "%s holds nothing of keepfs's, but the catalog lists %llu backups there: "
		        "is its disk mounted? If they are lost for good, start anew with 'keepfs rebuild'",
		        url, (unsigned long long)totals.artifacts);
	return 0;
}

/* The first start of a reader, or of one that stood by: the newest copy of the catalog has nearly all, and the history beside. What is newer, and
 * what is gone, the comparison tells that follows. Without a copy each manifest is read. */
static int begin_reader(struct engine *e, struct error *err)
{
	struct artifact_rebuild io = {
	        .threads = REBUILD_THREADS, .progress = e->opening->reading, .arg = e->opening->reading_arg};
	int restored = catalog_is_restored(e->catalog), r = 0;

	if (restored < 0)
		return error_system(err, -restored, "the catalog in %s cannot be read", e->conf->state_dir);
	if (restored)
		r = catalog_restored_begin(e->catalog, err);
	else
		r = artifact_rebuild(&e->repository, &io, NULL, err);
	return r < 0 ? r : catalog_set_store_url(e->catalog, e->conf->store.url, err);
}

/* The store need not answer, when the catalog knows it already. */
static int begin_reading(struct engine *e, bool is_new, struct error *err)
{
	int r = is_new ? begin_reader(e, err) : 0;

	if (r == 0)
		r = use_restore_recover(e->catalog, e->conf->state_dir, err);
	return r;
}

static void ignore_problem(void *arg, const char *text)
{
	log_warning("%s", text);
}

/* Before the store is opened with the catalog: it is closed, and made from a copy. */
static int fetch_catalog(struct engine *e, struct error *err)
{
	struct copies_restore restore = {.conf = e->conf, .problem = ignore_problem};
	_cleanup(store) struct store *store = NULL;
	struct net *net = NULL;
	int r = engine_open_store(e->conf, e->metrics, &net, &store, err);

	restore.store = store;
	if (r == 0) {
		e->catalog = catalog_free(e->catalog);
		r = copies_restore(&restore, err);
	}
	if (r == 0 && restore.key)
		log_info("the catalog begins with %s", restore.key);
	free(restore.key);
	store = store_free(store);
	net_free(net);
	return r < 0 ? r : catalog_open(e->conf->state_dir, &e->catalog, err);
}

/* Of one that has none yet, and follows another keepfs, or takes its place. */
static int fill_catalog(struct engine *e, struct error *err)
{
	int r = catalog_is_new(e->catalog);

	if (r < 0)
		return error_system(err, -r, "the catalog in %s cannot be read", e->conf->state_dir);
	return r ? fetch_catalog(e, err) : 0;
}

static int open_main_store(struct engine *e, const struct lease_wait *wait, struct error *err)
{
	int r = engine_open_net(e->conf, &e->net, err);

	if (r == 0 && e->conf->role == CONF_READER)
		e->fence = lease_fence_of_reader();
	else if (r == 0)
		r = begin_writing(e, wait, err);
	if (r == 0 && (e->conf->role == CONF_READER || wait->forever))
		r = fill_catalog(e, err);
	return r < 0 ? r : store_open_fenced(&e->conf->store, e->net, e->metrics, e->fence, &e->store, err);
}

static void ignore_hold(void *arg, const char *name, const char *reason)
{
	log_warning("the hold '%s' (%s) is of a backup that the store does not hold: it is dropped", name,
	            reason);
}

/* All is listed that the store has: what has come since the copy is known. */
static int end_restoring(struct engine *e, struct error *err)
{
	const struct records_context ctx = engine_records(e);
	const struct records_moved moved = {.problem = ignore_problem};
	const struct catalog_restored restored = {.all_listed = true, .hold = ignore_hold};
	int r = records_drop_moved(&ctx, &moved, NULL, err);

	return r < 0 ? r : catalog_restored_end(e->catalog, &restored, err);
}

static int catch_up_with_others(struct engine *e, struct error *err)
{
	bool behind = false;
	int r = is_behind(e, &behind, err);

	if (r == 0 && behind)
		r = catch_up(e, err);
	if (r == 0 && catalog_is_restored(e->catalog) > 0)
		r = end_restoring(e, err);
	if (r < 0)
		return r;
	e->caught_up = lease_number(e->lease) > 0;
	note_fence(e);
	return make_directories(e, err);
}

static int open_parts(struct engine *e, const struct lease_wait *wait, struct error *err)
{
	bool is_new = false;
	int r = process_check_files(e->conf, err);

	if (r == 0)
		r = catalog_lock(e->conf->state_dir, &e->lock_fd, err);
	if (r == 0)
		r = catalog_open(e->conf->state_dir, &e->catalog, err);
	if (r == 0)
		r = check_bound(e, &is_new, err);
	if (r == 0)
		r = open_main_store(e, wait, err);
	if (r < 0)
		return r;
	r = signing_new(e->conf, &e->signing, err);
	if (r < 0)
		return r;
	e->chain = chain_new(e->catalog, e->signing);
	chain_set_compaction(e->chain, e->conf->chain_compact_ms, e->conf->chain_compact_links);
	e->pool = pool_new(e->conf->memory_bytes);
	if (!e->pool)
		return error_set(err, ERROR_USAGE, ENOMEM,
		                 "[keepfs] memory is more than this process may have");
	e->stores = stores_new(&(struct stores_options){.conf = e->conf,
	                                                .main = e->store,
	                                                .catalog = e->catalog,
	                                                .metrics = e->metrics,
	                                                .fence = e->fence});
	e->keyring = keyring_new(e->conf);
	e->repository = (struct repository){.store = stores_main(e->stores),
	                                    .stores = e->stores,
	                                    .catalog = e->catalog,
	                                    .chain = e->chain,
	                                    .keyring = e->keyring,
	                                    .lease = e->lease,
	                                    .fence = e->fence};
	chain_read_numbers_by(e->chain, artifact_read_numbers, &e->repository);
	e->make = (struct make_context){.conf = e->conf, .repository = &e->repository, .pool = e->pool};
	if (e->conf->role == CONF_READER)
		return begin_reading(e, is_new, err);
	/* Who waited for his turn goes on with what the other one has made. */
	r = is_new && wait->forever ? begin_reader(e, err) : 0;
	if (r == 0)
		r = settle_catalog(e, is_new && !wait->forever, err);
	return r < 0 ? r : catch_up_with_others(e, err);
}

int engine_open(const struct conf *conf, struct engine *ret, struct error *err)
{
	static const struct engine_opening refuse = {0};

	return engine_open_waiting(conf, &refuse, ret, err);
}

int engine_open_waiting(const struct conf *conf, const struct engine_opening *opening, struct engine *ret,
                        struct error *err)
{
	struct engine e = {
	        .conf = conf, .opening = opening, .lock_fd = -1, .metrics = mem_alloc(sizeof(*e.metrics))};
	int r = open_parts(&e, &opening->lease, err);

	e.opening = NULL;
	if (r < 0) {
		engine_close(&e);
		return r;
	}
	*ret = e;
	/* They point to one another. */
	ret->make.repository = &ret->repository;
	chain_read_numbers_by(ret->chain, artifact_read_numbers, &ret->repository);
	if (conf->role == CONF_WRITER)
		r = begin_telling(ret, err);
	if (r < 0)
		engine_close(ret);
	return r < 0 ? r : 0;
}

struct records_context engine_records(const struct engine *e)
{
	return (struct records_context){
	        .conf = e->conf, .catalog = e->catalog, .store = e->store, .keyring = e->keyring};
}

struct checkpoint_context engine_checkpoints(const struct engine *e)
{
	return (struct checkpoint_context){.catalog = e->catalog, .store = e->store, .signing = e->signing};
}

void engine_checkpoint(const struct engine *e)
{
	const struct checkpoint_context ctx = engine_checkpoints(e);
	struct error err = {0};

	if (checkpoint_is_due(&ctx) && checkpoint_make(&ctx, NULL, &err) < 0)
		log_warning("no checkpoint of the audit was put into the store: %s", err.message);
}

struct copies_context engine_copies(const struct engine *e)
{
	return (struct copies_context){
	        .conf = e->conf, .catalog = e->catalog, .store = e->store, .pool = e->pool};
}

static int copy_without_thread(const struct engine *e, struct store *store, struct error *err)
{
	struct copies_context ctx = engine_copies(e);

	ctx.store = store;
	return copies_make(&ctx, NULL, err);
}

void engine_copy_catalog(struct engine *e)
{
	struct conf_store hasty;
	_cleanup(store) struct store *store = NULL;
	struct error err = {0};
	int r;

	if (e->conf->role == CONF_READER)
		return;
	r = open_hasty_store(e, &hasty, &store, &err);

	if (r == 0 && e->copies)
		copies_last(e->copies, store);
	else if (r == 0)
		r = copy_without_thread(e, store, &err);
	if (r < 0)
		log_warning("the catalog was not copied into the store: %s", err.message);
}

void engine_close(struct engine *e)
{
	e->copies = copies_free(e->copies);
	e->checkpoints = checkpoints_free(e->checkpoints);
	e->records = records_free(e->records);
	e->tidier = artifact_tidier_free(e->tidier);
	e->head = head_writer_free(e->head);
	e->keyring = keyring_free(e->keyring);
	e->pool = pool_free(e->pool);
	e->stores = stores_free(e->stores);
	e->store = store_free(e->store);
	note_fence(e);
	if (e->lease)
		lease_give_back(e->lease);
	e->lease = lease_free(e->lease);
	free(e->metrics);
	e->metrics = NULL;
	e->net = net_free(e->net);
	e->chain = chain_free(e->chain);
	e->signing = signing_free(e->signing);
	e->catalog = catalog_free(e->catalog);
	if (e->lock_fd >= 0)
		close(take_fd(&e->lock_fd));
}
