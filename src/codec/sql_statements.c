// SPDX-License-Identifier: Apache-2.0
#include "sql_statements.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_lexer.h>

#include <stdlib.h>
#include <string.h>

struct sql_statements {
	sql_statement_take take;
	void *arg;
	struct sql_lexer lexer;
	bool too_long;
	int ended;
	struct str text;
};

struct sql_statements *sql_statements_new(sql_statement_take take, void *arg)
{
	struct sql_statements *s = mem_alloc(sizeof(*s));

	s->take = take;
	s->arg = arg;
	sql_lexer_init(&s->lexer);
	return s;
}

struct sql_statements *sql_statements_free(struct sql_statements *s)
{
	if (!s)
		return NULL;
	sql_lexer_finish(&s->lexer);
	str_finish(&s->text);
	free(s);
	return NULL;
}

void sql_statements_escape(struct sql_statements *s, bool escape)
{
	s->lexer.escape_always = escape;
}

static int hand_out_statement(struct sql_statements *s, struct error *err)
{
	int r = s->too_long ? 0 : s->take(s->arg, str_text(&s->text), err);

	str_clear(&s->text);
	s->too_long = false;
	return r;
}

static void keep_byte(struct sql_statements *s, char c)
{
	if (s->text.len < SQL_STATEMENT_MAX) {
		str_append_char(&s->text, c);
		return;
	}
	s->too_long = true;
}

static int take_statement_byte(struct sql_statements *s, char c, struct error *err)
{
	bool meta = s->lexer.place == SQL_PLACE_META;

	if (sql_lexer_step(&s->lexer, c))
		return hand_out_statement(s, err);
	/* A line of psql's own belongs to no statement. */
	if (!meta && s->lexer.place != SQL_PLACE_META)
		keep_byte(s, c);
	return 0;
}

int sql_statements_feed(struct sql_statements *s, const void *data, size_t len, struct error *err)
{
	const char *p = data, *end = p + len;

	while (s->ended == 0 && p < end)
		s->ended = take_statement_byte(s, *p++, err);
	return s->ended;
}
