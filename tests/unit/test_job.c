// SPDX-License-Identifier: Apache-2.0
/* Jobs over a real catalog, with a maker that does as it is told: it waits, fails, counts, and moves no
 * byte. */
#include "../support/manifests.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/dump.h>
#include <keepfs/files.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>

#include "../../src/job/job_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../support/tree.h"

struct bench {
	struct make_context ctx; /* first: the maker finds the bench by it */
	struct repository repository;
	char state_dir[64];
	struct conf conf;
	struct conf_job backups[2]; /* copies of the two below, for tests to change */
	struct jobs_events events;
	struct jobs *jobs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All below: lock. */
	bool hold;             /* makers wait until it is cleared, or they are cancelled */
	unsigned pass;         /* so many of them go on all the same */
	unsigned made;         /* makers that began */
	unsigned running;      /* makers that are at work */
	char order[512];       /* the directories they were given, in order */
	uint64_t add_bytes;    /* what each maker adds to its progress before it waits */
	uint64_t add_verified; /* the same */
	bool nothing;          /* makers make no artifact */
	unsigned at_once;      /* targets of a run that are made at the same time; 0: one */
	bool shares;           /* a maker was told how many share the memory, and it was not .at_once */
	const char *warning;   /* what each maker warns of */
	char asked[512];       /* how the last maker was asked: its job's keys, and note */
	struct make_progress *progress; /* of the maker that is at work */
	unsigned events_told;
	unsigned ends_told; /* runs of which an event came when the catalog held their end already */
	uint64_t ended;     /* a bit for each of them, by its number */
};

struct held_make {
	struct bench *bench;
	bool cancelled; /* bench->lock */
};

static void wake_make(void *arg)
{
	struct held_make *held = arg;

	pthread_mutex_lock(&held->bench->lock);
	held->cancelled = true;
	pthread_cond_broadcast(&held->bench->changed);
	pthread_mutex_unlock(&held->bench->lock);
}

static void describe_job(const struct make_order *order, char *buf, size_t size)
{
	static const char *const keys[] = {"format", "compression", "content", "jobs", "tables", "max_rate"};
	_cleanup(str) struct str text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		conf_job_format(order->job, keys[i], &text);
		str_append_char(&text, '|');
	}
	snprintf(buf, size, "%s%s|%s", str_text(&text), order->partial ? "partial" : "whole",
	         order->note ? order->note : "(none)");
}

static bool wait_held(struct bench *b, const struct make_order *order)
{
	struct held_make held = {.bench = b};
	struct cancel_hook hook = {.wake = wake_make, .arg = &held};

	cancel_add_hook(order->cancel, &hook);
	pthread_mutex_lock(&b->lock);
	b->made++;
	b->running++;
	b->progress = order->progress;
	b->shares |= order->at_once != (b->at_once ? b->at_once : 1);
	str_copy(b->order + strlen(b->order), sizeof(b->order) - strlen(b->order), order->target->directory);
	str_copy(b->order + strlen(b->order), sizeof(b->order) - strlen(b->order), " ");
	atomic_fetch_add(&order->progress->read_bytes, b->add_bytes);
	atomic_fetch_add(&order->progress->sent_bytes, b->add_bytes / 2);
	atomic_fetch_add(&order->progress->verified_bytes, b->add_verified);
	describe_job(order, b->asked, sizeof(b->asked));
	pthread_cond_broadcast(&b->changed);
	while (b->hold && b->pass == 0 && !held.cancelled)
		pthread_cond_wait(&b->changed, &b->lock);
	b->pass -= b->pass > 0;
	b->progress = NULL;
	b->running--;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	cancel_remove_hook(order->cancel, &hook);
	return held.cancelled;
}

static int fake_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	struct bench *b = (struct bench *)ctx;

	order->log(order->log_arg, "pg_dump: saving");
	if (wait_held(b, order))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (order->target->name && str_starts(order->target->name, "bad"))
		return error_set(err, ERROR_DENIED, EACCES, "pg_dump: error: no rights on %s",
		                 order->target->name);
	if (order->target->name && str_starts(order->target->name, "silent"))
		return -ENOMEM;
	if (b->warning)
		make_warn(order, "%s", b->warning);
	if (b->nothing)
		return 0;
	*ret = (struct manifest){
	        .path = mem_printf("%s/20261120T020000Z.dump", order->target->directory),
	        .size_bytes = 1000,
	};
	memset(ret->sha256, 'a', SHA256_HEX_BYTES - 1);
	return 0;
}

/* There is no server. */
static void see_nothing(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_target *made, struct cancel *cancel)
{
}

static unsigned fake_at_once(const struct make_context *ctx, const struct conf_job *job)
{
	const struct bench *b = (const struct bench *)ctx;

	return b->at_once ? b->at_once : 1;
}

/* Dumps, but for the maker. */
static struct make_kind fake_kinds[2]; /* by enum conf_job_kind: the real ones, but for what makes */

static const struct make_kind *fake_kind(const struct conf_job *job)
{
	return &fake_kinds[job->kind];
}

static void on_run_changed(void *arg, int64_t run_id)
{
	struct bench *b = arg;
	struct catalog_run run;

	assert_int_equal(catalog_run(b->repository.catalog, run_id, &run), 0);
	pthread_mutex_lock(&b->lock);
	/* Its first event, too, may come so late. */
	if (run.state != RUN_PENDING && run.state != RUN_RUNNING &&
	    !(b->ended & UINT64_C(1) << run_id % 64)) {
		b->ended |= UINT64_C(1) << run_id % 64;
		b->ends_told++;
	}
	b->events_told++;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static char *no_databases[] = {NULL};
static char *tenants[] = {(char *)"acme", (char *)"bad one", (char *)"silent", (char *)"zeta", NULL};

static struct conf_job backups[] = {
        {.name = (char *)"full",
         .dump.database = (char *)"postgresql:///primary",
         .dump.databases = no_databases,
         .hook_timeout_ms = 60000},
        {.name = (char *)"tenants",
         .dump.database = (char *)"postgresql:///",
         .dump.databases = tenants,
         .hook_timeout_ms = 60000},
};

static void bench_init(struct bench *b, int64_t parallel_runs)
{
	struct jobs_options options = {.kind_of = fake_kind, .hook_stop_ms = 50};
	struct error err = {0};

	fake_kinds[CONF_JOB_DUMP] = dump_kind;
	fake_kinds[CONF_JOB_FILES] = files_kind;
	for (size_t i = 0; i < ARRAY_SIZE(fake_kinds); i++) {
		fake_kinds[i].make = fake_make;
		fake_kinds[i].look_around = see_nothing;
		fake_kinds[i].at_once = fake_at_once;
	}
	*b = (struct bench){0};
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	log_set_level(0);
	str_copy(b->state_dir, sizeof(b->state_dir), "/tmp/keepfs-test-job-XXXXXX");
	assert_non_null(mkdtemp(b->state_dir));
	assert_int_equal(catalog_open(b->state_dir, &b->repository.catalog, &err), 0);
	memcpy(b->backups, backups, sizeof(backups));
	b->conf = (struct conf){.parallel_runs = parallel_runs,
	                        .jobs = b->backups,
	                        .job_count = 2,
	                        .path = (char *)"/etc/keepfs/keepfs.conf",
	                        .store.url = (char *)"dir:/objects"};
	b->ctx.conf = &b->conf;
	b->ctx.repository = &b->repository;
	b->events = (struct jobs_events){on_run_changed, b};
	options.ctx = &b->ctx;
	options.events = &b->events;
	assert_int_equal(jobs_start(&options, &b->jobs, &err), 0);
}

static void bench_finish(struct bench *b)
{
	assert_null(jobs_free(b->jobs));
	catalog_free(b->repository.catalog);
	assert_int_equal(remove_tree(b->state_dir), 0);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
}

static void hold(struct bench *b, bool on)
{
	pthread_mutex_lock(&b->lock);
	b->hold = on;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void wait_running(struct bench *b, unsigned count)
{
	pthread_mutex_lock(&b->lock);
	while (b->running != count)
		pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

/* As whoever writes to control/trigger does. */
static int submit(struct bench *b, const char *command, const char *by, struct catalog_run *ret_run,
                  struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	int r = jobs_order_parse(&b->conf, command, &order, err);

	return r < 0 ? r : jobs_submit(b->jobs, &order, by, ret_run, err);
}

static int64_t trigger(struct bench *b, const char *command)
{
	struct catalog_run run;
	struct error err = {0};

	assert_int_equal(submit(b, command, "uid 0 (test)", &run, &err), 0);
	assert_true(run.id > 0);
	return run.id;
}

static void count_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	unsigned *found = arg;

	*found += strcmp(line, "pg_dump: saving") == 0 || strcmp(line, "run completed") == 0;
}

static void test_run_completes(void **state)
{
	struct catalog_target target;
	struct catalog_run run;
	unsigned lines = 0;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	id = trigger(&b, "now\n");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.job, "full");
	assert_string_equal(run.triggered_by, "uid 0 (test)");
	assert_string_equal(run.error, "");
	assert_int_equal(run.size_bytes, 1000);
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, &target, 1), 1);
	assert_string_equal(target.label, "primary");
	assert_string_equal(target.path, "backups/full/20261120T020000Z.dump");
	assert_int_equal(target.state, RUN_COMPLETED);
	assert_int_equal(catalog_run_log(b.repository.catalog, id, 0, count_line, &lines), 0);
	assert_int_equal(lines, 2);
	assert_string_equal(b.order, "backups/full ");
	/* Its name does as well, and again when the first has ended. */
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "'full'"), &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	jobs_stop(b.jobs, 0);
	/* The last event of each run came after its end. */
	assert_int_equal(b.ends_told, 2);
	bench_finish(&b);
}

static void a_run_may_make_no_artifact(void **state)
{
	struct catalog_target target;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	b.nothing = true;
	id = trigger(&b, "full");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_int_equal(run.size_bytes, 0);
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, &target, 1), 1);
	assert_int_equal(target.state, RUN_COMPLETED);
	assert_string_equal(target.path, "");
	assert_int_equal(target.size_bytes, 0);
	bench_finish(&b);
}

static void test_trigger_refuses(void **state)
{
	static const char *const bad[] = {"",       " \n",   "nothing",    "full tenants",
	                                  "note=x", "'full", "full\nfull", "NOW"};
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		assert_int_equal(submit(&b, bad[i], "test", &run, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		if (bad[i][0] != '\'')
			assert_non_null(strstr(err.message, "now, full, tenants"));
	}
	assert_int_equal(catalog_runs(b.repository.catalog, NULL, 0, &run, 1), 0);
	b.conf.job_count = 0;
	{
		struct error err = {0};

		assert_int_equal(submit(&b, "now", "test", &run, &err), -EINVAL);
		assert_non_null(strstr(err.message, "[backup NAME]"));
	}
	b.conf.job_count = 2;
	bench_finish(&b);
}

/* Any kind of job can be the first, which 'now' means; its keys are those of its kind. */
static void test_trigger_of_files(void **state)
{
	static char *no_patterns[] = {NULL};
	struct conf_job docs = {.name = (char *)"docs", .kind = CONF_JOB_FILES};
	struct catalog_run run;
	struct error err = {0};
	struct bench b;

	docs.files = (struct conf_files){
	        .path = (char *)"/srv", .exclude = no_patterns, .each = (char *)"", .settle_ms = 600000};
	bench_init(&b, 1);
	b.conf.jobs = &docs;
	b.conf.job_count = 1;
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "now exclude='*.tmp b' compression=gzip"), &run), 0);
	assert_string_equal(run.job, "docs");
	assert_string_equal(run.options, "exclude='*.tmp, b' compression=gzip:6");
	assert_string_equal(b.order, "backups/docs ");
	assert_int_equal(submit(&b, "docs format=plain", "test", &run, &err), -EINVAL);
	assert_non_null(
	        strstr(err.message, "format: [files docs] has no such key; allowed: exclude, compression"));
	assert_int_equal(submit(&b, "docs verify = none", "test", &run, &err), -EINVAL);
	assert_non_null(
	        strstr(err.message, "keys: exclude, compression, verify, max_rate, note, hold, keep"));
	bench_finish(&b);
}

/* Whoever mistypes is told at once, and no run fails for it. */
static void what_a_job_does_not_have_is_refused(void **state)
{
	static const char *const cases[][2] = {
	        {"tenants database=zet",
	         "job tenants has no database 'zet'; its databases: acme, bad one, silent, zeta"},
	        {"tenants database=ACME", "job tenants has no database 'ACME'"},
	        {"tenants database=", "database: names none"},
	        {"tenants database=acme database=zeta", "database: this key is given twice"},
	        {"full database=shop", "job full has no database 'shop'; its databases: primary"},
	        {"tenants class=demo", "class=demo: [backup tenants] has no registry that says which class"},
	        {"tenants class=demo database=acme", "class=demo: [backup tenants] has no registry"},
	        {"tenants class=", "class: names none"},
	        {"tenants final=yes", "final=yes is for one database: add database=NAME"},
	        {"tenants database=acme final=maybe", "final = maybe: is none of the words that are allowed"},
	        {"docs database=acme", "database: [files docs] archives a directory"},
	        {"docs class=demo", "class: [files docs] archives a directory"},
	};
	struct conf_job docs = {.name = (char *)"docs", .kind = CONF_JOB_FILES, .files.path = (char *)"/srv"};
	struct conf_job jobs[3];
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	memcpy(jobs, b.backups, sizeof(b.backups));
	jobs[2] = docs;
	b.conf.jobs = jobs;
	b.conf.job_count = 3;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {0};

		assert_int_equal(submit(&b, cases[i][0], "test", &run, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!str_starts(err.message, cases[i][1]))
			fail_msg("want: %s\ngot: %s", cases[i][1], err.message);
	}
	assert_int_equal(catalog_runs(b.repository.catalog, NULL, 0, &run, 1), 0);
	bench_finish(&b);
}

/* An order needs no text: whoever has one in hand gives it as it is, and is refused the same. */
static void test_an_order_without_text(void **state)
{
	const char *keys[] = {"compression", "shape"}, *values[] = {"none", "x"};
	struct jobs_order order = {.keys = keys, .values = values, .key_count = 1, .note = "nightly"};
	static const char *const bad_notes[] = {"two\nlines", "\xff", "\x1b[0m", "\xc2\x9b"};
	struct catalog_run run;
	struct error err = {0};
	struct bench b;

	bench_init(&b, 1);
	order.job = &b.conf.jobs[1];
	assert_int_equal(jobs_submit(b.jobs, &order, "timer", &run, &err), 0);
	assert_int_equal(jobs_wait(b.jobs, run.id, &run), 0);
	assert_string_equal(run.job, "tenants");
	assert_string_equal(run.triggered_by, "timer");
	assert_string_equal(run.options, "compression=none");
	assert_string_equal(run.note, "nightly");
	order.key_count = 2;
	assert_int_equal(jobs_submit(b.jobs, &order, "timer", NULL, &err), -EINVAL);
	assert_non_null(strstr(err.message, "shape: no such key"));
	order.key_count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad_notes); i++) {
		err = (struct error){0};
		order.note = bad_notes[i];
		assert_int_equal(jobs_submit(b.jobs, &order, "timer", NULL, &err), -EINVAL);
		assert_non_null(strstr(err.message, "note: must be UTF-8"));
	}
	order.note = "";
	assert_int_equal(jobs_submit(b.jobs, &order, "timer", &run, &err), 0);
	assert_int_equal(jobs_wait(b.jobs, run.id, &run), 0);
	assert_string_equal(run.note, "");
	bench_finish(&b);
}

static void test_trigger_refuses_keys(void **state)
{
	static const char *const bad[][2] = {
	        {"full format=tar", "format = tar: is none of the words that are allowed; allowed: custom"},
	        {"full compresion=none", "compresion: no such key; did you mean compression?"},
	        {"full shape=x", "shape: no such key; allowed: format, compression"},
	        {"full pg_bindir=/x", "pg_bindir: this key cannot be changed for one run"},
	        {"full jobs=2 jobs=3", "jobs: this key is given twice"},
	        {"full note=a note=b", "note: this key is given twice"},
	        {"full format=plain jobs=2", "jobs = 2: reads through several connections"},
	        {"full Format=plain", "'Format=plain' is not written as key=value"},
	        {"full 'format=plain'", "is not written as key=value"},
	        {"full format = plain", "'=' is not written as key=value"},
	        {"full 'jobs'=2", "is not written as key=value"},
	        {"full note='open", "the quote ' is not closed"},
	        {"full note=\"a\tb\"", "control characters"},
	        {"full note=\xff", "must be UTF-8"},
	        {"note=x jobs=2", "the command names no job; write one of: now, full, tenants"},
	};
	_cleanup(str) struct str text = {0};
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		assert_int_equal(submit(&b, bad[i][0], "test", &run, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!strstr(err.message, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], err.message);
	}
	/* As long as a note may be, counted in bytes, and one more. */
	str_append(&text, "full note=");
	for (unsigned i = 0; i < JOBS_NOTE_MAX_BYTES / 2; i++)
		str_append(&text, "\xc3\xa4");
	str_append_char(&text, 'x');
	{
		struct error err = {0};

		assert_int_equal(submit(&b, str_text(&text), "test", &run, &err), -EINVAL);
		assert_string_equal(err.message, "note: has 201 bytes; allowed: at most 200");
	}
	assert_int_equal(catalog_runs(b.repository.catalog, NULL, 0, &run, 1), 0);
	text.data[--text.len] = '\0';
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, str_text(&text)), &run), 0);
	assert_int_equal(strlen(run.note), JOBS_NOTE_MAX_BYTES);
	bench_finish(&b);
}

static void collect_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	str_appendf(arg, "%s\n", line);
}

/* The whole log of a run; the caller's. */
static char *read_log(struct bench *b, int64_t id)
{
	struct str text = {0};

	assert_int_equal(catalog_run_log(b->repository.catalog, id, 0, collect_line, &text), 0);
	return str_take(&text);
}

static void test_trigger_changes_the_job(void **state)
{
	_cleanup(free) char *log = NULL;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	id = trigger(&b, "note=\"before the 'big' one\" full compression=gzip max_rate=50MB/s "
	                 "tables='public.\"My Table\",x' jobs=4");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.note, "before the 'big' one");
	assert_string_equal(run.options, "compression=gzip:6 max_rate=50M/s tables='public.\"My Table\", x' "
	                                 "jobs=4");
	assert_string_equal(b.asked,
	                    "custom|gzip:6|full|4|public.\"My Table\", x|50M/s|partial|before the 'big' "
	                    "one");
	log = read_log(&b, id);
	assert_non_null(strstr(log, "note: before the 'big' one\n"));
	assert_non_null(strstr(log, "not as the job says: compression=gzip:6 max_rate=50M/s tables="));
	assert_non_null(strstr(log, "\npartial: "));
	/* What was written in the history can be triggered again. */
	{
		_cleanup(free) char *again = mem_printf("full %s", run.options);

		assert_int_equal(jobs_wait(b.jobs, trigger(&b, again), &run), 0);
		assert_true(str_ends(again, run.options));
	}
	/* The job is what it was. */
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "full note=''"), &run), 0);
	assert_string_equal(run.note, "");
	assert_string_equal(run.options, "");
	assert_string_equal(b.asked, "custom|fast|full|auto||none|whole|(none)");
	bench_finish(&b);
}

/* What does not fit the history ends in dots; the log has it all. */
static void test_long_options_fit_the_history(void **state)
{
	_cleanup(str) struct str command = {0};
	_cleanup(free) char *log = NULL;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	str_append(&command, "full exclude_tables=first");
	for (unsigned i = 0; i < 60; i++)
		str_appendf(&command, ",a_table_with_\xc3\xa4_%u", i);
	id = trigger(&b, str_text(&command));
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_true(strlen(run.options) > 500 && str_ends(run.options, "..."));
	log = read_log(&b, id);
	assert_non_null(strstr(log, "a_table_with_\xc3\xa4_59"));
	bench_finish(&b);
}

static void test_warnings_of_makers(void **state)
{
	_cleanup(free) char *log = NULL;
	struct catalog_run run;
	const char *line;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	b.warning = "role passwords are not in it";
	id = trigger(&b, "full");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.warning, "role passwords are not in it");
	log = read_log(&b, id);
	line = strstr(log, "warning: role passwords are not in it\n");
	assert_non_null(line);
	assert_null(strstr(line + strlen("warning: role passwords"), "role passwords"));
	bench_finish(&b);
}

/* Hooks: real commands, which write to and wait for files in the test's directory. */

/* A command for job @index; %s in it is the directory. The caller frees it after bench_finish(). */
static char *set_hook(struct bench *b, char **hook, const char *format)
{
	_cleanup(str) struct str text = {0};

	for (const char *p = format; *p; p++) {
		if (*p == '@')
			str_append(&text, b->state_dir);
		else
			str_append_char(&text, *p);
	}
	*hook = str_take(&text);
	return *hook;
}

static char *read_file(struct bench *b, const char *name)
{
	_cleanup(free) char *path = mem_printf("%s/%s", b->state_dir, name);
	struct str text = {0};

	if (fd_read_file(path, 1 << 20, &text) < 0) {
		str_finish(&text);
		return mem_strdup("(no such file)");
	}
	return str_take(&text);
}

static void make_fifo(struct bench *b, const char *name)
{
	_cleanup(free) char *path = mem_printf("%s/%s", b->state_dir, name);

	assert_int_equal(mkfifo(path, 0600), 0);
}

/* Blocks until somebody has opened the other end. */
static void meet(struct bench *b, const char *name, int flags)
{
	_cleanup(free) char *path = mem_printf("%s/%s", b->state_dir, name);
	_cleanup(fd) int fd = open(path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
}

static void test_hooks_get_the_facts(void **state)
{
	_cleanup(free) char *pre = NULL, *post = NULL, *before = NULL, *after = NULL, *expected = NULL;
	_cleanup(free) char *log = NULL;
	char started[CLOCK_ISO_BYTES];
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	pre = set_hook(&b, &b.backups[0].pre_hook,
	               "env | grep ^KEEPFS_ | sort > @/pre; echo out; echo words >&2");
	post = set_hook(&b, &b.backups[0].post_hook,
	                "test -s @/pre && env | grep ^KEEPFS_ | grep -v FINISHED | sort > @/post; date -d "
	                "$KEEPFS_FINISHED > @/finished");
	id = trigger(&b, "full note='$HOME \"x\"'");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.warning, "");
	assert_string_equal(b.order, "backups/full ");
	before = read_file(&b, "pre");
	expected = mem_printf(
	        "KEEPFS_CLASS=\nKEEPFS_CONFIG=/etc/keepfs/keepfs.conf\nKEEPFS_DATABASE=\nKEEPFS_DATABASES=primary\nKEEPFS_JOB=full\n"
	        "KEEPFS_NOTE=$HOME \"x\"\nKEEPFS_RUN=%lld\nKEEPFS_STORE=dir:/objects\n"
	        "KEEPFS_TRIGGERED_BY=uid 0 (test)\n",
	        (long long)id);
	assert_string_equal(before, expected);
	after = read_file(&b, "post");
	free(expected);
	expected = mem_printf(
	        "KEEPFS_ARTIFACTS=backups/full/20261120T020000Z.dump\n"
	        "KEEPFS_CLASS=\nKEEPFS_CONFIG=/etc/keepfs/"
	        "keepfs.conf\nKEEPFS_DATABASE=\nKEEPFS_DATABASES=primary\nKEEPFS_ERROR=\nKEEPFS_JOB=full\n"
	        "KEEPFS_NOTE=$HOME \"x\"\nKEEPFS_RUN=%lld\n"
	        "KEEPFS_SHA256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	        "KEEPFS_SIZE_BYTES=1000\nKEEPFS_STARTED=%s\nKEEPFS_STATE=completed\nKEEPFS_STORE="
	        "dir:/objects\n"
	        "KEEPFS_TRIGGERED_BY=uid 0 (test)\n",
	        (long long)id, clock_format_iso(run.started_at_us, started));
	assert_string_equal(after, expected);
	log = read_log(&b, id);
	assert_non_null(strstr(log, "pre_hook: out\n"));
	assert_non_null(strstr(log, "pre_hook: words\n"));
	assert_non_null(strstr(log, "post_hook begins\n"));
	bench_finish(&b);
}

static void one_database_alone(void **state)
{
	_cleanup(free) char *post = NULL, *said = NULL;
	struct catalog_target targets[2];
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	post = set_hook(&b, &b.backups[1].post_hook,
	                "echo \"$KEEPFS_DATABASES|$KEEPFS_DATABASE|$KEEPFS_CLASS\" > @/post");
	id = trigger(&b, "tenants database=zeta compression=none note=again");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.options, "database=zeta compression=none");
	assert_string_equal(run.note, "again");
	assert_string_equal(b.order, "backups/tenants/zeta ");
	assert_non_null(strstr(b.asked, "|whole|"));
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, targets, 2), 1);
	assert_string_equal(targets[0].label, "zeta");
	said = read_file(&b, "post");
	assert_string_equal(said, "zeta|zeta|\n");
	/* One whose name needs quotes is written so that it can be given again. */
	id = trigger(&b, "tenants database='bad one'");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_string_equal(run.options, "database='bad one'");
	/* The last one of it says so. */
	id = trigger(&b, "tenants database=zeta final=yes");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_string_equal(run.options, "database=zeta final=yes");
	assert_string_equal(run.note, "final");
	/* The only database of a job has a name as well. */
	id = trigger(&b, "full database=primary");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	bench_finish(&b);
}

static void test_hooks_of_several_databases(void **state)
{
	_cleanup(free) char *post = NULL, *said = NULL;
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	post = set_hook(&b, &b.backups[1].post_hook,
	                "printf '%s|' \"$KEEPFS_STATE\" \"$KEEPFS_DATABASES\" \"$KEEPFS_ARTIFACTS\" "
	                "\"$KEEPFS_SHA256\" \"$KEEPFS_SIZE_BYTES\" \"$KEEPFS_ERROR\" > @/post");
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "tenants"), &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	said = read_file(&b, "post");
	assert_true(str_starts(said,
	                       "failed|acme,bad one,silent,zeta|backups/tenants/acme/20261120T020000Z.dump\n"
	                       "backups/tenants/zeta/20261120T020000Z.dump||2000|2 of 4 databases failed: "
	                       "bad one: "));
	bench_finish(&b);
}

static void test_pre_hook_that_fails(void **state)
{
	_cleanup(free) char *pre = NULL, *post = NULL, *said = NULL;
	struct catalog_target targets[5];
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	pre = set_hook(&b, &b.backups[1].pre_hook, "echo no lock on the filesystem >&2; exit 3");
	post = set_hook(&b, &b.backups[1].post_hook, "echo $KEEPFS_STATE, $KEEPFS_ERROR > @/post");
	id = trigger(&b, "tenants");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_non_null(strstr(run.error, "pre_hook"));
	assert_non_null(strstr(run.error, "no lock on the filesystem"));
	assert_string_equal(b.order, "");
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, targets, 5), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(targets[i].state, RUN_FAILED);
	said = read_file(&b, "post");
	assert_true(str_starts(said, "failed, pre_hook"));
	/* The next run may do better. */
	b.backups[1].pre_hook = NULL;
	b.backups[1].post_hook = NULL;
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "tenants"), &run), 0);
	assert_string_equal(b.order, "backups/tenants/acme backups/tenants/bad=20one backups/tenants/silent "
	                             "backups/tenants/zeta ");
	bench_finish(&b);
}

static void test_post_hook_that_fails(void **state)
{
	_cleanup(free) char *post = NULL;
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	post = set_hook(&b, &b.backups[0].post_hook, "echo nobody to tell >&2; exit 1");
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "full"), &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.error, "");
	assert_non_null(strstr(run.warning, "post_hook"));
	assert_non_null(strstr(run.warning, "nobody to tell"));
	bench_finish(&b);
}

static void test_hook_that_takes_too_long(void **state)
{
	_cleanup(free) char *pre = NULL;
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	pre = set_hook(&b, &b.backups[0].pre_hook, "exec sleep 600");
	b.backups[0].hook_timeout_ms = 100;
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "full"), &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_non_null(strstr(run.error, "pre_hook"));
	assert_string_equal(b.order, "");
	bench_finish(&b);
}

/* The run is running until its post hook has ended, and the job is busy. */
static void test_post_hook_is_a_part_of_the_run(void **state)
{
	_cleanup(free) char *post = NULL;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	make_fifo(&b, "begun");
	make_fifo(&b, "go");
	post = set_hook(&b, &b.backups[0].post_hook, "cat /dev/null > @/begun; cat @/go");
	id = trigger(&b, "full");
	meet(&b, "begun", O_RDONLY);
	assert_int_equal(catalog_run(b.repository.catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_RUNNING);
	assert_int_equal(submit(&b, "full", "test", &run, NULL), -EBUSY);
	meet(&b, "go", O_WRONLY);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.warning, "");
	bench_finish(&b);
}

/* The server does not answer, and somebody cancels while that is waited for. */
static int targets_fail_and_run_is_cancelled(const struct make_context *ctx, const struct conf_job *job,
                                             const struct make_wanted *wanted, struct make_targets *ret,
                                             struct error *err)
{
	struct bench *b = (struct bench *)(uintptr_t)ctx;

	assert_int_equal(jobs_cancel(b->jobs, 1, NULL), 0);
	return error_set(err, ERROR_UNAVAILABLE, EIO, "the server does not answer");
}

/* Nothing was made: it must not count as a success. */
static void test_cancel_while_targets_are_looked_for(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	fake_kinds[CONF_JOB_DUMP].targets = targets_fail_and_run_is_cancelled;
	id = trigger(&b, "full");
	assert_int_equal(id, 1);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled");
	assert_string_equal(b.order, "");
	bench_finish(&b);
}

static void test_cancel_in_pre_hook(void **state)
{
	_cleanup(free) char *pre = NULL, *post = NULL, *said = NULL;
	struct catalog_target target;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	make_fifo(&b, "begun");
	pre = set_hook(&b, &b.backups[0].pre_hook, "cat /dev/null > @/begun; exec sleep 600");
	post = set_hook(&b, &b.backups[0].post_hook, "echo $KEEPFS_STATE $KEEPFS_ERROR > @/post");
	id = trigger(&b, "full");
	meet(&b, "begun", O_RDONLY);
	assert_int_equal(jobs_cancel(b.jobs, id, NULL), 0);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled");
	assert_string_equal(run.warning, "");
	assert_string_equal(b.order, "");
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, &target, 1), 1);
	assert_int_equal(target.state, RUN_CANCELLED);
	said = read_file(&b, "post");
	assert_string_equal(said, "cancelled cancelled\n");
	bench_finish(&b);
}

/* A run whose backup is made, and whose hook never ends. */
static int64_t begin_in_post_hook(struct bench *b, char **ret_post)
{
	int64_t id;

	bench_init(b, 1);
	make_fifo(b, "begun");
	*ret_post = set_hook(b, &b->backups[0].post_hook, "cat /dev/null > @/begun; exec sleep 600");
	id = trigger(b, "full");
	meet(b, "begun", O_RDONLY);
	return id;
}

static void test_cancel_in_post_hook(void **state)
{
	_cleanup(free) char *post = NULL;
	struct catalog_run run;
	struct bench b;
	int64_t id = begin_in_post_hook(&b, &post);

	assert_int_equal(jobs_cancel(b.jobs, id, NULL), 0);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	/* The backup is made. */
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_non_null(strstr(run.warning, "post_hook"));
	bench_finish(&b);
}

/* A stop does not wait for a hook's own limit. */
static void test_stop_in_post_hook(void **state)
{
	_cleanup(free) char *post = NULL;
	struct catalog_run run;
	struct bench b;
	int64_t id = begin_in_post_hook(&b, &post);

	jobs_stop(b.jobs, 0);
	assert_int_equal(catalog_run(b.repository.catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_non_null(strstr(run.warning, "post_hook"));
	bench_finish(&b);
}

/* One that was cancelled before it began has no hooks. */
static void test_no_hooks_before_the_beginning(void **state)
{
	_cleanup(free) char *pre = NULL, *post = NULL, *said = NULL;
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	pre = set_hook(&b, &b.backups[1].pre_hook, "echo pre >> @/said");
	post = set_hook(&b, &b.backups[1].post_hook, "echo post >> @/said");
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	assert_int_equal(jobs_wait(b.jobs, second, &run), 0);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, first, &run), 0);
	said = read_file(&b, "said");
	assert_string_equal(said, "(no such file)");
	bench_finish(&b);
}

static void test_one_run_of_a_job(void **state)
{
	struct catalog_run run;
	struct error err = {0};
	struct bench b;
	int64_t id;

	bench_init(&b, 2);
	hold(&b, true);
	id = trigger(&b, "full");
	wait_running(&b, 1);
	assert_int_equal(submit(&b, "now", "test", &run, &err), -EBUSY);
	/* Another job runs beside it. */
	trigger(&b, "tenants");
	wait_running(&b, 2);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	bench_finish(&b);
}

static void test_one_that_fails_does_not_stop_the_others(void **state)
{
	struct catalog_target targets[5];
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	id = trigger(&b, "tenants");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_int_equal(run.targets, 4);
	assert_int_equal(run.targets_failed, 2);
	assert_int_equal(run.size_bytes, 2000);
	assert_non_null(strstr(run.error,
	                       "2 of 4 databases failed: bad one: pg_dump: error: no rights on bad one; "
	                       "silent: the backup of silent failed"));
	assert_string_equal(b.order, "backups/tenants/acme backups/tenants/bad=20one backups/tenants/silent "
	                             "backups/tenants/zeta ");
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, targets, 5), 4);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_int_equal(targets[1].state, RUN_FAILED);
	assert_string_equal(targets[1].error, "pg_dump: error: no rights on bad one");
	assert_string_equal(targets[1].path, "");
	assert_int_equal(targets[2].state, RUN_FAILED);
	assert_int_equal(targets[3].state, RUN_COMPLETED);
	bench_finish(&b);
}

static void find_summary(void *arg, int64_t number, int64_t at_us, const char *line)
{
	bool *found = arg;

	found[0] |= strcmp(line, "acme: pg_dump: saving") == 0;
	found[1] |= strcmp(line, "zeta: pg_dump: saving") == 0;
	found[2] |= strcmp(line, "2 of 4 databases were made; failed: bad one, silent") == 0 ||
	            strcmp(line, "2 of 4 databases were made; failed: silent, bad one") == 0;
	found[3] |= strcmp(line, "pg_dump: saving") == 0;
}

/* Each has its own progress and result, and its name before its lines. */
static void test_targets_at_once(void **state)
{
	struct catalog_target targets[5];
	struct report_progress p;
	struct catalog_run run;
	struct bench b;
	bool found[4] = {false};
	int64_t id;

	bench_init(&b, 1);
	b.at_once = 3;
	b.add_bytes = 300;
	hold(&b, true);
	id = trigger(&b, "tenants");
	wait_running(&b, 3);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.targets_done, 0);
	assert_int_equal(p.read_bytes, 900);
	assert_non_null(strstr(p.target, "acme"));
	assert_non_null(strstr(p.target, "bad one"));
	assert_non_null(strstr(p.target, "silent"));
	/* When one of them ends the last one begins. */
	pthread_mutex_lock(&b.lock);
	b.pass = 1;
	pthread_cond_broadcast(&b.changed);
	while (b.made < 4)
		pthread_cond_wait(&b.changed, &b.lock);
	pthread_mutex_unlock(&b.lock);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.targets_done, 1);
	assert_int_equal(p.read_bytes, 1200);
	assert_false(b.shares);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_int_equal(run.targets_failed, 2);
	assert_int_equal(run.size_bytes, 2000);
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, targets, 5), 4);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_int_equal(targets[1].state, RUN_FAILED);
	assert_string_equal(targets[1].error, "pg_dump: error: no rights on bad one");
	assert_int_equal(targets[2].state, RUN_FAILED);
	assert_int_equal(targets[3].state, RUN_COMPLETED);
	assert_int_equal(catalog_run_log(b.repository.catalog, id, 0, find_summary, found), 0);
	assert_true(found[0] && found[1] && found[2] && !found[3]);
	bench_finish(&b);
}

static void test_cancel_of_targets_at_once(void **state)
{
	struct catalog_target targets[5];
	struct catalog_run run;
	struct error err = {0};
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	b.at_once = 2;
	hold(&b, true);
	id = trigger(&b, "tenants");
	wait_running(&b, 2);
	assert_int_equal(jobs_cancel(b.jobs, id, &err), 0);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_int_equal(b.made, 2);
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, targets, 5), 4);
	assert_string_equal(targets[0].error, "cancelled");
	assert_string_equal(targets[1].error, "cancelled");
	assert_string_equal(targets[2].error, "cancelled before it began");
	assert_string_equal(targets[3].error, "cancelled before it began");
	bench_finish(&b);
}

/* A run has no more threads than targets. */
static void test_more_at_once_than_targets(void **state)
{
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	b.at_once = 64;
	b.nothing = true;
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "tenants"), &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_int_equal(b.made, 4);
	bench_finish(&b);
}

static void test_many_failures_fit_the_history(void **state)
{
	static char long_name[] = "bad-0123456789012345678901234567890123456789012345678901234567890";
	char *names[41];
	char copies[40][80];
	struct conf_job many = {.name = (char *)"many", .dump.database = (char *)"", .dump.databases = names};
	struct catalog_run run;
	struct bench b;

	for (size_t i = 0; i < 40; i++) {
		snprintf(copies[i], sizeof(copies[i]), "%s%zu", long_name, i);
		names[i] = copies[i];
	}
	names[40] = NULL;
	bench_init(&b, 1);
	b.conf.jobs = &many;
	b.conf.job_count = 1;
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "many"), &run), 0);
	assert_non_null(strstr(run.error, "40 of 40 databases failed: bad-0123"));
	assert_true(str_ends(run.error, "; and others"));
	bench_finish(&b);
}

static void test_cancel_running(void **state)
{
	struct catalog_target targets[4];
	struct catalog_run run;
	struct error err = {0};
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	hold(&b, true);
	id = trigger(&b, "tenants");
	wait_running(&b, 1);
	assert_int_equal(jobs_cancel(b.jobs, id, &err), 0);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled");
	assert_string_equal(b.order, "backups/tenants/acme ");
	assert_int_equal(catalog_run_targets(b.repository.catalog, id, 0, targets, 4), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(targets[i].state, RUN_CANCELLED);
	assert_int_equal(jobs_cancel(b.jobs, id, &err), -ESRCH);
	assert_non_null(strstr(err.message, "is cancelled"));
	assert_int_equal(jobs_cancel(b.jobs, id + 1, &err), -ESRCH);
	bench_finish(&b);
}

static void test_cancel_pending(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	/* While the other one still runs. */
	assert_int_equal(jobs_wait(b.jobs, second, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled before it began");
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), -ESRCH);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, first, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(b.order, "backups/full ");
	bench_finish(&b);
}

/* No file can be written: as on a full disk. */
static void refuse_writes(bool on)
{
	static struct rlimit before;
	struct rlimit none;

	if (on) {
		signal(SIGXFSZ, SIG_IGN);
		assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
		none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, on ? &none : &before), 0);
}

static void test_cancel_pending_on_a_full_disk(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	refuse_writes(true);
	/* It does not wait for room, and may be asked again. */
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	assert_int_equal(catalog_run(b.repository.catalog, second, &run), 0);
	assert_int_equal(run.state, RUN_PENDING);
	refuse_writes(false);
	assert_int_equal(jobs_wait(b.jobs, second, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, first, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(b.order, "backups/full ");
	bench_finish(&b);
}

/* What cannot be kept does not keep keepfs from leaving. */
static void test_stop_on_a_full_disk(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	refuse_writes(true);
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	jobs_stop(b.jobs, 0);
	refuse_writes(false);
	assert_int_equal(jobs_wait(b.jobs, first, &run), -ESRCH);
	assert_int_equal(run.state, RUN_RUNNING);
	assert_int_equal(jobs_wait(b.jobs, second, &run), -ESRCH);
	assert_int_equal(run.state, RUN_PENDING);
	bench_finish(&b);
}

static void *stop_main(void *arg)
{
	struct bench *b = arg;

	jobs_stop(b->jobs, 600000);
	return NULL;
}

static void test_stop_within_grace(void **state)
{
	struct catalog_run run;
	struct error err = {0};
	pthread_t stopper;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	hold(&b, true);
	id = trigger(&b, "full");
	wait_running(&b, 1);
	assert_int_equal(pthread_create(&stopper, NULL, stop_main, &b), 0);
	hold(&b, false);
	pthread_join(stopper, NULL);
	assert_int_equal(catalog_run(b.repository.catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_int_equal(b.ends_told, 1);
	assert_int_equal(submit(&b, "full", "test", &run, &err), -ESHUTDOWN);
	bench_finish(&b);
}

static void test_stop_cancels(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	jobs_stop(b.jobs, 0);
	assert_int_equal(catalog_run(b.repository.catalog, first, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled: keepfs was stopped");
	assert_int_equal(catalog_run(b.repository.catalog, second, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_non_null(strstr(run.error, "before it began"));
	assert_int_equal(b.ends_told, 2);
	bench_finish(&b);
}

static void add_artifact(struct bench *b, uint64_t size_bytes)
{
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};

	manifest_describe(&m, "backups/full/20261119T020000Z.dump", 1, "primary");
	m.started_at_us = 1;
	m.finished_at_us = 2;
	manifest_put_own(&m, size_bytes, (uint32_t)(size_bytes / 1000), "");
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(b->repository.catalog, "backups/full", 1, &err), 0);
	assert_int_equal(catalog_add_artifact(b->repository.catalog, &m, &err), 0);
}

static void test_progress(void **state)
{
	struct report_progress p;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	add_artifact(&b, 5000);
	hold(&b, true);
	b.add_bytes = 2000;
	id = trigger(&b, "full");
	wait_running(&b, 1);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.read_bytes, 2000);
	assert_int_equal(p.sent_bytes, 1000);
	assert_int_equal(p.verified_bytes, 0);
	assert_false(p.verifying);
	assert_int_equal(p.expected_bytes, 5000);
	assert_int_equal(p.targets_done, 0);
	assert_string_equal(p.target, "primary");
	assert_in_range(p.elapsed_ms, 0, 60000);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_false(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.read_bytes, 0);
	bench_finish(&b);
}

/* What is read back counts, too, and changes a run that reads nothing any more. */
static void test_progress_of_reading_back(void **state)
{
	struct report_progress p;
	struct catalog_run run;
	struct bench b;
	unsigned told;
	int64_t id;

	bench_init(&b, 1);
	add_artifact(&b, 5000);
	hold(&b, true);
	b.add_bytes = 2000;
	b.add_verified = 7;
	id = trigger(&b, "full content=schema");
	wait_running(&b, 1);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.verified_bytes, 7);
	assert_true(p.verifying);
	/* Nothing is known of a part of what the last one was. */
	assert_int_equal(p.expected_bytes, 0);
	assert_int_equal(p.eta_s, -1);
	pthread_mutex_lock(&b.lock);
	told = b.events_told;
	while (b.events_told < told + 3) {
		atomic_fetch_add(&b.progress->verified_bytes, 1);
		pthread_cond_wait(&b.changed, &b.lock);
	}
	pthread_mutex_unlock(&b.lock);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	bench_finish(&b);
}

/* The bytes of databases that are done count on. */
static void test_progress_over_databases(void **state)
{
	struct report_progress p;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	b.add_bytes = 300;
	hold(&b, true);
	id = trigger(&b, "tenants");
	wait_running(&b, 1);
	/* Let the first one through. */
	pthread_mutex_lock(&b.lock);
	b.pass = 1;
	pthread_cond_broadcast(&b.changed);
	while (b.made < 2)
		pthread_cond_wait(&b.changed, &b.lock);
	pthread_mutex_unlock(&b.lock);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.targets_done, 1);
	assert_int_equal(p.read_bytes, 600);
	assert_string_equal(p.target, "bad one");
	hold(&b, false);
	bench_finish(&b);
}

static void test_events_are_few(void **state)
{
	int64_t began_ms = clock_mono_ms();
	struct report_progress p;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	add_artifact(&b, 1000000);
	hold(&b, true);
	b.add_bytes = 1000;
	id = trigger(&b, "full");
	wait_running(&b, 1);
	/* There is progress after each event, so there could be another one at any time. */
	pthread_mutex_lock(&b.lock);
	for (unsigned told = 0; b.events_told < 4;) {
		if (told < b.events_told)
			atomic_fetch_add(&b.progress->read_bytes, 100000);
		told = b.events_told;
		pthread_cond_wait(&b.changed, &b.lock);
	}
	assert_true(b.events_told - 1 <= (clock_mono_ms() - began_ms) / 200);
	pthread_mutex_unlock(&b.lock);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_true(p.rate_bytes_per_s > 0);
	/* A file beside the backup was sent, and nothing of the backup itself. */
	assert_int_equal(p.sent_bytes, 500);
	assert_int_equal(p.eta_s, -1);
	atomic_fetch_add(&b.progress->sent_bytes, 500000);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_in_range(p.eta_s, 0, 3600);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	jobs_stop(b.jobs, 0);
	assert_int_equal(b.ends_told, 1);
	bench_finish(&b);
}

static void test_wait_for_what_is_not_there(void **state)
{
	struct catalog_run run;
	struct error err = {0};
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	assert_int_equal(jobs_wait(b.jobs, 4711, &run), -ENOENT);
	/* One that a crash left and that nobody runs. */
	assert_int_equal(
	        catalog_add_run(b.repository.catalog,
	                        &(struct catalog_run){.job = "gone", .kind = "dump", .triggered_by = "test"},
	                        &id, &err),
	        0);
	assert_int_equal(jobs_wait(b.jobs, id, &run), -ESRCH);
	assert_null(jobs_free(NULL));
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_run_completes),
	        cmocka_unit_test(a_run_may_make_no_artifact),
	        cmocka_unit_test(test_trigger_refuses),
	        cmocka_unit_test(test_trigger_of_files),
	        cmocka_unit_test(test_an_order_without_text),
	        cmocka_unit_test(one_database_alone),
	        cmocka_unit_test(what_a_job_does_not_have_is_refused),
	        cmocka_unit_test(test_trigger_refuses_keys),
	        cmocka_unit_test(test_trigger_changes_the_job),
	        cmocka_unit_test(test_long_options_fit_the_history),
	        cmocka_unit_test(test_warnings_of_makers),
	        cmocka_unit_test(test_hooks_get_the_facts),
	        cmocka_unit_test(test_hooks_of_several_databases),
	        cmocka_unit_test(test_pre_hook_that_fails),
	        cmocka_unit_test(test_post_hook_that_fails),
	        cmocka_unit_test(test_hook_that_takes_too_long),
	        cmocka_unit_test(test_post_hook_is_a_part_of_the_run),
	        cmocka_unit_test(test_cancel_while_targets_are_looked_for),
	        cmocka_unit_test(test_cancel_in_pre_hook),
	        cmocka_unit_test(test_cancel_in_post_hook),
	        cmocka_unit_test(test_stop_in_post_hook),
	        cmocka_unit_test(test_no_hooks_before_the_beginning),
	        cmocka_unit_test(test_one_run_of_a_job),
	        cmocka_unit_test(test_one_that_fails_does_not_stop_the_others),
	        cmocka_unit_test(test_targets_at_once),
	        cmocka_unit_test(test_cancel_of_targets_at_once),
	        cmocka_unit_test(test_more_at_once_than_targets),
	        cmocka_unit_test(test_many_failures_fit_the_history),
	        cmocka_unit_test(test_cancel_running),
	        cmocka_unit_test(test_cancel_pending),
	        cmocka_unit_test(test_cancel_pending_on_a_full_disk),
	        cmocka_unit_test(test_stop_on_a_full_disk),
	        cmocka_unit_test(test_stop_within_grace),
	        cmocka_unit_test(test_stop_cancels),
	        cmocka_unit_test(test_progress),
	        cmocka_unit_test(test_progress_of_reading_back),
	        cmocka_unit_test(test_progress_over_databases),
	        cmocka_unit_test(test_events_are_few),
	        cmocka_unit_test(test_wait_for_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
