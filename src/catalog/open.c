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

#define CATALOG_NAME   "catalog.db"
#define FILE_MODE      0600
#define DIRECTORY_MODE 0700

static void set_up_sqlite(void)
{
	/* The statistics of its allocator would make every reader wait for one lock. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
}

static int make_state_directory(const char *path, struct error *err)
{
	int r = fd_make_dirs(path, DIRECTORY_MODE);

	return r < 0 ? error_system(err, -r, "cannot make the state directory %s", path) : 0;
}

/* SQLite would make the file for all to read; its -wal and -shm files take their mode from this one. */
static int make_file(const char *path, struct error *err)
{
	_cleanup(fd) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd >= 0 || (errno == EEXIST && chmod(path, FILE_MODE) == 0))
		return 0;
	return error_system(err, errno, "cannot make the catalog %s", path);
}

static struct catalog *catalog_new(const char *state_dir)
{
	struct catalog *c = mem_alloc(sizeof(*c));

	c->directory = mem_strdup(state_dir);
	c->file = mem_printf("%s/%s", state_dir, CATALOG_NAME);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	return c;
}

int catalog_open(const char *state_dir, struct catalog **ret_catalog, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup(catalog) struct catalog *c = catalog_new(state_dir);
	int r;

	pthread_once(&once, set_up_sqlite);
	r = make_state_directory(c->directory, err);
	if (r == 0)
		r = make_file(c->file, err);
	if (r == 0)
		r = connection_open(c, true, &c->writer, err);
	if (r < 0)
		return r;
	r = schema_migrate(c->writer);
	if (r < 0) {
		if (err)
			*err = c->writer->error;
		return r;
	}
	*ret_catalog = take_ptr(&c);
	return 0;
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

int catalog_lock(const char *state_dir, int *ret_fd, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/lock", state_dir);
	_cleanup(fd) int fd = -1;
	char pid[24];
	int r = make_state_directory(state_dir, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return error_system(err, errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return refuse_lock(fd, state_dir, err);
		return error_system(err, errno, "cannot lock %s", path);
	}
	snprintf(pid, sizeof(pid), "%jd\n", (intmax_t)getpid());
	/* Only for the message above: a full disk must not stop anyone from taking the lock. */
	if (ftruncate(fd, 0) == 0)
		(void)fd_pwrite_all(fd, pid, strlen(pid), 0);
	*ret_fd = take_fd(&fd);
	return 0;
}
