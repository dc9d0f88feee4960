// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a registry names for a job, at each of its runs: remembered, so that what is new and what is gone is noticed. */
#include <keepfs/catalog/members.h>
#include <keepfs/make.h>

/** struct make_member_words - how they are called; static texts */
struct make_member_words {
	const char *one, *many; /* "database", "databases" */
	const char *when_new;   /* "it is backed up from now on" */
	const char *when_gone;  /* "its backups stay for keep_deleted" */
};

/**
 * make_learn_members() - a whole answer: what has changed becomes notes of @ret, its warning, and lines of the audit and the log
 * @rows: @count of them, at least one, in their order, no name twice
 * Each that is new has its directory in the tree from now on; names that differ in nothing but case get a note. Once for each run (make_wanted.learns). Blocks on the catalog.
 */
int make_learn_members(const struct make_context *ctx, const struct conf_job *job,
                       const struct make_member_words *words, const struct catalog_named *rows, size_t count,
                       struct make_targets *ret, struct error *err);
/**
 * make_is_known_member() - does the catalog know already that a run of @job will have what @wanted asks for?
 * Then nobody has to be asked before it is queued: whoever orders has an answer at once, and the run finds out what is true then.
 * @may_be_gone: also a member that is named no more
 */
bool make_is_known_member(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, bool may_be_gone);
