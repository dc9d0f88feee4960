// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <keepfs/use/diff.h>

struct diff {
	struct diff_options options;
	struct diff_backup backups[2]; /* by enum diff_side */
	bool has_failed;               /* reading one of them did: the one that the error is about */
	enum diff_side failed;
};

/** diff_judge() - by what is known of two tables (NULL: there is none). @same: it is one dump. Pure. */
enum diff_state diff_judge(const struct inside_table *a, const struct inside_table *b, bool same);
/** diff_note_failure() - what is returned with @r is about reading @side; nothing when it was only given up. On the thread of whoever is returned it. */
void diff_note_failure(struct diff *d, enum diff_side side, int r);
