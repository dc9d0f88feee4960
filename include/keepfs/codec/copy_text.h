// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows in COPY's text format: the fields of a row, and all rows of a table as CSV. Pure; any thread, one at a time for each struct.
 *
 * A row ends with a line feed, its fields are separated by tabs. A field that is exactly "\N" is NULL. In any other one a backslash begins
 * an escape: \b \f \n \r \t \v, one to three octal digits, \x and one or two hexadecimal ones; in front of any other byte it is left out. Source: PostgreSQL's documentation
 * of COPY, and CopyReadAttributesText() in src/backend/commands/copyfromparse.c.
 *
 * Bytes are compared with ASCII characters, whatever the encoding. That is right for every encoding that a server may have, and so for every
 * dump in its server's encoding. In some that only clients have (SJIS, BIG5, GBK, GB18030, UHC, JOHAB) the second byte of a character may be a backslash.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Columns. */

struct copy_columns { /* of a COPY statement; start with {0} */
	char **names; /* heap, without quotes */
	size_t count;
};
/**
 * copy_columns_parse() - the names in a list of columns, as a COPY statement has it
 * @text: "(id, \"a, \"\"b\"\"\")"; "()" and "" have no names. What is not in double quotes is folded to lower case, as in SQL.
 *
 * Return: 0; -EBADMSG (ERROR_CORRUPT): it is no such list. @ret is copy_columns_finish()'ed by the caller either way.
 */
int copy_columns_parse(const char *text, struct copy_columns *ret, struct error *err);
void copy_columns_finish(struct copy_columns *c);
static inline void cleanup_copy_columns(struct copy_columns *c)
{
	copy_columns_finish(c);
}

/* A row in memory. */

struct copy_field {
	const char *text; /* escaped as in the row, borrowed from it */
	size_t len;
	bool is_null;
};
/**
 * copy_field_next() - the next field of a row
 * @at: in the row; begin with its first byte. Behind the last field it is NULL
 * @end: of the row, where its line feed is
 *
 * A row has one field more than separators, so an empty one has one empty field: the rows of a table without columns look like
 * that, too. Return: is there one? False when *@at is NULL.
 */
bool copy_field_next(const char **at, const char *end, struct copy_field *ret);
/** copy_field_decode() - the value of a field that is not NULL into @ret, which has room for field->len bytes, and may be the field itself.
 * Return: its length, never more than that. */
size_t copy_field_decode(const struct copy_field *field, char *ret);

/* A table as CSV. */

/** COPY_CSV_FIELD_MAX - a value of more bytes is quoted, whether it needs it or not: a longer one would have to be kept in memory until its end. */
#define COPY_CSV_FIELD_MAX ((size_t)65536)

/** copy_take - bytes that came out; borrowed for the call. A negative return ends it, and is returned. */
typedef int (*copy_take)(void *arg, const void *data, size_t len, struct error *err);

/**
 * struct copy_csv - rows into CSV with a line of names, as `COPY table TO … (FORMAT csv, HEADER)` writes it
 *
 * NULL is an empty field, an empty text is "". In quotes are values with a comma, a double quote, a carriage return or a line feed, a "\." that is alone on its line, and, other than PostgreSQL does
 * it, all that are longer than COPY_CSV_FIELD_MAX. The result depends on the rows alone, not on the pieces in which they come. Memory: some 200 KiB, whatever the length of a row.
 */
struct copy_csv;
/**
 * copy_csv_new() - @columns as for copy_columns_parse(); they are the first line
 * Return: 0; -EBADMSG.
 */
int copy_csv_new(const char *columns, copy_take take, void *arg, struct copy_csv **ret, struct error *err);
struct copy_csv *copy_csv_free(struct copy_csv *c); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(copy_csv, struct copy_csv *, copy_csv_free)
/**
 * copy_csv_feed() - the next @len bytes of the rows; calls copy_take() with what is ready
 * Return: 0; -EBADMSG (ERROR_CORRUPT, with the number of the row): a row has not as many fields as there are columns, or an escape that no server
 * writes ("\." among them: the line behind the rows is not one of them); what copy_take() returned. After a failure only copy_csv_free().
 */
int copy_csv_feed(struct copy_csv *c, const void *data, size_t len, struct error *err);
/** copy_csv_end() - that was all: the rest goes to copy_take(). -EBADMSG also: the last row has no end of line. */
int copy_csv_end(struct copy_csv *c, struct error *err);
