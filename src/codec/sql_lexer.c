// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/sql_lexer.h>

#include <string.h>

void sql_lexer_init(struct sql_lexer *l)
{
	*l = (struct sql_lexer){.before = '\n'};
}

void sql_lexer_finish(struct sql_lexer *l)
{
	str_finish(&l->tag);
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       (c & 0x80);
}

static bool is_blank_byte(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void begin_string(struct sql_lexer *l)
{
	l->place = SQL_PLACE_STRING;
	if (l->before == '\'') /* two of them are one, within the string that seemed to end */
		return;
	l->escapes =
	        l->escape_always || ((l->before == 'E' || l->before == 'e') && !is_name_byte(l->before_that));
}

static void begin_tag(struct sql_lexer *l)
{
	l->place = SQL_PLACE_TAG;
	str_clear(&l->tag);
	str_append_char(&l->tag, '$');
	l->matched = 0;
}

static void note_statement(struct sql_lexer *l, char c)
{
	l->was_in_statement = l->in_statement;
	l->in_statement = l->in_statement || !is_blank_byte(c);
}

/* The byte before, which began it, is of no statement either. */
static void begin_comment(struct sql_lexer *l, enum sql_place place)
{
	l->place = place;
	l->depth = 1;
	l->in_statement = l->was_in_statement;
}

static bool step_in_text(struct sql_lexer *l, char c)
{
	if (c == ';') {
		l->in_statement = l->was_in_statement = false;
		return true;
	}
	if (c == '-' && l->before == '-') {
		begin_comment(l, SQL_PLACE_LINE_COMMENT);
		return false;
	}
	if (c == '*' && l->before == '/') {
		begin_comment(l, SQL_PLACE_BLOCK_COMMENT);
		return false;
	}
	if (c == '\\' && l->before == '\n') {
		l->place = SQL_PLACE_META;
		return false;
	}
	note_statement(l, c);
	if (c == '\'')
		begin_string(l);
	else if (c == '"')
		l->place = SQL_PLACE_NAME;
	else if (c == '$' && !l->in_word)
		begin_tag(l);
	l->in_word = is_name_byte(c) || (c == '$' && l->in_word);
	return false;
}

static bool step_in_tag(struct sql_lexer *l, char c)
{
	if ((l->tag.len == 1 && c >= '0' && c <= '9') || (c != '$' && !is_name_byte(c))) {
		l->place = SQL_PLACE_TEXT;
		return step_in_text(l, c);
	}
	if (l->tag.len == SQL_TAG_MAX) {
		l->lost = true;
		return false;
	}
	str_append_char(&l->tag, c);
	if (c == '$')
		l->place = SQL_PLACE_DOLLAR;
	return false;
}

/* Within a tag there is no "$", so only the present byte can begin it anew. */
static void step_in_dollar(struct sql_lexer *l, char c)
{
	l->matched = c == l->tag.data[l->matched] ? l->matched + 1 : c == '$';
	if (l->matched == l->tag.len)
		l->place = SQL_PLACE_TEXT;
}

static void step_in_string(struct sql_lexer *l, char c)
{
	if (c == '\'') {
		l->place = SQL_PLACE_TEXT;
	} else if (c == '\\' && l->escapes) {
		l->place = SQL_PLACE_ESCAPE;
		l->behind_high = l->behind_high || (l->before & 0x80);
	}
}

static bool step_in_block_comment(struct sql_lexer *l, char c)
{
	bool opens = c == '*' && l->before == '/', closes = c == '/' && l->before == '*';

	if (opens)
		l->depth++;
	if (closes && --l->depth == 0)
		l->place = SQL_PLACE_TEXT;
	return opens || closes;
}

static bool step_elsewhere(struct sql_lexer *l, char c)
{
	switch (l->place) {
	case SQL_PLACE_TEXT:
		return step_in_text(l, c);
	case SQL_PLACE_TAG:
		return step_in_tag(l, c);
	case SQL_PLACE_STRING:
		step_in_string(l, c);
		break;
	case SQL_PLACE_ESCAPE:
		l->place = SQL_PLACE_STRING;
		break;
	case SQL_PLACE_NAME:
		l->place = c == '"' ? SQL_PLACE_TEXT : SQL_PLACE_NAME;
		break;
	case SQL_PLACE_DOLLAR:
		step_in_dollar(l, c);
		break;
	default:
		l->place = c == '\n' ? SQL_PLACE_TEXT : l->place;
	}
	return false;
}

bool sql_lexer_step(struct sql_lexer *l, char c)
{
	enum sql_place was = l->place;
	bool used_up = false, ended = false;

	if (l->place == SQL_PLACE_BLOCK_COMMENT)
		used_up = step_in_block_comment(l, c);
	else
		ended = step_elsewhere(l, c);
	/* Bytes that have done their part in "--", "/ *" and the like do none in what follows. */
	used_up = used_up || (was == SQL_PLACE_TEXT && l->place == SQL_PLACE_BLOCK_COMMENT);
	l->before_that = l->before;
	l->before = (char)(used_up ? 0 : c);
	return ended;
}
