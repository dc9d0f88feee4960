// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What health looks at beside artifacts and runs: since when backups are expected of a job, the newest backups of one
 * directory with the figures by which they are compared, and how much was stored on the last days. What an answer costs
 * does not depend on how many backups or runs there are. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/name.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** struct catalog_expected - backups that are expected, of a job or of one of its databases. All texts are borrowed. */
struct catalog_expected {
	const char *job;
	const char *target; /* a database; "": the job */
	const char *what;   /* how often: when it changes, the time counts anew */
};
/** catalog_set_expected() - these are expected now, and nothing else. One that was not before, or otherwise, is so since @now_us. */
int catalog_set_expected(struct catalog *c, const struct catalog_expected *rows, size_t count, int64_t now_us,
                         struct error *err);
/** catalog_expected_since() - 0: it is not known. */
int catalog_expected_since(struct catalog *c, const char *job, const char *target, int64_t *ret_us);

/** struct catalog_good - a backup that is neither partial nor damaged. */
struct catalog_good {
	int64_t started_at_us, finished_at_us;
};
/** catalog_newest_good() - that of the directory with the path @directory that was made last, of those that are dated @by_us
 * at most: how old one really is that is dated in the future nobody knows. -ENOENT. */
int catalog_newest_good(struct catalog *c, const char *directory, int64_t by_us, struct catalog_good *ret);

/** struct catalog_sample - the figures of such a backup; -1: not known. */
struct catalog_sample {
	char kind[256]; /* what it holds and how: only backups of one kind can be compared */
	int64_t finished_at_us;
	int64_t duration_us;
	int64_t size_bytes, raw_bytes, rows, tables;
};
/** catalog_samples() - the backup of @directory that was made last, and those before it that are of its kind, the newest first, at most @max;
 * of all, not more than twice as many are looked at. Returns how many. */
ssize_t catalog_samples(struct catalog *c, const char *directory, struct catalog_sample *samples, size_t max);

/** catalog_note_stored() - so much is stored on the day @day (since 1970) as all artifacts come to now; days more than
 * @keep_days before are forgotten. */
int catalog_note_stored(struct catalog *c, int64_t day, int64_t keep_days, struct error *err);
/** struct catalog_stored_day - a day, and how much was stored when it was last noted. */
struct catalog_stored_day {
	int64_t day;
	uint64_t stored_bytes;
};
/** catalog_stored_days() - the last of them, at most @max, in their order; returns how many. */
ssize_t catalog_stored_days(struct catalog *c, struct catalog_stored_day *days, size_t max);
