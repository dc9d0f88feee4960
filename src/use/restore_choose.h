// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which entries of a table of contents are restored: all; or those of some schemas or tables, with what hangs on them. A chosen table
 * comes with its data, defaults, constraints, indexes, triggers, rules, policies, comments and rights, and the sequences that are its own.
 */
#include "restore_toc.h"

/** restore_choose() - set which entries are wanted, and write the lists for pg_restore. A table may be named without its schema where one alone is called so. -EINVAL (ERROR_USAGE): there is no
 * such schema or table, or several are called so: @err names what is near, or them. */
int restore_choose(struct restore_toc *t, const struct restore_database_options *o, struct error *err);
/** restore_is_relation() - a table, view or sequence. Pure. */
bool restore_is_relation(const struct pg_archive_entry *e);
/** restore_is_chosen() - whether the entry of that number is wanted; after restore_choose(). */
bool restore_is_chosen(const struct restore_toc *t, int id);
