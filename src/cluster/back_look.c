// SPDX-License-Identifier: Apache-2.0
/* The directory as it is before anything is written there. */
#include "back_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/codec/hash.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK_BYTES_MAX 4096
#define READ_AT_ONCE   ((size_t)256 << 10)
#define POSTMASTER_PID "postmaster.pid"
#define LOST_AND_FOUND "lost+found" /* of a file system whose root the directory is */
#define TABLESPACES    "pg_tblspc/"
#define WAL_DIRECTORY  "pg_wal"
#define DEPTH_MAX      64

/* May it be written? */

static int read_small_file(int dir_fd, const char *name, char *buf, size_t room)
{
	_cleanup(fd) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = pread(fd, buf, room - 1, 0);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

/* Its first line is the number of the process. */
int refill_refuse_running(const struct cluster_back *b, struct error *err)
{
	char text[256];
	int r = read_small_file(b->dir_fd, POSTMASTER_PID, text, sizeof(text));
	long long pid = r > 0 ? strtoll(text, NULL, 10) : 0;

	if (r == -ENOENT || (pid > 1 && kill((pid_t)pid, 0) < 0 && errno == ESRCH))
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EBUSY,
	        "a server runs on %s, or did when its host ended: stop it first; when none runs, remove %s/" POSTMASTER_PID,
	        b->options.to, b->options.to);
}

static int refuse_cluster(const struct cluster_back *b, uint64_t system_id, struct error *err)
{
	return error_set(err, ERROR_CONFLICT, EEXIST,
	                 "nothing was changed: %s has files of another cluster (system identifier %" PRIu64
	                 "), and %s is of %" PRIu64 ": choose an empty directory",
	                 b->options.to, system_id, b->options.path, b->facts.system_id);
}

/* The mark's second line is "system identifier: 73…". */
static int look_at_mark(const struct cluster_back *b, const char *text, struct error *err)
{
	const char *number = strrchr(text, ' ');
	uint64_t system_id = number ? strtoull(number + 1, NULL, 10) : 0;

	return system_id == b->facts.system_id ? 0 : refuse_cluster(b, system_id, err);
}

/* The control file is renamed before links are removed: through this one that would be another server's. */
static int refuse_linked_global(const struct cluster_back *b, struct error *err)
{
	struct stat st;

	if (fstatat(b->dir_fd, "global", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, ELOOP,
	        "nothing was changed: %s/global is a symbolic link, which no data directory has, and what it leads to may be of another server: remove the link, or choose an empty directory",
	        b->options.to);
}

static int look_at_control(const struct cluster_back *b, struct error *err)
{
	char head[PG_CONTROL_HEAD_BYTES + 1];
	struct pg_control control;
	int r = read_small_file(b->dir_fd, PG_CONTROL_NAME, head, sizeof(head));

	if (r < 0)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "nothing was changed: %s is not empty, and no data directory of a cluster (%s: %s)",
		        b->options.to, PG_CONTROL_NAME, strerror(-r));
	r = pg_control_decode(head, (size_t)r, &control, err);
	if (r < 0)
		return r;
	return control.system_id == b->facts.system_id ? 0 : refuse_cluster(b, control.system_id, err);
}

static int has_nothing(int fd, bool *ret)
{
	_cleanup(fd) int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;

	if (!dir)
		return -errno;
	(void)take_fd(&copy);
	*ret = true;
	while ((entry = readdir(dir)))
		*ret &= str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..") ||
		        str_equal(entry->d_name, LOST_AND_FOUND);
	closedir(dir);
	return 0;
}

static int judge_data_directory(const struct cluster_back *b, struct cluster_back_plan *ret,
                                struct error *err)
{
	char mark[MARK_BYTES_MAX];
	bool is_empty;
	int r = has_nothing(b->dir_fd, &is_empty);

	if (r < 0)
		return error_system(err, -r, "%s cannot be read", b->options.to);
	if (is_empty)
		return 0;
	r = refill_refuse_running(b, err);
	if (r == 0)
		r = refuse_linked_global(b, err);
	if (r < 0)
		return r;
	r = read_small_file(b->dir_fd, CLUSTER_BACK_MARK, mark, sizeof(mark));
	ret->is_going_on = r >= 0;
	if (r >= 0)
		return look_at_mark(b, mark, err);
	if (!b->options.delta)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "nothing was changed: %s is not empty. Empty it, choose another one, or with delta=yes have what is there compared, when it is a data directory of this cluster",
		        b->options.to);
	return look_at_control(b, err);
}

int refill_look(struct cluster_back *b, struct cluster_back_plan *ret, struct error *err)
{
	if (b->dir_fd >= 0)
		close(b->dir_fd);
	b->dir_fd = open(b->options.to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret->is_there = b->dir_fd >= 0;
	if (b->dir_fd < 0)
		return errno == ENOENT ? 0 : error_system(err, errno, "%s", b->options.to);
	return judge_data_directory(b, ret, err);
}

/* Tablespaces. */

const struct cluster_back_space *refill_space_of(const struct cluster_back *b, const char *key)
{
	if (!str_starts(key, TABLESPACES))
		return NULL;
	for (size_t i = 0; i < b->options.space_count; i++)
		if (str_equal(b->options.spaces[i].oid, key + strlen(TABLESPACES)))
			return &b->options.spaces[i];
	return NULL;
}

/* What an earlier restore, or the server, has made there already leads to it. */
static bool leads_there(const struct cluster_back *b, const struct cluster_back_space *s)
{
	_cleanup(free) char *link = mem_printf(TABLESPACES "%s", s->oid);
	struct stat linked, there;

	return b->dir_fd >= 0 && fstatat(b->dir_fd, link, &linked, 0) == 0 &&
	       stat(s->directory, &there) == 0 && linked.st_dev == there.st_dev &&
	       linked.st_ino == there.st_ino;
}

/* Its files would be written where the link leads, whatever was told: into those of another server, perhaps. */
int refill_check_link(const struct cluster_back *b, const char *key, bool is_link, struct error *err)
{
	const struct cluster_back_space *s = refill_space_of(b, key);

	if (!s || (is_link && leads_there(b, s)))
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "nothing was changed: %s/%s is a %s, and was to become a link to %s: remove it, or restore into an empty directory",
	        b->options.to, key, is_link ? "link to another directory" : "directory", s->directory);
}

static int check_space_directory(const struct cluster_back *b, const struct cluster_back_space *s,
                                 struct error *err)
{
	_cleanup(fd) int fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_empty;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0
		                       : error_system(err, errno, "tablespace %s: %s", s->oid, s->directory);
	r = has_nothing(fd, &is_empty);
	if (r < 0)
		return error_system(err, -r, "tablespace %s: %s cannot be read", s->oid, s->directory);
	if (is_empty || leads_there(b, s))
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "nothing was changed: the directory %s of tablespace %s is not empty: empty it, or name another one with tablespace=%s:/DIRECTORY",
	        s->directory, s->oid, s->oid);
}

int refill_check_spaces(const struct cluster_back *b, bool is_going_on, struct error *err)
{
	int r = 0;

	(void)is_going_on;
	for (size_t i = 0; r == 0 && i < b->options.space_count; i++)
		r = check_space_directory(b, &b->options.spaces[i], err);
	return r;
}

/* What is in it. */

struct local_walk {
	const struct cluster_back *b;
	struct cluster_back_plan *plan;
	struct sorter *sorter;
	struct listing_reader *reader; /* is a link that of a directory of the base? */
};

static int compare_local(const void *a, const void *b)
{
	return strcmp(local_path(a), local_path(b));
}

/* A link in the place of the log, or of a tablespace, stays, and what is behind it is of the cluster. */
static bool is_kept_link(struct local_walk *w, int dir_fd, const char *name, const char *path)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	struct error ignored = {0};
	struct stat st;

	if (!str_equal(path, WAL_DIRECTORY) &&
	    (!str_starts(path, TABLESPACES) || strchr(path + strlen(TABLESPACES), '/')))
		return false;
	if (fstatat(dir_fd, name, &st, 0) < 0 || !S_ISDIR(st.st_mode))
		return false;
	return listing_reader_find(w->reader, path, &e, &ignored) > 0 && e.is_directory;
}

/* With where it leads to: of a directory that was copied together with its links that is what another server works on. */
static void note_kept_link(const struct local_walk *w, int dir_fd, const char *name, const char *path)
{
	struct str *out = &w->plan->kept_links;
	char target[PATH_MAX];
	ssize_t len = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	target[len < 0 ? 0 : len] = '\0';
	str_appendf(out, "%s%s -> ", out->len > 0 ? ", " : "", path);
	str_append_visible(out, target);
}

static int list_local_directory(struct local_walk *w, int dir_fd, const char *above, unsigned depth,
                                struct error *err);

static int list_local_below(struct local_walk *w, int dir_fd, const char *name, const char *path,
                            unsigned depth, struct error *err)
{
	_cleanup(fd) int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_system(err, errno, "%s/%s cannot be read", w->b->options.to, path);
	if (depth == DEPTH_MAX)
		return error_set(err, ERROR_CONFLICT, ELOOP,
		                 "%s/%s: so many directories within one another are no cluster",
		                 w->b->options.to, path);
	return list_local_directory(w, fd, path, depth + 1, err);
}

static int list_local_entry(struct local_walk *w, int dir_fd, const char *name, const char *path,
                            unsigned depth, struct error *err)
{
	struct local_record record = {0};
	struct stat st;
	int r;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_system(err, errno, "%s/%s", w->b->options.to, path);
	record.is_link = S_ISLNK(st.st_mode);
	record.is_regular = S_ISREG(st.st_mode);
	record.is_directory = S_ISDIR(st.st_mode) || (record.is_link && is_kept_link(w, dir_fd, name, path));
	record.modified_s = st.st_mtim.tv_sec;
	record.bytes = record.is_regular ? (uint64_t)st.st_size : 0;
	if (record.is_link && record.is_directory)
		note_kept_link(w, dir_fd, name, path);
	r = sorter_add(w->sorter, &record, sizeof(record), path, strlen(path) + 1, err);
	return r == 0 && record.is_directory ? list_local_below(w, dir_fd, name, path, depth, err) : r;
}

static bool is_not_of_cluster(const char *above, const char *name)
{
	return str_equal(name, ".") || str_equal(name, "..") ||
	       (!*above && (str_equal(name, CLUSTER_BACK_MARK) || str_equal(name, LOST_AND_FOUND)));
}

static int list_local_directory(struct local_walk *w, int dir_fd, const char *above, unsigned depth,
                                struct error *err)
{
	_cleanup(fd) int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return error_system(err, errno, "%s/%s cannot be read", w->b->options.to, above);
	(void)take_fd(&copy);
	while (r == 0 && (entry = readdir(dir))) {
		_cleanup(free) char *path = mem_printf("%s%s%s", above, *above ? "/" : "", entry->d_name);

		if (!is_not_of_cluster(above, entry->d_name))
			r = list_local_entry(w, dirfd(dir), entry->d_name, path, depth, err);
	}
	closedir(dir);
	return r;
}

int refill_list_local(struct cluster_back *b, struct cluster_back_plan *plan, struct sorter **ret,
                      struct error *err)
{
	_cleanup(sorter) struct sorter *sorter = sorter_new(b->options.ctx->conf->state_dir, compare_local);
	struct local_walk w = {
	        .b = b, .plan = plan, .sorter = sorter, .reader = listing_reader_new(&b->index, &b->source)};
	int r = list_local_directory(&w, b->dir_fd, "", 0, err);

	listing_reader_free(w.reader);
	if (r == 0)
		r = sorter_end(sorter, err);
	if (r == 0)
		*ret = take_ptr(&sorter);
	return r;
}

/* Comparing. */

struct comparing {
	const struct cluster_back *b;
	struct refill_candidate *items;
	size_t count;
	atomic_size_t next;
	pthread_mutex_t lock;
	struct error err; /* lock: the first */
	int r;
};

static int hash_local(const struct comparing *c, struct refill_candidate *item, char *buf, struct error *err)
{
	_cleanup(fd) int fd =
	        openat(c->b->dir_fd, item->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint32_t crc = 0;
	uint64_t at = 0;
	ssize_t n;

	if (fd < 0)
		return error_system(err, errno, "%s/%s cannot be read", c->b->options.to, item->path);
	while ((n = read(fd, buf, READ_AT_ONCE)) > 0) {
		if (cancel_is_set(c->b->options.order->cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		crc = crc32c(crc, buf, (size_t)n);
		at += (uint64_t)n;
	}
	if (n < 0)
		return error_system(err, errno, "%s/%s cannot be read", c->b->options.to, item->path);
	item->is_same = at == item->bytes && crc == item->crc32c;
	return 0;
}

static void *compare_some(void *arg)
{
	struct comparing *c = arg;
	_cleanup(free) char *buf = mem_resize(NULL, READ_AT_ONCE, 1);
	size_t i;

	while ((i = atomic_fetch_add(&c->next, 1)) < c->count) {
		struct error why = {0};
		int r = hash_local(c, &c->items[i], buf, &why);

		if (r == 0)
			continue;
		pthread_mutex_lock(&c->lock);
		if (c->r == 0) {
			c->r = r;
			c->err = why;
		}
		pthread_mutex_unlock(&c->lock);
		break;
	}
	return NULL;
}

int refill_compare(struct cluster_back *b, struct refill_candidate *items, size_t count, struct error *err)
{
	struct comparing c = {.b = b, .items = items, .count = count};
	pthread_t threads[CLUSTER_BACK_JOBS_MAX];
	unsigned started = 0;

	pthread_mutex_init(&c.lock, NULL);
	while (started + 1 < b->options.jobs && started + 1 < count &&
	       thread_start(&threads[started], "compare", compare_some, &c) == 0)
		started++;
	compare_some(&c);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	pthread_mutex_destroy(&c.lock);
	if (c.r < 0 && err)
		*err = c.err;
	return c.r;
}
