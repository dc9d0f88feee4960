// SPDX-License-Identifier: Apache-2.0
/*
 * JSON over jansson. A `struct json *` is a jansson value under another name: nothing of jansson's shows
 * outside this file. Building never fails: text is made valid UTF-8 before jansson sees it, and memory for
 * small values is treated as in base/mem.h, since a value that is silently missing from a manifest would be
 * worse than an end.
 */
#include <keepfs/codec/json.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>

static json_t *json_value_of(struct json *j)
{
	return (json_t *)j;
}

static const json_t *const_value_of(const struct json *j)
{
	return (const json_t *)j;
}

static json_t *must_json(json_t *value)
{
	if (!value)
		abort();
	return value;
}

/* The length of the valid UTF-8 sequence at @text, 0 when there is none. Overlong forms and surrogates are
 * not valid. */
static size_t utf8_sequence(const unsigned char *text)
{
	unsigned char lead = text[0];
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		len = 2;
	else if (lead >= 0xe0 && lead <= 0xef)
		len = 3;
	else if (lead >= 0xf0 && lead <= 0xf4)
		len = 4;
	else
		return 0;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	/* The text ends with a NUL, which is no continuation: nothing behind it is read. */
	for (size_t i = 1; i < len; i++) {
		if (text[i] < low || text[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

static void append_utf8(struct str *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		size_t len = utf8_sequence(at);

		if (len)
			str_append_bytes(out, at, len);
		else
			str_append(out, "\xef\xbf\xbd");
		at += len ? len : 1;
	}
}

struct json *json_object_new(void)
{
	return (struct json *)must_json(json_object());
}

struct json *json_array_new(void)
{
	return (struct json *)must_json(json_array());
}

struct json *json_free(struct json *j)
{
	json_decref(json_value_of(j));
	return NULL;
}

static void set_value(struct json *object, const char *key, json_t *value)
{
	_cleanup(str) struct str clean = {0};

	append_utf8(&clean, key);
	if (json_object_set_new_nocheck(json_value_of(object), str_text(&clean), must_json(value)) < 0)
		abort();
}

void json_set_string(struct json *object, const char *key, const char *value)
{
	_cleanup(str) struct str clean = {0};

	if (!value) {
		set_value(object, key, json_null());
		return;
	}
	append_utf8(&clean, value);
	set_value(object, key, json_stringn_nocheck(str_text(&clean), clean.len));
}

void json_set_int(struct json *object, const char *key, int64_t value)
{
	set_value(object, key, json_integer(value));
}

void json_set_real(struct json *object, const char *key, double value)
{
	/* JSON has no word for infinity or not-a-number. */
	set_value(object, key, isfinite(value) ? json_real(value) : json_null());
}

void json_set_bool(struct json *object, const char *key, bool value)
{
	set_value(object, key, json_boolean(value));
}

void json_set_time(struct json *object, const char *key, int64_t at_us)
{
	_cleanup(str) struct str text = {0};
	char iso[CLOCK_ISO_BYTES];
	int64_t fraction_us = ((at_us % US_PER_S) + US_PER_S) % US_PER_S;

	if (at_us == 0) {
		json_set_string(object, key, NULL);
		return;
	}
	clock_format_iso(at_us - fraction_us, iso);
	str_append_bytes(&text, iso, strlen(iso) - 1); /* the Z goes behind the fraction */
	str_appendf(&text, ".%06dZ", (int)fraction_us);
	json_set_string(object, key, str_text(&text));
}

void json_set(struct json *object, const char *key, struct json *value)
{
	set_value(object, key, json_value_of(value));
}

void json_append(struct json *array, struct json *value)
{
	if (json_array_append_new(json_value_of(array), must_json(json_value_of(value))) < 0)
		abort();
}

void json_append_string(struct json *array, const char *value)
{
	_cleanup(str) struct str clean = {0};

	append_utf8(&clean, value);
	json_append(array, (struct json *)json_stringn_nocheck(str_text(&clean), clean.len));
}

/* What is no text (str_append_visible() says what) only stands within strings, and there it can be written by its number:
 * the same to a program, and harmless on a terminal. @at: its UTF-8, of at most three bytes. */
static void append_by_number(struct str *out, const unsigned char *at, size_t len)
{
	unsigned c = len == 1   ? at[0]
	             : len == 2 ? (at[0] & 0x1fU) << 6 | (at[1] & 0x3fU)
	                        : (at[0] & 0xfU) << 12 | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU);

	str_appendf(out, "\\u%04X", c);
}

/* jansson writes what is below 0x20 by its number itself; the line ends of its layout are text here. */
static int append_to_str(const char *bytes, size_t len, void *arg)
{
	_cleanup(str) struct str piece = {0};
	const char *text;

	str_append_bytes(&piece, bytes, len);
	for (text = str_text(&piece); *text;) {
		size_t shown = str_visible_char(text), n = shown ? shown : str_utf8_char(text);

		if (shown)
			str_append_bytes(arg, text, shown);
		else
			append_by_number(arg, (const unsigned char *)text, n);
		text += n;
	}
	return 0;
}

static void write_in_layout(const struct json *j, size_t layout, struct str *out)
{
	/* 15 digits are what a double keeps of any decimal: 0.1 is written as 0.1. */
	if (json_dump_callback(const_value_of(j), append_to_str, out,
	                       layout | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) < 0)
		abort();
}

void json_write(const struct json *j, int indent, struct str *out)
{
	write_in_layout(j, indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT, out);
}

void json_write_open(const struct json *object, struct str *out)
{
	json_write(object, 2, out);
	out->len -= strlen("\n}");
	out->data[out->len] = '\0';
}

void json_write_close(struct str *out)
{
	str_append(out, "\n}\n");
}

void json_list_open(const char *key, struct str *out)
{
	str_appendf(out, ",\n  \"%s\": [", key);
}

void json_list_add(struct json *item, bool first, struct str *out)
{
	str_append(out, first ? "\n    " : ",\n    ");
	write_in_layout(item, 0, out);
	json_free(item);
}

void json_list_close(struct str *out)
{
	str_append(out, "\n  ]");
}

static int not_json(const json_error_t *where, int lines_before, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "not valid JSON at line %d, column %d: %s",
	                 lines_before + where->line, where->column, where->text);
}

struct json *json_parse(const char *text, size_t len, struct error *err)
{
	json_error_t where;
	json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &where);

	if (!value)
		not_json(&where, 0, err);
	return (struct json *)value;
}

/* Lists that are parsed by the item. Here they are only found: what is found is parsed by jansson all the same, the list
 * by its items and the rest in one, so what is no JSON is never taken for some. */

struct scan {
	const char *at, *end;
};

/* Behind the string that begins at the quote, or at the end when it has none. */
static void skip_string(struct scan *s)
{
	for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
		if (*s->at == '\\' && s->at + 1 < s->end)
			s->at++;
	if (s->at < s->end)
		s->at++;
}

/* Behind one character, or one string. Returns by how much we are deeper within brackets now. */
static int skip_one(struct scan *s)
{
	char c = *s->at;

	if (c == '"') {
		skip_string(s);
		return 0;
	}
	s->at++;
	return (c == '[' || c == '{') - (c == ']' || c == '}');
}

static void skip_blanks(struct scan *s)
{
	while (s->at < s->end && strchr(" \t\r\n", *s->at) && *s->at)
		s->at++;
}

/* Behind the list that begins at the bracket; false when it has no end. */
static bool skip_list(struct scan *s)
{
	int depth = 0;

	while (s->at < s->end) {
		depth += skip_one(s);
		if (depth == 0)
			return s->at[-1] == ']';
	}
	return false;
}

static int lines_between(const char *from, const char *to)
{
	int lines = 0;

	for (; from < to; from++)
		lines += *from == '\n';
	return lines;
}

/* The list with the key from @key to @key_end, if it is one that is looked for, and was not met yet. */
static struct json_list *wanted(struct json_list *lists, size_t count, const char *key, const char *key_end)
{
	size_t len = (size_t)(key_end - key);

	for (size_t i = 0; i < count; i++)
		if (!lists[i].text && len == strlen(lists[i].key) + 2 && key[0] == '"' &&
		    memcmp(key + 1, lists[i].key, len - 2) == 0)
			return &lists[i];
	return NULL;
}

/* At a string of the outermost object: behind it, and behind the list of which it is the key. */
static void find_list(struct scan *s, const char *text, struct json_list *lists, size_t count,
                      struct scan *rest, struct str *head)
{
	const char *key = s->at, *bracket;
	struct json_list *list;

	skip_string(s);
	list = wanted(lists, count, key, s->at);
	skip_blanks(s);
	if (!list || s->at == s->end || *s->at != ':')
		return;
	s->at++;
	skip_blanks(s);
	bracket = s->at;
	if (bracket == s->end || *bracket != '[' || !skip_list(s))
		return;
	list->text = bracket + 1;
	list->len = (size_t)(s->at - 1 - list->text);
	list->line = lines_between(text, bracket);
	/* As many lines as it had: errors behind it name the right one. */
	str_append_bytes(head, rest->at, (size_t)(bracket - rest->at));
	str_append_char(head, '[');
	for (int lines = lines_between(bracket, s->at); lines > 0; lines--)
		str_append_char(head, '\n');
	str_append_char(head, ']');
	rest->at = s->at;
}

struct json *json_parse_but(const char *text, size_t len, struct json_list *lists, size_t count,
                            struct error *err)
{
	struct scan scan = {text, text + len}, rest = scan;
	_cleanup(str) struct str head = {0};
	int depth = 0;

	while (scan.at < scan.end) {
		if (depth == 1 && *scan.at == '"')
			find_list(&scan, text, lists, count, &rest, &head);
		else
			depth += skip_one(&scan);
	}
	str_append_bytes(&head, rest.at, (size_t)(rest.end - rest.at));
	return json_parse(str_text(&head), head.len, err);
}

int json_each(const struct json_list *list, int (*each)(void *arg, const struct json *item), void *arg,
              struct error *err)
{
	struct scan s = {.at = list->text};
	const char *counted = list->text;
	int r = 0, line = list->line;
	bool more;

	if (!list->text)
		return 0;
	s.end = list->text + list->len;
	skip_blanks(&s);
	more = s.at < s.end;
	while (r == 0 && more) {
		json_error_t where;
		json_t *item =
		        json_loadb(s.at, (size_t)(s.end - s.at),
		                   JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &where);

		line += lines_between(counted, s.at);
		counted = s.at;
		if (!item)
			return not_json(&where, line, err);
		r = each(arg, (const struct json *)item);
		json_decref(item);
		s.at += where.position;
		skip_blanks(&s);
		more = s.at < s.end;
		if (r == 0 && more && *s.at++ != ',')
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "not valid JSON at line %d: no comma behind an item of \"%s\"",
			                 line + lines_between(counted, s.at) + 1, list->key);
		skip_blanks(&s);
	}
	return r;
}

const struct json *json_get(const struct json *object, const char *key)
{
	return (const struct json *)json_object_get(const_value_of(object), key);
}

const char *json_get_string(const struct json *object, const char *key)
{
	return json_string_value(const_value_of(json_get(object, key)));
}

bool json_get_int(const struct json *object, const char *key, int64_t *ret_value)
{
	const json_t *value = const_value_of(json_get(object, key));

	if (!json_is_integer(value))
		return false;
	*ret_value = json_integer_value(value);
	return true;
}

bool json_number(const struct json *j, int64_t *ret_value)
{
	if (!json_is_integer(const_value_of(j)))
		return false;
	*ret_value = json_integer_value(const_value_of(j));
	return true;
}

bool json_get_bool(const struct json *object, const char *key, bool *ret_value)
{
	const json_t *value = const_value_of(json_get(object, key));

	if (!json_is_boolean(value))
		return false;
	*ret_value = json_is_true(value);
	return true;
}

bool json_get_null(const struct json *object, const char *key)
{
	return json_is_null(const_value_of(json_get(object, key)));
}

bool json_get_time(const struct json *object, const char *key, int64_t *ret_at_us)
{
	const char *text = json_get_string(object, key);

	return text && clock_parse_iso(text, ret_at_us) == 0;
}

size_t json_count(const struct json *array)
{
	return json_array_size(const_value_of(array));
}

const struct json *json_item(const struct json *array, size_t index)
{
	return (const struct json *)json_array_get(const_value_of(array), index);
}

struct json *json_clone(const struct json *j)
{
	return (struct json *)must_json(json_deep_copy(const_value_of(j)));
}

struct json *json_string_new(const char *text)
{
	_cleanup(str) struct str clean = {0};

	append_utf8(&clean, text);
	return (struct json *)must_json(json_stringn_nocheck(str_text(&clean), clean.len));
}

struct json *json_int_new(int64_t value)
{
	return (struct json *)must_json(json_integer(value));
}

const char *json_text(const struct json *j)
{
	return json_string_value(const_value_of(j));
}

static struct json *replace_in_array(const struct json *j,
                                     struct json *(*replace)(void *arg, const char *text), void *arg)
{
	struct json *array = json_array_new();

	for (size_t i = 0; i < json_count(j); i++)
		json_append(array, json_replace_strings(json_item(j, i), replace, arg));
	return array;
}

struct json *json_replace_strings(const struct json *j, struct json *(*replace)(void *arg, const char *text),
                                  void *arg)
{
	struct json *object;

	if (json_is_string(const_value_of(j)))
		return replace(arg, json_text(j));
	if (json_is_array(const_value_of(j)))
		return replace_in_array(j, replace, arg);
	if (!json_is_object_value(j))
		return json_clone(j);
	object = json_object_new();
	for (const char *key = json_first_key(j); key; key = json_next_key(j, key))
		json_set(object, key, json_replace_strings(json_get(j, key), replace, arg));
	return object;
}

bool json_is_object_value(const struct json *j)
{
	return json_is_object(const_value_of(j));
}

bool json_is_array_value(const struct json *j)
{
	return json_is_array(const_value_of(j));
}

/* Iterating changes nothing, but jansson's iterators want a value that could be changed. */
const char *json_first_key(const struct json *object)
{
	json_t *value = (json_t *)(uintptr_t)object;

	return json_object_iter_key(json_object_iter(value));
}

const char *json_next_key(const struct json *object, const char *key)
{
	json_t *value = (json_t *)(uintptr_t)object;

	return json_object_iter_key(json_object_iter_next(value, json_object_key_to_iter(key)));
}

bool json_scalar_text(const struct json *value, struct str *out)
{
	const json_t *v = const_value_of(value);

	if (json_is_string(v))
		str_append(out, json_string_value(v));
	else if (json_is_boolean(v))
		str_append(out, json_is_true(v) ? "yes" : "no");
	else if (json_is_number(v))
		json_write(value, 0, out);
	else
		return false;
	return true;
}
