// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Looking into dumps: the tables of a finished backup of a database, their rows, its large objects and its table of contents, without restoring it.
 *
 *   inside_new()           once; it keeps a few dumps open
 *   inside_open()          one dump: its table of contents, what was counted of it, its segment index, once
 *   inside_table() …       what is in it
 *   inside_read_rows()     all rows of a table, in order
 *   inside_pread()         any range of them: as a file
 *   inside_close()         counted
 *
 * It reads every format that keepfs writes or takes in: archives of the custom and of the directory format, and plain SQL, not compressed or with
 * gzip or zstd. Rows are exactly what `COPY table TO stdout` has written, without the line "\." behind them. A random read
 * decompresses from the nearest place where that can begin (codec/segments.h), and keeps what it decompressed for the next
 * one nearby. A dump that has no segment index, no .tables.csv or no offsets is read once from its beginning to its end, when somebody first asks for
 * what they would say; and what was found out so is kept in a directory of the state directory, for the next start (docs/formats.md, "On the host").
 *
 * Every byte was checked against the manifest's CRC-32C before it is handed out. Where a dump is damaged, what is damaged fails (ERROR_CORRUPT),
 * and the rest is served. Of each table, and each large object that was asked for, some hundred bytes are in memory; the texts are in a file of
 * the state directory that has no name. Everything may be called on any thread, and blocks while it reads from the store, where not said otherwise.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/spool.h>
#include <keepfs/make.h>
#include <keepfs/reader.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#define INSIDE_NOT_KNOWN  UINT64_MAX
#define INSIDE_POOL_BYTES ((uint64_t)32 << 20)

struct inside;
struct inside_dump;

struct inside_options { /* all borrowed */
	const struct make_context
	        *ctx;          /* conf for the state directory and where pg_restore is; the repository */
	struct reader *reader; /* what the mount reads through: its read-ahead, its cache */
	unsigned open_dumps;   /* so many stay open when nobody has them any more; 0: 4 */
};

/** inside_new() - nothing is read yet. -ENOMEM: it has a pool of its own, of INSIDE_POOL_BYTES, which cannot be had. */
int inside_new(const struct inside_options *options, struct inside **ret, struct error *err);
/** inside_free() - every dump was closed, and the reader is still there. NULL allowed; returns NULL. */
struct inside *inside_free(struct inside *in);
DEFINE_CLEANUP(inside, struct inside *, inside_free)

/** inside_tidy() - of what is kept on the disk: remove what is about dumps that are gone, what a crash has left, and what is too much. At the start of whoever serves
 * for long. */
void inside_tidy(struct inside *in);
/** inside_forget_dump() - a dump was removed: what is kept of it goes. */
void inside_forget_dump(struct inside *in, uint64_t artifact_ino);
/** inside_drop_dump() - its objects in the store are other ones now: whoever opens it from here on looks for them, and who has it open reads on from the old ones. */
void inside_drop_dump(struct inside *in, uint64_t artifact_ino);

/**
 * inside_open() - the contents of the dump @artifact_ino (catalog_entry.ino of a CATALOG_ARTIFACT)
 * The same dump, when it is still open from before. Whoever opens it meanwhile waits for the first one.
 * Return: 0, and the caller's inside_close(); -ENOENT: the catalog has no such backup; -ENOTSUP: it is no dump, or of a format, version or
 * compression that is not known here, @err says which; -ECANCELED; -EBADMSG (ERROR_CORRUPT): its table of contents is damaged; or why
 * the store did not answer. Nothing that failed is kept.
 */
int inside_open(struct inside *in, uint64_t artifact_ino, struct cancel *cancel, struct inside_dump **ret,
                struct error *err);
/** inside_opens_at_once() - would inside_open() of it read no more than a table of contents and what was counted? A text that is neither open nor kept on the
 * disk would be read as a whole, or is just being read. Waits for nothing but the local disk. */
bool inside_opens_at_once(struct inside *in, uint64_t artifact_ino);
/** inside_close() - does not block; NULL allowed; returns NULL. */
struct inside_dump *inside_close(struct inside_dump *d);
DEFINE_CLEANUP(inside_dump, struct inside_dump *, inside_close)
/** inside_ino() - of the artifact. Does not block. */
uint64_t inside_ino(const struct inside_dump *d);
/** inside_encoding() - the encoding of the dump's texts and rows ("UTF8", "SQL_ASCII"), as the archive says; "": it does not say. Borrowed. Does not block. */
const char *inside_encoding(const struct inside_dump *d);

/* Tables. */

struct inside_table {    /* one that has data in the dump */
	uint32_t number; /* 1, 2, … in the order of the dump; the same at every opening */
	char *schema;    /* raw bytes, in the dump's encoding; heap, and holds the two texts that follow */
	const char *table;
	const char *
	        columns; /* of its COPY statement, quoted as there: "(id, \"Name\")"; "()" or "" when it has none */
	uint64_t rows;  /* INSIDE_NOT_KNOWN, when nobody has counted them */
	uint64_t bytes; /* of all rows; INSIDE_NOT_KNOWN: inside_measure() finds out */
	bool has_hash;
	uint64_t hash; /* of the rows, whatever their order (codec/rows.h), as .tables.csv has it */
};
static inline void cleanup_inside_table(struct inside_table *t)
{
	free(t->schema);
}

/** inside_tables() - how many. Does not block. */
uint32_t inside_tables(const struct inside_dump *d);
/**
 * inside_table() - the table @number
 * Reads nothing from the store: what is not known of it stays INSIDE_NOT_KNOWN. Return: 0, and the caller's free() of ret->schema; -ENOENT: there is no such number.
 */
int inside_table(struct inside_dump *d, uint32_t number, struct inside_table *ret, struct error *err);
/** inside_find_table() - by its name; -ENOENT; -ENOTUNIQ, with the first one: a text of other makers may have the rows of a table in several places, and
 * whoever wants the table must not take one of them for it. */
int inside_find_table(struct inside_dump *d, const char *schema, const char *table, uint32_t *ret_number);
/**
 * inside_measure() - the same as inside_table(), with rows and bytes in any case: the dump is read once, when they are not known
 * Return: 0; or as inside_read_rows().
 */
int inside_measure(struct inside_dump *d, uint32_t number, struct cancel *cancel, struct inside_table *ret,
                   struct error *err);

/**
 * inside_read_rows() - all rows of the table @number, in order, in COPY's text format, each with its end of line
 * @take: pieces of any length, on the caller's thread; a negative return ends it with that and @err
 * Return: 0; -EBADMSG (ERROR_CORRUPT): what there is of it cannot be read to its end, what came before was right; -ENOENT; -ESTALE: the dump was
 * removed; -ECANCELED; or why the store did not answer.
 */
int inside_read_rows(struct inside_dump *d, uint32_t number, struct cancel *cancel,
                     int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                     struct error *err);
/**
 * inside_pread() - at most @len bytes of its rows from @offset on
 * Reading on where the last call ended is as cheap as inside_read_rows().
 * Return: how many, less than @len only at the end of the rows; otherwise as inside_read_rows().
 */
ssize_t inside_pread(struct inside_dump *d, uint32_t number, struct cancel *cancel, void *buf, size_t len,
                     uint64_t offset, struct error *err);
/** inside_pread_is_long() - would that read a large part of the table, or the dump, first? It can be wrong. Waits for nothing but the local disk. */
bool inside_pread_is_long(struct inside_dump *d, uint32_t number, uint64_t offset);

/* Tables as CSV are made by whoever shows them; where their rows are in that can be kept here. */

struct inside_place { /* behind the end of a row: so many bytes of rows, and of CSV, come before it */
	uint64_t rows, csv;
};

struct inside_places {
	uint32_t form;                    /* of the CSV: in one of another form they are no places */
	struct inside_place end;          /* how long both are */
	const struct inside_place *items; /* ascending, without the beginning */
	size_t count;
};

/** inside_keep_places() - of the table @number. */
void inside_keep_places(struct inside_dump *d, uint32_t number, const struct inside_places *x);
/** inside_kept_places() - those that were kept; 0: none are, or more than @max. They are ascending, and within the table. */
size_t inside_kept_places(struct inside_dump *d, uint32_t number, uint32_t form, struct inside_place *places,
                          size_t max);
/** inside_forget_places() - one of them was wrong. */
void inside_forget_places(struct inside_dump *d, uint32_t number);

/* Large objects. */

struct inside_blob {
	uint32_t oid;
	uint64_t bytes; /* INSIDE_NOT_KNOWN: inside_blob_measure() finds out */
};

/**
 * inside_blobs() - how many large objects with data there are; may read the dump once. Return: 0; -ENOTSUP: a text of SQL has calls for large objects
 * that are not those of pg_dump, @err says what is odd, and this holds for what follows, too; or as inside_read_rows().
 */
int inside_blobs(struct inside_dump *d, struct cancel *cancel, uint32_t *ret_count, struct error *err);
/** inside_blob() - the @index-th of them, from 0, ascending by oid. -ENOENT: there are not so many. */
int inside_blob(struct inside_dump *d, uint32_t index, struct cancel *cancel, struct inside_blob *ret,
                struct error *err);
/** inside_find_blob() - by its oid, with its size in any case; -ENOENT. */
int inside_find_blob(struct inside_dump *d, uint32_t oid, struct cancel *cancel, struct inside_blob *ret,
                     struct error *err);
/** inside_lists_blobs() - was it found out which large objects there are? inside_knows_blob(): also how long that one is, if it is there. Neither blocks. */
bool inside_lists_blobs(struct inside_dump *d);
bool inside_knows_blob(struct inside_dump *d, uint32_t oid);
/** inside_blob_pread_is_long() - as inside_pread_is_long(). */
bool inside_blob_pread_is_long(struct inside_dump *d, uint32_t oid, uint64_t offset);
/** inside_blob_pread() - as inside_pread(), of the large object @oid. */
ssize_t inside_blob_pread(struct inside_dump *d, uint32_t oid, struct cancel *cancel, void *buf, size_t len,
                          uint64_t offset, struct error *err);

/* Texts. */

/**
 * inside_write_toc() - append what `pg_restore -l` prints to @out; of a dump of plain SQL a list of the tables, and how many large objects were found
 * Return: 0; -ENOENT: there is no pg_restore that reads this archive, @err says so; -ECANCELED; or why it could not be written.
 */
int inside_write_toc(struct inside_dump *d, struct cancel *cancel, struct spool *out, struct error *err);
/** inside_write_schema() - append what `pg_restore -s -f -` prints; of plain SQL the text without the rows. Otherwise as inside_write_toc(). */
int inside_write_schema(struct inside_dump *d, struct cancel *cancel, struct spool *out, struct error *err);
