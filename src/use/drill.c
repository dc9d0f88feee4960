// SPDX-License-Identifier: Apache-2.0
/*
 * Drills: what people write, which backup that is, and what is kept of it. A target is a backup. One is under way at a time: in this process
 * because their lane has one thread, on this host because of the lock where throw-away servers are made.
 */
#include "copied.h"
#include "drill.h"
#include "drill_cluster.h"
#include "drill_place.h"
#include "pace.h"
#include "past_server.h"
#include "proving.h"
#include "words.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/base/scratch_place.h>
#include <keepfs/pg/scratch.h>
#include <keepfs/use.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define JOBS_MAX    8
#define PICK_ASKED  "asked"
#define PICK_NEWEST "newest"

/* The words. */

static int take_drill_level(const char *text, int *ret, struct error *err)
{
	*ret = 0;
	if (!text)
		return 0;
	if (text[0] >= '2' && text[0] <= '6' && !text[1]) {
		*ret = text[0] - '0';
		return 0;
	}
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "level=%.20s: allowed are 2 (it can be restored), 3 (rows and objects are those of the backup), 4 (indexes and constraints are sound), 5 (each [check NAME] is answered as expected) and 6 (a cluster is recovered to a moment); lower ones are proven by verify",
	        text);
}

static int take_drill_jobs(const char *text, unsigned *ret, struct error *err)
{
	char *end;
	long number = text ? strtol(text, &end, 10) : 0;

	*ret = make_cores() < JOBS_MAX ? make_cores() : JOBS_MAX;
	if (!text)
		return 0;
	if (*end || number < 1 || number > 64)
		return error_set(err, ERROR_USAGE, EINVAL, "jobs=%.20s: allowed are 1 to 64 connections",
		                 text);
	*ret = (unsigned)number;
	return 0;
}

static int take_yes(const char *key, const char *text, bool *ret, struct error *err)
{
	*ret = str_equal(text, "yes");
	if (!text || *ret || str_equal(text, "no"))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "%s=%.20s: allowed are yes and no", key, text);
}

static int take_pick(const char *text, bool *ret_rotate, struct error *err)
{
	*ret_rotate = str_equal(text, "rotate");
	if (!text || *ret_rotate || str_equal(text, PICK_NEWEST))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "pick=%.20s: allowed are newest (of each directory) and rotate (one backup, whose turn it is)",
	        text);
}

static int take_drill_words(const struct command_line *line, struct drill_words *ret, struct error *err)
{
	static const char *const allowed[] = {"level", "server", "mirror", "keep",
	                                      "pick",  "jobs",   "note",   NULL};
	int r = words_check_pairs(line, allowed, err);

	*ret = (struct drill_words){.server = words_pair(line, "server"),
	                            .mirror = words_pair(line, "mirror")};
	if (r == 0 && line->word_count == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "name a backup, a job, or: all");
	if (r == 0)
		r = take_drill_level(words_pair(line, "level"), &ret->level, err);
	if (r == 0)
		r = take_drill_jobs(words_pair(line, "jobs"), &ret->jobs, err);
	if (r == 0)
		r = take_yes("keep", words_pair(line, "keep"), &ret->keep, err);
	if (r == 0)
		r = take_pick(words_pair(line, "pick"), &ret->rotate, err);
	if (r == 0 && ret->keep && !ret->server)
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "keep=yes: a throw-away server does not stay; name where it is restored, too: server=postgresql://…");
	return r;
}

/* Which backups. */

static void add_drill_target(struct catalog *c, uint64_t ino, const char *pick, struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);
	struct catalog_entry entry;

	t->name = catalog_path(c, ino);
	t->label = mem_strdup(t->name);
	t->directory = mem_strdup(t->name);
	t->class = mem_strdup(pick);
	if (catalog_entry_by_ino(c, ino, &entry) == 0)
		t->expected_bytes = entry.size_bytes;
}

static int catalog_failed(int r, struct error *err)
{
	return error_system(err, -r, "the catalog cannot be read");
}

/* One whose backups are all damaged must not be passed over as if there were nothing to restore. */
static int note_all_damaged(struct catalog *c, const char *directory, struct make_targets *ret,
                            struct error *err)
{
	_cleanup(free) char *before = NULL;
	uint64_t damaged = 0;
	int r = catalog_damaged_dumps(c, directory, &damaged);

	if (r < 0)
		return catalog_failed(r, err);
	if (damaged == 0)
		return 0;
	before = take_ptr(&ret->failure);
	ret->failure = mem_printf("%s%s%s: none of its backups can be restored for a trial, since %" PRIu64
	                          " of them are damaged and no other is whole; make another one now",
	                          before ? before : "", before ? "; " : "", directory, damaged);
	return 0;
}

/* The newest of each of @places; those of other kinds of jobs have none. */
static int add_newest(struct catalog *c, const struct make_targets *places, struct make_targets *ret,
                      struct error *err)
{
	for (size_t i = 0; i < places->count; i++) {
		uint64_t ino;
		int r = catalog_newest_whole(c, places->items[i].name, &ino);

		if (r == 0)
			add_drill_target(c, ino, PICK_NEWEST, ret);
		else
			r = r == -ENOENT ? note_all_damaged(c, places->items[i].name, ret, err)
			                 : catalog_failed(r, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_whose_turn_it_is(struct catalog *c, const char *path, struct make_targets *ret,
                                struct error *err)
{
	_cleanup(free) char *directory = NULL;
	char pick[16];
	uint64_t ino;
	int r = catalog_drill_directory(c, path, &directory);

	if (r == 0)
		r = catalog_drill_pick(c, directory, &ino, pick);
	if (r < 0)
		return r == -ENOENT ? 0 : catalog_failed(r, err);
	add_drill_target(c, ino, pick, ret);
	return 0;
}

static int add_drill_copy(struct catalog *c, const char *word, struct make_targets *ret, struct error *err)
{
	_cleanup(free) char *path = copied_path(word);
	struct make_target *t = NULL;
	int r = words_is_of_exports(path) ? words_refuse_export(word, err)
	                                  : copied_add_target(c, word, ret, &t, err);

	if (r == 0)
		t->class = mem_strdup(PICK_ASKED);
	return r;
}

static int add_drill_word(struct catalog *c, const char *word, bool rotate, struct make_targets *ret,
                          struct error *err)
{
	_cleanup(free) char *path = words_path(word);
	_cleanup(make_targets) struct make_targets places = {0};
	struct catalog_entry entry;
	int r;

	if (copied_is_word(word))
		return add_drill_copy(c, word, ret, err);
	r = words_find_backup(c, path, &entry);

	if (r == 0 && words_is_of_exports(path))
		return words_refuse_export(path, err);
	if (r == 0) {
		add_drill_target(c, entry.ino, PICK_ASKED, ret);
		return 0;
	}
	if (r != -ENOENT)
		return catalog_failed(r, err);
	if (rotate)
		return add_whose_turn_it_is(c, path, ret, err);
	r = words_add_targets(c, path, &places, err);
	return r < 0 ? r : add_newest(c, &places, ret, err);
}

/* "clear": what a drill has written into a bucket, or a directory, when keepfs was killed. */
static bool is_clearing(const struct command_line *line)
{
	return line->word_count == 1 && str_equal(line->words[0], DRILL_CLEAR);
}

static int clearing_targets(const struct make_context *ctx, struct make_targets *ret, struct error *err)
{
	int r = drill_places_left(ctx->repository->catalog, ret, err);

	if (r == 0 && ret->count == 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "no drill has left anything that would have to be removed");
	return r;
}

/* What can be said of it before it begins. */
static int check_mirror_word(const struct make_context *ctx, const struct drill_words *words,
                             struct error *err)
{
	const struct conf *conf;
	int r;

	if (!*str_or_empty(words->mirror))
		return 0;
	conf = make_conf_ref(ctx);
	r = drill_place_check_url(conf, words->mirror, err);
	make_conf_unref(ctx, conf);
	return r;
}

static int drill_targets(const struct make_context *ctx, const struct conf_job *job,
                         const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	struct drill_words words;
	int r = take_drill_words(wanted->line, &words, err);

	if (r == 0 && is_clearing(wanted->line))
		return clearing_targets(ctx, ret, err);
	if (r == 0)
		r = check_mirror_word(ctx, &words, err);
	for (size_t i = 0; r == 0 && i < wanted->line->word_count; i++)
		r = add_drill_word(ctx->repository->catalog, wanted->line->words[i], words.rotate, ret, err);
	if (r == 0 && ret->count == 0)
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "there is no backup yet that is whole, and could be restored for a trial");
	return r;
}

static int drill_accepts(const struct make_context *ctx, const struct conf_job *job,
                         const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};

	return drill_targets(ctx, job, wanted, &targets, err);
}

/* One of them. */

static int check_kept(const struct backup *b, const struct drill_words *words, struct error *err)
{
	bool is_whole = drill_is_whole(b) || drill_is_cluster(b);

	if (is_whole && words->keep)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "keep=yes: %s is no single database, and nothing of it stays; restore it, or name one of its databases",
		        b->path);
	if (drill_is_cluster(b) && words->server)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "server=: %s is a base backup of a whole cluster, which becomes a throw-away server of its own: leave it out",
		        b->path);
	return 0;
}

static int check_backup(const struct backup *b, struct error *err)
{
	if (!str_equal(b->m.kind, "dump") && !drill_is_whole(b) && !drill_is_cluster(b))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is neither a database, nor an archive of files, nor a bundle, nor a base backup of a cluster, which are what a drill restores",
		        b->path);
	if (b->damage)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s is marked as damaged: 'keepfs verify' says whether it still is",
		                 b->path);
	if (str_equal(manifest_fact(&b->m, "content"), "data"))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s holds rows alone, without the tables that they belong into", b->path);
	return 0;
}

static char *name_database(const struct drill *d)
{
	const char *own = manifest_fact(&d->backup->m, "database");
	uint64_t number = 0;

	/* Others, too, have runs of that number, and may use the same server. */
	if (d->server) {
		(void)!getrandom(&number, sizeof(number), 0);
		return mem_printf("keepfs_drill_%" PRId64 "_%016" PRIx64, d->order->run_id, number);
	}
	if (!own || !*own || str_equal(own, "postgres") || str_starts(own, "template"))
		own = "restored";
	return mem_strdup(own);
}

static void begin_row(struct drill *d)
{
	struct catalog_drill *row = &d->row;
	/* That of a copy says which store has it. */
	const char *path = d->copy ? d->order->target->name : d->backup->path, *slash = strrchr(path, '/');
	_cleanup(free) char *directory = mem_printf("%.*s", (int)(slash - path), path);

	*row = (struct catalog_drill){.run_id = d->order->run_id,
	                              .started_at_us = make_now_us(d->ctx),
	                              .level = -1,
	                              .wanted = (int)d->wanted};
	str_copy(row->job, sizeof(row->job), d->backup->m.job);
	str_copy(row->directory, sizeof(row->directory), directory);
	str_copy(row->path, sizeof(row->path), path);
	str_copy(row->pick, sizeof(row->pick), d->order->target->class);
}

void drill_begin(struct drill *d, const struct drill_words *words)
{
	d->job = conf_find_job(d->conf, d->backup->m.job);
	d->wanted = words->level                    ? (enum proof_level)words->level
	            : d->job && d->job->drill_level ? (enum proof_level)d->job->drill_level
	                                            : PROOF_MOMENT;
	/* No moment can be chosen of anything else. */
	if (!drill_is_cluster(d->backup) && d->wanted > PROOF_YOURS)
		d->wanted = PROOF_YOURS;
	d->jobs = words->jobs;
	d->keep = words->keep;
	d->server = words->server                                             ? words->server
	            : d->job && d->job->drill_server && *d->job->drill_server ? d->job->drill_server
	                                                                      : NULL;
	d->cancel = d->order->cancel;
	d->database = name_database(d);
	d->first = json_array_new();
	d->told = json_array_new();
	d->phases = json_array_new();
	d->checks = json_array_new();
	d->objects = json_object_new();
	pthread_mutex_init(&d->lock, NULL);
	begin_row(d);
}

void drill_finish(struct drill *d)
{
	pg_scratch_free(d->scratch);
	free(d->database);
	json_free(d->first);
	json_free(d->told);
	json_free(d->phases);
	json_free(d->checks);
	json_free(d->objects);
	json_free(d->parts);
	json_free(d->moment);
	pthread_mutex_destroy(&d->lock);
}

static void keep_proof(struct drill *d)
{
	struct catalog_drill *row = &d->row;
	struct error err = {0};

	if (row->level < PROOF_RESTORED || row->result == DRILL_CANCELLED)
		return;
	if (backup_set_proof(d->backup, (enum proof_level)row->level, make_now_us(d->ctx), row->run_id,
	                     &err) < 0 &&
	    err.errnum != ENOENT)
		make_warn(d->order, "what was proven of %s could not be kept: %s", row->path, err.message);
}

static void keep_drill(struct drill *d)
{
	_cleanup(free) char *report = drill_report(d);
	struct error err = {0};

	keep_proof(d);
	if (catalog_add_drill(d->ctx->repository->catalog, &d->row, report, &err) < 0)
		make_warn(d->order, "the report could not be kept: %s", err.message);
	else
		make_say(d->order, "report: drills/%s.txt and .json", d->row.name);
}

static void expect_end(struct drill *d)
{
	_cleanup(pace) struct pace pace;
	_cleanup(str) struct str text = {0};

	pace_find(d->backup, PACE_DRILLED, &pace);
	if (pace.expected_us == 0)
		return;
	pace_append_ground(&pace, &text);
	make_say(d->order, "it takes probably %s", str_text(&text));
	if (d->order->progress)
		atomic_store(&d->order->progress->ends_us, clock_mono_us() + pace.expected_us);
}

static void note_drill_pace(struct drill *d)
{
	const struct catalog_drill *row = &d->row;

	if (row->level >= PROOF_RESTORED && row->result != DRILL_CANCELLED && row->restore_us > 0)
		pace_note(d->backup, PACE_RESTORED, row->restore_us, row->bytes);
	if (row->result == DRILL_PASSED)
		pace_note(d->backup, PACE_DRILLED, row->finished_at_us - row->started_at_us, row->bytes);
}

static int drill_backup(struct drill *d, const struct drill_words *words, struct error *err)
{
	int r = check_backup(d->backup, err);

	if (r == 0)
		r = check_kept(d->backup, words, err);
	if (r < 0)
		return r;
	drill_begin(d, words);
	make_say(d->order, "%s (%s) is restored for a trial, up to level %d", d->backup->path,
	         d->order->target->class, (int)d->wanted);
	expect_end(d);
	if (drill_is_cluster(d->backup))
		r = drill_cluster(d, err);
	else
		r = drill_is_whole(d->backup) ? drill_whole(d, words, err) : drill_rehearse(d, err);
	note_drill_pace(d);
	keep_drill(d);
	if (r == 0)
		make_say(d->order, "%s can be restored: level %d, in %.1f s", d->backup->path, d->row.level,
		         (double)d->row.restore_us / (double)US_PER_S);
	drill_finish(d);
	return r;
}

static int drill_kept(struct drill *d, const struct drill_words *words, uint64_t ino, struct error *err)
{
	_cleanup(backup) struct backup b = {.ctx = d->ctx, .cancel = d->order->cancel};
	int r = backup_open(&b, ino, err);

	d->backup = &b;
	return r < 0 ? r : drill_backup(d, words, err);
}

static int drill_copy(struct drill *d, const struct drill_words *words, struct error *err)
{
	_cleanup(copied) struct copied copy = {0};
	_cleanup(backup) struct backup b = {.cancel = d->order->cancel};
	int r = copied_open(d->ctx, d->order->target->name, d->order->cancel, &copy, err);

	if (r < 0)
		return r;
	b.ctx = &copy.ctx;
	d->copy = &copy;
	make_say(d->order, "%s is read from its copy in %s alone", copy.path, copy.store);
	r = backup_open(&b, ino_of_artifact(copy.path), err);
	d->backup = &b;
	return r < 0 ? r : drill_backup(d, words, err);
}

static int drill_listed(struct drill *d, const struct drill_words *words, struct error *err)
{
	struct repository *repository = d->ctx->repository;
	uint64_t ino = ino_of_artifact(d->order->target->name), kept = ino;
	int r;

	(void)catalog_artifact_of(repository->catalog, ino, &kept);
	r = artifact_keep(repository, kept, d->order->run_id, "restored for a trial", err);
	if (r < 0)
		return r;
	r = drill_kept(d, words, ino, err);
	artifact_let_go(repository, kept, d->order->run_id);
	return r;
}

static int drill_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                      struct error *err)
{
	struct make_context own = *ctx;
	struct drill d = {.ctx = &own, .order = order};
	struct drill_words words;
	int r = take_drill_words(order->line, &words, err);

	if (r < 0)
		return r;
	if (is_clearing(order->line))
		return drill_place_clear(ctx, order, err);
	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for reading backups");
	d.conf = make_conf_ref(ctx);
	r = copied_is_word(order->target->name) ? drill_copy(&d, &words, err) : drill_listed(&d, &words, err);
	make_conf_unref(ctx, d.conf);
	pool_free(own.pool);
	return r;
}

static void clear_servers(const char *directory, const char *whose)
{
	struct error err = {0};
	int r = scratch_place_clear(directory, &err);

	if (r < 0)
		log_warning("%s", err.message);
	else if (r > 0)
		log_info(
		        "%d scratch director%s (of throw-away servers and unpacked archives) that %s had left in %s %s removed",
		        r, r == 1 ? "y" : "ies", whose, directory, r == 1 ? "was" : "were");
}

void use_drill_clear(const struct conf *conf)
{
	_cleanup(free) char *directory = conf_drill_dir(conf), *exports = past_server_directory(conf);

	clear_servers(directory, "a drill");
	clear_servers(exports, "an export from a backup");
}

static enum make_lane drill_lane(const struct command_line *line)
{
	return MAKE_LANE_DRILL;
}

const struct make_kind use_drill = {
        .name = "drill",
        .targets_name = "backups",
        .lane = drill_lane,
        .accepts = drill_accepts,
        .targets = drill_targets,
        .make = drill_make,
};
