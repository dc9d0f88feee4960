// SPDX-License-Identifier: Apache-2.0
/* The summary that comes whatever happened: when it does not come, nobody is watching. */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/chain.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/policy/schedule.h>
#include <keepfs/report/restores.h>
#include <keepfs/report/schedule.h>
#include <keepfs/report/status.h>

#include <inttypes.h>
#include <string.h>

#define RUNS_AT_ONCE   8
#define RUNS_MOST      1000 /* of a job, that are counted in one summary */
#define RESTORES_SHOWN 10
#define FIRST_US       (24 * 3600 * US_PER_S)

struct job_sum { /* since the last summary */
	uint64_t completed, failed, cancelled, bytes;
	uint64_t last_bytes; /* of the last that completed; 0 */
	bool more;           /* than were counted */
};

/* One page of runs, the newest first; false: there is no need of another. */
static bool count_page(const struct catalog_run *runs, ssize_t count, int64_t from_us, struct job_sum *sum)
{
	for (ssize_t i = 0; i < count; i++) {
		const struct catalog_run *run = &runs[i];

		if (run->finished_at_us && run->finished_at_us < from_us)
			return false;
		sum->failed += run->state == RUN_FAILED;
		sum->cancelled += run->state == RUN_CANCELLED;
		if (run->state != RUN_COMPLETED)
			continue;
		if (sum->completed++ == 0)
			sum->last_bytes = run->size_bytes;
		sum->bytes += run->size_bytes;
	}
	return count == RUNS_AT_ONCE;
}

static void sum_runs(struct catalog *c, const char *job, int64_t from_us, struct job_sum *ret)
{
	struct catalog_run *runs = mem_array(RUNS_AT_ONCE, sizeof(*runs));
	int64_t before = 0;
	size_t seen = 0;
	ssize_t count;

	*ret = (struct job_sum){0};
	do {
		count = catalog_runs(c, job, before, runs, RUNS_AT_ONCE);
		before = count > 0 ? runs[count - 1].id : 0;
		seen += count > 0 ? (size_t)count : 0;
		ret->more = seen >= RUNS_MOST;
	} while (!ret->more && count_page(runs, count, from_us, ret));
	free(runs);
}

static void append_job(struct str *out, struct catalog *c, const struct schedule_statuses *schedules,
                       const struct conf_job *job, int64_t from_us)
{
	struct catalog_totals totals = {0};
	struct job_sum sum;
	char size[16], stored[16], at[32];
	int64_t next_us = schedule_next_of(schedules, job->name);

	catalog_totals(c, job->name, &totals);
	sum_runs(c, job->name, from_us, &sum);
	str_appendf(out, "  %s: %" PRIu64 " %s, %" PRIu64 " failed", job->name, sum.completed,
	            sum.completed == 1 ? "backup made" : "backups made", sum.failed);
	if (sum.cancelled > 0)
		str_appendf(out, ", %" PRIu64 " cancelled", sum.cancelled);
	if (sum.completed > 0)
		str_appendf(out, "; the last has %s", str_format_bytes(size, sizeof(size), sum.last_bytes));
	str_appendf(out, "; newest good one: %s",
	            totals.newest_whole_at_us ? tell_time(totals.newest_whole_at_us, at) : "none");
	str_appendf(out, "; %" PRIu64 " in all, %s stored", totals.artifacts,
	            str_format_bytes(stored, sizeof(stored), totals.stored_bytes));
	if (next_us)
		str_appendf(out, "; next run: %s", tell_time(next_us, at));
	str_append_char(out, '\n');
}

static void append_health(struct str *out, const struct health *h, size_t bad)
{
	if (bad == 0)
		str_appendf(out, "Health: all %zu checks are well.\n\n", h->count);
	else
		str_appendf(out, "Health: %zu of %zu checks are not well.\n", bad, h->count);
	for (size_t i = 0; i < h->count; i++) {
		const struct health_item *item = &h->items[i];

		if (item->level == REPORT_OK)
			continue;
		str_appendf(out, "  %s  ", health_level_name(item->level));
		str_append_line(out, item->name);
		str_append(out, ": ");
		str_append_line(out, item->text);
		if (item->what_to_do) {
			str_append(out, "; ");
			str_append_line(out, item->what_to_do);
		}
		str_append_char(out, '\n');
	}
	if (bad > 0)
		str_append_char(out, '\n');
}

static void append_restore_run(void *arg, const struct catalog_run *run)
{
	struct str *out = arg;
	char at[32];

	str_appendf(out, "  run %" PRId64 ", ", run->id);
	str_append_line(out, run->options);
	str_appendf(out, ": %s%s%s\n", run_state_name(run->state), run->finished_at_us ? ", " : "",
	            tell_time(run->finished_at_us, at));
}

static void append_recovery(struct str *out, const struct report_sources *from, int64_t since_us)
{
	_cleanup(str) struct str jobs = {0}, restores = {0};

	if (report_recovery_brief(from, &jobs) == 0 && jobs.len > 0)
		str_appendf(out, "If a restore were needed now:\n%s\n", str_text(&jobs));
	if (report_restores(from, since_us, RESTORES_SHOWN, append_restore_run, &restores) == 0 &&
	    restores.len > 0)
		str_appendf(out, "Restores:\n%s\n", str_text(&restores));
}

/* A mail is a place where nobody can change it who can change the audit. */
static void append_ends(struct str *out, struct catalog *c)
{
	struct catalog_audit_head head;
	struct catalog_chain chain;

	if (catalog_audit_head(c, &head) == 0 && head.number > 0)
		str_appendf(out, "The end of the audit, for keepfs audit verify expect=…: %" PRId64 ":%s\n",
		            head.number, head.hash);
	if (catalog_chain(c, CATALOG_MAIN_STORE, &chain) == 0 && chain.sequence > 0)
		str_appendf(
		        out,
		        "The end of the chain of manifests, for keepfs verify --key … --expect-sequence: %" PRId64
		        " (%s)\n",
		        chain.sequence, chain.hash);
}

static size_t count_bad(const struct health *h)
{
	size_t bad = 0;

	for (size_t i = 0; i < h->count; i++)
		bad += h->items[i].level != REPORT_OK;
	return bad;
}

char *facts_of_digest(struct catalog *c, const struct conf *conf, const struct health *h, int64_t from_us,
                      int64_t at_us)
{
	_cleanup(json) struct json *j = json_object_new();
	_cleanup(str) struct str text = {0}, out = {0};
	_cleanup(free) char *title = NULL;
	size_t bad = count_bad(h);
	const struct report_sources sources = {.catalog = c, .conf = conf, .now_us = at_us};
	_cleanup(schedule_statuses) struct schedule_statuses schedules = {0};
	char from[32], to[32];

	schedule_gather(&sources, &schedules);
	append_health(&text, h, bad);
	str_appendf(&text, "Jobs, %s to %s:\n", tell_time(from_us, from), tell_time(at_us, to));
	for (size_t i = 0; i < conf->job_count; i++)
		append_job(&text, c, &schedules, &conf->jobs[i], from_us);
	str_append_char(&text, '\n');
	append_recovery(&text, &sources, from_us);
	append_ends(&text, c);
	title = bad == 0 ? mem_strdup("all is well")
	                 : mem_printf("%zu of %zu checks are not well", bad, h->count);
	json_set_string(j, "event", "digest");
	json_set_string(j, "level", health_level_name(health_worst(h)));
	json_set_string(j, "title", title);
	json_set_string(j, "text", str_text(&text));
	json_set_time(j, "at", at_us);
	json_write(j, 0, &out);
	return str_take(&out);
}

/* When it is due behind @after_us; INT64_MAX: never. */
static int64_t due_after(const struct conf *conf, const char *digest, int64_t after_us)
{
	_cleanup(zone) struct zone *zone = NULL;
	struct schedule schedule;
	int64_t at_s;

	if (!digest || schedule_parse(digest, &schedule, NULL) < 0 || schedule_is_off(&schedule) ||
	    zone_load(*str_or_empty(conf->timezone) ? conf->timezone : NULL, &zone, NULL) < 0)
		return INT64_MAX;
	at_s = schedule_next(&schedule, zone, after_us / US_PER_S);
	return at_s == SCHEDULE_NEVER ? INT64_MAX : at_s * US_PER_S;
}

struct known_digest {
	const char *receiver;
	int64_t due_us;
};

static void find_digest(void *arg, const struct catalog_receiver *r)
{
	struct known_digest *known = arg;

	if (strcmp(r->name, known->receiver) == 0)
		known->due_us = r->digest_us;
}

/* @last_us: the last one that was dealt with. One that was missed is made up for, once. */
static void look_at_digest(const struct round *r, const struct receiver *to, const struct health *h,
                           struct news *n, int64_t last_us, int64_t *next_us)
{
	int64_t now_us = round_now_us(r), due_us = due_after(r->conf, to->digest, last_us);
	int64_t from_us = now_us - FIRST_US;
	struct catalog_notice notice = {
	        .kind = NOTICE_DIGEST, .receiver = to->name, .at_us = now_us, .job = ""};

	if (due_us <= now_us) {
		notice.facts = news_own(n, facts_of_digest(r->options->ctx.catalog, r->conf, h,
		                                           last_us > from_us ? last_us : from_us, now_us));
		news_add_notice(n, &notice);
		news_add_digest(n, to->name, now_us);
		due_us = due_after(r->conf, to->digest, now_us);
	}
	if (due_us < *next_us)
		*next_us = due_us;
}

void digest_look(const struct round *r, const struct health *h, struct news *n, int64_t *next_us)
{
	int64_t now_us = round_now_us(r);

	for (size_t i = 0; i < r->receivers.count; i++) {
		const struct receiver *to = &r->receivers.items[i];
		struct known_digest known = {.receiver = to->name};

		if (due_after(r->conf, to->digest, now_us) == INT64_MAX)
			continue;
		catalog_receivers(r->options->ctx.catalog, find_digest, &known);
		/* A receiver that is new, or a clock that was ahead. */
		if (!known.due_us || known.due_us > now_us) {
			known.due_us = now_us;
			news_add_digest(n, to->name, now_us);
		}
		look_at_digest(r, to, h, n, known.due_us, next_us);
	}
}
