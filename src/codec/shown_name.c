// SPDX-License-Identifier: Apache-2.0
/*
 * Shown names. What reads one takes anything that could stand for a key, and then asks what the name of that key is: only that one is taken. So
 * there is one place that says what is canonical.
 */
#include <keepfs/codec/shown_name.h>

#include <errno.h>
#include <string.h>

#define GOES_ON       "%-"
#define GOES_ON_BYTES (sizeof(GOES_ON) - 1)

static size_t plain_char(const char *text)
{
	unsigned char c = (unsigned char)text[0];
	size_t len = str_utf8_char(text);

	return c < 0x20 || c == 0x7f || c == '%' ? 0 : len;
}

static void escape_byte(struct str *escaped, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char piece[] = {'%', digits[c >> 4], digits[c & 15]};

	str_append_bytes(escaped, piece, sizeof(piece));
}

/* @text is terminated by a NUL behind the whole key, so that a character that is cut off is none. */
static void escape_component(const char *text, size_t len, struct str *escaped)
{
	bool dots = (len == 1 && text[0] == '.') || (len == 2 && text[0] == '.' && text[1] == '.');

	for (size_t i = 0; i < len;) {
		size_t piece = dots ? 0 : plain_char(text + i);

		if (piece == 0 || piece > len - i)
			escape_byte(escaped, (unsigned char)text[i]);
		else
			str_append_bytes(escaped, text + i, piece);
		i += piece > 0 && piece <= len - i ? piece : 1;
	}
	if (len == 0)
		str_append_char(escaped, '%');
}

/* A character or an escape, which is never cut in two. */
static size_t piece_length(const char *escaped)
{
	return escaped[0] == '%' ? 3 : str_utf8_char(escaped);
}

static void cut_component(const struct str *escaped, struct str *out)
{
	size_t at = 0;

	while (escaped->len - at > SHOWN_COMPONENT_MAX) {
		size_t end = at;

		while (end - at + piece_length(escaped->data + end) <= SHOWN_COMPONENT_MAX - GOES_ON_BYTES)
			end += piece_length(escaped->data + end);
		str_append_bytes(out, escaped->data + at, end - at);
		str_append(out, GOES_ON "/");
		at = end;
	}
	str_append_bytes(out, escaped->data + at, escaped->len - at);
}

void shown_name(const char *key, size_t len, struct str *out)
{
	_cleanup(str) struct str copy = {0};
	const char *at;

	str_append_bytes(&copy, key, len);
	at = str_text(&copy);
	for (;;) {
		_cleanup(str) struct str escaped = {0};
		size_t component = strcspn(at, "/");

		escape_component(at, component, &escaped);
		cut_component(&escaped, out);
		at += component;
		if (!*at)
			return;
		str_append_char(out, *at++);
	}
}

static int shown_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int unescape_component(const char *text, size_t len, struct str *key, bool *ret_goes_on)
{
	*ret_goes_on = len > GOES_ON_BYTES && memcmp(text + len - GOES_ON_BYTES, GOES_ON, GOES_ON_BYTES) == 0;
	len -= *ret_goes_on ? GOES_ON_BYTES : 0;
	if (len == 1 && text[0] == '%')
		return 0;
	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] != '%') {
			str_append_char(key, text[i]);
			continue;
		}
		high = i + 2 < len ? shown_hex_digit(text[i + 1]) : -1;
		low = high >= 0 ? shown_hex_digit(text[i + 2]) : -1;
		if (low < 0 || (high == 0 && low == 0))
			return -EINVAL;
		str_append_char(key, (char)(high << 4 | low));
		i += 2;
	}
	return 0;
}

static int unescape_name(const char *name, struct str *key, bool *ret_goes_on)
{
	for (;;) {
		size_t len = strcspn(name, "/");
		int r = unescape_component(name, len, key, ret_goes_on);

		if (r < 0 || key->len > SHOWN_KEY_MAX)
			return -EINVAL;
		name += len;
		if (!*name)
			return 0;
		if (!*ret_goes_on)
			str_append_char(key, '/');
		name++;
	}
}

int shown_name_key(const char *name, struct str *ret_key)
{
	_cleanup(str) struct str key = {0}, again = {0};
	bool goes_on = false;
	int r = unescape_name(name, &key, &goes_on);

	if (r < 0 || goes_on)
		return -EINVAL;
	shown_name(str_text(&key), key.len, &again);
	if (!str_equal(str_text(&again), name))
		return -EINVAL;
	str_append_bytes(ret_key, str_text(&key), key.len);
	return 0;
}

bool shown_name_goes_on(const char *name)
{
	return str_ends(name, GOES_ON);
}

int shown_name_prefix(const char *directory, struct str *ret)
{
	_cleanup(str) struct str key = {0};
	bool goes_on = false;
	int r = unescape_name(directory, &key, &goes_on);

	if (r < 0)
		return r;
	if (!goes_on)
		str_append_char(&key, '/');
	str_append_bytes(ret, str_text(&key), key.len);
	return 0;
}
