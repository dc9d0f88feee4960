// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the files of this room share of what the catalog holds. A change of one row brings changes of others
 * with it, and each kind of row is written in one file:
 *
 *   directories.c          directories
 *   artifacts.c            artifacts, and with them the tombs
 *   files.c                their further files, and the objects of all
 *   damaged.c              what reading has shown of both
 *   holds.c                who holds an artifact
 *   trash.c                what was removed and can be taken back
 *   retention.c            what of a directory is kept: the facts, and what was decided
 *   newest.c               sums over a job's artifacts, and which was made last
 *   intents.c              what is about to be written
 *   runs.c, targets.c      the history
 *   rebuild.c, known.c     the frame in which all artifacts are listed anew; what of them no manifest tells
 *   replicas.c             what further stores have of artifacts
 *   rewraps.c              artifacts that get other objects
 *   records.c              what leaves the catalog for the store
 *   compare.c              what the catalog and the store have different
 *   copy.c, copy_make.c    the copy for the store; copy_file.c, restored.c: a catalog that is made from one
 *   watch.c, acks.c        what health asks beside these, and what people have said about it
 *   members.c, servers.c   databases that jobs find out by themselves, and what servers have
 *   schedules.c            what was due and is dealt with; the switches; the clock
 *   audit.c, probes.c, bound.c
 *   notices.c, receivers.c what was told, and what waits to be told
 *   entries.c, sums.c      the tree as it is read
 *   inside.c               what was looked into
 *   history.c              what was counted of tables whose versions were looked at
 *   overview.c             few facts of many rows
 *   chain.c                where the chains of what is signed end
 *   wal.c                  the files of WAL archives
 *   wal_places.c           where they lie in the log, and what is known of their content; wal_index.c: what that is asked for
 *   wal.c, wal_keep.c, wal_copies.c  the files of WAL archives; what of them is kept; what further stores have
 *
 *   connection.c           one connection to SQLite
 *   access.c               who may use which: queries and transactions
 *   migrations.c, schema.c, open.c  the file itself; schema_maker.c: what a new one begins with
 */
#include "connection.h"

#include <keepfs/base/str.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/manifest.h>

/** migrations - the history of the tables, the oldest first: scripts of SQL. */
extern const char *const migrations[];
extern const size_t migration_count;
/** schema_whole - what all of them make of an empty file, as one script; made by the build (schema_maker.c). */
extern const char schema_whole[];
/** schema_migrate() - bring the file to the newest format, or refuse it; the reason is in @c->error. */
int schema_migrate(struct connection *c);
/** schema_migrate_to() - the same up to format @newest, as the keepfs did that knew no newer one: for tests. */
int schema_migrate_to(struct connection *c, int64_t newest);
/** schema_is_old() - the file is of an older format than schema_newest(): 1; 0; negative errno, with the reason in @c->error. */
int schema_is_old(struct connection *c);
/** schema_newest() - the format that schema_migrate() brings it to. */
int64_t schema_newest(void);
#define SCHEMA_APPLICATION_ID 1801807216 /* "keep": the file is no other program's */

#define CATALOG_NAME   "catalog.db"
#define COPY_FILE_NAME "catalog-copy.tmp" /* a copy that is being made, or was got from the store */

/** ino_is_artifact() - of an artifact or one of its files, not of a directory: see codec/name.h. */
static inline bool ino_is_artifact(uint64_t ino)
{
	return ino >> 61 == 3;
}

/** object_sealed_bytes() - the column sealed_bytes of a file that has this object (NULL: none). */
struct value object_sealed_bytes(const struct manifest_object *o);
/** sums_append() - a line of SHA256SUMS without its end; @sha256 "" when it is not known. */
void sums_append(struct str *out, const char *name, bool is_directory, const char *sha256);
/** sums_bytes() - of all lines of an artifact, with their ends. */
uint64_t sums_bytes(const struct manifest *m, const char *name);

/* Why an artifact counts as damaged that has no manifest in the store any more. Its bytes may still be there, so it is not
 * for everybody to remove as one that reading has shown to be damaged. */
#define MISSING_REASON "missing in the store: its manifest is not there any more"

/* Within a transaction. */

/** directory_ensure() - the row of a directory, made with those above it where it is missing; its number.
 * -EINVAL when the path is none below backups/. */
int directory_ensure(struct connection *c, const char *path, int64_t mtime_us, uint64_t *ret_ino);
/** directory_touch() - the mtime of a directory and those above it becomes @mtime_us, never earlier than it
 * was. */
int directory_touch(struct connection *c, uint64_t ino, int64_t mtime_us);
/** path_split() - heap: the directory of an artifact's path; its name and sequence. -EINVAL when it is no
 * such path. */
int path_split(struct connection *c, const char *path, char **ret_directory, const char **ret_name,
               int64_t *ret_sequence);
/** object_insert() - its number. @o NULL: a row for nothing in the store. -EINVAL when its extents were not loaded. */
int object_insert(struct connection *c, const struct manifest_object *o, int64_t *ret_id);
/** files_insert() - the rows of an artifact's further files. */
int files_insert(struct connection *c, const struct manifest *m, uint64_t directory_ino, int64_t sequence);
/** parts_insert() - the rows of its parts; @starts: of each file of @m the number in sequence of its row, and behind the last the one that follows. */
int parts_insert(struct connection *c, const struct manifest *m, const int64_t *starts);
/** files_delete() - drop them, a batch at a time. */
int files_delete(struct connection *c, uint64_t artifact_ino);
/** artifact_find_known() - 0 when the artifact @path is listed, being deleted, or announced; -ENOENT. */
int artifact_find_known(struct connection *c, const char *path);
struct catalog_hold;
struct catalog_audit;
/** audit_add() - a line; the transaction says by write_touches() that it changes the audit. */
int audit_add(struct connection *c, const struct catalog_audit *entry);
/** hold_set() - one more hold of artifact @ino, in place of one of the same name. */
int hold_set(struct connection *c, uint64_t ino, const struct catalog_hold *hold);
/** holds_restore() - those that the store knows, of artifact @ino, which was just listed. */
struct catalog_marks;
int holds_restore(struct connection *c, uint64_t ino, const struct catalog_marks *marks);
/** intent_drop() - forget the intent of a path, if there is one. */
int intent_drop(struct connection *c, const char *path);
/** run_add() - a pending run; -EBUSY when its job has another one. */
int run_add(struct connection *c, const struct catalog_run *run, int64_t *ret_id);
/** run_settle_targets() - databases of a run that are pending or running end with it. */
int run_settle_targets(struct connection *c, int64_t run_id, enum run_state state, const char *error);
/** needs_insert() - the packs that an artifact needs, which is listed by the same transaction. */
int needs_insert(struct connection *c, const struct manifest *m);
/** bases_insert() - what an artifact that is a base needs of the write-ahead log: the same. */
int bases_insert(struct connection *c, const struct manifest *m);
/** copy_needs_set() - the packs that the copy of an artifact in @store needs: its manifest there is @m. */
int copy_needs_set(struct connection *c, uint64_t store, const struct manifest *m);
/** run_note_artifact() - an artifact of a known run is listed: note it there. */
int run_note_artifact(struct connection *c, const struct manifest *m);
struct catalog_unsigned;
/** chain_unsigned_gone() - catalog_unsigned_gone() within a transaction. chain_note_named() - catalog_unsigned_note() by the link that was just given out, but for those that are
 * gone. */
int chain_unsigned_gone(struct connection *c, uint64_t store, const char *path, int64_t run_id, int64_t link);
int chain_note_named(struct connection *c, uint64_t store, const struct catalog_unsigned *named, size_t count,
                     int64_t link);
/** chain_note_artifact() - the link that its manifest is, of one that is listed. */
int chain_note_artifact(struct connection *c, const struct manifest *m, uint64_t store);
/** known_keep() - what no manifest tells of the artifacts is kept aside; known_give_back() - to one that was listed anew;
 * known_forget() - all are listed. */
int known_keep(struct connection *c);
int known_give_back(struct connection *c, uint64_t ino);
int known_forget(struct connection *c);
/* What proofs say that is dated later than that, in microseconds from now, a clock has said that was ahead. */
#define PROOF_FUTURE_US "86400000000"
/** proofs_forget() - of an artifact that is gone; proofs_give_back() - to one that was listed anew in a rebuild;
 * proofs_forget_gone() - at its end: of those that were not. */
int proofs_forget(struct connection *c, uint64_t ino);
int proofs_give_back(struct connection *c, uint64_t ino);
int proofs_forget_gone(struct connection *c);
/** inside_forget() - of an artifact that is gone; inside_forget_gone() - at the end of a rebuild: of those that are. */
int inside_forget(struct connection *c, uint64_t artifact_ino);
int inside_forget_gone(struct connection *c);
/** history_forget_gone() - at the end of a rebuild: of directories and artifacts that are gone. */
int history_forget_gone(struct connection *c);
/** known_copy() - the same as known_keep(), of the attached catalog `source`. */
int known_copy(struct connection *c);
/** run_rebuild() - add what is not known of an artifact's run. */
int run_rebuild(struct connection *c, const struct manifest *m);

struct catalog_wal;
struct catalog_wal_known;
/** wal_place_add() - what is known beside the row that was just added as @id. */
int wal_place_add(struct connection *c, int64_t id, const struct catalog_wal *w,
                  const struct catalog_wal_known *known);
/** WAL_COLUMNS - what take_wal_row() reads. */
#define WAL_COLUMNS "SELECT id, job, name, key, bytes, stored_bytes, sha256, arrived_us FROM wal_segment "
struct query;
struct catalog_wal;
void take_wal_row(const struct query *query, struct catalog_wal *ret);
/** wal_leave_copies() - the file of that number goes: what further stores have of it is to be removed there. */
int wal_leave_copies(struct connection *c, const char *job, int64_t id, const char *key);
