// SPDX-License-Identifier: Apache-2.0
#include "diff_private.h"
#include "row_diff.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

_Static_assert((int)DIFF_A == (int)UNMATCHED_A && (int)DIFF_B == (int)UNMATCHED_B, "they are the same sides");

struct version { /* of a table, in one of the dumps */
	struct diff *diff;
	enum diff_side side;
	bool is_there;
	struct inside_table table;
};

struct diff_rows {
	struct diff *diff;
	struct version versions[2];
	struct diff_table table;
	struct row_diff *rows;   /* NULL: nothing differs */
	uint64_t expected_bytes; /* of both versions; 0: not known */
};

/* Names. */

static void version_take(struct version *v, struct inside_table *table)
{
	free(v->table.schema);
	v->table = *table;
	v->is_there = true;
}

/* 0: one of the dumps has it; -ENOENT: none. */
static int find_versions(struct diff_rows *x, const char *schema, const char *table, struct error *err)
{
	int found = -ENOENT;

	for (int side = 0; side < 2; side++) {
		struct inside_table t;
		int r = diff_find(x->diff, (enum diff_side)side, schema, table, &t, err);

		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0) {
			version_take(&x->versions[side], &t);
			found = 0;
		}
	}
	return found;
}

/* "a.b.c" may be table b.c of schema a, or table c of schema a.b. */
static int find_with_schema(struct diff_rows *x, const char *name, struct error *err)
{
	int r = -ENOENT;

	for (const char *dot = name; r == -ENOENT && (dot = strchr(dot, '.')); dot++) {
		_cleanup(free) char *schema = mem_printf("%.*s", (int)(dot - name), name);

		r = find_versions(x, schema, dot + 1, err);
	}
	return r;
}

struct naming {
	const char *name;
	char *schema; /* of the one that was found */
	bool several;
};

static int look_at_name(void *arg, const struct diff_table *table, struct error *err)
{
	struct naming *n = arg;

	if (strcmp(table->table, n->name) != 0)
		return 0;
	n->several = n->several || n->schema;
	if (!n->schema)
		n->schema = mem_strdup(table->schema);
	return 0;
}

static int find_without_schema(struct diff_rows *x, const char *name, struct error *err)
{
	struct naming n = {.name = name};
	_cleanup(free) char *schema = NULL;
	int r = diff_tables(x->diff, look_at_name, &n, err);

	schema = n.schema;
	if (r < 0)
		return r;
	if (n.several)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "there are several tables %.200s: write the schema, too (%.200s.%.200s)",
		                 name, schema, name);
	return schema ? find_versions(x, schema, name, err) : -ENOENT;
}

static int find_table_of_word(struct diff_rows *x, const char *name, struct error *err)
{
	int r = find_with_schema(x, name, err);

	if (r == -ENOENT)
		r = find_without_schema(x, name, err);
	if (r == -ENOENT)
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "neither backup has rows of a table %.200s: without a table, diff lists what there is",
		        name);
	return r;
}

/* Comparing. */

static void describe_versions(struct diff_rows *x)
{
	const struct version *a = &x->versions[DIFF_A], *b = &x->versions[DIFF_B];
	const struct inside_table *named = b->is_there ? &b->table : &a->table;
	bool same = x->diff->backups[DIFF_A].ino == x->diff->backups[DIFF_B].ino;

	x->table.a = a->is_there ? &a->table : NULL;
	x->table.b = b->is_there ? &b->table : NULL;
	x->table.schema = named->schema;
	x->table.table = named->table;
	x->table.state = diff_judge(x->table.a, x->table.b, same);
}

static int refuse_columns(const struct diff_rows *x, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the columns of %.100s.%.100s differ, so its rows cannot be compared: %.500s before, %.500s now",
	        x->table.schema, x->table.table, x->table.a->columns, x->table.b->columns);
}

static int refuse_encodings(const struct diff_rows *x, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the two backups are in different encodings (%s and %s), so their rows cannot be compared",
	        inside_encoding(x->diff->backups[DIFF_A].dump),
	        inside_encoding(x->diff->backups[DIFF_B].dump));
}

static int read_rows_of_version(void *arg,
                                int (*take)(void *arg, const void *data, size_t len, struct error *err),
                                void *take_arg, struct error *err)
{
	const struct version *v = arg;
	const struct diff_backup *backup = &v->diff->backups[v->side];
	int r;

	if (!v->is_there)
		return 0;
	r = inside_read_rows(backup->dump, v->table.number, v->diff->options.cancel, take, take_arg, err);
	if (r < 0 && r != -ECANCELED && r != -ENOSPC)
		error_prefix(err, "%s", backup->path);
	return r;
}

static void tell_read_bytes(void *arg, uint64_t bytes)
{
	const struct diff_rows *x = arg;
	const struct diff_options *o = &x->diff->options;

	if (o->progress)
		o->progress(o->arg, bytes, x->expected_bytes);
}

static uint64_t bytes_of_both(const struct diff_table *table)
{
	uint64_t a = table->a ? table->a->bytes : 0, b = table->b ? table->b->bytes : 0;

	return a == INSIDE_NOT_KNOWN || b == INSIDE_NOT_KNOWN ? 0 : a + b;
}

static int compare_versions(struct diff_rows *x, struct error *err)
{
	const struct diff_options *o = &x->diff->options;
	const struct row_diff_options options = {
	        .tables = {{.read = read_rows_of_version, .arg = &x->versions[DIFF_A]},
	                   {.read = read_rows_of_version, .arg = &x->versions[DIFF_B]}},
	        .unmatched = {.directory = o->state_dir,
	                      .memory_bytes = (size_t)o->memory_bytes,
	                      .space_bytes = o->space_bytes},
	        .cancel = o->cancel,
	        .progress = tell_read_bytes,
	        .arg = x,
	};

	x->expected_bytes = bytes_of_both(&x->table);
	return row_diff_new(&options, &x->rows, err);
}

static bool has_other_encoding(const struct diff_rows *x)
{
	const char *a = inside_encoding(x->diff->backups[DIFF_A].dump),
	           *b = inside_encoding(x->diff->backups[DIFF_B].dump);

	return x->table.a && x->table.b && *a && *b && strcmp(a, b) != 0;
}

int diff_rows_open(struct diff *d, const char *name, struct diff_rows **ret, struct error *err)
{
	_cleanup(diff_rows) struct diff_rows *x = mem_alloc(sizeof(*x));
	int r;

	x->diff = d;
	for (int side = 0; side < 2; side++)
		x->versions[side] = (struct version){.diff = d, .side = (enum diff_side)side};
	r = find_table_of_word(x, name, err);
	if (r < 0)
		return r;
	describe_versions(x);
	if (x->table.state == DIFF_COLUMNS)
		return refuse_columns(x, err);
	if (has_other_encoding(x))
		return refuse_encodings(x, err);
	if (x->table.state != DIFF_SAME)
		r = compare_versions(x, err);
	if (r == 0)
		*ret = take_ptr(&x);
	return r;
}

struct diff_rows *diff_rows_free(struct diff_rows *rows)
{
	if (!rows)
		return NULL;
	row_diff_free(rows->rows);
	free(rows->versions[DIFF_A].table.schema);
	free(rows->versions[DIFF_B].table.schema);
	free(rows);
	return NULL;
}

const struct diff_table *diff_rows_table(const struct diff_rows *rows)
{
	return &rows->table;
}

uint64_t diff_rows_count(const struct diff_rows *rows, enum diff_side side)
{
	return rows->rows ? row_diff_count(rows->rows, (enum unmatched_side)side) : 0;
}

int diff_rows_read(struct diff_rows *rows, enum diff_side side,
                   int (*row)(void *arg, const void *data, size_t len, bool ends, struct error *err),
                   void *arg, struct error *err)
{
	const struct row_diff_out out = {.row = row, .arg = arg};

	return rows->rows ? row_diff_read(rows->rows, (enum unmatched_side)side, &out, err) : 0;
}
