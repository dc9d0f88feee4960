// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What can be recovered from the base backups and the WAL archive of one cluster, and how a chosen moment is reached.
 *
 *	wal_recovery_load()        (keepfs/wal/recovery.h) takes the facts from a catalog
 *	recovery_plan_make()       the base, the timeline and the segments that a target takes, or why it cannot be reached
 *	recovery_look()            from which moment to which one anything can be recovered
 *	recovery_each_gap()        segments that are missing between others
 *
 * Segments are counted: number N begins at the LSN N * segment_bytes, on whatever timeline. A recovery goes along a *line*: the log of a timeline, and before it that of
 * those which it came from (codec/wal_history.h). Which file has segment N of a line, PostgreSQL decides so, and so do we: that of the newest timeline of the line which begins in
 * it or before it.
 *
 * Source: recoveryStopsBefore(), recoveryStopsAfter(), XLogFileReadAnyTLI() in access/transam/xlogrecovery.c, findNewestTimeLine() in timeline.c. Pure: what is not in memory is asked of
 * struct recovery_log, and blocks as that does. One thread at a time.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/wal_history.h>
#include <keepfs/codec/wal_name.h>
#include <keepfs/codec/wal_scan.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** struct recovery_range - segments of one timeline that are there, one behind the other without a gap */
struct recovery_range {
	uint32_t timeline;
	uint64_t first, last;
	bool is_cut;        /* what was behind the last one was removed, since nothing needed it any more */
	int64_t arrived_us; /* the first: when it came; 0: not known */
};

struct recovery_base {
	uint64_t ino; /* of the artifact */
	char *path;   /* heap: "backups/main/20261120T020000Z" */
	uint32_t timeline;
	uint64_t start_lsn, stop_lsn; /* recovery begins at the one, and is consistent at the other */
	int64_t stopped_us;           /* by the clock of keepfs's host */
	uint64_t bytes;               /* of its files */
	bool is_unusable;             /* in the trash, or damaged: it is no choice of ours */
};

/** struct recovery_segment - what the index of one segment says (codec/wal_index.h) */
struct recovery_segment {
	uint32_t timeline;
	uint64_t number;
	uint64_t end;      /* of its last valid record; 0: there is none */
	int64_t latest_us; /* of a commit or an abort; 0: there is none */
};

/** struct recovery_sum - what the indexes of several say together */
struct recovery_sum {
	uint64_t unknown;  /* so many have not been read yet: what they hold may be anything */
	uint64_t end;      /* of the last record of the last one that has any; 0: none has */
	int64_t latest_us; /* of the last ones that have commits; 0: none has */
};

struct recovery_point {       /* a restore point: pg_create_restore_point() */
	uint32_t timeline;    /* of the segment */
	uint64_t number, lsn; /* of the segment; of the record */
	int64_t at_us;
	char name[WAL_RESTORE_POINT_BYTES];
};

/**
 * struct recovery_log - the index of all segments, which may be a million: it is asked, and not loaded
 *
 * Of the segments @first to @last of @timeline. 0; -ENOENT: there is none; another negative errno ends whatever asked, and is returned.
 */
struct recovery_log {
	/* The first one that has a commit or an abort later than @at_us. */
	int (*later)(void *arg, uint32_t timeline, uint64_t first, uint64_t last, int64_t at_us,
	             struct recovery_segment *ret);
	/* The first one whose records end behind @lsn. */
	int (*behind)(void *arg, uint32_t timeline, uint64_t first, uint64_t last, uint64_t lsn,
	              struct recovery_segment *ret);
	/* The first one in which a transaction ended whose number is @xid, or follows it. */
	int (*since_xid)(void *arg, uint32_t timeline, uint64_t first, uint64_t last, uint32_t xid,
	                 struct recovery_segment *ret);
	int (*sum)(void *arg, uint32_t timeline, uint64_t first, uint64_t last, struct recovery_sum *ret);
	/* Call @each for the restore points called @name, of all timelines, in the order of their LSNs. */
	int (*points)(void *arg, const char *name, int (*each)(void *arg, const struct recovery_point *p),
	              void *each_arg);
	void *arg; /* heap, or NULL: recovery_facts_finish() frees it */
};

struct recovery_facts {
	uint32_t segment_bytes;        /* 0: not known, and nothing is there but what may be listed */
	struct recovery_range *ranges; /* by timeline, and by first */
	size_t range_count;
	struct wal_history *histories; /* by timeline; that of the first has none */
	size_t history_count;
	struct recovery_base *bases; /* in the order of their start_lsn */
	size_t base_count;
	struct recovery_log log;
};

void recovery_facts_finish(struct recovery_facts *f);
static inline void cleanup_recovery_facts(struct recovery_facts *f)
{
	recovery_facts_finish(f);
}

/* --- plans --- */

enum recovery_target_kind {
	RECOVERY_LATEST,    /* as far as there is WAL */
	RECOVERY_IMMEDIATE, /* the end of the base */
	RECOVERY_TIME,      /* behind the last transaction that ended at @at_us or before */
	RECOVERY_LSN,
	RECOVERY_XID, /* behind the end of this transaction */
	RECOVERY_POINT
};
enum recovery_timeline {
	RECOVERY_TIMELINE_LATEST,  /* the newest that the base can get to */
	RECOVERY_TIMELINE_CURRENT, /* that of the base */
	RECOVERY_TIMELINE_NUMBER
};

struct recovery_target {
	enum recovery_target_kind kind;
	int64_t at_us;
	uint64_t lsn;
	uint32_t xid;
	const char *point;
	enum recovery_timeline which;
	uint32_t timeline; /* of RECOVERY_TIMELINE_NUMBER */
	uint64_t base_ino; /* this one and no other; 0: the newest that leads there */
};

/** struct recovery_stretch - segments of one timeline's files, one behind the other; all of them are there */
struct recovery_stretch {
	uint32_t timeline;
	uint64_t first, last;
};

struct recovery_plan {
	size_t base;       /* of the facts */
	uint32_t timeline; /* that the recovery goes to: a number for recovery_target_timeline */
	struct recovery_stretch *
	        stretches; /* heap: from the base's start to the last one that is needed, in the order of replay */
	size_t count;
	uint64_t segments;
	uint64_t end_lsn;  /* where the records of the last of them end; 0: not known */
	int64_t latest_us; /* of the last commits in these; 0: not known, or there is none */
	int64_t point_us;  /* RECOVERY_POINT: when it was made */
	/* Segments among them were not read yet, or the target is a transaction, of which only the neighbourhood is known: recovery may find that it cannot be reached. */
	bool is_unsure;
	/* RECOVERY_LATEST: behind the last of them there are others that cannot be reached, since this one is missing. */
	bool has_gap;
	struct wal_name missing;
};

void recovery_plan_finish(struct recovery_plan *p);
static inline void cleanup_recovery_plan(struct recovery_plan *p)
{
	recovery_plan_finish(p);
}
/**
 * recovery_plan_make() - how @t is reached
 *
 * The base is the newest usable one that was consistent at the target or before, whose timeline leads there, and behind which no segment is missing up to the target: of newest bases a
 * recovery has the least to do.
 *
 * Return: 0, and @ret replaced; -ENOENT (ERROR_NOT_FOUND): it cannot be reached, and the message says why, and what can; -EINVAL (ERROR_USAGE): there is no such base or timeline; what struct
 * recovery_log says.
 */
int recovery_plan_make(const struct recovery_facts *f, const struct recovery_target *t,
                       struct recovery_plan *ret, struct error *err);

/* --- what can be recovered --- */

/** struct recovery_base_reach - how far one base leads */
struct recovery_base_reach {
	uint32_t timeline; /* the newest that it can get to */
	bool is_whole; /* all segments from its start to its stop are there; else @missing is the first that is not */
	uint32_t last_timeline; /* of the last segment that it can get to */
	uint64_t last;
	bool has_gap; /* behind that there are others, and @missing is not there */
	bool is_cut;  /* the same, and it was removed since nothing needed it any more */
	struct wal_name missing;
};

/** struct recovery_window - any moment from @from to @to can be recovered, from the first of its bases or a later one */
struct recovery_window {
	size_t base; /* of the facts: the first one */
	size_t bases;
	uint32_t timeline;
	int64_t from_us;           /* that base was consistent then */
	uint64_t from_lsn, to_lsn; /* to_lsn: 0: not known */
	int64_t to_us; /* of the last commits; 0: no transaction has ended since the base, as far as is known */
	uint64_t unknown; /* segments among them that were not read yet */
};

struct recovery_view {
	struct recovery_base_reach *reaches; /* one for each base of the facts */
	struct recovery_window *windows;     /* the one that is the newest last */
	size_t window_count;
};
void recovery_view_finish(struct recovery_view *v);
static inline void cleanup_recovery_view(struct recovery_view *v)
{
	recovery_view_finish(v);
}
/** recovery_look() - @ret replaced; windows are those of usable, whole bases. Negative errno of struct recovery_log. */
int recovery_look(const struct recovery_facts *f, struct recovery_view *ret);
/** recovery_newest() - the window of the base that was made last, with which the newest state is recovered; NULL: there is none. */
const struct recovery_window *recovery_newest(const struct recovery_facts *f, const struct recovery_view *v);

struct recovery_gap {
	uint32_t timeline;
	uint64_t first, last; /* that are missing */
	struct wal_name first_name, last_name;
	bool is_cut; /* they were removed since nothing needed them any more */
	/* The newest usable base began before it: nothing behind the gap can be recovered until there is a new one. */
	bool blocks_newest;
	int64_t behind_us; /* when the segment behind it came; 0: not known */
};
/** recovery_each_gap() - in the order of timelines and places; of one timeline, also between the place where it began and its first segment, when the log before it is there. What @each returns but 0 ends it. */
int recovery_each_gap(const struct recovery_facts *f, int (*each)(void *arg, const struct recovery_gap *g),
                      void *arg);
