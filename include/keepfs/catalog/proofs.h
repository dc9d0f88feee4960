// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What was proven of artifacts, and when: that their bytes are right, that they can be restored. A proof outlives a rebuild of the
 * catalog, and is in its copies. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** enum proof_level - what was looked at. PROOF_STRUCTURE includes PROOF_BYTES; those behind are of what was restored, each includes the one
 * before it, and they say nothing of bytes that a restore does not need. Catalogs and texts have the numbers. */
enum proof_level {
	PROOF_BYTES,     /* every byte was read from the store, and is what was sent */
	PROOF_STRUCTURE, /* it was decompressed to its end, which is as it must be; the rows that were counted when it was made, if any were, are there */
	PROOF_RESTORED,  /* it was restored, without an error */
	PROOF_EQUAL, /* what was restored is what was backed up: rows and hash of each table, the other objects */
	PROOF_SOUND,  /* constraints hold, indexes agree with their tables */
	PROOF_YOURS,  /* what the configuration asks is answered as it says */
	PROOF_MOMENT, /* of a cluster: it was recovered to a moment, with a transaction from before it, and without one from behind it; where nothing is asked, it includes PROOF_SOUND alone */
};
#define PROOF_LEVELS (PROOF_MOMENT + 1)

/**
 * catalog_set_proof() - artifact @ino was found right up to @level at @at_us, in a run (0: in none)
 * @damage: the mark that it had when that began (catalog_damage()); NULL: none
 * What is known of these levels from a later time stays, unless that is in the future. The mark goes, if it is still the same and
 * came of a level that was proven now: the store has its bytes again. Of one that was marked meanwhile nothing is proven.
 */
int catalog_set_proof(struct catalog *c, uint64_t ino, enum proof_level level, int64_t at_us, int64_t run_id,
                      const char *damage, struct error *err);
/** catalog_mark_unsound() - catalog_mark_damaged() of what @level has shown: a proof of less says nothing against it. What was proven
 * before is forgotten. */
int catalog_mark_unsound(struct catalog *c, uint64_t ino, enum proof_level level, const char *reason,
                         struct error *err);
/** catalog_damage() - heap: what is wrong with the artifact; NULL: nothing that is known. */
char *catalog_damage(struct catalog *c, uint64_t ino);
/** catalog_files_damage() - heap: what is wrong with single files of the artifact, for catalog_mend_files(); NULL: nothing that is known. */
char *catalog_files_damage(struct catalog *c, uint64_t ino);
/** catalog_mend_files() - its files were all found right: the marks go that they had when that began (@damage, of catalog_files_damage()).
 * What was marked meanwhile stays. */
int catalog_mend_files(struct catalog *c, uint64_t ino, const char *damage, struct error *err);
/** catalog_proofs() - when each level was last proven of an artifact; 0: it was not. What was read back when it was made counts. */
int catalog_proofs(struct catalog *c, uint64_t ino, int64_t ret_at_us[static PROOF_LEVELS]);

/** struct catalog_unproven - an artifact, and since when nobody has proven its bytes. */
struct catalog_unproven {
	uint64_t ino;
	int64_t proven_at_us; /* 0: they never were */
	int64_t finished_at_us;
	uint64_t stored_bytes; /* of all its objects */
	char path[512];
};
/** catalog_least_proven() - of all artifacts that are not damaged the one whose bytes were proven longest ago, of those behind @after
 * (proven_at_us -1: of all; may be @ret); -ENOENT: there is none. */
int catalog_least_proven(struct catalog *c, const struct catalog_unproven *after,
                         struct catalog_unproven *ret);
/** struct catalog_unproven_sum - what of the store nobody has read for long. */
struct catalog_unproven_sum {
	uint64_t count, bytes;         /* of those that are late */
	uint64_t all_count, all_bytes; /* of all, damaged or not */
};
/** catalog_sum_unproven() - of artifacts that are not damaged, those that were made before @before_us, and were not proven from then up
 * to @now_us: what is dated later a wrong clock has said. It reads the late ones from an index; the rest is known. */
int catalog_sum_unproven(struct catalog *c, int64_t before_us, int64_t now_us,
                         struct catalog_unproven_sum *ret);

/** struct catalog_proven - of a directory and a level the backup that was made last of those that are known to have it. All text is
 * borrowed for the call. */
struct catalog_proven {
	const char *directory, *name; /* "backups/full", "20261120T020000Z.dump" */
	enum proof_level level;       /* PROOF_BYTES, PROOF_STRUCTURE or PROOF_RESTORED */
	enum proof_level highest;     /* of PROOF_RESTORED: how much its restore has proven */
	int64_t at_us;                /* when it was proven */
	int64_t finished_at_us;       /* when it was made */
};
/** catalog_each_proven() - call @row for each, in the order of directories and levels. That a backup was read back when it was made is
 * no row. One query, whose cost does not depend on the number of backups. */
int catalog_each_proven(struct catalog *c, void (*row)(void *arg, const struct catalog_proven *proven),
                        void *arg);

/** catalog_good_beside() - heap: catalog_find_good() as a path; NULL: there is none, or the catalog cannot be read. */
char *catalog_good_beside(struct catalog *c, uint64_t ino);

/** struct catalog_good_copy - a backup that is whole, in place of one that is not. */
struct catalog_good_copy {
	char path[512], kind[32]; /* "backups/full/20261120T020000Z.dump", "dump" */
	int64_t started_at_us, finished_at_us;
	int64_t verified_at_us; /* 0: nobody has read it back */
	bool is_of_another_job; /* of the same database */
	bool is_newer;          /* than the one it is in place of */
};
/**
 * catalog_find_good() - what is left in place of artifact @ino (or the artifact whose file that is): of those in the same directory that
 * are whole the one that was made last before it, else first after it; else, of a dump, the newest one that another job has made
 * of the same database. -ENOENT: there is none.
 */
int catalog_find_good(struct catalog *c, uint64_t ino, struct catalog_good_copy *ret);
