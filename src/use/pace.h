// SPDX-License-Identifier: Apache-2.0
#pragma once
/** How long something will probably take, by how long it took before: as many stored bytes a second. */
#include <keepfs/inside/backup.h>

#include <keepfs/catalog/pace.h>
#include <keepfs/catalog/proofs.h>

/** pace_note() - @work with all of @b took so long; @database_bytes: of what was restored, 0. What cannot be kept is a line of the log: nothing but
 * an estimate hangs on it. */
void pace_note(const struct backup *b, enum pace_work work, int64_t took_us, uint64_t database_bytes);

struct pace {                /* of one work with one backup */
	int64_t expected_us; /* 0: not known */
	char *directory;     /* of the backup; heap */
	struct catalog_paces from;
};
/** pace_find() - the caller's pace_finish(). */
void pace_find(const struct backup *b, enum pace_work work, struct pace *ret);
/** pace_append_ground() - "12 min (8.1M/s, as the last 3 of backups/full, the newest on 2026-11-20T02:00:00Z)" */
void pace_append_ground(const struct pace *pace, struct str *out);
void pace_finish(struct pace *pace);
static inline void cleanup_pace(struct pace *pace)
{
	pace_finish(pace);
}
/** pace_database_bytes() - how large the database of @b will probably be; 0: not known. */
uint64_t pace_database_bytes(const struct backup *b);
/** pace_of_check() - what checking up to that level is. */
enum pace_work pace_of_check(enum proof_level level);
