// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

void names_finish(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
	*n = (struct names){0};
}

void names_add(struct names *n, const char *name)
{
	n->items = mem_resize(n->items, n->count + 1, sizeof(*n->items));
	n->items[n->count++] = mem_strdup(name);
}

bool names_has(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (str_equal(n->items[i], name))
			return true;
	return false;
}

/* Behind the quote that ends it; NULL when none does. */
static const char *take_quoted_name(const char *at, struct str *name)
{
	for (at++; *at; at++) {
		if (*at == '"' && *++at != '"')
			return at;
		if (!*at)
			return NULL;
		str_append_char(name, *at);
	}
	return NULL;
}

static const char *take_plain_name(const char *at, struct str *name)
{
	while (*at && !strchr(" \t\n,()\";", *at))
		str_append_char(name, *at++);
	return at;
}

static const char *skip_name_blanks(const char *at)
{
	return at + strspn(at, " \t\n");
}

/* Behind the list; NULL: it is none. */
static const char *take_name_list(const char *at, struct names *ret)
{
	for (;;) {
		_cleanup(str) struct str name = {0};

		at = skip_name_blanks(at);
		at = *at == '"' ? take_quoted_name(at, &name) : take_plain_name(at, &name);
		if (!at || name.len == 0)
			return NULL;
		names_add(ret, str_text(&name));
		at = skip_name_blanks(at);
		if (*at != ',')
			return at;
		at++;
	}
}

bool names_parse(const char *text, struct names *ret)
{
	const char *at = skip_name_blanks(text);
	bool enclosed = *at == '(';
	_cleanup(pg_names) struct names names = {0};

	at = take_name_list(enclosed ? at + 1 : at, &names);
	if (!at || (enclosed && *at++ != ')') || *skip_name_blanks(at))
		return false;
	for (size_t i = 0; i < names.count; i++)
		names_add(ret, names.items[i]);
	return true;
}
