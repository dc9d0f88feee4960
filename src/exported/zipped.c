// SPDX-License-Identifier: Apache-2.0
/*
 * ndjson and csv: a ZIP archive with a file for each table, and schema.json, which says what they are and comes last. So the archive is gone through twice when it is
 * opened: for schema.json, and for all rows.
 */
#include "exported.h"

#include "rows_csv.h"
#include "rows_json.h"

#include <keepfs/base/mem.h>
#include <keepfs/files/unzip.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_NAME "schema.json"
#define README_NAME "README.txt"
#define PIECE_BYTES ((size_t)64 << 10)

struct zipped_reading {
	char **files; /* of each table */
	bool *found;
	struct unzip *unzip;
	struct bytes entry; /* the present one */
	struct json_rows *json;
	struct csv_rows *csv;
	struct str piece;
	size_t table; /* whose rows are read; SIZE_MAX: none */
	size_t next;  /* place behind the last table of which the archive was seen */
	bool at_end;  /* of the rows of the present table */
};

static struct zipped_reading *reading_of_entry(struct bytes *b)
{
	return (struct zipped_reading *)((char *)b - offsetof(struct zipped_reading, entry));
}

static ssize_t read_zip_entry(struct bytes *b, void *buf, size_t len, struct error *err)
{
	return unzip_read(reading_of_entry(b)->unzip, buf, len, err);
}

/* What it says of itself. */

static int find_zip_entry(struct zipped_reading *z, const char *wanted, struct error *err)
{
	const char *name;
	int r;

	while ((r = unzip_next(z->unzip, &name, err)) > 0)
		if (strcmp(name, wanted) == 0)
			return 0;
	return r < 0 ? r : error_set(err, ERROR_CORRUPT, EBADMSG, "the archive has no %s", wanted);
}

static int begin_zip_pass(struct exported *e, struct zipped_reading *z, struct error *err)
{
	z->unzip = unzip_free(z->unzip);
	z->next = 0;
	return unzip_new(e->fd, e->cancel, &z->unzip, err);
}

static int read_zip_schema(struct exported *e, struct zipped_reading *z, struct error *err)
{
	_cleanup(json_rows) struct json_rows *rows = json_rows_new(&(struct json_rows_order){
	        .what = JSON_ROWS_DESCRIPTION,
	        .head = &e->head,
	        .batch = &e->batch,
	        .place_key = "file",
	        .places = &z->files,
	});
	int r = begin_zip_pass(e, z, err);

	if (r == 0)
		r = find_zip_entry(z, SCHEMA_NAME, err);
	if (r < 0)
		return r;
	do
		r = json_rows_pull(rows, &z->entry, &z->piece, err);
	while (r > 0);
	if (r < 0 && r != -ECANCELED)
		error_prefix(err, SCHEMA_NAME);
	return r;
}

static int tell_zip_format(struct exported *e, const struct zipped_reading *z, struct error *err)
{
	const char *suffix = NULL;

	for (size_t i = 0; i < e->head.table_count; i++) {
		const char *file = z->files[i];

		if (suffix ? !str_ends(file, suffix) : !str_ends(file, ".csv") && !str_ends(file, ".ndjson"))
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 SCHEMA_NAME " names %s, which is no file of %s", file,
			                 suffix ? suffix : "ndjson or csv");
		if (!suffix)
			suffix = str_ends(file, ".csv") ? ".csv" : ".ndjson";
	}
	e->head.format = suffix && strcmp(suffix, ".csv") == 0 ? EXPORTED_CSV : EXPORTED_NDJSON;
	return 0;
}

/* Rows of one table. */

static void end_zip_rows(struct zipped_reading *z)
{
	z->json = json_rows_free(z->json);
	z->csv = csv_rows_free(z->csv);
	z->table = SIZE_MAX;
}

static void begin_zip_rows(struct exported *e, struct zipped_reading *z, size_t table)
{
	end_zip_rows(z);
	row_batch_reset(&e->batch);
	z->table = table;
	z->next = table + 1;
	z->at_end = false;
	if (e->head.format == EXPORTED_CSV)
		z->csv = csv_rows_new(&e->head, table, &e->batch);
	else
		z->json = json_rows_new(&(struct json_rows_order){
		        .what = JSON_ROWS_LINES, .head = &e->head, .batch = &e->batch, .table = table});
}

static int pull_csv(struct zipped_reading *z, struct error *err)
{
	char buf[PIECE_BYTES];
	ssize_t n = unzip_read(z->unzip, buf, sizeof(buf), err);

	if (n <= 0)
		return n < 0 ? (int)n : csv_rows_end(z->csv, err);
	n = csv_rows_feed(z->csv, buf, (size_t)n, err);
	return n < 0 ? (int)n : 1;
}

/* More of them into the batch: 1; 0: that were all, and they are as many as they should be. */
static int pull_zip_rows(struct exported *e, struct zipped_reading *z, struct error *err)
{
	const struct exported_table *t = &e->head.tables[z->table];
	uint64_t rows;
	int r = z->csv ? pull_csv(z, err) : json_rows_pull(z->json, &z->entry, &z->piece, err);

	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "%s", z->files[z->table]);
	if (r != 0)
		return r;
	z->at_end = true;
	rows = z->csv ? csv_rows_count(z->csv) : json_rows_count(z->json);
	if (rows == t->rows)
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s has %" PRIu64 " rows, and \"row_count\" of " SCHEMA_NAME " says %" PRIu64,
	                 z->files[z->table], rows, t->rows);
}

static int check_zip_rows(struct exported *e, struct zipped_reading *z, size_t table, struct error *err)
{
	int r = 1;

	begin_zip_rows(e, z, table);
	while (r > 0) {
		r = pull_zip_rows(e, z, err);
		row_batch_clear(&e->batch);
	}
	return r;
}

/* Opening. */

/* Mostly the next one. */
static ssize_t table_of_file(const struct exported *e, const struct zipped_reading *z, const char *name)
{
	for (size_t i = 0; i < e->head.table_count; i++) {
		size_t table = (z->next + i) % e->head.table_count;

		if (strcmp(z->files[table], name) == 0)
			return (ssize_t)table;
	}
	return -1;
}

static int check_zip_entry(struct exported *e, struct zipped_reading *z, const char *name, struct error *err)
{
	ssize_t table = table_of_file(e, z, name);

	if (table < 0) {
		if (strcmp(name, SCHEMA_NAME) != 0 && strcmp(name, README_NAME) != 0 &&
		    e->head.remark_count < 10)
			exported_remark(&e->head, "the archive has %s, which " SCHEMA_NAME " does not name",
			                name);
		return 0;
	}
	if (z->found[table])
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the archive has %s twice", name);
	z->found[table] = true;
	return check_zip_rows(e, z, (size_t)table, err);
}

static int check_zip_entries(struct exported *e, struct zipped_reading *z, struct error *err)
{
	const char *name;
	int r = begin_zip_pass(e, z, err);

	z->found = mem_array(e->head.table_count + 1, sizeof(*z->found));
	if (r == 0)
		while ((r = unzip_next(z->unzip, &name, err)) > 0 &&
		       (r = check_zip_entry(e, z, name, err)) == 0)
			;
	for (size_t i = 0; r == 0 && i < e->head.table_count; i++)
		if (!z->found[i])
			r = error_set(err, ERROR_CORRUPT, EBADMSG,
			              "the archive has no %s, which " SCHEMA_NAME " names", z->files[i]);
	end_zip_rows(z);
	return r;
}

static int open_zipped(struct exported *e, struct error *err)
{
	struct zipped_reading *z = e->reading = mem_alloc(sizeof(*z));
	int r;

	z->entry.read = read_zip_entry;
	z->table = SIZE_MAX;
	r = read_zip_schema(e, z, err);
	if (r == 0)
		r = tell_zip_format(e, z, err);
	if (r == 0)
		r = check_zip_entries(e, z, err);
	z->unzip = unzip_free(z->unzip);
	return r;
}

/* Rows. */

static int begin_zipped_table(struct exported *e, size_t table, struct error *err)
{
	struct zipped_reading *z = e->reading;
	int r = 0;

	if (!z->unzip || table < z->next)
		r = begin_zip_pass(e, z, err);
	if (r == 0)
		r = find_zip_entry(z, z->files[table], err);
	/* Others may have packed the files in another order. */
	if (r == -EBADMSG && z->next > 0) {
		r = begin_zip_pass(e, z, err);
		if (r == 0)
			r = find_zip_entry(z, z->files[table], err);
	}
	if (r == 0)
		begin_zip_rows(e, z, table);
	return r;
}

static int give_zipped_row(struct exported *e, const struct exported_value **ret, struct error *err)
{
	struct zipped_reading *z = e->reading;

	while (!row_batch_first(&e->batch)) {
		int r;

		if (z->table == SIZE_MAX || z->at_end)
			return 0;
		row_batch_clear(&e->batch);
		r = pull_zip_rows(e, z, err);
		if (r < 0)
			return r;
	}
	*ret = row_batch_take(&e->batch);
	return 1;
}

static void close_zipped(struct exported *e)
{
	struct zipped_reading *z = e->reading;

	if (!z)
		return;
	end_zip_rows(z);
	unzip_free(z->unzip);
	for (size_t i = 0; z->files && z->files[i]; i++)
		free(z->files[i]);
	free(z->files);
	free(z->found);
	str_finish(&z->piece);
	free(z);
}

const struct exported_reader exported_reader_zipped = {
        .open = open_zipped,
        .begin = begin_zipped_table,
        .row = give_zipped_row,
        .close = close_zipped,
};
