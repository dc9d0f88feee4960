// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A backup that is read, be it an artifact or a part of one (keepfs/catalog/parts.h): its files, whole and in order, from the store, each extent checked against the manifest's CRC-32C, and
 * each file against its SHA-256. One thread.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/spool.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/make.h>
#include <keepfs/stream/rate.h>

struct backup {
	const struct make_context *ctx; /* borrowed, as what follows up to ino */
	struct cancel *cancel;
	struct rate *rate;                 /* NULL: no limit */
	atomic_uint_least64_t *done_bytes; /* stored ones; NULL */
	bool own_store; /* what its store has is looked at: what that does not give is not read from a replica */
	uint64_t ino;
	uint64_t artifact_ino; /* which it is, or is a part of: what is kept, held, removed and copied */
	bool is_part;
	int64_t first; /* of a part: the sequence of its first file among those of the artifact */
	char *path;
	bool is_directory;
	char *damage;       /* what was known to be wrong with it when it was opened; NULL: nothing */
	char *files_damage; /* and with single files of it, as catalog_mend_files() takes it; NULL: nothing */
	struct manifest m;  /* what it says of the whole; no files, no objects */
	uint8_t *was_read;  /* a bit for each file, by its place */
	size_t files;
	struct repository *opened_in; /* where backup_finish() has something to end; NULL: nowhere */
	bool as_stored;  /* what is encrypted is only checked, and not decrypted: nobody is given its bytes */
	bool is_unsound; /* the last failure was not of its bytes, but of what they are */
	struct error
	        beside; /* what is wrong with an object that no file shows (prove()); without a class: nothing */
	uint64_t failed_ino; /* of the file that the last failure is about; 0: of none */
};

/** backup_read_manifest() - from the store: of a part what its artifact's says of it. As artifact_read_manifest(). */
int backup_read_manifest(const struct backup *b, struct manifest *ret, struct error *err);
/** backup_set_proof() - catalog_set_proof(), of an artifact; what is proven of a part is not kept: 0. */
int backup_set_proof(const struct backup *b, enum proof_level level, int64_t at_us, int64_t run_id,
                     struct error *err);
/** backup_note_read() - the files that were read of @part, which is one of @b, count as read of @b. */
void backup_note_read(struct backup *b, const struct backup *part);
/** backup_open() - @b: ctx to done_bytes are set. -ENOENT: there is no such backup. */
int backup_open(struct backup *b, uint64_t ino, struct error *err);
void backup_finish(struct backup *b);
static inline void cleanup_backup(struct backup *b)
{
	backup_finish(b);
}

/** backup_store() - that it is read from: the caller's store_free(). As repository_reading_store_of_ino(), or with own_store
 * repository_store_of_ino(). */
int backup_store(const struct backup *b, struct store **ret, struct error *err);

/** struct backup_out - whom the bytes of a file are given; NULL functions: nobody. */
struct backup_out {
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};

/** backup_find() - the file of that name beside it ("tables.csv": of a file X.tables.csv), or in it; -ENOENT. */
int backup_find(const struct backup *b, const char *what, struct catalog_entry *ret);
/** backup_find_data() - the file that a table of contents names ("3456.dat"), compressed or not, in a backup that is a directory. -EBADMSG
 * (ERROR_CORRUPT): it has none. */
int backup_find_data(const struct backup *b, const char *name, struct catalog_entry *ret, struct error *err);
/** backup_own() - the file of a backup that is one. */
int backup_own(const struct backup *b, struct catalog_entry *ret);
/**
 * backup_read() - a file of it to its end
 * Return: 0; -EBADMSG (ERROR_CORRUPT), or ERROR_NOT_FOUND when the store has no such object: the backup is damaged; what @out
 * returned; or why the store did not answer.
 */
int backup_read(struct backup *b, const struct catalog_entry *file, const struct backup_out *out,
                struct error *err);
/** backup_read_plain() - the same, decompressed as its name says (.gz, .zst). */
int backup_read_plain(struct backup *b, const struct catalog_entry *file, const struct backup_out *out,
                      struct error *err);
/** backup_read_rest() - those that were not read yet. @plain: those that are compressed are decompressed to their end. */
int backup_read_rest(struct backup *b, bool plain, struct error *err);
/** backup_object() - what the store has of a file of it, for backup_read_range(); manifest_object_finish(). @name: of the file, for messages. -ENOTSUP: it
 * is kept in a way that is not known here. */
int backup_object(const struct backup *b, uint64_t ino, const char *name, struct manifest_object *ret,
                  struct error *err);
/** backup_read_object() - all of an object that no file shows. As backup_read(), but for the SHA-256, which nobody knows of it. */
int backup_read_object(const struct backup *b, const struct manifest_object *object,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err);
/** backup_check_object() - the same, and its stored SHA-256 is compared; with @b->as_stored nothing is decrypted, and @take (NULL: nobody) is not called. */
int backup_check_object(const struct backup *b, const struct manifest_object *object,
                        int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                        struct error *err);
/** struct backup_range - bytes of a file, each extent of its object checked, and decrypted where it is encrypted; all borrowed. */
struct backup_range {
	const struct manifest_object *object;
	uint64_t begin, end; /* of the file */
	int (*take)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};
/** backup_read_range() - as backup_read(), without asking whether the whole is as it was sent. -EBADMSG also when the object ends before the range does. */
int backup_read_range(const struct backup *b, const struct backup_range *range, struct error *err);
/** struct backup_blobs - who is told of each large object that a list names; a negative return ends it with that and @err. */
struct backup_blobs {
	int (*each)(void *arg, uint32_t oid, const char *name,
	            struct error *err); /* the name of its file, borrowed */
	void *arg;
};
/** backup_each_blob() - of a list of large objects as pg_dump's directory format has it: "16403 blob_16403.dat" on each line. -EBADMSG
 * (ERROR_CORRUPT): it is none, or is cut off. */
int backup_each_blob(const struct spool *list, const struct backup_blobs *blobs, struct error *err);
/** backup_unread() - what was read counts as not read. */
void backup_unread(struct backup *b);
/** backup_is_removed() - somebody has removed it since it was opened. */
bool backup_is_removed(const struct backup *b);
/** backup_is_wrong() - does a failure say that the store holds something else than the backup? */
bool backup_is_wrong(const struct error *err);
