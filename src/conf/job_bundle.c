// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that makes one backup of several say about each other; its parts are looked at in validate_bundle.c. Pure. */
#include "job_kinds.h"

#include <keepfs/base/str.h>
#include <keepfs/policy/schedule.h>

bool conf_bundle_takes_everything(const struct conf_job *job)
{
	return true; /* no key of a trigger leaves anything out */
}

void conf_bundle_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;
	const struct conf_bundle *b = &job->bundle;

	conf_policy_check(&job->policy, clashes);
	conf_encryption_check(&job->encrypt, clashes);
	if (*str_or_empty(b->version_command) && *str_or_empty(b->version_file))
		conf_clash(clashes, "version_command", "version_file",
		           "says where the version is told, and so does", "one of them");
}

const char *conf_bundle_name(const struct conf_job *job)
{
	return *str_or_empty(job->bundle.name) ? job->bundle.name : job->name;
}

bool conf_job_is_scheduled(const struct conf_job *job)
{
	struct schedule schedule;

	return schedule_parse(str_or_empty(job->policy.schedule), &schedule, NULL) == 0 &&
	       !schedule_is_off(&schedule);
}

static bool is_promised(const struct conf_job *job)
{
	return job->policy.expected_interval_ms || job->rpo_ms || conf_job_is_scheduled(job);
}

const struct conf_job *conf_bundle_of(const struct conf *c, const struct conf_job *job)
{
	for (size_t i = 0; !is_promised(job) && i < c->job_count; i++)
		if (conf_bundle_has_part(&c->jobs[i], job->name))
			return &c->jobs[i];
	return NULL;
}

bool conf_bundle_has_part(const struct conf_job *job, const char *name)
{
	if (job->kind != CONF_JOB_BUNDLE)
		return false;
	for (size_t i = 0; job->bundle.parts && job->bundle.parts[i]; i++)
		if (str_equal(job->bundle.parts[i], name))
			return true;
	return false;
}
