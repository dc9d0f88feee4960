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
	expose_gauge(out, "keepfs_damaged_backups",
	             "Backups, and files beside them, which reading has shown to be damaged.", damaged);
	return r;
}
