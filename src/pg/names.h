// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Lists of names as statements have them. Pure. */
#include <stdbool.h>
#include <stddef.h>

struct names { /* heap */
	char **items;
	size_t count;
};
void names_finish(struct names *n);
static inline void cleanup_pg_names(struct names *n)
{
	names_finish(n);
}
void names_add(struct names *n, const char *name);
bool names_has(const struct names *n, const char *name);
/** names_parse() - "(id, \"A \"\"b\"\"\")", "id,day": each is added, without quotes; parentheses may stand around. False: it is no such list, or it is empty. */
bool names_parse(const char *text, struct names *ret);
