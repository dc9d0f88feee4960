// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The checks of health. A check looks at one subject (or at each of several), and adds an item for what it finds: also
 * when all is well, where that is worth a line. What each looks at is told in include/keepfs/report/health.h. It is
 * called on any thread, and may wait for the local disk, but not for the network.
 *
 * A new check is one function here and one row of the table in health.c.
 */
#include <keepfs/report/health.h>
#include <keepfs/report/status.h>

#include <stdbool.h>

/** struct checking - one gathering of health: what the checks ask, and the list that they add to. */
struct checking {
	const struct report_sources *from;
	struct health *found;
	const char *check;   /* the word of the row that is at work */
	bool catalog_failed; /* that is said already */
};

/**
 * checking_add() - add an item
 * @name:    consumed; how status/health calls it
 * @subject: "" when the check has but one
 *
 * Return: the item, valid until the next is added; the caller sets text, and what_to_do and since_us if he has them.
 */
struct health_item *checking_add(struct checking *c, enum report_health level, char *name,
                                 const char *subject);
/** checking_add_rest() - add an item that stands for those that are too many for the list; @name and @text are consumed. */
void checking_add_rest(struct checking *c, enum report_health level, char *name, const char *subject,
                       char *text);
/** checking_changes_at() - what the check finds may be another at @at_us, because time passes, and for no other reason: who
 * waits for changes looks again then. */
void checking_changes_at(struct checking *c, int64_t at_us);
/** checking_catalog_failed() - the catalog could not answer (@r: its negative errno): that is an item of its own, once,
 * however many questions it was asked. */
void checking_catalog_failed(struct checking *c, int r);

/** acks_apply() - note at each item whether somebody has acknowledged it; forget what was said of items that have gone, have got
 * worse, or whose time is over. The last step of a gathering. */
void acks_apply(struct checking *c);

/* By how much clocks may differ that somebody sets. */
#define CLOCKS_DIFFER_US (INT64_C(300) * 1000000)

/** is_ahead() - is a time later than now, by more than clocks differ that somebody sets? */
bool is_ahead(const struct checking *c, int64_t at_us);

void check_prune(struct checking *c);
void check_jobs(struct checking *c);
void check_failing(struct checking *c);
void check_overdue(struct checking *c);
void check_anomaly(struct checking *c);
void check_clock(struct checking *c);
void check_listing(struct checking *c);
void check_encryption(struct checking *c);
void check_damaged(struct checking *c);
void check_scrub(struct checking *c);
void check_classes(struct checking *c);
void check_wal(struct checking *c);
/* check_wal_receiver() - of the cluster @job, whose WAL is streamed. */
void check_wal_receiver(struct checking *c, const char *job);
/* check_wal_server() - what the server says of its archiver, and of the slot. */
void check_wal_server(struct checking *c, const struct conf_job *job);
void check_restore(struct checking *c);
void check_drill(struct checking *c);
void check_rto(struct checking *c);
void check_reads(struct checking *c);
void check_cache(struct checking *c);
void check_conf(struct checking *c);
void check_lease(struct checking *c);
void check_following(struct checking *c);
void check_store(struct checking *c);
/* check_other_stores() - those of tenants that could not be listed when they were last held against the catalog. */
void check_other_stores(struct checking *c);
/* check_replicas() - copies in further stores, and what was read from them. */
void check_replicas(struct checking *c);
void check_probes(struct checking *c);
void check_pg_dump(struct checking *c);
void check_space(struct checking *c);
void check_object_lock(struct checking *c);
struct catalog_probe;
/** is_about_locks() - of 'keepfs check': check_object_lock() tells of it. */
bool is_about_locks(const struct catalog_probe *probe);
void check_versions(struct checking *c);
void check_catalog_copy(struct checking *c);
void check_notices(struct checking *c);
void check_registries(struct checking *c);
void check_uncovered(struct checking *c);
void check_schedule(struct checking *c);
