// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The rows of artifacts as they come, are found to be right or damaged, and go. See keepfs/catalog.h for what
 * is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/* catalog_add_artifact() in a rebuild: its deletion has begun, it stays hidden. */
#define CATALOG_ENTOMBED 1

/**
 * catalog_add_artifact() - list an artifact (its manifest is durable), note it at its run, drop its intent:
 * one transaction
 *
 * It is in the store that its intent names; without one, in the catalog's own. Replaces a row of the same path. Its extents must be loaded. In a rebuild a run that is not known is made
 * from @m.
 *
 * Return: 0; CATALOG_ENTOMBED; -EEXIST when another path has its position in the directory or its inode
 * number.
 */
int catalog_add_artifact(struct catalog *c, const struct manifest *m, struct error *err);
struct catalog_audit;
struct catalog_hold;
struct catalog_removal;
/** struct catalog_marks - what a store knows of an artifact beside its manifest; all borrowed for the call. */
struct catalog_marks {
	uint64_t store; /* which one knows it, and has the artifact: keepfs/catalog/stores.h */
	bool has_holds; /* the store has an object for its holds */
	bool says_all; /* that object was understood: the hold that came with the trigger counts only if it is among @holds */
	const struct catalog_hold *holds;
	size_t hold_count;
	const struct catalog_removal *trash; /* somebody has put it into the trash; NULL: nobody has */
};
/** catalog_restore_artifact() - catalog_add_artifact() of one that the store has had for a while. It is listed with its
 * holds, or hidden, in one transaction: it is never seen without them, and a crash leaves all of it or nothing. */
int catalog_restore_artifact(struct catalog *c, const struct manifest *m, const struct catalog_marks *marks,
                             struct error *err);
/** catalog_manifest() - all facts of an artifact without its objects and files; -ENOENT. @ino may be that of one of its
 * files: the facts are the artifact's. */
int catalog_manifest(struct catalog *c, uint64_t ino, struct manifest *ret);
/** catalog_has_another() - is an artifact listed in the directory @path of which the fact @fact ("tenant_id") says something other than @value? Those that do not say it are none. 1, 0, or
 * a negative errno. */
int catalog_has_another(struct catalog *c, const char *path, const char *fact, const char *value);
/** catalog_find_content() - heap: the path of an artifact that is listed directly in the directory @path, is not known to be damaged, is one file, and has this SHA-256 and size; -ENOENT. Reads
 * the rows of the directory. @only_own: not one that was adopted, whose bytes lie with others, who may remove them. Without it such a one is preferred. */
int catalog_find_content(struct catalog *c, const char *path, const char *sha256, uint64_t size_bytes,
                         bool only_own, char **ret_path);
/** catalog_keep_until() - it is promised that the artifact stays until then at least, as when it was made (manifest.keep_until_us); a longer promise stays. A rebuild, and a copy of the catalog, keep that. -ENOENT: it is not listed (any more). */
int catalog_keep_until(struct catalog *c, uint64_t ino, int64_t until_us, struct error *err);
/** struct catalog_removal - a removal, and what policy_check_removal() has to know that the catalog does not. */
struct catalog_removal {
	unsigned min_keep;      /* good ones that stay in any case */
	bool is_gone;           /* its database is gone, for longer than its backups have to stay */
	bool is_decided;        /* policy is not asked: it was, when this was first done */
	int64_t now_us;         /* 0: clock_now_us() */
	int64_t trash_until_us; /* until then it can be taken back; 0: it cannot */
	const char *by;         /* who removes it: "uid 0 (rm)", "retention"; NULL: nobody asks */
	const char *reason;     /* why; NULL or "" */
	bool is_marked;         /* the store knows already that it is in the trash */
	/* The line that tells of it as done; NULL: none. It is written once, with the transaction that ends the removal: the one
	 * that puts it into the trash, or that forgets what is deleted, be it after a crash. */
	const struct catalog_audit *audit;
};
/** catalog_entomb_artifact() - hide it and its files from the tree and from catalog_manifest(): its deletion
 * has begun, or it is in the trash. -EPERM where policy_check_removal() forbids it, asked in the same transaction; @how
 * NULL: policy is not asked, and there is no trash. */
int catalog_entomb_artifact(struct catalog *c, uint64_t ino, const struct catalog_removal *how,
                            struct error *err);
/** catalog_check_removal() - would catalog_entomb_artifact() do it now? Changes nothing. */
int catalog_check_removal(struct catalog *c, uint64_t ino, const struct catalog_removal *how,
                          struct error *err);
/** catalog_drop_artifact() - its object and manifest are gone: forget it, and write the line of the audit that
 * catalog_entomb_artifact() was given. */
int catalog_drop_artifact(struct catalog *c, uint64_t ino, struct error *err);
/** catalog_give_up_removal() - the store has it whole and does not let it go: it is listed again, as it was. -ENOENT: its
 * deletion has come to its end, or it is in the trash. */
int catalog_give_up_removal(struct catalog *c, uint64_t ino, struct error *err);
/** catalog_tombs() - call @row with the path of each deletion that has begun and not ended, but for what stays in the
 * trash until after @trash_until_us. */
int catalog_tombs(struct catalog *c, int64_t trash_until_us,
                  void (*row)(void *arg, uint64_t ino, const char *path), void *arg);

/** struct catalog_tomb - an artifact whose deletion has begun. */
struct catalog_tomb {
	int64_t run_id;  /* that made it */
	bool is_trashed; /* the store may have a mark that says so */
	bool is_marked;  /* it had one */
	bool has_holds;  /* the store has an object for its holds */
};
/** catalog_tomb() - -ENOENT: it is none, or has come to its end. */
int catalog_tomb(struct catalog *c, uint64_t ino, struct catalog_tomb *ret);
/** catalog_note_left() - why the store still has an artifact whose deletion has begun. */
int catalog_note_left(struct catalog *c, uint64_t ino, const char *why, struct error *err);
/** catalog_each_left() - call @row for each of these. */
int catalog_each_left(struct catalog *c, void (*row)(void *arg, const char *path, const char *why),
                      void *arg);

/** catalog_mark_damaged() - reading it has shown that the store no longer holds its bytes: it counts as no
 * good backup any more. So is the artifact that is a directory when a file of it is; the artifact that a
 * damaged file is beside is not. The first reason stays; a rebuild forgets it. */
int catalog_mark_damaged(struct catalog *c, uint64_t ino, const char *reason, struct error *err);
/** catalog_is_damaged() - was the artifact or file @ino marked? False also when it is not known. */
bool catalog_is_damaged(struct catalog *c, uint64_t ino);
/** catalog_set_verified() - the bytes of artifact @ino were read whole at @at_us, and were right. Of an
 * artifact that is a directory, and of further files, nothing is kept. A rebuild goes back to what the
 * manifest says. */
int catalog_set_verified(struct catalog *c, uint64_t ino, int64_t at_us, struct error *err);
/** catalog_damaged() - call @row for each artifact, and each file beside one, that was marked. */
int catalog_damaged(struct catalog *c,
                    void (*row)(void *arg, uint64_t ino, const char *path, const char *reason), void *arg);

/** struct catalog_totals - the newest is what was made last, by the number of its run, and not what bears the latest
 * date: a clock may have been ahead. */
struct catalog_totals {
	uint64_t artifacts;
	uint64_t stored_bytes;              /* with their further files */
	int64_t oldest_at_us, newest_at_us; /* 0: none */
	int64_t newest_whole_at_us;         /* of those that are neither partial nor damaged */
	int64_t newest_whole_run_id;        /* of the same */
};
/** catalog_totals() - of the artifacts of a job; @job NULL: of all. */
int catalog_totals(struct catalog *c, const char *job, struct catalog_totals *ret);

/** struct catalog_dated - the artifact of a job that bears the latest date. */
struct catalog_dated {
	char path[512];
	int64_t at_us;
	int64_t newest_at_us; /* the date of the one that was made last */
	bool made_last;       /* no other run has made one since */
};
/** catalog_latest_dated() - -ENOENT when the job has none. */
int catalog_latest_dated(struct catalog *c, const char *job, struct catalog_dated *ret);
