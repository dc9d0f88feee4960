// SPDX-License-Identifier: Apache-2.0
/* Health of what reading has shown: backups that are damaged, reads that fail now, a disk cache that is not
 * there; and of the configuration's file. */
#include "checks.h"
#include "line.h"
#include "troubles.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>

#include <inttypes.h>

#define DAMAGED_SHOWN     5
#define READS_RECENTLY_US (10 * 60 * US_PER_S)

struct damaged {
	struct checking *checking;
	uint64_t count;
};

static void tell_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	struct damaged *d = arg;
	struct health_item *item;

	if (d->count++ >= DAMAGED_SHOWN)
		return;
	item = checking_add(d->checking, REPORT_CRIT, mem_strdup("damaged backup"), path);
	item->text = mem_printf("%s: %s", path, reason);
	item->what_to_do = mem_strdup("make another one now, and remove this one");
}

void check_damaged(struct checking *c)
{
	struct damaged d = {.checking = c};
	int r = catalog_damaged(c->from->catalog, tell_damaged, &d);

	if (r < 0)
		checking_catalog_failed(c, r);
	if (d.count > DAMAGED_SHOWN)
		checking_add(c, REPORT_CRIT, mem_strdup("damaged backups"), "")->text =
		        mem_printf("%" PRIu64 " in all", d.count);
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
