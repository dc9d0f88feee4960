// SPDX-License-Identifier: Apache-2.0
/*
 * The values of members. The text of a value is needed as it stands (of json each byte counts), so it is remembered where it begins in the present piece, and what of it
 * lies in earlier pieces is kept.
 */
#include "rows_json_private.h"

#include "text.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 100000 /* COPY_JSON_DEPTH_MAX: what an export may have */

/* The text. */

static bool is_between_values(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ':' || c == ',';
}

/* As it stands, from where it began up to here; borrowed until the piece ends. */
static const char *captured_text(struct json_rows *j, struct capture *c, size_t *ret_len)
{
	size_t end = yajl_get_bytes_consumed(j->yajl);
	const char *text = j->piece + c->start;
	size_t len = end - c->start;

	if (c->kept.len > 0) {
		str_append_bytes(&c->kept, text, len);
		text = c->kept.data;
		len = c->kept.len;
	}
	for (; len > 0 && is_between_values(*text); text++)
		len--;
	*ret_len = len;
	return text;
}

static void begin_capture(struct json_rows *j, struct capture *c)
{
	c->start = yajl_get_bytes_consumed(j->yajl);
	str_clear(&c->kept);
}

/* What follows is in another piece. */
int json_rows_keep_text(struct json_rows *j, struct error *err)
{
	struct capture *captures[] = {&j->text, &j->element};

	if (j->at != IN_VALUE || j->fate == FATE_IGNORED)
		return 0;
	for (size_t i = 0; i < (j->fate == FATE_ARRAY && j->of_json ? 2U : 1U); i++) {
		struct capture *c = captures[i];

		str_append_bytes(&c->kept, j->piece + c->start, j->piece_len - c->start);
		c->start = 0;
		if (c->kept.len > EXPORTED_ROW_MAX_BYTES)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "a value has more than %zu bytes",
			                 EXPORTED_ROW_MAX_BYTES);
	}
	return 0;
}

/* Values of columns. */

static bool is_json_type(const char *base)
{
	return strcmp(base, "json") == 0 || strcmp(base, "jsonb") == 0;
}

static bool is_json_array(const char *base)
{
	return strcmp(base, "json[]") == 0 || strcmp(base, "jsonb[]") == 0;
}

static bool is_within_piece(const struct json_rows *j, const char *text)
{
	return text >= j->piece && text < j->piece + j->piece_len;
}

static int check_string(struct json_rows *j, const char *text, size_t len)
{
	if (memchr(text, '\0', len))
		return json_rows_refuse(j, "\"%s\" has a NUL, which PostgreSQL cannot hold", j->of->name);
	j->is_decoded |= len > 0 && !is_within_piece(j, text);
	return 1;
}

static int put_scalar(struct json_rows *j, enum token token, const char *text, size_t len)
{
	if (token == TOKEN_NULL) {
		row_batch_put_null(j->order.batch, json_rows_present_value(j));
		return 1;
	}
	if (token == TOKEN_STRING && !check_string(j, text, len))
		return 0;
	row_batch_put_text(j->order.batch, json_rows_present_value(j), text, len);
	return 1;
}

static int begin_array(struct json_rows *j)
{
	struct row_batch *b = j->order.batch;

	j->fate = FATE_ARRAY;
	j->of_json = is_json_array(j->of->base);
	j->has_object = false;
	j->array = (struct array_text){.out = &b->text, .delimiter = j->of->delimiter};
	row_batch_value_begin(b, json_rows_present_value(j));
	array_text_open(&j->array);
	begin_capture(j, &j->element);
	return 1;
}

/* The first token of a value of a column, and the only one when it is a scalar. A column that is NOT NULL has no NULL, so null is the null of JSON there. */
static int begin_column_value(struct json_rows *j, enum token token, const char *text, size_t len)
{
	bool is_json = is_json_type(j->of->base);

	if (is_json ? token == TOKEN_NULL && j->of->nullable
	            : token != TOKEN_OPEN_OBJECT && token != TOKEN_OPEN_LIST)
		return put_scalar(j, token, text, len);
	if (token == TOKEN_OPEN_LIST && j->of->delimiter)
		return begin_array(j);
	j->fate = FATE_RAW;
	json_rows_present_value(j)->is_json = !is_json;
	return 1;
}

static int put_array_element(struct json_rows *j, enum token token, const char *text, size_t len)
{
	if (token == TOKEN_STRING) {
		if (!check_string(j, text, len))
			return 0;
		array_text_quoted(&j->array, text, len);
	} else if (token == TOKEN_NULL) {
		array_text_bare(&j->array, "NULL", 4);
	} else {
		array_text_bare(&j->array, text, len);
	}
	return 1;
}

/* Objects make the whole value one that only the server can read: from there on nothing of it matters. */
static int take_array_token(struct json_rows *j, enum token token, const char *text, size_t len)
{
	j->has_object |= token == TOKEN_OPEN_OBJECT;
	if (j->has_object)
		return 1;
	if (token == TOKEN_OPEN_LIST)
		array_text_open(&j->array);
	else if (token == TOKEN_CLOSE_LIST)
		array_text_close(&j->array);
	else
		return put_array_element(j, token, text, len);
	return 1;
}

/* An element of an array of json is any JSON; @depth: behind the token. */
static int take_json_array_token(struct json_rows *j, enum token token, size_t depth)
{
	size_t len;
	const char *text;

	if (token == TOKEN_CLOSE_LIST && depth == 0) {
		array_text_close(&j->array);
		return 1;
	}
	if (depth > 1 || token == TOKEN_KEY)
		return 1;
	text = captured_text(j, &j->element, &len);
	if (token == TOKEN_NULL)
		array_text_bare(&j->array, "NULL", 4);
	else
		array_text_quoted(&j->array, text, len);
	begin_capture(j, &j->element);
	return 1;
}

static unsigned hex_code(const char *digits)
{
	unsigned code = 0;

	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned char)digits[i] | 0x20;

		code = code << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return code;
}

/* Of text that is JSON. libyajl makes something else of halves of characters, in silence. */
static bool has_half_character(const char *text, size_t len)
{
	const char *end = text + len;

	for (const char *p = text; (p = memchr(p, '\\', (size_t)(end - p))); p += 2) {
		unsigned code = p[1] == 'u' ? hex_code(p + 2) : 0;

		if (code >> 11 != 0xd800 >> 11)
			continue;
		if (code >> 10 != 0xd800 >> 10 || p[6] != '\\' || p[7] != 'u' ||
		    hex_code(p + 8) >> 10 != 0xdc00 >> 10)
			return true;
		p += 10;
	}
	return false;
}

static void put_raw(struct json_rows *j, const char *text, size_t len)
{
	struct row_batch *b = j->order.batch;

	row_batch_put_text(b, json_rows_present_value(j), text, len);
}

static int end_array(struct json_rows *j, const char *text, size_t len)
{
	struct row_batch *b = j->order.batch;

	if (!j->has_object) {
		row_batch_value_end(b, json_rows_present_value(j));
		return 1;
	}
	b->text.len = json_rows_present_value(j)->offset;
	json_rows_present_value(j)->is_json = true;
	put_raw(j, text, len);
	return 1;
}

static int end_column_value(struct json_rows *j, const char *text, size_t len)
{
	/* libyajl lets overlong forms and surrogates through. */
	const char *wrong = exported_text_problem(text, len);

	if (wrong)
		return json_rows_refuse(j, "\"%s\" %s", j->of->name, wrong);
	if (j->fate == FATE_RAW)
		put_raw(j, text, len);
	else if (j->is_decoded && has_half_character(text, len))
		return json_rows_refuse(j, "\"%s\" has half of a character (a lone surrogate)", j->of->name);
	else if (j->fate == FATE_ARRAY && !end_array(j, text, len))
		return 0;
	if (row_batch_row_bytes(j->order.batch) > EXPORTED_ROW_MAX_BYTES)
		return json_rows_refuse(j, "the row has more than %zu bytes", EXPORTED_ROW_MAX_BYTES);
	return 1;
}

/* Members that describe. */

static int take_said_member(struct json_rows *j, const char *text, size_t len)
{
	struct json *value;

	j->described_bytes += len;
	if (j->described_bytes > EXPORTED_HEAD_MAX_BYTES)
		return json_rows_refuse(j, "it says more than %zu bytes about its tables",
		                        EXPORTED_HEAD_MAX_BYTES);
	value = json_parse(text, len, &j->err);
	if (!value) {
		error_prefix(&j->err, "\"%s\"", j->key);
		return 0;
	}
	if (j->fate == FATE_TABLE) {
		json_set(j->members, j->key, value);
		return 1;
	}
	if (describe_document(j->order.head, &j->seen, j->key, value, &j->err) < 0) {
		json_free(value);
		return 0;
	}
	json_free(value);
	return 1;
}

static int take_count(struct json_rows *j, const char *text, size_t len)
{
	_cleanup(free) char *number = mem_printf("%.*s", (int)(len < 32 ? len : 32), text);
	uint64_t *said = j->outside == IN_TABLE ? &j->said_rows : &j->said_total;
	bool *has = j->outside == IN_TABLE ? &j->has_count : &j->has_total;
	char *end;

	if (*has)
		return json_rows_refuse(j, "\"row_count\" is there twice");
	errno = 0;
	*said = strtoull(number, &end, 10);
	if (number[0] < '0' || number[0] > '9' || *end || errno)
		return json_rows_refuse(j, "\"row_count\" is not a number of rows");
	*has = true;
	return 1;
}

static int end_value(struct json_rows *j)
{
	size_t len;
	const char *text;
	int r = 1;

	j->at = j->outside;
	if (j->fate == FATE_IGNORED)
		return 1;
	text = captured_text(j, &j->text, &len);
	if (j->fate == FATE_DOCUMENT || j->fate == FATE_TABLE)
		r = take_said_member(j, text, len);
	else if (j->fate == FATE_COUNT)
		r = take_count(j, text, len);
	else
		r = end_column_value(j, text, len);
	if (j->text.kept.cap > PIECE_BYTES)
		str_finish(&j->text.kept);
	return r;
}

int json_rows_begin_value(struct json_rows *j, enum fate fate)
{
	j->outside = j->at;
	j->at = IN_VALUE;
	j->fate = fate;
	j->depth = 0;
	j->is_decoded = false;
	begin_capture(j, &j->text);
	return 1;
}

int json_rows_take_value(struct json_rows *j, enum token token, const char *text, size_t len)
{
	size_t before = j->depth;
	bool opens = token == TOKEN_OPEN_OBJECT || token == TOKEN_OPEN_LIST;
	bool closes = token == TOKEN_CLOSE_OBJECT || token == TOKEN_CLOSE_LIST;
	int r = 1;

	j->depth = before + opens - closes;
	if (j->depth > DEPTH_MAX)
		return json_rows_refuse(j, "it is nested more than %d levels deep", DEPTH_MAX);
	if (j->fate == FATE_PLAIN && before == 0)
		r = begin_column_value(j, token, text, len);
	else if (j->fate == FATE_ARRAY)
		r = j->of_json ? take_json_array_token(j, token, j->depth)
		               : take_array_token(j, token, text, len);
	return r && j->depth == 0 && token != TOKEN_KEY ? end_value(j) : r;
}
