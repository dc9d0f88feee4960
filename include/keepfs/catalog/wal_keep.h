// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is kept of WAL archives (keepfs/wal.h decides it): who needs files that no base lists yet, what timelines came from, and the way of a file out of the archive: it is noted as going, and from then on found by nobody; then its object
 * is removed; then its row. So what a crash leaves is found, and nobody is told of a file that is half gone. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/wal.h>

/* Pins. */

/**
 * catalog_wal_pin() - the run @run_id needs the WAL of @job from the segment @first on, as far as it is on that timeline; "": all of it, since it is not known yet from where on
 *
 * Again it takes the place of what was said before. A pin ends with its run, also when that is interrupted; catalog_wal_unpin() ends it before. What is going already (catalog_wal_begin_removal()) is not brought back, so a base is
 * pinned with "" before it begins. -EINVAL: @first is no name of a segment.
 */
int catalog_wal_pin(struct catalog *c, const char *job, int64_t run_id, const char *first, struct error *err);
/** catalog_wal_unpin() - 0 also when there is none. */
int catalog_wal_unpin(struct catalog *c, int64_t run_id, struct error *err);
/** catalog_wal_pins() - call @row for each pin of @job; ends with what is not 0. */
int catalog_wal_pins(struct catalog *c, const char *job, int (*row)(void *arg, const char *first), void *arg);

/* Timelines. */

/** catalog_wal_timelines() - call @row for each timeline of which the archive of @job has a file, ascending: a query for each. Ends with what is not 0. */
int catalog_wal_timelines(struct catalog *c, const char *job, int (*row)(void *arg, uint32_t timeline),
                          void *arg);
/** catalog_wal_set_history() - the content of the history of a timeline; of one that is known, in its place. */
int catalog_wal_set_history(struct catalog *c, const char *job, uint32_t timeline, const char *content,
                            size_t len, struct error *err);
/** catalog_wal_histories() - call @row for each that is known of @job; @content is borrowed. Ends with what is not 0. */
int catalog_wal_histories(struct catalog *c, const char *job,
                          int (*row)(void *arg, uint32_t timeline, const char *content, size_t len),
                          void *arg);
/** catalog_wal_unread_history() - the next file, behind the number @after, that is a history and whose content is not known, of any job; -ENOENT. */
int catalog_wal_unread_history(struct catalog *c, int64_t after, struct catalog_wal *ret);

/* Removal. */

/** struct catalog_wal_stretch - files of one timeline, by their names: from @from on, and before @to, in the order of bytes; of these what came before @before_us. A history is in none. */
struct catalog_wal_stretch {
	char job[CATALOG_WAL_JOB_BYTES];
	char from[WAL_NAME_BYTES], to[WAL_NAME_BYTES];
	int64_t before_us;
	int64_t now_us; /* what is locked in the store for longer is in none */
};
struct catalog_wal_sum {
	uint64_t files, stored_bytes;
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES]; /* by name; "": there is none */
};
/** catalog_wal_stretch_sum() - what of @s is there, and is not pinned. */
int catalog_wal_stretch_sum(struct catalog *c, const struct catalog_wal_stretch *s,
                            struct catalog_wal_sum *ret);
/** catalog_wal_begin_removal() - the first @max files of @s, by name, are going; what is pinned is left out, as of this moment. @ret_count: how many, which may be 0. */
int catalog_wal_begin_removal(struct catalog *c, const struct catalog_wal_stretch *s, size_t max,
                              size_t *ret_count, struct error *err);
/** catalog_wal_going() - files that are going, by name: of @job (NULL: of all), up to @max; how many, negative errno. */
ssize_t catalog_wal_going(struct catalog *c, const char *job, struct catalog_wal *rows, size_t max);
/** catalog_wal_end_removal() - the objects of @rows, all of one job, are gone: so are they, and @audit (NULL: no line) is told, in one transaction. */
int catalog_wal_end_removal(struct catalog *c, const struct catalog_wal *rows, size_t count,
                            const struct catalog_audit *audit, struct error *err);
/** catalog_wal_give_back() - nothing of @job is going any more: the store has forbidden it. */
int catalog_wal_give_back(struct catalog *c, const char *job, struct error *err);

/* Locks (object lock). */

/** catalog_wal_set_locked() - the object of the file @name of @job is locked until then; if it was going it is not any more. */
int catalog_wal_set_locked(struct catalog *c, const char *job, const char *name, int64_t until_us,
                           struct error *err);
/** struct catalog_wal_locked - a file, and until when its object is locked; 0: it is not, or nobody knows. */
struct catalog_wal_locked {
	char name[WAL_NAME_BYTES];
	char key[STORE_KEY_BYTES];
	int64_t until_us;
};
/** catalog_wal_locked_for_less() - files from @from on, and before @to, that are not locked until @until_us, by name, behind the name @after; how many of @max were filled, negative errno. */
ssize_t catalog_wal_locked_for_less(struct catalog *c, const struct catalog_wal_stretch *s, const char *after,
                                    int64_t until_us, struct catalog_wal_locked *rows, size_t max);

/* What was decided. */

#define CATALOG_WAL_WINDOW_NONE (-1)

struct catalog_wal_kept {
	int64_t window_us; /* by which it was last decided; 0: as long as there are bases; CATALOG_WAL_WINDOW_NONE: it never was */
	int64_t shorter_since_us; /* a shorter one is configured since then; 0: none is */
	int64_t planned_at_us;    /* 0: never */
	char why[512];            /* it was not carried out, or not all of it; "" */
	uint64_t removed_files,
	        removed_bytes; /* since the catalog knows of it; catalog_wal_end_removal() counts */
};
/** catalog_wal_kept() - of @job; where nothing was decided yet it says so, and is 0. */
int catalog_wal_kept(struct catalog *c, const char *job, struct catalog_wal_kept *ret);
/** catalog_wal_set_kept() - all of it but what was removed. */
int catalog_wal_set_kept(struct catalog *c, const char *job, const struct catalog_wal_kept *k,
                         struct error *err);
