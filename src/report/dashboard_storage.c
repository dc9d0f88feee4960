// SPDX-License-Identifier: Apache-2.0
/* What is stored, by job and by tier, and what is to be kept. */
#include "dashboard.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/policy/forecast.h>
#include <keepfs/policy/retention.h>

#include <inttypes.h>

#define BAR_WIDTH   100.0
#define JOBS_LISTED 40

static int compare_stored(const void *a, const void *b)
{
	const struct dash_job *one = *(const struct dash_job *const *)a,
	                      *other = *(const struct dash_job *const *)b;

	if (one->stored_bytes != other->stored_bytes)
		return one->stored_bytes > other->stored_bytes ? -1 : 1;
	return one->conf < other->conf ? -1 : one->conf > other->conf;
}

static void put_bar(struct page *p, double part)
{
	page_putf(
	        p,
	        "<td class=\"bar\"><svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
	        "<rect class=\"track\" width=\"100\" height=\"8\"/><rect class=\"fill\" width=\"%.1f\" height=\"8\"/></svg></td>",
	        part * BAR_WIDTH);
}

/* Of the rules of the configuration. */
static void put_count_rule(struct page *p, int64_t count, const char *what, bool *first)
{
	if (!count)
		return;
	page_putf(p, "%s%" PRId64 " %s", *first ? "" : ", ", count, what);
	*first = false;
}

static void put_rules(struct page *p, const struct conf_job *job)
{
	struct conf_policy policy;
	struct retention_rules rules;
	bool first = true;

	conf_policy_of(p->from->conf, job, NULL, &policy);
	conf_policy_rules(job, &policy, &rules);
	if (!retention_has_rules(&rules) || rules.forever) {
		page_put(p, "everything");
		return;
	}
	put_count_rule(p, policy.keep_last, "last", &first);
	put_count_rule(p, policy.keep_daily, "daily", &first);
	put_count_rule(p, policy.keep_weekly, "weekly", &first);
	put_count_rule(p, policy.keep_monthly, "monthly", &first);
	put_count_rule(p, policy.keep_yearly, "yearly", &first);
	if (rules.within_s) {
		page_put(p, first ? "the last " : ", the last ");
		page_age(p, rules.within_s * INT64_C(1000000));
	}
}

static void put_job_storage(struct page *p, const struct dash_job *job, uint64_t most)
{
	page_put(p, "<tr><th scope=\"row\">");
	page_name(p, job->conf->name);
	page_put(p, "</th>");
	put_bar(p, most ? (double)job->stored_bytes / (double)most : 0);
	page_put(p, "<td class=\"n\" data-label=\"Stored\">");
	page_bytes(p, job->stored_bytes);
	page_put(p, "</td><td class=\"n\" data-label=\"Backups\">");
	page_number(p, job->artifacts);
	page_put(p, "</td><td data-label=\"Kept is\">");
	put_rules(p, job->conf);
	page_put(p, "</td></tr>");
}

static void put_by_job(struct page *p)
{
	_cleanup(free) const struct dash_job **jobs =
	        mem_array(p->job_count ? p->job_count : 1, sizeof(*jobs));

	for (size_t i = 0; i < p->job_count; i++)
		jobs[i] = &p->jobs[i];
	if (p->job_count)
		qsort(jobs, p->job_count, sizeof(const struct dash_job *), compare_stored);
	page_put(
	        p,
	        "<table class=\"cards\"><caption>By job</caption><thead><tr><th scope=\"col\">Job</th>"
	        "<td></td><th scope=\"col\" class=\"n\">Stored</th><th scope=\"col\" class=\"n\">Backups</th>"
	        "<th scope=\"col\">What is kept</th></tr></thead><tbody>");
	for (size_t i = 0; i < p->job_count && i < JOBS_LISTED; i++)
		put_job_storage(p, jobs[i], jobs[0]->stored_bytes);
	page_put(p, "</tbody></table>");
	if (p->job_count > JOBS_LISTED)
		page_putf(p, "<p class=\"more\">and %zu more jobs with less</p>", p->job_count - JOBS_LISTED);
}

struct tier_sums { /* of each bit of RETENTION_TIERS; a backup may be of several */
	struct {
		uint64_t artifacts, stored_bytes;
	} of[4];
	bool any;
};

static void take_tier(void *arg, const char *job, unsigned tiers, uint64_t artifacts, uint64_t stored_bytes)
{
	struct tier_sums *sums = arg;

	for (unsigned i = 0; i < ARRAY_SIZE(sums->of); i++) {
		if (!(tiers & RETENTION_TIERS & 1U << i))
			continue;
		sums->of[i].artifacts += artifacts;
		sums->of[i].stored_bytes += stored_bytes;
		sums->any = true;
	}
}

static void put_by_tier(struct page *p)
{
	struct tier_sums sums = {0};

	dash_failed(p, catalog_tier_totals(p->from->catalog, take_tier, &sums));
	if (!sums.any)
		return;
	page_put(
	        p,
	        "<table class=\"tiers\"><caption>By tier <span class=\"muted\">(a backup counts for each that it stands for)"
	        "</span></caption><thead><tr><th scope=\"col\">Tier</th><th scope=\"col\" class=\"n\">Backups</th>"
	        "<th scope=\"col\" class=\"n\">Stored</th></tr></thead><tbody>");
	for (unsigned i = 0; i < ARRAY_SIZE(sums.of); i++) {
		page_putf(p, "<tr><th scope=\"row\">%s</th><td class=\"n\">", retention_reason_name(1U << i));
		page_number(p, sums.of[i].artifacts);
		page_put(p, "</td><td class=\"n\">");
		page_bytes(p, sums.of[i].stored_bytes);
		page_put(p, "</td></tr>");
	}
	page_put(p, "</tbody></table>");
}

/* Of one further store. */
struct copies_there {
	uint64_t store, whole, waiting, waiting_bytes, wrong;
};

#define COPY_STORES_LISTED 16
struct copies_by_store {
	struct copies_there items[COPY_STORES_LISTED];
	size_t count;
};

static void take_copies(void *arg, const struct catalog_replica_sum *sum)
{
	struct copies_by_store *by = arg;
	struct copies_there *there;

	if (by->count == 0 || by->items[by->count - 1].store != sum->store) {
		if (by->count == COPY_STORES_LISTED)
			return;
		by->items[by->count++] = (struct copies_there){.store = sum->store};
	}
	there = &by->items[by->count - 1];
	if (sum->state == REPLICA_WHOLE || sum->state == REPLICA_REMOVED) {
		there->whole += sum->count;
	} else if (sum->state == REPLICA_WRONG) {
		there->wrong += sum->count;
	} else {
		there->waiting += sum->count;
		there->waiting_bytes += sum->bytes;
	}
}

static void put_copies_there(struct page *p, const struct copies_there *there)
{
	_cleanup(catalog_store) struct catalog_store at = {0};

	if (catalog_get_store(p->from->catalog, there->store, &at) < 0)
		return;
	page_put(p, "<tr><th scope=\"row\">");
	page_name(p, at.name);
	page_put(p, "</th><td class=\"n\">");
	page_number(p, there->whole);
	page_put(p, "</td><td class=\"n\">");
	page_number(p, there->waiting);
	if (there->waiting) {
		page_put(p, " (");
		page_bytes(p, there->waiting_bytes);
		page_put(p, ")");
	}
	page_put(p, "</td><td class=\"n\">");
	if (there->wrong)
		page_icon(p, "crit");
	page_number(p, there->wrong);
	page_put(p, "</td></tr>");
}

static void put_by_copies(struct page *p)
{
	struct copies_by_store by = {0};

	dash_failed(p, catalog_sum_replicas(p->from->catalog, take_copies, &by));
	if (by.count == 0)
		return;
	page_put(
	        p,
	        "<table class=\"tiers\"><caption>Copies in further stores</caption><thead><tr><th scope=\"col\">Store</th>"
	        "<th scope=\"col\" class=\"n\">Whole</th><th scope=\"col\" class=\"n\">Still to be copied</th>"
	        "<th scope=\"col\" class=\"n\">Wrong</th></tr></thead><tbody>");
	for (size_t i = 0; i < by.count; i++)
		put_copies_there(p, &by.items[i]);
	page_put(p, "</tbody></table>");
}

/* What health says of it when it is soon. */
static void put_forecast(struct page *p)
{
	const struct watched_store *store = &p->store;

	page_putf(p, "<p class=\"forecast%s\">", store->is_full_soon ? " warn" : "");
	if (store->full_at_us) {
		if (store->is_full_soon)
			page_icon(p, "warn");
		page_put(p, "The store is full on <strong>");
		page_day(p, store->full_at_us);
		page_put(p, "</strong>, ");
		page_due(p, store->full_at_us);
		page_putf(p, ", if it goes on growing as in the last %d days.", FORECAST_DAYS);
	} else {
		page_putf(
		        p,
		        "<span class=\"muted\">When the store is full is not known: it has not grown in the last %d days, "
		        "less than a week of it is known, or nobody said how much it may hold ([store] capacity).</span>",
		        FORECAST_DAYS);
	}
	page_put(p, "</p>");
}

void dashboard_storage(struct page *p)
{
	put_forecast(p);
	put_by_job(p);
	put_by_tier(p);
	put_by_copies(p);
}
