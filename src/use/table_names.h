// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which table of a backup is meant by a word: "public.orders", or "orders" when there is one in one schema; where names hold a '.', with both in
 * quotes: "\"a.b\".\"c\"". Told one name after the
 * other, so that nothing grows with how many there are. Pure.
 */
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

struct table_names { /* zeroed at first, but for @word */
	const char *word;
	uint32_t exact; /* number of the first one; 0: none yet */
	char *quoted;   /* its schema and table in quotes; heap */
	char *other; /* the same of another one that the word is just as good a name of; heap; NULL: there is none */
	uint32_t in_schema; /* of the first one that is called so in a schema */
	unsigned schemas;   /* how many are called so */
	char *several;      /* heap: "public.orders, sales.orders" */
	char *nearest;      /* heap: with its schema */
	size_t nearest_at;  /* where what was compared begins in it */
};
/** table_names_add() - @number: what is told when this is the one; not 0. */
void table_names_add(struct table_names *n, uint32_t number, const char *schema, const char *table);
/** table_names_choose() - all were told. -EINVAL (ERROR_USAGE): there is none, @err names what is near, or there are several, which includes one that
 * comes twice. */
int table_names_choose(const struct table_names *n, uint32_t *ret_number, struct error *err);
/** table_names_quote() - heap: both in quotes, which is a name of that table alone. */
char *table_names_quote(const char *schema, const char *table);
void table_names_finish(struct table_names *n);
static inline void cleanup_table_names(struct table_names *n)
{
	table_names_finish(n);
}
