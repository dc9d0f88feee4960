// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <keepfs/use/diff.h>

struct diff {
	struct diff_options options;
	struct diff_backup backups[2]; /* by enum diff_side */
};

/** diff_judge() - by what is known of two tables (NULL: there is none). @same: it is one dump. Pure. */
enum diff_state diff_judge(const struct inside_table *a, const struct inside_table *b, bool same);
