// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * One archive of a files job, brought back into a directory. It is read twice: the first time it is checked, and held against what is
 * there; then, when that was told and allowed, it is unpacked (keepfs/files/unpack.h).
 */
#include <keepfs/inside/backup.h>
#include "restore_order.h"

#include <keepfs/files/unpack.h>

struct copied;

struct restore_files { /* restore_files_finish() */
	const struct make_context
	        *ctx; /* borrowed, as the next ones; its pool is used for nothing else meanwhile */
	const struct make_order *order;
	const struct restore_order *wanted;
	struct backup *backup;
	const struct copied *copy; /* that it is read from, in a further store; NULL: it is listed */
	char stage[64];
	uint64_t told[FILES_DIFFERENCES]; /* names that have a line of their own */
	struct files_comparison found;
	struct files_outcome outcome;
	bool is_told; /* what was found is in the log already */
};

/** restore_files_place() - heap: where @directory really is, however it is spelled, also when it is still to be made. Asks its file system. */
char *restore_files_place(const char *directory);
/** restore_files_check_place() - -EINVAL: @directory lies in a place of keepfs's own: its mount, its state_dir, its store. Asks the file system. */
int restore_files_check_place(const struct conf *conf, const char *directory, struct error *err);
/** restore_files_look() - what can be said before the archive is read: -EINVAL: the words do not fit; or why nothing can be written there. */
int restore_files_look(const struct restore_files *f, struct error *err);
/** restore_files_compare() - read the archive, check it, and tell what would be done. What is there already is no failure. */
int restore_files_compare(struct restore_files *f, struct error *err);
/** restore_files_judge() - of what was compared: may it be written? -EEXIST, ENOSPC with what to do. */
int restore_files_judge(const struct restore_files *f, struct error *err);
/** restore_files_run() - do it, or with plan=yes tell what would be done. @err says what is where when it fails. */
int restore_files_run(struct restore_files *f, struct error *err);
void restore_files_finish(struct restore_files *f);
static inline void cleanup_restore_files(struct restore_files *f)
{
	restore_files_finish(f);
}

/* restore_files_tell.c: what was found, as lines for the log. */

/** restore_files_contents() - the `contents` of a comparison: which variables of an env file differ, without what they are. */
void restore_files_contents(void *arg, const char *path, const struct str *there, const struct str *backup);

/** restore_files_name() - the `found` of a comparison; @arg: struct restore_files. */
void restore_files_name(void *arg, enum files_difference what, const char *path, const char *why);
/** restore_files_tell() - all of it, in numbers. */
void restore_files_tell(const struct restore_files *f);
/** restore_files_user() - heap: the name of whom keepfs runs as. */
char *restore_files_user(void);
/** restore_files_changes() - how many files and directories that are there would become others. */
uint64_t restore_files_changes(const struct restore_files *f);
