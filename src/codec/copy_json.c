// SPDX-License-Identifier: Apache-2.0
#include "copy_json_private.h"

#include <errno.h>
#include <stdlib.h>

const char copy_json_settings[] =
        "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL TimeZone = 'UTC'; "
        "SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL client_encoding = 'UTF8';";

/* What is fixed for a column beside its name: the quotes, or what is put instead of a value. */
#define FIXED_BYTES (JSON_REDACTED_BYTES + 8)

/* Types. */

static enum copy_json_kind kind_of_name(const char *type, size_t len)
{
	static const struct {
		const char *name;
		enum copy_json_kind kind;
	} kinds[] = {
	        {"boolean", COPY_JSON_BOOL},
	        {"smallint", COPY_JSON_NUMBER},
	        {"integer", COPY_JSON_NUMBER},
	        {"bigint", COPY_JSON_NUMBER},
	        {"numeric", COPY_JSON_NUMBER},
	        {"real", COPY_JSON_FLOAT},
	        {"double precision", COPY_JSON_FLOAT},
	        {"json", COPY_JSON_JSON},
	        {"jsonb", COPY_JSON_JSON},
	        {"timestamp without time zone", COPY_JSON_TIMESTAMP},
	        {"timestamp with time zone", COPY_JSON_TIMESTAMPTZ},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, type, len) == 0)
			return kinds[i].kind;
	return COPY_JSON_TEXT;
}

bool copy_json_kind_of(const char *base_type, char category, struct copy_json_column *ret)
{
	bool is_array = str_ends(base_type, "[]");
	size_t len = strlen(base_type) - (is_array ? 2 : 0);

	if (category == 'C')
		return false;
	ret->kind = kind_of_name(base_type, len);
	ret->is_array = is_array;
	ret->delimiter = is_array && len == 3 && memcmp(base_type, "box", 3) == 0 ? ';' : ',';
	return true;
}

/* Columns. */

static int refuse_column(const struct copy_json_column *c, const char *what, struct error *err)
{
	return error_set(err, ERROR_USAGE, EINVAL, "the column \"%s\" cannot be written as JSON: %s", c->name,
	                 what);
}

static int check_column(const struct copy_json_column *c, const unsigned char *key, struct error *err)
{
	bool hashes = c->how == COPY_JSON_HASH;

	if (c->path_count > 0 && c->kind != COPY_JSON_JSON)
		return refuse_column(c, "a path leads into it, but it is no json", err);
	if (c->is_array && !c->delimiter)
		return refuse_column(c, "nobody has said what separates its elements", err);
	for (size_t i = 0; i < c->path_count; i++) {
		if (c->paths[i].key_count == 0 || c->paths[i].how == COPY_JSON_KEEP)
			return refuse_column(c, "a path in it leads nowhere", err);
		hashes |= c->paths[i].how == COPY_JSON_HASH;
	}
	return hashes && !key ? refuse_column(c, "there is no key for its hashes", err) : 0;
}

/* Pointers to prefixes are known when their memory does not move any more: place_prefixes(). */
static int append_prefix(struct copy_json *j, struct json_column *column, struct str *prefixes,
                         struct error *err)
{
	const struct copy_json_column *given = column->given;
	size_t start = prefixes->len;
	int r;

	if (given->how == COPY_JSON_OMIT)
		return 0;
	str_append_char(prefixes, j->writes_any ? ',' : '{');
	j->writes_any = true;
	r = copy_json_append_string(prefixes, given->name, strlen(given->name), err);
	if (r < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the name of a column is not UTF-8");
	str_append_char(prefixes, ':');
	column->prefix_len = prefixes->len - start;
	j->fixed_bytes += column->prefix_len + FIXED_BYTES;
	if (given->path_count > 0)
		column->redactor = json_redactor_new(given);
	return 0;
}

static void place_prefixes(struct copy_json *j, struct str *prefixes)
{
	const char *at;

	for (size_t i = 0; i < JSON_STEP; i++)
		str_append_char(prefixes, ' ');
	at = j->prefixes = str_take(prefixes);
	for (size_t i = 0; i < j->count; i++) {
		j->columns[i].prefix = at;
		at += j->columns[i].prefix_len;
	}
}

int copy_json_new(const struct copy_json_column *columns, size_t count, const unsigned char *key,
                  struct copy_json **ret, struct error *err)
{
	_cleanup(copy_json) struct copy_json *j = mem_alloc(sizeof(*j));
	_cleanup(str) struct str prefixes = {0};
	int r;

	j->columns = mem_array(count, sizeof(*j->columns));
	j->count = count;
	if (key)
		j->key = hmac_key_new(key, COPY_JSON_KEY_BYTES);
	for (size_t i = 0; i < count; i++) {
		j->columns[i].given = &columns[i];
		r = check_column(&columns[i], key, err);
		if (r == 0)
			r = append_prefix(j, &j->columns[i], &prefixes, err);
		if (r < 0)
			return r;
	}
	place_prefixes(j, &prefixes);
	*ret = take_ptr(&j);
	return 0;
}

struct copy_json *copy_json_free(struct copy_json *j)
{
	if (!j)
		return NULL;
	for (size_t i = 0; i < j->count; i++)
		json_redactor_free(j->columns[i].redactor);
	hmac_key_free(j->key);
	free(j->columns);
	free(j->prefixes);
	free(j->value);
	free(j);
	return NULL;
}

/* Values. */

static const char *put_json(struct copy_json *j, const struct json_column *column, struct json_pen *pen,
                            char *text, size_t len)
{
	const char *wrong;

	if (column->redactor)
		return json_redact_text(column->redactor, &j->check, j->key, pen, text, len);
	wrong = json_check_text(&j->check, text, len);
	if (!wrong)
		json_pen_bytes(pen, text, len);
	return wrong;
}

const char *json_put_value(struct copy_json *j, const struct json_column *column, struct json_pen *pen,
                           char *text, size_t len)
{
	switch (column->given->kind) {
	case COPY_JSON_BOOL:
		return json_put_bool(pen, text, len);
	case COPY_JSON_NUMBER:
		return json_put_number(pen, text, len);
	case COPY_JSON_FLOAT:
		return json_put_float(pen, text, len);
	case COPY_JSON_JSON:
		return put_json(j, column, pen, text, len);
	case COPY_JSON_TIMESTAMP:
		return json_put_timestamp(pen, text, len, false);
	case COPY_JSON_TIMESTAMPTZ:
		return json_put_timestamp(pen, text, len, true);
	default:
		json_put_text(pen, text, len);
		return NULL;
	}
}

/* The field as a value by itself, which can be written over: it has a NUL behind it, and a step can be read there. */
static const char *take_json_value(struct copy_json *j, struct json_row *r, size_t *ret_len)
{
	size_t need = (size_t)(r->end - r->at) + 3 * JSON_STEP;

	if (j->value_cap < need) {
		free(j->value);
		j->value_cap = need + need / 2;
		j->value = mem_alloc(j->value_cap);
	}
	return json_take_field(r, j->value, ret_len);
}

static void skip_field(struct json_row *r)
{
	const char *tab = memchr(r->at, '\t', (size_t)(r->end - r->at));

	r->at = tab ? tab : r->end;
}

/* JSON is checked where it belongs, so that most of it is copied once. */
static const char *put_json_field(struct copy_json *j, struct json_row *r, struct json_pen *pen)
{
	size_t len;
	const char *wrong = json_take_field(r, pen->at, &len);

	if (!wrong)
		wrong = json_check_text(&j->check, pen->at, len);
	pen->at += len;
	return wrong;
}

/* A value that has no escapes when it is one of its type. */
static const char *put_plain_field(struct copy_json *j, const struct json_column *column, struct json_row *r,
                                   struct json_pen *pen)
{
	const char *start = r->at;

	skip_field(r);
	switch (column->given->kind) {
	case COPY_JSON_BOOL:
		return json_put_bool(pen, start, (size_t)(r->at - start));
	case COPY_JSON_FLOAT:
		return json_put_float(pen, start, (size_t)(r->at - start));
	default:
		return json_put_timestamp(pen, start, (size_t)(r->at - start),
		                          column->given->kind == COPY_JSON_TIMESTAMPTZ);
	}
}

/* What has to be taken apart. */
static const char *put_taken_field(struct copy_json *j, const struct json_column *column, struct json_row *r,
                                   struct json_pen *pen)
{
	size_t len;
	const char *wrong = take_json_value(j, r, &len);

	if (wrong)
		return wrong;
	if (column->given->is_array)
		return json_put_array(j, column, pen, j->value, len);
	return json_put_value(j, column, pen, j->value, len);
}

static const char *put_field(struct copy_json *j, const struct json_column *column, struct json_row *r,
                             struct json_pen *pen)
{
	if (column->given->is_array || column->redactor)
		return put_taken_field(j, column, r, pen);
	switch (column->given->kind) {
	case COPY_JSON_TEXT:
		return json_put_text_field(r, pen);
	case COPY_JSON_NUMBER:
		return json_put_number_field(r, pen);
	case COPY_JSON_JSON:
		return put_json_field(j, r, pen);
	default:
		return put_plain_field(j, column, r, pen);
	}
}

static const char *put_hashed_field(struct copy_json *j, struct json_row *r, struct json_pen *pen)
{
	size_t len;
	const char *wrong = take_json_value(j, r, &len);

	if (!wrong)
		json_put_hash(pen, j->key, j->value, len);
	return wrong;
}

/* Not NULL, and of a column of which more is said than that it is kept. */
static const char *put_redacted_field(struct copy_json *j, const struct json_column *column,
                                      struct json_row *r, struct json_pen *pen)
{
	if (column->given->how == COPY_JSON_HASH)
		return put_hashed_field(j, r, pen);
	skip_field(r);
	if (column->given->how == COPY_JSON_MASK)
		json_put_mask(pen);
	else if (column->given->how == COPY_JSON_NULL)
		json_pen_literal(pen, "null");
	return NULL;
}

/* Rows. */

static inline bool is_null_field(const struct json_row *r)
{
	const char *p = r->at;

	return r->end - p >= 2 && p[0] == '\\' && p[1] == 'N' && json_row_at_separator(r, p + 2);
}

static inline void put_prefix(const struct json_column *column, struct json_pen *pen)
{
	const char *from = column->prefix;

	for (size_t left = column->prefix_len; left > 0;) {
		json_step b = json_step_load(from);
		size_t n = left < JSON_STEP ? left : JSON_STEP;

		memcpy(pen->at, &b, sizeof(b));
		pen->at += n;
		from += n;
		left -= n;
	}
}

static inline const char *put_column(struct copy_json *j, const struct json_column *column,
                                     struct json_row *r, struct json_pen *pen)
{
	put_prefix(column, pen);
	if (is_null_field(r)) {
		r->at += 2;
		if (column->given->how != COPY_JSON_OMIT)
			json_pen_literal(pen, "null");
		return NULL;
	}
	if (column->given->how != COPY_JSON_KEEP)
		return put_redacted_field(j, column, r, pen);
	return put_field(j, column, r, pen);
}

static int refuse_field_count(const struct copy_json *j, const char *row, size_t len, struct error *err)
{
	size_t fields = 1;

	for (size_t i = 0; i < len; i++)
		fields += row[i] == '\t';
	return error_set(err, ERROR_CORRUPT, EBADMSG, "a row has %zu fields, and %zu columns were asked for",
	                 fields, j->count);
}

static int put_columns(struct copy_json *j, struct json_row *r, const char *row, struct json_pen *pen,
                       struct error *err)
{
	size_t len = (size_t)(r->end - row);

	for (size_t i = 0; i < j->count; i++) {
		const char *wrong;

		if (i > 0 && r->at == r->end)
			return refuse_field_count(j, row, len, err);
		r->at += i > 0;
		wrong = put_column(j, &j->columns[i], r, pen);
		if (wrong)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "the column \"%s\" %s",
			                 j->columns[i].given->name, wrong);
	}
	return r->at == r->end ? 0 : refuse_field_count(j, row, len, err);
}

int copy_json_row(struct copy_json *j, const char *row, size_t len, struct str *out, struct error *err)
{
	struct json_row r;
	struct json_pen pen;
	int result;

	json_row_begin(&r, row, len);
	json_pen_begin(&pen, out, len + j->fixed_bytes);
	result = put_columns(j, &r, row, &pen, err);
	if (result < 0) {
		out->data[out->len] = '\0';
		return result;
	}
	if (!j->writes_any)
		json_pen_char(&pen, '{');
	json_pen_char(&pen, '}');
	json_pen_end(&pen);
	return 0;
}
