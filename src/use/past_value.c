// SPDX-License-Identifier: Apache-2.0
#include "past_value.h"

#include <errno.h>
#include <string.h>

#define UUID_BYTES          36
#define INTEGER_TEXT_DIGITS 18 /* policy/tenancy_operators.c, append_converted() */

enum value_class {
	VALUE_INTEGER,
	VALUE_NUMERIC,
	VALUE_TEXT,
	VALUE_BLANKS,  /* char(n) */
	VALUE_LETTERS, /* citext */
	VALUE_UUID,
	VALUE_EXACT, /* equal when the bytes are, among values of one type */
	VALUE_UNKNOWN,
};

static bool is_one_of_types(const char *type, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], type) == 0)
			return true;
	return false;
}

/* "public.citext", "citext" */
static bool is_citext(const char *type)
{
	size_t len = strlen(type), name = strlen("citext");

	return len >= name && strcmp(type + len - name, "citext") == 0 &&
	       (len == name || type[len - name - 1] == '.');
}

static enum value_class class_of_value(const struct tenancy_column *c)
{
	static const char *const integers[] = {"smallint", "integer", "bigint", "oid"};
	static const char *const texts[] = {"text", "character varying", "name", "\"char\""};
	static const char *const blanks[] = {"character", "bpchar"};
	static const char *const exact[] = {"boolean",
	                                    "real",
	                                    "double precision",
	                                    "date",
	                                    "timestamp without time zone",
	                                    "timestamp with time zone",
	                                    "time without time zone",
	                                    "bytea",
	                                    "inet",
	                                    "cidr",
	                                    "macaddr",
	                                    "macaddr8"};

	if (is_one_of_types(c->base_type, integers, ARRAY_SIZE(integers)))
		return VALUE_INTEGER;
	if (strcmp(c->base_type, "numeric") == 0)
		return VALUE_NUMERIC;
	if (is_one_of_types(c->base_type, texts, ARRAY_SIZE(texts)))
		return VALUE_TEXT;
	if (is_one_of_types(c->base_type, blanks, ARRAY_SIZE(blanks)))
		return VALUE_BLANKS;
	if (is_citext(c->base_type))
		return VALUE_LETTERS;
	if (strcmp(c->base_type, "uuid") == 0)
		return VALUE_UUID;
	if (is_one_of_types(c->base_type, exact, ARRAY_SIZE(exact)))
		return VALUE_EXACT;
	return c->category == 'E' && !str_ends(c->base_type, "[]") ? VALUE_EXACT : VALUE_UNKNOWN;
}

static const struct tenancy_column *column_of_side(const struct past_side *s)
{
	return &s->table->columns[s->column];
}

static enum value_class class_of_side(const struct past_side *s)
{
	return s->is_within ? VALUE_TEXT : class_of_value(column_of_side(s));
}

static bool is_number_class(enum value_class class)
{
	return class == VALUE_INTEGER || class == VALUE_NUMERIC;
}

static int refuse_unlike_texts(const struct past_side *s, struct error *err)
{
	const struct tenancy_column *c = column_of_side(s);

	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "%s.%s.%s (%s) tells whose rows are, and values of it may be equal though their texts are not, so that a dump cannot be searched for them: restore the dump into a database (keepfs restore), and export from there",
	        s->table->schema, s->table->name, c->name,
	        s->is_unlike ? "with a collation that is not deterministic" : c->type);
}

/* No dump holds what the server computes. */
static int check_side(const struct past_side *s, struct error *err)
{
	const struct tenancy_column *c = column_of_side(s);

	if (c->is_generated)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "%s.%s.%s tells whose rows are, and is generated: a dump has no values of it; restore the dump into a database (keepfs restore), and export from there",
		        s->table->schema, s->table->name, c->name);
	return s->is_unlike || class_of_side(s) == VALUE_UNKNOWN ? refuse_unlike_texts(s, err) : 0;
}

static enum past_fold fold_of_class(enum value_class class)
{
	if (is_number_class(class))
		return PAST_FOLD_NUMBER;
	return PAST_FOLD_TEXT;
}

static bool is_textual(enum value_class class)
{
	return class == VALUE_TEXT || class == VALUE_BLANKS || class == VALUE_LETTERS;
}

static enum past_fold fold_of_texts(enum value_class a, enum value_class b)
{
	if (a == VALUE_LETTERS || b == VALUE_LETTERS)
		return PAST_FOLD_LETTERS;
	return a == VALUE_BLANKS || b == VALUE_BLANKS ? PAST_FOLD_BLANKS : PAST_FOLD_TEXT;
}

static bool is_text_beside(enum value_class text, enum value_class other, enum value_class wanted)
{
	return (text == VALUE_TEXT || text == VALUE_BLANKS) && other == wanted;
}

int past_fold_of(const struct past_side *a, const struct past_side *b, enum past_fold *ret, struct error *err)
{
	enum value_class class = class_of_side(a), other = b ? class_of_side(b) : class;
	int r = check_side(a, err);

	if (r == 0 && b)
		r = check_side(b, err);
	if (r < 0)
		return r;
	if (is_textual(class) && is_textual(other))
		*ret = fold_of_texts(class, other);
	else if ((is_number_class(class) && is_number_class(other)) ||
	         (class == other && class != VALUE_EXACT))
		*ret = fold_of_class(class);
	else if (class == other &&
	         (!b || strcmp(column_of_side(a)->base_type, column_of_side(b)->base_type) == 0))
		*ret = str_equal(column_of_side(a)->base_type, "real") ||
		                       str_equal(column_of_side(a)->base_type, "double precision")
		               ? PAST_FOLD_NUMBER
		               : PAST_FOLD_TEXT;
	else
		return refuse_unlike_texts(class == VALUE_EXACT || !b ? a : b, err);
	return 0;
}

/* Texts of these do not depend on settings of the session. */
static bool has_plain_text(const struct past_side *s)
{
	enum value_class class = class_of_side(s);

	return class != VALUE_EXACT || column_of_side(s)->category == 'E' ||
	       str_equal(column_of_side(s)->base_type, "date");
}

/* As operators_append_soft() compares: of one type by its own equality; a text with a number or a uuid as that; all else as texts. */
int past_fold_of_soft(const struct past_side *a, const struct past_side *b, enum past_fold *ret,
                      struct error *err)
{
	enum value_class class = class_of_side(a), other = class_of_side(b);
	int r = check_side(a, err);

	if (r == 0)
		r = check_side(b, err);
	if (r < 0)
		return r;
	if (is_text_beside(other, class, VALUE_INTEGER) || is_text_beside(class, other, VALUE_INTEGER)) {
		*ret = PAST_FOLD_INTEGER;
	} else if (is_text_beside(other, class, VALUE_UUID) || is_text_beside(class, other, VALUE_UUID)) {
		*ret = PAST_FOLD_UUID;
	} else if (class == other || (is_number_class(class) && is_number_class(other)) ||
	           (is_textual(class) && is_textual(other))) {
		return past_fold_of(a, b, ret, err);
	} else if (!has_plain_text(a) || !has_plain_text(b)) {
		return refuse_unlike_texts(has_plain_text(a) ? b : a, err);
	} else {
		*ret = is_number_class(class) || is_number_class(other) ? PAST_FOLD_NUMBER
		                                                        : fold_of_texts(class, other);
	}
	return 0;
}

/* Folding. */

static void append_measured(const char *text, size_t len, struct str *out)
{
	uint32_t bytes = (uint32_t)len;

	str_append_bytes(out, &bytes, sizeof(bytes));
	str_append_bytes(out, text, len);
}

static size_t without_end_blanks(const char *text, size_t len)
{
	while (len > 0 && text[len - 1] == ' ')
		len--;
	return len;
}

static void append_folded_number(const char *text, size_t len, struct str *out)
{
	/* With an exponent it is as short as it can be. */
	if (memchr(text, '.', len) && !memchr(text, 'e', len)) {
		while (len > 0 && text[len - 1] == '0')
			len--;
		if (len > 0 && text[len - 1] == '.')
			len--;
	}
	if (len == 2 && memcmp(text, "-0", 2) == 0)
		append_measured("0", 1, out);
	else
		append_measured(text, len, out);
}

/* Whatever lower() makes of letters beyond ASCII, and of those that become, or come from, others in some locale (i and k), is left out. */
static void append_letters(const char *text, size_t len, struct str *out)
{
	size_t at = out->len;
	uint32_t bytes = 0;

	str_append_bytes(out, &bytes, sizeof(bytes));
	for (size_t i = 0; i < len; i++) {
		char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];

		if ((unsigned char)c >= 0x80 || c == 'i' || c == 'k')
			continue;
		str_append_char(out, c);
		bytes++;
	}
	memcpy(out->data + at, &bytes, sizeof(bytes));
}

static bool append_integer(const char *text, size_t len, struct str *out)
{
	bool is_negative = len > 0 && *text == '-';
	const char *digits = text + is_negative;
	size_t count = len - is_negative;

	if (count == 0 || count > INTEGER_TEXT_DIGITS)
		return false;
	for (size_t i = 0; i < count; i++)
		if (digits[i] < '0' || digits[i] > '9')
			return false;
	for (; count > 1 && *digits == '0'; digits++)
		count--;
	if (is_negative && *digits != '0') {
		uint32_t bytes = (uint32_t)count + 1;

		str_append_bytes(out, &bytes, sizeof(bytes));
		str_append_char(out, '-');
		str_append_bytes(out, digits, count);
	} else {
		append_measured(digits, count, out);
	}
	return true;
}

static bool append_uuid(const char *text, size_t len, struct str *out)
{
	char lower[UUID_BYTES];

	if (len != UUID_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] | 0x20) : text[i];
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		lower[i] = c;
	}
	append_measured(lower, len, out);
	return true;
}

bool past_fold_is_vague(enum past_fold how)
{
	return how == PAST_FOLD_LETTERS || how == PAST_FOLD_BLANKS;
}

bool past_fold_append(enum past_fold how, const char *text, size_t len, struct str *out)
{
	if (how != PAST_FOLD_TEXT)
		len = without_end_blanks(text, len);
	switch (how) {
	case PAST_FOLD_TEXT:
	case PAST_FOLD_BLANKS:
		append_measured(text, len, out);
		return true;
	case PAST_FOLD_NUMBER:
		append_folded_number(text, len, out);
		return true;
	case PAST_FOLD_LETTERS:
		append_letters(text, len, out);
		return true;
	case PAST_FOLD_INTEGER:
		return append_integer(text, len, out);
	case PAST_FOLD_UUID:
		return append_uuid(text, len, out);
	}
	return false;
}
