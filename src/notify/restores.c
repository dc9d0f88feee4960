// SPDX-License-Identifier: Apache-2.0
/* Restores that have ended, well or not, or were cut off with the daemon: which database is in which state now. */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/report/restores.h>

#include <inttypes.h>
#include <string.h>

#define TARGETS_SHOWN 10
#define PROBLEM_BYTES 600
#define RESTORES_TOLD 64 /* in one look */

struct ended {
	struct catalog *catalog;
	const struct catalog_run *run;
	const char *backup; /* of the target that is looked at */
	char *first;        /* of its backups */
	char *database;     /* that it went to last */
	size_t completed, failed, places;
	struct str text, what_to_do;
};

/* Or a part of it. */
static bool is_of_target(const char *backup, const char *label)
{
	size_t len = strlen(label);

	return strncmp(backup, label, len) == 0 && (!backup[len] || backup[len] == '/');
}

static void tell_where_it_went(void *arg, const struct catalog_restore_place *place)
{
	struct ended *e = arg;

	if (!is_of_target(place->backup, e->backup))
		return;
	free(e->database);
	e->database = mem_strdup(place->target);
	e->places++;
	str_appendf(&e->text, "%s was restored from %s", place->target, place->backup);
	if (*place->server)
		str_appendf(&e->text, " (%s)", place->server);
	if (*place->before) {
		str_appendf(&e->text, "; what was there before is %s", place->before);
		str_appendf(&e->what_to_do,
		            "look at %s, and when nobody needs the old one any more: dropdb '%s'\n",
		            place->target, place->before);
	}
	str_append_char(&e->text, '\n');
}

static void tell_target(struct ended *e, const struct catalog_target *t)
{
	char problem[PROBLEM_BYTES];
	size_t places = e->places;

	e->completed += t->state == RUN_COMPLETED;
	e->failed += t->state != RUN_COMPLETED;
	if (e->completed + e->failed > TARGETS_SHOWN)
		return;
	e->backup = t->label;
	if (!e->first)
		e->first = mem_strdup(t->label);
	if (t->state == RUN_COMPLETED) {
		catalog_restore_places(e->catalog, e->run->id, tell_where_it_went, e);
		if (e->places == places)
			str_appendf(&e->text, "%s was restored\n", t->label);
		return;
	}
	str_cut(problem, sizeof(problem), *t->error ? t->error : run_state_name(t->state));
	str_appendf(&e->text, "%s: %s\n", t->label, problem);
}

static void tell_what_is_left(void *arg, const struct catalog_restore *x)
{
	struct ended *e = arg;
	_cleanup(free) char *left = NULL, *advice = NULL;

	if (x->run_id != e->run->id || !x->is_over)
		return;
	left = report_restore_left(x);
	advice = report_restore_advice(x);
	free(e->database);
	e->database = mem_strdup(x->target);
	str_appendf(&e->text, "%s\n", left);
	str_appendf(&e->what_to_do, "%s\n", advice);
}

static void tell_targets(struct ended *e)
{
	struct catalog_target *targets = mem_array(TARGETS_SHOWN, sizeof(*targets));
	ssize_t count;

	for (size_t from = 0;
	     (count = catalog_run_targets(e->catalog, e->run->id, from, targets, TARGETS_SHOWN)) > 0;
	     from += (size_t)count)
		for (ssize_t i = 0; i < count; i++)
			tell_target(e, &targets[i]);
	if (e->completed + e->failed > TARGETS_SHOWN)
		str_appendf(&e->text, "and %zu more\n", e->completed + e->failed - TARGETS_SHOWN);
	free(targets);
}

/* One that was refused, or cut off, before it knew what to restore has no targets. */
static void gather_ended(struct ended *e)
{
	char took[64];

	tell_targets(e);
	if (e->completed + e->failed == 0)
		str_appendf(&e->text, "%s\n", *e->run->error ? e->run->error : run_state_name(e->run->state));
	catalog_each_restore(e->catalog, tell_what_is_left, e);
	if (e->what_to_do.len == 0 && e->run->state != RUN_COMPLETED)
		str_appendf(&e->what_to_do,
		            "see why in jobs/%" PRId64 "/log, and try again; 'keepfs info' lists the backups",
		            e->run->id);
	snprintf(took, sizeof(took), "it took %" PRId64 " s",
	         (e->run->finished_at_us - e->run->started_at_us) / US_PER_S);
	str_append(&e->text, took);
}

static char *title_of_restore(const struct ended *e)
{
	size_t all = e->completed + e->failed;
	const char *what = all == 1 ? e->first : NULL;

	if (e->run->state == RUN_COMPLETED && what && e->places == 1)
		return mem_printf("%s was restored from %s", e->database, what);
	if (e->run->state == RUN_COMPLETED)
		return what ? mem_printf("%s was restored", what)
		            : mem_printf("%zu backups were restored", all);
	if (e->run->state == RUN_CANCELLED)
		return mem_printf("the restore of %s was cancelled", what ? what : e->run->options);
	if (e->completed > 0)
		return mem_printf("a restore failed for %zu of %zu backups", e->failed, all);
	return mem_printf("the restore of %s failed", what ? what : e->run->options);
}

static enum report_health level_of_restore(const struct catalog_run *run)
{
	if (run->state == RUN_COMPLETED)
		return *run->warning ? REPORT_WARN : REPORT_OK;
	return run->state == RUN_CANCELLED ? REPORT_WARN : REPORT_CRIT;
}

static void add_ended_restore(const struct round *r, const struct catalog_run *run, struct news *n)
{
	struct ended e = {.catalog = r->options->ctx.catalog, .run = run};
	struct catalog_notice notice = {.kind = NOTICE_EVENT, .at_us = round_now_us(r), .run_id = run->id};
	struct notify_event event = {.event = EVENT_RESTORE,
	                             .level = level_of_restore(run),
	                             .since_us = run->finished_at_us,
	                             .run_id = run->id};
	_cleanup(free) char *title = NULL;
	const char *job = strchr(run->job, ':');

	gather_ended(&e);
	title = title_of_restore(&e);
	event.job = job && conf_find_job(r->conf, job + 1) ? job + 1 : "";
	event.database = str_or_empty(e.database);
	event.title = title;
	event.text = str_text(&e.text);
	event.what_to_do = str_text(&e.what_to_do);
	notice.job = news_own(n, mem_strdup(event.job));
	notice.facts = news_own(n, facts_of_event(e.catalog, &event, notice.at_us));
	news_add_event(n, &r->receivers, EVENT_RESTORE, NULL, &notice);
	free(e.first);
	free(e.database);
	str_finish(&e.text);
	str_finish(&e.what_to_do);
}

void restores_look(const struct round *r, bool first, struct news *n)
{
	struct catalog *c = r->options->ctx.catalog;
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));
	ssize_t count;

	n->restores = mem_array(RESTORES_TOLD, sizeof(*n->restores));
	count = catalog_untold_restores(c, n->restores, RESTORES_TOLD);
	for (ssize_t i = 0; !first && i < count; i++)
		if (catalog_run(c, n->restores[i], run) == 0 && report_restore_acts(run))
			add_ended_restore(r, run, n);
	n->all.restores = n->restores;
	n->all.restore_count = count > 0 ? (size_t)count : 0;
}
