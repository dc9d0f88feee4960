// SPDX-License-Identifier: Apache-2.0
/*
 * Opening and closing. A catalog that is damaged, of another program, or of a newer keepfs is refused with
 * the way out: it is an index, and the bucket can make it anew. Its files are the owner's alone, since the
 * history holds what databases said. Two processes may read a catalog, but only the holder of catalog_lock()
 * may be a keepfs that makes backups.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>

#define FILE_MODE      0600
#define DIRECTORY_MODE 0700

static void set_up_sqlite(void)
{
	/* The statistics of its allocator would make every reader wait for one lock. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
}

static const char advice[] =
        "chmod 700 the directory, move the file away, or name another [keepfs] state_dir";

int catalog_directory_open(const char *state_dir, struct error *err)
{
	int r = fd_make_dirs(state_dir, DIRECTORY_MODE);

	if (r < 0)
		return error_system(err, -r, "cannot make the state directory %s", state_dir);
	return own_directory_open(state_dir, "state directory", advice, err);
}

/* SQLite would make the file for all to read; its -wal and -shm files take their mode from this one. */
static int make_file(int dir_fd, const char *state_dir, struct error *err)
{
	_cleanup(fd) int fd = openat(dir_fd, CATALOG_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

	if (fd >= 0)
		return fsync(dir_fd) < 0 ? error_system(err, errno, "cannot sync %s", state_dir) : 0;
	if (errno == EEXIST)
		return own_file_check(dir_fd, state_dir, CATALOG_NAME, advice, err);
	return error_system(err, errno, "cannot make the catalog %s/" CATALOG_NAME, state_dir);
}

/*
 * One process at a time opens a catalog. Whoever is the first to open a new file has to have it alone while
 * SQLite makes it one with a write-ahead log, and for that SQLite does not wait for the others.
 */
static int open_alone(const char *state_dir, struct error *err)
{
	_cleanup(fd) int dir_fd = catalog_directory_open(state_dir, err);

	if (dir_fd < 0)
		return dir_fd;
	while (flock(dir_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return error_system(err, errno, "cannot lock the state directory %s", state_dir);
	return take_fd(&dir_fd);
}

/* SQLite opens its files by their names. */
static int check_catalog_files(int dir_fd, const char *state_dir, struct error *err)
{
	static const char *const beside[] = {CATALOG_NAME "-wal", CATALOG_NAME "-shm"};
	int r = make_file(dir_fd, state_dir, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(beside); i++) {
		r = own_file_check(dir_fd, state_dir, beside[i], advice, err);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static struct catalog *catalog_new(const char *state_dir)
{
	struct catalog *c = mem_alloc(sizeof(*c));

	c->directory = mem_strdup(state_dir);
	c->file = mem_printf("%s/%s", state_dir, CATALOG_NAME);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->listener_lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	return c;
}

static int migrate_freely(struct catalog *c, struct error *err)
{
	int r = schema_migrate(c->writer);

	if (r < 0 && err)
		*err = c->writer->error;
	return r;
}

/* A running keepfs that is older would not know the newer format: whoever changes it has the lock. */
static int migrate_beside(struct catalog *c, struct error *err)
{
	_cleanup(fd) int lock = -1;
	int r;

	if (schema_is_old(c->writer) != 1)
		return migrate_freely(c, err);
	r = catalog_lock(c->directory, &lock, err);
	if (r == -EBUSY)
		return error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "the mount that uses the state directory %s is of an older keepfs than this one: "
		        "restart it, then try again",
		        c->directory);
	return r < 0 ? r : migrate_freely(c, err);
}

static int open_and_migrate(const char *state_dir, int (*migrate)(struct catalog *c, struct error *err),
                            struct catalog **ret_catalog, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup(catalog) struct catalog *c = catalog_new(state_dir);
	_cleanup(fd) int dir_fd = open_alone(state_dir, err);
	int r;

	if (dir_fd < 0)
		return dir_fd;
	pthread_once(&once, set_up_sqlite);
	r = check_catalog_files(dir_fd, c->directory, err);
	if (r == 0)
		r = connection_open(c, true, &c->writer, err);
	if (r < 0)
		return r;
	r = migrate(c, err);
	if (r == 0)
		*ret_catalog = take_ptr(&c);
	return r;
}

int catalog_open(const char *state_dir, struct catalog **ret_catalog, struct error *err)
{
	return open_and_migrate(state_dir, migrate_freely, ret_catalog, err);
}

int catalog_open_beside(const char *state_dir, struct catalog **ret_catalog, struct error *err)
{
	return open_and_migrate(state_dir, migrate_beside, ret_catalog, err);
}

struct catalog *catalog_free(struct catalog *c)
{
	if (!c)
		return NULL;
	while (c->idle) {
		struct connection *next = c->idle->next;

		connection_free(c->idle);
		c->idle = next;
	}
	if (c->writer)
		sqlite3_wal_checkpoint_v2(c->writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	connection_free(c->writer);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->listener_lock);
	pthread_mutex_destroy(&c->lock);
	free(c->directory);
	free(c->file);
	free(c);
	return NULL;
}

uint64_t catalog_generation(const struct catalog *c)
{
	return c->generation;
}

uint64_t catalog_audit_generation(const struct catalog *c)
{
	return c->audit_generation;
}

uint64_t catalog_rest_generation(const struct catalog *c)
{
	return c->rest_generation;
}

static int refuse_lock(int fd, const char *state_dir, struct error *err)
{
	char pid[24] = "";

	if (pread(fd, pid, sizeof(pid) - 1, 0) < 0 || pid[0] == '\0')
		str_copy(pid, sizeof(pid), "unknown");
	pid[strcspn(pid, "\n")] = '\0';
	return error_set(
	        err, ERROR_CONFLICT, EBUSY,
	        "another keepfs (pid %s) uses the state directory %s: it serves a mount, or is ending "
	        "one; back up through it with 'keepfs trigger --wait JOB', or wait until it has ended",
	        pid, state_dir);
}

int catalog_log_open(const char *state_dir, struct error *err)
{
	_cleanup(fd) int dir_fd = catalog_directory_open(state_dir, err);

	if (dir_fd < 0)
		return dir_fd;
	return own_file_open(dir_fd, state_dir, "keepfs.log", O_WRONLY | O_CREAT | O_APPEND, advice, err);
}

int catalog_lock(const char *state_dir, int *ret_fd, struct error *err)
{
	_cleanup(fd) int dir_fd = catalog_directory_open(state_dir, err), fd = -1;
	char pid[24];

	if (dir_fd < 0)
		return dir_fd;
	fd = own_file_open(dir_fd, state_dir, "lock", O_RDWR | O_CREAT, advice, err);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return refuse_lock(fd, state_dir, err);
		return error_system(err, errno, "cannot lock %s/lock", state_dir);
	}
	snprintf(pid, sizeof(pid), "%jd\n", (intmax_t)getpid());
	/* Only for the message above: a full disk must not stop anyone from taking the lock. */
	if (ftruncate(fd, 0) == 0)
		(void)fd_pwrite_all(fd, pid, strlen(pid), 0);
	*ret_fd = take_fd(&fd);
	return 0;
}
