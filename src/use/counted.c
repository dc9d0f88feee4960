// SPDX-License-Identifier: Apache-2.0
#include <keepfs/use/counted.h>

#include <keepfs/inside/backup.h>
#include "table_names.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/tables_csv.h>

#include <errno.h>

struct counted_line {
	char *name; /* heap; NULL: none yet */
	struct rows rows;
	bool has_hash;
};

struct use_counting {
	const char *table;
	struct tables_csv *csv;
	struct table_names names;
	uint32_t lines;
	struct counted_line exact, in_schema; /* of that name; of the first schema that has one called so */
};

/* Large objects may have several lines. */
static void add_counted_line(struct counted_line *to, const char *name, const struct tables_csv_line *line)
{
	if (!to->name)
		to->name = mem_strdup(name);
	if (!str_equal(to->name, name))
		return;
	to->has_hash = line->has_hash;
	to->rows.count += line->rows.count;
	to->rows.bytes += line->rows.bytes;
	to->rows.hash += line->rows.hash;
}

static int take_counted_line(void *arg, const struct tables_csv_line *line, struct error *err)
{
	struct use_counting *c = arg;
	_cleanup(free) char *name = mem_printf("%s.%s", line->schema, line->table);

	table_names_add(&c->names, ++c->lines, line->schema, line->table);
	if (str_equal(name, c->table))
		add_counted_line(&c->exact, name, line);
	else if (str_equal(line->table, c->table))
		add_counted_line(&c->in_schema, name, line);
	return 0;
}

struct use_counting *use_counting_new(const char *table)
{
	struct use_counting *c = mem_alloc(sizeof(*c));

	c->table = table;
	c->names.word = table;
	c->csv = tables_csv_new(take_counted_line, c);
	return c;
}

int use_counting_feed(struct use_counting *c, const void *data, size_t len, struct error *err)
{
	return tables_csv_feed(c->csv, data, len, err);
}

int use_counting_end(struct use_counting *c, struct use_counted *ret, struct error *err)
{
	const struct counted_line *line = c->exact.name ? &c->exact : &c->in_schema;
	uint32_t number;
	int r = tables_csv_end(c->csv, err);

	if (r < 0)
		return r;
	if (!c->exact.name && c->names.schemas > 1)
		return table_names_choose(&c->names, &number, err);
	*ret = (struct use_counted){.is_there = line->name != NULL,
	                            .name = line->name,
	                            .rows = line->rows,
	                            .has_hash = line->has_hash,
	                            .nearest = line->name ? NULL : c->names.nearest};
	return 0;
}

struct use_counting *use_counting_free(struct use_counting *c)
{
	if (!c)
		return NULL;
	tables_csv_free(c->csv);
	table_names_finish(&c->names);
	free(c->exact.name);
	free(c->in_schema.name);
	free(c);
	return NULL;
}

static int feed_counted_text(void *arg, const void *data, size_t len, struct error *err)
{
	return use_counting_feed(arg, data, len, err);
}

int use_counting_read(struct use_counting *c, const struct make_context *ctx, const char *path,
                      struct cancel *cancel, struct error *err)
{
	_cleanup(backup) struct backup b = {.ctx = ctx, .cancel = cancel};
	const struct backup_out out = {.write = feed_counted_text, .arg = c};
	struct catalog_entry entry, file;
	int r = words_find_backup(ctx->repository->catalog, path, &entry);

	if (r == 0)
		r = backup_open(&b, entry.ino, err);
	if (r == 0)
		r = backup_find(&b, "tables.csv", &file);
	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s has no .tables.csv", path);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return backup_read(&b, &file, &out, err);
}
