// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Exports, read back: the files that `keepfs export` writes (docs/formats.md, "Exports"), wherever they have been since. In this order:
 *
 *   exported_open()          reads the file whole, once: is it an export, is nothing missing, what does it say of itself
 *   exported_head()          what it says
 *   exported_table_begin()   one of its tables; then exported_row() until it returns 0; any table, any number of times
 *   exported_close()
 *
 * Others may have written the file, or changed it. So nothing in it is believed: what does not fit is an error that names the place (line, column, table, row) and what
 * is wrong there; nothing in it is run. Tables that are read in their order cost one pass over the file; going back begins the file anew.
 *
 * Memory: the head with all its tables (at most EXPORTED_HEAD_MAX_BYTES of text), one row (at most EXPORTED_ROW_MAX_BYTES), and buffers of a fixed size, whatever a compressed file
 * unpacks to. One thread for each struct. Blocks on the file.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORTED_HEAD_MAX_BYTES ((size_t)256 << 20)
#define EXPORTED_ROW_MAX_BYTES  ((size_t)1 << 30)

enum exported_format { EXPORTED_JSON, EXPORTED_NDJSON, EXPORTED_CSV, EXPORTED_SQLITE };
/** exported_format_name() - as the key `format` of [export] has it: "json", "ndjson", "csv", "sqlite". Static. */
const char *exported_format_name(enum exported_format format);

/* What the file says. All of the heap and valid UTF-8, owned by the struct exported. */

struct exported_column {
	char *name;
	char *type; /* as SQL writes it, with its length: "numeric(10,2)", "public.email" */
	char *base; /* all domains taken off, without the length: "numeric", "text", "integer[]"; = type where the file says nothing else */
	char delimiter; /* of an array: what separates its elements in PostgreSQL's text: ','; of others 0 */
	bool nullable;
	bool is_generated; /* an INSERT must leave it out */
	char identity;     /* 'a': GENERATED ALWAYS AS IDENTITY; 'd': BY DEFAULT; 0: none */
	char *sequence;    /* that it owned there, quoted as SQL: "public.orders_id_seq"; NULL: none */
};

/** struct exported_key - a foreign key, of that database. Its columns may be ones that were omitted. */
struct exported_key {
	char *name;           /* NULL: the file does not say */
	char **columns;       /* of this table; @count */
	char *schema, *table; /* where it leads; may be a table that is left out */
	char **references;    /* @count, in the order of @columns */
	size_t count;
};

/** struct exported_unique - a unique key beside the primary one: whole rows, no expressions, columns that are all here. */
struct exported_unique {
	char *name;
	uint32_t *columns; /* places */
	size_t count;
	bool nulls_equal; /* NULLS NOT DISTINCT */
};

/** struct exported_operand - a value of a row: a column, or what is within a column that is json, as text */
struct exported_operand {
	char *column;
	char **path; /* keys, from the outermost on; @path_count */
	size_t path_count;
};
struct exported_test { /* "subject_type = 'Post'" */
	struct exported_operand of;
	char *value;
};
/** struct exported_soft - a reference that no foreign key tells, as the configuration of the export named it: rows for which all @tests hold refer to rows of the
 * other table that have the same value */
struct exported_soft {
	struct exported_operand from, to;
	char *schema, *table;
	struct exported_test *tests;
	size_t test_count;
};

/** enum exported_way - why the rows of a table are here */
enum exported_way {
	EXPORTED_BY_UNKNOWN, /* the file does not say (an early version of the format), or what this version does not know */
	EXPORTED_BY_COLUMN,   /* tenant_column is the tenant's id */
	EXPORTED_BY_SELF,     /* the tenants' own table; tenant_column is its key */
	EXPORTED_BY_KEY,      /* they refer to the tenant's rows */
	EXPORTED_BY_REFERRED, /* the tenant's rows refer to them: they may be others' as well */
	EXPORTED_WHOLE, /* all rows of the table: a look-up table of all tenants, or (tenancy = schema, database) the tenant's own table */
};

/** enum exported_kind - what the table is there. Into what is not a table nothing can be inserted as it came. */
enum exported_kind { EXPORTED_TABLE, EXPORTED_FOREIGN_TABLE, EXPORTED_MATERIALIZED_VIEW };

struct exported_table {
	char *schema, *name;
	enum exported_kind kind;
	enum exported_way way;
	int tenant_column; /* place of the column that holds the tenant's id; -1: none */
	struct exported_column *columns;
	size_t column_count;
	uint32_t *primary_key; /* places in @columns, in the order of the key */
	size_t primary_key_count;
	struct exported_key *keys;
	size_t key_count;
	struct exported_unique *uniques;
	size_t unique_count;
	struct exported_soft *softs;
	size_t soft_count;
	bool row_security; /* it was enabled on the table */
	char *found_by;    /* for people */
	uint64_t rows;     /* that are here: counted, and as many as the file says */
};

struct exported_redacted {
	char *schema, *table, *column;
	char **path; /* within json; path_count 0: the whole column */
	size_t path_count;
	char *how; /* "omit", "null", "mask", "hash" */
	char *why;
};
struct exported_left_out {
	char *schema, *table, *why;
};

struct exported_head {
	enum exported_format format;
	int version;
	char *tenant_id, *slug;
	char *name; /* NULL: it has none */
	char *job, *database, *server_version, *keepfs;
	char *tenancy; /* "column", "schema" or "database" */
	int64_t taken_at_us;
	char **readme; /* lines for people, untrusted as all of it: str_append_visible() */
	size_t readme_count;
	struct exported_redacted *redacted;
	size_t redacted_count;
	struct exported_left_out *left_out;
	size_t left_out_count;
	struct exported_table *tables; /* those that others refer to first */
	size_t table_count;
	uint64_t rows; /* of all tables */
	/* What is odd and no error, for people, heap: "the name ends in .csv.zip, and it is ndjson". */
	char **remarks;
	size_t remark_count;
};

struct exported_source {  /* borrowed until exported_close() */
	const char *path; /* to be opened; with a @fd: its name, for messages, may be NULL */
	int fd;           /* -1: @path is opened; else a regular file, read with pread() alone, not closed */
	const char *temporary_dir; /* NULL: /tmp; only where a format needs a file beside it */
};

struct exported;

/**
 * exported_open() - read it whole
 * @cancel: NULL: cannot be cancelled; also of all that follows
 * @ret: for exported_close()
 * Return: 0; -EBADMSG (ERROR_CORRUPT): it is no export, or none that is whole, or of a version that this keepfs does not know: @err says where and what; -ENOTSUP
 * (ERROR_USAGE): an export that is not read this way (sql); what open() and read() say; -ECANCELED.
 */
int exported_open(const struct exported_source *source, struct cancel *cancel, struct exported **ret,
                  struct error *err);
struct exported *exported_close(struct exported *e); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(exported, struct exported *, exported_close)
/** exported_head() - borrowed until exported_close(). */
const struct exported_head *exported_head(const struct exported *e);
/** exported_find_table() - its place; -1: there is none. */
ssize_t exported_find_table(const struct exported_head *head, const char *schema, const char *name);

struct exported_value { /* of one column of one row */
	/* What the input function of the column's type takes: arrays as literals of PostgreSQL ("{1,2}"), json as it is, numbers digit by digit, true and
	 * false. Followed by a NUL, and has none within. */
	const char *text;
	size_t len;
	bool is_null;
	/* @text is JSON that only the server can turn into a value, since it is of a composite type, or an array of these: json_populate_record(). */
	bool is_json;
};

/** exported_table_begin() - read table @place from its first row on. -ESTALE (ERROR_CONFLICT): the file was changed since it was opened; else as exported_open(). */
int exported_table_begin(struct exported *e, size_t place, struct error *err);
/**
 * exported_row() - the next row
 * @ret: a value for each column of the table, in their order; borrowed until the next call
 * Return: 1; 0: that were all, and as many as the head says; as exported_table_begin().
 */
int exported_row(struct exported *e, const struct exported_value **ret, struct error *err);
