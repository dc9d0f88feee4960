/*
 * A parser of one pass: each token is collected with its quotes taken away, together with the place of its
 * first '=' that was not quoted. Control characters are refused, quoted or not: what a command holds is shown
 * in logs and in the history.
 */
#include "command.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct token {
	struct str text;
	size_t equals; /* bytes before the first unquoted '='; SIZE_MAX: there is none */
	bool quoted;   /* something before that '=' was quoted */
};

void command_finish(struct command *c)
{
	for (size_t i = 0; i < c->word_count; i++)
		free(c->words[i]);
	for (size_t i = 0; i < c->option_count; i++) {
		free(c->options[i].key);
		free(c->options[i].value);
	}
	free(c->words);
	free(c->options);
	*c = (struct command){0};
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

static bool is_option(const struct token *token)
{
	const char *text = str_text(&token->text);

	if (token->equals == SIZE_MAX || token->quoted || text[0] < 'a' || text[0] > 'z')
		return false;
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == token->equals;
}

static void add_token(struct command *c, struct token *token)
{
	bool option = is_option(token);
	char *text = str_take(&token->text);

	if (option) {
		char *value = mem_strdup(text + token->equals + 1);

		text[token->equals] = '\0';
		c->options = mem_resize(c->options, c->option_count + 1, sizeof(*c->options));
		c->options[c->option_count++] = (struct command_option){text, value};
	} else {
		c->words = mem_resize(c->words, c->word_count + 1, sizeof(*c->words));
		c->words[c->word_count++] = text;
	}
}

int command_parse(const char *text, struct command *ret, struct error *err)
{
	_cleanup(command) struct command c = {0};
	const char *p = text;

	if (strnlen(text, COMMAND_MAX_BYTES + 1) > COMMAND_MAX_BYTES)
		return error_set(err, ERROR_USAGE, EINVAL, "a command has at most %d bytes",
		                 COMMAND_MAX_BYTES);
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
	c = (struct command){0};
	return 0;
}
