// SPDX-License-Identifier: Apache-2.0
/* "COPY public."Odd ""name""" (a, "b c") FROM stdin;", as pg_dump writes it (pg_dump.c, dumpTableData()). */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

static const char begin_of_copy[] = "COPY ";
static const char end_of_copy[] = " FROM stdin;";

static size_t unquote_identifier(const char *text, size_t len, struct str *name)
{
	size_t i = 1;

	for (; i < len; i++) {
		if (text[i] != '"')
			str_append_char(name, text[i]);
		else if (i + 1 < len && text[i + 1] == '"')
			str_append_char(name, text[i++]);
		else
			return i + 1;
	}
	return 0;
}

/* One identifier; returns how long it is as it is written, 0: there is none. */
static size_t take_identifier(const char *text, size_t len, struct str *name)
{
	size_t i = 0;

	str_clear(name);
	if (len > 0 && text[0] == '"')
		return unquote_identifier(text, len, name);
	while (i < len && text[i] != '.' && text[i] != ' ' && text[i] != '(' && text[i] != '"')
		str_append_char(name, text[i++]);
	return i;
}

static void join_names(const struct str *schema, const struct str *table, struct inside_copy *ret)
{
	ret->schema = mem_alloc(schema->len + table->len + 2);
	memcpy(ret->schema, str_text(schema), schema->len + 1);
	memcpy(ret->schema + schema->len + 1, str_text(table), table->len + 1);
	ret->table = ret->schema + schema->len + 1;
}

bool inside_copy_parse(const char *statement, size_t len, struct inside_copy *ret)
{
	_cleanup(str) struct str schema = {0};
	_cleanup(str) struct str table = {0};
	size_t head = sizeof(begin_of_copy) - 1, tail = sizeof(end_of_copy) - 1, n;
	const char *at = statement + head;

	while (len > 0 && statement[len - 1] == '\n')
		len--;
	if (len < head + tail || memcmp(statement, begin_of_copy, head) != 0 ||
	    memcmp(statement + len - tail, end_of_copy, tail) != 0)
		return false;
	len -= head + tail;
	n = take_identifier(at, len, &table);
	if (n > 0 && n < len && at[n] == '.') {
		str_append_bytes(&schema, str_text(&table), table.len);
		at += n + 1;
		len -= n + 1;
		n = take_identifier(at, len, &table);
	}
	if (n == 0 || (n < len && at[n] != ' '))
		return false;
	while (n < len && at[n] == ' ')
		n++;
	if (n < len && (at[n] != '(' || at[len - 1] != ')'))
		return false;
	ret->columns = at + n;
	ret->columns_len = len - n;
	join_names(&schema, &table, ret);
	return true;
}
