// SPDX-License-Identifier: Apache-2.0
/*
 * A VFS of our own gives SQLite the one file, by its descriptor, and no other: so no name is looked up, and what lies beside it (a journal, a log) is never
 * taken for a part of it.
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/sqlite/foreign.h>

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VFS_NAME     "keepfs-foreign"
#define STEPS_A_LOOK 1000
#define CACHE_KIB    "-2048"
#define SCHEMA_MAX   1000000 /* bytes of a statement of its schema */

struct sqlite_foreign {
	sqlite3 *db;
	sqlite3_stmt *rows;
	struct cancel *cancel;
	char *table;
};

/* The file. */

struct foreign_file {
	sqlite3_file file;
	int fd;
};

static int foreign_close(sqlite3_file *file)
{
	return SQLITE_OK;
}

static int foreign_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 offset)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < (size_t)len && n != 0) {
		n = pread(((struct foreign_file *)file)->fd, (char *)buf + done, (size_t)len - done,
		          (off_t)offset + (off_t)done);
		if (n < 0 && errno != EINTR)
			return SQLITE_IOERR_READ;
		done += n > 0 ? (size_t)n : 0;
	}
	if (done == (size_t)len)
		return SQLITE_OK;
	memset((char *)buf + done, 0, (size_t)len - done);
	return SQLITE_IOERR_SHORT_READ;
}

static int foreign_write(sqlite3_file *file, const void *buf, int len, sqlite3_int64 offset)
{
	return SQLITE_READONLY;
}

static int foreign_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return SQLITE_READONLY;
}

static int foreign_flags(sqlite3_file *file, int flags)
{
	return SQLITE_OK;
}

static int foreign_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	struct stat st;

	if (fstat(((struct foreign_file *)file)->fd, &st) < 0)
		return SQLITE_IOERR_FSTAT;
	*ret = st.st_size;
	return SQLITE_OK;
}

static int foreign_is_reserved(sqlite3_file *file, int *ret)
{
	*ret = 0;
	return SQLITE_OK;
}

static int foreign_control(sqlite3_file *file, int op, void *arg)
{
	return SQLITE_NOTFOUND;
}

static int foreign_sector(sqlite3_file *file)
{
	return 4096;
}

static int foreign_characteristics(sqlite3_file *file)
{
	return SQLITE_IOCAP_IMMUTABLE;
}

static const sqlite3_io_methods foreign_methods = {
        .iVersion = 1,
        .xClose = foreign_close,
        .xRead = foreign_read,
        .xWrite = foreign_write,
        .xTruncate = foreign_truncate,
        .xSync = foreign_flags,
        .xFileSize = foreign_size,
        .xLock = foreign_flags,
        .xUnlock = foreign_flags,
        .xCheckReservedLock = foreign_is_reserved,
        .xFileControl = foreign_control,
        .xSectorSize = foreign_sector,
        .xDeviceCharacteristics = foreign_characteristics,
};

/* Anything but the database itself (a journal, a temporary file) is refused. */
static int foreign_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct foreign_file *f = (struct foreign_file *)file;

	f->file.pMethods = NULL;
	if (!(flags & SQLITE_OPEN_MAIN_DB) || !name)
		return SQLITE_CANTOPEN;
	f->fd = (int)strtol(name, NULL, 10);
	f->file.pMethods = &foreign_methods;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int foreign_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	return SQLITE_IOERR_DELETE;
}

static int foreign_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	*ret = 0;
	return SQLITE_OK;
}

static int foreign_name(sqlite3_vfs *vfs, const char *name, int len, char *ret)
{
	str_copy(ret, (size_t)len, name);
	return SQLITE_OK;
}

static sqlite3_vfs foreign_vfs;

/* Time and chance are those of the system's own. */
static void register_foreign_vfs(void)
{
	const sqlite3_vfs *system = sqlite3_vfs_find(NULL);

	if (!system)
		return;
	foreign_vfs = *system;
	foreign_vfs.szOsFile = sizeof(struct foreign_file);
	foreign_vfs.pNext = NULL;
	foreign_vfs.zName = VFS_NAME;
	foreign_vfs.xOpen = foreign_open;
	foreign_vfs.xDelete = foreign_delete;
	foreign_vfs.xAccess = foreign_access;
	foreign_vfs.xFullPathname = foreign_name;
	foreign_vfs.xDlOpen = NULL;
	foreign_vfs.xDlError = NULL;
	foreign_vfs.xDlSym = NULL;
	foreign_vfs.xDlClose = NULL;
	sqlite3_vfs_register(&foreign_vfs, 0);
}

/* Failures. */

static int refuse_foreign(const struct sqlite_foreign *f, struct error *err)
{
	if (cancel_is_set(f->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (f->table)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the table %s cannot be read: SQLite says \"%s\"", f->table,
		                 sqlite3_errmsg(f->db));
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the database cannot be read: SQLite says \"%s\"",
	                 f->db ? sqlite3_errmsg(f->db) : "out of memory");
}

/* Opening. */

static int allow_reading(void *arg, int action, const char *a, const char *b, const char *database,
                         const char *trigger)
{
	return action == SQLITE_SELECT || action == SQLITE_READ ? SQLITE_OK : SQLITE_DENY;
}

static int is_given_up(void *arg)
{
	return cancel_is_set(((struct sqlite_foreign *)arg)->cancel);
}

static int distrust(struct sqlite_foreign *f, struct error *err)
{
	static const char settings[] =
	        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
	        "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = " CACHE_KIB;

	sqlite3_limit(f->db, SQLITE_LIMIT_SQL_LENGTH, SCHEMA_MAX);
	sqlite3_limit(f->db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_limit(f->db, SQLITE_LIMIT_TRIGGER_DEPTH, 1);
	sqlite3_limit(f->db, SQLITE_LIMIT_EXPR_DEPTH, 100);
	sqlite3_limit(f->db, SQLITE_LIMIT_VDBE_OP, 100000);
	sqlite3_db_config(f->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(f->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(f->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(f->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	sqlite3_progress_handler(f->db, STEPS_A_LOOK, is_given_up, f);
	if (sqlite3_exec(f->db, settings, NULL, NULL, NULL) != SQLITE_OK)
		return refuse_foreign(f, err);
	sqlite3_set_authorizer(f->db, allow_reading, NULL);
	return 0;
}

int sqlite_foreign_new(int fd, struct cancel *cancel, struct sqlite_foreign **ret, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup(sqlite_foreign) struct sqlite_foreign *f = mem_alloc(sizeof(*f));
	_cleanup(free) char *uri = mem_printf("file:%d?immutable=1", fd);
	int r;

	pthread_once(&once, register_foreign_vfs);
	f->cancel = cancel;
	if (sqlite3_open_v2(uri, &f->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
	                    VFS_NAME) != SQLITE_OK)
		return refuse_foreign(f, err);
	r = distrust(f, err);
	if (r == 0)
		*ret = take_ptr(&f);
	return r;
}

struct sqlite_foreign *sqlite_foreign_free(struct sqlite_foreign *f)
{
	if (!f)
		return NULL;
	sqlite3_finalize(f->rows);
	sqlite3_close(f->db);
	free(f->table);
	free(f);
	return NULL;
}

/* Tables. */

/* Has the statement, whose parameter is @name, a row? 1, 0. */
static int has_foreign_row(struct sqlite_foreign *f, const char *sql, const char *name, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int r = sqlite3_prepare_v2(f->db, sql, -1, &statement, NULL);

	if (r == SQLITE_OK)
		sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	if (r == SQLITE_OK)
		r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return r == SQLITE_ROW ? 1 : r == SQLITE_DONE ? 0 : refuse_foreign(f, err);
}

/* One that has rows of its own, and no column that would be computed. */
static int check_foreign_table(struct sqlite_foreign *f, const char *name, struct error *err)
{
	int r = has_foreign_row(
	        f, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = ?1", name,
	        err);

	if (r == 0)
		return error_set(err, ERROR_CORRUPT, ENOENT, "the database has no table %s", name);
	if (r < 0)
		return r;
	/* It is ours, and asks for more than reading. */
	sqlite3_set_authorizer(f->db, NULL, NULL);
	r = has_foreign_row(f, "SELECT 1 FROM pragma_table_xinfo(?1) WHERE hidden > 0", name, err);
	sqlite3_set_authorizer(f->db, allow_reading, NULL);
	if (r > 0)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the table %s has columns that SQLite would compute: nothing of a file is run", name);
	return r;
}

static char *quoted_foreign_name(const char *name)
{
	struct str quoted = {0};

	str_append_char(&quoted, '"');
	for (; *name; name++) {
		if (*name == '"')
			str_append_char(&quoted, '"');
		str_append_char(&quoted, *name);
	}
	str_append_char(&quoted, '"');
	return str_take(&quoted);
}

int sqlite_foreign_table(struct sqlite_foreign *f, const char *name, struct error *err)
{
	_cleanup(free) char *quoted = quoted_foreign_name(name);
	_cleanup(free) char *sql = mem_printf("SELECT * FROM main.%s", quoted);
	int r;

	sqlite3_finalize(f->rows);
	f->rows = NULL;
	mem_replace_string(&f->table, name);
	r = check_foreign_table(f, name, err);
	if (r < 0)
		return r;
	if (sqlite3_prepare_v2(f->db, sql, -1, &f->rows, NULL) == SQLITE_OK)
		return 0;
	return refuse_foreign(f, err);
}

size_t sqlite_foreign_columns(const struct sqlite_foreign *f)
{
	return (size_t)sqlite3_column_count(f->rows);
}

const char *sqlite_foreign_column(const struct sqlite_foreign *f, size_t column)
{
	return str_or_empty(sqlite3_column_name(f->rows, (int)column));
}

int sqlite_foreign_row(struct sqlite_foreign *f, struct error *err)
{
	int r = sqlite3_step(f->rows);

	return r == SQLITE_ROW ? 1 : r == SQLITE_DONE ? 0 : refuse_foreign(f, err);
}

static enum sqlite_file_type type_of_value(int type)
{
	switch (type) {
	case SQLITE_INTEGER:
		return SQLITE_FILE_INTEGER;
	case SQLITE_FLOAT:
		return SQLITE_FILE_REAL;
	case SQLITE_TEXT:
		return SQLITE_FILE_TEXT;
	case SQLITE_BLOB:
		return SQLITE_FILE_BLOB;
	default:
		return SQLITE_FILE_NULL;
	}
}

void sqlite_foreign_value(const struct sqlite_foreign *f, size_t column, struct sqlite_file_value *ret)
{
	int i = (int)column;

	*ret = (struct sqlite_file_value){.type = type_of_value(sqlite3_column_type(f->rows, i))};
	if (ret->type == SQLITE_FILE_INTEGER)
		ret->integer = sqlite3_column_int64(f->rows, i);
	else if (ret->type == SQLITE_FILE_REAL)
		ret->real = sqlite3_column_double(f->rows, i);
	else if (ret->type == SQLITE_FILE_TEXT)
		ret->data = sqlite3_column_text(f->rows, i);
	else if (ret->type == SQLITE_FILE_BLOB)
		ret->data = sqlite3_column_blob(f->rows, i);
	if (ret->type == SQLITE_FILE_TEXT || ret->type == SQLITE_FILE_BLOB)
		ret->len = (size_t)sqlite3_column_bytes(f->rows, i);
	if (!ret->data)
		ret->data = "";
}
