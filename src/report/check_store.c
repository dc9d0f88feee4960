// SPDX-License-Identifier: Apache-2.0
/* Health of the store, and of all that `keepfs check` looks at. What it found is taken as outdated when a run
 * has completed since: that run has proved the opposite. */
#include "checks.h"
#include "line.h"
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/store.h>
#include <keepfs/stores.h>

#include <string.h>

#define PROBES_MAX 64

/* When a run (of @job; NULL: any) last completed; 0: never. */
static int64_t last_completed(struct checking *c, const char *job)
{
	int64_t at_us = 0;
	int r = runs_last_ended(c->from->catalog, job, RUN_COMPLETED, &at_us);

	if (r < 0)
		checking_catalog_failed(c, r);
	return at_us;
}

void check_store(struct checking *c)
{
	const char *url = c->from->conf->store.url;
	int64_t verified = catalog_store_verified(c->from->catalog, url);
	int64_t completed = verified ? 0 : last_completed(c, NULL);
	struct health_item *item =
	        checking_add(c, verified || completed ? REPORT_OK : REPORT_WARN, mem_strdup("store"), url);
	char at[32];

	if (verified) {
		item->text = mem_printf("%s was verified %s", url, line_time(verified, "-", at));
	} else if (completed) {
		item->text = mem_printf("%s took a backup %s; it was not verified by 'keepfs check' yet", url,
		                        line_time(completed, "-", at));
	} else {
		item->text = mem_printf("%s was never verified", url);
		item->what_to_do = mem_strdup("do so with: keepfs check");
	}
}

static int tell_other_store(void *arg, const struct catalog_store *at, struct error *err)
{
	struct checking *c = arg;
	bool by_query = *at->tenant;
	const char *whose = by_query ? at->tenant : at->name;
	_cleanup(str) struct str place = {0};
	struct health_item *item;
	char since[32];

	if (!*at->trouble || at->artifacts == 0)
		return 0;
	stores_describe(at, &place);
	item = checking_add(c, REPORT_WARN, mem_printf("store %s%s", by_query ? "of " : "", whose),
	                    str_text(&place));
	item->since_us = at->trouble_us;
	item->text = mem_printf("has %llu exports, and could not be listed since %s: %s",
	                        (unsigned long long)at->artifacts, line_time(at->trouble_us, "-", since),
	                        at->trouble);
	item->what_to_do =
	        mem_strdup("mend it, or give it the right credentials, and try it with: keepfs check");
	return 0;
}

void check_other_stores(struct checking *c)
{
	int r = catalog_each_store(c->from->catalog, CATALOG_MAIN_STORE, tell_other_store, c, NULL);

	if (r < 0)
		checking_catalog_failed(c, r);
}

void check_versions(struct checking *c)
{
	struct store_features features = {0};
	struct health_item *item;

	if (!c->from->store || store_features(c->from->store, &features, NULL) < 0 || !features.left[0])
		return;
	item = checking_add(c, REPORT_WARN, mem_strdup("old versions"), "");
	item->text = mem_strdup(features.left);
	item->what_to_do = mem_strdup(
	        "give the key the right, or have a lifecycle rule of the bucket expire noncurrent versions");
}

/* The configured job that a probe is about ("pg_dump full", "database full/shop"); NULL when it is none. */
static const char *job_of_probe(const struct conf *conf, const char *probe)
{
	const char *space = strchr(probe, ' ');
	_cleanup(free) char *name = NULL;
	const struct conf_job *job;

	if (!space)
		return NULL;
	name = mem_printf("%.*s", (int)strcspn(space + 1, "/"), space + 1);
	job = conf_find_job(conf, name);
	return job ? job->name : NULL;
}

static bool is_about_pg_dump(const struct catalog_probe *probe)
{
	return str_starts(probe->check, "pg_dump ");
}

bool is_about_locks(const struct catalog_probe *probe)
{
	return str_equal(probe->check, CATALOG_PROBE_OBJECT_LOCK) ||
	       str_starts(probe->check, CATALOG_PROBE_OBJECT_LOCK " [");
}

static void tell_probe(struct checking *c, const struct catalog_probe *probe)
{
	enum report_health level = strcmp(probe->check, "store") == 0 ? REPORT_CRIT : REPORT_WARN;
	struct health_item *item = checking_add(c, level, mem_printf("check %s", probe->check), probe->check);
	char at[32];

	item->since_us = probe->at_us;
	item->text = mem_printf("failed %s: %s", line_time(probe->at_us, "-", at), probe->detail);
	item->what_to_do = probe->fix[0] ? mem_printf("%s; then try again with: keepfs check", probe->fix)
	                                 : mem_strdup("try again with: keepfs check");
}

static ssize_t load_probes(struct checking *c, struct catalog_probe *probes)
{
	ssize_t count = catalog_probes(c->from->catalog, probes, PROBES_MAX);

	if (count < 0)
		checking_catalog_failed(c, (int)count);
	return count;
}

/* No run has proved the opposite since. */
static bool stands_in_the_way(struct checking *c, const struct catalog_probe *probe)
{
	return !probe->ok && last_completed(c, job_of_probe(c->from->conf, probe->check)) <= probe->at_us;
}

void check_probes(struct checking *c)
{
	_cleanup(free) struct catalog_probe *probes = mem_array(PROBES_MAX, sizeof(*probes));
	ssize_t count = load_probes(c, probes);
	unsigned failed = 0;
	char at[32];

	for (ssize_t i = 0; i < count; i++) {
		if (!stands_in_the_way(c, &probes[i]))
			continue;
		failed++;
		/* check_object_lock() tells of that. */
		if (!is_about_pg_dump(&probes[i]) && !is_about_locks(&probes[i]))
			tell_probe(c, &probes[i]);
	}
	if (count > 0 && failed == 0)
		checking_add(c, REPORT_OK, mem_strdup("checks"), "")->text =
		        mem_printf("nothing that 'keepfs check' found on %s stands in the way",
		                   line_time(probes[0].at_us, "-", at));
}

/* No program, or only older ones than the server of a job: what the probe says of it tells what to install. */
void check_pg_dump(struct checking *c)
{
	_cleanup(free) struct catalog_probe *probes = mem_array(PROBES_MAX, sizeof(*probes));
	ssize_t count = load_probes(c, probes);

	for (ssize_t i = 0; i < count; i++)
		if (is_about_pg_dump(&probes[i]) && stands_in_the_way(c, &probes[i]))
			tell_probe(c, &probes[i]);
}
