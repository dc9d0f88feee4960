// SPDX-License-Identifier: Apache-2.0
/* Why a backup may go: which of the rules in force have let it go, and how. */
#include "prune_private.h"

#include <keepfs/base/clock.h>

static const char *tier_unit(unsigned reason)
{
	switch (reason) {
	case RETENTION_DAILY:
		return "day";
	case RETENTION_WEEKLY:
		return "week";
	case RETENTION_MONTHLY:
		return "month";
	default:
		return "year";
	}
}

static void append_part(struct str *out, size_t start, const char *text)
{
	str_appendf(out, "%s%s", out->len > start ? "; " : "", text);
}

/* The finest one tells it all: the first of a month is the first of its day. */
static void append_tiers_lost(const struct retention_rules *rules, const struct retention_backup *b,
                              size_t start, struct str *out)
{
	bool told = false;

	for (unsigned reason = RETENTION_DAILY; reason <= RETENTION_YEARLY; reason <<= 1) {
		unsigned keep = retention_tier_count(rules, reason);
		_cleanup(str) struct str part = {0};

		if (!keep)
			continue;
		if (b->tiers & reason)
			str_appendf(&part, "%s: %u newer %ss have one", retention_reason_name(reason), keep,
			            tier_unit(reason));
		else if (!told)
			str_appendf(&part, "not the first of its %s", tier_unit(reason));
		else
			continue;
		told = true;
		append_part(out, start, str_text(&part));
	}
}

const char *prune_part(const struct prune_plan *plan)
{
	return plan->job && plan->job->kind == CONF_JOB_EXPORT ? "tenant" : "database";
}

static void append_gone(const struct prune_plan *plan, struct str *out)
{
	char since[CLOCK_ISO_BYTES];

	str_appendf(out, "its %s is gone since %s, and keep_deleted is over", prune_part(plan),
	            clock_format_iso(plan->place.gone_since_us, since));
}

void prune_append_why(const struct prune_plan *plan, size_t i, struct str *out)
{
	const struct retention_backup *b = &plan->backups[i];
	size_t start = out->len;
	struct retention_rules rules;

	if (plan->is_gone) {
		append_gone(plan, out);
		return;
	}
	prune_rules_of(plan, i, &rules);
	if (b->damaged) {
		str_append(out, "damaged, and there is a good one in its place");
		return;
	}
	if (plan->artifacts[i].partial)
		append_part(out, start, "partial, and there is a newer one");
	append_tiers_lost(&rules, b, start, out);
	if (rules.last) {
		_cleanup(str) struct str part = {0};

		str_appendf(&part, "last: %u newer ones are there", rules.last);
		append_part(out, start, str_text(&part));
	}
	if (out->len == start)
		append_part(out, start, "older than keep_within");
}

void prune_append_put_off(size_t count, int64_t until_us, struct str *out)
{
	char until[CLOCK_ISO_BYTES];

	if (count > 0)
		str_appendf(
		        out,
		        "%zu would go, and %s locked in the store: put off until %s%s, and removed with the next run then",
		        count, count == 1 ? "is" : "are", clock_format_iso(until_us, until),
		        count == 1 ? "" : " at the earliest");
}
