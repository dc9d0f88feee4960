// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The document of an export (docs/formats.md): JSON that is written as its rows come, each on a line of its own. In this order:
 *
 *   document_begin()
 *   for each table: document_table(), then document_rows() with some of its rows at once; document_table_end()
 *   document_end()
 *   document_finish()
 *
 * Memory: some rows, and what says how the tables are made. One thread.
 */
#include "export.h"

struct document_head { /* borrowed */
	const struct export_tenant *tenant;
	const char *job, *triggered_by;
	const char *database;       /* its name, for people */
	const char *server_version; /* "15.4 (Debian …)" */
	enum tenancy_kind tenancy;
	int64_t taken_at_us;
	const struct decided *decided;
	/* For people: how this format is read; NULL-terminated lines, which come behind what is said of all of them. NULL: none. */
	const char *const *reading;
};

struct document {
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
	struct str buf;      /* not written yet */
	uint64_t tables;     /* begun */
	uint64_t rows;       /* of all tables */
	uint64_t table_rows; /* of this one */
	uint64_t lines;      /* ended */
	uint64_t bytes;      /* written */
};

/** document_begin() - all that comes before the first table. @d has .write and .arg, else zero. */
int document_begin(struct document *d, const struct document_head *head, struct error *err);
/** document_table() - number @decision of the plan. */
int document_table(struct document *d, const struct decided *decided, size_t decision, struct error *err);
struct document_elsewhere { /* the rows of a table; borrowed */
	size_t decision;    /* its number in the plan */
	const char *key;    /* of the member that says where they are: "file" */
	const char *place;  /* "public.orders.csv" */
	uint64_t rows;
};
/** document_table_without_rows() - in place of document_table() up to document_table_end(): its rows are elsewhere. */
int document_table_without_rows(struct document *d, const struct decided *decided,
                                const struct document_elsewhere *rows, struct error *err);
/** DOCUMENT_ROW_BEGIN - stands in front of the object of each row that document_rows() gets. */
#define DOCUMENT_ROW_BEGIN ",\n"
/** document_rows() - the next @rows rows, each with DOCUMENT_ROW_BEGIN in front of it, and without further line feeds. */
int document_rows(struct document *d, const char *bytes, size_t len, uint64_t rows, struct error *err);
/** document_pass_rows() - the same of rows that go where @d writes by themselves, behind all that was written so far; not the first of a table. */
int document_pass_rows(struct document *d, uint64_t len, uint64_t rows, struct error *err);
int document_table_end(struct document *d, struct error *err);
/** document_end() - the end of the JSON; everything was written. */
int document_end(struct document *d, struct error *err);
void document_finish(struct document *d);
/** DOCUMENT_END_BYTES - how long document_append_end() is at most. */
#define DOCUMENT_END_BYTES 64
/** document_append_end() - the last line of a whole document with so many rows. */
void document_append_end(struct str *out, uint64_t rows);
