// SPDX-License-Identifier: Apache-2.0
/* Health of the file systems that keepfs writes to, and of what the store may hold. */
#include "checks.h"
#include "line.h"
#include "watched.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/forecast.h>

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#define SPACE_LOW_BYTES ((uint64_t)64 << 20)
#define SPACE_LOW_PART  20 /* a twentieth: 5 percent */

#define BUDGET_WARN_PERCENT 90
#define BUDGET_CRIT_PERCENT 98

static void check_free_space(struct checking *c, const char *name, const char *path)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_strdup(name), path);
	struct statvfs fs;
	uint64_t avail, total;
	char free_text[16];

	if (statvfs(path, &fs) < 0) {
		item->text = mem_printf("%s: %s", path, strerror(errno));
		return;
	}
	avail = (uint64_t)fs.f_bavail * fs.f_frsize;
	total = (uint64_t)fs.f_blocks * fs.f_frsize;
	str_format_bytes(free_text, sizeof(free_text), avail);
	if (avail < SPACE_LOW_BYTES || avail < total / SPACE_LOW_PART) {
		item->text = mem_printf("only %s are free in %s", free_text, path);
		item->what_to_do = mem_strdup("make room, or backups will fail");
	} else {
		item->level = REPORT_OK;
		item->text = mem_printf("%s are free in %s", free_text, path);
	}
}

/* What a store may hold. */

static void check_budget(struct checking *c, const struct watched_store *store)
{
	struct health_item *item;
	char stored[16], capacity[16];
	double percent;

	if (!store->capacity_bytes)
		return;
	percent = 100.0 * (double)store->stored_bytes / (double)store->capacity_bytes;
	str_format_bytes(stored, sizeof(stored), store->stored_bytes);
	str_format_bytes(capacity, sizeof(capacity), store->capacity_bytes);
	item = checking_add(c,
	                    percent >= BUDGET_CRIT_PERCENT   ? REPORT_CRIT
	                    : percent >= BUDGET_WARN_PERCENT ? REPORT_WARN
	                                                     : REPORT_OK,
	                    mem_strdup("store budget"), c->from->conf->store.url);
	item->text = mem_printf("%s are stored, %.0f %% of the %s that [store] capacity allows", stored,
	                        percent, capacity);
	if (item->level != REPORT_OK)
		item->what_to_do = mem_strdup("keep fewer backups, or raise it");
}

static void check_forecast(struct checking *c, const struct watched_store *store)
{
	struct health_item *item;
	char at[32];

	if (!store->is_full_soon)
		return;
	item = checking_add(c, REPORT_WARN, mem_strdup("space forecast"), "forecast");
	item->text = mem_printf("the store is full on %.10s, if it goes on growing as in the last %d days",
	                        line_time(store->full_at_us, "-", at), FORECAST_DAYS);
	item->what_to_do = mem_strdup("make room, or keep fewer backups");
}

static void check_store_space(struct checking *c)
{
	struct watched_store store;
	int r = watched_store_of(c->from, &store);

	if (r < 0) {
		checking_catalog_failed(c, r);
		return;
	}
	check_budget(c, &store);
	check_forecast(c, &store);
}

void check_space(struct checking *c)
{
	const struct conf *conf = c->from->conf;

	check_free_space(c, "space for the catalog", conf->state_dir);
	if (str_starts(conf->store.url, "dir:"))
		check_free_space(c, "space for backups", conf->store.url + strlen("dir:"));
	check_store_space(c);
}
