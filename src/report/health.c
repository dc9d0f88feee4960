// SPDX-License-Identifier: Apache-2.0
/* Health: is there anything that somebody should look at? The rules are in include/keepfs/report.h. What was
 * told by a probe is taken as outdated when a run has completed since: that run has proved the opposite. */
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define PROBES_MAX      64
#define SPACE_LOW_BYTES ((uint64_t)64 << 20)
#define SPACE_LOW_PART  20 /* a twentieth: 5 percent */

struct health {
	struct catalog *catalog;
	const struct conf *conf;
	int64_t now_us;
	struct str lines, summary;
	unsigned checks, bad;
	enum report_health worst;
	bool catalog_failed;
	void (*row)(void *arg, const char *check, enum report_health level); /* NULL: only text is wanted */
	void *arg;
};

static const char *const level_names[] = {"OK", "WARN", "CRIT"};

static void tell(struct health *h, enum report_health level, const char *what, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

static void tell(struct health *h, enum report_health level, const char *what, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	str_appendf(&h->lines, "%-4s  %s: ", level_names[level], what);
	append_flat(&h->lines, str_text(&text));
	str_append_char(&h->lines, '\n');
	h->checks++;
	if (h->row)
		h->row(h->arg, what, level);
	if (level > h->worst)
		h->worst = level;
	if (level == REPORT_OK)
		return;
	str_appendf(&h->summary, "%s%s", h->bad++ ? ", " : "", what);
}

/* The catalog could not answer: told once, however many questions it was asked. */
static void tell_catalog(struct health *h, int r)
{
	if (!h->catalog_failed)
		tell(h, REPORT_CRIT, "catalog",
		     "cannot be read: %s; look at the daemon's log, and see 'keepfs rebuild'", strerror(-r));
	h->catalog_failed = true;
}

/* "3 h" */
static const char *format_age(int64_t us, char buf[static 32])
{
	int64_t s = us > 0 ? us / US_PER_S : 0;

	if (s < 120)
		snprintf(buf, 32, "%" PRId64 " s", s);
	else if (s < 7200)
		snprintf(buf, 32, "%" PRId64 " min", s / 60);
	else if (s < 48 * 3600)
		snprintf(buf, 32, "%" PRId64 " h", s / 3600);
	else
		snprintf(buf, 32, "%" PRId64 " days", s / 86400);
	return buf;
}

/* Jobs. */

struct job_view {
	struct catalog_totals totals;
	struct catalog_run last; /* that failed, or completed as the job is configured; id 0: none */
	struct catalog_run
	        warned; /* the newest that completed with a warning, if not older than @last; id 0: none */
	bool cancelled_since;
};

/* Did a run that its trigger changed make what the job is for? Its options alone do not tell: a whole backup
 * since it began does. */
static bool made_less(const struct job_view *view, const struct catalog_run *run)
{
	return *run->options && view->totals.newest_whole_at_us < run->started_at_us;
}

static bool view_run(void *arg, const struct catalog_run *run)
{
	struct job_view *view = arg;

	if (run->state == RUN_CANCELLED)
		view->cancelled_since = true;
	if (run->state == RUN_COMPLETED && *run->warning && !view->warned.id)
		view->warned = *run;
	if (run->state != RUN_FAILED && (run->state != RUN_COMPLETED || made_less(view, run)))
		return true;
	view->last = *run;
	return false;
}

static void tell_failed_job(struct health *h, const char *what, const struct job_view *view)
{
	char at[32], newest[32];

	if (view->totals.newest_whole_at_us == 0)
		tell(h, REPORT_CRIT, what, "there is no good backup; run %" PRId64 " failed %s: %s",
		     view->last.id, format_time(view->last.finished_at_us, "-", at), view->last.error);
	else
		tell(h, REPORT_WARN, what, "run %" PRId64 " failed %s: %s; the newest good backup is of %s",
		     view->last.id, format_time(view->last.finished_at_us, "-", at), view->last.error,
		     format_time(view->totals.newest_whole_at_us, "-", newest));
}

static void tell_good_job(struct health *h, const char *what, const struct job_view *view)
{
	const struct catalog_totals *totals = &view->totals;
	char at[32], age[32];

	format_time(totals->newest_whole_at_us, "-", at);
	format_age(h->now_us - totals->newest_whole_at_us, age);
	if (view->warned.id)
		tell(h, REPORT_WARN, what,
		     "run %" PRId64 " completed with a warning: %s; the newest backup is of %s, %s ago",
		     view->warned.id, view->warned.warning, at, age);
	else
		tell(h, REPORT_OK, what, "the newest backup is of %s, %s ago; %" PRIu64 " in all", at, age,
		     totals->artifacts);
}

static void check_job(struct health *h, const char *job)
{
	_cleanup(free) struct job_view *view = mem_alloc(sizeof(*view));
	_cleanup(free) char *what = mem_printf("job %s", job);
	int r = catalog_totals(h->catalog, job, &view->totals);
	char at[32];

	if (r == 0)
		r = runs_each(h->catalog, job, view_run, view);
	if (r < 0)
		tell_catalog(h, r);
	else if (view->last.id && view->last.state == RUN_FAILED)
		tell_failed_job(h, what, view);
	else if (view->totals.newest_whole_at_us)
		tell_good_job(h, what, view);
	else if (view->totals.artifacts > 0)
		tell(h, REPORT_WARN, what,
		     "has only backups that are partial or damaged; make a good one with: keepfs trigger %s",
		     job);
	else if (view->last.id)
		tell(h, REPORT_WARN, what, "run %" PRId64 " completed %s, but its backup is gone",
		     view->last.id, format_time(view->last.finished_at_us, "-", at));
	else if (view->cancelled_since)
		tell(h, REPORT_WARN, what, "has no backup yet: its runs were cancelled");
	else
		tell(h, REPORT_WARN, what, "has not run yet; start it with: keepfs trigger %s", job);
}

/* Backups that reading has shown to be damaged, and reads that fail now. */

#define DAMAGED_SHOWN     5
#define READS_RECENTLY_US (10 * 60 * US_PER_S)

struct damaged {
	struct health *health;
	uint64_t count;
};

static void tell_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	struct damaged *d = arg;

	if (d->count++ < DAMAGED_SHOWN)
		tell(d->health, REPORT_CRIT, "damaged backup",
		     "%s: %s; make another one now, and remove this one", path, reason);
}

static void check_damaged(struct health *h)
{
	struct damaged d = {.health = h};
	int r = catalog_damaged(h->catalog, tell_damaged, &d);

	if (r < 0)
		tell_catalog(h, r);
	if (d.count > DAMAGED_SHOWN)
		tell(h, REPORT_CRIT, "damaged backups", "%" PRIu64 " in all", d.count);
}

static void check_reads(struct health *h, struct report_troubles *troubles)
{
	int64_t failed_at_us = troubles ? troubles_last_read_failure(troubles) : 0;
	char age[32];

	if (failed_at_us && h->now_us - failed_at_us < READS_RECENTLY_US)
		tell(h, REPORT_WARN, "reads",
		     "the store failed a read or a removal %s ago: see status/last-error",
		     format_age(h->now_us - failed_at_us, age));
}

static void check_cache(struct health *h, struct report_troubles *troubles)
{
	_cleanup(free) char *why = troubles ? troubles_no_cache(troubles) : NULL;

	if (why)
		tell(h, REPORT_WARN, "disk cache",
		     "there is none, all is read from the store: %s; mount anew when that is mended", why);
}

/* Probes and the store. */

static bool find_completed(void *arg, const struct catalog_run *run)
{
	if (run->state != RUN_COMPLETED)
		return true;
	*(int64_t *)arg = run->finished_at_us;
	return false;
}

/* When a run (of @job; NULL: any) last completed; 0: never. */
static int64_t last_completed(struct health *h, const char *job)
{
	int64_t at_us = 0;
	int r = runs_each(h->catalog, job, find_completed, &at_us);

	if (r < 0)
		tell_catalog(h, r);
	return at_us;
}

/* The configured job that a check is about ("pg_dump full", "database full/shop"); NULL when it is none. */
static const char *job_of_check(const struct conf *conf, const char *check)
{
	const char *space = strchr(check, ' ');
	_cleanup(free) char *name = NULL;
	const struct conf_job *job;

	if (!space)
		return NULL;
	name = mem_printf("%.*s", (int)strcspn(space + 1, "/"), space + 1);
	job = conf_find_job(conf, name);
	return job ? job->name : NULL;
}

static void check_probes(struct health *h)
{
	_cleanup(free) struct catalog_probe *probes = mem_array(PROBES_MAX, sizeof(*probes));
	ssize_t count = catalog_probes(h->catalog, probes, PROBES_MAX);
	unsigned failed = 0;
	char at[32];

	if (count < 0)
		tell_catalog(h, (int)count);
	for (ssize_t i = 0; i < count; i++) {
		_cleanup(free) char *what = mem_printf("check %s", probes[i].check);

		if (probes[i].ok ||
		    last_completed(h, job_of_check(h->conf, probes[i].check)) > probes[i].at_us)
			continue;
		failed++;
		tell(h, strcmp(probes[i].check, "store") == 0 ? REPORT_CRIT : REPORT_WARN, what,
		     "failed %s: %s (try again with: keepfs check)", format_time(probes[i].at_us, "-", at),
		     probes[i].detail);
	}
	if (count > 0 && failed == 0)
		tell(h, REPORT_OK, "checks", "nothing that 'keepfs check' found on %s stands in the way",
		     format_time(probes[0].at_us, "-", at));
}

static void check_store(struct health *h)
{
	int64_t verified = catalog_store_verified(h->catalog, h->conf->store.url), completed;
	char at[32];

	if (verified) {
		tell(h, REPORT_OK, "store", "%s was verified %s", h->conf->store.url,
		     format_time(verified, "-", at));
		return;
	}
	completed = last_completed(h, NULL);
	if (completed)
		tell(h, REPORT_OK, "store", "%s took a backup %s; it was not verified by 'keepfs check' yet",
		     h->conf->store.url, format_time(completed, "-", at));
	else
		tell(h, REPORT_WARN, "store", "%s was never verified; do so with: keepfs check",
		     h->conf->store.url);
}

/* Space. */

static void check_space(struct health *h, const char *what, const char *path)
{
	char free_text[16];
	struct statvfs fs;
	uint64_t avail, total;

	if (statvfs(path, &fs) < 0) {
		tell(h, REPORT_WARN, what, "%s: %s", path, strerror(errno));
		return;
	}
	avail = (uint64_t)fs.f_bavail * fs.f_frsize;
	total = (uint64_t)fs.f_blocks * fs.f_frsize;
	str_format_bytes(free_text, sizeof(free_text), avail);
	if (avail < SPACE_LOW_BYTES || avail < total / SPACE_LOW_PART)
		tell(h, REPORT_WARN, what, "only %s are free in %s: make room, or backups will fail",
		     free_text, path);
	else
		tell(h, REPORT_OK, what, "%s are free in %s", free_text, path);
}

static void check_all(struct health *h, struct report_troubles *troubles)
{
	const struct conf *conf = h->conf;

	for (size_t i = 0; i < conf->job_count; i++)
		check_job(h, conf->jobs[i].name);
	check_damaged(h);
	check_reads(h, troubles);
	check_cache(h, troubles);
	check_store(h);
	check_probes(h);
	check_space(h, "space for the catalog", conf->state_dir);
	if (str_starts(conf->store.url, "dir:"))
		check_space(h, "space for backups", conf->store.url + strlen("dir:"));
}

static void finish(struct health *h)
{
	str_finish(&h->lines);
	str_finish(&h->summary);
}

enum report_health report_health(struct catalog *c, const struct conf *conf, struct report_troubles *troubles,
                                 int64_t now_us, struct spool *out)
{
	struct health h = {.catalog = c, .conf = conf, .now_us = now_us};

	check_all(&h, troubles);
	if (h.bad)
		spool_appendf(out, "%s %u of %u checks: %s\n", level_names[h.worst], h.bad, h.checks,
		              str_text(&h.summary));
	else
		spool_appendf(out, "OK all %u checks are well\n", h.checks);
	spool_append(out, str_text(&h.lines), h.lines.len);
	finish(&h);
	return h.worst;
}

enum report_health health_levels(struct catalog *c, const struct conf *conf, struct report_troubles *troubles,
                                 int64_t now_us,
                                 void (*row)(void *arg, const char *check, enum report_health level),
                                 void *arg)
{
	struct health h = {.catalog = c, .conf = conf, .now_us = now_us, .row = row, .arg = arg};

	check_all(&h, troubles);
	finish(&h);
	return h.worst;
}
