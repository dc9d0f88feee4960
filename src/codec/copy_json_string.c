// SPDX-License-Identifier: Apache-2.0
/* Texts as JSON strings: bytes are copied 16 at a time up to one that has to be escaped, or ends the field. */
#include "copy_escape.h"
#include "copy_json_private.h"

#include <errno.h>

#define NOT_UTF8   "has a value that is not UTF-8: correct it in the database, or have the column omitted"
#define BAD_ESCAPE "has an escape that no server writes: the rows are damaged"

static inline bool is_continuation(const unsigned char *p)
{
	return (*p & 0xc0) == 0x80;
}

/* The length of the character at @p, of which there are @left bytes, and which is no ASCII; 0: it is none (RFC 3629). */
static inline size_t utf8_char_bytes(const unsigned char *p, size_t left)
{
	unsigned lead = p[0];

	if (lead >= 0xc2 && lead <= 0xdf)
		return left >= 2 && is_continuation(p + 1) ? 2 : 0;
	if (lead >= 0xe0 && lead <= 0xef) {
		if (left < 3 || !is_continuation(p + 1) || !is_continuation(p + 2))
			return 0;
		return (lead == 0xe0 && p[1] < 0xa0) || (lead == 0xed && p[1] > 0x9f) ? 0 : 3;
	}
	if (lead < 0xf0 || lead > 0xf4 || left < 4 || !is_continuation(p + 1) || !is_continuation(p + 2) ||
	    !is_continuation(p + 3))
		return 0;
	return (lead == 0xf0 && p[1] < 0x90) || (lead == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

static inline bool is_ascii_word(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return (word & 0x8080808080808080) == 0;
}

bool json_utf8_is_valid(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	while (p < end) {
		if (end - p >= 8 && is_ascii_word(p)) {
			p += 8;
		} else if (*p < 0x80) {
			p++;
		} else {
			size_t bytes = utf8_char_bytes(p, (size_t)(end - p));

			if (bytes == 0)
				return false;
			p += bytes;
		}
	}
	return true;
}

/* The letter of an escape of two bytes; 0: there is none. */
static char short_escape(char c)
{
	switch (c) {
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	case '"':
	case '\\':
		return c;
	default:
		return 0;
	}
}

void json_put_escaped(struct json_pen *pen, char c)
{
	static const char digits[] = "0123456789abcdef";
	char letter = short_escape(c);

	json_pen_spend(pen, letter ? 1 : 5);
	json_pen_char(pen, '\\');
	if (letter) {
		json_pen_char(pen, letter);
		return;
	}
	json_pen_literal(pen, "u00");
	json_pen_char(pen, digits[(unsigned char)c >> 4]);
	json_pen_char(pen, digits[(unsigned char)c & 15]);
}

/* A step can be read from every byte before @end. */
static void put_string_bytes(struct json_pen *pen, const char *p, const char *end)
{
	while (p < end) {
		json_step b = json_step_load(p);
		size_t left = (size_t)(end - p);
		unsigned bits = json_step_special(b), n;

		memcpy(pen->at, &b, sizeof(b));
		if (left < JSON_STEP)
			bits |= 1U << left;
		n = bits ? (unsigned)__builtin_ctz(bits) : (unsigned)JSON_STEP;
		p += n;
		pen->at += n;
		if (n < JSON_STEP && p < end)
			json_put_escaped(pen, *p++);
	}
}

void json_put_text(struct json_pen *pen, const char *text, size_t len)
{
	json_pen_spend(pen, 2);
	json_pen_char(pen, '"');
	put_string_bytes(pen, text, text + len);
	json_pen_char(pen, '"');
}

int copy_json_append_string(struct str *out, const char *text, size_t len, struct error *err)
{
	size_t whole = len > JSON_STEP ? len - JSON_STEP : 0, rest = len - whole;
	char tail[2 * JSON_STEP] = "";
	struct json_pen pen;

	if (!json_utf8_is_valid(text, len))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "a text is not UTF-8");
	if (rest > 0)
		memcpy(tail, text + whole, rest);
	json_pen_begin(&pen, out, len);
	json_pen_char(&pen, '"');
	put_string_bytes(&pen, text, text + whole);
	put_string_bytes(&pen, tail, tail + rest);
	json_pen_char(&pen, '"');
	json_pen_end(&pen);
	return 0;
}

/* The byte that an escape stands for, by the letter behind the backslash; 0: no server writes it. */
static inline char escaped_by(char letter)
{
	char c = copy_escape_letter(letter);

	return c != letter || letter == '\\' ? c : 0;
}

/* At a byte of a field that has to be escaped, which may be the backslash of COPY's own escape. */
static const char *put_special(struct json_row *r, struct json_pen *pen)
{
	char c = *r->at++;

	if (c == '\\') {
		c = r->at < r->end ? escaped_by(*r->at++) : 0;
		if (!c)
			return BAD_ESCAPE;
	}
	json_put_escaped(pen, c);
	return NULL;
}

/* Up to a byte that has to be escaped, or the separator; adds to @high when there is a byte that is no ASCII. The places are in registers: a byte that is written might
 * be one of theirs, for all that the compiler knows. */
static inline void put_plain_bytes(struct json_row *r, struct json_pen *pen, unsigned *high)
{
	const char *p = r->at;
	char *out = pen->at;
	unsigned bits, n, seen = 0;

	for (;;) {
		json_step b = json_step_load(json_row_step(r, p));

		memcpy(out, &b, sizeof(b));
		bits = json_step_special(b);
		if (bits) {
			n = (unsigned)__builtin_ctz(bits);
			seen |= json_step_high(b) & ((1U << n) - 1);
			break;
		}
		seen |= json_step_high(b);
		p += JSON_STEP;
		out += JSON_STEP;
	}
	r->at = p + n;
	pen->at = out + n;
	*high |= seen;
}

const char *json_put_text_field(struct json_row *r, struct json_pen *pen)
{
	const char *start = r->at, *wrong;
	unsigned high = 0;

	json_pen_char(pen, '"');
	for (;;) {
		put_plain_bytes(r, pen, &high);
		if (json_row_at_separator(r, r->at))
			break;
		wrong = put_special(r, pen);
		if (wrong)
			return wrong;
	}
	json_pen_char(pen, '"');
	return high && !json_utf8_is_valid(start, (size_t)(r->at - start)) ? NOT_UTF8 : NULL;
}

static const char *take_escaped(struct json_row *r, char *ret)
{
	r->at++;
	*ret = r->at < r->end ? escaped_by(*r->at++) : 0;
	return *ret ? NULL : BAD_ESCAPE;
}

const char *json_take_field(struct json_row *r, char *ret, size_t *ret_len)
{
	const char *wrong;
	unsigned high = 0;
	char *out = ret;

	for (;;) {
		json_step b = json_step_load(json_row_step(r, r->at));
		unsigned bits = json_step_bits((json_step_mask)((b == '\\') | (b == '\t')));
		unsigned n = bits ? (unsigned)__builtin_ctz(bits) : (unsigned)JSON_STEP;

		memcpy(out, &b, sizeof(b));
		high |= json_step_high(b) & ((1U << n) - 1);
		r->at += n;
		out += n;
		if (!bits)
			continue;
		if (json_row_at_separator(r, r->at))
			break;
		wrong = take_escaped(r, out++);
		if (wrong)
			return wrong;
	}
	*out = '\0';
	*ret_len = (size_t)(out - ret);
	return high && !json_utf8_is_valid(ret, *ret_len) ? NOT_UTF8 : NULL;
}
