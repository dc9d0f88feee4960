// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The catalog: SQLite (which no other room includes) in <state_dir>/catalog.db, WAL mode, synchronous=FULL.
 * It is an index of the bucket's artifacts, and the truth about runs, the audit and probe results. The tree
 * is served from here: every lookup and every page of a directory is one indexed query, so that a million
 * artifacts cost no memory.
 *
 * One connection writes, under a lock of this room; writers commit before they return, so 0 means durable.
 * Readers use connections of their own and never wait for a writer. Blocking: local disk only. Any thread. A
 * `row` callback runs while its query does: it may keep copies of what it is given, but must not call the
 * catalog.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** catalog_open() - open or create, migrate; -EBADMSG when the file is no (sound) catalog: the message says
 * to rebuild. */
int catalog_open(const char *state_dir, struct catalog **ret_catalog, struct error *err);
/** catalog_free() - checkpoint and close. NULL allowed; returns NULL. */
struct catalog *catalog_free(struct catalog *c);
DEFINE_CLEANUP(catalog, struct catalog *, catalog_free)
/** catalog_generation() - grows with every committed write of this process: a cheap "has anything
 * changed?". */
uint64_t catalog_generation(const struct catalog *c);
/** catalog_lock() - take <state_dir>/lock for this process (it lasts until @ret_fd is closed); -EBUSY names
 * the holder's pid. */
int catalog_lock(const char *state_dir, int *ret_fd, struct error *err);

/** catalog_store_url() - heap: the store whose artifacts are listed here; NULL before one was set. */
char *catalog_store_url(struct catalog *c);
int catalog_set_store_url(struct catalog *c, const char *store_url, struct error *err);

/* Artifacts and directories. */

enum catalog_kind {
	CATALOG_DIRECTORY, /* of a job or one of its databases */
	CATALOG_ARTIFACT,  /* a file, or with is_directory a directory of files */
	CATALOG_FILE,      /* a further file of an artifact: beside it, or in it when that is a directory */
};

struct catalog_entry {       /* a file or a directory below backups/ */
	uint64_t ino;        /* artifacts and their files: ino_of_artifact() of the path */
	uint64_t parent_ino; /* of the directory that shows it; 0 for directories directly in backups/ */
	enum catalog_kind kind;
	bool is_directory;
	uint64_t artifact_ino; /* CATALOG_FILE: whose it is; CATALOG_ARTIFACT: its own */
	/* position among those of its kind in its directory. Artifacts: name_sequence(). Directories: order
	 * of creation. Files of an artifact: by artifact, then in the manifest's order */
	int64_t sequence;
	char name[NAME_MAX_BYTES];
	uint64_t size_bytes;     /* files */
	int64_t mtime_us;        /* files: completion. Directories: last publication or removal */
	uint32_t subdirectories; /* directories: with the artifacts that are directories */
	uint32_t files;          /* directories: artifacts; artifacts that are directories: their files */
	uint64_t sums_bytes;     /* directories: size of SHA256SUMS */
};

/** catalog_ensure_directory() - make the row of "backups/full" or "backups/tenants/acme" and its parents;
 * idempotent. */
int catalog_ensure_directory(struct catalog *c, const char *path, int64_t mtime_us, struct error *err);
/** catalog_drop_empty_directories() - forget directories that hold nothing and are not in @keep
 * (NULL-terminated paths). */
int catalog_drop_empty_directories(struct catalog *c, const char *const *keep, struct error *err);
/** catalog_entry_by_ino() - -ENOENT when there is none (or it is being deleted). @ino 0 is backups/ itself,
 * with counts. */
int catalog_entry_by_ino(struct catalog *c, uint64_t ino, struct catalog_entry *ret);
/** catalog_entry_by_name() - in directory @parent_ino (0: backups/). */
int catalog_entry_by_name(struct catalog *c, uint64_t parent_ino, const char *name,
                          struct catalog_entry *ret);
/** catalog_entry_latest() - the newest artifact of a directory that is neither partial nor damaged, else the
 * newest that is not partial, else the newest; -ENOENT when it has none. */
int catalog_entry_latest(struct catalog *c, uint64_t directory_ino, struct catalog_entry *ret);
/**
 * catalog_entries() - a page of a directory: those of one kind, by sequence, greater than @after
 * @directory_ino: of a directory, or of an artifact that is one (which holds only CATALOG_FILE)
 * Return: how many of @max were filled; 0 at the end; negative errno. Start with @after = -1.
 */
ssize_t catalog_entries(struct catalog *c, uint64_t directory_ino, enum catalog_kind kind, int64_t after,
                        struct catalog_entry *entries, size_t max);
/** catalog_path() - heap: the path of an entry ("backups/full/…"); NULL when there is none. */
char *catalog_path(struct catalog *c, uint64_t ino);
/** catalog_manifest() - all facts of an artifact without its objects and files; -ENOENT. @ino may be that of one of its
 * files: the facts are the artifact's. */
int catalog_manifest(struct catalog *c, uint64_t ino, struct manifest *ret);
/** catalog_files() - call @row for each further file of an artifact, in order. */
int catalog_files(struct catalog *c, uint64_t artifact_ino,
                  void (*row)(void *arg, const char *name, uint64_t size_bytes, const char *sha256),
                  void *arg);
/** catalog_file_sha256() - of an artifact's file or of one of its further files into @ret ("" when not
 * known); -ENOENT. */
int catalog_file_sha256(struct catalog *c, uint64_t ino, char ret[static SHA256_HEX_BYTES]);
/** catalog_key() - heap: of the object of an artifact's file, or of one of its further files; NULL where
 * catalog_object() has none. */
char *catalog_key(struct catalog *c, uint64_t ino);
/** catalog_object() - what the store holds of an artifact's file, or of one of its further files, with its extents;
 * finish with manifest_object_finish(). -ENOENT when there is no such file, or nothing of it that this keepfs knows how
 * to read. */
int catalog_object(struct catalog *c, uint64_t ino, struct manifest_object *ret);
/** catalog_sums() - call @row for each line of a directory's SHA256SUMS, oldest artifact first, its files
 * behind it: without the line end. An artifact that is a directory has one line, for the SHA256SUMS in it;
 * one whose digest is not known has a comment ("# NAME: not read back, so its SHA-256 is not known"). */
int catalog_sums(struct catalog *c, uint64_t directory_ino, void (*row)(void *arg, const char *line),
                 void *arg);

/* catalog_add_artifact() in a rebuild: its deletion has begun, it stays hidden. */
#define CATALOG_ENTOMBED 1

/**
 * catalog_add_artifact() - list an artifact (its manifest is durable), note it at its run, drop its intent:
 * one transaction
 *
 * Replaces a row of the same path. Its extents must be loaded. In a rebuild a run that is not known is made
 * from @m.
 *
 * Return: 0; CATALOG_ENTOMBED; -EEXIST when another path has its position in the directory or its inode
 * number.
 */
int catalog_add_artifact(struct catalog *c, const struct manifest *m, struct error *err);
/** catalog_entomb_artifact() - hide it and its files from every query above: its deletion has begun. With @by_policy
 * -EPERM where policy_check_removal() forbids it, asked in the same transaction. */
int catalog_entomb_artifact(struct catalog *c, uint64_t ino, bool by_policy, struct error *err);
/** catalog_mark_damaged() - reading it has shown that the store no longer holds its bytes: it counts as no
 * good backup any more. So is the artifact that is a directory when a file of it is; the artifact that a
 * damaged file is beside is not. The first reason stays; a rebuild forgets it. */
int catalog_mark_damaged(struct catalog *c, uint64_t ino, const char *reason, struct error *err);
bool catalog_is_damaged(struct catalog *c, uint64_t ino);
/** catalog_set_verified() - the bytes of artifact @ino were read whole at @at_us, and were right. Of an
 * artifact that is a directory, and of further files, nothing is kept. A rebuild goes back to what the
 * manifest says. */
int catalog_set_verified(struct catalog *c, uint64_t ino, int64_t at_us, struct error *err);
/** catalog_damaged() - call @row for each artifact, and each file beside one, that was marked. */
int catalog_damaged(struct catalog *c,
                    void (*row)(void *arg, uint64_t ino, const char *path, const char *reason), void *arg);
/** catalog_drop_artifact() - its object and manifest are gone: forget it. */
int catalog_drop_artifact(struct catalog *c, uint64_t ino, struct error *err);
/** catalog_tombs() - call @row with the path of each deletion that has begun and not ended. */
int catalog_tombs(struct catalog *c, void (*row)(void *arg, uint64_t ino, const char *path), void *arg);
/** catalog_sequence_taken() - is there an artifact, tomb or intent of this directory at @sequence? */
bool catalog_sequence_taken(struct catalog *c, const char *directory_path, int64_t sequence);
/**
 * catalog_begin_rebuild(), catalog_end_rebuild() - between them all artifact rows are replaced in one
 * transaction: commit or nothing
 *
 * It belongs to the calling thread, which also adds the artifacts and ends it; other writers wait for the
 * end. Tombs stay.
 */
int catalog_begin_rebuild(struct catalog *c, struct error *err);
int catalog_end_rebuild(struct catalog *c, bool commit, struct error *err);

struct catalog_totals {
	uint64_t artifacts;
	uint64_t stored_bytes;              /* with their further files */
	int64_t oldest_at_us, newest_at_us; /* 0: none */
	int64_t newest_whole_at_us;         /* of those that are neither partial nor damaged */
};
int catalog_totals(struct catalog *c, const char *job, struct catalog_totals *ret); /* @job NULL: all */

/* Intents: objects that a run is about to write. Recorded before the first byte, so that a crash leaves
 * nothing that the next start cannot find. */

int catalog_add_intent(struct catalog *c, int64_t run_id, const char *path, struct error *err);
/** catalog_stem_taken() - 1 when an artifact with that stem ("2026-11-20") is in the directory, is being deleted there,
 * or announced; 0; negative errno. */
int catalog_stem_taken(struct catalog *c, const char *directory_path, const char *stem);
/** catalog_intent_run() - the run that announced @path; -ENOENT. */
int catalog_intent_run(struct catalog *c, const char *path, int64_t *ret_run_id);
int catalog_drop_intent(struct catalog *c, const char *path, struct error *err);
int catalog_intents(struct catalog *c, void (*row)(void *arg, int64_t run_id, const char *path), void *arg);

/* Runs: the history. */

enum run_state { RUN_PENDING, RUN_RUNNING, RUN_COMPLETED, RUN_FAILED, RUN_CANCELLED };
#define RUN_STATES (RUN_CANCELLED + 1)
const char *run_state_name(enum run_state state);

struct catalog_run {
	int64_t id;
	char job[NAME_MAX_BYTES];
	char kind[16]; /* "dump" */
	enum run_state state;
	char triggered_by[128];
	char note[256];    /* of whoever triggered it; "" */
	char options[512]; /* what the trigger changed of the job: "format=plain content=schema"; "" */
	char damaged[512]; /* reading has shown it of a backup that the run made: its name and why; "" */
	char warning[512]; /* completed, but somebody should look: shown by health until the next run; "" */
	int64_t queued_at_us, started_at_us, finished_at_us; /* 0: not yet */
	uint64_t size_bytes;                                 /* sum of its artifacts */
	uint64_t targets;                                    /* databases it covers */
	uint64_t targets_failed;
	char sha256[SHA256_HEX_BYTES]; /* of its artifact when it has exactly one */
	char error[1536];
};

struct catalog_target { /* one thing that a run makes an artifact of: a database, a directory */
	char label[256];
	enum run_state state;
	char path[512]; /* of its artifact; "" */
	uint64_t size_bytes;
	char error[1536];
};

/** catalog_add_run() - a pending run as @run says (job, kind, triggered_by, note, options). Return 0; -EBUSY
 * (with the run's number in @err) when that job has one that is pending or running. */
int catalog_add_run(struct catalog *c, const struct catalog_run *run, int64_t *ret_id, struct error *err);
/** catalog_warn_run() - add to a run's warnings ("; " between two). */
int catalog_warn_run(struct catalog *c, int64_t id, const char *warning, struct error *err);
int catalog_start_run(struct catalog *c, int64_t id, struct error *err);
int catalog_set_target(struct catalog *c, int64_t run_id, const struct catalog_target *target,
                       struct error *err);
/** catalog_finish_run() - its end, and with the same state and @error (NULL: none) that of its databases that
 * are still pending or running. -ENOENT when it is not pending or running. */
int catalog_finish_run(struct catalog *c, int64_t id, enum run_state state, const char *error,
                       struct error *err);
int catalog_log_run(struct catalog *c, int64_t id, const char *line,
                    struct error *err); /* at most 2000 lines a run are kept */
int catalog_run(struct catalog *c, int64_t id, struct catalog_run *ret); /* -ENOENT */
/** catalog_runs() - runs with id below @before (0: from the newest), newest first, at most @max; returns how
 * many. @job NULL: all. */
ssize_t catalog_runs(struct catalog *c, const char *job, int64_t before, struct catalog_run *runs,
                     size_t max);
ssize_t catalog_run_targets(struct catalog *c, int64_t run_id, size_t offset, struct catalog_target *targets,
                            size_t max);
int catalog_run_log(struct catalog *c, int64_t id, void (*row)(void *arg, int64_t at_us, const char *line),
                    void *arg);
/** catalog_unfinished_runs() - call @row for each pending or running one: at start these are a crash's. */
int catalog_unfinished_runs(struct catalog *c, void (*row)(void *arg, const struct catalog_run *run),
                            void *arg);
/** catalog_run_totals() - call @row for each job that ever ran and each state that a run of it ever was in:
 * how many are in it now, and when the last of these ended (0: none has), by job. Costs nothing per run. */
int catalog_run_totals(struct catalog *c,
                       void (*row)(void *arg, const char *job, enum run_state state, uint64_t runs,
                                   int64_t last_finished_at_us),
                       void *arg);
/** catalog_last_size() - size of the last artifact of a directory that is not partial, for an estimate of
 * progress; 0 when there is none. */
uint64_t catalog_last_size(struct catalog *c, const char *directory_path);

/* Audit and probes. */

struct catalog_audit {
	int64_t at_us;
	int64_t uid, pid; /* -1: keepfs itself */
	char command[64];
	char action[32]; /* "read", "link", "trigger", "remove", "cancel", "probe", "rebuild", "damaged" */
	char object[512];
	char result[16]; /* "ok", "denied", "failed" */
	char detail[512];
};
int catalog_add_audit(struct catalog *c, const struct catalog_audit *entry, struct error *err);
/** catalog_audits() - newest first. */
int catalog_audits(struct catalog *c, void (*row)(void *arg, const struct catalog_audit *entry), void *arg);

struct catalog_probe {
	char check[64]; /* "store", "database full", … */
	bool ok;
	int64_t at_us;
	char detail[1024];
};
/** catalog_set_probes() - the result of one whole probe replaces the last. */
int catalog_set_probes(struct catalog *c, const char *store_url, const struct catalog_probe *probes,
                       size_t count, struct error *err);
ssize_t catalog_probes(struct catalog *c, struct catalog_probe *probes, size_t max);
/** catalog_store_verified() - when the store check last passed for this @store_url; 0: never. */
int64_t catalog_store_verified(struct catalog *c, const char *store_url);
