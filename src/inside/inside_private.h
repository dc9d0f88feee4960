// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The parts of the room: which dumps are open (inside.c), what is in one of them (dump.c, members.c, blobs.c, text.c), how the plain bytes of a
 * member are read in order (stream.c), where that can begin (points.c), what is counted and found by reading all of one (survey.c), how
 * any range of it is (seats.c), the texts for people (write.c), and what of all that is kept on the disk (kept.c, kept_members.c, kept_text.c).
 * What a text of SQL holds is told by text_scan.c and lo_calls.c.
 *
 * A member is what has a stream of plain bytes of its own: the rows of a table, a large object; or a text of SQL, of which each table is a range, and each
 * large object many.
 */
#include "kept.h"

#include <keepfs/codec/decompression.h>
#include <keepfs/inside.h>
#include <keepfs/inside/toc.h>
#include <pthread.h>
#include <stdatomic.h>

#define INSIDE_SEATS                                                                                         \
	8U /* places of members that are read at random, in all dumps; each has two buffers of the pool */
#define INSIDE_KNOWN      16U                 /* members of one dump whose points are kept */
#define INSIDE_POINTS_MAX ((size_t)16 << 10)  /* that are found by reading: of one member */
#define INSIDE_HAVE_BYTES ((size_t)256 << 10) /* what a stream from beginning to end has in memory, twice */

/* Points: where decompressing can begin. */

struct inside_point {
	uint64_t offset; /* in the file; of an archive that of the length of a chunk */
	uint64_t raw;    /* so many plain bytes of the member come before it */
	uint32_t
	        check; /* CRC-32C of the first INSIDE_CHECK_BYTES plain bytes there; of those of the index 0 */
};

#define INSIDE_CHECK_BYTES 64U

struct inside_points { /* shared, and never changed */
	atomic_uint refs;
	size_t count;
	struct inside_point items[];
};

struct inside_points *inside_points_new(size_t count);
struct inside_points *inside_points_ref(struct inside_points *p);
struct inside_points *inside_points_unref(struct inside_points *p); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(inside_points, struct inside_points *, inside_points_unref)
/** inside_points_of_records() - of the segment index; none of the first record, where the member begins. NULL: there is one record. */
struct inside_points *inside_points_of_records(const struct segment_record *records, size_t count);
/** inside_points_find() - the last one at or before @raw; NULL: the member's beginning is. @p may be NULL. */
const struct inside_point *inside_points_find(const struct inside_points *p, uint64_t raw);

/** struct inside_found - points while they are found: beyond INSIDE_POINTS_MAX every second one goes. Zeroed: none. */
struct inside_found {
	struct inside_point *items;
	size_t count, cap;
	uint64_t apart;      /* plain bytes between two */
	unsigned check_left; /* of those that the last one is checked by, so many come yet */
};
/** inside_found_bytes() - the plain bytes behind what was added last, in order. */
void inside_found_bytes(struct inside_found *f, const void *data, size_t len);
void inside_found_add(struct inside_found *f, uint64_t offset, uint64_t raw);
static inline void cleanup_inside_found(struct inside_found *f)
{
	free(f->items);
}
/** inside_found_take() - on the heap; NULL when there are none. */
struct inside_points *inside_found_take(struct inside_found *f);

/* Members. */

struct inside_member {
	uint64_t
	        key; /* of the table or large object, in its dump; of those that are read from one stream, together */
	uint64_t file_ino; /* of the file that holds it, in the catalog */
	enum compression_method method;
	bool chunks;         /* of an archive: its bytes are in chunks, and of gzip a zlib stream */
	uint64_t begin, end; /* in the file: where it begins, and where it must have ended */
	uint64_t raw_from;   /* what is wanted begins so many plain bytes behind that */
	uint64_t bytes;      /* and is so long; INSIDE_NOT_KNOWN */
	bool has_end_mark;   /* of rows: INSIDE_END_BYTES follow */
	int block_id; /* of an archive: it begins with the head of the block of that entry; 0: with a chunk */
	bool surveyed;                /* its points are all that there are */
	bool is_kept;                 /* they come from the disk */
	struct inside_points *points; /* a reference; NULL: none */
};
static inline void cleanup_inside_member(struct inside_member *m)
{
	inside_points_unref(m->points);
}

#define INSIDE_KEY_BLOB ((uint64_t)1 << 32) /* with the oid; without: a table's number */
#define INSIDE_KEY_TEXT ((uint64_t)0)       /* the whole text */
#define INSIDE_KEY_TEXT_BLOBS                                                                                \
	INSIDE_KEY_BLOB /* all large objects of a text: who reads one after the other goes on in it */

/* Streams. */

struct inside_stream {
	struct inside_dump *dump; /* borrowed */
	struct inside_member m;   /* with a reference of its own */
	struct reader_file *file; /* of file_ino; NULL: not open */
	uint64_t file_ino;
	struct decompressor *decompressor; /* NULL: nothing is compressed */
	uint8_t *in;                       /* the caller's memory: compressed bytes */
	size_t in_cap, in_at, in_len;
	size_t ask;  /* so many are read next: more and more while it goes on */
	uint64_t at; /* in the file, of what is read next */
	uint8_t head[5];
	unsigned head_bytes;
	uint64_t chunk_left;
	unsigned block_left; /* bytes of the head of a block that did not come yet */
	bool pending;        /* there is more to come out of what went in */
	bool ended;
	uint64_t raw_at;            /* of what comes out next */
	struct inside_found *found; /* a survey: points are looked for; NULL: none is */
	unsigned flush_bytes;       /* of the four bytes behind a flush of deflate, so many came */
	bool may_enter;             /* something was found where it began anew */
	unsigned
	        check_left; /* it began at a point that comes from the disk: so many bytes until that is known to be right */
	uint32_t check, check_wanted;
};

/** inside_stream_enter() - be where the plain byte @raw is, or not far before it (raw_at); takes a reference of @m's points. The stream is zeroed
 * but for in, in_cap and dump, or was used before. */
int inside_stream_enter(struct inside_stream *s, const struct inside_member *m, uint64_t raw,
                        struct error *err);
/** inside_stream_read() - the next plain bytes. Return: @len; less: it has ended there, and its checksum is right; negative. */
ssize_t inside_stream_read(struct inside_stream *s, void *buf, size_t len, struct cancel *cancel,
                           struct error *err);
/** inside_stream_finish() - close the file. */
void inside_stream_finish(struct inside_stream *s);

/* Large objects of a text. */

/** struct inside_text_run - pieces of a large object that follow one another at the same distance: mostly all it has. */
struct inside_text_run {
	uint64_t digits_at; /* of the first one, in the text */
	uint64_t at;        /* in the large object */
	uint64_t bytes;     /* of all pieces */
	uint32_t piece;     /* bytes of each but the last one */
	uint32_t stride;    /* from the digits of one to those of the next, in the text; 0: there is one */
};

struct inside_text_blob {
	uint32_t oid;
	uint64_t bytes;
	uint64_t run, runs; /* the first one, and how many */
};

struct inside_text_blobs {            /* zeroed; inside_text_blobs_begin() */
	struct spool *objects;        /* of struct inside_text_blob, in the order of the text */
	struct spool *runs;           /* of struct inside_text_run */
	const char *odd;              /* literal, or kept_odd: they are not to be believed; NULL */
	char *kept_odd;               /* heap: comes from the disk */
	struct inside_text_blob blob; /* while it is scanned */
	struct inside_text_run last;
};

/* Dumps. */

struct inside_once { /* what one thread does, and the others wait for: those who wait may be cancelled */
	bool busy;   /* the lock of whoever has it */
};

struct inside_surveyed {              /* what a survey finds out */
	struct inside_points *points; /* a reference; NULL: none */
	uint64_t bytes;               /* plain ones, of all of the member; INSIDE_NOT_KNOWN */
	bool has_rows;
	struct rows rows;
	bool is_kept; /* it comes from the disk */
};
static inline void cleanup_inside_surveyed(struct inside_surveyed *x)
{
	inside_points_unref(x->points);
}

struct inside_known {
	uint64_t key;
	uint64_t tick;
	bool surveyed, is_kept;
	uint64_t bytes; /* plain ones, of all of it; INSIDE_NOT_KNOWN */
	struct inside_points *points;
};

struct inside_name {
	uint64_t hash;
	uint32_t number;
};

struct inside_dump {
	struct inside *in;
	uint64_t ino;
	struct inside_dump *next; /* in->lock, as what follows up to tick */
	unsigned refs;
	bool opening;
	bool unlinked; /* it is gone or outdated, and not in the list any more: the last one that has it frees it */
	uint64_t tick;
	struct backup backup; /* what follows up to lock: written while it is opened, then read by all */
	struct make_context ctx;
	bool is_text;
	struct inside_toc
	        toc; /* of a text: the tables that were found; offset: of the first row, in the text. Counts, and offsets where the archive has none: lock */
	uint32_t *tables; /* numbers of entries that are tables */
	uint32_t table_count;
	struct inside_name *names; /* sorted */
	char encoding[64];
	struct inside_points *text_points;
	bool text_is_kept;    /* they come from the disk */
	struct spool *schema; /* of a text: without the rows */
	struct inside_text_blobs text_blobs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct inside_once surveying, listing;   /* lock */
	struct inside_known known[INSIDE_KNOWN]; /* lock */
	uint64_t known_tick;                     /* lock */
	struct spool *blobs; /* of struct stored_blob (blobs.c); NULL: not listed yet; lock until then */
};

struct inside_seat { /* in->lock; while busy its user's alone, but for dump, key, window_at and goal, which do not change then */
	bool busy;
	struct inside_dump *dump; /* NULL: free */
	uint64_t key;
	uint64_t tick;
	struct inside_stream stream;
	bool entered;
	char *window; /* buffer of the pool; NULL: none */
	uint64_t window_at;
	size_t window_len;
	uint64_t goal; /* where the last request ends */
};

struct inside {
	struct make_context ctx; /* with a pool of its own */
	struct reader *reader;
	struct kept *kept;
	unsigned open_dumps;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct inside_dump *dumps; /* lock */
	uint64_t tick;             /* lock */
	struct inside_seat seats[INSIDE_SEATS];
};

/** inside_once_begin() - wait until nobody does it. 0: the caller does it now, and inside_once_end(); -ECANCELED. */
int inside_once_begin(struct inside_dump *d, struct inside_once *once, struct cancel *cancel,
                      struct error *err);
void inside_once_end(struct inside_dump *d, struct inside_once *once);
/** struct inside_waiter - waiting for others, with a lock, which a cancel ends: begin (no lock is held), wait as with pthread_cond_wait(), end. */
struct inside_waiter {
	pthread_mutex_t *lock;
	pthread_cond_t *changed;
	struct cancel *cancel;
	struct cancel_hook hook;
	bool cancelled; /* lock */
};
void inside_waiter_begin(struct inside_waiter *w, pthread_mutex_t *lock, pthread_cond_t *changed,
                         struct cancel *cancel);
int inside_waiter_wait(struct inside_waiter *w); /* -ECANCELED */
void inside_waiter_end(struct inside_waiter *w);

/** inside_is_name_of_text() - of a plain dump. */
bool inside_is_name_of_text(const char *name);
/** inside_dump_load() - all that is read when it is opened. */
int inside_dump_load(struct inside_dump *d, struct cancel *cancel, struct error *err);
void inside_dump_unload(struct inside_dump *d);
/** inside_backup() - the backup of @d for one thread: as d->backup, with @cancel. Borrows from it; nothing is to be finished. */
struct backup inside_backup(const struct inside_dump *d, struct cancel *cancel);
/** inside_entry_of() - NULL: there is no such table. */
struct inside_entry *inside_entry_of(const struct inside_dump *d, uint32_t number);
/** inside_outdate() - what is known of @d is wrong: whoever has it keeps it, and who opens the dump from now on loads it anew. */
void inside_outdate(struct inside_dump *d);
/** inside_is_gone() - was it removed since it was opened? What has its name, and so its number, may be another one by now. */
bool inside_is_gone(const struct inside_dump *d);
/** inside_blame() - what a failure is for whoever asked: -ESTALE when the dump is not there any more. */
int inside_blame(const struct inside_dump *d, int r, struct error *err);

/** inside_is_located() - is it known where the block of the entry begins, if it is in one? */
bool inside_is_located(struct inside_dump *d, const struct inside_entry *e);
/** inside_member_of_table() - where its rows are; with @ret->bytes when that is known. cleanup_inside_member(). */
int inside_member_of_table(struct inside_dump *d, uint32_t number, struct cancel *cancel,
                           struct inside_member *ret, struct error *err);
/** inside_member_of_text() - the whole of a text. */
int inside_member_of_text(const struct inside_dump *d, struct inside_member *ret, struct error *err);
/** inside_member_of_blob() - of a large object. */
int inside_member_of_blob(struct inside_dump *d, uint32_t oid, struct cancel *cancel,
                          struct inside_member *ret, struct error *err);
/** inside_member_of_block() - @ret->begin to chunks, of a block of an archive, which is looked for when it has no offset. */
int inside_member_of_block(struct inside_dump *d, struct inside_entry *e, struct cancel *cancel,
                           struct inside_member *ret, struct error *err);
/** inside_member_of_file() - @ret->file_ino to end, of a file of a directory. */
int inside_member_of_file(const struct inside_dump *d, const char *name, struct inside_member *ret,
                          struct error *err);
/** inside_known_get() - what was found out about that member: its points, surveyed, and of a large object its bytes. */
void inside_known_get(struct inside_dump *d, struct inside_member *m);
/** inside_known_put() - its points are all there are; takes a reference. */
void inside_known_put(struct inside_dump *d, uint64_t key, const struct inside_surveyed *x);
/** inside_known_drop() - it was wrong. */
void inside_known_drop(struct inside_dump *d, uint64_t key);

/** inside_find_points() - of @m: what was found by reading, or else those @count records of the segment index; 0: it has none. */
void inside_find_points(struct inside_dump *d, size_t record, size_t count, struct inside_member *m);

/** inside_survey_member() - read it once from its beginning, find its points and remember them; cleanup_inside_surveyed() of @ret. @take: as it
 * passes; NULL. Whoever calls it has looked for what is kept of it before, and keeps it then. */
int inside_survey_member(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                         int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                         void (*again)(void *arg), struct inside_surveyed *ret, struct error *err);
/** inside_learn_member() - its points, and @ret: its plain bytes: from the disk, or by a survey. By one thread (d->surveying). */
int inside_learn_member(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                        uint64_t *ret_bytes, struct error *err);
/** inside_read_stored() - a range of the archive as it is stored. */
int inside_read_stored(struct inside_dump *d, uint64_t begin, uint64_t end, struct cancel *cancel,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err);
/** inside_survey_table() - and what its rows are: then its entry has counts. */
int inside_survey_table(struct inside_dump *d, uint32_t number, struct cancel *cancel, struct error *err);
/** inside_text_load() - find the tables of a text. */
int inside_text_load(struct inside_dump *d, struct cancel *cancel, struct error *err);

/** inside_seat_read() - a range of a member whose bytes are known. */
ssize_t inside_seat_read(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                         void *buf, size_t len, uint64_t offset, struct error *err);
/** inside_seat_is_near() - somebody reads that member, and is about to come by there. */
bool inside_seat_is_near(struct inside_dump *d, uint64_t key, uint64_t raw);
/** inside_seat_read_is_long() - nobody is near, nor is a point. */
bool inside_seat_read_is_long(struct inside_dump *d, const struct inside_member *m, uint64_t offset);
/** inside_seats_leave() - those of @d that are not busy; with in->lock. */
void inside_seats_leave(struct inside *in, const struct inside_dump *d);

/* What is kept on the disk: see kept.h. What is not, or not as it must be, is found by reading. */

/** inside_kept_name() - false: it cannot be kept. @file_ino: of the file that it is about. */
bool inside_kept_name(const struct inside_dump *d, enum kept_kind kind, uint64_t key, uint64_t file_ino,
                      struct kept_name *ret);
/** inside_kept_begin() - false: the dump was removed meanwhile. Else inside_kept_end(), or kept_end(). */
bool inside_kept_begin(struct inside_dump *d, const struct kept_name *name, struct kept_writer *ret);
void inside_kept_end(struct inside_dump *d, struct kept_writer *w);
void inside_kept_get_rows(struct kept_reader *r, struct rows *ret);
void inside_kept_put_rows(struct kept_writer *w, const struct rows *rows);
/** inside_kept_member() - remembers it, too; cleanup_inside_surveyed() of @ret. False: it is not kept. */
bool inside_kept_member(struct inside_dump *d, const struct inside_member *m, struct inside_surveyed *ret);
/** inside_keep_member() - false: it is too small to be kept. */
bool inside_keep_member(struct inside_dump *d, const struct inside_member *m,
                        const struct inside_surveyed *x);
/** inside_do_without_kept() - the points that were kept of it do not lead to its bytes: they are forgotten, and @m has none. Those of a text are found at the next
 * opening, together with its layout, which may be what is wrong; others when they are needed. */
void inside_do_without_kept(struct inside_dump *d, struct inside_member *m);
/** inside_kept_blocks() - where all blocks of an archive begin. */
bool inside_kept_blocks(struct inside_dump *d);
void inside_keep_blocks(struct inside_dump *d);
/** inside_has_kept_text() - are there files of it, whatever they say? Does not read the store, nor them. */
bool inside_has_kept_text(const struct inside *in, uint64_t artifact_ino, int64_t finished_at_us);
/** inside_kept_text() - the tables of a text that has so many @bytes, and all of it that is not rows, into what is empty (toc, schema). False: it is not kept, or was
 * found by another scanner; they are to be emptied again. */
bool inside_kept_text(struct inside_dump *d, uint64_t bytes);
void inside_keep_text(struct inside_dump *d, uint64_t bytes);

/* Texts. */

struct inside_text_table {
	const char *schema, *table, *copy_stmt; /* borrowed for the call */
	uint64_t raw_from;                      /* where its rows begin */
	struct rows rows;
};

struct inside_text_events {
	int (*table)(void *arg, const struct inside_text_table *table,
	             struct error *err);                                          /* its rows have ended */
	int (*other)(void *arg, const void *data, size_t len, struct error *err); /* text that is not rows */
	/* Large objects, in the order of the text: one begins, each piece of it, it ends. Of one that has not ended nothing is to be believed. */
	int (*blob)(void *arg, uint32_t oid, struct error *err);
	int (*blob_piece)(
	        void *arg, uint64_t digits_at, size_t bytes,
	        struct error *err); /* two hexadecimal digits for each byte, from there in the text */
	int (*blob_end)(void *arg, struct error *err);
	void *arg;
};

/** struct inside_text_scan - the tables of a text that pg_dump has written (-Fp), which is told in pieces of any size. Pure. */
struct inside_text_scan;
struct inside_text_scan *inside_text_scan_new(const struct inside_text_events *events);
struct inside_text_scan *inside_text_scan_free(struct inside_text_scan *s);
DEFINE_CLEANUP(inside_text_scan, struct inside_text_scan *, inside_text_scan_free)
/** inside_text_scan_feed() - -ENOTSUP: it is no text as pg_dump writes it, @err says why. What it says is never damage: whoever may make objects in
 * the database has a say in it. */
int inside_text_scan_feed(struct inside_text_scan *s, const void *data, size_t len, struct error *err);
/** inside_text_scan_end() - -ENOTSUP: it is cut off within rows, quotes or a comment. */
int inside_text_scan_end(struct inside_text_scan *s, struct error *err);
/** inside_text_scan_odd() - at the end: why nothing can be said of the large objects of the text, whatever was told of some; a literal. NULL: those that were
 * told are all. */
const char *inside_text_scan_odd(const struct inside_text_scan *s);

/* Calls that write large objects (lo_calls.c). */

#define LO_CALL_MAX_BYTES ((size_t)2 << 20) /* pg_dump writes 16 KiB in a call, as twice as many digits */

struct lo_calls {                         /* zeroed, with events; pure */
	struct inside_text_events events; /* those of large objects */
	uint32_t oid;                     /* the one that is open; 0: none is */
	const char *odd;                  /* literal; NULL */
};

struct lo_line {          /* one that begins between statements, outside of quotes; borrowed */
	const char *text; /* with its end */
	size_t len;
	uint64_t begin; /* where it is in the text */
	bool announced; /* pg_dump's comment, that large objects follow, was the last one */
	bool escapes;   /* backslashes do, in quotes */
};

/** lo_calls_take() - the next such line, of which there need be no more than LO_CALL_MAX_BYTES + 1. Return: 0, also when it is odd; or what an event returned. */
int lo_calls_take(struct lo_calls *c, const struct lo_line *line, struct error *err);
/** lo_calls_end() - the text has ended. Return: as inside_text_scan_odd(). */
const char *lo_calls_end(struct lo_calls *c);
/** lo_digit_value() - of a hexadecimal digit. False: it is none. */
bool lo_digit_value(char c, uint8_t *ret);

/* The large objects of a text (text_blobs.c). */

/** inside_text_blobs_begin() - forget what was there; what is large goes to files in @state_dir that have no name. inside_text_blobs_finish(). */
void inside_text_blobs_begin(struct inside_text_blobs *b, const char *state_dir);
void inside_text_blobs_finish(struct inside_text_blobs *b);
/** inside_text_blobs_add() … - as the events of a scan. */
int inside_text_blobs_add(struct inside_text_blobs *b, uint32_t oid, struct error *err);
int inside_text_blobs_add_piece(struct inside_text_blobs *b, uint64_t digits_at, size_t bytes,
                                struct error *err);
int inside_text_blobs_end_one(struct inside_text_blobs *b, struct error *err);
/** inside_text_blobs_add_run() - all of its pieces at once, instead of each; its `at` is found out. */
int inside_text_blobs_add_run(struct inside_text_blobs *b, const struct inside_text_run *run,
                              struct error *err);
/** inside_text_blobs_each_run() - of @blob, in order. */
int inside_text_blobs_each_run(const struct inside_text_blobs *b, const struct inside_text_blob *blob,
                               void (*each)(void *arg, const struct inside_text_run *run), void *arg);
/** inside_text_blobs_count() - how many; -ENOTSUP: nothing is known of them, @err says why. */
int inside_text_blobs_count(const struct inside_text_blobs *b, uint64_t *ret, struct error *err);
/** inside_text_blob_is_far() - as inside_seat_read_is_long(). */
bool inside_text_blob_is_far(struct inside_dump *d, const struct inside_text_blob *blob, uint64_t offset);
/** inside_text_blob_pread() - @len bytes from @offset of @blob, which has them. Return: 0; or as inside_seat_read(). */
int inside_text_blob_pread(struct inside_dump *d, const struct inside_text_blob *blob, struct cancel *cancel,
                           void *buf, size_t len, uint64_t offset, struct error *err);

/* COPY statements. */

struct inside_copy {  /* borrowed from the statement, but for the names */
	char *schema; /* heap, holds both; "" when it has none */
	const char *table;
	const char *columns;
	size_t columns_len;
};
static inline void cleanup_inside_copy(struct inside_copy *c)
{
	free(c->schema);
}
/** inside_copy_parse() - "COPY public.t (a, b) FROM stdin;". False: it is none. Pure. */
bool inside_copy_parse(const char *statement, size_t len, struct inside_copy *ret);
