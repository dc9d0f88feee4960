// SPDX-License-Identifier: Apache-2.0
/* Health of the dates that backups bear. One that was made while a clock was ahead looks like the newest for as long as it
 * is dated in the future, to whoever goes by names and times. */
#include "checks.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/store.h>

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

bool clocks_differ_text(int64_t ahead_us, const char *store, struct str *out)
{
	int64_t off_s = (ahead_us < 0 ? -ahead_us : ahead_us) / US_PER_S;

	if (off_s * US_PER_S < STORE_CLOCKS_DIFFER_US)
		return false;
	str_appendf(
	        out,
	        "this host's clock is %lld minutes %lld seconds %s that of %s: S3 takes no requests of a clock that is a quarter of an hour off",
	        (long long)(off_s / 60), (long long)(off_s % 60), ahead_us > 0 ? "behind" : "ahead of",
	        store);
	return true;
}

/* The one that locks end by. */
static void check_clock_of_store(struct checking *c)
{
	_cleanup(str) struct str text = {0};
	struct store_features f = {0};
	struct health_item *item;

	if (!c->from->store || store_features(c->from->store, &f, NULL) < 0 ||
	    !clocks_differ_text(store_clock_ahead_us(&f, c->from->now_us), c->from->conf->store.url, &text))
		return;
	item = checking_add(c, REPORT_WARN, mem_strdup("clock"), "of the store");
	item->text = str_take(&text);
	item->what_to_do = mem_strdup("set the clock (timedatectl set-ntp true)");
}

void check_clock(struct checking *c)
{
	check_clock_of_store(c);
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		check_dates_of(c, c->from->conf->jobs[i].name);
}
