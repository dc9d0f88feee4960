// SPDX-License-Identifier: Apache-2.0
/*
 * status/retention: of each directory what stays and why, what may go and since when, and what keeps that from being done.
 * One directory is in memory at a time, and what is written has a limit for each and for all.
 */
#include "line.h"
#include "retention_words.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/codec/name.h>
#include <keepfs/policy/retention_dates.h>
#include <keepfs/prune.h>
#include <keepfs/report/status.h>
#include <keepfs/wal.h>
#include <keepfs/wal/keep.h>

#include <inttypes.h>
#include <string.h>

#define PAGE_ROWS 64

/* Lines for the backups of one directory that stay, for those that may go, and of all together: whoever opens it waits. */
#define SHOWN_OF_EACH ((size_t)1000)
#define SHOWN_OF_ALL  ((size_t)100000)
#define SHOWN_TRASH   10000
#define REASONS_COUNT 13 /* bits, of which RETENTION_LOCKED is the last */

_Static_assert(1 << (REASONS_COUNT - 1) == RETENTION_LOCKED, "a count for each reason");

static void append_holds(struct catalog *c, uint64_t ino, int64_t now_us, struct str *out)
{
	struct catalog_hold holds[CATALOG_HOLDS_MAX];
	ssize_t count = catalog_holds(c, ino, holds, CATALOG_HOLDS_MAX);
	char until[32];

	for (ssize_t i = 0; i < count; i++) {
		if (holds[i].until_us && holds[i].until_us <= now_us)
			continue;
		str_appendf(out, "; held as %s: ", holds[i].name);
		str_append_line(out, holds[i].reason);
		str_appendf(out, " (by %s, until %s)", holds[i].by,
		            line_time(holds[i].until_us, "it is ended", until));
	}
}

/* What is written of a directory's backups: those that stay, the newest of them, and those that may go, the oldest. */
struct showing {
	const struct report_sources *from;
	const struct prune_plan *plan;
	struct spool *out;
	size_t stay_hidden,
	        go_left; /* of what comes: so many that stay are not shown, so many that may go are */
	size_t hidden[REASONS_COUNT]; /* that stay and are not shown, by the number of the reason's bit */
	size_t go_hidden;
	char last_that_goes[NAME_MAX_BYTES]; /* of those shown; "": none */
};

static void write_kept_backup(struct showing *s, struct retention_dates *d, size_t first, size_t i)
{
	const struct retention_backup *b = &s->plan->backups[i];
	_cleanup(str) struct str line = {0};
	char name[NAME_MAX_BYTES], since[CLOCK_ISO_BYTES];

	if (catalog_name_of(s->from->catalog, s->plan->artifacts[i].ino, name, sizeof(name)) < 0)
		return; /* it is gone meanwhile */
	if (b->reasons) {
		str_appendf(&line, "  stays %s  ", name);
		retention_append_reasons(b->reasons, &line);
		if (b->reasons & RETENTION_HELD)
			append_holds(s->from->catalog, s->plan->artifacts[i].ino, s->from->now_us, &line);
		retention_append_end(d, i - first, b, "; ", &line);
	} else {
		str_appendf(&line, "  goes  %s  since %.10s: ", name,
		            clock_format_iso(retention_since(d, i - first) * US_PER_S, since));
		prune_append_why(s->plan, i, &line);
		str_copy(s->last_that_goes, sizeof(s->last_that_goes), name);
	}
	spool_appendf(s->out, "%s\n", str_text(&line));
}

static bool is_shown(struct showing *s, const struct retention_backup *b)
{
	if (!b->reasons && s->go_left > 0) {
		s->go_left--;
		return true;
	}
	if (!b->reasons) {
		s->go_hidden++;
		return false;
	}
	if (s->stay_hidden == 0)
		return true;
	s->stay_hidden--;
	for (unsigned bit = 0; bit < REASONS_COUNT; bit++)
		s->hidden[bit] += b->reasons >> bit & 1;
	return false;
}

/* Those of one content: they alone are compared with each other. */
static void write_kept_content(struct showing *s, size_t first, size_t end)
{
	_cleanup(retention_dates) struct retention_dates *d = NULL;
	const struct prune_plan *plan = s->plan;
	struct retention_rules rules;

	prune_rules_of(plan, first, &rules);
	for (size_t i = first; i < end; i++) {
		if (!is_shown(s, &plan->backups[i]))
			continue;
		if (!d)
			d = retention_dates_new(&rules, plan->zone, &plan->schedule,
			                        s->from->now_us / US_PER_S, &plan->backups[first],
			                        end - first);
		write_kept_backup(s, d, first, i);
	}
}

static void write_hidden_reasons(const struct showing *s)
{
	const char *between = ": ";

	for (unsigned bit = 0; bit < REASONS_COUNT; bit++) {
		if (!s->hidden[bit])
			continue;
		spool_appendf(s->out, "%s%zu %s", between, s->hidden[bit], retention_reason_name(1U << bit));
		between = ", ";
	}
}

static size_t smaller_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* @rows: how many may be written; moved. */
static void write_kept_backups(const struct report_sources *from, const struct prune_plan *plan,
                               const char *scope, size_t *rows, struct spool *out)
{
	size_t go = smaller_of(smaller_of(plan->due, SHOWN_OF_EACH), *rows), stay = plan->count - plan->due;
	size_t shown = smaller_of(smaller_of(stay, SHOWN_OF_EACH), *rows - go);
	struct showing s = {
	        .from = from, .plan = plan, .out = out, .stay_hidden = stay - shown, .go_left = go};

	*rows -= go + shown;
	for (size_t first = 0, end; first < plan->count; first = end) {
		end = prune_next_content(plan, first);
		write_kept_content(&s, first, end);
	}
	if (stay > shown) {
		spool_appendf(out, "  and %zu older ones that stay", stay - shown);
		write_hidden_reasons(&s);
		spool_appendf(out, "\n");
	}
	if (s.go_hidden > 0)
		spool_appendf(out, "  and %zu more that may go: keepfs prune %s%s%s\n", s.go_hidden, scope,
		              *s.last_that_goes ? " after=" : "", s.last_that_goes);
}

static const char *scope_of(const struct prune_plan *plan)
{
	return tree_short(plan->place.path);
}

static void write_state(const struct prune_plan *plan, struct spool *out)
{
	char at[32];

	spool_appendf(out, "  rules: %s\n", plan->rules_text);
	if (plan->state == PRUNE_WAITS)
		spool_appendf(
		        out,
		        "  waits: %s. It is done at %s, or when somebody says so: echo '%s confirm=%s' > control/prune\n",
		        plan->why, line_time(plan->waits_until_us, "-", at), scope_of(plan), plan->id);
	if (plan->state == PRUNE_SUSPENDED)
		spool_appendf(out, "  suspended: nothing is removed now: %s\n", plan->why);
	if (plan->last.refused)
		spool_appendf(out, "  refused: %" PRIu64 " could not be removed: %s\n", plan->last.refused,
		              plan->last.refused_why);
}

static int write_place(const struct report_sources *from, const struct prune *p,
                       const struct catalog_place *place, size_t *rows, struct spool *out)
{
	_cleanup(prune_plan) struct prune_plan plan = {0};
	struct error err = {0};
	int r = prune_plan(p, place, &plan, &err);

	/* One time zone that cannot be loaded keeps nobody from seeing the others. */
	if (r < 0) {
		spool_appendf(out, "%s: what is kept is not known: %s\n\n", place->path, err.message);
		return 0;
	}
	spool_appendf(out, "%s: %zu stay, %zu may go: %s\n", place->path, plan.count - plan.due, plan.due,
	              prune_state_name(plan.state));
	write_state(&plan, out);
	write_kept_backups(from, &plan, scope_of(&plan), rows, out);
	spool_append(out, "\n", 1);
	return spool_error(out);
}

static int write_places(const struct report_sources *from, const struct prune *p, struct spool *out)
{
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	size_t rows = SHOWN_OF_ALL;
	ssize_t n;

	while ((n = catalog_places(from->catalog, NULL, place->path, place, 1)) > 0) {
		int r = write_place(from, p, place, &rows, out);

		if (r < 0)
			return r;
	}
	return (int)n;
}

/* What of WAL archives goes, in a line for each. */
static int write_archives(const struct report_sources *from, const struct prune *p, struct spool *out)
{
	bool any = false;

	for (size_t i = 0; i < from->conf->job_count; i++) {
		_cleanup(wal_survey) struct wal_survey survey = {0};
		_cleanup(str) struct str line = {0};
		struct error err = {0};

		if (!wal_is_archived(&from->conf->jobs[i]))
			continue;
		any = true;
		if (wal_survey(p, &from->conf->jobs[i], &survey, &err) == 0)
			wal_survey_append(&survey, &line);
		else
			str_appendf(&line, "wal/%s: what is kept is not known: %s", from->conf->jobs[i].name,
			            err.message);
		spool_appendf(out, "%s\n", str_text(&line));
	}
	if (any)
		spool_append(out, "\n", 1);
	return spool_error(out);
}

static void write_trashed(const struct catalog_trashed *row, struct spool *out)
{
	_cleanup(str) struct str why = {0};
	char at[32], until[32];

	str_append_line(&why, row->reason);
	spool_appendf(out, "  %s  removed %s by %s (%s); gone for good after %s\n", row->path,
	              line_time(row->trashed_at_us, "-", at), row->by, str_text(&why),
	              line_time(row->until_us, "-", until));
}

static int write_trash(const struct report_sources *from, struct spool *out)
{
	_cleanup(free) struct catalog_trashed *rows = mem_array(PAGE_ROWS, sizeof(*rows));
	char after[sizeof(rows->path)] = "";
	uint64_t count, bytes, shown = 0;
	ssize_t n = catalog_trash_total(from->catalog, NULL, &count, &bytes);

	if (n < 0 || count == 0)
		return (int)n;
	spool_appendf(out, "in the trash (back with: echo PATH > control/undelete)\n");
	while (shown < SHOWN_TRASH &&
	       (n = catalog_trash_after(from->catalog, NULL, after, rows, PAGE_ROWS)) > 0) {
		for (ssize_t i = 0; i < n && shown < SHOWN_TRASH; i++, shown++)
			write_trashed(&rows[i], out);
		str_copy(after, sizeof(after), rows[n - 1].path);
	}
	if (shown == SHOWN_TRASH && count > shown)
		spool_appendf(out, "  and %" PRIu64 " more, which status/audit.jsonl names\n", count - shown);
	spool_append(out, "\n", 1);
	return n < 0 ? (int)n : spool_error(out);
}

struct left {
	struct spool *out;
	uint64_t count;
};

static void write_left(void *arg, const char *path, const char *why)
{
	struct left *left = arg;
	_cleanup(str) struct str line = {0};

	if (left->count++ == 0)
		spool_appendf(left->out, "removed, but still in the store; tried again within the hour\n");
	if (left->count > SHOWN_TRASH)
		return;
	str_append_line(&line, why);
	spool_appendf(left->out, "  %s  %s\n", path, str_text(&line));
}

int report_retention(const struct report_sources *from, struct spool *out)
{
	struct repository repository = {.store = from->store, .catalog = from->catalog};
	struct artifact_time time;
	struct left left = {out, 0};
	struct prune p;
	int r;

	artifact_read_clock(&time);
	time.now_us = from->now_us;
	r = prune_begin(&p, &repository, from->conf, &time, NULL);
	if (r == 0)
		r = write_places(from, &p, out);
	if (r == 0)
		r = write_archives(from, &p, out);
	if (r == 0)
		r = write_trash(from, out);
	if (r == 0)
		r = catalog_each_left(from->catalog, write_left, &left);
	if (left.count > SHOWN_TRASH)
		spool_appendf(out, "  and %" PRIu64 " more\n", left.count - SHOWN_TRASH);
	return r < 0 ? r : spool_error(out);
}
