// SPDX-License-Identifier: Apache-2.0
/* The types of columns come from the SQL of the dump, which is read first; then the tables pass by one by one. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/attach_sql.h>
#include <keepfs/inside/attach.h>

#include <errno.h>
#include <stdlib.h>

#define SCHEMA_PIECE_BYTES 16384

static int feed_spool(struct attach_sql *a, const struct spool *schema, struct error *err)
{
	_cleanup(free) char *piece = mem_alloc(SCHEMA_PIECE_BYTES);
	uint64_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = spool_read(schema, piece, SCHEMA_PIECE_BYTES, at)) != 0) {
		if (n < 0)
			return error_system(err, (int)-n, "the schema of the dump cannot be read again");
		r = attach_sql_feed(a, piece, (size_t)n, err);
		at += (uint64_t)n;
	}
	return r < 0 ? r : 0;
}

/* Without a pg_restore the rows can be read all the same. */
static int feed_schema_of(struct inside_dump *d, const struct inside_attach *options, struct attach_sql *a,
                          struct cancel *cancel, struct error *err)
{
	_cleanup(spool) struct spool *schema = spool_new(options->state_dir);
	int r = inside_write_schema(d, cancel, schema, err);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : feed_spool(a, schema, err);
}

static int write_attached_table(struct inside_dump *d, uint32_t number, const struct inside_attach *options,
                                struct attach_sql *a, struct error *err)
{
	_cleanup(inside_table) struct inside_table t = {0};
	_cleanup(str) struct str path = {0};
	struct attach_sql_table one;
	uint32_t first = number;
	int r = inside_table(d, number, &t, err);

	if (r < 0)
		return r;
	options->path(options->arg, &t, &path);
	/* SQL of other makers may have the rows of a table in several places. */
	(void)inside_find_table(d, t.schema, t.table, &first);
	one = (struct attach_sql_table){
	        .schema = t.schema,
	        .table = t.table,
	        .columns = t.columns,
	        .path = str_text(&path),
	        .again = first == number ? 0 : number,
	};
	return attach_sql_table(a, &one, err);
}

int inside_write_attach(struct inside_dump *d, const struct inside_attach *options, struct cancel *cancel,
                        struct spool *out, struct error *err)
{
	const struct attach_sql_backup backup = {.name = options->backup, .encoding = inside_encoding(d)};
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new(options->state_dir);
	int r = feed_schema_of(d, options, a, cancel, err);

	if (r == 0)
		r = attach_sql_begin(a, &backup, out, err);
	for (uint32_t number = 1; r == 0 && number <= inside_tables(d); number++)
		r = write_attached_table(d, number, options, a, err);
	return r < 0 ? r : attach_sql_end(a, err);
}
