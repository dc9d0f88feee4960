// SPDX-License-Identifier: Apache-2.0
#pragma once
/** One dump of a database that is restored, by itself or as a part of a deployment (restore_bundle.h). */
#include "restore_target.h"

/** restore_check_not_damaged() - -EINVAL (ERROR_CORRUPT): it is marked as damaged; @err names a good one beside it. */
int restore_check_not_damaged(const struct backup *b, struct error *err);
/** restore_dump_choose() - which database of which server t->wanted means, and what can be known before it is begun. -EINVAL: the words do not fit, or what exists was not confirmed.
 * Asks the server. */
int restore_dump_choose(struct restore_target *t, struct error *err);
/** restore_prove_first() - read t->backup, whatever it is, as t->wanted->level says, where need be with the help of its copies. @err says that nothing was changed. */
int restore_prove_first(const struct restore_target *t, struct error *err);
/** restore_dump_claim() - heap: what no other run may have meanwhile, of a target that was chosen; restore_files_claim(): of a directory. */
char *restore_dump_claim(const struct restore_target *t);
char *restore_files_claim(const char *directory);
/** restore_dump_time() - how long it will probably take; 0: not known. */
int64_t restore_dump_time(const struct restore_target *t);
/** restore_dump_run() - all of it: choose, tell, prove, restore. */
int restore_dump_run(struct restore_target *t, struct error *err);
