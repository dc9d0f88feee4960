// SPDX-License-Identifier: Apache-2.0
/* Which databases a registry, or the server by a pattern, has named lately for the first time, and which it names no more. */
#include "dashboard.h"

#include <keepfs/catalog/members.h>
#include <keepfs/policy/databases.h>

#define NEW_FOR_US (7 * DAY_US)

struct members_seen {
	struct dash_job *job;
	int64_t now_us, first_us; /* when the first of all was seen */
};

static void take_first_seen(void *arg, const struct catalog_member *m)
{
	struct members_seen *seen = arg;

	if (!seen->first_us || m->first_seen_us < seen->first_us)
		seen->first_us = m->first_seen_us;
}

static void take_seen(void *arg, const struct catalog_member *m)
{
	struct members_seen *seen = arg;
	struct target *t = dash_target(seen->job, m->name);

	if (!t)
		return;
	t->gone_since_us = m->gone_since_us;
	/* On the first day all of them are, which says nothing. */
	if (!m->gone_since_us && m->first_seen_us > seen->first_us &&
	    m->first_seen_us > seen->now_us - NEW_FOR_US)
		t->new_since_us = m->first_seen_us;
}

void dash_load_members(struct page *p, struct dash_job *job)
{
	struct members_seen seen = {.job = job, .now_us = p->from->now_us};
	enum databases_kind kind = databases_kind_of(job->conf->dump.databases);

	bool finds_out =
	        job->conf->kind == CONF_JOB_EXPORT || kind == DATABASES_MATCHED || kind == DATABASES_QUERY;

	if (!finds_out)
		return;
	dash_failed(p, catalog_each_member(p->from->catalog, job->conf->name, true, take_first_seen, &seen));
	dash_failed(p, catalog_each_member(p->from->catalog, job->conf->name, true, take_seen, &seen));
}
