// SPDX-License-Identifier: Apache-2.0
#include <keepfs/use/counted.h>

#include "table_names.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/table_name.h>
#include <keepfs/codec/tables_csv.h>

#include <errno.h>

struct counted_line {
	char *name; /* heap; NULL: none yet */
	struct rows rows;
	bool has_hash;
};

struct use_counting {
	const char *table; /* NULL: @file */
	const char *file;
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

/* The names of files tell all tables apart, as "schema.table" does not. */
static int take_line_of_file(void *arg, const struct tables_csv_line *line, struct error *err)
{
	struct use_counting *c = arg;
	char file[NAME_MAX_BYTES];

	table_name_format(line->schema, line->table, ".tsv", file);
	if (line->has_hash && str_equal(file, c->file))
		add_counted_line(&c->exact, file, line);
	return 0;
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

struct use_counting *use_counting_new_named(const char *file)
{
	struct use_counting *c = mem_alloc(sizeof(*c));

	c->file = file;
	c->csv = tables_csv_new(take_line_of_file, c);
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

static bool is_same_version(const struct use_versions *v, const struct use_counted *found)
{
	if (!v->is_there || !found->is_there)
		return v->is_there == found->is_there;
	return v->rows.count == found->rows.count && v->rows.bytes == found->rows.bytes &&
	       v->has_hash == found->has_hash && v->rows.hash == found->rows.hash;
}

enum use_version use_versions_take(struct use_versions *v, const struct use_counted *found, bool is_partial)
{
	if (!found->is_there && is_partial)
		return USE_VERSION_SILENT;
	if (v->has_begun && is_same_version(v, found))
		return USE_VERSION_SAME;
	*v = (struct use_versions){.has_begun = true,
	                           .is_there = found->is_there,
	                           .has_hash = found->has_hash,
	                           .rows = found->rows};
	return USE_VERSION_OTHER;
}
