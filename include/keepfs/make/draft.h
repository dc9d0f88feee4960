// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A draft: an artifact while it is made. The order of its steps is what makes a backup trustworthy, and it is the same
 * for every kind:
 *
 *   draft_new()       a name is reserved, and recorded: a crash from here on can be cleared up
 *   draft_open()      … write … draft_finish(): an object, a file of the artifact; any number of them
 *   draft_put()       a file from memory
 *   draft_publish()   everything is read back from the store; then the artifact is listed
 *   draft_free()      what was not published is taken back: nothing stays
 *
 * An object is completed only while the name is still free in the store: a second keepfs that writes to the same place
 * may have made a backup of that name, which must not be replaced.
 *
 * A draft belongs to one thread, but for draft_open(), draft_finish_facts() and draft_pace(), which any may call.
 */
#include <keepfs/base/spool.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/make.h>
#include <keepfs/stream.h>

/*
 * A draft can have parts. Each is made as ever, by the maker of its kind, whose order names the draft that it is a part of: draft_new() makes a draft whose
 * objects lie in the directory of that one, and draft_publish() of it reads it back and enters what it is in that one, which is published by itself
 * when all parts are made. A part reserves nothing, and draft_free() of it takes nothing back: the whole does. One part is under way at a time.
 */

struct draft_options {
	const struct make_context *ctx; /* borrowed, as all of these */
	const struct make_order *order;
	const char *kind;   /* "dump" */
	const char *suffix; /* ".dump", ".schema" */
	bool is_directory;  /* the artifact is one, of all files that are entered */
	/* It is a pack, which other artifacts need (packs/…): it is an artifact of its own whatever the order makes, no rule keeps it, and no run has made it
	 * as its result. */
	bool is_pack;
	/* It is not encrypted, whatever its job says: what it is of is somebody else's, and stays as it is. */
	bool is_plain;
	int64_t started_at_us;
	uint64_t store; /* that gets it: keepfs/catalog/stores.h; 0: the store itself */
};

/** draft_new() - reserve the name. The manifest has what the order says; facts are the caller's. */
int draft_new(const struct draft_options *options, struct draft **ret_draft, struct error *err);
/**
 * draft_set_aside() - the rest of its life goes on beside its run, on a thread that it is given to
 *
 * Its last bytes were written, but it need not be finished. From here on it has memory of its own, enough for what draft_put_object() and reading back take, so that it waits for nothing that the
 * run, which may wait for it, holds. It lets go of that in draft_free(). Never waits.
 * Return: whether it may; if not, there is no memory for that now, and nothing was changed.
 */
bool draft_set_aside(struct draft *d);
/** draft_free() - when its objects were freed: abort and delete what was not published, as far as the store answers: the next start clears up the
 * rest. NULL allowed; returns NULL. */
struct draft *draft_free(struct draft *d);
DEFINE_CLEANUP(draft, struct draft *, draft_free)

/** draft_manifest() - as it is filled; borrowed. */
struct manifest *draft_manifest(struct draft *d);
/** draft_job() - whose rules hold for how what is made is kept, encrypted, copied and read back: the whole's, of a part. */
const struct conf_job *draft_job(const struct draft *d);
/** draft_is_part() - is it a part of another one? */
bool draft_is_part(const struct draft *d);
/** draft_is_encrypted() - are its objects? */
bool draft_is_encrypted(const struct draft *d);
/** draft_pin_packs() - until it, or what it is a part of, is published or given up, no pack of @job is removed (artifact_pin_packs()). */
void draft_pin_packs(struct draft *d, const char *job);
/**
 * draft_add_sum() - of a part with a listing: a line for the SHA256SUMS of the whole
 * @name: of a file that the listing has, as it is shown in the part's directory
 * They are kept in an unlinked file, and so take no memory.
 */
int draft_add_sum(struct draft *d, const char *sha256, const char *name, struct error *err);
/** draft_pace() - 0 once the bytes may go on, after the job's limit of its rate; counts them as read. -ECANCELED. */
int draft_pace(struct draft *d, uint64_t bytes, struct error *err);
/** draft_check_free() - the name is still free in the store; -EEXIST: another keepfs has taken it. */
int draft_check_free(struct draft *d, struct error *err);
/** draft_file_name() - heap: what a file of the artifact is called: "tables.csv" in a directory, else
 * "20261120T020000Z.tables.csv". */
char *draft_file_name(const struct draft *d, const char *what);
/**
 * draft_open() - begin the object of a file
 * @name: of the file, as in manifests; NULL: the artifact's own
 * @head_bytes: as in struct stream_object_options
 */
int draft_open(struct draft *d, const char *name, size_t head_bytes, struct stream_object **ret_object,
               struct error *err);
/** draft_finish() - the object is whole: complete it, and enter the file. @head: as for stream_object_finish(). Files may
 * be entered in any order. */
int draft_finish(struct draft *d, const char *name, struct stream_object *object, const void *head,
                 struct error *err);
struct draft_check;
/**
 * draft_finish_copied() - as draft_finish(), of an object of which the store has copied bytes by itself (stream_object_copy()), and the first one of the draft
 * @object: is freed, whatever comes of it: what it held is needed
 * @check:  as for draft_publish()
 *
 * It is read back at once, whatever the job says: only that tells its SHA-256 and its checksums, and nothing else knows what those bytes are. draft_publish() does not read it once more.
 */
int draft_finish_copied(struct draft *d, const char *name, struct stream_object **object,
                        const struct draft_check *check, struct error *err);
/** draft_enter() - a file whose object was completed by the caller, after draft_check_free(). @facts' extents are
 * taken. */
void draft_enter(struct draft *d, const char *name, struct stream_facts *facts);
/** draft_enter_adopted() - the artifact's own file, which was read whole where it lies already, under @key (manifest_adopted_key()): it is not read back, and never removed when the draft fails. -EEXIST: as
 * draft_check_free(). @facts' extents are taken. */
int draft_enter_adopted(struct draft *d, const char *key, struct stream_facts *facts, struct error *err);
/** draft_keep_secret() - the file that was entered under @name (NULL: the artifact's own) is for nobody but the owner of the mount to read. */
void draft_keep_secret(struct draft *d, const char *name);
/** draft_put() - a file from memory. */
int draft_put(struct draft *d, const char *name, const void *data, size_t len, struct error *err);
/** draft_put_object() - an object that no file shows, under a key beside the manifest: manifest_index_key() or manifest_facts_key() of the draft's path. That of a part
 * lies beside its file, or its directory, under the same ending. */
int draft_put_object(struct draft *d, const char *role, const char *key, const void *data, size_t len,
                     struct error *err);
/** draft_open_object(), draft_finish_object() - the same of one that is not in memory: as draft_open() and draft_finish(). @key: the same for both. */
int draft_open_object(struct draft *d, const char *key, struct stream_object **ret_object, struct error *err);
int draft_finish_object(struct draft *d, const char *role, const char *key, struct stream_object *object,
                        struct error *err);
/** draft_put_spool() - the same of what a spool has. */
int draft_put_spool(struct draft *d, const char *role, const char *key, const struct spool *spool,
                    struct error *err);
/** draft_contents_key() - heap: under which key such an object lies that lists what the artifact has; draft_contents_index_key(): its index. */
char *draft_contents_key(const struct draft *d);
char *draft_contents_index_key(const struct draft *d);
/** draft_file_count(), draft_drop_files() - a way to make the data was given up: the files that it has stored, those
 * behind the first @keep, are no part of what is made in another way. */
size_t draft_file_count(const struct draft *d);
int draft_drop_files(struct draft *d, size_t keep, struct error *err);

/** struct draft_check - what looks at the bytes of the own file while they are read back. */
struct draft_check {
	int (*feed)(void *arg, const void *data, size_t len, struct error *err);
	int (*end)(void *arg, struct error *err);
	void *arg;
};
/**
 * draft_publish() - the list of a directory's digests; reading back, unless the job says verify = none; manifest; row
 * @check: NULL: the checksums of what was sent are enough
 * @ret:   the artifact; the caller's manifest_finish()
 */
int draft_publish(struct draft *d, const struct draft_check *check, struct manifest *ret, struct error *err);

/** A file that consists of segments: one gzip member, or just the bytes. */
struct segment_file {
	struct stream_object *object; /* the caller's to finish and free */
	bool gzip;
	uint32_t check;
	uint64_t raw_bytes;
	uint64_t bytes; /* written so far */
};
/** segment_file_begin() - in @object, to which nothing was written yet. Segments of a @gzip file carry
 * SEGMENT_CHECK_CRC32. */
int segment_file_begin(struct segment_file *f, struct stream_object *object, bool gzip, struct error *err);
int segment_file_add(struct segment_file *f, const struct segment *s, const void *data, struct error *err);
int segment_file_end(struct segment_file *f, struct error *err);
