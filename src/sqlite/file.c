// SPDX-License-Identifier: Apache-2.0
/*
 * Nobody reads the file before it is whole, so there is no journal, and nothing is flushed to the disk. Indexes are made before the rows come: made afterwards, they
 * would be sorted in temporary files, of which nobody could say how large they become.
 */
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/sqlite.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGE_BYTES  4096
#define SPARE_BYTES (UINT64_C(1) << 20) /* that a disk has no more when it is full */

struct sqlite_file {
	struct sqlite_file_options options;
	int fd;
	sqlite3 *db;
	sqlite3_stmt *insert; /* of the present table */
	size_t columns;       /* of it */
	char *table;          /* its name, for messages */
};

/* What went wrong. */

/* SQLite says the same of both. */
static bool is_disk_full(const struct sqlite_file *f)
{
	struct statvfs st;

	return fstatvfs(f->fd, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < SPARE_BYTES;
}

static int fail_full(const struct sqlite_file *f, struct error *err)
{
	char max[32];

	if (!is_disk_full(f))
		return error_set(
		        err, ERROR_NO_SPACE, ENOSPC,
		        "the database of SQLite would become larger than %s allows (%s): allow more, or choose another format",
		        f->options.limit,
		        str_format_bytes(max, sizeof(max), (unsigned long long)f->options.max_bytes));
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "there is no room in %s for a database of SQLite: make some, or choose another format",
	        f->options.directory);
}

static int fail_sqlite(const struct sqlite_file *f, int status, struct error *err)
{
	int errnum = sqlite3_system_errno(f->db);

	switch (status & 0xff) {
	case SQLITE_FULL:
		return fail_full(f, err);
	case SQLITE_TOOBIG:
		return error_set(
		        err, ERROR_USAGE, E2BIG,
		        "%s has a row that is longer than a database of SQLite can hold (1,000,000,000 bytes): choose another format",
		        str_or_empty(f->table));
	case SQLITE_IOERR:
		if (errnum == ENOSPC)
			return fail_full(f, err);
		return error_system(err, errnum != 0 ? errnum : EIO,
		                    "a database of SQLite cannot be written in %s", f->options.directory);
	default:
		return error_set(err, ERROR_INTERNAL, EIO, "a database of SQLite cannot be written: %s%s%s",
		                 f->table ? f->table : "", f->table ? ": " : "", sqlite3_errmsg(f->db));
	}
}

static int run_sqlite(const struct sqlite_file *f, const char *sql, struct error *err)
{
	int status = sqlite3_exec(f->db, sql, NULL, NULL, NULL);

	return status == SQLITE_OK ? 0 : fail_sqlite(f, status, err);
}

/* The file. */

/* SQLite opens files by their names, so it has one until SQLite has opened it. */
static char *name_of_new_file(const char *directory)
{
	static atomic_uint number;

	return mem_printf("%s/sqlite-%ld-%u.tmp", directory, (long)getpid(), atomic_fetch_add(&number, 1));
}

static int open_sqlite(struct sqlite_file *f, const char *path, struct error *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, status;

	f->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0)
		return error_system(err, errno, "%s", path);
	status = sqlite3_open_v2(path, &f->db, flags, NULL);
	unlink(path);
	return status == SQLITE_OK ? 0 : fail_sqlite(f, status, err);
}

static int set_up_sqlite_file(struct sqlite_file *f, struct error *err)
{
	static const char fixed[] =
	        "PRAGMA encoding = 'UTF-8'; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
	        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;";
	_cleanup(free) char *sql = mem_printf(
	        "PRAGMA page_size = %d; PRAGMA cache_size = -%zu; PRAGMA max_page_count = %" PRIu64
	        "; %s BEGIN",
	        PAGE_BYTES, SQLITE_FILE_CACHE_BYTES / 1024, f->options.max_bytes / PAGE_BYTES, fixed);

	return run_sqlite(f, sql, err);
}

int sqlite_file_new(const struct sqlite_file_options *options, struct sqlite_file **ret, struct error *err)
{
	_cleanup(free) char *path = name_of_new_file(options->directory);
	_cleanup(sqlite_file) struct sqlite_file *f = mem_alloc(sizeof(*f));
	int r;

	f->options = *options;
	r = open_sqlite(f, path, err);
	if (r == 0)
		r = set_up_sqlite_file(f, err);
	if (r == 0)
		*ret = take_ptr(&f);
	return r;
}

struct sqlite_file *sqlite_file_free(struct sqlite_file *f)
{
	if (!f)
		return NULL;
	sqlite3_finalize(f->insert);
	sqlite3_close(f->db);
	if (f->fd >= 0)
		close(f->fd);
	free(f->table);
	free(f);
	return NULL;
}

/* Tables. */

static const char *sqlite_type_name(enum sqlite_file_type type)
{
	switch (type) {
	case SQLITE_FILE_INTEGER:
		return "INTEGER";
	case SQLITE_FILE_REAL:
		return "REAL";
	case SQLITE_FILE_BLOB:
		return "BLOB";
	default:
		return "TEXT";
	}
}

static void append_sqlite_key_columns(struct str *sql, const struct sqlite_file_table *table,
                                      const struct sqlite_file_columns *columns)
{
	str_append(sql, " (");
	for (size_t i = 0; i < columns->count; i++) {
		str_append(sql, i > 0 ? ", " : "");
		sql_append_name(sql, table->columns[columns->places[i]].name);
	}
	str_append_char(sql, ')');
}

/* A key that is one INTEGER is the number of the row itself, and needs no index. */
static bool is_row_number(const struct sqlite_file_table *table)
{
	return table->primary_key.count == 1 &&
	       table->columns[table->primary_key.places[0]].type == SQLITE_FILE_INTEGER;
}

static void append_sqlite_column(struct str *sql, const struct sqlite_file_table *table, size_t column)
{
	const struct sqlite_file_column *c = &table->columns[column];

	sql_append_name(sql, c->name);
	str_appendf(sql, " %s", sqlite_type_name(c->type));
	if (is_row_number(table) && table->primary_key.places[0] == column)
		str_append(sql, " PRIMARY KEY");
	if (c->not_null)
		str_append(sql, " NOT NULL");
}

static void append_sqlite_keys(struct str *sql, const struct sqlite_file_table *table)
{
	if (table->primary_key.count > 0 && !is_row_number(table)) {
		str_append(sql, ",\n  PRIMARY KEY");
		append_sqlite_key_columns(sql, table, &table->primary_key);
	}
	for (size_t i = 0; i < table->unique_count; i++) {
		str_append(sql, ",\n  UNIQUE");
		append_sqlite_key_columns(sql, table, &table->uniques[i]);
	}
	for (size_t i = 0; i < table->key_count; i++) {
		str_append(sql, ",\n  FOREIGN KEY");
		append_sqlite_key_columns(sql, table, &table->keys[i].columns);
		str_append(sql, " REFERENCES ");
		sql_append_name(sql, table->keys[i].table);
		for (size_t c = 0; c < table->keys[i].columns.count; c++) {
			str_append(sql, c > 0 ? ", " : " (");
			sql_append_name(sql, table->keys[i].references[c]);
		}
		str_append_char(sql, ')');
	}
}

static void append_sqlite_indexes(struct str *sql, const struct sqlite_file_table *table)
{
	for (size_t i = 0; i < table->key_count; i++) {
		_cleanup(free) char *name = mem_printf("%s..%zu", table->name, i + 1);

		str_append(sql, ";\nCREATE INDEX ");
		sql_append_name(sql, name);
		str_append(sql, " ON ");
		sql_append_name(sql, table->name);
		append_sqlite_key_columns(sql, table, &table->keys[i].columns);
	}
}

static int create_sqlite_table(struct sqlite_file *f, const struct sqlite_file_table *table,
                               struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "CREATE TABLE ");
	sql_append_name(&sql, table->name);
	for (size_t i = 0; i < table->column_count; i++) {
		str_append(&sql, i > 0 ? ",\n  " : " (\n  ");
		append_sqlite_column(&sql, table, i);
	}
	append_sqlite_keys(&sql, table);
	str_append(&sql, "\n)");
	append_sqlite_indexes(&sql, table);
	return run_sqlite(f, str_text(&sql), err);
}

static int prepare_insert(struct sqlite_file *f, const struct sqlite_file_table *table, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int status;

	str_append(&sql, "INSERT INTO ");
	sql_append_name(&sql, table->name);
	for (size_t i = 0; i < table->column_count; i++)
		str_append(&sql, i > 0 ? ", ?" : " VALUES (?");
	str_append_char(&sql, ')');
	status = sqlite3_prepare_v2(f->db, sql.data, (int)sql.len, &f->insert, NULL);
	return status == SQLITE_OK ? 0 : fail_sqlite(f, status, err);
}

int sqlite_file_table(struct sqlite_file *f, const struct sqlite_file_table *table, struct error *err)
{
	int r;

	sqlite3_finalize(f->insert);
	f->insert = NULL;
	free(f->table);
	f->table = mem_strdup(table->name);
	f->columns = table->column_count;
	r = create_sqlite_table(f, table, err);
	return r == 0 ? prepare_insert(f, table, err) : r;
}

/* Rows. */

static int bind_sqlite_value(sqlite3_stmt *statement, int place, const struct sqlite_file_value *v)
{
	/* Of no bytes a pointer all the same: NULL would be NULL. */
	const void *data = v->data ? v->data : "";

	switch (v->type) {
	case SQLITE_FILE_INTEGER:
		return sqlite3_bind_int64(statement, place, v->integer);
	case SQLITE_FILE_REAL:
		return sqlite3_bind_double(statement, place, v->real);
	case SQLITE_FILE_TEXT:
		return sqlite3_bind_text64(statement, place, data, v->len, SQLITE_STATIC, SQLITE_UTF8);
	case SQLITE_FILE_BLOB:
		return sqlite3_bind_blob64(statement, place, data, v->len, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(statement, place);
	}
}

int sqlite_file_row(struct sqlite_file *f, const struct sqlite_file_value *values, struct error *err)
{
	int status = SQLITE_OK, reset;

	for (size_t i = 0; status == SQLITE_OK && i < f->columns; i++)
		status = bind_sqlite_value(f->insert, (int)i + 1, &values[i]);
	if (status == SQLITE_OK)
		status = sqlite3_step(f->insert);
	if (status != SQLITE_DONE)
		return fail_sqlite(f, status, err);
	reset = sqlite3_reset(f->insert);
	return reset == SQLITE_OK ? 0 : fail_sqlite(f, reset, err);
}

/* The end. */

static int check_sqlite(struct sqlite_file *f, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int status = sqlite3_prepare_v2(f->db, "PRAGMA quick_check(1)", -1, &statement, NULL), r = 0;

	if (status == SQLITE_OK)
		status = sqlite3_step(statement);
	if (status != SQLITE_ROW)
		r = fail_sqlite(f, status, err);
	else if (!str_equal((const char *)sqlite3_column_text(statement, 0), "ok"))
		r = error_set(err, ERROR_CORRUPT, EBADMSG,
		              "the database of SQLite that was made is damaged: %s",
		              (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return r;
}

int sqlite_file_end(struct sqlite_file *f, uint64_t *ret_bytes, struct error *err)
{
	struct stat st;
	int r;

	sqlite3_finalize(f->insert);
	f->insert = NULL;
	r = run_sqlite(f, "COMMIT", err);
	if (r == 0)
		r = check_sqlite(f, err);
	if (r < 0)
		return r;
	sqlite3_close(f->db);
	f->db = NULL;
	if (fstat(f->fd, &st) < 0)
		return error_system(err, errno, "a database of SQLite in %s", f->options.directory);
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

ssize_t sqlite_file_read(const struct sqlite_file *f, void *buf, size_t len, uint64_t offset)
{
	ssize_t n = pread(f->fd, buf, len, (off_t)offset);

	return n < 0 ? -errno : n;
}
