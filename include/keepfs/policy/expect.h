// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is expected of the answer to a check: "n > 100", "n <= 3.5", "n = ok", "n != ''"; or nothing: that it is true. Pure.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>

enum expect_relation {
	EXPECT_TRUE,
	EXPECT_EQUAL,
	EXPECT_OTHER,
	EXPECT_LESS,
	EXPECT_AT_MOST,
	EXPECT_MORE,
	EXPECT_AT_LEAST
};

struct expect {
	enum expect_relation relation;
	bool is_number; /* @text is one, and so has the answer to be */
	double number;
	char text[200];
};

/** expect_parse() - "" (EXPECT_TRUE), or "n", a relation and a number or a text, which may be in single quotes. -EINVAL with what is allowed. */
int expect_parse(const char *text, struct expect *ret, struct error *err);
/** expect_holds() - @value: the answer; NULL: there was none, of which nothing holds. Without a relation: "t", "true", "yes", "on", or a
 * number that is not 0. */
bool expect_holds(const struct expect *x, const char *value);
