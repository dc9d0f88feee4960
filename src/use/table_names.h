// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which table of a backup is meant by a word: "public.orders", or "orders" when there is one in one schema. Told one name after the
 * other, so that nothing grows with how many there are. Pure.
 */
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

struct table_names { /* zeroed at first, but for @word */
	const char *word;
	uint32_t exact;     /* its number; 0: none yet */
	uint32_t in_schema; /* of the first one that is called so in a schema */
	unsigned schemas;   /* how many are called so */
	char *several;      /* heap: "public.orders, sales.orders" */
	char *nearest;      /* heap: with its schema */
	size_t nearest_at;  /* where what was compared begins in it */
};
/** table_names_add() - @number: what is told when this is the one; not 0. */
void table_names_add(struct table_names *n, uint32_t number, const char *schema, const char *table);
/** table_names_choose() - all were told. -EINVAL (ERROR_USAGE): there is none, @err names what is near, or there are several. */
int table_names_choose(const struct table_names *n, uint32_t *ret_number, struct error *err);
void table_names_finish(struct table_names *n);
static inline void cleanup_table_names(struct table_names *n)
{
	table_names_finish(n);
}
