// SPDX-License-Identifier: Apache-2.0
/* Health of what reading has shown: backups that are damaged, reads that fail now, a disk cache that is not
 * there; and of the configuration's file. */
#include "checks.h"
#include "line.h"
#include "shell.h"
#include "troubles.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/proofs.h>

#include <errno.h>
#include <inttypes.h>

#define DAMAGED_SHOWN     5
#define READS_RECENTLY_US (10 * 60 * US_PER_S)

struct damaged {
	struct checking *checking;
	uint64_t count;
	struct {
		uint64_t ino;
		size_t at; /* of its item */
	} shown[DAMAGED_SHOWN];
};

static void tell_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	struct damaged *d = arg;
	struct health_item *item;

	if (d->count++ >= DAMAGED_SHOWN)
		return;
	item = checking_add(d->checking, REPORT_CRIT, mem_strdup("damaged backup"), path);
	item->text = mem_printf("%s: %s", path, reason);
	d->shown[d->count - 1].ino = ino;
	d->shown[d->count - 1].at = d->checking->found->count - 1;
}

/* Whoever is woken at night wants to know first what is left, and how he gets at it. */
static char *advise_damaged(struct checking *c, uint64_t ino)
{
	struct catalog_good_copy good;
	_cleanup(free) char *line = NULL;
	int r = catalog_find_good(c->from->catalog, ino, &good);
	char at[32];

	if (r < 0 && r != -ENOENT)
		checking_catalog_failed(c, r);
	if (r < 0)
		return mem_strdup(
		        "there is no other good one of it: make another one now, and keep this one until that is good: parts of it may be readable");
	line = shell_bring_back(c->from->conf, &good);
	return mem_printf("the next good one is %s%s, of %s%s%s; make another one now, and remove this one",
	                  good.path, good.is_of_another_job ? " of another job" : "",
	                  line_time(good.started_at_us, "-", at), line ? ": if it is needed now, " : "",
	                  line ? line : "");
}

static void tell_good_ones(struct damaged *d)
{
	for (uint64_t i = 0; i < d->count && i < DAMAGED_SHOWN; i++) {
		char *advice = advise_damaged(d->checking, d->shown[i].ino);

		d->checking->found->items[d->shown[i].at].what_to_do = advice;
	}
}

void check_damaged(struct checking *c)
{
	struct damaged d = {.checking = c};
	int r = catalog_damaged(c->from->catalog, tell_damaged, &d);

	if (r < 0)
		checking_catalog_failed(c, r);
	tell_good_ones(&d);
	if (d.count > DAMAGED_SHOWN)
		checking_add_rest(c, REPORT_CRIT, mem_strdup("damaged backups"), "",
		                  mem_printf("%" PRIu64 " in all", d.count));
}

void check_reads(struct checking *c)
{
	struct report_troubles *troubles = c->from->troubles;
	int64_t failed_at_us = troubles ? troubles_last_read_failure(troubles) : 0;
	int64_t age_us = c->from->now_us - failed_at_us;
	struct health_item *item;
	char age[32];

	if (!failed_at_us || age_us >= READS_RECENTLY_US)
		return;
	checking_changes_at(c, failed_at_us + READS_RECENTLY_US);
	item = checking_add(c, REPORT_WARN, mem_strdup("reads"), "");
	item->text = mem_printf("the store failed a read or a removal %s ago", line_age(age_us, age));
	item->what_to_do = mem_strdup("see status/last-error");
}

void check_cache(struct checking *c)
{
	struct report_troubles *troubles = c->from->troubles;
	_cleanup(free) char *why = troubles ? troubles_no_cache(troubles) : NULL;
	struct health_item *item;

	if (!why)
		return;
	item = checking_add(c, REPORT_WARN, mem_strdup("disk cache"), "");
	item->text = mem_printf("there is none, all is read from the store: %s", why);
	item->what_to_do = mem_strdup("mount anew when that is mended");
}

void check_conf(struct checking *c)
{
	struct report_troubles *troubles = c->from->troubles;
	const char *what_to_do = NULL;
	_cleanup(free) char *why = troubles ? troubles_conf(troubles, &what_to_do) : NULL;
	struct health_item *item;

	if (!why)
		return;
	item = checking_add(c, REPORT_WARN, mem_strdup("configuration"), "");
	item->text = mem_strdup(why);
	item->what_to_do = mem_strdup(what_to_do);
}
