// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * status/dashboard.html: everything at a glance, as one page without anything from elsewhere.
 *
 *   dashboard/          the page as what it is: markup, style and script; embedded when keepfs is built
 *   dashboard.c         puts the parts into the markup
 *   dashboard_html.c    text, times and numbers as HTML
 *   dashboard_facts.c   what is known of each job and of each thing that it backs up, gathered once
 *   dashboard_runs.c    what of that the history says
 *   dashboard_members.c what registries and servers say of databases
 *   dashboard_shell.c   lines that somebody copies into a shell
 *   dashboard_….c       one part of the page each
 *
 * Everything essential is in the markup, so that the page can be read without its script, by a screen reader, and on
 * paper. The script has the same facts as JSON (dashboard_data.c).
 *
 * A part is a function here, a row of `parts` in dashboard.c, and its place in dashboard/page.html. It writes with
 * page_…(); text that others wrote passes through page_text() alone. What it costs, and what it writes, has a limit that
 * does not depend on how much there is, and the page says what a limit left out.
 */
#include "rehearsed.h"
#include "shell.h"
#include "watched.h"

#include <keepfs/catalog/overview.h>
#include <keepfs/report/health.h>
#include <keepfs/report/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DAY_US (INT64_C(86400) * INT64_C(1000000))

/* Limits, so that a page of a thousand databases stays below two megabytes and a third of a second. */
#define LINES_SHOWN           300   /* of the list of jobs and databases */
#define TARGETS_LOADED        2000  /* of each job */
#define RUNS_LOOKED_AT_OF_ALL 20000 /* shared by the jobs */
#define JOBS_DRAWN            12    /* charts */
#define CALENDARS_SHOWN       30
#define FAILURES_SHOWN        12 /* with the end of their logs */
#define CALENDAR_DAYS         91
#define STRIP_RUNS            10
#define DIRECTORIES_SHOWN     25   /* of what is kept */
#define TABLES_OF_SHOWN       12   /* databases whose tables are shown */
#define BACKUPS_PLANNED       6000 /* of all these directories; the last one may have more */
#define SERIES_RUNS           45

/** enum standing - how a job, or one thing that it backs up, stands: the words are standing_word()'s. Worse is greater. */
enum standing {
	STANDING_GONE,
	STANDING_OK,
	STANDING_OFF, /* it has good backups, but is switched off, or nobody would notice that none is made */
	STANDING_NEVER,
	STANDING_WARNED,
	STANDING_FAILED
};

/** enum mark - one cell of a strip or of a calendar. */
enum mark { MARK_NONE, MARK_CANCELLED, MARK_LIVE, MARK_OK, MARK_WARNED, MARK_FAILED };

struct strip { /* the last runs, the newest first */
	struct strip_run {
		int64_t run_id, at_us;
		uint64_t size_bytes, targets;
		enum mark mark;
	} runs[STRIP_RUNS];
	size_t count;
};

struct saved { /* a copy of a struct catalog_backup, in as far as a row needs it */
	char *path, *label, *kind;
	bool is_directory;
	int64_t started_at_us, finished_at_us, verified_at_us; /* finished_at_us 0: there is none */
	uint64_t size_bytes;
	unsigned tiers;
	int64_t held_until_us;
};

/** struct target - one thing that a job backs up: a database, a directory. */
struct target {
	char *label;
	enum standing standing;
	struct strip strip;
	uint64_t artifacts, stored_bytes;
	struct saved newest;
	char *error;       /* of its last run, when that failed; NULL */
	int64_t failed_id; /* that run; 0 */
	/* Of a database that a registry or a server names: when that was first so, lately, though others were there before; 0. Since
	 * when it is not any more; 0. */
	int64_t new_since_us, gone_since_us;
	int64_t seen_id; /* the newest run that was about it; 0: none that was looked at */
};

struct series { /* of whole backups that completed, oldest first */
	struct series_point {
		int64_t run_id, at_us, duration_us, rows; /* duration_us, rows -1: not known */
		uint64_t size_bytes;
	} points[SERIES_RUNS];
	size_t count;
};

struct job_view_days { /* the newest first: [0] is the day on which the page was made */
	struct {
		uint16_t good, warned, failed;
	} days[CALENDAR_DAYS];
};

/** struct dash_job - a configured job. */
struct dash_job {
	const struct conf_job *conf;
	const struct health_item *item; /* the worst item of health about it; NULL */
	enum standing standing;
	bool is_live;
	int64_t first_run_us; /* the oldest run that was looked at began; 0: it never ran */
	int64_t last_success_us;
	int64_t next_run_us; /* when the next run begins by itself; 0: never */
	bool is_off;         /* its schedule, or that of one of its classes, is switched off */
	bool is_watched;     /* it has a schedule, or it is said otherwise when a backup is expected */
	struct catalog_outcome failed; /* its last run that ended has failed: that one; id 0 */
	uint64_t artifacts, stored_bytes;
	struct strip strip;
	struct series series;
	struct job_view_days calendar;
	struct target *targets; /* the worst first */
	size_t target_count;
	size_t cursor; /* behind the target that was found last: runs have them in the same order */
	bool has_many; /* it has several: each has a line of its own */
	bool left_out; /* it has more than TARGETS_LOADED */
};

struct page {
	const struct report_sources *from;
	struct spool *out;
	struct health health;
	struct watched_store store;
	struct zone *zone; /* of the days of the calendar */
	int64_t today;     /* as dash_day() numbers them */
	struct dash_job *jobs;
	size_t job_count;
	struct rehearsed *rehearsed; /* by the number of the job in the configuration: dash_rehearsed() */
	uint64_t runs_each;          /* how many runs of a job are looked at, at most */
	unsigned failures;           /* told with their logs so far */
	int result;                  /* the first failure of the catalog */
};

/* The page as it was embedded: NUL-terminated. */
extern const char dashboard_page_html[], dashboard_style_css[], dashboard_script_js[];

/* Writing. */

/** page_put() - markup, as it is. page_putf() - the same with numbers in it, and never with text. */
void page_put(struct page *p, const char *html);
void page_putf(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** page_text() - @text, which others wrote (NULL: nothing): of HTML's own characters nothing is left, nor of what changes
 * the direction of the text behind it; longer ones than @max bytes are cut, and end in "…". Good within an element and
 * within an attribute in double quotes. */
void page_text(struct page *p, const char *text, size_t max);
#define TEXT_SHORT 200
#define TEXT_LONG  1500
/** page_name() - the same of a name, which may be written from right to left. */
void page_name(struct page *p, const char *name);
/** page_when() - a point in time, "2026-11-20 02:00"; a dash for 0. page_ago() - how long before the page was made. Both
 * are known to the script. */
void page_when(struct page *p, int64_t at_us);
void page_ago(struct page *p, int64_t at_us);
/** page_day() - its day alone: "2026-11-20". */
void page_day(struct page *p, int64_t at_us);
/** page_due() - the same of what is to come. */
void page_due(struct page *p, int64_t at_us);
/** page_span() - from then until the page was made: "3 h"; the script goes on with it. */
void page_span(struct page *p, int64_t since_us);
/** page_age() - a span of time: "3 h". */
void page_age(struct page *p, int64_t us);
void page_bytes(struct page *p, uint64_t bytes);
/** page_number() - "1,204". page_count() - the same with its noun: "1 backup", "1,204 backups". */
void page_number(struct page *p, uint64_t n);
void page_count(struct page *p, uint64_t n, const char *one, const char *many);
/** page_icon() - the shape that stands for @id, a symbol of page.html; nothing that a screen reader reads. */
void page_icon(struct page *p, const char *id);
/** page_level() - the id of the symbol and class of a level of health: "ok", "warn", "crit". */
const char *page_level(enum report_health level);
/** page_tiers() - a badge for each of enum retention_reason. */
void page_tiers(struct page *p, unsigned tiers);
/** page_command() - a line for a shell, with a button that copies it. */
void page_command(struct page *p, const char *what, const char *line);

/* Facts. */

/** dash_load() - fill @p: health, jobs. What the catalog refuses stays in p->result. */
void dash_load(struct page *p);
void dash_finish(struct page *p);
/** dash_load_runs() - what the history says about @job. */
void dash_load_runs(struct page *p, struct dash_job *job);
/** dash_load_rows() - the numbers of rows of its series, as far as they are known: a query for each point. */
void dash_load_rows(struct page *p, struct dash_job *job);
/** dash_load_members() - what a registry or a server said about the databases of @job: which are new, which are gone. */
void dash_load_members(struct page *p, struct dash_job *job);
/** dash_target() - the target of @job with that label, made when there is none; NULL when there are too many. */
struct target *dash_target(struct dash_job *job, const char *label);
/** dash_rehearsed() - what drills have shown of @job. */
const struct rehearsed *dash_rehearsed(const struct page *p, const struct dash_job *job);
/** dash_failed() - note what the catalog returned. */
void dash_failed(struct page *p, int r);
/** dash_day() - the number of the day on which @at_us is. */
int64_t dash_day(const struct page *p, int64_t at_us);
/** dash_date() - of such a day: "2026-11-20"; returns @buf. */
const char *dash_date(int64_t day, char buf[static 16]);

const char *standing_word(enum standing standing);
/** standing_id() - the symbol and class: "ok", "warn", "crit", "never", "gone", "off". */
const char *standing_id(enum standing standing);
const char *mark_word(enum mark mark);
const char *mark_id(enum mark mark);

/** shell_copy(), shell_restore() - the line that copies a backup out of the mount, and the one that brings it back beside
 * what is there; the caller's. NULL: there is none for such a backup. */
char *shell_copy(const struct page *p, const struct catalog_backup *b);
char *shell_restore(const struct page *p, const struct catalog_backup *b);
/** dash_backup_of() - a target's newest as the functions above take it. */
struct catalog_backup dash_backup_of(const struct dash_job *job, const struct target *t);

/* Parts. */
void dashboard_title(struct page *p);
void dashboard_made(struct page *p);
void dashboard_light(struct page *p);
void dashboard_loss(struct page *p);
void dashboard_recovery(struct page *p);
void dashboard_tiles(struct page *p);
void dashboard_lines(struct page *p);
void dashboard_calendar(struct page *p);
void dashboard_trend(struct page *p);
void dashboard_tables(struct page *p);
void dashboard_recent(struct page *p);
void dashboard_storage(struct page *p);
void dashboard_retention(struct page *p);
void dashboard_audit(struct page *p);
void dashboard_data(struct page *p);

/** dashboard_failure() - why a run failed, the end of its log, and what to do. */
void dashboard_failure(struct page *p, const struct dash_job *job, int64_t run_id, const char *error);
/** dashboard_restore() - the lines for a backup. */
void dashboard_restore(struct page *p, const struct catalog_backup *b);
/** dashboard_rpo(), dashboard_rto() - what would be lost, and how long a restore takes, against the goals. */
void dashboard_rpo(struct page *p, const struct dash_job *job);
void dashboard_rto(struct page *p, const struct dash_job *job);
/** dashboard_strip() - a picture of the last runs. */
void dashboard_strip(struct page *p, const struct strip *strip);
