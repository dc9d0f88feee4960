// SPDX-License-Identifier: Apache-2.0
#include "copy_escape.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_text.h>
#include <keepfs/codec/sql_text.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_column_list(const char *text, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "this is no list of columns: %.200s", text);
}

static void append_column(struct copy_columns *c, const struct sql_token *t)
{
	struct str name = {0};

	sql_append_value(&name, t);
	c->names = mem_resize(c->names, c->count + 1, sizeof(*c->names));
	c->names[c->count++] = str_take(&name);
}

int copy_columns_parse(const char *text, struct copy_columns *ret, struct error *err)
{
	struct sql_scan scan = {.at = text};
	struct sql_token t = sql_next(&scan);

	*ret = (struct copy_columns){0};
	if (t.kind == SQL_END)
		return 0;
	if (!sql_is(&t, "("))
		return no_column_list(text, err);
	t = sql_next(&scan);
	while (ret->count > 0 || !sql_is(&t, ")")) {
		if (t.kind != SQL_NAME && t.kind != SQL_WORD)
			return no_column_list(text, err);
		append_column(ret, &t);
		t = sql_next(&scan);
		if (sql_is(&t, ")"))
			break;
		if (!sql_is(&t, ","))
			return no_column_list(text, err);
		t = sql_next(&scan);
	}
	return sql_next(&scan).kind == SQL_END ? 0 : no_column_list(text, err);
}

void copy_columns_finish(struct copy_columns *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->names[i]);
	free(c->names);
	*c = (struct copy_columns){0};
}

/* Is the byte at @p part of an escape? An odd number of backslashes is in front of it then. */
static bool is_escaped_byte(const char *start, const char *p)
{
	const char *q = p;

	while (q > start && q[-1] == '\\')
		q--;
	return (p - q) % 2 != 0;
}

bool copy_field_next(const char **at, const char *end, struct copy_field *ret)
{
	const char *start = *at, *tab = start;

	if (!start)
		return false;
	while ((tab = memchr(tab, '\t', (size_t)(end - tab))) && is_escaped_byte(start, tab))
		tab++;
	ret->text = start;
	ret->len = (size_t)((tab ? tab : end) - start);
	ret->is_null = ret->len == 2 && memcmp(start, "\\N", 2) == 0;
	*at = tab ? tab + 1 : NULL;
	return true;
}

static const char *decode_escape(const char *p, const char *end, char *ret)
{
	struct copy_escape escape = {0};

	while (p < end && copy_escape_take(&escape, *p))
		p++;
	*ret = (char)copy_escape_value(&escape);
	return p;
}

size_t copy_field_decode(const struct copy_field *field, char *ret)
{
	const char *p = field->text, *end = p + field->len;
	char *out = ret;

	while (p < end) {
		const char *backslash = memchr(p, '\\', (size_t)(end - p));
		size_t plain = (size_t)((backslash ? backslash : end) - p);

		memmove(out, p, plain);
		out += plain;
		p += plain;
		if (p < end && ++p < end) /* a backslash with nothing behind it is left out */
			p = decode_escape(p, end, out++);
	}
	return (size_t)(out - ret);
}
