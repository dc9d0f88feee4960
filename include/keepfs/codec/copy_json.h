// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows in COPY's text format into JSON, an object for each row. Pure; one thread for each struct.
 *
 * It says what PostgreSQL's to_json() says of the same value, with three differences, so that no reader loses a digit and each value can be
 * brought back by casting its text: a number that a double does not hold exactly (an integer beyond 2^53, a numeric with a fraction and more
 * than 15 significant digits, or below 1e-290) is a string of its digits; an array with bounds of its own ("[0:1]={1,2}") is a string; and what is no array
 * by its name but has elements or a cast to json (hstore, int2vector, elements of a domain over arrays) is its text. NaN and infinities are strings, as with to_json(). Timestamps have a "T". It needs the session settings of
 * copy_json_settings.
 *
 * Each value is checked: what comes out is JSON, whatever came in. Of the escapes of COPY's text only those are taken that a server writes:
 * \b \f \n \r \t \v, two backslashes, and \N alone.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>

/** copy_json_settings - what has to be set in the transaction that runs COPY, and ends with it, as statements: DateStyle, IntervalStyle (ISO 8601), TimeZone = UTC,
 * extra_float_digits, bytea_output, client_encoding = UTF8. */
extern const char copy_json_settings[];
/** COPY_JSON_DEPTH_MAX - json that is nested more deeply is refused; what PostgreSQL takes is bounded by its max_stack_depth, some 15000 levels as a rule. */
#define COPY_JSON_DEPTH_MAX 100000

enum copy_json_kind {
	COPY_JSON_TEXT, /* a string: all types that are nothing of the others */
	COPY_JSON_BOOL,
	COPY_JSON_NUMBER,    /* smallint, integer, bigint, numeric */
	COPY_JSON_FLOAT,     /* real, double precision: always a number, since its text is exact */
	COPY_JSON_JSON,      /* json, jsonb: as it is, on one line */
	COPY_JSON_TIMESTAMP, /* without time zone */
	COPY_JSON_TIMESTAMPTZ,
};

enum copy_json_redaction { COPY_JSON_KEEP, COPY_JSON_OMIT, COPY_JSON_NULL, COPY_JSON_MASK, COPY_JSON_HASH };

struct copy_json_path {    /* within a json column; of an array of json, within each of its elements */
	char *const *keys; /* "*": any key, or any element; compared with keys without their escapes */
	size_t key_count;
	enum copy_json_redaction how; /* not KEEP */
};

struct copy_json_column { /* borrowed */
	const char *name;
	enum copy_json_kind kind;
	bool is_array;  /* of values of @kind */
	char delimiter; /* of arrays: ',', for box ';' */
	enum copy_json_redaction how;
	const struct copy_json_path *paths; /* of COPY_JSON_JSON */
	size_t path_count;
};

/**
 * copy_json_kind_of() - how values of a type are written: sets kind, is_array and delimiter of @ret
 * @base_type: as format_type(oid, NULL) writes it, domains taken off, of an array those of its elements, too: "bigint", "integer[]",
 * "timestamp without time zone"
 * @category: pg_type.typcategory of it, of an array that of its elements
 *
 * The delimiter is that of PostgreSQL's own types. An extension's type may have another one (pg_type.typdelim of the elements): the caller sets it then.
 * Return: false: the server has to be asked for to_json() of it, since it has fields of its own (composite types, and arrays of these): read it as
 * "to_json(column)", which is COPY_JSON_JSON.
 */
bool copy_json_kind_of(const char *base_type, char category, struct copy_json_column *ret);

struct copy_json;
/** COPY_JSON_KEY_BYTES - of the key of COPY_JSON_HASH. */
#define COPY_JSON_KEY_BYTES 32
/**
 * copy_json_new() - @columns: those of the COPY statement, in order; borrowed until the end
 * @key: of COPY_JSON_HASH: HMAC-SHA-256 of the value's text, as "hash:" and 32 hexadecimal digits; copied; may be NULL when no column needs it. A
 * string within json has the hash of what it says, without its escapes, so that it is the same as in a column of text
 * Return: 0; -EINVAL: a redaction that cannot be (no key, a path without keys, or in a column that is no json); -EBADMSG: a name is not UTF-8.
 */
int copy_json_new(const struct copy_json_column *columns, size_t count, const unsigned char *key,
                  struct copy_json **ret, struct error *err);
struct copy_json *copy_json_free(struct copy_json *j); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(copy_json, struct copy_json *, copy_json_free)
/**
 * copy_json_row() - append the object of one row, on one line, without an end of line
 * @row: without its line feed
 *
 * COPY_JSON_NULL is null; with COPY_JSON_MASK it is "***", with COPY_JSON_HASH the hash, but NULL, and null within json, stay what they are. The value of a
 * column of which one of these is said is not looked at. Memory: that of the longest row and its object.
 * Return: 0; -EBADMSG: it has not as many fields as there are columns, or a value is none of its column's type, or is not UTF-8, or is an array with bounds
 * of its own in a column with paths (@err names the column,
 * not the value); @out is as it was then.
 */
int copy_json_row(struct copy_json *j, const char *row, size_t len, struct str *out, struct error *err);
/** copy_json_append_string() - append @text as a JSON string; -EBADMSG: it is not UTF-8. */
int copy_json_append_string(struct str *out, const char *text, size_t len, struct error *err);
