// SPDX-License-Identifier: Apache-2.0
#include "table_names.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/conf.h>

#include <errno.h>
#include <string.h>

#define SEVERAL_SHOWN 5

char *table_names_quote(const char *schema, const char *table)
{
	struct str out = {0};

	sql_append_name(&out, schema);
	str_append_char(&out, '.');
	sql_append_name(&out, table);
	return str_take(&out);
}

static bool is_quoted_name(const char *word, const char *schema, const char *table)
{
	_cleanup(free) char *quoted = *word == '"' ? table_names_quote(schema, table) : NULL;

	return str_equal(quoted, word);
}

static void add_exact(struct table_names *n, uint32_t number, const char *schema, const char *table)
{
	if (!n->exact) {
		n->exact = number;
		n->quoted = table_names_quote(schema, table);
	} else if (!n->other) {
		n->other = table_names_quote(schema, table);
	}
}

static void add_same_name(struct table_names *n, uint32_t number, const char *name)
{
	char *longer;

	if (n->schemas++ == 0)
		n->in_schema = number;
	if (n->schemas > SEVERAL_SHOWN)
		return;
	longer = mem_printf("%s%s%s", str_or_empty(n->several), n->several ? ", " : "", name);
	free(n->several);
	n->several = longer;
}

/* One name at a time is held against the nearest so far: so nothing grows with how many there are. */
static void add_near_name(struct table_names *n, const char *name, const char *table)
{
	size_t at = strchr(n->word, '.') ? 0 : strlen(name) - strlen(table);
	const char *both[] = {n->nearest ? n->nearest + n->nearest_at : name + at, name + at};

	if (conf_nearest(n->word, both, ARRAY_SIZE(both)) != both[n->nearest ? 1 : 0])
		return;
	mem_replace_string(&n->nearest, name);
	n->nearest_at = at;
}

void table_names_add(struct table_names *n, uint32_t number, const char *schema, const char *table)
{
	_cleanup(free) char *name = mem_printf("%s.%s", schema, table);

	if (str_equal(name, n->word) || is_quoted_name(n->word, schema, table))
		add_exact(n, number, schema, table);
	else if (str_equal(table, n->word))
		add_same_name(n, number, name);
	else
		add_near_name(n, name, table);
}

static int refuse_second_exact(const struct table_names *n, struct error *err)
{
	if (str_equal(n->quoted, n->other))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the backup has more than one table %.200s, which no database has: so nothing says which one is meant",
		        n->quoted);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.120s may be %.200s or %.200s: write the one that is meant just so, with its quotes",
	        n->word, n->quoted, n->other);
}

/* "orders" is near orders_1, which may be a partition of it; a name that is written wrongly is another matter. */
int table_names_choose(const struct table_names *n, uint32_t *ret_number, struct error *err)
{
	if (n->other)
		return refuse_second_exact(n, err);
	if (n->exact || n->schemas == 1) {
		*ret_number = n->exact ? n->exact : n->in_schema;
		return 0;
	}
	if (n->schemas > 1)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%.120s is in %u schemas: write which one you mean: %.400s%s", n->word,
		                 n->schemas, n->several, n->schemas > SEVERAL_SHOWN ? ", …" : "");
	if (n->nearest && !str_starts(n->nearest + n->nearest_at, n->word))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "the backup has no rows of a table %.120s: did you mean %.200s?", n->word,
		                 n->nearest);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the backup has no rows of a table %.120s%s%.200s%s; rows of a partitioned table are in its partitions, each of which is a table of its own: name that, and the whole one with into=",
	        n->word, n->nearest ? ": did you mean " : "", str_or_empty(n->nearest),
	        n->nearest ? "?" : "");
}

void table_names_finish(struct table_names *n)
{
	free(n->several);
	free(n->nearest);
	free(n->quoted);
	free(n->other);
	n->several = n->nearest = n->quoted = n->other = NULL;
}
