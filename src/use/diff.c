// SPDX-License-Identifier: Apache-2.0
#include "diff_private.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <string.h>

/* Opening. */

static int find_backup_of_word(struct diff *d, const char *word, struct diff_backup *ret, struct error *err)
{
	_cleanup(free) char *path = words_path(word);
	struct catalog_entry entry;
	int r = words_find_backup(d->options.catalog, path, &entry);

	if (r == -ENOENT)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%.200s is no backup: write one as the mount shows it (backups/full/20261120T020000Z.dump, full/latest.dump)",
		        word);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	ret->ino = entry.ino;
	ret->path = catalog_path(d->options.catalog, entry.ino);
	return 0;
}

static int open_backup_found(struct diff *d, struct diff_backup *ret, struct error *err)
{
	int r = inside_open(d->options.inside, ret->ino, d->options.cancel, &ret->dump, err);
	if (r < 0)
		error_prefix(err, "%s", ret->path);
	return r;
}

static int open_either_backup(struct diff *d, const char *word, struct diff_backup *ret, struct error *err)
{
	int r = find_backup_of_word(d, word, ret, err);

	return r < 0 ? r : open_backup_found(d, ret, err);
}

int diff_open_found(const struct diff_options *options, const uint64_t inos[2], struct diff **ret,
                    enum diff_side *ret_failed, struct error *err)
{
	_cleanup(diff) struct diff *d = mem_alloc(sizeof(*d));

	d->options = *options;
	for (int side = 0; side < 2; side++) {
		struct diff_backup *backup = &d->backups[side];
		_cleanup(free) char *path = catalog_path(options->catalog, inos[side]);
		int r;

		backup->ino = inos[side];
		backup->path = path ? take_ptr(&path) : mem_strdup("a removed backup");
		r = open_backup_found(d, backup, err);
		if (r < 0) {
			*ret_failed = (enum diff_side)side;
			return r;
		}
	}
	*ret = take_ptr(&d);
	return 0;
}

int diff_open(const struct diff_options *options, const char *a, const char *b, struct diff **ret,
              struct error *err)
{
	_cleanup(diff) struct diff *d = mem_alloc(sizeof(*d));
	int r;

	d->options = *options;
	r = open_either_backup(d, a, &d->backups[DIFF_A], err);
	if (r == 0)
		r = open_either_backup(d, b, &d->backups[DIFF_B], err);
	if (r == 0)
		*ret = take_ptr(&d);
	return r;
}

struct diff *diff_free(struct diff *d)
{
	if (!d)
		return NULL;
	for (int side = 0; side < 2; side++) {
		inside_close(d->backups[side].dump);
		free(d->backups[side].path);
	}
	free(d);
	return NULL;
}

const struct diff_backup *diff_backup(const struct diff *d, enum diff_side side)
{
	return &d->backups[side];
}

void diff_note_failure(struct diff *d, enum diff_side side, int r)
{
	if (r < 0 && r != -ECANCELED) {
		d->has_failed = true;
		d->failed = side;
	}
}

bool diff_failed_at(const struct diff *d, enum diff_side *ret)
{
	if (d->has_failed)
		*ret = d->failed;
	return d->has_failed;
}

/* Tables. */

const char *diff_state_name(enum diff_state state)
{
	static const char *const names[DIFF_STATES] = {
	        [DIFF_SAME] = "same", [DIFF_CHANGED] = "changed", [DIFF_COLUMNS] = "columns",
	        [DIFF_NEW] = "new",   [DIFF_GONE] = "gone",       [DIFF_UNKNOWN] = "unknown"};

	return names[state];
}

static bool has_counts_of(const struct inside_table *t)
{
	return t->rows != INSIDE_NOT_KNOWN && t->bytes != INSIDE_NOT_KNOWN;
}

enum diff_state diff_judge(const struct inside_table *a, const struct inside_table *b, bool same)
{
	if (!a || !b)
		return a ? DIFF_GONE : DIFF_NEW;
	if (same)
		return DIFF_SAME;
	if (strcmp(str_or_empty(a->columns), str_or_empty(b->columns)) != 0)
		return DIFF_COLUMNS;
	if (has_counts_of(a) && has_counts_of(b) && (a->rows != b->rows || a->bytes != b->bytes))
		return DIFF_CHANGED;
	if (!has_counts_of(a) || !has_counts_of(b) || !a->has_hash || !b->has_hash)
		return DIFF_UNKNOWN;
	return a->hash == b->hash ? DIFF_SAME : DIFF_CHANGED;
}

static int refuse_double(const struct diff *d, enum diff_side side, const char *schema, const char *table,
                         struct error *err)
{
	return error_set(err, ERROR_USAGE, ENOTUNIQ,
	                 "%s has the rows of %s.%s in several places, so they cannot be compared",
	                 d->backups[side].path, schema, table);
}

/* 0, and the caller's cleanup_inside_table(@ret); -ENOENT: it is not there. */
static int find_in_backup(struct diff *d, enum diff_side side, const char *schema, const char *table,
                          struct inside_table *ret, struct error *err)
{
	struct inside_dump *dump = d->backups[side].dump;
	uint32_t number;
	int r = inside_find_table(dump, schema, table, &number);

	if (r == -ENOENT)
		return r;
	if (r == -ENOTUNIQ)
		return refuse_double(d, side, schema, table, err);
	if (r < 0)
		return error_system(err, -r, "the tables of %s cannot be looked up", d->backups[side].path);
	return inside_table(dump, number, ret, err);
}

static bool is_one_dump(const struct diff *d)
{
	return d->backups[DIFF_A].ino == d->backups[DIFF_B].ino;
}

struct telling {
	struct diff *diff;
	int (*each)(void *arg, const struct diff_table *table, struct error *err);
	void *arg;
	uint32_t in_both;
};

static int tell_table(const struct telling *t, const struct inside_table *a, const struct inside_table *b,
                      struct error *err)
{
	const struct inside_table *named = b ? b : a;
	const struct diff_table table = {.state = diff_judge(a, b, is_one_dump(t->diff)),
	                                 .schema = named->schema,
	                                 .table = named->table,
	                                 .a = a,
	                                 .b = b};

	return t->each(t->arg, &table, err);
}

static int tell_table_of_b(struct telling *t, uint32_t number, struct error *err)
{
	_cleanup(inside_table) struct inside_table a = {0}, b = {0};
	int r = inside_table(t->diff->backups[DIFF_B].dump, number, &b, err), found;
	uint32_t ignored;

	if (r < 0)
		return r;
	if (inside_find_table(t->diff->backups[DIFF_B].dump, b.schema, b.table, &ignored) == -ENOTUNIQ)
		return refuse_double(t->diff, DIFF_B, b.schema, b.table, err);
	found = find_in_backup(t->diff, DIFF_A, b.schema, b.table, &a, err);
	if (found < 0 && found != -ENOENT)
		return found;
	t->in_both += found == 0;
	return tell_table(t, found == 0 ? &a : NULL, &b, err);
}

static int tell_if_gone(const struct telling *t, uint32_t number, struct error *err)
{
	_cleanup(inside_table) struct inside_table a = {0};
	struct inside_dump *other = t->diff->backups[DIFF_B].dump;
	uint32_t ignored;
	int r = inside_table(t->diff->backups[DIFF_A].dump, number, &a, err), found;

	if (r < 0)
		return r;
	found = inside_find_table(other, a.schema, a.table, &ignored);
	if (found == -ENOTUNIQ)
		return refuse_double(t->diff, DIFF_B, a.schema, a.table, err);
	if (found < 0 && found != -ENOENT)
		return error_system(err, -found, "the tables of %s cannot be looked up",
		                    t->diff->backups[DIFF_B].path);
	return found == -ENOENT ? tell_table(t, &a, NULL, err) : 0;
}

int diff_tables(struct diff *d, int (*each)(void *arg, const struct diff_table *table, struct error *err),
                void *arg, struct error *err)
{
	struct telling t = {.diff = d, .each = each, .arg = arg};
	uint32_t of_a = inside_tables(d->backups[DIFF_A].dump), of_b = inside_tables(d->backups[DIFF_B].dump);
	int r = 0;

	for (uint32_t i = 1; r == 0 && i <= of_b; i++)
		r = tell_table_of_b(&t, i, err);
	/* Mostly none is gone. */
	for (uint32_t i = 1; r == 0 && t.in_both < of_a && i <= of_a; i++)
		r = tell_if_gone(&t, i, err);
	return r;
}

/* One table. */

static enum diff_side other_side(enum diff_side side)
{
	return side == DIFF_A ? DIFF_B : DIFF_A;
}

static void describe_looked(const struct diff *d, enum diff_side side, bool is_there, bool is_several,
                            struct diff_looked *t)
{
	struct inside_table *own = &t->versions[side], *other = &t->versions[other_side(side)];

	t->table.schema = own->schema;
	t->table.table = own->table;
	t->table.a = side == DIFF_A ? own : is_there ? other : NULL;
	t->table.b = side == DIFF_B ? own : is_there ? other : NULL;
	t->table.state = is_several ? DIFF_UNKNOWN : diff_judge(t->table.a, t->table.b, is_one_dump(d));
}

/* The version of the other dump: 0; -ENOENT; -ENOTUNIQ with the first of several. */
static int find_other_version(struct diff *d, enum diff_side side, struct diff_looked *t, struct error *err)
{
	const struct inside_table *own = &t->versions[side];
	enum diff_side other = other_side(side);
	struct inside_dump *dump = d->backups[other].dump;
	uint32_t number = 0;
	int r = inside_find_table(dump, own->schema, own->table, &number), found = r;

	if (r == 0 || r == -ENOTUNIQ)
		r = inside_table(dump, number, &t->versions[other], err);
	else if (r != -ENOENT)
		error_system(err, -r, "the tables of %s cannot be looked up", d->backups[other].path);
	return r < 0 ? r : found;
}

int diff_look(struct diff *d, enum diff_side side, uint32_t number, struct diff_looked *ret,
              struct error *err)
{
	_cleanup(diff_looked) struct diff_looked t = {0};
	struct inside_table *own = &t.versions[side];
	uint32_t first = number;
	bool is_several;
	int r = inside_table(d->backups[side].dump, number, own, err), found;

	if (r < 0)
		return r;
	is_several = inside_find_table(d->backups[side].dump, own->schema, own->table, &first) == -ENOTUNIQ;
	if (is_several && first != number)
		return -ENOENT;
	found = find_other_version(d, side, &t, err);
	if (found < 0 && found != -ENOENT && found != -ENOTUNIQ)
		return found;
	if (is_several || found == -ENOTUNIQ)
		refuse_double(d, is_several ? side : other_side(side), own->schema, own->table, err);
	is_several = is_several || found == -ENOTUNIQ;
	*ret = t;
	describe_looked(d, side, found != -ENOENT, is_several, ret);
	t = (struct diff_looked){0};
	return is_several ? DIFF_SEVERAL : 0;
}
