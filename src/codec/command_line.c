// SPDX-License-Identifier: Apache-2.0
/*
 * A parser of one pass: each token is collected with its quotes taken away, together with the place of its
 * first '=' that was not quoted. What is not UTF-8, and control characters, are refused, quoted or not: what
 * a command holds is shown in logs and in the history, on terminals too.
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct token {
	struct str text;
	size_t equals; /* bytes before the first unquoted '='; SIZE_MAX: there is none */
	bool quoted;   /* something before that '=' was quoted */
};

void command_line_finish(struct command_line *c)
{
	for (size_t i = 0; i < c->word_count; i++)
		free(c->words[i]);
	for (size_t i = 0; i < c->pair_count; i++) {
		free(c->pairs[i].key);
		free(c->pairs[i].value);
	}
	free(c->words);
	free(c->pairs);
	*c = (struct command_line){0};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static int refuse_control(char c, struct error *err)
{
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "a command must not hold control characters (found 0x%02x)", (unsigned char)c);
}

/* The 32 control characters beyond ASCII, U+0080 to U+009F, are two bytes each. */
static int check_text(const char *text, struct error *err)
{
	for (size_t n; *text; text += n) {
		n = str_utf8_char(text);
		if (n == 0)
			return error_set(err, ERROR_USAGE, EINVAL,
			                 "a command must be UTF-8 text (found 0x%02x)", (unsigned char)*text);
		if (n == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0)
			return refuse_control(text[1], err);
	}
	return 0;
}

/* What is between quotes of kind @quote, from behind the first; *@at is moved behind the last. */
static int parse_quoted(const char **at, char quote, struct str *out, struct error *err)
{
	const char *p = *at;

	for (; *p && *p != quote; p++) {
		if (is_control(*p))
			return refuse_control(*p, err);
		if (quote == '"' && *p == '\\' && p[1] && strchr("\"\\$`", p[1]))
			p++;
		str_append_char(out, *p);
	}
	if (!*p)
		return error_set(err, ERROR_USAGE, EINVAL, "the quote %c is not closed", quote);
	*at = p + 1;
	return 0;
}

static int parse_token(const char **at, struct token *token, struct error *err)
{
	const char *p = *at;

	while (*p && !is_space(*p)) {
		char c = *p++;
		int r = 0;

		if (c == '\'' || c == '"') {
			token->quoted |= token->equals == SIZE_MAX;
			r = parse_quoted(&p, c, &token->text, err);
		} else if (is_control(c)) {
			r = refuse_control(c, err);
		} else if (c == '\\' && (!*p || is_control(*p))) {
			r = error_set(err, ERROR_USAGE, EINVAL, "a backslash at the end has nothing to keep");
		} else if (c == '\\') {
			token->quoted |= token->equals == SIZE_MAX;
			str_append_char(&token->text, *p++);
		} else {
			if (c == '=' && token->equals == SIZE_MAX)
				token->equals = token->text.len;
			str_append_char(&token->text, c);
		}
		if (r < 0)
			return r;
	}
	*at = p;
	return 0;
}

/* The length of a key at the start of @text, behind which there must be a '='; 0: there is none. */
static size_t key_bytes(const char *text)
{
	if (*text < 'a' || *text > 'z')
		return 0;
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
}

static bool is_pair(const struct token *token)
{
	const char *text = str_text(&token->text);

	return token->equals != SIZE_MAX && !token->quoted && token->equals > 0 &&
	       key_bytes(text) == token->equals;
}

static void add_token(struct command_line *c, struct token *token)
{
	bool pair = is_pair(token);
	char *text = str_take(&token->text);

	if (pair) {
		char *value = mem_strdup(text + token->equals + 1);

		text[token->equals] = '\0';
		c->pairs = mem_resize(c->pairs, c->pair_count + 1, sizeof(*c->pairs));
		c->pairs[c->pair_count++] = (struct command_pair){text, value};
	} else {
		c->words = mem_resize(c->words, c->word_count + 1, sizeof(*c->words));
		c->words[c->word_count++] = text;
	}
}

int command_line_parse(const char *text, struct command_line *ret, struct error *err)
{
	_cleanup(command_line) struct command_line c = {0};
	const char *p = text;
	int checked;

	if (strnlen(text, COMMAND_LINE_MAX_BYTES + 1) > COMMAND_LINE_MAX_BYTES)
		return error_set(err, ERROR_USAGE, EINVAL, "a command has at most %d bytes",
		                 COMMAND_LINE_MAX_BYTES);
	checked = check_text(text, err);
	if (checked < 0)
		return checked;
	for (;;) {
		struct token token = {.equals = SIZE_MAX};
		int r;

		while (is_space(*p))
			p++;
		if (!*p)
			break;
		r = parse_token(&p, &token, err);
		if (r < 0) {
			str_finish(&token.text);
			return r;
		}
		add_token(&c, &token);
	}
	*ret = c;
	c = (struct command_line){0};
	return 0;
}

static void append_quoted(struct str *out, const char *text)
{
	str_append_char(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			str_append(out, "'\\''");
		else
			str_append_char(out, *text);
	}
	str_append_char(out, '\'');
}

void command_line_append(struct str *command, const char *word)
{
	size_t key = key_bytes(word);
	bool pair = key > 0 && word[key] == '=';

	if (command->len > 0)
		str_append_char(command, ' ');
	if (pair) {
		str_append_bytes(command, word, key + 1);
		word += key + 1;
	}
	if (word[strcspn(word, " \t\r\n'\"\\")] || (!*word && !pair))
		append_quoted(command, word);
	else
		str_append(command, word);
}
