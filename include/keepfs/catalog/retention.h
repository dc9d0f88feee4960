// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the rules of what is kept are judged by, and what was decided. Rules are of directories: those of a job, or of one
 * of its databases. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** struct catalog_place - a directory that lists artifacts. */
struct catalog_place {
	uint64_t ino;
	char path[512];        /* "backups/tenants/acme" */
	char job[256];         /* as the path names it */
	char label[256];       /* what its newest artifact is of: a database */
	char class[256];       /* of that database; "": none */
	uint64_t stored_bytes; /* of all that it lists */
	int64_t gone_since_us; /* since when no registry names that database any more; 0: it is not gone, as far as is known */
};

/** catalog_places() - a page of those within @scope ("backups/tenants", with all below it; NULL: all), by path, greater
 * than @after ("": from the first). Those without an artifact are left out. Returns how many of @max were filled. */
ssize_t catalog_places(struct catalog *c, const char *scope, const char *after, struct catalog_place *places,
                       size_t max);

/** struct catalog_made - an artifact, as far as its being kept depends on it. */
struct catalog_made {
	uint64_t ino;
	int64_t run_id, sequence;
	int64_t at_us;                           /* when it began */
	int64_t keep_until_us;                   /* 0: nothing was promised */
	int64_t locked_until_us, lock_wanted_us; /* keepfs/catalog/locks.h */
	int tiers;                               /* at birth; -1: not known yet */
	bool damaged;
	bool missing; /* of these: the store has no manifest of it, and perhaps its bytes */
	bool partial;
	bool named;     /* not by the time: it is of something of its own */
	bool verified;  /* it was read back */
	uint64_t store; /* which one has it: keepfs/catalog/stores.h */
	const char *name;
};

/** catalog_each_made() - call @row for each artifact of a directory, by its name's time. */
int catalog_each_made(struct catalog *c, uint64_t directory_ino,
                      void (*row)(void *arg, const struct catalog_made *made), void *arg);
/** catalog_neighbours() - when those good ones of a directory began that are next before and behind the time @at_us, and
 * whose names have the suffix of one of the same content: how many were filled, 0 to 2. */
int catalog_neighbours(struct catalog *c, const char *directory, const char *content, int64_t at_us,
                       int64_t ret_at_us[static 2]);
/** catalog_set_tiers() - what was not known yet of artifacts that an earlier keepfs has made; what is known stays. */
struct catalog_tag {
	uint64_t ino;
	unsigned tiers;
};
int catalog_set_tiers(struct catalog *c, const struct catalog_tag *tags, size_t count, struct error *err);
/** catalog_has_untagged() - has the directory an artifact of which the tiers are not known? */
bool catalog_has_untagged(struct catalog *c, uint64_t directory_ino);
/** catalog_name_of() - of an artifact of a directory; -ENOENT. Those in the trash are none. */
int catalog_name_of(struct catalog *c, uint64_t ino, char *ret_name, size_t bytes);

/** struct catalog_retention - what was decided for a directory, last. All times: 0 is never. */
struct catalog_retention {
	char rules[512]; /* by which it was pruned, in words; "": it never was */
	int64_t planned_at_us;
	uint64_t kept, due; /* due: what no rule keeps any more */
	uint64_t refused;   /* of these, what could not be removed */
	char refused_why[512];
	char suspended_why[512]; /* why nothing is removed now; "": it may be */
	int64_t suspended_since_us;
	char waits_why[512]; /* why somebody should confirm the plan; "": it does not wait */
	int64_t waits_since_us;
	char waits_rules[512]; /* those of the plan that waits */
	uint64_t waits_due;    /* how many it removed when it began to wait */
	char waits_plan[20];   /* its number */
};

/** catalog_retention() - zeroed when nothing was decided yet: that is 0, too. */
int catalog_retention(struct catalog *c, uint64_t directory_ino, struct catalog_retention *ret);
int catalog_set_retention(struct catalog *c, uint64_t directory_ino, const struct catalog_retention *state,
                          struct error *err);
/** catalog_each_retention() - call @row for each directory of which something was decided, by path: of those within @scope ("backups/tenants", with all below it); NULL:
 * of all. */
int catalog_each_retention(struct catalog *c, const char *scope,
                           void (*row)(void *arg, const char *path, const struct catalog_retention *state),
                           void *arg);

/** struct catalog_seen - the latest time that was ever seen. */
struct catalog_seen {
	int64_t at_us;
	char boot[40];   /* of the host, as its kernel calls it */
	int64_t boot_us; /* how long that had lasted */
};
/** catalog_seen() - -ENOENT: none was. */
int catalog_seen(struct catalog *c, struct catalog_seen *ret);
int catalog_set_seen(struct catalog *c, const struct catalog_seen *seen, struct error *err);
