// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is known of the files of WAL archives (keepfs/catalog/wal.h) beside their names: where segments lie in the log, what their indexes say (keepfs/codec/wal_index.h), restore points, and
 * the texts of histories. It comes with a file or is learnt later, and goes with its row. Segments are counted: number N begins at N * segment_bytes. Whoever asks what can be recovered gets from
 * here what policy/recovery.h wants. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/catalog/wal.h>
#include <keepfs/codec/wal_index.h>
#include <keepfs/policy/recovery.h>

/** struct catalog_wal_known - of one file; all is borrowed */
struct catalog_wal_known {
	const struct wal_index *index; /* of a segment; NULL: it was not read */
	const char *history;           /* the text of a history; NULL: it is none, or was not read */
};
/** catalog_wal_add_known() - as catalog_wal_add(), and what is known. The cluster of the archive was bound before, or segments get their places by catalog_wal_place(). */
int catalog_wal_add_known(struct catalog *c, const struct catalog_wal *w,
                          const struct catalog_wal_known *known, struct error *err);
/** catalog_wal_place() - give places to all segments of all archives that have none, since the size of segments was not known when they came. */
int catalog_wal_place(struct catalog *c, struct error *err);

/** struct catalog_wal_cursor - where catalog_wal_unread() goes on; zeroed: at the begin. */
struct catalog_wal_cursor {
	char job[CATALOG_WAL_JOB_BYTES];
	uint32_t timeline;
	uint64_t number;
};
/** catalog_wal_unread() - segments whose index is not known, of all archives, in the order of the log; how many, at most @max; negative errno. */
ssize_t catalog_wal_unread(struct catalog *c, struct catalog_wal_cursor *at, struct catalog_wal *rows,
                           size_t max);
/** catalog_wal_unread_histories() - the same of histories, with numbers above @after, by number. */
ssize_t catalog_wal_unread_histories(struct catalog *c, int64_t after, struct catalog_wal *rows, size_t max);

enum catalog_wal_state { CATALOG_WAL_UNREAD, CATALOG_WAL_READ, CATALOG_WAL_UNREADABLE };
struct catalog_wal_lesson {
	int64_t id; /* of the file; one that is gone meanwhile is passed over */
	enum catalog_wal_state state;
	const struct wal_index *index; /* of CATALOG_WAL_READ; borrowed */
};
/** catalog_wal_learn() - of several segments, as one change. */
int catalog_wal_learn(struct catalog *c, const struct catalog_wal_lesson *lessons, size_t count,
                      struct error *err);
/** catalog_wal_learn_history() - of the history @id. */
int catalog_wal_learn_history(struct catalog *c, int64_t id, const char *text, struct error *err);
/** catalog_wal_forget_unreadable() - what could not be read is to be read again. */
int catalog_wal_forget_unreadable(struct catalog *c, struct error *err);

/* --- questions: of one job --- */

/** catalog_wal_each_range() - segments that follow each other, in the order of timelines and numbers. What @row returns but 0 ends it, and is returned. */
int catalog_wal_each_range(struct catalog *c, const char *job,
                           int (*row)(void *arg, const struct recovery_range *r), void *arg);
/** catalog_wal_newest() - the number of the last segment of @timeline; -ENOENT. */
int catalog_wal_newest(struct catalog *c, const char *job, uint32_t timeline, uint64_t *ret_number);
/** catalog_wal_each_history() - the texts, by timeline. */
int catalog_wal_each_history(struct catalog *c, const char *job,
                             int (*row)(void *arg, uint32_t timeline, const char *text), void *arg);
/** catalog_wal_each_point() - restore points by their LSNs; @name: those of this name alone, NULL: the newest @max by time, the last one first. */
int catalog_wal_each_point(struct catalog *c, const char *job, const char *name, size_t max,
                           int (*row)(void *arg, const struct recovery_point *p), void *arg);

/** struct catalog_wal_span - segments of one timeline */
struct catalog_wal_span {
	const char *job;
	uint32_t timeline;
	uint64_t first, last;
};
/** As those of struct recovery_log. */
int catalog_wal_later(struct catalog *c, const struct catalog_wal_span *s, int64_t at_us,
                      struct recovery_segment *ret);
int catalog_wal_behind(struct catalog *c, const struct catalog_wal_span *s, uint64_t lsn,
                       struct recovery_segment *ret);
int catalog_wal_since_xid(struct catalog *c, const struct catalog_wal_span *s, uint32_t xid,
                          struct recovery_segment *ret);
int catalog_wal_sum(struct catalog *c, const struct catalog_wal_span *s, struct recovery_sum *ret);
