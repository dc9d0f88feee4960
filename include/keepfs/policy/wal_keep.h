// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which segments of the write-ahead log may go. Pure: base backups, what is pinned, the histories of timelines and a window in; stretches of timelines that nobody needs out.
 *
 * A timeline is a line through the log (keepfs/codec/wal_history.h), and a base can be recovered along each line that leads on from it. So for each timeline of the archive one base is looked for from which all of
 * its line is kept: the newest that ended at or before the begin of the window, so that every moment of the window can be reached; or, where there is none so old, the oldest. Beside that
 *
 *   - each base, also one in the trash or a damaged one, keeps what makes it consistent, from its start to its stop;
 *   - a base that is being made keeps everything from its start on;
 *   - a base that nothing but a hold keeps does no more than the first: else a hold of years would keep the log of years;
 *   - a timeline that no base leads to keeps what came within the window: a server has just been promoted, mostly, and its standbys may need it;
 *   - where it is not known what a timeline came from it keeps all of its own, and of all older ones.
 *
 * Without a base that can be used nothing may go.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/codec/wal_history.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wal_keep_base {
	uint64_t system_id;
	uint32_t timeline;
	uint32_t segment_bytes;
	uint64_t start_lsn, stop_lsn;
	int64_t stopped_us;
	bool is_usable;    /* neither in the trash nor damaged */
	bool is_only_held; /* no rule keeps it any more, but somebody holds it */
};

/** struct wal_keep_pin - what a base needs that is being made */
struct wal_keep_pin {
	uint32_t timeline; /* 0: it is not known yet where it begins, so everything stays */
	uint64_t lsn;
};

struct wal_keep_facts {
	uint64_t system_id; /* of the cluster whose archive it is */
	uint32_t segment_bytes;
	const struct wal_keep_base *bases;
	size_t base_count;
	const struct wal_keep_pin *pins;
	size_t pin_count;
	const struct wal_history *histories; /* that are known, in any order */
	size_t history_count;
	const uint32_t *timelines; /* that the archive has files of, ascending */
	size_t timeline_count;
	int64_t now_us;
	int64_t window_us; /* any moment from so long before now on can be reached; 0: from the oldest base on */
};

/** struct wal_keep_stretch - segments of one timeline that may go: those that begin at @from or behind it, and before @to */
struct wal_keep_stretch {
	uint32_t timeline;
	uint64_t from, to; /* LSNs where segments begin; @to UINT64_MAX: all that follow */
	int64_t before_us; /* only what came before that; INT64_MAX: whenever it came */
};

#define WAL_KEEP_NO_BASE SIZE_MAX

struct wal_keep_plan {
	struct wal_keep_stretch *stretches; /* heap: by timeline and place */
	size_t count;
	size_t base; /* of the facts: the oldest of those from which everything is kept; WAL_KEEP_NO_BASE */
	int64_t since_us;  /* from when on any moment can be reached, as far as the archive has no gap */
	bool is_short;     /* there is no base that is as old as the window */
	uint32_t unjudged; /* of the newest timeline whose history is missed; 0: of none */
	char why[256];     /* nothing may go; "": something could */
};

/** wal_keep_plan() - @ret: the caller's wal_keep_plan_finish(). */
void wal_keep_plan(const struct wal_keep_facts *facts, struct wal_keep_plan *ret);
void wal_keep_plan_finish(struct wal_keep_plan *plan);
static inline void cleanup_wal_keep_plan(struct wal_keep_plan *plan)
{
	wal_keep_plan_finish(plan);
}
