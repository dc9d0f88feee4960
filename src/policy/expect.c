// SPDX-License-Identifier: Apache-2.0
#include <keepfs/policy/expect.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The longer ones first. */
static const struct {
	const char *word;
	enum expect_relation relation;
} relations[] = {
        {"<>", EXPECT_OTHER}, {"!=", EXPECT_OTHER}, {"<=", EXPECT_AT_MOST}, {">=", EXPECT_AT_LEAST},
        {"=", EXPECT_EQUAL},  {"<", EXPECT_LESS},   {">", EXPECT_MORE},
};

static bool take_expect_number(const char *text, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return end != text && !*end && isfinite(*ret);
}

static const char *skip_expect_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static int refuse_expectation(const char *text, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "'%.100s' is no expectation; allowed: n, one of = != < <= > >=, and a number, such as n > 100; or = or != and a text, such as n = 'ok'; or nothing: then the answer must be true",
	        text);
}

static bool take_operand(const char *p, struct expect *ret)
{
	size_t len = strlen(p);

	if (len >= 2 && p[0] == '\'' && p[len - 1] == '\'') {
		p++;
		len -= 2;
	} else {
		ret->is_number = take_expect_number(p, &ret->number);
	}
	if (len >= sizeof(ret->text) || (len == 0 && p[-1] != '\''))
		return false;
	memcpy(ret->text, p, len);
	ret->text[len] = '\0';
	return ret->is_number || ret->relation == EXPECT_EQUAL || ret->relation == EXPECT_OTHER;
}

int expect_parse(const char *text, struct expect *ret, struct error *err)
{
	const char *p = skip_expect_blanks(text);

	*ret = (struct expect){.relation = EXPECT_TRUE};
	if (!*p)
		return 0;
	if (*p != 'n')
		return refuse_expectation(text, err);
	p = skip_expect_blanks(p + 1);
	for (size_t i = 0; i < ARRAY_SIZE(relations); i++) {
		if (!str_starts(p, relations[i].word))
			continue;
		ret->relation = relations[i].relation;
		p = skip_expect_blanks(p + strlen(relations[i].word));
		return *p && take_operand(p, ret) ? 0 : refuse_expectation(text, err);
	}
	return refuse_expectation(text, err);
}

static bool is_true_answer(const char *value)
{
	static const char *const words[] = {"t", "true", "yes", "on"};
	double number;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_equal(value, words[i]))
			return true;
	return take_expect_number(value, &number) && (number < 0 || number > 0);
}

bool expect_holds(const struct expect *x, const char *value)
{
	double number;
	int order;

	if (!value)
		return false;
	if (x->relation == EXPECT_TRUE)
		return is_true_answer(value);
	if (!x->is_number)
		return (strcmp(value, x->text) == 0) == (x->relation == EXPECT_EQUAL);
	if (!take_expect_number(value, &number))
		return x->relation == EXPECT_OTHER;
	order = (number > x->number) - (number < x->number);
	switch (x->relation) {
	case EXPECT_EQUAL:
		return order == 0;
	case EXPECT_OTHER:
		return order != 0;
	case EXPECT_LESS:
		return order < 0;
	case EXPECT_AT_MOST:
		return order <= 0;
	case EXPECT_MORE:
		return order > 0;
	default:
		return order >= 0;
	}
}
