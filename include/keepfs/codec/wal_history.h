// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a timeline came from: the file "00000003.history" says of each timeline before the third where it was left, and why, oldest first.
 *
 *	1	0/19018048	no recovery target specified
 *	2	0/1B000000	before transaction 731
 *
 * So a timeline is a line through the log: up to the first place it is the log of timeline 1, from there to the second one of timeline 2, then
 * its own. PostgreSQL wants such a file before the first segment of the timeline, and asks for those of higher numbers until there is none.
 * Source: readTimeLineHistory() and writeTimeLineHistory() in access/transam/timeline.c. Pure; any thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_HISTORY_MAX_BYTES ((size_t)1 << 20) /* longer ones are refused: some ten thousand promotions */

struct wal_ancestor {
	uint32_t timeline;
	uint64_t
	        left_at; /* its log is that of the next one in the list, or of the timeline itself, from here on */
	char *reason; /* heap; why, as the server put it; may be "" */
};

/** struct wal_history - without ancestors: of a timeline that came from nothing, as the first one, which has no such file */
struct wal_history {
	uint32_t timeline;
	struct wal_ancestor *ancestors; /* oldest first */
	size_t count;
};

void wal_history_finish(struct wal_history *h);
static inline void cleanup_wal_history(struct wal_history *h)
{
	wal_history_finish(h);
}

/**
 * wal_history_parse() - @text of the file of @timeline, @len bytes
 *
 * Empty lines and those that begin with '#' are passed over. As for PostgreSQL, the numbers of timelines have to grow, and be below @timeline;
 * the places must not go back.
 *
 * Return: 0, and @ret replaced; -EBADMSG, @err names the line, and @ret is as it was.
 */
int wal_history_parse(uint32_t timeline, const char *text, size_t len, struct wal_history *ret,
                      struct error *err);

/** wal_history_timeline_at() - the timeline whose log has the byte at @lsn, on the line to @h->timeline. */
uint32_t wal_history_timeline_at(const struct wal_history *h, uint64_t lsn);
/** wal_history_leads_from() - is the log of @timeline up to @lsn part of the line to @h->timeline? So a base that ends there can be recovered along it. */
bool wal_history_leads_from(const struct wal_history *h, uint32_t timeline, uint64_t lsn);
