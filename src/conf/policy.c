// SPDX-License-Identifier: Apache-2.0
/* When backups begin by themselves, and what stays of them: the job's word, but for what its databases' class says. */
#include "job_kinds.h"
#include "load.h"
#include "value.h"

#include <stddef.h>
#include <string.h>

/* Both begin with it, so the keys have the same offsets in both. */
_Static_assert(offsetof(struct conf_job, policy) == 0, "a job begins with its policy");
_Static_assert(offsetof(struct conf_class, policy) == 0, "a class begins with its policy");

/* What keep_within = auto is beside other rules: those of today and yesterday are all there. */
#define KEEP_WITHIN_AUTO_MS (INT64_C(2) * 86400 * 1000)

static bool has_rules(const struct conf_policy *p)
{
	return p->keep_last || p->keep_daily || p->keep_weekly || p->keep_monthly || p->keep_yearly ||
	       p->keep_within_ms > 0;
}

const struct conf_class *conf_find_class(const struct conf *c, const char *name)
{
	return name && *name ? conf_item_find(c, conf_classes, name) : NULL;
}

static struct conf_ref first_key_of_class(const struct conf *c, const struct conf_class *class)
{
	return (struct conf_ref){
	        .section = CONF_SECTION_CLASS, .item = (size_t)(class - c->classes), .key = -1};
}

void conf_policy_of(const struct conf *c, const struct conf_job *job, const char *class_name,
                    struct conf_policy *ret)
{
	const struct conf_class *class = conf_find_class(c, class_name);
	struct conf_ref ref;

	*ret = job->policy;
	if (!class)
		return;
	/* Whoever gives it a rule wants that one to be in force. */
	if (has_rules(&class->policy))
		ret->keep = CONF_KEEP_RULES;
	ref = first_key_of_class(c, class);
	while (conf_next_key(&ref))
		if (conf_keys[ref.key].set == CONF_KEYS_POLICY && conf_key_is_given(c, ref))
			conf_value_borrow(&conf_keys[ref.key], &class->policy, ret);
}

void conf_policy_rules(const struct conf_job *job, const struct conf_policy *p, struct retention_rules *ret)
{
	bool forever = p->keep == CONF_KEEP_FOREVER || !has_rules(p);

	*ret = (struct retention_rules){
	        .daily = (unsigned)p->keep_daily,
	        .weekly = (unsigned)p->keep_weekly,
	        .monthly = (unsigned)p->keep_monthly,
	        .yearly = (unsigned)p->keep_yearly,
	        .last = (unsigned)p->keep_last,
	        .within_s = (p->keep_within_ms ? p->keep_within_ms : KEEP_WITHIN_AUTO_MS) / 1000,
	        .min_keep = (unsigned)p->min_keep,
	        .week_starts = job->week_starts,
	        .forever = forever,
	};
	if (forever)
		ret->within_s = 0;
}

void conf_copy_rules(const struct conf *c, const struct conf_job *job, const char *class_name,
                     const struct conf_named_store *store, struct retention_rules *ret)
{
	struct conf_policy p;

	conf_policy_of(c, job, class_name, &p);
	if (store->keeping.keep == CONF_KEEP_FOREVER || has_rules(&store->keeping))
		p = store->keeping;
	conf_policy_rules(job, &p, ret);
}

bool conf_class_has_schedule(const struct conf *c, const char *class_name)
{
	const struct conf_class *class = conf_find_class(c, class_name);
	struct conf_ref ref;

	if (!class)
		return false;
	ref = first_key_of_class(c, class);
	ref.key = conf_key_find(CONF_SECTION_CLASS, "schedule");
	return conf_key_is_given(c, ref);
}

const char *conf_zone_name(const struct conf *c, const struct conf_job *job)
{
	const char *name = job->timezone && *job->timezone ? job->timezone : c->timezone;

	return name && *name ? name : NULL;
}

void conf_policy_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_policy *p = base;
	const struct {
		const char *key;
		bool is_set;
	} rules[] = {
	        {"keep_last", p->keep_last != 0},     {"keep_daily", p->keep_daily != 0},
	        {"keep_weekly", p->keep_weekly != 0}, {"keep_monthly", p->keep_monthly != 0},
	        {"keep_yearly", p->keep_yearly != 0}, {"keep_within", p->keep_within_ms > 0},
	};

	for (size_t i = 0; p->keep == CONF_KEEP_FOREVER && i < ARRAY_SIZE(rules); i++)
		if (rules[i].is_set)
			conf_clash(clashes, rules[i].key, "keep", "says what may go, but nothing may with",
			           "keep = rules, or none of the rules");
}
