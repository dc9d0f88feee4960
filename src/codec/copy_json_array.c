// SPDX-License-Identifier: Apache-2.0
/*
 * Arrays as array_out() of PostgreSQL writes them (src/backend/utils/adt/arrayfuncs.c): elements are in quotes when they have to be, with a backslash in front of quotes
 * and backslashes; NULL without quotes is a NULL. Escapes are taken off where the element stands, which makes it shorter.
 */
#include "copy_json_private.h"

#define NO_ARRAY "has a value that is no array"
#define OWN_BOUNDS                                                                                           \
	"has an array with bounds of its own, which is text here: nothing within it can be redacted"
#define DIMENSION_MAX 6 /* MAXDIM */

struct array_scan {
	struct copy_json *j;
	const struct json_column *column;
	struct json_pen *pen;
	char *at; /* a NUL is behind the end */
	int depth;
	struct str *literal; /* memory for an element: a literal of PostgreSQL is written; NULL: JSON */
};

/* As array_out() does it, but in quotes whether it needs them or not. */
static const char *put_literal_element(struct array_scan *a, char *text, size_t len)
{
	struct json_pen pen;
	const char *wrong;

	str_clear(a->literal);
	json_pen_begin(&pen, a->literal, len + JSON_VALUE_GROWTH);
	wrong = json_put_value(a->j, a->column, &pen, text, len);
	json_pen_end(&pen);
	if (wrong)
		return wrong;
	json_pen_spend(a->pen, 2 * a->literal->len + 2);
	json_pen_char(a->pen, '"');
	for (size_t i = 0; i < a->literal->len; i++) {
		char c = a->literal->data[i];

		if (c == '"' || c == '\\')
			json_pen_char(a->pen, '\\');
		json_pen_char(a->pen, c);
	}
	json_pen_char(a->pen, '"');
	return NULL;
}

/* The element in [@text, @end); the byte at @end is none of it. */
static const char *put_element(struct array_scan *a, char *text, char *end)
{
	char behind = *end;
	const char *wrong;

	*end = '\0';
	json_pen_spend(a->pen, JSON_VALUE_GROWTH);
	if (a->literal)
		wrong = put_literal_element(a, text, (size_t)(end - text));
	else
		wrong = json_put_value(a->j, a->column, a->pen, text, (size_t)(end - text));
	*end = behind;
	return wrong;
}

/* At the first quote. */
static const char *put_quoted_element(struct array_scan *a)
{
	char *text = ++a->at, *out = text;

	for (; *a->at != '"'; a->at++) {
		if (*a->at == '\\')
			a->at++;
		if (!*a->at)
			return NO_ARRAY;
		*out++ = *a->at;
	}
	a->at++;
	return put_element(a, text, out);
}

static bool ends_bare_element(char c, char delimiter)
{
	return c == delimiter || c == '}' || c == '{' || c == '"' || c == '\\' || !c;
}

static const char *put_bare_element(struct array_scan *a)
{
	char *text = a->at;

	while (!ends_bare_element(*a->at, a->column->given->delimiter))
		a->at++;
	if (a->at == text)
		return NO_ARRAY;
	if (a->at - text == 4 && memcmp(text, "NULL", 4) == 0) {
		json_pen_bytes(a->pen, a->literal ? "NULL" : "null", 4);
		return NULL;
	}
	return put_element(a, text, a->at);
}

static const char *open_array(struct array_scan *a)
{
	if (*a->at != '{' || a->depth == DIMENSION_MAX)
		return NO_ARRAY;
	a->at++;
	a->depth++;
	json_pen_char(a->pen, a->literal ? '{' : '[');
	return NULL;
}

static void close_array(struct array_scan *a)
{
	a->at++;
	a->depth--;
	json_pen_char(a->pen, a->literal ? '}' : ']');
}

/* Behind an element. */
static const char *close_arrays(struct array_scan *a)
{
	while (a->depth > 0 && *a->at == '}')
		close_array(a);
	if (a->depth == 0)
		return NULL;
	if (*a->at != a->column->given->delimiter)
		return NO_ARRAY;
	a->at++;
	json_pen_char(a->pen, a->literal ? a->column->given->delimiter : ',');
	return NULL;
}

static const char *put_elements(struct array_scan *a)
{
	const char *wrong = NULL;

	while (!wrong && a->depth > 0) {
		if (*a->at == '{') {
			wrong = open_array(a);
			continue;
		}
		wrong = *a->at == '"' ? put_quoted_element(a) : put_bare_element(a);
		if (!wrong)
			wrong = close_arrays(a);
	}
	return wrong;
}

static const char *put_whole_array(struct array_scan *a, const char *end)
{
	const char *wrong = open_array(a);

	if (!wrong && *a->at == '}')
		close_array(a);
	if (!wrong)
		wrong = put_elements(a);
	return wrong || a->at == end ? wrong : NO_ARRAY;
}

const char *json_put_array(struct copy_json *j, const struct json_column *column, struct json_pen *pen,
                           char *text, size_t len)
{
	struct array_scan a = {.j = j, .column = column, .pen = pen, .at = text};

	if (*text == '[' && column->redactor)
		return OWN_BOUNDS;
	if (*text == '[') { /* with bounds of its own */
		json_put_text(pen, text, len);
		return NULL;
	}
	return put_whole_array(&a, text + len);
}

const char *json_put_array_literal(struct copy_json *j, const struct json_column *column,
                                   struct json_pen *pen, char *text, size_t len)
{
	_cleanup(str) struct str element = {0};
	struct array_scan a = {.j = j, .column = column, .pen = pen, .at = text, .literal = &element};

	return *text == '[' ? OWN_BOUNDS : put_whole_array(&a, text + len);
}
