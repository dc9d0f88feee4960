// SPDX-License-Identifier: Apache-2.0
/* keepfs rebuild: the catalog anew from the bucket: what it lists from the manifests, and where it was lost also what only a
 * copy of it can tell. A catalog that cannot be opened is put aside, never deleted. */
#include "cli.h"

#include "engine.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/chain.h>
#include <keepfs/codec/json.h>
#include <keepfs/copies.h>
#include <keepfs/export.h>
#include <keepfs/keyring/signing.h>
#include <keepfs/kinds.h>
#include <keepfs/keyring.h>
#include <keepfs/records.h>
#include <keepfs/stores.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <stdio.h>

#define REBUILD_THREADS 8

static void show_progress(void *arg, uint64_t done)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%llu backups", (unsigned long long)done);
}

static void show_problem(void *arg, const char *text)
{
	fputs("keepfs: warning: ", stderr);
	cli_put(stderr, text);
	fputc('\n', stderr);
}

static void show_notice(void *arg, const char *text)
{
	fputs("keepfs: note: ", stderr);
	cli_put(stderr, text);
	fputc('\n', stderr);
}

static int put_broken_aside(const struct conf *conf, struct error *err)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char now[CLOCK_NAME_BYTES];

	clock_format_name(clock_now_us(), now);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup(free) char *from = mem_printf("%s/catalog.db%s", conf->state_dir, suffixes[i]);
		_cleanup(free) char *to =
		        mem_printf("%s/catalog.db.broken-%s%s", conf->state_dir, now, suffixes[i]);

		if (rename(from, to) < 0 && errno != ENOENT)
			return error_system(err, errno, "the broken catalog %s cannot be put aside", from);
		if (i == 0)
			fprintf(stderr, "keepfs: the broken catalog was put aside as %s\n", to);
	}
	return 0;
}

static int open_catalog(const struct conf *conf, struct catalog **ret_catalog, struct error *err)
{
	int r = catalog_open(conf->state_dir, ret_catalog, err);

	if (r != -EBADMSG)
		return r;
	r = put_broken_aside(conf, err);
	return r < 0 ? r : catalog_open(conf->state_dir, ret_catalog, err);
}

struct rebuilding {
	const struct cli_options *options;
	const struct conf *conf;
	struct net *net;
	struct lease *lease;             /* NULL: of a reader, which makes its own catalog all the same */
	const struct store_fence *fence; /* who may write */
	struct store *store;
	struct catalog *catalog;
	struct signing *signing; /* whose signatures are believed */
	struct keyring *keyring;
	struct artifact_rebuild io;
	uint64_t copy_problems; /* what was wrong with copies and records: not with backups */
	uint64_t wal_files;     /* of WAL archives */
	char *copy;             /* key of the copy of the catalog that was used; NULL: none */
};

static void show_copy_problem(void *arg, const char *text)
{
	struct rebuilding *rb = arg;

	rb->copy_problems++;
	show_problem(NULL, text);
}

static void show_hold(void *arg, const char *name, const char *reason)
{
	const struct rebuilding *rb = arg;
	_cleanup(free) char *text =
	        mem_printf("the hold '%s' (%s) is of a backup that the store does not hold%s", name, reason,
	                   rb->io.problems ? ", or that could not be listed: it stays" : ": it is dropped");

	show_notice(NULL, text);
}

/* Of a host that has lost it the catalog is in the store; one that knows anything by itself is newer. */
static int restore_catalog(struct rebuilding *rb, struct error *err)
{
	struct copies_restore restore = {.conf = rb->conf,
	                                 .store = rb->store,
	                                 .keyring = rb->keyring,
	                                 .moved = rb->options->moved,
	                                 .problem = show_copy_problem,
	                                 .arg = rb};
	int r = rb->options->no_history ? 0 : catalog_is_new(rb->catalog);

	if (r < 0)
		return error_system(err, -r, "the catalog in %s cannot be read", rb->conf->state_dir);
	if (r == 0)
		return 0;
	rb->catalog = catalog_free(rb->catalog);
	r = copies_restore(&restore, err);
	rb->copy = restore.key;
	return r < 0 ? r : catalog_open(rb->conf->state_dir, &rb->catalog, err);
}

/* What is newer than the copy is told by the store: backups, and what was moved into records. */
static int compare_restored(struct rebuilding *rb, struct error *err)
{
	const struct records_context ctx = {
	        .conf = rb->conf, .catalog = rb->catalog, .store = rb->store, .keyring = rb->keyring};
	const struct records_moved moved = {.problem = show_copy_problem, .arg = rb};
	const struct catalog_restored restored = {
	        .all_listed = rb->io.problems == 0, .hold = show_hold, .arg = rb};
	int r = records_drop_moved(&ctx, &moved, NULL, err);

	return r < 0 ? r : catalog_restored_end(rb->catalog, &restored, err);
}

/* Where exports may be: in the stores of the configuration, and in those that the query names today. The copy of the catalog told of those that it knew. */
static int note_sections(struct rebuilding *rb, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rb->conf->store_count; i++) {
		_cleanup(catalog_store) struct catalog_store at = {0};
		uint64_t ignored;

		stores_at_section(&rb->conf->stores[i], &at);
		r = catalog_note_store(rb->catalog, &at, &ignored, err);
	}
	return r;
}

static void note_stores_of_query(struct rebuilding *rb, struct repository *repository)
{
	const struct make_context ctx = {.conf = rb->conf, .repository = repository};

	const struct conf_job *job = conf_exports(rb->conf);
	_cleanup(free) char *problem = NULL, *text = NULL;
	struct error why = {0};

	if (job && export_note_stores(&ctx, job, &problem, &why) < 0)
		problem = mem_strdup(why.message);
	if (!problem)
		return;
	text = mem_printf("stores that only the query of [export] tenants names may be missing: %s", problem);
	show_notice(NULL, text);
}

/* They have no manifests: their names say what they are. */
static int list_wal(struct rebuilding *rb, struct repository *repository, struct error *err)
{
	struct pool *pool = pool_new(rb->conf->memory_bytes);
	int r = pool ? wal_learn_all(repository, pool, NULL, &rb->wal_files, err)
	             : error_set(err, ERROR_USAGE, ENOMEM,
	                         "[keepfs] memory is more than this process may have");

	pool_free(pool);
	return r;
}

static int list_backups(struct rebuilding *rb, struct error *err)
{
	_cleanup(stores) struct stores *stores = stores_new(&(struct stores_options){
	        .conf = rb->conf, .main = rb->store, .catalog = rb->catalog, .fence = rb->fence});
	_cleanup(chain) struct chain *chain = chain_new(rb->catalog, rb->signing);
	struct repository repository = {.store = stores_main(stores),
	                                .stores = stores,
	                                .catalog = rb->catalog,
	                                .chain = chain,
	                                .keyring = rb->keyring,
	                                .lease = rb->lease};
	int restored = catalog_is_restored(rb->catalog), r;

	if (restored < 0)
		return error_system(err, -restored, "the catalog in %s cannot be read", rb->conf->state_dir);
	/* The first store is gone, and one that had copies has become the first. */
	r = catalog_take_over_replicas(rb->catalog, rb->conf->store.url, rb->conf->store.endpoint, err);
	if (r == 0)
		r = note_sections(rb, err);
	if (r == 0)
		note_stores_of_query(rb, &repository);
	if (r == 0 && restored)
		r = catalog_restored_begin(rb->catalog, err);
	if (r == 0)
		r = artifact_rebuild(&repository, &rb->io, NULL, err);
	if (r == 0)
		r = list_wal(rb, &repository, err);
	if (r == 0 && restored)
		r = compare_restored(rb, err);
	return r;
}

/* A record that cannot be read ends no rebuild: the chain of the audit begins anew, which 'keepfs audit verify' tells. */
static void continue_audit(struct rebuilding *rb)
{
	const struct records_context ctx = {
	        .conf = rb->conf, .catalog = rb->catalog, .store = rb->store, .keyring = rb->keyring};
	_cleanup(free) char *text = NULL;
	struct error why = {0};

	if (records_continue_audit(&ctx, NULL, &why) == 0)
		return;
	text = mem_printf("the chain of the audit begins anew, since its last record cannot be read: %s",
	                  why.message);
	show_copy_problem(rb, text);
}

static int note_rebuild(struct rebuilding *rb, struct error *err)
{
	struct catalog_audit entry = {
	        .at_us = clock_now_us(),
	        .uid = getuid(),
	        .pid = getpid(),
	        .command = "keepfs",
	        .action = "rebuild",
	        .object = "catalog",
	        .result = "ok",
	};
	int r = catalog_set_store_url(rb->catalog, rb->conf->store.url, err);

	continue_audit(rb);
	if (rb->copy)
		str_copy(entry.detail, sizeof(entry.detail), rb->copy);
	if (r == 0 && lease_number(rb->lease))
		r = catalog_set_fence(rb->catalog, lease_number(rb->lease), err);
	return r < 0 ? r : catalog_add_audit(rb->catalog, &entry, err);
}

/* No backup may be made, and none removed, by another keepfs meanwhile. */
static int open_store_alone(struct rebuilding *rb, struct error *err)
{
	static const struct lease_wait refuse = {0};
	int r = engine_open_net(rb->conf, &rb->net, err);

	rb->fence = lease_fence_of_reader();
	if (r == 0 && rb->conf->role == CONF_WRITER) {
		r = engine_take_lease(rb->conf, rb->net, NULL, &refuse, &rb->lease, err);
		rb->fence = r < 0 ? NULL : lease_fence(rb->lease);
	}
	return r < 0 ? r : store_open_fenced(&rb->conf->store, rb->net, NULL, rb->fence, &rb->store, err);
}

static int rebuild(struct rebuilding *rb, struct error *err)
{
	_cleanup(fd) int lock_fd = -1;
	int r = catalog_lock(rb->conf->state_dir, &lock_fd, err);

	rb->keyring = keyring_new(rb->conf);
	if (r == 0)
		r = open_catalog(rb->conf, &rb->catalog, err);
	if (r == 0)
		r = open_store_alone(rb, err);
	if (r == 0)
		r = signing_new(rb->conf, &rb->signing, err);
	if (r == 0)
		r = restore_catalog(rb, err);
	if (r == 0)
		r = list_backups(rb, err);
	if (r == 0)
		r = note_rebuild(rb, err);
	signing_free(rb->signing);
	catalog_free(rb->catalog);
	keyring_free(rb->keyring);
	store_free(rb->store);
	if (rb->lease)
		lease_give_back(rb->lease);
	lease_free(rb->lease);
	net_free(rb->net);
	return r;
}

static void print_rebuilt(const struct rebuilding *rb)
{
	const struct artifact_rebuild *io = &rb->io;
	char size[16];

	printf("the catalog is made anew: %llu backup%s (%s), %llu problem%s%s\n",
	       (unsigned long long)io->artifacts, io->artifacts == 1 ? "" : "s",
	       str_format_bytes(size, sizeof(size), io->bytes), (unsigned long long)io->problems,
	       io->problems == 1 ? "" : "s", io->problems ? "; what they name is not in it" : "");
	if (rb->wal_files)
		printf("%llu files of WAL archives are listed again\n", (unsigned long long)rb->wal_files);
	if (rb->copy)
		printf("its history, audit and settings are those of %s; what came after that copy is lost, but for the "
		       "runs of backups\n",
		       rb->copy);
	else if (rb->copy_problems)
		puts("no copy of the lost catalog could be used: of the history there are only the runs of backups");
}

static void print_rebuilt_json(const struct rebuilding *rb)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str text = {0};

	json_set_int(object, "artifacts", (int64_t)rb->io.artifacts);
	json_set_int(object, "bytes", (int64_t)rb->io.bytes);
	json_set_int(object, "problems", (int64_t)(rb->io.problems + rb->copy_problems));
	json_set_string(object, "catalog_copy", rb->copy);
	json_write(object, 0, &text);
	puts(str_text(&text));
}

int cmd_rebuild(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	struct rebuilding rb = {.options = options,
	                        .conf = &conf,
	                        .io = {
	                                .threads = REBUILD_THREADS,
	                                .progress = show_progress,
	                                .problem = show_problem,
	                                .notice = show_notice,
	                                .unknown = kind_unknown,
	                        }};
	struct error err = {0};
	int r;

	if (options->argc > 0)
		return cli_usage("rebuild takes no argument");
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	r = rebuild(&rb, &err);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (r == 0 && options->json)
		print_rebuilt_json(&rb);
	else if (r == 0)
		print_rebuilt(&rb);
	free(rb.copy);
	if (r < 0)
		return cli_fail(&err);
	return rb.io.problems || rb.copy_problems ? CLI_FAILED : CLI_DONE;
}
