// SPDX-License-Identifier: Apache-2.0
/* Health of the scrub: backups that nobody has read for longer than the configuration says. */
#include "checks.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/conf.h>

#include <errno.h>
#include <inttypes.h>

/* When the one that was proven longest ago is late, if nothing happens until then. */
static void announce_next(struct checking *c, int64_t within_us)
{
	struct catalog_unproven next = {.ino = INT64_MAX}; /* behind those that never were */

	if (catalog_least_proven(c->from->catalog, &next, &next) == 0)
		checking_changes_at(c, next.proven_at_us + within_us + 1);
}

void check_scrub(struct checking *c)
{
	int64_t within_ms = c->from->conf->store.scrub_within_ms, within_us = within_ms * 1000;
	int64_t days = within_ms / 86400000;
	struct health_item *item;
	struct catalog_unproven_sum sum = {0};
	uint64_t count;
	int r;

	if (within_ms == 0)
		return;
	r = catalog_sum_unproven(c->from->catalog, c->from->now_us - within_us, c->from->now_us, &sum);
	count = sum.count;
	if (r < 0)
		checking_catalog_failed(c, r);
	if (r < 0 || count == 0) {
		announce_next(c, within_us);
		return;
	}
	item = checking_add(c, REPORT_WARN, mem_strdup("scrub"), "");
	item->text = mem_printf("%" PRIu64 " backup%s not read from the store for more than %" PRId64
	                        " %s: nobody knows whether the store still has %s bytes",
	                        count, count == 1 ? " was" : "s were", days > 0 ? days : within_ms / 3600000,
	                        days > 0 ? "days" : "hours", count == 1 ? "its" : "their");
	item->what_to_do = mem_strdup(
	        "keep the mount running; raise scrub_rate in [store] when it cannot keep up, or read them now: keepfs verify all level=0");
}
