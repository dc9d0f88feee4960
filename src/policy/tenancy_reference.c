// SPDX-License-Identifier: Apache-2.0
/*
 * Soft references:  OPERAND -> OPERAND [when TEST {AND TEST}]
 *
 *   OPERAND   [schema.]table.column, and behind it within json {->'key'} ->>'key'
 *   TEST      column = 'text', a number, true or false; the column as within an operand
 *
 * Nothing else is taken, so that what stands in a configuration never becomes SQL of another kind than this.
 */
#include "tenancy_private.h"

#include <keepfs/base/mem.h>

#include <string.h>
#include <strings.h>

static void finish_operand(struct reference_operand *o)
{
	policy_name_finish(&o->name);
	policy_free_texts(o->path, o->path_count);
}

void reference_finish(struct reference *r)
{
	finish_operand(&r->from);
	finish_operand(&r->to);
	for (size_t i = 0; i < r->test_count; i++) {
		finish_operand(&r->tests[i].of);
		free(r->tests[i].value);
	}
	free(r->tests);
	*r = (struct reference){0};
}

static void add_key(struct reference_operand *o, char *key)
{
	o->path = mem_resize(o->path, o->path_count + 1, sizeof(*o->path));
	o->path[o->path_count++] = key;
}

/* An arrow with a key behind it is one within json; another one is that of the reference. */
static const char *take_path(const char **at, struct reference_operand *o)
{
	bool is_text = false;

	for (;;) {
		const char *p = policy_skip_blanks(*at), *key, *problem;
		char *text = NULL;

		if (!str_starts(p, "->"))
			break;
		key = policy_skip_blanks(p + (p[2] == '>' ? 3 : 2));
		if (*key != '\'')
			break;
		if (is_text)
			return "has a key behind ->>, which gives text";
		is_text = p[2] == '>';
		problem = policy_literal_take(&key, &text);
		if (problem)
			return problem;
		add_key(o, text);
		*at = key;
	}
	return o->path_count == 0 || is_text ? NULL : "takes json by ->, and needs ->> before the last key";
}

static const char *take_reference_operand(const char **at, struct reference_operand *o)
{
	const char *problem;

	*at = policy_skip_blanks(*at);
	problem = policy_name_take(at, false, &o->name);
	return problem ? problem : take_path(at, o);
}

/* Is @word here, and ends here? In any case. */
static bool take_word_of_reference(const char **at, const char *word)
{
	const char *p = policy_skip_blanks(*at);
	size_t len = strlen(word);

	if (strncasecmp(p, word, len) != 0 || !p[len] || !strchr(" \t\r\n", p[len]))
		return false;
	*at = p + len;
	return true;
}

static bool is_bare_value(const char *value, size_t len)
{
	size_t sign = value[0] == '-';

	if ((len == 4 && strncasecmp(value, "true", len) == 0) ||
	    (len == 5 && strncasecmp(value, "false", len) == 0))
		return true;
	return len > sign && strspn(value + sign, "0123456789.") == len - sign && value[sign] != '.';
}

static const char *take_test_value(const char **at, char **ret)
{
	const char *p = policy_skip_blanks(*at);
	size_t len = strcspn(p, " \t\r\n");

	*at = p;
	if (*p == '\'')
		return policy_literal_take(at, ret);
	if (!is_bare_value(p, len))
		return "compares with something else than a text in single quotes, a number, true or false";
	*ret = strndup(p, len);
	*at = p + len;
	return NULL;
}

static const char *take_test(const char **at, struct reference *r)
{
	struct reference_test *t;
	const char *problem;

	r->tests = mem_resize(r->tests, r->test_count + 1, sizeof(*r->tests));
	t = &r->tests[r->test_count++];
	*t = (struct reference_test){0};
	problem = take_reference_operand(at, &t->of);
	if (problem)
		return problem;
	if (t->of.name.count != 1)
		return "names a table behind \"when\", where columns stand alone: they are those of the table that refers";
	*at = policy_skip_blanks(*at);
	if (**at != '=')
		return "has no = behind a column of \"when\": only COLUMN = 'value' is understood, joined by AND";
	(*at)++;
	return take_test_value(at, &t->value);
}

static const char *take_tests(const char **at, struct reference *r)
{
	const char *problem;

	do
		problem = take_test(at, r);
	while (!problem && take_word_of_reference(at, "and"));
	return problem;
}

static const char *take_side(const char **at, struct reference_operand *o)
{
	const char *problem = take_reference_operand(at, o);

	if (problem)
		return problem;
	return o->name.count > 1 ? NULL
	                         : "lacks the table in front of a column: table.column -> table.column";
}

static const char *take_arrow(const char **at)
{
	*at = policy_skip_blanks(*at);
	if (str_starts(*at, "->>"))
		return "has ->> without a key in single quotes behind it";
	if (!str_starts(*at, "->"))
		return "has no -> behind the column that refers";
	*at += strlen("->");
	return NULL;
}

const char *reference_parse(const char *text, struct reference *ret)
{
	const char *at = policy_skip_blanks(text), *problem;

	if (!*at)
		return "is empty";
	problem = take_side(&at, &ret->from);
	if (!problem)
		problem = take_arrow(&at);
	if (!problem)
		problem = take_side(&at, &ret->to);
	if (!problem && take_word_of_reference(&at, "when"))
		problem = take_tests(&at, ret);
	if (!problem && *policy_skip_blanks(at))
		problem =
		        "has something behind its end that is not understood: only \"when\" may follow, and AND within it";
	return problem;
}

int tenancy_references_check(char *const *references, struct error *err)
{
	for (size_t i = 0; references && references[i]; i++) {
		_cleanup(reference) struct reference r = {0};
		const char *problem = reference_parse(references[i], &r);

		if (problem)
			return policy_bad_rule(err, "references", references[i], problem);
	}
	return 0;
}
