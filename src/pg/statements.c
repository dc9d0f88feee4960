// SPDX-License-Identifier: Apache-2.0
#include "statements.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define STATEMENT_MAX_BYTES ((size_t)16 << 20)

enum inside { IN_TEXT, IN_LITERAL, IN_IDENTIFIER, IN_COMMENT, IN_META, IN_DOLLAR };

struct statements {
	int (*take)(void *arg, const char *sql, struct error *err);
	void *arg;
	struct str sql;
	struct str tag; /* "$body$" */
	enum inside inside;
	size_t dollar_at; /* where the tag that may begin does, in @sql */
	bool in_tag;
	bool escapes; /* the literal is E'…' */
	bool escaped; /* the next character of it */
	char last;
};

struct statements *statements_new(int (*take)(void *arg, const char *sql, struct error *err), void *arg)
{
	struct statements *s = mem_alloc(sizeof(*s));

	s->take = take;
	s->arg = arg;
	s->last = '\n';
	return s;
}

struct statements *statements_free(struct statements *s)
{
	if (!s)
		return NULL;
	/* There may be passwords in it. */
	if (s->sql.data)
		explicit_bzero(s->sql.data, s->sql.len);
	str_finish(&s->sql);
	str_finish(&s->tag);
	free(s);
	return NULL;
}

static bool is_sql_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_of_tag(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (unsigned char)c >= 0x80;
}

static int end_statement(struct statements *s, struct error *err)
{
	int r = s->sql.len > 0 ? s->take(s->arg, str_text(&s->sql), err) : 0;

	str_clear(&s->sql);
	s->in_tag = false;
	return r;
}

/* "$", then perhaps a name, then "$". */
static void watch_dollar(struct statements *s, char c)
{
	if (c == '$' && s->in_tag) {
		str_clear(&s->tag);
		str_append(&s->tag, str_text(&s->sql) + s->dollar_at);
		s->inside = IN_DOLLAR;
		s->in_tag = false;
	} else if (c == '$') {
		s->in_tag = !is_of_tag(s->last);
		s->dollar_at = s->sql.len - 1;
	} else if (!is_of_tag(c)) {
		s->in_tag = false;
	}
}

static void begin_literal(struct statements *s)
{
	size_t len = s->sql.len;

	s->inside = IN_LITERAL;
	s->escaped = false;
	s->escapes = (s->last == 'E' || s->last == 'e') && (len < 3 || !is_of_tag(s->sql.data[len - 3]));
}

static int take_text_char(struct statements *s, char c, struct error *err)
{
	if (s->sql.len == 0 && c == '\\' && s->last == '\n') {
		s->inside = IN_META;
		return 0;
	}
	if (c == ';')
		return end_statement(s, err);
	if (is_sql_blank(c) && s->sql.len == 0)
		return 0;
	str_append_char(&s->sql, c);
	if (c == '-' && s->last == '-') {
		s->sql.len -= 2;
		s->sql.data[s->sql.len] = '\0';
		s->inside = IN_COMMENT;
	} else if (c == '\'') {
		begin_literal(s);
	} else if (c == '"') {
		s->inside = IN_IDENTIFIER;
	} else {
		watch_dollar(s, c);
	}
	return 0;
}

static void take_literal_char(struct statements *s, char c)
{
	if (s->escaped)
		s->escaped = false;
	else if (c == '\\' && s->escapes)
		s->escaped = true;
	else if (c == '\'')
		s->inside = IN_TEXT;
}

/* A doubled quote ends and begins again, which is the same. */
static int take_statement_char(struct statements *s, char c, struct error *err)
{
	switch (s->inside) {
	case IN_TEXT:
		return take_text_char(s, c, err);
	case IN_COMMENT:
	case IN_META:
		if (c == '\n')
			s->inside = IN_TEXT;
		return 0;
	case IN_LITERAL:
		str_append_char(&s->sql, c);
		take_literal_char(s, c);
		return 0;
	case IN_IDENTIFIER:
		str_append_char(&s->sql, c);
		if (c == '"')
			s->inside = IN_TEXT;
		return 0;
	case IN_DOLLAR:
		str_append_char(&s->sql, c);
		if (c == '$' && str_ends(str_text(&s->sql), str_text(&s->tag)))
			s->inside = IN_TEXT;
		return 0;
	}
	return 0;
}

int statements_feed(struct statements *s, const void *data, size_t len, struct error *err)
{
	const char *p = data;
	int r = 0;

	for (size_t i = 0; r == 0 && i < len; i++) {
		r = take_statement_char(s, p[i], err);
		s->last = p[i];
		if (r == 0 && s->sql.len > STATEMENT_MAX_BYTES)
			r = error_set(err, ERROR_CORRUPT, E2BIG,
			              "a statement of the roles is longer than 16 MiB");
	}
	return r;
}

int statements_end(struct statements *s, struct error *err)
{
	return end_statement(s, err);
}
