// SPDX-License-Identifier: Apache-2.0
/* Tokens as in PostgreSQL's src/backend/parser/scan.l, as far as pg_dump writes them. */
#include <keepfs/codec/sql_text.h>

#include <string.h>

static void append_doubled(struct str *s, const char *text, const char *doubled)
{
	for (; *text; text++) {
		if (strchr(doubled, *text))
			str_append_char(s, *text);
		str_append_char(s, *text);
	}
}

void sql_append_name(struct str *s, const char *name)
{
	str_append_char(s, '"');
	append_doubled(s, name, "\"");
	str_append_char(s, '"');
}

void sql_append_literal(struct str *s, const char *text)
{
	/* What a plain literal makes of a backslash depends on standard_conforming_strings. */
	str_append(s, strchr(text, '\\') ? " E'" : "'");
	append_doubled(s, text, "'\\");
	str_append_char(s, '\'');
}

static bool begins_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       (c & 0x80);
}

static const char *skip_block_comment(const char *p)
{
	unsigned depth = 0;

	do {
		if (p[0] == '/' && p[1] == '*') {
			depth++;
			p += 2;
		} else if (p[0] == '*' && p[1] == '/') {
			depth--;
			p += 2;
		} else if (*p) {
			p++;
		}
	} while (*p && depth > 0);
	return p;
}

static const char *skip_to_token(const char *p)
{
	for (;;) {
		p += strspn(p, " \t\r\n\f\v");
		if (p[0] == '-' && p[1] == '-')
			p += strcspn(p, "\n");
		else if (p[0] == '/' && p[1] == '*')
			p = skip_block_comment(p);
		else
			return p;
	}
}

/* Behind the closing one of the quote at @p. */
static const char *skip_in_quotes(const char *p, bool backslash_escapes)
{
	char quote = *p++;

	while (*p) {
		if (*p == '\\' && backslash_escapes && p[1])
			p += 2;
		else if (*p == quote && p[1] == quote)
			p += 2;
		else if (*p++ == quote)
			break;
	}
	return p;
}

/* Behind "$tag$…$tag$"; @p itself when no such quote begins there. */
static const char *skip_dollar_quoted(const char *p)
{
	const char *tag_end = p + 1, *end;
	size_t tag_len;

	while (begins_word(*tag_end))
		tag_end++;
	if (*tag_end != '$' || (p[1] >= '0' && p[1] <= '9'))
		return p;
	tag_len = (size_t)(tag_end + 1 - p);
	for (end = tag_end + 1; (end = strchr(end, '$')); end++)
		if (strncmp(end, p, tag_len) == 0)
			return end + tag_len;
	return p + strlen(p);
}

static const char *skip_word(const char *p)
{
	while (begins_word(*p) || *p == '$')
		p++;
	return p;
}

static enum sql_kind skip_token(const char **at, bool backslash_escapes)
{
	const char *p = *at;

	if (!*p)
		return SQL_END;
	if (*p == '"') {
		*at = skip_in_quotes(p, false);
		return SQL_NAME;
	}
	if (*p == '\'' || ((*p == 'E' || *p == 'e') && p[1] == '\'')) {
		*at = *p == '\'' ? skip_in_quotes(p, backslash_escapes) : skip_in_quotes(p + 1, true);
		return SQL_STRING;
	}
	if (*p == '$' && (*at = skip_dollar_quoted(p)) != p)
		return SQL_STRING;
	if (begins_word(*p)) {
		*at = skip_word(p);
		return SQL_WORD;
	}
	*at = p + 1;
	return SQL_SIGN;
}

struct sql_token sql_next(struct sql_scan *s)
{
	struct sql_token t;

	s->at = t.text = skip_to_token(s->at);
	t.kind = skip_token(&s->at, s->backslash_escapes);
	t.len = (size_t)(s->at - t.text);
	return t;
}

bool sql_is(const struct sql_token *t, const char *word)
{
	return (t->kind == SQL_WORD || t->kind == SQL_SIGN) && t->len == strlen(word) &&
	       strncasecmp(t->text, word, t->len) == 0;
}

void sql_append_value(struct str *s, const struct sql_token *t)
{
	bool quoted = t->kind == SQL_NAME;
	const char *p = t->text + quoted, *end = t->text + t->len;

	if (quoted && end > p && end[-1] == '"')
		end--;
	for (; p < end; p++) {
		bool upper = !quoted && *p >= 'A' && *p <= 'Z';

		str_append_char(s, (char)(upper ? *p - 'A' + 'a' : *p));
		if (quoted && p[0] == '"' && p + 1 < end && p[1] == '"')
			p++;
	}
}
