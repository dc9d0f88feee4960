// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers, booleans and timestamps. A number is copied as it is, since its text is JSON already; only one that a double would not hold is put in quotes. The
 * shape of each value is checked in full: rows may come from anywhere.
 */
#include "copy_json_private.h"

#define NO_NUMBER    "has a value that is no number"
#define NO_BOOL      "has a value that is no boolean"
#define NO_TIMESTAMP "has a value that is no timestamp"

/* Any decimal fraction of so many digits is the same again after it was a double (DBL_DIG). */
#define DOUBLE_DIGITS 15
/* Every integer up to this one is a double. */
static const char integer_max[] = "9007199254740992";
#define INTEGER_MAX_DIGITS (sizeof(integer_max) - 1)
/* So many zeros behind the point still leave a double its full precision: the smallest such is 2.2e-308. */
#define ZEROS_MAX 290

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline const char *skip_digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

static const char *put_quoted(struct json_pen *pen, const char *text, size_t len)
{
	json_pen_char(pen, '"');
	json_pen_bytes(pen, text, len);
	json_pen_char(pen, '"');
	return NULL;
}

static const char *put_bare(struct json_pen *pen, const char *text, size_t len)
{
	json_pen_bytes(pen, text, len);
	return NULL;
}

static inline bool is_exactly(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

/* What is no number in JSON is a string. */
static const char *put_special_number(struct json_pen *pen, const char *text, size_t len)
{
	if (is_exactly(text, len, "NaN") || is_exactly(text, len, "Infinity") ||
	    is_exactly(text, len, "-Infinity"))
		return put_quoted(pen, text, len);
	return NO_NUMBER;
}

struct number {                              /* "-12.50e-7" */
	const char *integer, *integer_end;   /* 12 */
	const char *fraction, *fraction_end; /* 50; NULL: there is none */
	bool has_exponent;
};

static bool parse_exponent(const char **p, const char *end)
{
	const char *digits = *p + 1;

	if (digits < end && (*digits == '+' || *digits == '-'))
		digits++;
	*p = skip_digits(digits, end);
	return *p > digits;
}

static bool parse_decimal(const char *text, size_t len, struct number *n)
{
	const char *p = text, *end = text + len;

	*n = (struct number){.integer = p < end && *p == '-' ? p + 1 : p};
	n->integer_end = p = skip_digits(n->integer, end);
	if (p == n->integer || (*n->integer == '0' && p - n->integer > 1))
		return false;
	if (p < end && *p == '.') {
		n->fraction = p + 1;
		n->fraction_end = p = skip_digits(p + 1, end);
		if (p == n->fraction)
			return false;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		n->has_exponent = true;
		if (!parse_exponent(&p, end))
			return false;
	}
	return p == end;
}

static bool double_holds_integer(const struct number *n)
{
	size_t digits = (size_t)(n->integer_end - n->integer);

	if (digits != INTEGER_MAX_DIGITS)
		return digits < INTEGER_MAX_DIGITS;
	return memcmp(n->integer, integer_max, digits) <= 0;
}

static bool double_holds_fraction(const struct number *n)
{
	const char *first = n->fraction, *last = n->fraction_end;
	size_t integer_digits = (size_t)(n->integer_end - n->integer);

	while (last > first && last[-1] == '0')
		last--;
	if (*n->integer != '0')
		return integer_digits + (size_t)(last - first) <= DOUBLE_DIGITS;
	while (first < last && *first == '0')
		first++;
	return last - first <= DOUBLE_DIGITS && first - n->fraction <= ZEROS_MAX;
}

const char *json_put_number(struct json_pen *pen, const char *text, size_t len)
{
	struct number n;

	if (!parse_decimal(text, len, &n) || n.has_exponent)
		return put_special_number(pen, text, len);
	if (n.fraction ? double_holds_fraction(&n) : double_holds_integer(&n))
		return put_bare(pen, text, len);
	return put_quoted(pen, text, len);
}

const char *json_put_float(struct json_pen *pen, const char *text, size_t len)
{
	struct number n;

	return parse_decimal(text, len, &n) ? put_bare(pen, text, len) : put_special_number(pen, text, len);
}

/* Is a text of at most 15 bytes, and a tab behind it, a number? @others: a bit for each byte that is no digit, the tab the last one. Then a double
 * holds it, whatever it is. */
static inline bool is_short_number(const char *p, unsigned others, unsigned *ret_len)
{
	unsigned first = *p == '-', stop, second;

	others &= others - first;
	if (!others)
		return false;
	stop = (unsigned)__builtin_ctz(others);
	if (stop == first || (p[first] == '0' && stop > first + 1))
		return false;
	*ret_len = stop;
	if (p[stop] == '\t')
		return true;
	others &= others - 1;
	second = others ? (unsigned)__builtin_ctz(others) : 0;
	*ret_len = second;
	return p[stop] == '.' && second > stop + 1 && p[second] == '\t';
}

static const char *put_long_number(struct json_row *r, struct json_pen *pen)
{
	const char *start = r->at, *tab = memchr(start, '\t', (size_t)(r->end - start));

	r->at = tab ? tab : r->end;
	return json_put_number(pen, start, (size_t)(r->at - start));
}

const char *json_put_number_field(struct json_row *r, struct json_pen *pen)
{
	const char *p = json_row_step(r, r->at);
	json_step b = json_step_load(p);
	unsigned len;

	if (!is_short_number(p, json_step_bits((json_step_mask)(b - '0' > 9)), &len))
		return put_long_number(r, pen);
	memcpy(pen->at, &b, sizeof(b));
	pen->at += len;
	r->at += len;
	return NULL;
}

const char *json_put_bool(struct json_pen *pen, const char *text, size_t len)
{
	if (len != 1 || (*text != 't' && *text != 'f'))
		return NO_BOOL;
	if (*text == 't')
		json_pen_literal(pen, "true");
	else
		json_pen_literal(pen, "false");
	return NULL;
}

/* As many of @shape as fit: '0' stands for any digit. Return: behind them; NULL: not all did. */
static const char *skip_shape(const char *p, const char *end, const char *shape)
{
	for (; *shape; shape++, p++)
		if (p == end || (*shape == '0' ? !is_digit(*p) : *p != *shape))
			return NULL;
	return p;
}

/* "2026-11-20 02:00:00", years of any length. Return: the blank; NULL: it is none. */
static const char *parse_date_and_time(const char *text, const char *end, const char **ret_end)
{
	const char *p = skip_digits(text, end), *blank;

	if (p - text < 4)
		return NULL;
	blank = skip_shape(p, end, "-00-00");
	p = blank ? skip_shape(blank, end, " 00:00:00") : NULL;
	if (p && p < end && *p == '.') {
		const char *digits = p + 1;

		p = skip_digits(digits, end);
		if (p == digits)
			return NULL;
	}
	*ret_end = p;
	return p ? blank : NULL;
}

static const char *parse_zone(const char *p, const char *end)
{
	const char *hours = p < end && (*p == '+' || *p == '-') ? skip_shape(p + 1, end, "00") : NULL;
	const char *more = hours;

	while (more && more < end && *more == ':') {
		more = skip_shape(more, end, ":00");
		hours = more;
	}
	return hours;
}

/* What comes behind the zone, which ends at @p. */
static bool is_end_of_timestamp(const char *p, const char *end)
{
	return p == end || is_exactly(p, (size_t)(end - p), " BC");
}

const char *json_put_timestamp(struct json_pen *pen, const char *text, size_t len, bool has_zone)
{
	const char *end = text + len, *time_end = NULL, *zone_end;
	const char *blank = parse_date_and_time(text, end, &time_end);

	if (!blank)
		return is_exactly(text, len, "infinity") || is_exactly(text, len, "-infinity")
		               ? put_quoted(pen, text, len)
		               : NO_TIMESTAMP;
	zone_end = has_zone ? parse_zone(time_end, end) : time_end;
	if (!zone_end || !is_end_of_timestamp(zone_end, end))
		return NO_TIMESTAMP;
	json_pen_char(pen, '"');
	json_pen_bytes(pen, text, (size_t)(blank - text));
	json_pen_char(pen, 'T');
	json_pen_bytes(pen, blank + 1, (size_t)(zone_end - blank - 1));
	if (zone_end - time_end == 3)
		json_pen_literal(pen, ":00");
	json_pen_bytes(pen, zone_end, (size_t)(end - zone_end));
	json_pen_char(pen, '"');
	return NULL;
}
