// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <keepfs/use/diff.h>

#include <stdatomic.h>

struct diff {
	struct diff_options options;
	struct diff_backup backups[2]; /* by enum diff_side */
	atomic_bool failed[2];         /* reading it did; two threads may read */
};

/** diff_judge() - by what is known of two tables (NULL: there is none). @same: it is one dump. Pure. */
enum diff_state diff_judge(const struct inside_table *a, const struct inside_table *b, bool same);
/** diff_note_failure() - reading @side has ended with @r; nothing when it was only given up. Any thread. */
void diff_note_failure(struct diff *d, enum diff_side side, int r);
