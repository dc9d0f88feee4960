// SPDX-License-Identifier: Apache-2.0
/* Holds of which control/hold does not tell: those that come with a run's trigger, and the end of those that have a date. */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/codec/name.h>

#include <inttypes.h>
#include <string.h>

#define TARGETS_AT_ONCE 8
#define PATHS_SHOWN     5

static const char advice_to_end[] =
        "when it need not be kept any more, end it with control/hold (see control/README)";

struct held_by_run {
	size_t count;
	struct str paths; /* of the first few */
	struct catalog_hold hold;
};

static bool has_hold_of_trigger(struct catalog *c, const char *path, struct catalog_hold *ret)
{
	struct catalog_hold *holds = mem_array(CATALOG_HOLDS_MAX, sizeof(*holds));
	ssize_t count = catalog_holds(c, ino_of_artifact(path), holds, CATALOG_HOLDS_MAX);
	bool found = false;

	for (ssize_t i = 0; i < count && !found; i++) {
		found = strcmp(holds[i].name, CATALOG_HOLD_OF_TRIGGER) == 0;
		if (found)
			*ret = holds[i];
	}
	free(holds);
	return found;
}

static void note_held(struct catalog *c, const char *path, struct held_by_run *held)
{
	if (!*path || !has_hold_of_trigger(c, path, &held->hold))
		return;
	if (held->count++ >= PATHS_SHOWN)
		return;
	str_append(&held->paths, path);
	str_append_char(&held->paths, '\n');
}

static void find_held(struct catalog *c, int64_t run_id, struct held_by_run *held)
{
	struct catalog_target *targets = mem_array(TARGETS_AT_ONCE, sizeof(*targets));
	ssize_t count;

	for (size_t from = 0; (count = catalog_run_targets(c, run_id, from, targets, TARGETS_AT_ONCE)) > 0;
	     from += (size_t)count)
		for (ssize_t i = 0; i < count; i++)
			note_held(c, targets[i].path, held);
	free(targets);
}

static void tell_held(struct notify *n, const struct catalog_run *run, const struct held_by_run *held)
{
	_cleanup(free) char *title =
	        held->count == 1 ? mem_printf("job %s: its new backup is held", run->job)
	                         : mem_printf("job %s: its %zu new backups are held", run->job, held->count);
	_cleanup(free) char *text = mem_printf("%s%sheld as %s by %s: %s", str_text(&held->paths),
	                                       held->count > PATHS_SHOWN ? "…\n" : "", held->hold.name,
	                                       held->hold.by, held->hold.reason);
	const struct notify_event event = {
	        .event = EVENT_HOLD_ADDED,
	        .job = run->job,
	        .title = title,
	        .text = text,
	        .what_to_do = advice_to_end,
	        .since_us = held->hold.at_us,
	};

	notify_tell(n, &event);
}

void tell_holds_of_run(struct notify *n, struct catalog *c, int64_t run_id)
{
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));
	struct held_by_run held = {0};

	if (catalog_run(c, run_id, run) < 0)
		return;
	find_held(c, run_id, &held);
	if (held.count > 0)
		tell_held(n, run, &held);
	str_finish(&held.paths);
}

/* Ends. */

struct ended_holds {
	const struct round *round;
	struct news *news;
	size_t count;
};

static void add_ended_hold(void *arg, const char *path, const char *job, const struct catalog_hold *hold,
                           bool is_held)
{
	struct ended_holds *e = arg;
	_cleanup(free) char *title = is_held ? mem_printf("a hold of %s has ended, others stand", path)
	                                     : mem_printf("%s is no longer held", path);
	_cleanup(free) char *text =
	        mem_printf("the time of the hold %s by %s is over: %s", hold->name, hold->by, hold->reason);
	const struct notify_event event = {
	        .event = EVENT_HOLD_ENDED,
	        .job = job,
	        .title = title,
	        .text = text,
	        .what_to_do =
	                is_held ? ""
	                        : "from now on the rules of the job say how long it is kept; if it must stay, hold it again with control/hold",
	        .since_us = hold->until_us,
	};
	struct catalog_notice notice = {.kind = NOTICE_EVENT, .at_us = round_now_us(e->round)};

	e->count++;
	/* What was borrowed is gone when this is written. */
	notice.job = news_own(e->news, mem_strdup(job));
	notice.facts =
	        news_own(e->news, facts_of_event(e->round->options->ctx.catalog, &event, notice.at_us));
	news_add_event(e->news, &e->round->receivers, EVENT_HOLD_ENDED, NULL, &notice);
}

void holds_look(const struct round *r, struct news *n, int64_t *next_us)
{
	struct catalog *c = r->options->ctx.catalog;
	const int64_t now_us = round_now_us(r);
	struct ended_holds ended = {.round = r, .news = n};
	int64_t looked_us = 0, end_us;

	/* What ended before anybody was to be told is no news; nor does a clock that was ahead count. */
	if (catalog_holds_looked(c, &looked_us) < 0 || looked_us > now_us)
		n->all.holds_looked_us = now_us;
	else if (catalog_ended_holds(c, looked_us, now_us, add_ended_hold, &ended) == 0 && ended.count > 0)
		n->all.holds_looked_us = now_us;
	end_us = catalog_next_hold_end(c, now_us);
	if (end_us > 0 && end_us < *next_us)
		*next_us = end_us;
}
