// SPDX-License-Identifier: Apache-2.0
/* look_timetable STATE_DIR COUNT: when is the next run of COUNT jobs, which have different schedules and zones? Milliseconds of a
 * processor: of the pure decision for all of them; of the timer's look when all of them are decided anew, as after a step of the
 * clock; when nothing has come due; and when the timetable is made anew, as after a reload. */
#include "../../src/job/job_private.h"
#include "../../src/job/timer.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/dump.h>
#include <keepfs/report/timetable.h>

#include <stdio.h>
#include <time.h>

static const char *const zones[] = {"UTC",        "Europe/Berlin",    "America/New_York", "Asia/Kolkata",
                                    "Asia/Tokyo", "Australia/Sydney", "America/Santiago", "Africa/Cairo"};

static char *schedule_of(size_t i)
{
	size_t minute = i * 7 % 60, hour = i * 11 % 24;

	switch (i % 6) {
	case 0:
		return mem_printf("%zu %zu * * *", minute, hour);
	case 1:
		return mem_printf("%zu */6 * * *", minute);
	case 2:
		return mem_printf("%zu,30 %zu * * 1-5", minute, hour);
	case 3:
		return mem_printf("%zu %zu 1,15 * *", minute, hour);
	case 4:
		return mem_printf("%zu %zu * * sun", minute, hour);
	default:
		return mem_strdup("*/15 * * * *");
	}
}

static const struct make_kind *dumps(const struct conf_job *job)
{
	return &dump_kind;
}

static struct conf_job *jobs_of(size_t count)
{
	struct conf_job *jobs = mem_array(count, sizeof(*jobs));

	for (size_t i = 0; i < count; i++) {
		jobs[i].name = mem_printf("job%zu", i);
		jobs[i].timezone = mem_strdup(zones[i / 3 % ARRAY_SIZE(zones)]);
		jobs[i].policy.schedule = schedule_of(i);
		jobs[i].policy.blackout = mem_strdup(i % 4 == 0 ? "mon-fri 08:00-18:00" : "");
		jobs[i].policy.jitter_ms = i % 5 == 0 ? 600000 : 0;
		jobs[i].policy.catch_up_ms = INT64_C(7) * 86400000;
	}
	return jobs;
}

static double ms_since(clock_t began)
{
	return (double)(clock() - began) * 1e3 / CLOCKS_PER_SEC;
}

static int decide_all(const struct conf *conf, struct catalog *catalog, int64_t now_us)
{
	_cleanup(timetable) struct timetable *t = NULL;
	int64_t next_s = SCHEDULE_NEVER;
	clock_t began;
	int r = timetable_new(conf, catalog, now_us, &t);

	if (r < 0)
		return r;
	began = clock();
	for (size_t i = 0; i < t->count; i++) {
		struct due due;

		timetable_decide(&t->units[i], now_us / US_PER_S, now_us / US_PER_S, &due);
		next_s = due.begin_s < next_s ? due.begin_s : next_s;
	}
	printf("decide %.3f\n", ms_since(began));
	return next_s == SCHEDULE_NEVER ? -1 : 0;
}

static void look(struct timer *t, const char *what, unsigned why, int64_t now_us, int64_t mono_us)
{
	clock_t began;

	if (why)
		timer_wake(t, why);
	began = clock();
	(void)timer_look(t, now_us, mono_us);
	printf("%s %.3f\n", what, ms_since(began));
}

int main(int argc, char **argv)
{
	struct conf conf = {.job_count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0, .timezone = (char *)""};
	/* In the middle of a minute, so that nothing is due. */
	int64_t now_us = (clock_now_us() / US_PER_S / 900 * 900 + 30) * US_PER_S;
	struct repository repository = {0};
	struct make_context ctx = {.repository = &repository};
	const struct jobs_options options = {.ctx = &ctx, .kind_of = dumps};
	struct conf_live *live;
	struct timer *timer = NULL;
	struct jobs *jobs = NULL;
	struct error err = {0};
	int r;

	if (conf.job_count == 0) {
		fprintf(stderr, "usage: look_timetable STATE_DIR COUNT\n");
		return 2;
	}
	log_set_level(0);
	conf.state_dir = mem_strdup(argv[1]);
	conf.jobs = jobs_of(conf.job_count);
	live = conf_live_new(&conf);
	ctx.conf = conf_live_ref(live);
	r = catalog_open(argv[1], &repository.catalog, &err);
	if (r == 0)
		r = decide_all(ctx.conf, repository.catalog, now_us);
	if (r == 0)
		r = jobs_start(&options, &jobs, &err);
	if (r == 0)
		r = timer_new(jobs, live, &timer, &err);
	if (r < 0) {
		fprintf(stderr, "look_timetable: %s\n", err.message);
		return 1;
	}
	look(timer, "first", 0, now_us, 1);
	look(timer, "idle", TIMER_RUN_ENDED, now_us + US_PER_S, 1 + US_PER_S);
	look(timer, "step", 0, now_us + 2 * US_PER_S, 1 + 200 * US_PER_S);
	look(timer, "reload", TIMER_CHANGED, now_us + 3 * US_PER_S, 1 + 201 * US_PER_S);
	timer_free(timer);
	jobs_free(jobs);
	catalog_free(repository.catalog);
	return 0;
}
