// SPDX-License-Identifier: Apache-2.0
#pragma once
/** An escape of COPY's text format, told the bytes behind its backslash one by one. Start with {0}. */
#include <stdbool.h>

struct copy_escape {
	enum { ESCAPE_BEGINS, ESCAPE_OCTAL, ESCAPE_HEX, ESCAPE_OTHER } kind;
	unsigned digits, value;
};

/** copy_hex_digit() - its value; -1: it is none. */
static inline int copy_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static inline char copy_escape_letter(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'v':
		return '\v';
	default:
		return c;
	}
}

/** copy_escape_take() - is @c part of it? The first byte always is. */
static inline bool copy_escape_take(struct copy_escape *e, char c)
{
	bool octal = c >= '0' && c <= '7';

	switch (e->kind) {
	case ESCAPE_BEGINS:
		e->kind = octal ? ESCAPE_OCTAL : c == 'x' ? ESCAPE_HEX : ESCAPE_OTHER;
		e->digits = octal;
		e->value = octal ? (unsigned)(c - '0') : (unsigned char)copy_escape_letter(c);
		return true;
	case ESCAPE_OCTAL:
		if (!octal || e->digits == 3)
			return false;
		e->digits++;
		e->value = e->value * 8 + (unsigned)(c - '0');
		return true;
	case ESCAPE_HEX:
		if (copy_hex_digit(c) < 0 || e->digits == 2)
			return false;
		e->value = (e->digits++ == 0 ? 0 : e->value * 16) + (unsigned)copy_hex_digit(c);
		return true;
	default:
		return false;
	}
}

/** copy_escape_is_whole() - no further byte can be part of it. */
static inline bool copy_escape_is_whole(const struct copy_escape *e)
{
	return e->kind == ESCAPE_OTHER || (e->kind == ESCAPE_OCTAL && e->digits == 3) ||
	       (e->kind == ESCAPE_HEX && e->digits == 2);
}

/** copy_escape_value() - the byte that it stands for. "\x" without a digit is an x. */
static inline unsigned char copy_escape_value(const struct copy_escape *e)
{
	return (unsigned char)(e->value & 0xff);
}
