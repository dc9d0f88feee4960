// SPDX-License-Identifier: Apache-2.0
/* The timer over a real catalog, and with a clock of the test's own: what it begins, what it keeps, what it waits for. */
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/dump.h>
#include <keepfs/report/schedule.h>
#include <keepfs/report/status.h>

#include "../../src/job/job_private.h"
#include "../../src/job/timer.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/manifests.h"
#include "../support/tree.h"

#include <keepfs/catalog/artifacts.h>

#define DAY_S   INT64_C(86400)
#define START_S INT64_C(1795140000) /* 2026-11-20 02:00 UTC */
#define URL     "dir:/nowhere"

struct bench {
	struct make_context ctx; /* first: the maker finds the bench by it */
	struct repository repository;
	char state_dir[64];
	struct conf_live *live;
	const struct conf *conf;
	struct jobs *jobs;
	struct timer *timer;
	int64_t mono_us;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hold;        /* lock: makers wait */
	unsigned running; /* lock */
};

static int fake_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	struct bench *b = (struct bench *)ctx;

	pthread_mutex_lock(&b->lock);
	b->running++;
	pthread_cond_broadcast(&b->changed);
	while (b->hold)
		pthread_cond_wait(&b->changed, &b->lock);
	b->running--;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static struct make_kind fake_kind_of_dumps;

static const struct make_kind *fake_kind(const struct conf_job *job)
{
	return &fake_kind_of_dumps;
}

/* @text: the jobs, as in a file. */
static struct conf load_conf(const struct bench *b, const char *text)
{
	_cleanup(free) char *path = mem_printf("%s/keepfs.conf", b->state_dir);
	_cleanup(str) struct str problems = {0};
	struct conf conf = {0};
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "[keepfs]\nstate_dir = %s/state\ntimezone = Europe/Berlin\n[store]\nurl = " URL "\n%s",
	        b->state_dir, text);
	fclose(f);
	if (conf_load(path, &conf, &problems) < 0)
		fail_msg("%s", str_text(&problems));
	return conf;
}

static void start_jobs(struct bench *b)
{
	struct jobs_options options = {.ctx = &b->ctx, .kind_of = fake_kind, .hook_stop_ms = 50};
	struct error err = {0};

	fake_kind_of_dumps = dump_kind;
	fake_kind_of_dumps.make = fake_make;
	assert_int_equal(catalog_open(b->state_dir, &b->repository.catalog, &err), 0);
	assert_int_equal(jobs_start(&options, &b->jobs, &err), 0);
	assert_int_equal(timer_new(b->jobs, b->live, &b->timer, &err), 0);
	pthread_mutex_lock(&b->jobs->lock);
	b->jobs->timer = b->timer; /* which ends with the jobs */
	pthread_mutex_unlock(&b->jobs->lock);
}

static void stop_jobs(struct bench *b)
{
	b->jobs = jobs_free(b->jobs);
	b->repository.catalog = catalog_free(b->repository.catalog);
}

static struct bench *bench_new(const char *jobs)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct conf conf;

	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	log_set_level(0);
	unsetenv("PGSERVICE");
	str_copy(b->state_dir, sizeof(b->state_dir), "/tmp/keepfs-test-timer-XXXXXX");
	assert_non_null(mkdtemp(b->state_dir));
	conf = load_conf(b, jobs);
	b->live = conf_live_new(&conf);
	b->conf = conf_live_ref(b->live);
	b->ctx.conf = b->conf;
	b->ctx.repository = &b->repository;
	b->mono_us = 1;
	start_jobs(b);
	assert_int_equal(catalog_set_store_verified(b->repository.catalog, URL, 1, NULL), 0);
	return b;
}

static void bench_free(struct bench *b)
{
	stop_jobs(b);
	conf_unref(b->conf);
	conf_live_free(b->live);
	assert_int_equal(remove_tree(b->state_dir), 0);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* keepfs is ended, and started anew. */
static void restart(struct bench *b)
{
	stop_jobs(b);
	start_jobs(b);
}

static void reload(struct bench *b, const char *jobs)
{
	struct conf conf = load_conf(b, jobs);

	conf_live_replace(b->live, &conf);
	jobs_schedules_changed(b->jobs);
}

/* Time passes, as it does while the host is awake, until @at_s, and is looked at whenever the timer asked for it. */
static int64_t pass_until(struct bench *b, int64_t *now_s, int64_t at_s)
{
	int64_t next_s = timer_look(b->timer, *now_s * US_PER_S, b->mono_us);

	while (next_s <= at_s) {
		if (next_s > *now_s) {
			b->mono_us += (next_s - *now_s) * US_PER_S;
			*now_s = next_s;
		}
		next_s = timer_look(b->timer, *now_s * US_PER_S, b->mono_us);
	}
	b->mono_us += (at_s - *now_s) * US_PER_S;
	*now_s = at_s;
	return next_s;
}

static void wait_idle(struct bench *b)
{
	struct catalog_run *runs = mem_array(64, sizeof(*runs)), ended;
	ssize_t n = catalog_runs(b->repository.catalog, NULL, 0, runs, 64);

	for (ssize_t i = 0; i < n; i++)
		(void)jobs_wait(b->jobs, runs[i].id, &ended);
	free(runs);
}

static size_t run_count(struct bench *b)
{
	struct catalog_run *runs = mem_array(64, sizeof(*runs));
	ssize_t n = catalog_runs(b->repository.catalog, NULL, 0, runs, 64);

	free(runs);
	return (size_t)n;
}

static struct catalog_run last_run(struct bench *b)
{
	struct catalog_run run = {0};

	wait_idle(b);
	assert_int_equal(catalog_runs(b->repository.catalog, NULL, 0, &run, 1), 1);
	return run;
}

#define DAILY "[backup full]\ndatabase = host=/nowhere\nschedule = 0 3 * * *\n" /* 02:00 UTC */

static void a_run_begins_when_it_is_due(void **state)
{
	struct bench *b = bench_new(DAILY);
	int64_t now_s = START_S - 3600;
	struct catalog_run run;

	assert_int_equal(pass_until(b, &now_s, START_S - 1), START_S);
	assert_int_equal(run_count(b), 0);
	assert_int_equal(pass_until(b, &now_s, START_S), START_S + DAY_S);
	run = last_run(b);
	assert_string_equal(run.triggered_by, "scheduled");
	assert_string_equal(run.note, "");
	assert_string_equal(run.job, "full");
	assert_int_equal(run.state, RUN_COMPLETED);
	/* What the end of a run wakes it for changes nothing. */
	assert_int_equal(pass_until(b, &now_s, START_S + 100), START_S + DAY_S);
	assert_int_equal(run_count(b), 1);
	/* A restart has forgotten nothing. */
	restart(b);
	assert_int_equal(pass_until(b, &now_s, START_S + 200), START_S + DAY_S);
	assert_int_equal(run_count(b), 1);
	bench_free(b);
}

static void without_a_schedule_nothing_wakes_it(void **state)
{
	struct bench *b = bench_new("[backup full]\ndatabase = host=/nowhere\n");

	assert_int_equal(timer_look(b->timer, START_S * US_PER_S, 1), TIMER_NEVER);
	bench_free(b);
}

#define DRILLED "[backup full]\ndatabase = host=/nowhere\ndrill = 0 3 * * *\n"

/* Of rows alone, so that nothing is restored. */
static void add_backup(struct bench *b)
{
	_cleanup(manifest) struct manifest m = {0};

	manifest_describe(&m, "backups/full/20261119T020000Z.dump", 1, "primary");
	manifest_set_fact(&m, "content", "data");
	str_copy(m.sha256, sizeof(m.sha256), "0");
	manifest_put_own(&m, 10, 1, "");
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(b->repository.catalog, &m, NULL), 0);
}

static void a_drill_is_due_like_a_run(void **state)
{
	struct bench *b = bench_new(DRILLED);
	int64_t now_s = START_S - 3600;
	struct catalog_run run;

	/* There is nothing that could be restored: it is not tried again before it is due again. */
	assert_int_equal(pass_until(b, &now_s, START_S), START_S + DAY_S);
	assert_int_equal(run_count(b), 0);
	add_backup(b);
	assert_int_equal(pass_until(b, &now_s, START_S + DAY_S), START_S + 2 * DAY_S);
	run = last_run(b);
	assert_string_equal(run.job, "drill:full");
	assert_string_equal(run.kind, "drill");
	assert_string_equal(run.triggered_by, "scheduled");
	assert_string_equal(run.options, "backups/full pick=rotate");
	assert_int_equal(run.state, RUN_FAILED);
	/* A restart has forgotten nothing, and what is switched off is not begun. */
	restart(b);
	assert_int_equal(pass_until(b, &now_s, START_S + DAY_S + 60), START_S + 2 * DAY_S);
	assert_int_equal(run_count(b), 1);
	reload(b, "[backup full]\ndatabase = host=/nowhere\n");
	assert_int_equal(pass_until(b, &now_s, START_S + 3 * DAY_S), TIMER_NEVER);
	assert_int_equal(run_count(b), 1);
	bench_free(b);
}

static void what_was_missed_is_made_up_for_once(void **state)
{
	struct bench *b = bench_new(DAILY);
	int64_t now_s = START_S - 3600;

	pass_until(b, &now_s, START_S - 1800);
	restart(b);
	now_s = START_S + 3 * DAY_S + 3600;
	assert_int_equal(pass_until(b, &now_s, now_s + 10), START_S + 4 * DAY_S);
	assert_string_equal(last_run(b).note, "missed at 2026-11-23 03:00 (Europe/Berlin)");
	assert_string_equal(last_run(b).triggered_by, "scheduled");
	restart(b);
	pass_until(b, &now_s, now_s + 10);
	assert_int_equal(run_count(b), 1);
	/* The host sleeps: the clock goes on, the other one stands still. */
	now_s += 2 * DAY_S;
	timer_look(b->timer, now_s * US_PER_S, b->mono_us);
	assert_string_equal(last_run(b).note, "missed at 2026-11-25 03:00 (Europe/Berlin)");
	bench_free(b);
}

static void what_was_missed_long_ago_is_not(void **state)
{
	struct bench *b = bench_new(DAILY "catch_up = 1h\n");
	int64_t now_s = START_S - 3600;

	pass_until(b, &now_s, START_S - 1800);
	restart(b);
	now_s = START_S + 3700;
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + DAY_S);
	assert_int_equal(run_count(b), 0);
	restart(b);
	/* As it is not the second time either, though it would be within the time then. */
	reload(b, DAILY "catch_up = 1d\n");
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + DAY_S);
	assert_int_equal(run_count(b), 0);
	bench_free(b);
}

static void a_new_job_has_missed_nothing(void **state)
{
	struct bench *b = bench_new("[backup full]\ndatabase = host=/nowhere\n");
	int64_t now_s = START_S + 60;

	pass_until(b, &now_s, now_s);
	reload(b, DAILY);
	assert_int_equal(pass_until(b, &now_s, START_S + 600), START_S + DAY_S);
	assert_int_equal(run_count(b), 0);
	bench_free(b);
}

static void another_schedule_makes_nothing_due_in_the_past(void **state)
{
	struct bench *b = bench_new("[backup full]\ndatabase = host=/nowhere\nschedule = 0 6 * * *\n");
	int64_t now_s = START_S - 3600;

	pass_until(b, &now_s, now_s);
	stop_jobs(b);
	/* While keepfs was down, too. */
	{
		struct conf conf = load_conf(b, DAILY);

		conf_live_replace(b->live, &conf);
	}
	start_jobs(b);
	now_s = START_S + 1800;
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + DAY_S);
	/* Another time zone is another schedule. */
	reload(b, DAILY "timezone = UTC\n");
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + 3600);
	/* Off, and on again after days. */
	reload(b, "[backup full]\ndatabase = host=/nowhere\n");
	assert_int_equal(pass_until(b, &now_s, now_s), TIMER_NEVER);
	pass_until(b, &now_s, START_S + 3 * DAY_S + 60);
	reload(b, DAILY "timezone = UTC\n");
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + 3 * DAY_S + 3600);
	assert_int_equal(run_count(b), 0);
	bench_free(b);
}

static void hold(struct bench *b, bool on)
{
	pthread_mutex_lock(&b->lock);
	b->hold = on;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void a_due_run_waits_for_the_one_before(void **state)
{
	struct bench *b = bench_new("[backup full]\ndatabase = host=/nowhere\nschedule = 0 * * * *\n");
	int64_t now_s = START_S - 60;

	hold(b, true);
	pass_until(b, &now_s, START_S);
	assert_int_equal(run_count(b), 1);
	/* Three times it is due meanwhile: it begins once, when the first has ended. */
	assert_int_equal(pass_until(b, &now_s, START_S + 3 * 3600 + 60), TIMER_NEVER);
	assert_int_equal(run_count(b), 1);
	hold(b, false);
	wait_idle(b);
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + 4 * 3600);
	assert_int_equal(run_count(b), 2);
	assert_string_equal(last_run(b).note, "");
	bench_free(b);
}

static void two_jobs_at_the_same_moment(void **state)
{
	struct bench *b = bench_new(DAILY "[backup other]\ndatabase = host=/nowhere\nschedule = 0 3 * * *\n");
	int64_t now_s = START_S - 60;

	pass_until(b, &now_s, START_S);
	assert_int_equal(run_count(b), 2);
	wait_idle(b);
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + DAY_S);
	assert_int_equal(run_count(b), 2);
	bench_free(b);
}

static void say(struct bench *b, const char *text, int64_t now_s)
{
	const struct conf *conf = conf_live_ref(b->live);
	_cleanup(str) struct str answer = {0};
	struct catalog_switch s;
	struct error err = {0};

	if (jobs_switch_parse(conf, text, now_s * US_PER_S, &s, &err) < 0)
		fail_msg("%s", err.message);
	str_copy(s.by, sizeof(s.by), "uid 0 (test)");
	assert_int_equal(jobs_switch(b->jobs, conf, &s, &answer, &err), 0);
	conf_unref(conf);
}

static void what_is_off_is_not_made_up_for(void **state)
{
	static const char *const words[][2] = {{"off", "on"}, {"full off", "full on"}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct bench *b = bench_new(DAILY);
		int64_t now_s = START_S - 3600;

		pass_until(b, &now_s, now_s);
		say(b, words[i][0], now_s);
		assert_int_equal(pass_until(b, &now_s, START_S + 2 * DAY_S), TIMER_NEVER);
		/* It is so after a restart, too. */
		restart(b);
		assert_int_equal(pass_until(b, &now_s, START_S + 3 * DAY_S + 60), TIMER_NEVER);
		say(b, words[i][1], now_s);
		assert_int_equal(pass_until(b, &now_s, now_s), START_S + 4 * DAY_S);
		restart(b);
		assert_int_equal(pass_until(b, &now_s, now_s), START_S + 4 * DAY_S);
		assert_int_equal(run_count(b), 0);
		pass_until(b, &now_s, START_S + 4 * DAY_S);
		assert_int_equal(run_count(b), 1);
		bench_free(b);
	}
}

static void what_is_off_for_a_time_goes_on_by_itself(void **state)
{
	struct bench *b = bench_new(DAILY);
	int64_t now_s = START_S - 3600;

	pass_until(b, &now_s, now_s);
	say(b, "full off until=2026-11-22T12:00 note='a move'", now_s);
	assert_int_equal(pass_until(b, &now_s, now_s), START_S + 2 * DAY_S + 9 * 3600);
	assert_int_equal(pass_until(b, &now_s, START_S + 2 * DAY_S + 10 * 3600), START_S + 3 * DAY_S);
	assert_int_equal(run_count(b), 0);
	restart(b);
	assert_int_equal(pass_until(b, &now_s, now_s + 60), START_S + 3 * DAY_S);
	assert_int_equal(run_count(b), 0);
	bench_free(b);
}

static void on_says_nothing_about_what_is_on(void **state)
{
	struct bench *b = bench_new(DAILY);
	int64_t now_s = START_S - 60;

	hold(b, true);
	pass_until(b, &now_s, START_S);
	pass_until(b, &now_s, START_S + DAY_S + 60);
	say(b, "full on", now_s);
	hold(b, false);
	wait_idle(b);
	pass_until(b, &now_s, now_s + 60);
	assert_int_equal(run_count(b), 2);
	bench_free(b);
}

static void switches_that_are_refused(void **state)
{
	static const char *const cases[] = {
	        "",
	        "full",
	        "maybe",
	        "full on off",
	        "other off",
	        "on until=2026-12-01",
	        "off until=2026-11-01",
	        "off until=tomorrow",
	        "off until=2026-02-30",
	        "off until=2026-12-01T25:00",
	        "off until=",
	        "off for=3d",
	        "off until=2026-12-01 until=2026-12-02",
	        "off note=a note=b",
	        "off note='a\tb'",
	        "Off",
	        "full off x",
	        "off until=2026-12-01T06",
	        "off until=2026-12-01T06:00+01:00",
	        "off 'until",
	};
	struct bench *b = bench_new(DAILY);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct catalog_switch s = {.by = "nobody"};
		struct error err = {0};

		if (jobs_switch_parse(b->conf, cases[i], START_S * US_PER_S, &s, &err) != -EINVAL)
			fail_msg("\"%s\" is taken", cases[i]);
		assert_true(err.message[0]);
		assert_string_equal(s.by, "nobody");
	}
	bench_free(b);
}

static void dates_of_switches_are_local(void **state)
{
	struct bench *b =
	        bench_new(DAILY "[backup far]\ndatabase = host=/nowhere\ntimezone = America/New_York\n");
	struct catalog_switch s;

	assert_int_equal(
	        jobs_switch_parse(b->conf, "full off until=2026-12-01", START_S * US_PER_S, &s, NULL), 0);
	assert_int_equal(s.until_us / US_PER_S, START_S + 10 * DAY_S + 21 * 3600);
	assert_int_equal(jobs_switch_parse(b->conf, "far off until=2026-12-01", START_S * US_PER_S, &s, NULL),
	                 0);
	assert_int_equal(s.until_us / US_PER_S, START_S + 10 * DAY_S + 27 * 3600);
	assert_int_equal(
	        jobs_switch_parse(b->conf, "off until=2026-12-01T06:00:30", START_S * US_PER_S, &s, NULL), 0);
	assert_int_equal(s.until_us / US_PER_S, START_S + 11 * DAY_S + 3 * 3600 + 30);
	assert_int_equal(
	        jobs_switch_parse(b->conf, "off until=2026-12-01T02:00Z", START_S * US_PER_S, &s, NULL), 0);
	assert_int_equal(s.until_us / US_PER_S, START_S + 11 * DAY_S);
	assert_string_equal(s.job, "");
	bench_free(b);
}

static void clocks(void **state)
{
	struct bench *b = bench_new(DAILY);
	int64_t now_s = START_S - 60;

	pass_until(b, &now_s, START_S + 60);
	assert_int_equal(run_count(b), 1);
	/* Set back by an hour, and the moment comes again. */
	now_s -= 3600;
	assert_int_equal(pass_until(b, &now_s, START_S + 120), START_S + DAY_S);
	assert_int_equal(run_count(b), 1);
	wait_idle(b);
	/* Forth by a year: one more; and back: nothing, until it is due. */
	now_s += 365 * DAY_S;
	pass_until(b, &now_s, now_s + 60);
	assert_int_equal(run_count(b), 2);
	wait_idle(b);
	now_s -= 365 * DAY_S;
	assert_int_equal(pass_until(b, &now_s, now_s + 60), START_S + DAY_S);
	assert_int_equal(run_count(b), 2);
	pass_until(b, &now_s, START_S + DAY_S);
	assert_int_equal(run_count(b), 3);
	bench_free(b);
}

/* What a wrong clock has left must not count when the time has come so near that it could be that of a right one. */
static void a_wrong_clock_takes_no_run_of_the_right_one(void **state)
{
	struct bench *b = bench_new("[backup full]\ndatabase = host=/nowhere\nschedule = 0 3 * * fri\n");
	int64_t now_s = START_S - 60;

	pass_until(b, &now_s, START_S + 60);
	wait_idle(b);
	now_s += 8 * DAY_S;
	pass_until(b, &now_s, now_s + 60);
	assert_int_equal(run_count(b), 2);
	wait_idle(b);
	now_s -= 8 * DAY_S;
	pass_until(b, &now_s, now_s + 60);
	/* Whether or not it has been started anew since. */
	restart(b);
	pass_until(b, &now_s, START_S + 6 * DAY_S + 3600);
	restart(b);
	assert_int_equal(pass_until(b, &now_s, START_S + 7 * DAY_S), START_S + 14 * DAY_S);
	assert_int_equal(run_count(b), 3);
	bench_free(b);
}

static void a_store_that_was_never_verified(void **state)
{
	struct bench *b = bench_new(DAILY);
	_cleanup(free) char *directory = mem_printf("%s/objects", b->state_dir);
	_cleanup(free) char *url = mem_printf("dir:%s", directory);
	struct conf conf = *b->conf;
	int64_t now_s = START_S - 60;
	struct catalog_run run;
	struct error err = {0};

	conf.store.url = url;
	b->ctx.conf = &conf;
	assert_int_equal(store_open(&conf.store, NULL, NULL, &b->repository.store, &err), 0);
	assert_int_equal(remove_tree(directory), 0);
	fclose(fopen(directory, "w"));
	pass_until(b, &now_s, START_S);
	run = last_run(b);
	assert_int_equal(run.state, RUN_FAILED);
	assert_string_equal(run.triggered_by, "scheduled");
	assert_non_null(strstr(run.error, "never verified"));
	assert_non_null(strstr(run.error, "keepfs check"));
	assert_int_equal(catalog_store_verified(b->repository.catalog, url), 0);
	/* It is dealt with: tried again when it is due again. */
	assert_int_equal(pass_until(b, &now_s, now_s + 60), START_S + DAY_S);
	/* A store that keeps what it is given is verified by the run itself. */
	assert_int_equal(remove(directory), 0);
	store_free(b->repository.store);
	assert_int_equal(store_open(&conf.store, NULL, NULL, &b->repository.store, &err), 0);
	pass_until(b, &now_s, START_S + DAY_S);
	assert_int_equal(last_run(b).state, RUN_COMPLETED);
	assert_true(catalog_store_verified(b->repository.catalog, url) > 0);
	stop_jobs(b);
	b->repository.store = store_free(b->repository.store);
	b->ctx.conf = b->conf;
	start_jobs(b);
	bench_free(b);
}

static void the_state_is_told(void **state)
{
	struct bench *b = bench_new(DAILY "[backup idle]\ndatabase = host=/nowhere\n");
	struct report_sources sources = {.catalog = b->repository.catalog, .conf = b->conf};
	struct schedule_statuses all = {0};
	int64_t now_s = START_S - 60;

	pass_until(b, &now_s, START_S + 60);
	wait_idle(b);
	sources.now_us = now_s * US_PER_S;
	assert_int_equal(schedule_gather(&sources, &all), 0);
	assert_int_equal(all.count, 2);
	assert_int_equal(all.items[0].state, SCHEDULE_STATE_ON);
	assert_int_equal(all.items[0].next_us, (START_S + DAY_S) * US_PER_S);
	assert_int_equal(all.items[0].last_due_us, START_S * US_PER_S);
	assert_int_equal(all.items[0].interval_s, DAY_S);
	assert_int_equal(all.items[0].last_result, RUN_COMPLETED);
	assert_int_equal(all.items[1].state, SCHEDULE_STATE_NONE);
	assert_int_equal(all.items[1].next_us, 0);
	assert_int_equal(schedule_next_of(&all, "full"), all.items[0].next_us);
	assert_int_equal(schedule_next_of(&all, "idle"), 0);
	schedule_statuses_finish(&all);
	/* Off for a time: the next is after that, and makes up for nothing. */
	say(b, "off until=2026-11-25T12:00", now_s);
	sources.now_us = (START_S + 4 * DAY_S) * US_PER_S;
	assert_int_equal(schedule_gather(&sources, &all), 0);
	assert_int_equal(all.items[0].state, SCHEDULE_STATE_OFF);
	assert_int_equal(all.items[0].next_us, (START_S + 6 * DAY_S) * US_PER_S);
	assert_false(all.items[0].next_is_missed);
	schedule_statuses_finish(&all);
	bench_free(b);
}

static void the_thread_begins_and_ends(void **state)
{
	struct bench *b = bench_new("[backup full]\ndatabase = host=/nowhere\nschedule = * * * * *\n");
	struct catalog_schedule memory = {.job = "full", .rule = "* * * * * Europe/Berlin"};
	struct error err = {0};

	/* The time is that of now here: what was missed begins at once. */
	pthread_mutex_lock(&b->jobs->lock);
	b->jobs->timer = timer_free(b->timer);
	pthread_mutex_unlock(&b->jobs->lock);
	memory.due_us = clock_now_us() - 3600 * US_PER_S;
	assert_int_equal(catalog_set_schedules(b->repository.catalog, &memory, 1, &err), 0);
	assert_int_equal(jobs_start_timer(b->jobs, b->live, &(struct jobs_clock){0}, &err), 0);
	pthread_mutex_lock(&b->lock);
	while (run_count(b) == 0)
		pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
	assert_true(jobs_watched_since_us(b->jobs) > 0);
	jobs_schedules_changed(b->jobs);
	jobs_stop(b->jobs, 0);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_run_begins_when_it_is_due),
	        cmocka_unit_test(a_drill_is_due_like_a_run),
	        cmocka_unit_test(without_a_schedule_nothing_wakes_it),
	        cmocka_unit_test(what_was_missed_is_made_up_for_once),
	        cmocka_unit_test(what_was_missed_long_ago_is_not),
	        cmocka_unit_test(a_new_job_has_missed_nothing),
	        cmocka_unit_test(another_schedule_makes_nothing_due_in_the_past),
	        cmocka_unit_test(a_due_run_waits_for_the_one_before),
	        cmocka_unit_test(two_jobs_at_the_same_moment),
	        cmocka_unit_test(what_is_off_is_not_made_up_for),
	        cmocka_unit_test(what_is_off_for_a_time_goes_on_by_itself),
	        cmocka_unit_test(on_says_nothing_about_what_is_on),
	        cmocka_unit_test(switches_that_are_refused),
	        cmocka_unit_test(dates_of_switches_are_local),
	        cmocka_unit_test(clocks),
	        cmocka_unit_test(a_wrong_clock_takes_no_run_of_the_right_one),
	        cmocka_unit_test(a_store_that_was_never_verified),
	        cmocka_unit_test(the_state_is_told),
	        cmocka_unit_test(the_thread_begins_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
