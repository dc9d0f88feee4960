// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that archives a directory say about each other. Pure. */
#include "job_kinds.h"

#include <keepfs/base/cleanup.h>

#define SETTLE_DEFAULT_MS 600000 /* as in keys.c: another value was given by somebody */

bool conf_files_takes_everything(const struct conf_job *job)
{
	return !job->files.exclude || !job->files.exclude[0];
}

/* What is archived once is kept for ever: it stands for no day and no week. */
static void check_each(const struct conf_job *job, const struct conf_clashes *clashes)
{
	const struct conf_policy *p = &job->policy;
	const struct {
		const char *key;
		bool is_set;
	} rules[] = {
	        {"keep_last", p->keep_last != 0},     {"keep_daily", p->keep_daily != 0},
	        {"keep_weekly", p->keep_weekly != 0}, {"keep_monthly", p->keep_monthly != 0},
	        {"keep_yearly", p->keep_yearly != 0}, {"keep_within", p->keep_within_ms > 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].is_set)
			conf_clash(clashes, rules[i].key, "each",
			           "says what may go, but what is archived once is kept for ever with",
			           "no rules of keeping together with each");
}

void conf_files_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;
	const struct conf_files *f = &job->files;

	conf_policy_check(&job->policy, clashes);
	conf_encryption_check(&job->encrypt, clashes);
	if (f->each && *f->each)
		check_each(job, clashes);
	if (f->settle_ms != SETTLE_DEFAULT_MS && f->each && !*f->each)
		conf_clash(clashes, "settle", "each",
		           "says when a subdirectory is archived, but there are none with",
		           "settle together with each, such as each = */");
}
