// SPDX-License-Identifier: Apache-2.0
/* May a plan be carried out now? */
#include "prune_private.h"

#include <stdio.h>
#include <string.h>

#include <keepfs/base/clock.h>

const char *prune_state_name(enum prune_state state)
{
	static const char *const names[] = {"nothing to do", "ready", "waits", "suspended", "no job"};

	return names[state];
}

static struct retention_moment moment_of(const struct prune *p, const struct prune_plan *plan,
                                         bool *ret_verified)
{
	struct retention_moment m = {.now_s = p->time.now_us / US_PER_S, .seen_s = p->seen_us / US_PER_S};
	int64_t newest_run = -1;

	*ret_verified = false;
	for (size_t i = 0; i < plan->count; i++) {
		const struct prune_artifact *a = &plan->artifacts[i];
		const struct retention_backup *b = &plan->backups[i];

		if (b->at_s > m.newest_s)
			m.newest_s = b->at_s;
		if (b->damaged || a->partial || a->run_id < newest_run)
			continue;
		newest_run = a->run_id;
		m.newest_good_s = b->at_s;
		*ret_verified = a->verified;
	}
	m.interval_s = plan->interval_s;
	return m;
}

/* Of a database that is gone no new one will ever come. */
static bool may_be_done_now(const struct prune *p, struct prune_plan *plan)
{
	bool verified;
	struct retention_moment m = moment_of(p, plan, &verified);
	struct error err = {0};

	if (plan->is_gone) {
		m.newest_good_s = m.now_s;
		m.interval_s = 0;
	}
	if (retention_check_moment(&m, &err) < 0) {
		str_cut(plan->why, sizeof(plan->why), err.message);
		return false;
	}
	if (!verified && !plan->is_gone) {
		str_cut(plan->why, sizeof(plan->why),
		        "the newest good backup was not read back, so it is not known that it can take the place of others: set verify = readback");
		return false;
	}
	return true;
}

/* Has what waits become so much more that somebody who has seen it would want to see it again? */
static bool has_grown(const struct prune_plan *plan)
{
	return plan->due > plan->last.waits_due &&
	       retention_is_large(plan->due - (size_t)plan->last.waits_due, plan->count);
}

static bool has_to_be_confirmed(struct prune_plan *plan)
{
	const char *before = plan->last.rules;

	if (strcmp(plan->rules_text, before) != 0)
		snprintf(plan->why, sizeof(plan->why), "%s%.200s; now they are: %.200s",
		         *before ? "the rules were: " : "there were no rules yet", before, plan->rules_text);
	else if (retention_is_large(plan->due, plan->count))
		snprintf(plan->why, sizeof(plan->why), "it removes %zu of %zu backups", plan->due,
		         plan->count);
	else
		return false;
	return true;
}

static enum prune_state wait_for_somebody(const struct prune *p, struct prune_plan *plan)
{
	bool waits_already = plan->last.waits_why[0] &&
	                     strcmp(plan->last.waits_rules, plan->rules_text) == 0 &&
	                     plan->last.waits_since_us <= p->time.now_us && !has_grown(plan);

	plan->waits_since_us = waits_already ? plan->last.waits_since_us : p->time.now_us;
	plan->waits_until_us = plan->waits_since_us + p->conf->policy_delay_ms * 1000;
	return p->time.now_us >= plan->waits_until_us ? PRUNE_READY : PRUNE_WAITS;
}

void prune_judge(const struct prune *p, struct prune_plan *plan)
{
	if (!plan->job)
		plan->state = PRUNE_NO_JOB;
	else if (plan->due == 0)
		plan->state = PRUNE_NOTHING;
	else if (!may_be_done_now(p, plan))
		plan->state = PRUNE_SUSPENDED;
	else
		plan->state = has_to_be_confirmed(plan) ? wait_for_somebody(p, plan) : PRUNE_READY;
}
