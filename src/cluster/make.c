// SPDX-License-Identifier: Apache-2.0
/*
 * What a run of a cluster's job makes. The order of its steps:
 *
 *   which server is it, and does the archive belong to it? → the base before, from which is taken what has not changed → BASE_BACKUP, into packs → all packs are published → all that was promised has arrived → the packs of
 *   earlier bases that it names are all there → its WAL is archived → page sums, listing → published
 *
 * Whatever fails, nothing stays: packs that were published already are removed, since no later run can use them.
 */
#include "cluster_private.h"

#include <keepfs/catalog/wal_keep.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/cluster.h>
#include <keepfs/codec/base_facts.h>
#include <keepfs/codec/name.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct base_run {
	const struct make_context *ctx;
	const struct make_order *order;
	int64_t started_at_us;
	struct pg_replication *session;
	struct pg_replication_system server;
	struct base_facts facts;
	bool is_standby;
	uint64_t
	        archived_lsn; /* up to where the archive has the server's timeline before the base begins; 0: nothing of it */
	struct draft *draft;
	struct cluster_packer *packer;
	struct cluster_files *files;
	struct cluster_taking taking;
	bool stores_all; /* whatever there is of earlier bases */
	struct cluster_parent parent;
	struct cluster_pages *pages;
	struct used used;    /* packs that its files are in */
	struct spool *sums;  /* NULL: it has none */
	struct spool *spool; /* of the listing */
	struct str index;
};

/* The server. */

static int read_segment_bytes(const char *text, uint32_t *ret, struct error *err)
{
	char *end;
	unsigned long long bytes = strtoull(text, &end, 10);

	if (strcmp(end, "MB") == 0)
		bytes <<= 20;
	else if (strcmp(end, "GB") == 0)
		bytes <<= 30;
	else
		bytes = 0;
	if (!wal_segment_bytes_valid(bytes))
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server says that its wal_segment_size is '%.40s', which none is", text);
	*ret = (uint32_t)bytes;
	return 0;
}

static int read_directory_mode(const char *text, unsigned *ret, struct error *err)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!*text || *end || mode > 07777)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server says that its data_directory_mode is '%.40s', which none is",
		                 text);
	*ret = (unsigned)mode;
	return 0;
}

static int ask_settings(struct base_run *b, struct error *err)
{
	_cleanup(free) char *segment = NULL, *mode = NULL;
	int r = pg_replication_setting(b->session, "wal_segment_size", &segment, err);

	if (r == 0)
		r = read_segment_bytes(segment, &b->facts.segment_bytes, err);
	if (r == 0)
		r = pg_replication_setting(b->session, "data_directory_mode", &mode, err);
	return r < 0 ? r : read_directory_mode(mode, &b->taking.root_mode, err);
}

static int refuse_other_cluster(const struct base_run *b, struct error *err)
{
	const char *job = b->order->job->name;
	struct catalog_wal_cluster known = {0};

	catalog_wal_cluster(b->ctx->repository->catalog, job, &known);
	if (known.system_id == b->facts.system_id)
		return error_set(err, ERROR_CONFLICT, EEXIST,
		                 "the server has WAL segments of %" PRIu32
		                 " MiB, and wal/%s has such of %" PRIu32
		                 " MiB: it was made anew; give it a section [cluster …] of its own",
		                 b->facts.segment_bytes >> 20, job, known.segment_bytes >> 20);
	return error_set(err, ERROR_CONFLICT, EEXIST,
	                 "the server is another cluster (system identifier %" PRIu64
	                 ") than the one whose WAL is in wal/%s (%" PRIu64
	                 "): correct database of [cluster %s], or give this server a section of its own",
	                 b->facts.system_id, job, known.system_id, job);
}

static int bind_archive(struct base_run *b, struct error *err)
{
	const struct catalog_wal_cluster cluster = {.system_id = b->facts.system_id,
	                                            .segment_bytes = b->facts.segment_bytes};
	int r = catalog_wal_bind(b->ctx->repository->catalog, b->order->job->name, &cluster, err);

	return r == -EEXIST ? refuse_other_cluster(b, err) : r;
}

static int find_archived_end(struct base_run *b, struct error *err)
{
	const uint32_t bytes = b->facts.segment_bytes;
	const struct wal_name first = wal_name_of_lsn(b->server.timeline, 0, bytes),
	                      last = wal_name_of_lsn(b->server.timeline, UINT64_MAX, bytes);
	char from[WAL_NAME_BYTES], to[WAL_NAME_BYTES];
	struct wal_name name;
	struct catalog_wal row;
	int r;

	wal_name_format(&first, from);
	wal_name_format(&last, to);
	r = catalog_wal_last_segment(b->ctx->repository->catalog, b->order->job->name, from, to, &row);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (wal_name_parse(row.name, &name) == 0 && wal_name_fits(&name, bytes))
		b->archived_lsn = wal_name_lsn(&name, bytes) + bytes;
	return 0;
}

/* Before the base begins, and so before its place in the log. A standby may be behind the archive. */
static int look_at_archived(struct base_run *b, struct error *err)
{
	_cleanup(free) char *reads_only = NULL;
	int r = pg_replication_setting(b->session, "transaction_read_only", &reads_only, err);

	if (r < 0)
		return r;
	b->is_standby = !str_equal(reads_only, "off");
	return b->is_standby ? 0 : find_archived_end(b, err);
}

/*
 * A server that was set back, to a snapshot of its disk, say, writes other WAL under the names of what is archived: with that the base would be recovered.
 */
static int refuse_set_back(const struct base_run *b, struct error *err)
{
	const char *job = b->order->job->name;
	char start[PG_LSN_BYTES], archived[PG_LSN_BYTES];

	if (b->is_standby || b->facts.timeline != b->server.timeline || b->facts.start_lsn >= b->archived_lsn)
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "the server is at %s of timeline %" PRIu32
	        ", of which wal/%s had WAL up to %s already: it was set back, to a snapshot of its disk, say, and writes other WAL under the same names. A base backup would be recovered with what is archived, and be wrong: give the server as it is now a section [cluster …] of its own, and its archive_command that name",
	        pg_lsn_format(b->facts.start_lsn, start), b->facts.timeline, job,
	        pg_lsn_format(b->archived_lsn, archived));
}

static int meet_server(struct base_run *b, struct error *err)
{
	int r = pg_replication_open(b->order->job->cluster.database, "keepfs", b->order->cancel, &b->session,
	                            err);

	if (r == 0)
		r = pg_replication_identify(b->session, &b->server, err);
	if (r < 0)
		return r;
	b->facts.system_id = strtoull(b->server.system_identifier, NULL, 10);
	r = ask_settings(b, err);
	if (r == 0)
		r = bind_archive(b, err);
	return r < 0 ? r : look_at_archived(b, err);
}

/* Copying. */

/* With the seed of the base before its sums are those that are compared, too. */
static int begin_sums(struct base_run *b, uint64_t *ret_seed, struct error *err)
{
	struct page_sums_head head = {.seed = b->parent.head.seed, .system_id = b->facts.system_id};
	uint8_t bytes[PAGE_SUMS_HEAD_BYTES];

	if (!b->parent.is_usable && getrandom(&head.seed, sizeof(head.seed), 0) != sizeof(head.seed))
		return error_system(err, errno, "this host has no random numbers");
	page_sums_head_encode(&head, bytes);
	b->sums = spool_new(b->ctx->conf->state_dir);
	*ret_seed = head.seed;
	return spool_put(b->sums, bytes, sizeof(bytes), err);
}

static int open_pages(struct base_run *b, struct error *err)
{
	struct cluster_pages_options pages = {.packer = b->packer, .parent = &b->parent, .used = &b->used};
	int r = draft_is_part(b->draft) ? 0 : begin_sums(b, &pages.seed, err);

	if (b->parent.is_usable)
		make_say(b->order, "pages that are as in %s are not stored again", b->parent.newest.path);
	pages.sums = b->sums;
	b->pages = cluster_pages_new(&pages);
	return r;
}

static int open_base(struct base_run *b, struct error *err)
{
	const struct draft_options draft = {.ctx = b->ctx,
	                                    .order = b->order,
	                                    .kind = LISTING_KIND_BASE,
	                                    .suffix = "",
	                                    .is_directory = true,
	                                    .started_at_us = b->started_at_us};
	struct packs_options packs = {
	        .ctx = b->ctx, .order = b->order, .format = LISTING_BASE, .started_at_us = b->started_at_us};
	struct cluster_packer_options packer = {
	        .packs = &packs,
	        .compression = compression_resolve(&b->order->job->compression, true),
	        .pack_bytes = CLUSTER_PACK_BYTES,
	        .pack_plain_bytes = CLUSTER_PACK_PLAIN_BYTES};
	int r = draft_new(&draft, &b->draft, err);

	if (r < 0)
		return r;
	/* Whoever unpacks a pack later, with whatever program, learns that it is damaged. */
	packer.compression.frames_have_checksums = true;
	draft_pin_packs(b->draft, b->order->job->name);
	packs.keeper = draft_job(b->draft);
	b->files = cluster_files_new(b->ctx->conf->state_dir);
	/* Before the packer has memory of the pool, of which reading takes some, too. */
	if (!b->stores_all && b->order->job->cluster.incremental != CONF_INCREMENTAL_OFF)
		r = cluster_parent_open(&b->parent, b->ctx, b->order, draft_is_encrypted(b->draft),
		                        b->facts.system_id, err);
	if (r == 0)
		r = cluster_packer_new(&packer, &b->packer, err);
	return r < 0 ? r : open_pages(b, err);
}

/* From the segment @first on, or ("") all of it: as long as nobody knows where the base begins. The end of the run ends it. */
static int pin_wal(const struct base_run *b, const char *first, struct error *err)
{
	return catalog_wal_pin(b->ctx->repository->catalog, b->order->job->name, b->order->run_id, first,
	                       err);
}

static int pin_from_start(const struct base_run *b, struct error *err)
{
	const struct wal_name name =
	        wal_name_of_lsn(b->facts.timeline, b->facts.start_lsn, b->facts.segment_bytes);
	char first[WAL_NAME_BYTES];

	wal_name_format(&name, first);
	return pin_wal(b, first, err);
}

static int copy_cluster(struct base_run *b, struct error *err)
{
	_cleanup(free) char *label = mem_printf("keepfs %s", draft_manifest(b->draft)->path);
	const struct pg_base_options options = {
	        .label = label, .spread = b->order->job->cluster.checkpoint == CONF_CHECKPOINT_SPREAD};
	int r;

	b->taking.ctx = b->ctx;
	b->taking.order = b->order;
	b->taking.draft = b->draft;
	b->taking.packer = b->packer;
	b->taking.pages = b->pages;
	b->taking.files = b->files;
	make_say(b->order, "PostgreSQL %d, system identifier %s: waiting for its checkpoint (%s)",
	         b->server.version_num / 10000, b->server.system_identifier,
	         options.spread ? "spread" : "fast");
	r = pin_wal(b, "", err);
	if (r == 0)
		r = cluster_take(&b->taking, b->session, &options, &b->facts.stop_lsn, err);
	/* It is a WAL sender less for whoever waits for one. */
	b->session = pg_replication_free(b->session);
	b->facts.start_lsn = b->taking.start_lsn;
	b->facts.timeline = b->taking.timeline;
	b->facts.stopped_us = make_now_us(b->ctx);
	manifest_set_fact(draft_manifest(b->draft), "label", label);
	if (r == 0)
		r = refuse_set_back(b, err);
	if (r == 0)
		r = pin_from_start(b, err);
	return r < 0 ? r : cluster_packer_finish(b->packer, err);
}

static void say_copied(const struct base_run *b, int64_t began_us)
{
	double seconds = (double)(clock_mono_us() - began_us + 1) / (double)US_PER_S;
	uint64_t bytes = b->taking.content_bytes;
	char size[16], stored[16], rate[16], stop[PG_LSN_BYTES];

	make_say(b->order,
	         "copied %" PRIu64 " files, %s (%s in %" PRIu64
	         " packs), in %.1f s (%s/s); the backup ends at %s",
	         b->taking.file_count, str_format_bytes(size, sizeof(size), bytes),
	         str_format_bytes(stored, sizeof(stored), cluster_packer_stored(b->packer)),
	         cluster_packer_count(b->packer), seconds,
	         str_format_bytes(rate, sizeof(rate), (unsigned long long)((double)bytes / seconds)),
	         pg_lsn_format(b->facts.stop_lsn, stop));
}

/* The listing. */

static int spool_base_listing(void *arg, const void *data, size_t len, struct error *err)
{
	return spool_put(arg, data, len, err);
}

static int list_base(struct base_run *b, struct error *err)
{
	_cleanup(free) char *source = mem_printf("PostgreSQL %d, system identifier %s",
	                                         b->server.version_num / 10000, b->server.system_identifier);
	const struct listing_head head = {.format = LISTING_BASE,
	                                  .job = b->order->job->name,
	                                  .source = source,
	                                  .taken_at_us = b->started_at_us};
	struct listing_out out = {.write = spool_base_listing};
	_cleanup(listing_writer) struct listing_writer *listing = NULL;
	int r;

	out.arg = b->spool = spool_new(b->ctx->conf->state_dir);
	listing = listing_writer_new(&head, &out);
	r = cluster_files_list(b->files, listing, err);
	b->files = cluster_files_free(b->files);
	return r < 0 ? r : listing_writer_finish(listing, &b->index, err);
}

static int store_sums(struct base_run *b, struct error *err)
{
	_cleanup(free) char *key = manifest_contents_index_key(draft_manifest(b->draft)->path, "sums");

	return b->sums ? draft_put_spool(b->draft, MANIFEST_ROLE_PAGE_SUMS, key, b->sums, err) : 0;
}

static int store_base_listing(struct base_run *b, struct error *err)
{
	_cleanup(free) char *key = draft_contents_key(b->draft),
	                    *index_key = draft_contents_index_key(b->draft);
	int r = store_sums(b, err);

	if (r == 0)
		r = draft_put_spool(b->draft, MANIFEST_ROLE_LISTING, key, b->spool, err);
	return r < 0 ? r
	             : draft_put_object(b->draft, MANIFEST_ROLE_LISTING_INDEX, index_key, b->index.data,
	                                b->index.len, err);
}

/* WAL. */

static int tell_missing_wal(const struct base_run *b, const char *missing, struct error *err)
{
	const char *job = b->order->job->name;

	if (b->order->job->cluster.wal == CONF_WAL_STREAM)
		return error_set(
		        err, ERROR_UNAVAILABLE, ETIMEDOUT,
		        "the base backup is copied, but %s, which it needs, was not streamed within %" PRId64
		        " s (wal_timeout), so it could not be restored and is given up; status/health says what is "
		        "wrong with the stream of %s: mend that, then run it again",
		        missing, b->order->job->cluster.wal_timeout_ms / 1000, job);
	return error_set(
	        err, ERROR_UNAVAILABLE, ETIMEDOUT,
	        "the base backup is copied, but the server has not archived %s, which it needs, within %" PRId64
	        " s (wal_timeout), so it could not be restored and is given up; look at archive_command of the "
	        "server, which has to copy into wal/%s (its log, and SELECT * FROM pg_stat_archiver, say what "
	        "fails), then run it again",
	        missing, b->order->job->cluster.wal_timeout_ms / 1000, job);
}

static int await_wal(const struct base_run *b, struct error *err)
{
	const struct base_facts *f = &b->facts;
	const struct wal_stretch needed = {
	        .first = wal_name_of_lsn(f->timeline, f->start_lsn, f->segment_bytes),
	        .last = wal_name_of_end(f->timeline, f->stop_lsn, f->segment_bytes),
	        .segment_bytes = f->segment_bytes};
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES], missing[WAL_NAME_BYTES];
	int64_t began_us = clock_mono_us();
	int r;

	wal_name_format(&needed.first, first);
	wal_name_format(&needed.last, last);
	make_say(b->order, "waiting for its WAL to be archived: %s to %s", first, last);
	r = wal_await(b->ctx->wal, b->order->job->name, &needed, b->order->job->cluster.wal_timeout_ms,
	              b->order->cancel, missing);
	if (r == -ETIMEDOUT)
		return tell_missing_wal(b, missing, err);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	make_say(b->order, "its WAL is archived; that took %.1f s",
	         (double)(clock_mono_us() - began_us) / (double)US_PER_S);
	return 0;
}

/* The whole. */

static void describe_pages(const struct base_run *b)
{
	struct manifest *made = draft_manifest(b->draft);
	uint64_t older, stored = cluster_pages_stored(b->pages, &older);
	char size[16], as_before[16];

	manifest_set_fact_int(made, "new_bytes", (int64_t)stored);
	if (!b->parent.is_usable)
		return;
	manifest_set_fact(made, "parent", b->parent.newest.path);
	make_say(b->order, "%s of the files are new, %s are as in %s",
	         str_format_bytes(size, sizeof(size), stored),
	         str_format_bytes(as_before, sizeof(as_before), older), b->parent.newest.path);
}

static void describe_base(struct base_run *b)
{
	struct manifest *made = draft_manifest(b->draft);

	base_facts_set(made, &b->facts);
	manifest_set_fact_int(made, "server_version", b->server.version_num);
	manifest_set_fact_int(made, "files", (int64_t)b->taking.file_count);
	manifest_set_fact_int(made, "content_bytes", (int64_t)b->taking.content_bytes);
	if (b->taking.tablespaces.len > 0)
		manifest_set_fact(made, "tablespaces", str_text(&b->taking.tablespaces));
	made->size_bytes += b->taking.content_bytes;
	describe_pages(b);
	made->needs = used_needs(&b->used, b->order->job->name);
}

/* Also those that have nothing of a file: the tar is whole with them. */
static void use_own_packs(struct base_run *b)
{
	for (uint64_t i = 1; i <= cluster_packer_count(b->packer); i++) {
		_cleanup(free) char *name = cluster_packer_name(b->packer, (int64_t)i);

		used_add(&b->used, name, 0);
	}
}

static int make_packs(struct base_run *b, struct error *err)
{
	_cleanup(free) char *first = NULL, *own = NULL;
	int64_t began_us = clock_mono_us();
	int r = copy_cluster(b, err);

	if (r < 0)
		return r;
	say_copied(b, began_us);
	first = cluster_packer_name(b->packer, 1);
	own = mem_printf("%.*s", (int)strcspn(first, "/"), first);
	use_own_packs(b);
	describe_base(b);
	b->packer = cluster_packer_free(b->packer);
	return cluster_parent_check(&b->parent, &b->used, own, err);
}

static int make_base_steps(struct base_run *b, struct manifest *ret, struct error *err)
{
	int r = meet_server(b, err);

	if (r == 0)
		r = open_base(b, err);
	if (r == 0)
		r = make_packs(b, err);
	if (r == 0)
		r = list_base(b, err);
	if (r == 0)
		r = await_wal(b, err);
	if (r == 0)
		r = store_base_listing(b, err);
	if (r == 0)
		r = draft_publish(b->draft, NULL, ret, err);
	if (r == 0)
		cluster_leave_rebuild_program(b->ctx, b->order, ret->path);
	return r;
}

/* Not while the name is taken: it may have been published, and then what the store has needs them. Whoever settles the name removes them, too. */
static void give_up_packs(const struct base_run *b, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup(free) char *directory = mem_printf("%.*s", (int)(slash - path), path);
	struct error err = {0};

	if (catalog_stem_taken(b->ctx->repository->catalog, directory, slash + 1) != 0)
		return;
	if (artifact_remove_base_packs(b->ctx->repository, b->order->job->name, b->order->run_id, &err) < 0)
		make_say(b->order, "warning: what is left of it will be cleared up later: %s", err.message);
}

/* CLUSTER_PACKS_GONE: nothing stays of it, and one that stores everything would be whole. */
static int try_base(const struct make_context *ctx, const struct make_order *order, bool stores_all,
                    struct manifest *ret, struct error *err)
{
	struct base_run b = {
	        .ctx = ctx, .order = order, .stores_all = stores_all, .started_at_us = make_now_us(ctx)};
	int r = make_base_steps(&b, ret, err);
	_cleanup(free) char *path = r != 0 && b.draft ? mem_strdup(draft_manifest(b.draft)->path) : NULL;

	pg_replication_free(b.session);
	cluster_pages_free(b.pages);
	cluster_packer_free(b.packer);
	cluster_files_free(b.files);
	cluster_taking_finish(&b.taking);
	cluster_parent_close(&b.parent);
	used_finish(&b.used);
	spool_free(b.sums);
	spool_free(b.spool);
	str_finish(&b.index);
	draft_free(b.draft);
	if (path)
		give_up_packs(&b, path);
	return r;
}

static int make_base(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	struct error why = {0};
	int r = try_base(ctx, order, false, ret, &why);

	if (r == CLUSTER_PACKS_GONE) {
		make_warn(order, "%s: the base is made once more, and stores everything", why.message);
		return try_base(ctx, order, true, ret, err);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* The kind. */

static int cluster_accepts(const struct make_context *ctx, const struct conf_job *job,
                           const struct make_wanted *wanted, struct error *err)
{
	(void)ctx;
	if (!wanted->database && !wanted->class)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s: [cluster %s] backs up all databases of its server; leave this key out",
	                 wanted->database ? "database" : "class", job->name);
}

static int cluster_targets(const struct make_context *ctx, const struct conf_job *job,
                           const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct make_target *all;

	(void)wanted;
	if (!ctx->wal)
		return error_set(
		        err, ERROR_USAGE, ENOTCONN,
		        "[cluster %s]: a base backup needs its WAL, which comes through the mount: mount it (keepfs mount), and order it there",
		        job->name);
	all = make_targets_add(ret);
	all->label = mem_strdup(job->name);
	all->directory = make_directory_of(job, NULL);
	return 0;
}

static void cluster_look_around(const struct make_context *ctx, const struct conf_job *job,
                                const struct make_target *made, struct cancel *cancel)
{
	(void)ctx;
	(void)job;
	(void)made;
	(void)cancel;
}

const struct make_kind cluster_kind = {
        .name = LISTING_KIND_BASE,
        .targets_name = "clusters",
        .accepts = cluster_accepts,
        .targets = cluster_targets,
        .make = make_base,
        .look_around = cluster_look_around,
        .check = cluster_check,
};
