// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is watched: each directory below backups/ in which a job makes backups. A job over several databases has one for each. What
 * is said here of one is what health and metrics tell alike.
 */
#include <keepfs/policy/anomaly.h>
#include <keepfs/policy/overdue.h>
#include <keepfs/report/status.h>

struct watched { /* all texts are borrowed, for as long as the callback runs */
	const struct conf_job *job;
	const char *label;     /* of the database; "": the job has but one directory */
	const char *directory; /* "backups/tenants/acme" */
	struct overdue_rule rule;
	/* What its age is counted from: when the newest good backup was completed, or since when one is expected, whichever is
	 * later; 0: not known, so it is not overdue. */
	int64_t base_us;
	int64_t newest_us;   /* when the newest good one was completed; 0: there is none */
	int64_t snapshot_us; /* when that one was begun */
	int64_t late_at_us;  /* overdue_late_at_s(); INT64_MAX: never */
	enum overdue_level level;
};

/** watched_parts() - what a job has several of, for people: "databases", "tenants", "directories"; of one "database". Static text. */
const char *watched_parts(const struct conf_job *job, uint64_t count);

/** watched_each() - call @row for each directory of @job. Return: 0; negative errno of the catalog. */
int watched_each(const struct report_sources *from, const struct conf_job *job,
                 void (*row)(void *arg, const struct watched *w), void *arg);

/** struct watched_anomaly - what is unusual about the newest backup of a directory. */
struct watched_anomaly {
	double score;
	int64_t at_us; /* when it was completed */
	size_t count;
	struct anomaly_finding findings[ANOMALY_FIGURES];
};
/** watched_anomaly_of() - also of one of which nothing is unusual; nothing of archives that are made once. */
int watched_anomaly_of(const struct report_sources *from, const struct watched *w,
                       struct watched_anomaly *ret);

/** struct watched_store - how much the store holds, and when it is full. */
struct watched_store {
	uint64_t stored_bytes;
	uint64_t capacity_bytes; /* [store] capacity; 0: none was said */
	int64_t full_at_us;      /* by the growth of the last days; 0: not known, or never */
	bool is_full_soon;       /* so soon that somebody should do something */
};
/** watched_store_of() - of a store dir: without capacity the file system says how much is free. May block on its disk. */
int watched_store_of(const struct report_sources *from, struct watched_store *ret);
