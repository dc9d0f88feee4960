// SPDX-License-Identifier: Apache-2.0
/* The store, in numbers: how much it holds, and how its calls went. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/store.h>
#include <keepfs/stores.h>

#include <stddef.h>

static bool carries_content(enum store_call_kind kind)
{
	return kind == STORE_CALL_PUT || kind == STORE_CALL_GET || kind == STORE_CALL_PART;
}

/* Where a figure of a kind of call is, in what struct store_metrics has of each. */
#define OF_A_KIND(field) (offsetof(struct store_metrics, of[0].field) - offsetof(struct store_metrics, of[0]))

/* What is counted of each kind of call. */
static const struct call_counter {
	const char *name;
	size_t offset;   /* of an atomic_ullong: OF_A_KIND() */
	bool of_content; /* only of calls that carry some */
	const char *help;
} call_counters[] = {
        {"keepfs_store_calls_total", OF_A_KIND(calls), false,
         "Calls of the store that have returned, each try by itself."},
        {"keepfs_store_failures_total", OF_A_KIND(failures), false,
         "Calls that failed; that an object is not there is no failure."},
        {"keepfs_store_bytes_total", OF_A_KIND(bytes), true,
         "Bytes of objects that were sent by calls that succeeded, or received."},
};

static void tell_counter(struct spool *out, const struct call_counter *counter, const struct store_metrics *m)
{
	expose_family(out, counter->name, "counter", counter->help);
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++) {
		const char *value = (const char *)&m->of[kind] + counter->offset;

		if (!counter->of_content || carries_content(kind))
			expose_number(out, counter->name, LABELS("call", store_call_name(kind)),
			              atomic_load((const atomic_ullong *)value));
	}
}

static void tell_calls(struct spool *out, const struct store_metrics *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(call_counters); i++)
		tell_counter(out, &call_counters[i], m);
	expose_family(out, "keepfs_store_failures_by_class_total", "counter",
	              "Calls that failed, by the class of the error.");
	for (unsigned i = ERROR_NONE + 1; i < ERROR_CLASSES; i++)
		expose_number(out, "keepfs_store_failures_by_class_total",
		              LABELS("class", error_class_name(i)), atomic_load(&m->failures_by_class[i]));
	expose_family(out, "keepfs_store_call_duration_seconds", "histogram",
	              "How long calls of the store took, each try by itself.");
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++)
		expose_histogram(out, "keepfs_store_call_duration_seconds",
		                 LABELS("call", store_call_name(kind)), &m->of[kind].duration);
}

static void tell_capacity(struct spool *out, struct store *store)
{
	struct store_features features = {.capacity_bytes = STORE_UNKNOWN, .available_bytes = STORE_UNKNOWN};

	store_features(store, &features, NULL);
	if (features.capacity_bytes != STORE_UNKNOWN)
		expose_gauge(out, "keepfs_store_capacity_bytes", "How much the store can hold.",
		             features.capacity_bytes);
	if (features.available_bytes != STORE_UNKNOWN)
		expose_gauge(out, "keepfs_store_available_bytes", "How much more the store can take.",
		             features.available_bytes);
}

#define OTHER_STORES_MAX 1000 /* lines: whoever has more looks at health */

struct other_stores {
	struct spool *out;
	size_t count;
};

static int tell_other_store_up(void *arg, const struct catalog_store *at, struct error *err)
{
	struct other_stores *o = arg;
	_cleanup(str) struct str place = {0};

	if (at->artifacts == 0 || o->count++ >= OTHER_STORES_MAX)
		return 0;
	stores_describe(at, &place);
	expose_number(o->out, "keepfs_other_store_up",
	              LABELS("store", str_text(&place), "tenant", at->tenant), !*at->trouble);
	return 0;
}

/* Those of tenants, as they were when they were last listed. */
static void tell_others(const struct report_sources *from, struct spool *out)
{
	struct other_stores o = {.out = out};

	expose_family(
	        out, "keepfs_other_store_up", "gauge",
	        "Of each store with exports of tenants: 1 when it could be listed when that was last tried.");
	catalog_each_store(from->catalog, CATALOG_MAIN_STORE, tell_other_store_up, &o, NULL);
}

int metrics_store(const struct report_sources *from, struct spool *out)
{
	expose_family(out, "keepfs_store_verified_timestamp_seconds", "gauge",
	              "When a check of the store last passed; 0: never.");
	expose_seconds(out, "keepfs_store_verified_timestamp_seconds", NO_LABELS,
	               catalog_store_verified(from->catalog, from->conf->store.url));
	if (from->store)
		tell_capacity(out, from->store);
	if (from->store_metrics)
		tell_calls(out, from->store_metrics);
	tell_others(from, out);
	return 0;
}
