// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of copy_json share. Bytes are looked at in steps of 16. To need no look at where a row, or the memory for its object, ends:
 *
 * - A row that is read has a copy of its last bytes, with tabs behind them (struct json_row): a step near the end is taken from there.
 * - What is written has room for as many bytes as the row has left, and what is fixed for each column (struct json_pen). Whatever becomes
 *   longer than it was has to be spent from what is spare beyond that.
 * - Values that have to be looked at whole are in memory of our own: a NUL is behind them, and a step more can be read.
 *
 * Functions that put a value return NULL, or what is wrong with it, as the rest of "the column … ".
 */
#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_json.h>
#include <keepfs/codec/hash.h>

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#else
#include <endian.h>
#endif

/* Steps. */

#define JSON_STEP ((size_t)16)
typedef unsigned char json_step __attribute__((vector_size(16)));
typedef signed char json_step_mask __attribute__((vector_size(16)));

static inline json_step json_step_load(const char *p)
{
	json_step b;

	memcpy(&b, p, sizeof(b));
	return b;
}

/** json_step_bits() - a bit for each byte whose highest bit is set, the first byte's is the lowest. */
static inline unsigned json_step_bits(json_step_mask mask)
{
#ifdef __SSE2__
	return (unsigned)_mm_movemask_epi8((__m128i)mask);
#else
	uint64_t half[2];

	memcpy(half, &mask, sizeof(half));
	for (int i = 0; i < 2; i++)
		half[i] = ((le64toh(half[i]) >> 7) & 0x0101010101010101) * 0x0102040810204080 >> 56;
	return (unsigned)(half[0] | half[1] << 8);
#endif
}

/** json_step_high() - bytes that are no ASCII. */
static inline unsigned json_step_high(json_step b)
{
	return json_step_bits((json_step_mask)b);
}

/** json_step_special() - bytes that a JSON string has to escape; a tab is one. */
static inline unsigned json_step_special(json_step b)
{
	return json_step_bits((json_step_mask)((b == '"') | (b == '\\') | (b < 0x20)));
}

/* What is read: the fields of a row. */

struct json_row {
	const char *at, *end;
	char tail[32]; /* its last 16 bytes at most, which end in the middle, and tabs */
};

static inline const char *json_row_step(const struct json_row *r, const char *p)
{
	size_t left = (size_t)(r->end - p);

	return left >= JSON_STEP ? p : r->tail + JSON_STEP - left;
}

static inline bool json_row_at_separator(const struct json_row *r, const char *p)
{
	return p == r->end || *p == '\t';
}

/** json_row_begin() - at the first field of @row. */
static inline void json_row_begin(struct json_row *r, const char *row, size_t len)
{
	size_t last = len < JSON_STEP ? len : JSON_STEP;

	r->at = row;
	r->end = row + len;
	memset(r->tail, '\t', sizeof(r->tail));
	if (last > 0)
		memcpy(r->tail + JSON_STEP - last, r->end - last, last);
}

/* What is written. */

#define JSON_PEN_SLACK                                                                                       \
	(2 * JSON_STEP + 64) /* a whole step behind the last byte, and what is put without being counted */

struct json_pen {
	struct str *out;
	char *at;
	size_t spare; /* how many bytes there is room for beyond those that are sure to come */
};

/** json_pen_begin() - at the end of @out, with room for @sure bytes; json_pen_end() - @out has what was written. */
void json_pen_begin(struct json_pen *pen, struct str *out, size_t sure);
void json_pen_end(struct json_pen *pen);
void json_pen_grow(struct json_pen *pen, size_t more);

static inline void json_pen_spend(struct json_pen *pen, size_t more)
{
	if (pen->spare < more)
		json_pen_grow(pen, more);
	pen->spare -= more;
}

static inline void json_pen_char(struct json_pen *pen, char c)
{
	*pen->at++ = c;
}

static inline void json_pen_bytes(struct json_pen *pen, const char *bytes, size_t len)
{
	memcpy(pen->at, bytes, len);
	pen->at += len;
}

#define json_pen_literal(pen, text) json_pen_bytes(pen, text, sizeof(text) - 1)

/* Strings: copy_json_string.c. */

bool json_utf8_is_valid(const char *text, size_t len);
/** json_put_escaped() - a byte for which json_step_special() is true, as an escape; json_is_short_escape() - has it one of two bytes? */
void json_put_escaped(struct json_pen *pen, char c);
/** json_put_text() - @text in quotes; a step can be read behind it. It is UTF-8. The quotes are no part of what is sure. */
void json_put_text(struct json_pen *pen, const char *text, size_t len);
/** json_put_text_field() - the field at @r as a string. */
const char *json_put_text_field(struct json_row *r, struct json_pen *pen);
/**
 * json_take_field() - the value of the field at @r
 * @ret: has room for the rest of the row and a step; a NUL comes behind the value
 */
const char *json_take_field(struct json_row *r, char *ret, size_t *ret_len);

/* Values: copy_json_scalar.c. All of them put four bytes more than they get at most. */

const char *json_put_number_field(struct json_row *r, struct json_pen *pen);
const char *json_put_number(struct json_pen *pen, const char *text, size_t len);
const char *json_put_float(struct json_pen *pen, const char *text, size_t len);
const char *json_put_bool(struct json_pen *pen, const char *text, size_t len);
const char *json_put_timestamp(struct json_pen *pen, const char *text, size_t len, bool has_zone);
#define JSON_VALUE_GROWTH 8

/* JSON: copy_json_check.c. */

#define JSON_NO_JSON "has a value that is no JSON"

struct json_check {
	char *at; /* the text has a NUL behind its end, and a step can be read there */
	size_t depth;
	uint64_t is_object[(COPY_JSON_DEPTH_MAX + 63) / 64]; /* a bit for each level */
};
/** json_check_blanks() - go on to a byte that is no white space; what is white space becomes a blank, so that all is one line. */
static inline void json_check_blanks(struct json_check *c)
{
	while (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')
		*c->at++ = ' ';
}
/** json_check_value() - go on behind the value that begins here; json_check_string() - behind the string, at whose first quote it is. */
const char *json_check_value(struct json_check *c);
bool json_check_string(struct json_check *c);
/** json_check_text() - the whole text is one value, with white space around it. */
const char *json_check_text(struct json_check *c, char *text, size_t len);

/* Redaction within JSON: copy_json_redact.c. */

struct json_redactor; /* of one column */
struct json_redactor *json_redactor_new(const struct copy_json_column *column);
struct json_redactor *json_redactor_free(struct json_redactor *r);
/** json_redact_text() - what json_check_text() accepts, with what the paths say. @text is written over. */
const char *json_redact_text(struct json_redactor *r, struct json_check *c, struct hmac_key *key,
                             struct json_pen *pen, char *text, size_t len);
/** JSON_MASK - what stands for a value that is masked; json_hash_text() - what stands for one that is hashed. */
#define JSON_MASK       "***"
#define JSON_HASH_BYTES 38 /* with NUL */
void json_hash_text(struct hmac_key *key, const char *text, size_t len, char ret[static JSON_HASH_BYTES]);
/** json_put_hash(), json_put_mask() - the same in quotes. */
void json_put_hash(struct json_pen *pen, struct hmac_key *key, const char *text, size_t len);
void json_put_mask(struct json_pen *pen);
#define JSON_REDACTED_BYTES 48 /* what is put of a value that is redacted, at most */

/* Columns: copy_json.c. */

struct json_column {
	const struct copy_json_column *given;
	const char
	        *prefix; /* ,"name": or, of the first one that is written, {"name": with a step behind it */
	size_t prefix_len;
	struct json_redactor *redactor; /* NULL: no paths */
};

struct copy_json {
	struct json_column *columns;
	size_t count;
	bool writes_any;
	size_t fixed_bytes; /* of a row, whatever its values are */
	char *prefixes;
	struct hmac_key *key; /* NULL: nothing is hashed */
	char *value;          /* the present value, when it has to be looked at whole */
	size_t value_cap;
	struct json_check check;
};

/** json_put_value() - a value that is no array, and may be written over: a step can be read behind it, and its last byte is followed by a NUL. */
const char *json_put_value(struct copy_json *j, const struct json_column *column, struct json_pen *pen,
                           char *text, size_t len);

/* Arrays: copy_json_array.c. */

/** json_put_array() - @text as array_out() of PostgreSQL writes it, written over. */
const char *json_put_array(struct copy_json *j, const struct json_column *column, struct json_pen *pen,
                           char *text, size_t len);
/** json_put_array_literal() - the same as a literal of PostgreSQL again: of json in which something is redacted. */
const char *json_put_array_literal(struct copy_json *j, const struct json_column *column,
                                   struct json_pen *pen, char *text, size_t len);
