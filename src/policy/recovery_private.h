// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What can be recovered.
 *
 *   recovery_line.c   lines through the log, and how far segments are there along one
 *   recovery_plan.c   a target: which base, which segments
 *   recovery_look.c   what can be recovered at all, and gaps
 */
#include <keepfs/policy/recovery.h>

/** struct recovery_line - the log of a timeline and of those that it came from */
struct recovery_line {
	uint32_t timeline;
	const struct wal_history *history; /* NULL: it came from nothing */
};

/** struct recovery_way - what is there along a line, from one segment on */
struct recovery_way {
	struct recovery_stretch *stretches; /* heap */
	size_t count;
	struct recovery_stretch missing; /* the first that is not there; there always is one */
	bool has_more;                   /* behind it there are others */
	bool is_cut;                     /* it was removed since nothing needed it any more */
};
void recovery_way_finish(struct recovery_way *w);
static inline void cleanup_recovery_way(struct recovery_way *w)
{
	recovery_way_finish(w);
}

/** recovery_history_of() - NULL: there is none. */
const struct wal_history *recovery_history_of(const struct recovery_facts *f, uint32_t timeline);
/** recovery_newest_timeline() - where PostgreSQL ends up that looks for the newest one from @timeline on. */
uint32_t recovery_newest_timeline(const struct recovery_facts *f, uint32_t timeline);
/** recovery_line_to() - false: of a timeline but the first there is no history, and @base's is another one. */
bool recovery_line_to(const struct recovery_facts *f, const struct recovery_base *base, uint32_t timeline,
                      struct recovery_line *ret);
bool recovery_line_leads_from(const struct recovery_line *l, const struct recovery_base *base);
/** recovery_walk() - along @l from segment @first on, to the first one that is missing. */
void recovery_walk(const struct recovery_facts *f, const struct recovery_line *l, uint64_t first,
                   struct recovery_way *ret);
/** recovery_way_has() - does the way get to segment @number? */
bool recovery_way_has(const struct recovery_way *w, uint64_t number);
/** recovery_sum_up() - of all of @stretches. */
int recovery_sum_up(const struct recovery_facts *f, const struct recovery_stretch *stretches, size_t count,
                    struct recovery_sum *ret);

/** Numbers of segments: that of the byte at @lsn, and of the last byte before @lsn. */
uint64_t recovery_number_of(const struct recovery_facts *f, uint64_t lsn);
uint64_t recovery_number_of_end(const struct recovery_facts *f, uint64_t lsn);
struct wal_name recovery_name_of(const struct recovery_facts *f, uint32_t timeline, uint64_t number);
/** recovery_by_time() - heap: numbers of all bases, in the order in which they were made. */
size_t *recovery_by_time(const struct recovery_facts *f);
