// SPDX-License-Identifier: Apache-2.0
#include <keepfs/policy/overdue.h>

#define GRACE_LEAST_S (30 * 60)
#define GRACE_MOST_S  (12 * 3600)

int64_t overdue_grace_s(int64_t interval_s)
{
	int64_t grace_s = interval_s / 4;

	if (grace_s < GRACE_LEAST_S)
		return GRACE_LEAST_S;
	return grace_s < GRACE_MOST_S ? grace_s : GRACE_MOST_S;
}

int64_t overdue_interval_s(const struct overdue_rule *rule)
{
	if (rule->rpo_s > 0 && (rule->interval_s <= 0 || rule->rpo_s < rule->interval_s))
		return rule->rpo_s;
	return rule->interval_s > 0 ? rule->interval_s : 0;
}

static int64_t grace_in_force(const struct overdue_rule *rule)
{
	return rule->grace_s > 0 ? rule->grace_s : overdue_grace_s(overdue_interval_s(rule));
}

int64_t overdue_late_at_s(const struct overdue_rule *rule, int64_t base_s)
{
	int64_t interval_s = overdue_interval_s(rule);

	return interval_s > 0 ? base_s + interval_s + grace_in_force(rule) : INT64_MAX;
}

static int64_t last_of_both_s(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t overdue_lost_at_s(const struct overdue_rule *rule, int64_t base_s)
{
	int64_t late_at_s = overdue_late_at_s(rule, base_s), lost_s;

	if (late_at_s == INT64_MAX)
		return INT64_MAX;
	lost_s = last_of_both_s(2 * overdue_interval_s(rule),
	                        overdue_interval_s(rule) + 2 * grace_in_force(rule));
	if (rule->rpo_s > 0 && rule->rpo_s < lost_s)
		lost_s = rule->rpo_s;
	return last_of_both_s(late_at_s, base_s + lost_s);
}

enum overdue_level overdue_judge(const struct overdue_rule *rule, int64_t base_s, int64_t now_s)
{
	if (now_s <= overdue_late_at_s(rule, base_s))
		return OVERDUE_NOT;
	return now_s > overdue_lost_at_s(rule, base_s) ? OVERDUE_LOST : OVERDUE_LATE;
}
