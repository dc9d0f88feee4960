// SPDX-License-Identifier: Apache-2.0
#include <keepfs/report/expected.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/watch.h>

#include <inttypes.h>

struct expected {
	struct catalog_expected *rows;
	char **whats; /* of each job: what its rows point to */
	size_t count, jobs;
};

static void add_expected(struct expected *e, const char *job, const char *target, const char *what)
{
	e->rows = mem_resize(e->rows, e->count + 1, sizeof(*e->rows));
	e->rows[e->count++] = (struct catalog_expected){job, target, what};
}

/* Another way to say the same counts anew, too: nobody does that every day. */
static char *what_is_expected(const struct conf *conf, const struct conf_job *job)
{
	struct conf_policy policy;

	conf_policy_of(conf, job, NULL, &policy);
	if (policy.expected_interval_ms > 0)
		return mem_printf("every %" PRId64 " ms", policy.expected_interval_ms);
	return mem_printf("at %s", str_or_empty(policy.schedule));
}

static void expect_job(struct expected *e, const struct conf *conf, const struct conf_job *job)
{
	char *what = what_is_expected(conf, job);

	e->whats = mem_resize(e->whats, e->jobs + 1, sizeof(*e->whats));
	e->whats[e->jobs++] = what;
	add_expected(e, job->name, "", what);
	for (char **name = job->dump.databases; name && *name; name++)
		add_expected(e, job->name, *name, what);
}

int report_expect_backups(struct catalog *c, const struct conf *conf, int64_t now_us, struct error *err)
{
	struct expected e = {0};
	int r;

	for (size_t i = 0; i < conf->job_count; i++)
		expect_job(&e, conf, &conf->jobs[i]);
	r = catalog_set_expected(c, e.rows, e.count, now_us, err);
	for (size_t i = 0; i < e.jobs; i++)
		free(e.whats[i]);
	free(e.whats);
	free(e.rows);
	return r;
}
