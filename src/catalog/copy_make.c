// SPDX-License-Identifier: Apache-2.0
/*
 * A copy is written by a connection to the new file, to which the catalog is attached: all that is read of it is read in one
 * transaction, so it is as it was at one moment, and WAL lets others write meanwhile. Tables are found by the schema, so
 * that one that a migration adds is copied without anybody's doing; what is not copied is named here. Indexes and
 * triggers come last: what a trigger counts was counted already.
 */
#include "access.h"
#include "catalog_private.h"

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>
#include <keepfs/catalog/copy.h>

#define PAGE_BYTES      4096
#define INTERRUPT_STEPS 10000 /* of SQLite's virtual machine, between two looks at the cancel token */

static const char advice[] = "move it away, or name another [keepfs] state_dir";

/* Made anew from the manifests, or about this one file. Of directories only the roots are kept. And what is told to people:
 * whoever gets a copy back weeks later must not be told what happened then. */
static const char *const left_out[] = {
        "object",        "artifact",
        "artifact_file", "artifact_object",
        "total",         "bound_store",
        "copy",          "copied",
        "notice",        "notice_receiver",
        "notice_told",   "notice_beat",
        "notice_look",   "trash",
        "removal",       "notice_restore",
        "inside_dump",   "inside_size",
        "history_table", "history_count",
        "chain",         "chain_link",
        "chain_key",     "chain_unsigned",
        "copy_tree",     "copy_about",
        "known_fence",   "manifest_seen",
        "artifact_part", "need",
        "copy_need",     "wal_segment",
        "wal_cluster",   "base",
        "wal_place",     "wal_point",
        "wal_history",   "wal_pin",
        "wal_timeline",  "wal_copy",
        "wal_left",
};

static bool is_left_out(const char *table)
{
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		if (str_equal(table, left_out[i]))
			return true;
	return false;
}

struct schema_texts { /* of the catalog, in the order in which they were made */
	char **tables, **others;
	char **names; /* of the tables */
	size_t table_count, other_count;
};

static void schema_texts_finish(struct schema_texts *t)
{
	for (size_t i = 0; i < t->table_count; i++) {
		free(t->tables[i]);
		free(t->names[i]);
	}
	for (size_t i = 0; i < t->other_count; i++)
		free(t->others[i]);
	free(t->tables);
	free(t->names);
	free(t->others);
}

static void cleanup_schema_texts(struct schema_texts *t)
{
	schema_texts_finish(t);
}

static void take_schema_text(struct schema_texts *t, bool is_table, char *name, char *sql)
{
	if (!is_table) {
		free(name);
		t->others = mem_resize(t->others, t->other_count + 1, sizeof(*t->others));
		t->others[t->other_count++] = sql;
		return;
	}
	t->tables = mem_resize(t->tables, t->table_count + 1, sizeof(*t->tables));
	t->names = mem_resize(t->names, t->table_count + 1, sizeof(*t->names));
	t->names[t->table_count] = name;
	t->tables[t->table_count++] = sql;
}

static int read_schema(struct connection *c, struct schema_texts *ret)
{
	static const char sql[] = "SELECT type = 'table', name, sql FROM source.sqlite_schema"
	                          " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
	                          " ORDER BY rowid";
	_cleanup(query) struct query query = query_within(c, sql, NULL, 0);

	while (query_next(&query))
		take_schema_text(ret, sqlite3_column_int(query.row, 0), column_string(query.row, 1),
		                 column_string(query.row, 2));
	return query.result;
}

static int run_scripts(struct connection *c, char *const *scripts, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_script(c, scripts[i]);
	return r;
}

/* Generated columns cannot be written; table_info() does not tell of them. */
static int copy_table(struct connection *c, const char *table)
{
	static const char columns_sql[] =
	        "SELECT group_concat(printf('\"%w\"', name)) FROM pragma_table_info(?1, 'source')";
	_cleanup(str) struct str script = {0};
	_cleanup(query) struct query query = query_within(c, columns_sql, VALUES(text_value(table)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	str_appendf(&script, "INSERT INTO main.\"%s\" (%s) SELECT %s FROM source.\"%s\"", table,
	            column_borrowed(query.row, 0), column_borrowed(query.row, 0), table);
	return db_script(c, str_text(&script));
}

static int copy_tables(struct connection *c, const struct schema_texts *texts)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < texts->table_count; i++)
		if (!is_left_out(texts->names[i]))
			r = copy_table(c, texts->names[i]);
	return r;
}

static int mark_as_copy(struct connection *c)
{
	static const char directories_sql[] = "DELETE FROM main.directory WHERE parent_ino IS NOT NULL";
	static const char counts_sql[] =
	        "UPDATE main.directory SET mtime_us = 0, subdirectories = 0, files = 0, sums_bytes = 0";
	static const char copied_sql[] = "INSERT INTO main.copied (one, store_url, keepfs_version)"
	                                 " SELECT 1, url, ?1 FROM source.bound_store";
	int r = db_run(c, directories_sql, NULL, 0);

	if (r == 0)
		r = db_run(c, counts_sql, NULL, 0);
	return r < 0 ? r : db_run(c, copied_sql, VALUES(text_value(KEEPFS_VERSION)));
}

static int copy_format(struct connection *c)
{
	static const char version_sql[] = "PRAGMA source.user_version";
	_cleanup(str) struct str script = {0};
	int64_t version = 0;
	int r = db_number(c, &version, version_sql, NULL, 0);

	str_appendf(&script, "PRAGMA main.application_id = %d; PRAGMA main.user_version = %" PRId64,
	            SCHEMA_APPLICATION_ID, version);
	return r < 0 ? r : db_script(c, str_text(&script));
}

static int copy_all(struct connection *c)
{
	static const char begin_sql[] = "BEGIN", commit_sql[] = "COMMIT";
	_cleanup(schema_texts) struct schema_texts texts = {0};
	int r = db_run(c, begin_sql, NULL, 0);

	if (r == 0)
		r = read_schema(c, &texts);
	if (r == 0)
		r = run_scripts(c, texts.tables, texts.table_count);
	if (r == 0)
		r = copy_tables(c, &texts);
	if (r == 0)
		r = known_copy(c);
	if (r == 0)
		r = mark_as_copy(c);
	if (r == 0)
		r = run_scripts(c, texts.others, texts.other_count);
	if (r == 0)
		r = copy_format(c);
	return r < 0 ? r : db_run(c, commit_sql, NULL, 0);
}

static int ask_whether_cancelled(void *arg)
{
	return cancel_is_set(arg);
}

/* Who writes backups needs the rest of the disk: the copy gets half of what is free. */
static int64_t pages_allowed(const struct catalog *catalog)
{
	struct statvfs fs;

	if (statvfs(catalog->directory, &fs) < 0)
		return INT32_MAX;
	return (int64_t)((uint64_t)fs.f_bavail * fs.f_frsize / 2 / PAGE_BYTES) + 1;
}

/* What a crash leaves of it is removed at the next start, so it needs no journal, and no sync. */
static int set_up_copy(struct connection *c)
{
	static const char attach_sql[] = "ATTACH ?1 AS source";
	_cleanup(str) struct str script = {0};
	int64_t pages = pages_allowed(c->catalog);
	int r;

	str_appendf(
	        &script,
	        "PRAGMA main.page_size = %d; PRAGMA main.journal_mode = OFF; PRAGMA main.synchronous = OFF;"
	        "PRAGMA main.cache_size = -4096; PRAGMA temp_store = MEMORY;"
	        "PRAGMA main.max_page_count = %" PRId64,
	        PAGE_BYTES, pages < INT32_MAX ? pages : INT32_MAX);
	r = db_script(c, str_text(&script));
	return r < 0 ? r : db_run(c, attach_sql, VALUES(text_value(c->catalog->file)));
}

static int write_copy(struct catalog *catalog, const char *file, struct cancel *cancel, struct error *err)
{
	struct connection *c = NULL;
	int r = connection_open_file(catalog, file, &c, err);

	if (r < 0)
		return r;
	sqlite3_progress_handler(c->db, INTERRUPT_STEPS, ask_whether_cancelled, cancel);
	r = set_up_copy(c);
	if (r == 0)
		r = copy_all(c);
	if (r < 0 && cancel_is_set(cancel))
		r = error_set(err, ERROR_CANCELLED, ECANCELED, "the copy of the catalog was given up");
	else if (r < 0 && err)
		*err = c->error;
	connection_free(c);
	return r;
}

int catalog_copy_make(struct catalog *c, struct cancel *cancel, int *ret_fd, struct error *err)
{
	_cleanup(fd) int dir_fd = catalog_directory_open(c->directory, err), fd = -1;
	_cleanup(free) char *file = mem_printf("%s/" COPY_FILE_NAME, c->directory);
	int r;

	if (dir_fd < 0)
		return dir_fd;
	catalog_copy_clean(c->directory);
	fd = own_file_open(dir_fd, c->directory, COPY_FILE_NAME, O_RDWR | O_CREAT, advice, err);
	if (fd < 0)
		return fd;
	/* It is still open, and empty: SQLite makes a database of it. */
	r = write_copy(c, file, cancel, err);
	catalog_copy_clean(c->directory);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}
