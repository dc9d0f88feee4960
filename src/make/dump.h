// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the steps of one dump hand to each other.
 *
 *   dump.c       the order of the steps: from the first question to the listed artifact
 *   files.c      what is put into the store, and entered in the manifest
 *   child.c      PostgreSQL's programs, run with the job's options
 *   toc.c        an archive's header and table of contents, kept until they are whole
 *   contents.c   which entries of an archive have data, and what was counted of each
 *   transcode.c  pg_dump's stream, compressed anew: one connection
 *   parallel.c   tables read over several connections, in one snapshot
 *   tape.c       how the tables are cut into slices for that
 *   reader.c     one connection of them, and its thread
 *   output.c     where the data goes, whichever way it was read:
 *   archive.c    into one custom archive
 *   directory.c  …or into the files of a directory
 *   text.c       SQL text, compressed: plain dumps, and the roles of the cluster
 *   passed.c     an archive of a version that is not known here, as pg_dump wrote it
 *   verify.c     everything read back from the store
 */
#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>
#include <keepfs/make.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>
#include <keepfs/stream.h>
#include <keepfs/stream/rate.h>

struct dump {
	const struct make_context *ctx;
	const struct make_dump *order;
	const struct conf_job *job; /* order's */
	struct pg_facts server;
	char program[PG_PATH_BYTES]; /* pg_dump */
	char program_version[128];
	struct compression compression;
	struct rate *rate;
	char *path;        /* of the artifact, once reserved */
	bool passed;       /* an archive as pg_dump wrote it: nothing is known of its inside */
	bool publishing;   /* its manifest may be there, and be ours */
	struct manifest m; /* as it is filled */
	size_t extents;    /* of all files that are entered there */
	int64_t started_mono_us;
};

/** say() - a line for the run's log; warn() - one that somebody should look at, too. Any thread. */
void dump_say(const struct dump *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void dump_warn(const struct dump *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** dump_read() - account for @bytes from the server: progress, and the job's limit, which may sleep. */
int dump_read(const struct dump *d, uint64_t bytes, struct error *err);
/** dump_cores() - of this machine, for what runs on all of them. */
unsigned dump_cores(void);
/*
 * Memory. Half of the pool is for uploads, and all dumps at once share it. So that none waits for memory that
 * another one holds while that waits, too: what the data comes through (press, turns) takes a quarter at
 * most, over all dumps, and is reserved first; then an object, which is freed without waiting for anything
 * more; a table of contents may take another quarter. conf sees to it that the rest holds the parts of an
 * object.
 */
/** dump_press_threads() - how many threads compress. */
unsigned dump_press_threads(const struct dump *d);
/** dump_turns_buffers() - how much may be made out of turn, at most. */
size_t dump_turns_buffers(const struct dump *d);
/** dump_toc_bytes() - how large a table of contents may be: it is kept in memory. */
size_t dump_toc_bytes(const struct dump *d);
/** dump_check_free() - the artifact's name is still free in the store; -EEXIST: another keepfs has taken
 * it. */
int dump_check_free(const struct dump *d, struct error *err);
/** dump_open_object() - an object of this dump in the store. */
int dump_open_object(const struct dump *d, const char *key, size_t head_bytes,
                     struct stream_object **ret_object, struct error *err);
/** dump_finish_object() - the artifact's own object: @head as for stream_object_finish(); facts go to the
 * manifest. */
int dump_finish_object(struct dump *d, struct stream_object *object, const void *head, struct error *err);
/** dump_finish_file() - likewise, a further file of the artifact. */
int dump_finish_file(struct dump *d, const char *name, struct stream_object *object, struct error *err);
/** dump_put_file() - a further file from memory. */
int dump_put_file(struct dump *d, const char *name, const void *data, size_t len, struct error *err);
/** dump_note_file() - a further file is in the store: to the manifest. @facts' extents are taken. */
void dump_note_file(struct dump *d, const char *name, struct stream_facts *facts);
/** dump_file_name() - heap: what a further file is called: "tables.csv" in a directory, else
 * "20261120T020000Z.tables.csv". */
char *dump_file_name(const struct dump *d, const char *what);
/** dump_file_key() - heap: where it is in the store. */
char *dump_file_key(const struct dump *d, const char *name);

/** A file that consists of segments: one gzip member, or just the bytes. */
struct segment_file {
	struct stream_object *object; /* the caller's to finish and free */
	bool gzip;
	uint32_t check;
	uint64_t raw_bytes;
};
/** segment_file_begin() - in @object, to which nothing was written yet. Segments of a @gzip file carry
 * SEGMENT_CHECK_CRC32. */
int segment_file_begin(struct segment_file *f, struct stream_object *object, bool gzip, struct error *err);
int segment_file_add(struct segment_file *f, const struct segment *s, const void *data, struct error *err);
int segment_file_end(struct segment_file *f, struct error *err);

/** A program's arguments, as they are gathered. */
struct arguments {
	char **items; /* NULL-terminated, each on the heap */
	size_t count;
};
void arguments_add(struct arguments *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arguments_finish(struct arguments *a);
static inline void cleanup_arguments(struct arguments *a)
{
	arguments_finish(a);
}
/** arguments_of_job() - pg_dump's options for what the job dumps: content, filters, lock timeout. */
void arguments_of_job(const struct dump *d, struct arguments *a);
/** arguments_of_archive() - likewise, for an archive that is compressed here. */
void arguments_of_archive(const struct dump *d, struct arguments *a);
/** child_start() - @program with @a, connected to the dump's database; its words go to the run's log. */
int child_start(const struct dump *d, const char *program, const struct arguments *a, struct proc **ret_proc,
                struct error *err);
/** child_hint() - put what to do about @p's words behind them in @err; returns @r. */
int child_hint(int r, const struct proc *p, struct error *err);
/** child_wait() - proc_wait(), with the hint. */
int child_wait(struct proc *p, struct error *err);

/* The ways to make the artifact. Each leaves the objects in the store, and their facts in d->m. */
struct contents;

/** make_archive() - custom and directory format, over one connection or several. */
int make_archive(struct dump *d, struct error *err);
/** make_plain() - SQL text. */
int make_plain(struct dump *d, struct error *err);
/** make_globals() - roles and tablespaces, a further file of the artifact. */
int make_globals(struct dump *d, struct error *err);
/** make_passed() - the archive as pg_dump compresses it itself. */
int make_passed(struct dump *d, struct error *err);

/** transcode_archive() - pg_dump's stream through the press. -ENOTSUP: an archive version that is not known
 * here; nothing was written. */
int transcode_archive(struct dump *d, struct contents *contents, struct error *err);

/** How parallel_archive() ended when it is not a failure: one connection has to do, @err says why. */
#define PARALLEL_NOT_POSSIBLE 1
/** parallel_archive() - the tables over @connections connections in one snapshot. */
int parallel_archive(struct dump *d, struct contents *contents, unsigned connections, struct error *err);

/** verify_artifact() - read everything back; sets sha256 (of the artifact's own object) and
 * verified_at_us. */
int verify_artifact(struct dump *d, struct error *err);
