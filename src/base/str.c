// SPDX-License-Identifier: Apache-2.0
/* Growing strings: capacity doubles, and the byte behind the text is always NUL. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void reserve_bytes(struct str *s, size_t more)
{
	size_t want = s->len + more + 1;

	if (want <= s->cap)
		return;
	if (want < s->cap * 2)
		want = s->cap * 2;
	if (want < 64)
		want = 64;
	s->data = mem_resize(s->data, want, 1);
	s->cap = want;
}

void str_finish(struct str *s)
{
	free(s->data);
	*s = (struct str){0};
}

void str_clear(struct str *s)
{
	s->len = 0;
	if (s->data)
		s->data[0] = '\0';
}

void str_append_bytes(struct str *s, const void *bytes, size_t len)
{
	reserve_bytes(s, len);
	if (len)
		memcpy(s->data + s->len, bytes, len);
	s->len += len;
	s->data[s->len] = '\0';
}

void str_append(struct str *s, const char *text)
{
	str_append_bytes(s, text, strlen(text));
}

void str_append_char(struct str *s, char c)
{
	reserve_bytes(s, 1);
	s->data[s->len++] = c;
	s->data[s->len] = '\0';
}

void str_vappendf(struct str *s, const char *fmt, va_list args)
{
	va_list again;
	int len;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (len < 0)
		return;
	reserve_bytes(s, (size_t)len);
	vsnprintf(s->data + s->len, (size_t)len + 1, fmt, args);
	s->len += (size_t)len;
}

void str_appendf(struct str *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	str_vappendf(s, fmt, args);
	va_end(args);
}

void str_append_shell_word(struct str *s, const char *word)
{
	static const char plain[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:@+,%=";

	if (*word && !word[strspn(word, plain)]) {
		str_append(s, word);
		return;
	}
	str_append_char(s, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			str_append(s, "'\\''");
		else
			str_append_char(s, *word);
	}
	str_append_char(s, '\'');
}

void str_append_csv(struct str *s, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		str_append(s, text);
		return;
	}
	str_append_char(s, '"');
	for (; *text; text++) {
		if (*text == '"')
			str_append_char(s, '"');
		str_append_char(s, *text);
	}
	str_append_char(s, '"');
}

const char *str_text(const struct str *s)
{
	return s->data ? s->data : "";
}

char *str_take(struct str *s)
{
	char *text;

	reserve_bytes(s, 0);
	s->data[s->len] = '\0';
	text = s->data;
	*s = (struct str){0};
	return text;
}

bool str_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
	size_t len = strlen(text), tail = strlen(suffix);

	return len >= tail && memcmp(text + len - tail, suffix, tail) == 0;
}

void str_copy(char *dst, size_t dst_bytes, const char *src)
{
	size_t len = strlen(src);

	if (dst_bytes == 0)
		return;
	if (len >= dst_bytes)
		len = dst_bytes - 1;
	memmove(dst, src, len);
	dst[len] = '\0';
}

void str_cut(char *dst, size_t dst_bytes, const char *src)
{
	size_t len = strlen(src);

	str_copy(dst, dst_bytes, src);
	if (len < dst_bytes)
		return;
	len = dst_bytes - 4;
	while (len > 0 && ((unsigned char)dst[len] & 0xC0) == 0x80)
		len--;
	str_copy(dst + len, dst_bytes - len, "...");
}

size_t str_utf8_char(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t more = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : p[0] < 0xf5 ? 3 : 0;

	if (p[0] < 0x80)
		return 1;
	for (size_t i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return more ? more + 1 : 0;
}

bool str_is_utf8(const char *text)
{
	while (*text) {
		size_t n = str_utf8_char(text);

		if (n == 0)
			return false;
		text += n;
	}
	return true;
}

/* Characters of Unicode that are no text: C1 controls, what ends a line, and what turns its direction. */
static bool is_unseen(uint32_t c)
{
	return (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t str_visible_char(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t len = str_utf8_char(text);

	if (len == 1 && p[0] < 0x20)
		return strchr("\t\n\r", p[0]) && p[0] ? 1 : 0;
	if ((len == 1 && is_unseen(p[0])) || (len == 2 && is_unseen((p[0] & 0x1fU) << 6 | (p[1] & 0x3fU))) ||
	    (len == 3 && is_unseen((p[0] & 0xfU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU))))
		return 0;
	return len;
}

void str_append_visible(struct str *s, const char *text)
{
	while (*text) {
		size_t shown = str_visible_char(text), len = shown ? shown : str_utf8_char(text);

		if (shown)
			str_append_bytes(s, text, shown);
		else
			str_append(s, REPLACEMENT);
		text += len ? len : 1;
	}
}

void str_append_line(struct str *s, const char *text)
{
	_cleanup(str) struct str shown = {0};

	str_append_visible(&shown, text);
	while (shown.len > 0 && isspace((unsigned char)shown.data[shown.len - 1]))
		shown.len--;
	for (size_t i = 0; i < shown.len; i++) {
		if (shown.data[i] == '\n')
			str_append(s, " | ");
		else
			str_append_char(s, isspace((unsigned char)shown.data[i]) ? ' ' : shown.data[i]);
	}
}

const char *str_format_bytes(char *buf, size_t buf_bytes, unsigned long long bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024.0 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024.0;
		unit++;
	}
	snprintf(buf, buf_bytes, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return buf;
}
