// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows in COPY's text format into JSON, an object for each row. Pure; one thread for each struct.
 *
 * It says what PostgreSQL's to_json() says of the same value, with two differences, so that no reader loses a digit: a number that a double
 * does not hold exactly (an integer beyond 2^53, a numeric with more than 15 significant digits) is a string of its digits; and an
 * array with bounds of its own ("[0:1]={1,2}") is a string. NaN and infinities are strings, as with to_json(). Timestamps have a "T". It needs the session settings of
 * copy_json_settings[].
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>

/** copy_json_settings - what has to be set in the session that runs COPY, as statements: DateStyle, IntervalStyle, TimeZone = UTC,
 * extra_float_digits, bytea_output, client_encoding = UTF8. */
extern const char copy_json_settings[];

enum copy_json_kind {
	COPY_JSON_TEXT, /* a string: all types that are nothing of the others */
	COPY_JSON_BOOL,
	COPY_JSON_NUMBER,    /* smallint, integer, bigint, oid, numeric, real, double precision */
	COPY_JSON_JSON,      /* json, jsonb: as it is */
	COPY_JSON_TIMESTAMP, /* without time zone */
	COPY_JSON_TIMESTAMPTZ,
};

enum copy_json_redaction { COPY_JSON_KEEP, COPY_JSON_OMIT, COPY_JSON_NULL, COPY_JSON_MASK, COPY_JSON_HASH };

struct copy_json_path {    /* within a json column */
	char *const *keys; /* "*": any key, or any element */
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
 * copy_json_kind_of() - how values of a type are written
 * @base_type: as format_type(oid, NULL) writes it, domains taken off: "bigint", "integer[]", "timestamp without time zone"
 * Return: false: the server has to be asked for to_json() of it, since it has fields of its own (composite types, and arrays of these): read it as
 * "to_json(column)", which is COPY_JSON_JSON.
 */
bool copy_json_kind_of(const char *base_type, char category, struct copy_json_column *ret);

struct copy_json;
/** COPY_JSON_KEY_BYTES - of the key of COPY_JSON_HASH. */
#define COPY_JSON_KEY_BYTES 32
/**
 * copy_json_new() - @columns: those of the COPY statement, in order; borrowed until the end
 * @key: of COPY_JSON_HASH: HMAC-SHA-256 of the value's text, as "hash:" and 32 hexadecimal digits; may be NULL when no column needs it
 */
int copy_json_new(const struct copy_json_column *columns, size_t count, const unsigned char *key,
                  struct copy_json **ret, struct error *err);
struct copy_json *copy_json_free(struct copy_json *j); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(copy_json, struct copy_json *, copy_json_free)
/**
 * copy_json_row() - append the object of one row, on one line, without an end of line
 * @row: without its line feed
 * Return: 0; -EBADMSG: it has not as many fields as there are columns, or a value is none of its column's type, or is not UTF-8 (@err names the column,
 * not the value).
 */
int copy_json_row(struct copy_json *j, const char *row, size_t len, struct str *out, struct error *err);
/** copy_json_append_string() - append @text as a JSON string; -EBADMSG: it is not UTF-8. */
int copy_json_append_string(struct str *out, const char *text, size_t len, struct error *err);
