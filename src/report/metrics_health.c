// SPDX-License-Identifier: Apache-2.0
/* Health in numbers. Several items may bear one name (damaged backups, say): the worst of them counts, because
 * a series must not come twice. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/report/health.h>

#include <string.h>

static bool named_before(const struct health *h, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(h->items[i].name, h->items[at].name) == 0)
			return true;
	return false;
}

static enum report_health worst_named(const struct health *h, const char *name)
{
	enum report_health worst = REPORT_OK;

	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->items[i].name, name) == 0 && h->items[i].level > worst)
			worst = h->items[i].level;
	return worst;
}

static void tell_items(struct spool *out, const struct health *h)
{
	expose_family(out, "keepfs_health_check_status", "gauge",
	              "The first word of a line of status/health; 0: OK, 1: WARN, 2: CRIT.");
	for (size_t i = 0; i < h->count; i++)
		if (!named_before(h, i))
			expose_number(out, "keepfs_health_check_status", LABELS("check", h->items[i].name),
			              worst_named(h, h->items[i].name));
}

static uint64_t count_items(const struct health *h, const char *check, enum report_health level,
                            bool acknowledged)
{
	uint64_t count = 0;

	for (size_t i = 0; i < h->count; i++)
		count += h->items[i].level == level && strcmp(h->items[i].check, check) == 0 &&
		         health_is_acknowledged(&h->items[i]) == acknowledged;
	return count;
}

static void tell_counts(struct spool *out, const struct health *h)
{
	const char *check;

	expose_family(out, "keepfs_health_items", "gauge",
	              "What each check has found wrong, by level; without what is acknowledged.");
	for (size_t n = 0; (check = health_check_name(n)); n++) {
		expose_number(out, "keepfs_health_items", LABELS("check", check, "level", "warn"),
		              count_items(h, check, REPORT_WARN, false));
		expose_number(out, "keepfs_health_items", LABELS("check", check, "level", "crit"),
		              count_items(h, check, REPORT_CRIT, false));
	}
	expose_family(
	        out, "keepfs_health_acknowledged", "gauge",
	        "1 for each item of status/health that somebody has acknowledged; it counts nowhere else.");
	for (size_t i = 0; i < h->count; i++)
		if (health_is_acknowledged(&h->items[i]))
			expose_number(out, "keepfs_health_acknowledged",
			              LABELS("check", h->items[i].check, "subject", h->items[i].subject), 1);
	expose_gauge(out, "keepfs_clock_ok",
	             "0 while the clock, or a date of a backup, is known to be wrong; else 1.",
	             count_items(h, "clock", REPORT_WARN, false) +
	                             count_items(h, "clock", REPORT_WARN, true) ==
	                     0);
}

static void count_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	++*(uint64_t *)arg;
}

int metrics_health(const struct report_sources *from, struct spool *out)
{
	_cleanup(health) struct health h = {0};
	uint64_t damaged = 0;
	int r = catalog_damaged(from->catalog, count_damaged, &damaged);

	health_gather(from, &h);
	expose_gauge(out, "keepfs_health_status", "The first word of status/health; 0: OK, 1: WARN, 2: CRIT.",
	             health_worst(&h));
	tell_items(out, &h);
	tell_counts(out, &h);
	expose_gauge(out, "keepfs_damaged_backups",
	             "Backups, and files beside them, which reading has shown to be damaged.", damaged);
	return r;
}
