// SPDX-License-Identifier: Apache-2.0
/* Values are passed over without a stack: brackets are counted, since a server has seen to it that they match. */
#include <keepfs/base/cleanup.h>
#include <keepfs/codec/json_path.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct json_span {
	const char *at, *end;
};

static void skip_json_space(struct json_span *s)
{
	while (s->at < s->end && memchr(" \t\n\r", *s->at, 4))
		s->at++;
}

/* Behind the quote that closes the string which begins at s->at. */
static bool skip_json_string(struct json_span *s)
{
	for (s->at++; s->at < s->end; s->at++) {
		if (*s->at == '"') {
			s->at++;
			return true;
		}
		if (*s->at == '\\' && s->at + 1 < s->end)
			s->at++;
	}
	return false;
}

static bool skip_json_nested(struct json_span *s)
{
	size_t depth = 0;

	while (s->at < s->end) {
		char c = *s->at;

		if (c == '"') {
			if (!skip_json_string(s))
				return false;
			continue;
		}
		s->at++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return true;
	}
	return false;
}

/* Numbers, true, false, null. */
static bool skip_json_word(struct json_span *s)
{
	const char *begin = s->at;

	while (s->at < s->end && !memchr(" \t\n\r,]}:\"[{", *s->at, 11))
		s->at++;
	return s->at > begin;
}

static bool pass_json_value(struct json_span *s, struct json_span *ret)
{
	bool is_whole;

	skip_json_space(s);
	ret->at = s->at;
	if (s->at >= s->end)
		return false;
	if (*s->at == '"')
		is_whole = skip_json_string(s);
	else if (*s->at == '{' || *s->at == '[')
		is_whole = skip_json_nested(s);
	else
		is_whole = skip_json_word(s);
	ret->end = s->at;
	return is_whole && s->at <= s->end;
}

/* Strings. */

static bool take_hex4(struct json_span *s, uint32_t *ret)
{
	*ret = 0;
	if (s->end - s->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *s->at++;
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (uint32_t)((c | 0x20) - 'a') + 10;
		else
			return false;
		*ret = *ret << 4 | digit;
	}
	return true;
}

static void append_json_character(struct str *out, uint32_t c)
{
	if (c < 0x80) {
		str_append_char(out, (char)c);
		return;
	}
	if (c < 0x800) {
		str_append_char(out, (char)(0xC0 | c >> 6));
	} else {
		if (c < 0x10000) {
			str_append_char(out, (char)(0xE0 | c >> 12));
		} else {
			str_append_char(out, (char)(0xF0 | c >> 18));
			str_append_char(out, (char)(0x80 | (c >> 12 & 0x3F)));
		}
		str_append_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
	}
	str_append_char(out, (char)(0x80 | (c & 0x3F)));
}

/* Behind "\u". A character beyond the first 65536 is two of these. No text of PostgreSQL has a NUL. */
static bool append_escaped_character(struct json_span *s, struct str *out)
{
	uint32_t c, low;

	if (!take_hex4(s, &c) || c == 0 || (c >= 0xDC00 && c < 0xE000))
		return false;
	if (c >= 0xD800 && c < 0xDC00) {
		if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
			return false;
		s->at += 2;
		if (!take_hex4(s, &low) || low < 0xDC00 || low >= 0xE000)
			return false;
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	}
	append_json_character(out, c);
	return true;
}

static bool append_json_escape(struct json_span *s, struct str *out)
{
	static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	char c = s->at < s->end ? *s->at++ : '\0';
	const char *at = c ? strchr(letters, c) : NULL;

	if (c == 'u')
		return append_escaped_character(s, out);
	if (at)
		str_append_char(out, values[at - letters]);
	return at != NULL;
}

/* @value: with its quotes. */
static bool append_json_string(struct json_span value, struct str *out)
{
	struct json_span s = {value.at + 1, value.end - 1};

	while (s.at < s.end) {
		const char *escape = memchr(s.at, '\\', (size_t)(s.end - s.at));
		const char *until = escape ? escape : s.end;

		str_append_bytes(out, s.at, (size_t)(until - s.at));
		s.at = until;
		if (!escape)
			break;
		s.at++;
		if (!append_json_escape(&s, out))
			return false;
	}
	return true;
}

static bool is_json_key(struct json_span key, const char *wanted, struct str *scratch, bool *ret_is_wrong)
{
	size_t len = (size_t)(key.end - key.at) - 2;

	if (!memchr(key.at + 1, '\\', len))
		return strlen(wanted) == len && memcmp(key.at + 1, wanted, len) == 0;
	str_clear(scratch);
	if (!append_json_string(key, scratch)) {
		*ret_is_wrong = true;
		return false;
	}
	return str_equal(str_text(scratch), wanted);
}

/* Members. */

static bool take_json_byte(struct json_span *s, char wanted)
{
	skip_json_space(s);
	if (s->at >= s->end || *s->at != wanted)
		return false;
	s->at++;
	return true;
}

static bool take_json_member(struct json_span *s, struct json_span *ret_key, struct json_span *ret_value)
{
	skip_json_space(s);
	if (s->at >= s->end || *s->at != '"')
		return false;
	return pass_json_value(s, ret_key) && take_json_byte(s, ':') && pass_json_value(s, ret_value);
}

/* 1: @ret; 0: it has none of that name; -EBADMSG. @object begins with its bracket. */
static int find_json_member(struct json_span object, const char *name, struct json_span *ret)
{
	_cleanup(str) struct str scratch = {0};
	struct json_span s = {object.at + 1, object.end};
	int found = 0;
	bool is_wrong = false;

	if (take_json_byte(&s, '}'))
		return 0;
	for (;;) {
		struct json_span key, value;

		if (!take_json_member(&s, &key, &value))
			return -EBADMSG;
		if (is_json_key(key, name, &scratch, &is_wrong)) {
			*ret = value;
			found = 1;
		}
		if (is_wrong)
			return -EBADMSG;
		if (take_json_byte(&s, '}'))
			return found;
		if (!take_json_byte(&s, ','))
			return -EBADMSG;
	}
}

static int find_json_path(struct json_span whole, char *const *keys, size_t count, struct json_span *ret)
{
	if (!pass_json_value(&whole, ret))
		return -EBADMSG;
	for (size_t i = 0; i < count; i++) {
		int r = *ret->at == '{' ? find_json_member(*ret, keys[i], ret) : 0;

		if (r <= 0)
			return r;
	}
	return 1;
}

int json_path_text(const char *text, size_t len, char *const *keys, size_t count, struct str *ret,
                   struct error *err)
{
	struct json_span value = {0};
	size_t before = ret->len;
	int r = find_json_path((struct json_span){text, text + len}, keys, count, &value);

	if (r == 1 && *value.at == '"') {
		r = append_json_string(value, ret) ? 1 : -EBADMSG;
	} else if (r == 1) {
		size_t bytes = (size_t)(value.end - value.at);

		r = !(bytes == 4 && memcmp(value.at, "null", 4) == 0);
		if (r == 1)
			str_append_bytes(ret, value.at, bytes);
	}
	if (r >= 0)
		return r;
	if (ret->data) {
		ret->len = before;
		ret->data[before] = '\0';
	}
	return error_set(err, ERROR_CORRUPT, EBADMSG, "a value that should be JSON is none");
}
