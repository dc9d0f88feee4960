// SPDX-License-Identifier: Apache-2.0
#include "sql_statements.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <stdlib.h>
#include <string.h>

#define TAG_BYTES 128

enum sql_place {
	IN_SQL,
	IN_STRING,
	IN_STRING_ESCAPE, /* behind a backslash */
	IN_QUOTED_NAME,
	IN_LINE_COMMENT,
	IN_BLOCK_COMMENT,
	IN_TAG,    /* behind a "$" that may begin "$tag$" */
	IN_DOLLAR, /* behind "$tag$" */
	IN_META    /* a line of psql's own */
};

struct sql_statements {
	sql_statement_take take;
	void *arg;
	enum sql_place place;
	bool escape_always; /* standard_conforming_strings is off */
	bool escapes;       /* in the present string */
	bool too_long;
	char before, before_that; /* the last two bytes of the text; 0 where they are used up */
	unsigned depth;           /* of block comments */
	char tag[TAG_BYTES];      /* "$tag$" */
	size_t tag_len, matched;
	int ended;
	struct str text;
};

struct sql_statements *sql_statements_new(sql_statement_take take, void *arg)
{
	struct sql_statements *s = mem_alloc(sizeof(*s));

	s->take = take;
	s->arg = arg;
	s->before = '\n';
	return s;
}

struct sql_statements *sql_statements_free(struct sql_statements *s)
{
	if (!s)
		return NULL;
	str_finish(&s->text);
	free(s);
	return NULL;
}

void sql_statements_escape(struct sql_statements *s, bool escape)
{
	s->escape_always = escape;
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       (c & 0x80);
}

static int hand_out_statement(struct sql_statements *s, struct error *err)
{
	int r = s->too_long ? 0 : s->take(s->arg, str_text(&s->text), err);

	str_clear(&s->text);
	s->too_long = false;
	return r;
}

static void begin_string(struct sql_statements *s)
{
	s->place = IN_STRING;
	if (s->before == '\'') /* two of them are one, within the string that seemed to end */
		return;
	s->escapes =
	        s->escape_always || ((s->before == 'E' || s->before == 'e') && !is_name_byte(s->before_that));
}

static void begin_tag(struct sql_statements *s)
{
	s->place = IN_TAG;
	s->tag[0] = '$';
	s->tag_len = 1;
	s->matched = 0;
}

static int take_sql(struct sql_statements *s, char c, struct error *err)
{
	if (c == ';')
		return hand_out_statement(s, err);
	if (c == '\'')
		begin_string(s);
	else if (c == '"')
		s->place = IN_QUOTED_NAME;
	else if (c == '-' && s->before == '-')
		s->place = IN_LINE_COMMENT;
	else if (c == '*' && s->before == '/')
		s->place = IN_BLOCK_COMMENT, s->depth = 1;
	else if (c == '$' && !is_name_byte(s->before))
		begin_tag(s);
	else if (c == '\\' && s->before == '\n')
		s->place = IN_META;
	return 0;
}

static int take_tag(struct sql_statements *s, char c, struct error *err)
{
	bool fits = s->tag_len < sizeof(s->tag) && !(s->tag_len == 1 && c >= '0' && c <= '9');

	if (!fits || (c != '$' && !is_name_byte(c))) {
		s->place = IN_SQL;
		return take_sql(s, c, err);
	}
	s->tag[s->tag_len++] = c;
	if (c == '$')
		s->place = IN_DOLLAR;
	return 0;
}

/* Within a tag there is no "$", so only the present byte can begin it anew. */
static void take_dollar(struct sql_statements *s, char c)
{
	s->matched = c == s->tag[s->matched] ? s->matched + 1 : c == '$';
	if (s->matched == s->tag_len)
		s->place = IN_SQL;
}

static bool take_block_comment(struct sql_statements *s, char c)
{
	bool opens = c == '*' && s->before == '/', closes = c == '/' && s->before == '*';

	if (opens)
		s->depth++;
	if (closes && --s->depth == 0)
		s->place = IN_SQL;
	return opens || closes;
}

static int take_sql_byte(struct sql_statements *s, char c, struct error *err)
{
	switch (s->place) {
	case IN_SQL:
		return take_sql(s, c, err);
	case IN_STRING:
		if (c == '\'')
			s->place = IN_SQL;
		else if (c == '\\' && s->escapes)
			s->place = IN_STRING_ESCAPE;
		return 0;
	case IN_STRING_ESCAPE:
		s->place = IN_STRING;
		return 0;
	case IN_QUOTED_NAME:
		if (c == '"')
			s->place = IN_SQL;
		return 0;
	case IN_TAG:
		return take_tag(s, c, err);
	case IN_DOLLAR:
		take_dollar(s, c);
		return 0;
	default:
		if (c == '\n')
			s->place = IN_SQL;
		return 0;
	}
}

static void keep_byte(struct sql_statements *s, char c)
{
	if (s->text.len < SQL_STATEMENT_MAX) {
		str_append_char(&s->text, c);
		return;
	}
	s->too_long = true;
}

/* Bytes that have done their part in "--", "/ *" and the like do none in what follows. */
static void remember_byte(struct sql_statements *s, char c, bool used_up)
{
	s->before_that = s->before;
	s->before = (char)(used_up ? 0 : c);
}

static int take_statement_byte(struct sql_statements *s, char c, struct error *err)
{
	enum sql_place was = s->place;
	bool used_up = false;
	int r = 0;

	if (s->place == IN_BLOCK_COMMENT)
		used_up = take_block_comment(s, c);
	else
		r = take_sql_byte(s, c, err);
	/* A semicolon that ended a statement belongs to none, and a line of psql's does not, either. */
	if ((was == IN_SQL && c == ';') || was == IN_META || s->place == IN_META)
		;
	else
		keep_byte(s, c);
	remember_byte(s, c, used_up || (was == IN_SQL && s->place == IN_BLOCK_COMMENT));
	return r;
}

int sql_statements_feed(struct sql_statements *s, const void *data, size_t len, struct error *err)
{
	const char *p = data, *end = p + len;

	while (s->ended == 0 && p < end)
		s->ended = take_statement_byte(s, *p++, err);
	return s->ended;
}
