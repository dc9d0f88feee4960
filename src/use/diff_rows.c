// SPDX-License-Identifier: Apache-2.0
#include "diff_private.h"
#include "row_diff.h"
#include "table_names.h"

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

static int look_at_names(struct diff_rows *x, enum diff_side side, struct table_names *names,
                         struct error *err)
{
	struct inside_dump *dump = x->diff->backups[side].dump;

	for (uint32_t number = 1; number <= inside_tables(dump); number++) {
		_cleanup(inside_table) struct inside_table table = {0};
		int r = inside_table(dump, number, &table, err);

		if (r < 0)
			return r;
		table_names_add(names, number, table.schema, table.table);
	}
	return 0;
}

static int take_named_version(struct diff_rows *x, enum diff_side side, const struct table_names *names,
                              struct error *err)
{
	struct version *v = &x->versions[side];
	uint32_t number;
	int r = table_names_choose(names, &number, err);

	if (r < 0) {
		error_prefix(err, "%s", x->diff->backups[side].path);
		return r;
	}
	r = inside_table(x->diff->backups[side].dump, number, &v->table, err);
	v->is_there = r == 0;
	return r;
}

/* Each backup for itself has only one that may be meant, and they are not the same. */
static int check_one_name(const struct diff_rows *x, const char *name, struct error *err)
{
	const struct version *a = &x->versions[DIFF_A], *b = &x->versions[DIFF_B];
	_cleanup(free) char *quoted_a = NULL, *quoted_b = NULL;

	if (!a->is_there || !b->is_there ||
	    (str_equal(a->table.schema, b->table.schema) && str_equal(a->table.table, b->table.table)))
		return 0;
	quoted_a = table_names_quote(a->table.schema, a->table.table);
	quoted_b = table_names_quote(b->table.schema, b->table.table);
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "there are several tables %.120s: write schema and table (%.200s, %.200s)", name,
	                 quoted_a, quoted_b);
}

/* A table of another schema that is called so is none when one of both has the one with just that name. */
static int choose_versions(struct diff_rows *x, const struct table_names names[2], struct error *err)
{
	bool is_exact = names[DIFF_A].exact || names[DIFF_B].exact;
	int r = 0;

	for (int side = 0; r == 0 && side < 2; side++)
		if (is_exact ? names[side].exact > 0 : names[side].schemas > 0)
			r = take_named_version(x, (enum diff_side)side, &names[side], err);
	return r;
}

static int find_table_of_word(struct diff_rows *x, const char *name, struct error *err)
{
	struct table_names names[2] = {{.word = name}, {.word = name}};
	int r = look_at_names(x, DIFF_A, &names[DIFF_A], err);

	if (r == 0)
		r = look_at_names(x, DIFF_B, &names[DIFF_B], err);
	if (r == 0)
		r = choose_versions(x, names, err);
	table_names_finish(&names[DIFF_A]);
	table_names_finish(&names[DIFF_B]);
	if (r < 0)
		return r;
	if (!x->versions[DIFF_A].is_there && !x->versions[DIFF_B].is_there)
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "neither backup has rows of a table %.200s: without a table, diff lists what there is",
		        name);
	return check_one_name(x, name, err);
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

static bool has_other_encoding(const struct diff *d, const struct diff_table *table)
{
	const char *a = inside_encoding(d->backups[DIFF_A].dump),
	           *b = inside_encoding(d->backups[DIFF_B].dump);

	return table->a && table->b && *a && *b && strcmp(a, b) != 0;
}

int diff_check_rows(const struct diff *d, const struct diff_table *table, struct error *err)
{
	if (table->state == DIFF_COLUMNS)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the columns of %.100s.%.100s differ, so its rows cannot be compared: %.500s before, %.500s now",
		        table->schema, table->table, table->a->columns, table->b->columns);
	if (has_other_encoding(d, table))
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the two backups are in different encodings (%s and %s), so their rows cannot be compared",
		        inside_encoding(d->backups[DIFF_A].dump), inside_encoding(d->backups[DIFF_B].dump));
	return 0;
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
	if (r < 0 && r != -ECANCELED && r != -ENOSPC && r != -EFBIG && r != -ENFILE)
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

	enum unmatched_side failed = UNMATCHED_SIDES;
	int r;

	x->expected_bytes = bytes_of_both(&x->table);
	r = row_diff_new(&options, &x->rows, &failed, err);
	if (failed != UNMATCHED_SIDES)
		diff_note_failure(x->diff, (enum diff_side)failed, r);
	return r;
}

static struct diff_rows *begin_diff_rows(struct diff *d)
{
	struct diff_rows *x = mem_alloc(sizeof(*x));

	x->diff = d;
	for (int side = 0; side < 2; side++)
		x->versions[side] = (struct version){.diff = d, .side = (enum diff_side)side};
	return x;
}

/* Both versions, which are there or not, were found. */
static int compare_found(struct diff_rows *x, struct error *err)
{
	int r;

	describe_versions(x);
	r = diff_check_rows(x->diff, &x->table, err);
	return r == 0 && x->table.state != DIFF_SAME ? compare_versions(x, err) : r;
}

int diff_rows_open(struct diff *d, const char *name, struct diff_rows **ret, struct error *err)
{
	_cleanup(diff_rows) struct diff_rows *x = begin_diff_rows(d);
	int r = find_table_of_word(x, name, err);

	if (r == 0)
		r = compare_found(x, err);
	if (r == 0)
		*ret = take_ptr(&x);
	return r;
}

int diff_rows_open_found(struct diff *d, const uint32_t numbers[2], struct diff_rows **ret, struct error *err)
{
	_cleanup(diff_rows) struct diff_rows *x = begin_diff_rows(d);
	int r = 0;

	for (int side = 0; r == 0 && side < 2; side++) {
		struct version *v = &x->versions[side];

		if (numbers[side] > 0)
			r = inside_table(d->backups[side].dump, numbers[side], &v->table, err);
		v->is_there = r == 0 && numbers[side] > 0;
	}
	if (r == 0)
		r = compare_found(x, err);
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
	int r = rows->rows ? row_diff_read(rows->rows, (enum unmatched_side)side, &out, err) : 0;

	diff_note_failure(rows->diff, side, r);
	return r;
}
