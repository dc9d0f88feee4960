// SPDX-License-Identifier: Apache-2.0
/* The rules "op:when:what": reading them, and telling which one a call meets. Every rule counts all calls
 * that it is about, also those that an earlier rule decides. */
#include "fault.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MOST_SLOW_MS 3600000

static const char *const what_names[] = {
        [FAULT_EIO] = "eio",         [FAULT_UNAVAILABLE] = "unavailable",
        [FAULT_TIMEOUT] = "timeout", [FAULT_CORRUPT] = "corrupt",
        [FAULT_SLOW] = "slow",       [FAULT_CRASH] = "crash",
        [FAULT_NOSPACE] = "nospace", [FAULT_DENIED] = "denied",
};

/* Digits only, 1 to @most; *@ret_rest is what follows them. */
static bool parse_number(const char *text, uint64_t most, uint64_t *ret, const char **ret_rest)
{
	uint64_t n = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++) {
		n = n * 10 + (uint64_t)(*at - '0');
		if (n > most)
			return false;
	}
	*ret = n;
	*ret_rest = at;
	return at > text && n > 0;
}

/* @problem: memory for the text that is returned. */
static const char *parse_op(const char *text, struct fault_rule *rule, struct str *problem)
{
	str_append(problem, "the call is one of");
	for (unsigned i = 0; i < STORE_CALL_KINDS; i++) {
		rule->op = (enum store_call_kind)i;
		if (str_equal(store_call_name(rule->op), text))
			return NULL;
		str_appendf(problem, " %s", store_call_name(rule->op));
	}
	rule->op = FAULT_ANY;
	str_append(problem, " *");
	return str_equal("*", text) ? NULL : str_text(problem);
}

static const char *parse_when(const char *text, struct fault_rule *rule)
{
	const char *rest;

	if (!parse_number(text, UINT32_MAX, &rule->n, &rest))
		rest = "?";
	rule->when = *rest == '+' ? FAULT_FROM : *rest == '%' ? FAULT_PERCENT : FAULT_NTH;
	if (str_equal(rest, "") || str_equal(rest, "+") || (str_equal(rest, "%") && rule->n <= 100))
		return NULL;
	return "when it fails is N (the Nth call, from 1), N+ (from then on) or N% (1 to 100)";
}

static const char *parse_what(const char *text, struct fault_rule *rule)
{
	const char *rest;
	uint64_t ms;

	if (str_starts(text, "slow:") && parse_number(text + strlen("slow:"), MOST_SLOW_MS, &ms, &rest) &&
	    !*rest) {
		rule->what = FAULT_SLOW;
		rule->slow_ms = (int64_t)ms;
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(what_names); i++) {
		if (i != FAULT_SLOW && str_equal(what_names[i], text)) {
			rule->what = (enum fault_what)i;
			return NULL;
		}
	}
	return "what happens is one of eio unavailable timeout corrupt slow:MS crash nospace denied";
}

static int parse_rule(char *text, struct fault_rule *ret, struct error *err)
{
	_cleanup(free) char *whole = mem_strdup(text);
	_cleanup(str) struct str words = {0};
	char *when = strchr(text, ':');
	char *what = when ? strchr(when + 1, ':') : NULL;
	const char *problem = "a rule is call:when:what";

	if (what) {
		*when++ = *what++ = '\0';
		problem = parse_op(text, ret, &words);
		if (!problem)
			problem = parse_when(when, ret);
		if (!problem)
			problem = parse_what(what, ret);
	}
	if (!problem)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "fault rule \"%s\" is wrong: %s", whole, problem);
}

int fault_parse(const char *spec, struct fault_rules *ret, struct error *err)
{
	_cleanup(free) char *copy = mem_strdup(spec);
	struct fault_rules rules = {0};
	char *next = copy;

	while (next && *copy) {
		char *text = next, *comma = strchr(text, ',');
		int r;

		next = comma ? comma + 1 : NULL;
		if (comma)
			*comma = '\0';
		rules.items = mem_resize(rules.items, rules.count + 1, sizeof(*rules.items));
		memset(&rules.items[rules.count], 0, sizeof(*rules.items));
		r = parse_rule(text, &rules.items[rules.count++], err);
		if (r < 0) {
			fault_rules_finish(&rules);
			return r;
		}
	}
	*ret = rules;
	return 0;
}

void fault_rules_finish(struct fault_rules *rules)
{
	free(rules->items);
	*rules = (struct fault_rules){0};
}

static bool by_chance(uint64_t percent)
{
	uint32_t x = 0;

	return getrandom(&x, sizeof(x), 0) == sizeof(x) && x % 100 < percent;
}

static bool applies(struct fault_rule *rule)
{
	uint64_t call = atomic_fetch_add(&rule->calls, 1) + 1;

	switch (rule->when) {
	case FAULT_NTH:
		return call == rule->n;
	case FAULT_FROM:
		return call >= rule->n;
	default:
		return by_chance(rule->n);
	}
}

enum fault_what fault_decide(struct fault_rules *rules, enum store_call_kind op, int64_t *ret_slow_ms)
{
	enum fault_what what = FAULT_NOTHING;

	*ret_slow_ms = 0;
	for (size_t i = 0; i < rules->count; i++) {
		struct fault_rule *rule = &rules->items[i];

		if ((rule->op != op && rule->op != FAULT_ANY) || !applies(rule) || what != FAULT_NOTHING)
			continue;
		if (rule->what == FAULT_SLOW)
			*ret_slow_ms += rule->slow_ms;
		else
			what = rule->what;
	}
	return what;
}
