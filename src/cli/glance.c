// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs status --store: an independent eye. It runs on another host, with rights to list and to read and no more, and
 * knows nothing but what the store holds and, where there is one, a configuration.
 */
#include "glance.h"

#include "engine.h"

#include <keepfs/artifact/glance.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/zone.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>
#include <keepfs/make.h>
#include <keepfs/policy/schedule.h>
#include <keepfs/report/health.h>

#include <stdio.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)

struct eye {
	const struct conf *conf;
	int64_t now_us;
	int64_t max_age_ms; /* 0: nobody said */
	bool *seen;         /* for each job of the configuration: it has a directory */
	enum report_health level;
	size_t count, bad;
	struct str lines;
	struct json *directories;
};

static int parse_age(const char *text, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'m', 60000}, {'h', HOUR_MS}, {'d', 24 * HOUR_MS}};
	char *end;
	long number = strtol(text, &end, 10);

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (end == text || number < 1 || number > 100000 || *end != units[i].unit || end[1])
			continue;
		*ret_ms = number * units[i].ms;
		return CLI_DONE;
	}
	return cli_usage("--max-age %s is no age: 90m, 26h, 8d", text);
}

/* "backups/full", "backups/tenants/acme": the job that the configuration has of that name; NULL: none, or no file. */
static const struct conf_job *job_of_directory(const struct eye *eye, const char *directory)
{
	_cleanup(free) char *job = tree_job_of(directory);

	return job && eye->conf->path ? conf_find_job(eye->conf, job) : NULL;
}

static int64_t glance_grace_of(const struct conf_policy *p, int64_t interval_ms)
{
	int64_t grace_ms = interval_ms / 4;

	if (p->grace_ms)
		return p->grace_ms;
	if (grace_ms < HOUR_MS / 2)
		return HOUR_MS / 2;
	return grace_ms > 12 * HOUR_MS ? 12 * HOUR_MS : grace_ms;
}

/* The end of patience after a backup that began at @at_us; 0: nobody said when the next should come. */
static int64_t glance_due_after(const struct eye *eye, const struct conf_job *job, int64_t at_us)
{
	const int64_t expected_ms = job->policy.expected_interval_ms;
	_cleanup(zone) struct zone *zone = NULL;
	struct schedule schedule;
	int64_t due_s, next_s;

	if (expected_ms)
		return at_us + (expected_ms + glance_grace_of(&job->policy, expected_ms)) * 1000;
	if (schedule_parse(str_or_empty(job->policy.schedule), &schedule, NULL) < 0 ||
	    schedule_is_off(&schedule) || zone_load(conf_zone_name(eye->conf, job), &zone, NULL) < 0)
		return 0;
	due_s = schedule_next(&schedule, zone, at_us / US_PER_S);
	next_s = due_s == SCHEDULE_NEVER ? due_s : schedule_next(&schedule, zone, due_s);
	if (next_s == SCHEDULE_NEVER)
		return 0;
	return due_s * US_PER_S + glance_grace_of(&job->policy, (next_s - due_s) * 1000) * 1000;
}

static bool is_overdue(const struct eye *eye, const struct glance *found)
{
	const struct conf_job *job = job_of_directory(eye, found->directory);
	int64_t due_us;

	if (eye->max_age_ms)
		return eye->now_us - found->manifest->finished_at_us > eye->max_age_ms * 1000;
	due_us = job ? glance_due_after(eye, job, found->manifest->started_at_us) : 0;
	return due_us && eye->now_us > due_us;
}

static void tell_age(struct str *text, int64_t age_us)
{
	int64_t s = age_us > 0 ? age_us / US_PER_S : 0;

	if (s < 7200)
		str_appendf(text, "%lld min", (long long)s / 60);
	else if (s < INT64_C(48) * 3600)
		str_appendf(text, "%lld h", (long long)s / 3600);
	else
		str_appendf(text, "%lld days", (long long)s / 86400);
}

static void tell_whole(const struct eye *eye, const struct glance *found, struct str *text)
{
	const struct manifest *m = found->manifest;
	char at[CLOCK_ISO_BYTES], size[16];

	str_appendf(text, "%s of %s, ", strrchr(found->path, '/') + 1,
	            clock_format_iso(m->finished_at_us, at));
	tell_age(text, eye->now_us - m->finished_at_us);
	str_appendf(text, " old, %s", str_format_bytes(size, sizeof(size), m->size_bytes));
	if (found->problem)
		return;
	str_appendf(text, "; %zu of its %zu objects %s there with their sizes%s", found->objects_looked_at,
	            m->object_count, found->objects_looked_at == 1 ? "is" : "are",
	            m->verified_at_us ? "" : "; it was never read back");
}

static enum report_health judge_directory(const struct eye *eye, const struct glance *found, struct str *text)
{
	if (found->named && !found->path) {
		str_appendf(text, "%llu archives that are made once", (unsigned long long)found->named);
		return REPORT_OK;
	}
	if (!found->path) {
		str_append(text, "there is no whole backup");
		return REPORT_CRIT;
	}
	if (!found->manifest) {
		str_appendf(text, "the newest backup, %s, cannot be used: %s", found->path, found->problem);
		return REPORT_CRIT;
	}
	tell_whole(eye, found, text);
	if (found->problem) {
		str_appendf(text, "; it is damaged: %s", found->problem);
		return REPORT_CRIT;
	}
	if (is_overdue(eye, found)) {
		str_append(text, "; the next one is overdue");
		return REPORT_CRIT;
	}
	return REPORT_OK;
}

static void add_finding(struct eye *eye, enum report_health level, const char *directory, const char *text)
{
	eye->count++;
	eye->bad += level != REPORT_OK;
	if (level > eye->level)
		eye->level = level;
	str_appendf(&eye->lines, "%-4s  ", health_level_name(level));
	str_append_line(&eye->lines, directory);
	str_append(&eye->lines, ": ");
	str_append_line(&eye->lines, text);
	str_append_char(&eye->lines, '\n');
}

static void add_object(struct eye *eye, enum report_health level, const struct glance *found,
                       const char *text)
{
	struct json *j = json_object_new();

	json_set_string(j, "directory", found->directory);
	json_set_string(j, "health", health_level_name(level));
	json_set_string(j, "newest", found->path);
	json_set_time(j, "finished", found->manifest ? found->manifest->finished_at_us : 0);
	json_set_time(j, "verified", found->manifest ? found->manifest->verified_at_us : 0);
	if (found->manifest) {
		json_set_int(j, "age_seconds", (eye->now_us - found->manifest->finished_at_us) / US_PER_S);
		json_set_int(j, "size_bytes", (int64_t)found->manifest->size_bytes);
		json_set_int(j, "stored_bytes", (int64_t)manifest_stored_bytes(found->manifest));
	} else {
		json_set_string(j, "age_seconds", NULL);
		json_set_string(j, "size_bytes", NULL);
		json_set_string(j, "stored_bytes", NULL);
	}
	json_set_string(j, "text", text);
	json_append(eye->directories, j);
}

static void see_directory(void *arg, const struct glance *found)
{
	struct eye *eye = arg;
	const struct conf_job *job = job_of_directory(eye, found->directory);
	_cleanup(str) struct str text = {0};
	enum report_health level = judge_directory(eye, found, &text);

	if (job)
		eye->seen[job - eye->conf->jobs] = true;
	add_finding(eye, level, found->directory, str_text(&text));
	add_object(eye, level, found, str_text(&text));
}

/* Jobs that have a schedule should have a backup; others may not have begun yet. */
static void tell_unseen(struct eye *eye)
{
	for (size_t i = 0; eye->conf->path && i < eye->conf->job_count; i++) {
		const struct conf_job *job = &eye->conf->jobs[i];
		_cleanup(free) char *directory = make_directory_of(job, NULL);
		const struct glance none = {.directory = directory};
		bool is_expected = eye->max_age_ms || glance_due_after(eye, job, eye->now_us);
		enum report_health level = is_expected ? REPORT_CRIT : REPORT_WARN;

		if (eye->seen[i])
			continue;
		add_finding(eye, level, directory, "the store holds no backup of this job");
		add_object(eye, level, &none, "the store holds no backup of this job");
	}
	if (eye->count == 0)
		add_finding(eye, REPORT_CRIT, "store", "it holds no backups");
}

static void print_eye(struct eye *eye, const char *store, bool json)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str out = {0};

	if (!json) {
		printf("%s %zu of %zu directories are well in ", health_level_name(eye->level),
		       eye->count - eye->bad, eye->count);
		cli_put_line(stdout, store);
		putchar('\n');
		fputs(str_text(&eye->lines), stdout);
		return;
	}
	json_set_string(object, "health", health_level_name(eye->level));
	json_set_string(object, "store", store);
	json_set(object, "directories", take_ptr(&eye->directories));
	json_write(object, 2, &out);
	puts(str_text(&out));
}

static int look_at_store(struct eye *eye, const struct cli_options *options)
{
	struct conf_store reading = eye->conf->store;
	struct conf conf = *eye->conf;
	struct store *store = NULL;
	struct net *net = NULL;
	struct error err = {0};
	int r;

	reading.read_only = true;
	conf.store = reading;
	r = engine_open_store(&conf, NULL, &net, &store, &err);
	if (r == 0)
		r = artifact_glance(store, NULL, eye->now_us, see_directory, eye, &err);
	store_free(store);
	net_free(net);
	if (r < 0) {
		cli_fail(&err);
		return CLI_UNREACHABLE;
	}
	tell_unseen(eye);
	print_eye(eye, reading.url, options->json);
	return cli_flush() == CLI_DONE ? (int)eye->level : CLI_UNREACHABLE;
}

int status_of_store(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	struct eye eye = {.conf = &conf, .now_us = clock_now_us()};
	int status;

	if (options->max_age && parse_age(options->max_age, &eye.max_age_ms) != CLI_DONE)
		return CLI_USAGE;
	/* As any key from the environment it wins over the file, and the other keys of [store] are checked with it. */
	setenv("KEEPFS_STORE_URL", options->store_url, 1);
	status = cli_load_conf(options, &conf);
	if (status != CLI_DONE)
		return CLI_UNREACHABLE;
	eye.seen = mem_array(conf.job_count + 1, sizeof(*eye.seen));
	eye.directories = json_array_new();
	status = look_at_store(&eye, options);
	free(eye.seen);
	json_free(eye.directories);
	str_finish(&eye.lines);
	return status;
}
