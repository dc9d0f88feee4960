// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A growing byte string. `data` is never NULL after the first append and always NUL-terminated, so it can be
 * read as C text when it holds no NUL of its own. Start with `struct str s = {0}`, end with str_finish() (or
 * _cleanup(str)).
 */
#include <keepfs/base/cleanup.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct str {
	char *data;
	size_t len;
	size_t cap;
};

void str_finish(struct str *s);
void str_clear(struct str *s);
void str_append(struct str *s, const char *text);
void str_append_bytes(struct str *s, const void *bytes, size_t len);
void str_append_char(struct str *s, char c);
void str_appendf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_vappendf(struct str *s, const char *fmt, va_list args);
/**
 * str_append_visible() - @text, which others wrote, so that it can be shown on a terminal
 *
 * What a terminal obeys (control characters, but for line ends and tabs), what changes the direction of the text behind it,
 * and bytes that are no UTF-8 become U+FFFD each.
 */
void str_append_visible(struct str *s, const char *text);
/** str_append_line() - the same as a part of one line: line ends become " | ", but for those at its end, which are left
 * out with the white space there; tabs become blanks. */
void str_append_line(struct str *s, const char *text);
/** str_append_shell_word() - @word as a shell takes it for one, in single quotes where it would be taken apart or replaced. */
void str_append_shell_word(struct str *s, const char *word);
/** str_append_csv() - one field, in quotes when it has to be (RFC 4180); the comma is the caller's. */
void str_append_csv(struct str *s, const char *text);
/** str_text() - the text; "" for an empty string. Borrowed until the next change. */
const char *str_text(const struct str *s);
/** str_take() - the text on the heap (never NULL); @s is empty afterwards. */
char *str_take(struct str *s);

static inline void cleanup_str(struct str *s)
{
	str_finish(s);
}

/* Plain C strings. */
static inline const char *str_or_empty(const char *text)
{
	return text ? text : "";
}
bool str_equal(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
/** str_copy() - copy into a fixed buffer, cut if needed, always terminated. */
void str_copy(char *dst, size_t dst_bytes, const char *src);
/** str_cut() - str_copy() that ends in "..." what does not fit, and cuts no UTF-8 character in two.
 * @dst_bytes is at least 4. */
void str_cut(char *dst, size_t dst_bytes, const char *src);
/** str_utf8_char() - the length of the UTF-8 character at @text (RFC 3629: shortest form, no surrogates); 0
 * when it is none. Never reads behind the NUL. */
size_t str_utf8_char(const char *text);
/** str_is_utf8() - whether all of @text is. */
bool str_is_utf8(const char *text);
/** str_visible_char() - the same when it is one that str_append_visible() leaves as it is; else 0. */
size_t str_visible_char(const char *text);
/** str_format_bytes() - "1.2 GiB" into @buf (at least 16 bytes); returns @buf. */
const char *str_format_bytes(char *buf, size_t buf_bytes, unsigned long long bytes);
