// SPDX-License-Identifier: Apache-2.0
/* "WHAT[->KEY…][:HOW]", and what comments say. */
#include "redaction_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

static const char *const how_names[] = {[REDACTION_NONE] = "",
                                        [REDACTION_OMIT] = "omit",
                                        [REDACTION_NULL] = "null",
                                        [REDACTION_MASK] = "mask",
                                        [REDACTION_HASH] = "hash"};

const char *redaction_how_name(enum redaction_how how)
{
	return how_names[how];
}

void redaction_rule_finish(struct redaction_rule *r)
{
	policy_name_finish(&r->name);
	policy_free_texts(r->keys, r->key_count);
	*r = (struct redaction_rule){0};
}

/* NONE: there is no such way. */
static enum redaction_how how_by_name(const char *name, size_t len)
{
	for (size_t i = REDACTION_OMIT; i < ARRAY_SIZE(how_names); i++)
		if (strlen(how_names[i]) == len && memcmp(how_names[i], name, len) == 0)
			return (enum redaction_how)i;
	return REDACTION_NONE;
}

static const char *take_how(const char *p, enum redaction_how *ret)
{
	size_t len;

	p = policy_skip_blanks(p);
	*ret = REDACTION_OMIT;
	if (!*p)
		return NULL;
	if (*p != ':')
		return "has something behind the column that is not understood: ->KEY may follow, and :omit, :null, :mask or :hash";
	p = policy_skip_blanks(p + 1);
	len = strcspn(p, " \t\r\n");
	*ret = how_by_name(p, len);
	if (*ret == REDACTION_NONE || *policy_skip_blanks(p + len))
		return "says another way than omit, null, mask or hash behind the colon";
	return NULL;
}

/* A key of json: of the characters of names, or in quotes, or "*". */
static const char *take_json_key(const char **at, char **ret)
{
	_cleanup(policy_name) struct policy_name key = {0};
	const char *problem;

	if (**at == '\'')
		return policy_literal_take(at, ret);
	if (**at == '*') {
		++*at;
		*ret = mem_strdup("*");
		return NULL;
	}
	problem = policy_name_take(at, false, &key);
	if (problem)
		return problem;
	if (key.count > 1)
		return "has a dot in a key of json, which stands in single quotes then";
	*ret = take_ptr(&key.parts[0]);
	return NULL;
}

static const char *take_json_keys(const char **at, struct redaction_rule *ret)
{
	for (;;) {
		const char *p = policy_skip_blanks(*at), *problem;
		char *key = NULL;

		if (!str_starts(p, "->"))
			return NULL;
		p = policy_skip_blanks(p + 2 + (p[2] == '>'));
		problem = take_json_key(&p, &key);
		if (problem)
			return problem;
		ret->keys = mem_resize(ret->keys, ret->key_count + 1, sizeof(*ret->keys));
		ret->keys[ret->key_count++] = key;
		*at = p;
	}
}

const char *redaction_rule_parse(const char *text, struct redaction_rule *ret)
{
	const char *at = policy_skip_blanks(text), *problem;

	if (!*at)
		return "is empty";
	problem = policy_name_take(&at, true, &ret->name);
	if (!problem)
		problem = take_json_keys(&at, ret);
	return problem ? problem : take_how(at, &ret->how);
}

static void trim_end(char *text)
{
	for (size_t n = strlen(text); n > 0 && strchr(" \t\r\n", text[n - 1]); n--)
		text[n - 1] = '\0';
}

const char *redaction_type_parse(const char *text, struct redaction_rule *ret)
{
	const char *p = policy_skip_blanks(text), *colon = strrchr(p, ':'), *dot;
	_cleanup(free) char *type = strndup(p, colon ? (size_t)(colon - p) : strlen(p));

	trim_end(type);
	if (!*type)
		return "lacks the name of a type";
	if (strpbrk(type, "\"'->:;()"))
		return "has a character that no name of a type has here: no quotes, and no length in parentheses";
	dot = strchr(type, '.');
	if (dot)
		ret->name.parts[ret->name.count++] = strndup(type, (size_t)(dot - type));
	ret->name.parts[ret->name.count++] = mem_strdup(dot ? dot + 1 : type);
	return take_how(colon ? colon : "", &ret->how);
}

const char *redaction_comment_parse(const char *comment, enum redaction_how *ret)
{
	static const char mark[] = "keepfs:redact";
	const char *p = strstr(str_or_empty(comment), mark);
	size_t len;

	*ret = REDACTION_NONE;
	if (!p)
		return NULL;
	p += strlen(mark);
	*ret = REDACTION_OMIT;
	if (*p != '=')
		return NULL;
	len = strspn(++p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	*ret = how_by_name(p, len);
	return *ret == REDACTION_NONE
	               ? "says another way than omit, null, mask or hash behind \"keepfs:redact=\""
	               : NULL;
}

static int check_rules(const char *key, char *const *rules,
                       const char *(*parse)(const char *text, struct redaction_rule *ret), struct error *err)
{
	for (size_t i = 0; rules && rules[i]; i++) {
		_cleanup(redaction_rule) struct redaction_rule r = {0};
		const char *problem = parse(rules[i], &r);

		if (problem)
			return policy_bad_rule(err, key, rules[i], problem);
	}
	return 0;
}

static const char *parse_allowed(const char *text, struct redaction_rule *ret)
{
	return policy_name_take_all(text, true, &ret->name);
}

int redaction_rules_check(const struct redaction_rules *rules, struct error *err)
{
	int r = check_rules("redact", rules->columns, redaction_rule_parse, err);

	if (r == 0)
		r = check_rules("redact_types", rules->types, redaction_type_parse, err);
	return r == 0 ? check_rules("allow_secrets", rules->allowed, parse_allowed, err) : r;
}
