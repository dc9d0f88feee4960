// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * How an export is written: one writer for each format, behind one contract, so that what reads the rows and proves them knows no format.
 *
 *   export_writer_new()
 *   begin()
 *   for each table: table(); a converter for each thread that reads rows of it, append_row() by these; take_rows() with what came of that; table_end()
 *   end(), export_writer_check()
 *   export_writer_free()
 *
 * All of it is called by one thread, but for converters: each belongs to one thread, and several convert rows of the same table at once. What they made
 * comes to take_rows() in the order of the rows, whole rows each time. Of a format that has pass_rows() most of it goes into the file as it is, compressed by the
 * threads that made it, and the writer is only told.
 *
 * A row comes in COPY's text format, proven, and without the two fields that prove it. What a writer makes goes out by write(), in the order of the
 * file. A format that is no stream keeps a spool file in @state_dir, and writes it out in end(). Memory: never more than some rows, and what says how
 * the tables are made.
 */
#include "document.h"

#include <keepfs/codec/copy_json.h>

struct export_writer;
struct export_converter;

/** struct export_table - a table that is written, and its columns as they are read; borrowed until its table_end() */
struct export_table {
	const struct decided *decided;
	size_t decision; /* number in the plan */
	/* Those that are read, in the order of the row: name, kind, and what is redacted of it, and how. What is omitted is not among them. */
	const struct copy_json_column *columns;
	const struct tenancy_column *const *sources; /* what the server says of each of them */
	size_t column_count;                         /* may be 0 */
	const unsigned char *key;                    /* of COPY_JSON_HASH; NULL: no column needs one */
};

struct export_writer_ops {
	/** new() - zeroed but for what is the format's own; export_writer_new() fills the rest in. */
	struct export_writer *(*new)(void);
	/** begin() - what comes before the first table. @head is borrowed until free(). */
	int (*begin)(struct export_writer *w, const struct document_head *head, struct error *err);
	/** table() - the next one. */
	int (*table)(struct export_writer *w, const struct export_table *table, struct error *err);
	/** converter_new() - of rows of @table, for one thread. Any thread; may look at @table alone. */
	int (*converter_new)(const struct export_table *table, struct export_converter **ret,
	                     struct error *err);
	/** converter_free() - NULL allowed. */
	void (*converter_free)(struct export_converter *c);
	/**
	 * append_row() - append what becomes of one row to @out, in a form of the format's own that take_rows() can take in chunks
	 * @row: without its line feed; of a table without columns empty. On failure (-EBADMSG: a value is none of its type) @out is as it was.
	 */
	int (*append_row)(struct export_converter *c, const char *row, size_t len, struct str *out,
	                  struct error *err);
	/** take_rows() - what append_row() has made of the next @rows rows (at least one). */
	int (*take_rows)(struct export_writer *w, const void *bytes, size_t len, uint64_t rows,
	                 struct error *err);
	/**
	 * pass_rows() - of a format that is pressed: behind what was written so far come @len bytes with @rows rows (may be 0: a part of a row), as
	 * append_row() made them; they go into the file by themselves. Never the first row of a table. NULL: all rows come by take_rows().
	 */
	int (*pass_rows)(struct export_writer *w, uint64_t len, uint64_t rows, struct error *err);
	/** table_end() - no more rows. */
	int (*table_end)(struct export_writer *w, struct error *err);
	/** end() - all was written. */
	int (*end)(struct export_writer *w, struct error *err);
	/** check() - what looks at the file while it is read back from the store, after end(): true, and @ret, which is used before
	 * free(). False, or NULL: the checksums of what was sent are enough. */
	bool (*check)(struct export_writer *w, struct draft_check *ret);
	void (*free)(struct export_writer *w);
};

/** struct export_format - what an export of it is called, and how it is made; a static row of export_formats */
struct export_format {
	const char *name;   /* "json": in the configuration, in manifests */
	const char *suffix; /* of the artifact: ".json.gz" */
	bool is_deflated;   /* what is in it is compressed by the format itself, with deflate */
	bool is_pressed; /* what comes by write() is compressed with gzip behind it; else it is the file as it is */
	/* Values of composite types, and arrays of them, come as to_json() writes them (COPY_JSON_JSON); else as PostgreSQL writes them as text
	 * (COPY_JSON_TEXT). */
	bool has_composite_json;
	bool needs_ddl;             /* decided.ddl has to be known */
	const char *const *reading; /* of document_head */
	const struct export_writer_ops *ops;
};

/** One line for each format, and in export_formats (writer.c). */
extern const struct export_format export_format_json;
extern const struct export_format export_format_ndjson;
extern const struct export_format export_format_csv;
extern const struct export_format export_format_sql;
extern const struct export_format export_format_sqlite;

/** export_format_of() - @format: enum conf_export_format. */
const struct export_format *export_format_of(int format);

struct export_writer_options { /* borrowed */
	/* Where the file goes, in its order. */
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
	const char *state_dir; /* where a spool may be kept */
	uint64_t space_bytes;  /* ... which is never larger than that */
	struct compression
	        compression; /* of formats that are not pressed, but compress within: gzip's levels */
};

/** struct export_writer - the first member of what a format works on */
struct export_writer {
	const struct export_format *format;
	struct export_writer_options options;
	/* Counted for all formats, by the calls below. */
	uint64_t tables;     /* begun */
	uint64_t rows;       /* of all tables */
	uint64_t table_rows; /* of this one */
	uint64_t bytes;      /* that were written, or passed */
	uint64_t raw_bytes;  /* of what is_deflated is: before that */
};

/** export_writer_new() - of one export; export_writer_free() (NULL allowed; returns NULL) also when it was not ended. */
struct export_writer *export_writer_new(const struct export_format *format,
                                        const struct export_writer_options *options);
struct export_writer *export_writer_free(struct export_writer *w);
/** export_writer_put() - for formats: the next bytes of the file. */
int export_writer_put(struct export_writer *w, const void *data, size_t len, struct error *err);

/** export_writer_level() - for what is_deflated: zlib's level. */
int export_writer_level(const struct export_writer *w);

/** export_writer_begin() and so on - as the ops of its format, which they call, and count. */
int export_writer_begin(struct export_writer *w, const struct document_head *head, struct error *err);
int export_writer_table(struct export_writer *w, const struct export_table *table, struct error *err);
int export_writer_take_rows(struct export_writer *w, const void *bytes, size_t len, uint64_t rows,
                            struct error *err);
/** export_writer_passes() - has it pass_rows()? */
bool export_writer_passes(const struct export_format *format);
int export_writer_pass_rows(struct export_writer *w, uint64_t len, uint64_t rows, struct error *err);
int export_writer_table_end(struct export_writer *w, struct error *err);
int export_writer_end(struct export_writer *w, struct error *err);
bool export_writer_check(struct export_writer *w, struct draft_check *ret);
