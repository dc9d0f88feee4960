// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which packs are needed by which artifacts: rows that come with an artifact, from its manifest alone, and go with it; so what is in the trash still needs
 * its packs. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** struct catalog_pack - a pack that no artifact needs. */
struct catalog_pack {
	uint64_t ino;
	char path[512];
	char job[201];           /* whose packs it is among */
	int64_t run_id;          /* that made it */
	int64_t finished_at_us;  /* when it was made */
	int64_t locked_until_us; /* 0: it is not locked */
	int64_t newest_run; /* the last run that made an artifact which needs packs of the job; 0: there is none */
};
/** catalog_next_unneeded_pack() - the first whose path is behind @after ("": of all), of those that are listed; -ENOENT: there are no more. */
int catalog_next_unneeded_pack(struct catalog *c, const char *after, struct catalog_pack *ret);
/** catalog_each_pack_of_job() - call @row for each pack of @job that a run behind @after_run made, in the order of their paths; not for those that are damaged. */
int catalog_each_pack_of_job(struct catalog *c, const char *job, int64_t after_run,
                             void (*row)(void *arg, uint64_t ino, const char *path), void *arg);

/** catalog_needs_packs() - does artifact @ino need any? False also when that cannot be known. */
bool catalog_needs_packs(struct catalog *c, uint64_t ino);

/** catalog_each_needed_pack() - call @row with the inode number of each pack that artifact @ino needs, in the order of their paths. *@ret_missing: so many of them are not
 * listed. */
int catalog_each_needed_pack(struct catalog *c, uint64_t ino, void (*row)(void *arg, uint64_t pack_ino),
                             void *arg, uint64_t *ret_missing);

/** struct catalog_newest - an artifact that needs packs of a job. */
struct catalog_newest {
	uint64_t ino;
	char path[512];
	int64_t run_id;
};
/** catalog_newest_with_needs() - the one that was made last, by the number of its run, and is neither damaged nor removed; -ENOENT: there is none. */
int catalog_newest_with_needs(struct catalog *c, const char *job, struct catalog_newest *ret);
