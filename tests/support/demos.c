// SPDX-License-Identifier: Apache-2.0
/* Whole histories: see demo_history.h. */
#include "demo_history.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/acks.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/members.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/policy/retention.h>

#include <stdio.h>
#include <string.h>

#define DAY_S  INT64_C(86400)
#define MIB    ((uint64_t)1 << 20)
#define GIB    ((uint64_t)1 << 30)
#define MIN_US (60 * US_PER_S)

static void set_job(struct conf_job *job, const char *name, int kind, const char *schedule)
{
	*job = (struct conf_job){.name = mem_strdup(name), .kind = kind, .week_starts = 1};
	job->policy.schedule = mem_strdup(schedule);
	job->policy.min_keep = 1;
}

static struct conf_job *add_jobs(struct conf *conf, size_t count)
{
	conf->jobs = mem_array(count, sizeof(*conf->jobs));
	conf->job_count = count;
	conf->store.url = (char *)"s3://acme-backups/prod";
	conf->store.capacity_bytes = 4096 * GIB;
	conf->mountpoint = (char *)"/mnt/keep";
	return conf->jobs;
}

void demo_conf_finish(struct conf *conf)
{
	for (size_t i = 0; i < conf->job_count; i++) {
		free(conf->jobs[i].name);
		free(conf->jobs[i].policy.schedule);
	}
	free(conf->jobs);
}

/* Numbers that look like chance, and are the same each time: -1 to 1. */
static double wobble(unsigned seed)
{
	uint32_t x = seed * 2654435761U;

	x ^= x >> 15;
	x *= 2246822519U;
	x ^= x >> 13;
	return (double)(x % 2001) / 1000 - 1;
}

static int64_t midnight(int64_t now_us)
{
	return now_us / US_PER_S / DAY_S * DAY_S;
}

/* When daily rules keep two weeks, weekly ones a quarter of a year. */
static bool is_kept(int back)
{
	return back < 14 || back % 7 == 0;
}

/* Drills and restores. */

static void add_drill(struct catalog *c, const char *job, const char *directory, int64_t at_us,
                      int64_t restore_us, const char *differs)
{
	struct catalog_drill d = {.run_id = 7,
	                          .pick = "newest",
	                          .started_at_us = at_us,
	                          .finished_at_us = at_us + restore_us + 4 * MIN_US,
	                          .result = differs ? DRILL_DIFFERS : DRILL_PASSED,
	                          .level = differs ? 2 : 4,
	                          .wanted = 4,
	                          .restore_us = restore_us};

	str_copy(d.job, sizeof(d.job), job);
	str_copy(d.directory, sizeof(d.directory), directory);
	snprintf(d.path, sizeof(d.path), "%s/20261119T020000Z.dump", directory);
	str_copy(d.error, sizeof(d.error), str_or_empty(differs));
	catalog_add_drill(c, &d, "{}", NULL);
}

static void add_restore(struct catalog *c, const char *job, const char *options, const char *error)
{
	struct catalog_run run = {.kind = "restore", .triggered_by = "uid 0 (keepfs)"};
	int64_t id;

	str_copy(run.job, sizeof(run.job), job);
	str_copy(run.options, sizeof(run.options), options);
	if (catalog_add_run(c, &run, &id, NULL) < 0 || catalog_start_run(c, id, NULL) < 0)
		return;
	catalog_finish_run(c, id, error ? RUN_FAILED : RUN_COMPLETED, error, NULL);
}

/* A platform. */

static void configure_platform(struct conf *conf)
{
	static char *registry[] = {(char *)"SELECT name FROM tenant WHERE active", NULL};
	struct conf_job *jobs = add_jobs(conf, 5);

	set_job(&jobs[0], "shop", CONF_JOB_DUMP, "0 2 * * *");
	jobs[0].rpo_ms = 24 * 3600 * 1000;
	jobs[0].rto_ms = 2 * 3600 * 1000;
	jobs[0].policy.keep_daily = 14;
	jobs[0].policy.keep_weekly = 12;
	jobs[0].policy.keep_monthly = 12;
	set_job(&jobs[1], "tenants", CONF_JOB_DUMP, "30 3 * * *");
	jobs[1].rpo_ms = 26 * 3600 * 1000;
	jobs[1].dump.databases = registry;
	jobs[1].policy.keep_daily = 14;
	jobs[1].policy.keep_weekly = 8;
	set_job(&jobs[2], "warehouse", CONF_JOB_DUMP, "0 5 * * *");
	jobs[2].rpo_ms = 24 * 3600 * 1000;
	set_job(&jobs[3], "media", CONF_JOB_FILES, "15 1 * * *");
	jobs[3].policy.keep_daily = 7;
	set_job(&jobs[4], "sandbox", CONF_JOB_DUMP, "disabled");
}

static void add_shop(struct catalog *c, int64_t day_s, int back)
{
	double growth = 1 + (90 - back) * 0.0021 + wobble((unsigned)back) * 0.006;
	const struct demo_target target = {"shop", "backups/shop", (uint64_t)(61.0 * (double)GIB * growth),
	                                   (int64_t)(412000000 * growth), NULL};
	const struct demo_run run = {
	        .job = "shop",
	        .kind = "dump",
	        .suffix = ".dump",
	        .at_us = (day_s + 2 * 3600) * US_PER_S,
	        .duration_us = (int64_t)(31.5 * growth * MIN_US) +
	                       (int64_t)(wobble((unsigned)back + 500) * 2 * MIN_US),
	        .targets = &target,
	        .count = 1,
	        .keeps_artifacts = is_kept(back),
	        .warning = back == 33 ? "post_hook exited with 7: curl: (7) Failed to connect to "
	                                "ping.example.net port 443"
	                              : NULL};

	demo_add_run(c, &run);
}

static const char *const tenants[] = {"acme",      "borealis",  "cormorant", "dunelm",  "eastgate",
                                      "fjordline", "granary",   "hartwell",  "ibex",    "juniper",
                                      "kestrel",   "lindqvist", "meridian",  "nordwind"};
#define NEW_TENANT 12 /* meridian: for five days */

static void add_tenants(struct catalog *c, int64_t day_s, int back, bool well)
{
	static const char *const log[] = {
	        "connecting to nordwind on db2.internal:5432",
	        "server 15.18, pg_dump 15.18",
	        "reading over 4 connections",
	        "pg_dump: error: query failed: ERROR:  permission denied for table invoices_2026",
	        "pg_dump: detail: Query was: LOCK TABLE public.invoices_2026 IN ACCESS SHARE MODE",
	        "hint: grant it with: GRANT SELECT ON public.invoices_2026 TO backup",
	        "13 of 14 databases completed",
	        NULL,
	};
	static const char denied[] =
	        "pg_dump: error: query failed: ERROR:  permission denied for table invoices_2026; "
	        "grant it with: GRANT SELECT ON public.invoices_2026 TO backup";
	struct demo_target targets[ARRAY_SIZE(tenants)];
	bool fails = !well && back < 3;
	struct demo_run run = {.job = "tenants",
	                       .kind = "dump",
	                       .suffix = ".dump",
	                       .at_us = (day_s + 3 * 3600 + 1800) * US_PER_S,
	                       .duration_us = 9 * MIN_US + (int64_t)(wobble((unsigned)back + 900) * MIN_US),
	                       .targets = targets,
	                       .keeps_artifacts = is_kept(back)};
	static char directories[ARRAY_SIZE(tenants)][64];

	for (size_t i = 0; i < ARRAY_SIZE(tenants); i++) {
		double size = 180 + 97 * (double)(i * 7 % 11) + (90 - back) * 0.7;

		if (i == NEW_TENANT && back > 4)
			continue;
		snprintf(directories[i], sizeof(directories[i]), "backups/tenants/%s", tenants[i]);
		targets[run.count++] =
		        (struct demo_target){tenants[i], directories[i], (uint64_t)(size * (double)MIB),
		                             (int64_t)(size * 7300), NULL};
	}
	if (fails) {
		targets[run.count - 1].error = denied;
		run.error =
		        "1 of 14 databases failed: nordwind: pg_dump: error: query failed: ERROR:  permission denied "
		        "for table invoices_2026";
		run.log = log;
	}
	demo_add_run(c, &run);
}

static void add_warehouse(struct catalog *c, int64_t day_s, int back, bool well)
{
	static const char refused[] =
	        "cannot connect: connection to server at \"dwh.internal\" (10.20.0.31), port 5432 failed: Connection "
	        "refused; is the server running on that host and accepting TCP/IP connections?";
	static const char *const log[] = {
	        "connecting to warehouse on dwh.internal:5432",
	        "connection to server at \"dwh.internal\" (10.20.0.31), port 5432 failed: "
	        "Connection refused",
	        "tried 5 times within 60 s", NULL};
	double size = 24.2 - (!well && back < 1 ? 11.1 : 0) + wobble((unsigned)back + 70) * 0.12;
	bool fails = back == 41 || back == 42 || back == 68 || (!well && back == 17);
	const struct demo_target target = {"warehouse", "backups/warehouse", (uint64_t)(size * (double)GIB),
	                                   (int64_t)(size * 8100000), fails ? refused : NULL};
	const struct demo_run run = {
	        .job = "warehouse",
	        .kind = "dump",
	        .suffix = ".dump",
	        .at_us = (day_s + 5 * 3600) * US_PER_S,
	        .duration_us = fails ? MIN_US : 14 * MIN_US + (int64_t)(wobble((unsigned)back) * MIN_US),
	        .targets = &target,
	        .count = 1,
	        .error = fails ? refused : NULL,
	        .log = fails ? log : NULL,
	        .keeps_artifacts = is_kept(back)};

	if (day_s + 5 * 3600 > 0)
		demo_add_run(c, &run);
}

static void add_media(struct catalog *c, int64_t day_s, int back, bool well)
{
	double size = 3.1 + (90 - back) * 0.011;
	const struct demo_target target = {"/srv/media", "backups/media", (uint64_t)(size * (double)GIB), -1,
	                                   NULL};
	const struct demo_run run = {
	        .job = "media",
	        .kind = "files",
	        .suffix = ".tar.zst",
	        .at_us = (day_s + 3600 + 900) * US_PER_S,
	        .duration_us = 95 * US_PER_S + (int64_t)(wobble((unsigned)back + 3) * 6 * US_PER_S),
	        .targets = &target,
	        .count = 1,
	        .warning = !well && back == 0 ? "2 files changed while they were read: cache/thumbs.db, "
	                                        "cache/index.json"
	                                      : NULL,
	        .keeps_artifacts = is_kept(back)};

	demo_add_run(c, &run);
}

static void audit(struct catalog *c, int64_t at_us, int64_t uid, const char *command, const char *action,
                  const char *object, const char *result, const char *detail)
{
	struct catalog_audit entry = {.at_us = at_us, .uid = uid, .pid = 4242};

	str_copy(entry.command, sizeof(entry.command), command);
	str_copy(entry.action, sizeof(entry.action), action);
	str_copy(entry.object, sizeof(entry.object), object);
	str_copy(entry.result, sizeof(entry.result), result);
	str_copy(entry.detail, sizeof(entry.detail), detail);
	catalog_add_audit(c, &entry, NULL);
}

static void add_audit_lines(struct catalog *c, int64_t now_us)
{
	audit(c, now_us - 26 * 60 * MIN_US, 0, "keepfs", "probe", "control/probe", "ok",
	      "all 9 checks passed");
	audit(c, now_us - 9 * 60 * MIN_US, 1001, "pg_restore", "read", "backups/shop/latest.dump", "ok",
	      "read 63.1 GiB");
	audit(c, now_us - 5 * 60 * MIN_US, 1001, "rm", "remove", "backups/media/20261101T011500Z.tar.zst",
	      "ok", "");
	audit(c, now_us - 2 * 60 * MIN_US, 1002, "bash", "trigger", "tenants", "denied", "uid 1002 may not");
	audit(c, now_us - 61 * MIN_US, 1001, "cat", "link", "links/backups/shop/latest.dump", "ok",
	      "valid for 15 minutes");
	audit(c, now_us - 12 * MIN_US, 0, "rsync", "read", "backups/tenants/acme/latest.dump", "ok",
	      "read 251.0 MiB");
}

static void ignore_change(void *arg, enum catalog_member_change change, const struct catalog_member *m)
{
}

/* At first without the one that is new, and with one that is gone meanwhile. */
static void read_registry(struct catalog *c, int64_t at_us, bool first, bool well)
{
	struct catalog_named names[ARRAY_SIZE(tenants) + 1];
	struct catalog_reading reading = {.job = "tenants", .rows = names, .at_us = at_us};

	for (size_t i = 0; i < ARRAY_SIZE(tenants); i++)
		if (!first || i != NEW_TENANT)
			names[reading.count++] = (struct catalog_named){.name = tenants[i]};
	if (first && !well)
		names[reading.count++] = (struct catalog_named){.name = "polaris"};
	catalog_read_members(c, &reading, ignore_change, NULL, NULL);
}

static void acknowledge_sandbox(struct catalog *c, int64_t now_us)
{
	const struct catalog_ack ack = {.check = "job",
	                                .subject = "sandbox",
	                                .level = 1,
	                                .at_us = now_us - DAY_S * US_PER_S,
	                                .until_us = now_us + 29 * DAY_S * US_PER_S,
	                                .said_by = "uid 1001 (bash)",
	                                .note = "nothing in it that anybody needs"};

	catalog_set_ack(c, &ack, NULL);
}

static void fill_platform(struct catalog *c, int64_t now_us, bool well)
{
	const struct catalog_probe probe = {.check = "store", .ok = true, .at_us = now_us - DAY_S * US_PER_S};
	int64_t day_s = midnight(now_us);

	read_registry(c, (day_s - 91 * DAY_S) * US_PER_S, true, well);
	demo_begin(c);
	for (int back = 90; back >= 0; back--) {
		int64_t at_s = day_s - back * DAY_S;

		add_media(c, at_s, back, well);
		add_shop(c, at_s, back);
		add_tenants(c, at_s, back, well);
		add_warehouse(c, at_s, back, well);
		catalog_note_stored(c, at_s / DAY_S, 90, NULL);
	}
	demo_end(c);
	add_drill(c, "shop", "backups/shop", now_us - 4 * DAY_S * US_PER_S, 47 * MIN_US, NULL);
	add_drill(c, "tenants", "backups/tenants/ibex", now_us - 2 * DAY_S * US_PER_S, 3 * MIN_US,
	          well ? NULL : "public.invoices_2026 holds 18240 rows of 18377");
	add_restore(c, "restore:tenants", "tenants/acme/20261117T033000Z.dump into=acme_of_tuesday", NULL);
	read_registry(c, now_us - 6 * 60 * MIN_US, false, well);
	acknowledge_sandbox(c, now_us);
	catalog_set_probes(c, "s3://acme-backups/prod", &probe, 1, NULL);
	add_audit_lines(c, now_us);
}

static void fill_realistic(struct catalog *c, int64_t now_us)
{
	fill_platform(c, now_us, false);
}

static void fill_well(struct catalog *c, int64_t now_us)
{
	fill_platform(c, now_us, true);
}

static void configure_well(struct conf *conf)
{
	configure_platform(conf);
	conf->job_count--; /* the last one never ran */
	free(conf->jobs[conf->job_count].name);
	free(conf->jobs[conf->job_count].policy.schedule);
}

/* What attacks. */

#define HOSTILE                                                                                              \
	"</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\"'`&amp;\xe2\x80\xae\x1b[31m\xff${7*7}"

static void configure_hostile(struct conf *conf)
{
	struct conf_job *jobs = add_jobs(conf, 2);

	set_job(&jobs[0], "full", CONF_JOB_DUMP, "disabled");
	set_job(&jobs[1], "tenants", CONF_JOB_DUMP, "disabled");
	conf->store.url = (char *)"s3://bucket/" HOSTILE;
	conf->mountpoint = (char *)"/mnt/a'b $(touch /tmp/x)\"<b>";
}

static void fill_hostile(struct catalog *c, int64_t now_us)
{
	static const char *const log[] = {HOSTILE, "</pre><h1>owned</h1>", "<!--", "]]>", NULL};
	static const struct demo_target one = {HOSTILE, "backups/full", MIB, 7, NULL};
	static const struct demo_target many[] = {
	        {HOSTILE, "backups/tenants/x", MIB, 7, NULL},
	        {"a' ; rm -rf / #", "backups/tenants/y", MIB, 7, NULL},
	        {"postgresql://evil.example/x?a=b", "backups/tenants/z", MIB, 7, NULL},
	        {"-rf", "backups/tenants/u", MIB, 7, HOSTILE},
	        {"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", "backups/tenants/v", MIB, 7, HOSTILE},
	};
	struct demo_run run = {.job = "full",
	                       .kind = "dump",
	                       .suffix = ".dump",
	                       .at_us = now_us - 3 * DAY_S * US_PER_S,
	                       .duration_us = US_PER_S,
	                       .targets = &one,
	                       .count = 1,
	                       .warning = HOSTILE,
	                       .log = log,
	                       .keeps_artifacts = true};

	demo_begin(c);
	for (int i = 0; i < 3; i++, run.at_us += 3600 * US_PER_S)
		demo_add_run(c, &run);
	run.job = "tenants";
	run.targets = many;
	run.count = ARRAY_SIZE(many);
	run.error = HOSTILE;
	demo_add_run(c, &run);
	demo_end(c);
	add_drill(c, "full", "backups/full", now_us - MIN_US, MIN_US, HOSTILE);
	add_restore(c, "restore:full", HOSTILE, HOSTILE);
	audit(c, now_us - MIN_US, 0, "<b>x</b>", "read", HOSTILE, "ok", HOSTILE);
}

/* Much. */

#define LARGE_JOBS 10 /* one of them with many databases, the others with many runs */

static void configure_large(struct conf *conf)
{
	struct conf_job *jobs = add_jobs(conf, LARGE_JOBS);

	set_job(&jobs[0], "tenants", CONF_JOB_DUMP, "@daily");
	for (int i = 1; i < LARGE_JOBS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "job%d", i);
		set_job(&jobs[i], name, CONF_JOB_DUMP, "@hourly");
	}
}

static void add_many_databases(struct catalog *c, int64_t at_us, int back)
{
	static char labels[DEMO_TARGETS_MAX][16], directories[DEMO_TARGETS_MAX][40];
	static struct demo_target targets[DEMO_TARGETS_MAX];
	const struct demo_run run = {.job = "tenants",
	                             .kind = "dump",
	                             .suffix = ".dump",
	                             .at_us = at_us,
	                             .duration_us = 40 * MIN_US,
	                             .targets = targets,
	                             .count = DEMO_TARGETS_MAX,
	                             .error = back == 0 ? "40 of 1000 databases failed" : NULL,
	                             .keeps_artifacts = back < 3};

	for (unsigned i = 0; i < DEMO_TARGETS_MAX; i++) {
		snprintf(labels[i], sizeof(labels[i]), "tenant%04u", i);
		snprintf(directories[i], sizeof(directories[i]), "backups/tenants/%s", labels[i]);
		targets[i] = (struct demo_target){
		        labels[i], directories[i], (i + 1) * MIB, i * 100,
		        back == 0 && i % 25 == 0 ? "pg_dump: error: permission denied for table orders"
		                                 : NULL};
	}
	demo_add_run(c, &run);
}

static void add_hour(struct catalog *c, int64_t at_us, unsigned hour)
{
	for (int i = 1; i < LARGE_JOBS; i++) {
		char name[16], directory[32];
		const struct demo_target target = {"db", directory, 100 * MIB + hour * MIB / 7, 100000 + hour,
		                                   NULL};
		const struct demo_run run = {.job = name,
		                             .kind = "dump",
		                             .suffix = ".dump",
		                             .at_us = at_us + i * MIN_US,
		                             .duration_us = MIN_US / 2,
		                             .targets = &target,
		                             .count = 1,
		                             .error = hour % 97 == 13 ? "cannot connect: timeout expired"
		                                                      : NULL,
		                             .keeps_artifacts = hour > 1000};

		snprintf(name, sizeof(name), "job%d", i);
		snprintf(directory, sizeof(directory), "backups/%s", name);
		demo_add_run(c, &run);
	}
}

#define LARGE_HOURS 1110 /* 9 x 1110 runs and 10 with many databases are 10,000 */

static void fill_large(struct catalog *c, int64_t now_us)
{
	int64_t first_us = now_us - (LARGE_HOURS + 1) * 60 * MIN_US;

	demo_begin(c);
	for (unsigned hour = 0; hour < LARGE_HOURS; hour++)
		add_hour(c, first_us + (int64_t)hour * 60 * MIN_US, hour);
	for (int back = 9; back >= 0; back--)
		add_many_databases(c, now_us - back * DAY_S * US_PER_S - 59 * MIN_US, back);
	demo_end(c);
	add_audit_lines(c, now_us);
}

/* The other way to have a thousand databases. */
#define MANY_JOBS     1000
#define RUNS_OF_A_JOB 10

static void configure_jobs(struct conf *conf)
{
	struct conf_job *jobs = add_jobs(conf, MANY_JOBS);

	for (int i = 0; i < MANY_JOBS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "job%04d", i);
		set_job(&jobs[i], name, CONF_JOB_DUMP, "@daily");
	}
}

static void fill_jobs(struct catalog *c, int64_t now_us)
{
	char name[16], directory[32];
	const struct demo_target target = {"db", directory, 100 * MIB, 100000, NULL};

	demo_begin(c);
	for (int64_t i = 0; i < (int64_t)MANY_JOBS * RUNS_OF_A_JOB; i++) {
		const struct demo_run run = {.job = name,
		                             .kind = "dump",
		                             .suffix = ".dump",
		                             .at_us = now_us - (MANY_JOBS * RUNS_OF_A_JOB - i) * MIN_US,
		                             .duration_us = MIN_US / 2,
		                             .targets = &target,
		                             .count = 1,
		                             .keeps_artifacts = true};

		snprintf(name, sizeof(name), "job%04d", (int)(i % MANY_JOBS));
		snprintf(directory, sizeof(directory), "backups/%s", name);
		demo_add_run(c, &run);
	}
	demo_end(c);
}

static void configure_empty(struct conf *conf)
{
	set_job(add_jobs(conf, 1), "full", CONF_JOB_DUMP, "disabled");
	conf->store.capacity_bytes = 0;
}

static void fill_nothing(struct catalog *c, int64_t now_us)
{
}

static const struct demo demos[] = {
        {"realistic", configure_platform, fill_realistic},
        {"well", configure_well, fill_well},
        {"hostile", configure_hostile, fill_hostile},
        {"large", configure_large, fill_large},
        {"jobs", configure_jobs, fill_jobs},
        {"empty", configure_empty, fill_nothing},
};

const struct demo *demo_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(demos); i++)
		if (strcmp(demos[i].name, name) == 0)
			return &demos[i];
	return NULL;
}
