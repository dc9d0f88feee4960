// SPDX-License-Identifier: Apache-2.0
/* Health in numbers. Several lines of status/health may bear one name (damaged backups, say): the worst of
 * them counts, because a series must not come twice. */
#include "exposition.h"
#include "metrics.h"
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>

#include <string.h>

struct check {
	char *name;
	enum report_health level;
};

struct checks {
	struct check *items;
	size_t count;
};

static void take_check(void *arg, const char *name, enum report_health level)
{
	struct checks *checks = arg;

	for (size_t i = 0; i < checks->count; i++) {
		struct check *check = &checks->items[i];

		if (strcmp(check->name, name) != 0)
			continue;
		if (level > check->level)
			check->level = level;
		return;
	}
	checks->items = mem_resize(checks->items, checks->count + 1, sizeof(*checks->items));
	checks->items[checks->count++] = (struct check){mem_strdup(name), level};
}

static void count_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	++*(uint64_t *)arg;
}

int metrics_health(const struct report_sources *from, struct spool *out)
{
	struct checks checks = {0};
	uint64_t damaged = 0;
	int r = catalog_damaged(from->catalog, count_damaged, &damaged);

	expose_gauge(out, "keepfs_health_status", "The first word of status/health; 0: OK, 1: WARN, 2: CRIT.",
	             health_levels(from->catalog, from->conf, from->troubles, clock_now_us(), take_check,
	                           &checks));
	expose_family(out, "keepfs_health_check_status", "gauge",
	              "The first word of a line of status/health; 0: OK, 1: WARN, 2: CRIT.");
	for (size_t i = 0; i < checks.count; i++) {
		expose_number(out, "keepfs_health_check_status", LABELS("check", checks.items[i].name),
		              checks.items[i].level);
		free(checks.items[i].name);
	}
	free(checks.items);
	expose_gauge(out, "keepfs_damaged_backups",
	             "Backups, and files beside them, which reading has shown to be damaged.", damaged);
	return r;
}
