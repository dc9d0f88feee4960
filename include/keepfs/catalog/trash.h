// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The trash: artifacts that were removed, of which everything is there until their time is over. To the tree they are
 * gone; catalog_entomb_artifact() puts them here. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

struct catalog_trashed {
	uint64_t ino;
	char path[512];
	char job[256];
	bool is_directory;
	int64_t run_id, started_at_us; /* as in its manifest: no other artifact has both */
	int64_t trashed_at_us;
	int64_t until_us;
	uint64_t stored_bytes;
	char by[128];
	char reason[512];
	bool is_marked; /* the store knows */
};

/** catalog_trash_after() - a page of what is in the trash, by path, greater than @after ("": from the first) and within
 * @scope (a directory; NULL: all); returns how many of @max were filled, 0 at the end. */
ssize_t catalog_trash_after(struct catalog *c, const char *scope, const char *after,
                            struct catalog_trashed *rows, size_t max);
/** catalog_trash_find() - by its number; -ENOENT: that is not in the trash. */
int catalog_trash_find(struct catalog *c, uint64_t ino, struct catalog_trashed *ret);
/** catalog_trash_unmarked() - the first of which the store does not know yet, behind @after_ino; -ENOENT: there is none. */
int catalog_trash_unmarked(struct catalog *c, uint64_t after_ino, struct catalog_trashed *ret);
/** catalog_trash_marked() - the store knows now. */
int catalog_trash_marked(struct catalog *c, uint64_t ino, struct error *err);
/** catalog_trash_extend() - the store says that it stays there for longer. */
int catalog_trash_extend(struct catalog *c, uint64_t ino, int64_t until_us, struct error *err);
/** catalog_trash_next() - when the first one's time is over; -ENOENT: the trash is empty. */
int catalog_trash_next(struct catalog *c, int64_t *ret_until_us);
/** catalog_trash_total() - how many, and what they take in the store; @job NULL: of all. */
int catalog_trash_total(struct catalog *c, const char *job, uint64_t *ret_count, uint64_t *ret_bytes);
/** catalog_untrash() - it is listed again, as it was, also when its time is over: the caller has seen that nothing of it is
 * deleted, and that nobody begins. -ENOENT: it is not in the trash. */
int catalog_untrash(struct catalog *c, uint64_t ino, struct error *err);
