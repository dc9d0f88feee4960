// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Holds: whoever wants an artifact to stay, whatever the rules of what is kept say. Several may stand, each with a name.
 * The store has them, too (keepfs/artifact.h): they survive the catalog. See keepfs/catalog.h for what is true of every
 * function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** CATALOG_HOLD_OF_TRIGGER - the name of the hold that comes with the trigger of a run. */
#define CATALOG_HOLD_OF_TRIGGER "trigger"
/** CATALOG_HOLDS_MAX - how many may stand at one artifact. */
#define CATALOG_HOLDS_MAX 16

struct catalog_hold {
	char name[64];
	char reason[256];
	char by[128]; /* "uid 0 (bash)" */
	int64_t at_us;
	int64_t until_us; /* 0: until somebody ends it */
};

/** catalog_set_hold() - one more, or in place of one of the same name; -ENOENT when there is no such artifact. */
int catalog_set_hold(struct catalog *c, uint64_t ino, const struct catalog_hold *hold, struct error *err);
/** catalog_drop_hold() - end it; -ENOENT when there is none of that name. */
int catalog_drop_hold(struct catalog *c, uint64_t ino, const char *name, struct error *err);
/** catalog_note_holds() - the store has, or may have, an object for the holds of @ino. */
int catalog_note_holds(struct catalog *c, uint64_t ino, struct error *err);
/** catalog_holds() - those of an artifact, the oldest first; returns how many of @max were filled. Those whose time is over
 * are among them. */
ssize_t catalog_holds(struct catalog *c, uint64_t ino, struct catalog_hold *holds, size_t max);
/** catalog_held() - call @row with the number of each artifact of a directory that is held at @now_us. */
int catalog_held(struct catalog *c, uint64_t directory_ino, int64_t now_us,
                 void (*row)(void *arg, uint64_t ino), void *arg);
/** catalog_count_held() - how many artifacts of a job are held at @now_us; negative errno. */
int64_t catalog_count_held(struct catalog *c, const char *job, int64_t now_us);
/** catalog_ended_holds() - call @row for each hold whose time came to its end behind @after_us and up to @now_us, with the path
 * of what it held, the job, and whether something else still holds it. All is borrowed. */
int catalog_ended_holds(struct catalog *c, int64_t after_us, int64_t now_us,
                        void (*row)(void *arg, const char *path, const char *job,
                                    const struct catalog_hold *hold, bool is_held),
                        void *arg);
/** catalog_next_hold_end() - when the first hold ends behind @now_us; 0: none does; negative errno. */
int64_t catalog_next_hold_end(struct catalog *c, int64_t now_us);
