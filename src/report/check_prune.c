// SPDX-License-Identifier: Apache-2.0
/* Health of what is kept: backups that should be gone, and are not. */
#include "checks.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/codec/name.h>

#include <inttypes.h>
#include <string.h>

#define LEFT_SHOWN 5

static bool has_job(const struct checking *c, const char *path)
{
	_cleanup(free) char *job = tree_job_of(path);

	return job && conf_find_job(c->from->conf, job);
}

static struct health_item *add_retention_item(struct checking *c, const char *path, int64_t since_us)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_printf("retention %s", path), path);

	item->since_us = since_us;
	return item;
}

static const char *mend_suspended(const char *why)
{
	if (strstr(why, "clock says"))
		return "make a new backup if it is due; when the clock is right: echo clock=right > control/prune";
	if (str_starts(why, "the store "))
		return "see what has become of them in the store; it is tried again after the next run, and now by: keepfs prune --apply";
	return "see that new backups are made and read back";
}

static void check_kept_directory(void *arg, const char *path, const struct catalog_retention *state)
{
	struct checking *c = arg;
	const char *scope = tree_short(path);
	struct health_item *item;

	if (!has_job(c, path))
		return;
	if (state->suspended_why[0]) {
		item = add_retention_item(c, path, state->suspended_since_us);
		item->text = mem_printf("%" PRIu64 " old backups stay, since nothing is removed now: %s",
		                        state->due, state->suspended_why);
		item->what_to_do = mem_strdup(mend_suspended(state->suspended_why));
	} else if (state->waits_why[0]) {
		item = add_retention_item(c, path, state->waits_since_us);
		item->text = mem_printf("%" PRIu64 " old backups wait to be removed: %s", state->due,
		                        state->waits_why);
		item->what_to_do =
		        mem_printf("look at status/retention; then: echo '%s confirm=%s' > control/prune",
		                   scope, state->waits_plan);
	} else if (state->refused) {
		item = add_retention_item(c, path, state->planned_at_us);
		item->text = mem_printf("%" PRIu64 " old backups could not be removed: %s", state->refused,
		                        state->refused_why);
		item->what_to_do = mem_strdup(
		        "see that the key may delete (s3:DeleteObject) and that no lock forbids it; it is tried again after each run, and now by: keepfs prune --apply");
	}
}

struct left_over {
	struct checking *checking;
	uint64_t count;
};

static void tell_left(void *arg, const char *path, const char *why)
{
	struct left_over *left = arg;
	struct health_item *item;

	if (left->count++ >= LEFT_SHOWN)
		return;
	item = checking_add(left->checking, REPORT_WARN, mem_strdup("deletion"), path);
	item->text = mem_printf("%s was removed, and the store still has it: %s", path, why);
	item->what_to_do = mem_strdup(
	        "it is tried again within the hour; if the store forbids it, give the right to delete, or wait until its lock ends");
}

void check_prune(struct checking *c)
{
	struct left_over left = {.checking = c};
	int r = catalog_each_retention(c->from->catalog, NULL, check_kept_directory, c);

	if (r == 0)
		r = catalog_each_left(c->from->catalog, tell_left, &left);
	if (r < 0)
		checking_catalog_failed(c, r);
	if (left.count > LEFT_SHOWN)
		checking_add_rest(c, REPORT_WARN, mem_strdup("deletions"), "",
		                  mem_printf("%" PRIu64 " in all", left.count));
}
