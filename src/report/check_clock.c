// SPDX-License-Identifier: Apache-2.0
/* Health of the dates that backups bear. One that was made while a clock was ahead looks like the newest for as long as it
 * is dated in the future, to whoever goes by names and times. */
#include "checks.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>

#include <errno.h>

bool is_ahead(const struct checking *c, int64_t at_us)
{
	return at_us > c->from->now_us + CLOCKS_DIFFER_US;
}

static void tell_date(struct checking *c, const struct catalog_dated *dated, const char *how)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_strdup("clock"), dated->path);
	char at[32];

	item->text = mem_printf("%s is dated %s, %s: the clock was ahead when it was made", dated->path,
	                        line_time(dated->at_us, "-", at), how);
	item->what_to_do =
	        mem_strdup("set the clock (timedatectl), make another backup, and remove this one then");
}

static void check_dates_of(struct checking *c, const char *job)
{
	struct catalog_dated dated;
	int r = catalog_latest_dated(c->from->catalog, job, &dated);

	if (r == -ENOENT)
		return;
	if (r < 0)
		checking_catalog_failed(c, r);
	else if (is_ahead(c, dated.at_us)) {
		tell_date(c, &dated, "which is in the future");
		checking_changes_at(c, dated.at_us - CLOCKS_DIFFER_US);
	} else if (!dated.made_last && dated.at_us > dated.newest_at_us + CLOCKS_DIFFER_US)
		tell_date(c, &dated, "and later than one that was made after it");
}

void check_clock(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		check_dates_of(c, c->from->conf->jobs[i].name);
}
