// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/scratch_place.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOCK_SUFFIX       ".lock"
#define DEPTH_MAX         64 /* a descriptor each */
#define END_SOFTLY_MS     5000
#define BLOCK_BYTES       512 /* of st_blocks */
#define ELSEWHERE         "/tmp/keepfs-"
#define ELSEWHERE_PATTERN ELSEWHERE "XXXXXX"

static const char advice[] = "name another [keepfs] drill_dir";

int scratch_open(const char *directory, bool make, struct error *err)
{
	bool missing = access(directory, F_OK) < 0 && errno == ENOENT;
	int r = 0, fd;

	if (missing && !make)
		return -ENOENT;
	if (missing)
		r = fd_make_dirs(directory, 0711);
	if (r < 0)
		return error_system(err, -r, "the directory of drills, %s, cannot be made", directory);
	fd = own_directory_open(directory, "directory of drills", advice, err);
	/* Whatever the umask says: the server's user has to pass. */
	if (missing && fd >= 0 && fchmod(fd, 0711) < 0) {
		r = error_system(err, errno, "the directory of drills, %s, cannot be made", directory);
		close(fd);
		return r;
	}
	return fd;
}

/* Trees. */

/* What is in them somebody else has chosen, too: how deep they are, and that nobody may enter them. */
struct removal {
	int top_fd;
	unsigned moved;
};

static int open_directory_at(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_to_empty(int dir_fd, const char *name)
{
	int fd = open_directory_at(dir_fd, name);

	if (fd == -EACCES && fchmodat(dir_fd, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = open_directory_at(dir_fd, name);
	if (fd >= 0 && geteuid() != 0)
		(void)fchmod(fd, 0700);
	return fd;
}

static bool is_own_entry(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int empty_scratch(struct removal *removal, int fd, int depth);

/* One that is too deep for our descriptors goes to the top, and is emptied from there. */
static int move_to_top(struct removal *removal, int dir_fd, const char *name)
{
	char moved[32];

	snprintf(moved, sizeof(moved), ".deep-%u", removal->moved++);
	return renameat(dir_fd, name, removal->top_fd, moved) < 0 ? -errno : 0;
}

static int remove_entry(struct removal *removal, int dir_fd, const char *name, int depth)
{
	int fd, r;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = open_to_empty(dir_fd, name);
	if (fd < 0)
		return fd;
	if (depth == DEPTH_MAX) {
		close(fd);
		return move_to_top(removal, dir_fd, name);
	}
	r = empty_scratch(removal, fd, depth);
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && r == 0 ? -errno : r;
}

/* @fd is consumed. */
static int empty_scratch(struct removal *removal, int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	while (dir && (entry = readdir(dir))) {
		int one =
		        is_own_entry(entry->d_name) ? 0 : remove_entry(removal, fd, entry->d_name, depth + 1);

		r = r < 0 ? r : one;
	}
	if (dir)
		closedir(dir);
	else
		close(fd);
	return r;
}

int scratch_remove(int dir_fd, const char *name)
{
	unsigned before = 0;
	struct removal removal = {.top_fd = open_to_empty(dir_fd, name)};
	int r = removal.top_fd < 0 ? removal.top_fd : 0;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	do {
		int fd = open_directory_at(dir_fd, name);

		before = removal.moved;
		r = fd < 0 ? fd : empty_scratch(&removal, fd, 0);
	} while (r == 0 && removal.moved > before);
	close(removal.top_fd);
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && r == 0 ? -errno : r;
}

static uint64_t measure_tree(int dir_fd, const char *name, int depth)
{
	int fd = depth < DEPTH_MAX ? open_directory_at(dir_fd, name) : -ELOOP;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint64_t bytes = 0;

	while (dir && (entry = readdir(dir))) {
		struct stat st;

		if (is_own_entry(entry->d_name) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bytes += (uint64_t)st.st_blocks * BLOCK_BYTES;
		if (S_ISDIR(st.st_mode))
			bytes += measure_tree(fd, entry->d_name, depth + 1);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return bytes;
}

uint64_t scratch_measure(int dir_fd, const char *name)
{
	return measure_tree(dir_fd, name, 0);
}

/* Processes. */

struct workplace {
	char *path; /* heap: as the kernel tells it, without links */
	uid_t uid;  /* whose it is */
};

/* Whoever else stands there, an administrator's shell, say, is none of ours. */
static bool works_in(const char *pid, const struct workplace *w)
{
	_cleanup(free) char *proc = mem_printf("/proc/%s", pid), *link = mem_printf("%s/cwd", proc);
	const char *path = w->path;
	size_t len = strlen(path);
	char cwd[4096];
	ssize_t n = readlink(link, cwd, sizeof(cwd) - 1);
	struct stat st;

	if (n < 0 || stat(proc, &st) < 0 || st.st_uid != w->uid)
		return false;
	cwd[n] = '\0';
	return strncmp(cwd, path, len) == 0 && (cwd[len] == '/' || cwd[len] == '\0');
}

/* Of those that work there each is sent @number; a descriptor of one of them, or -1. */
static int signal_processes(const struct workplace *w, int number)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	int found = -1;

	while (dir && (entry = readdir(dir))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		_cleanup(fd) int fd = -1;

		if (*end || pid <= 1 || pid == getpid() || !works_in(entry->d_name, w))
			continue;
		fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		/* The number may have become another process's by now. */
		if (fd < 0 || !works_in(entry->d_name, w))
			continue;
		(void)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
		if (found < 0)
			found = take_fd(&fd);
	}
	if (dir)
		closedir(dir);
	return found;
}

static void end_processes_of(const struct workplace *w)
{
	int64_t until_ms = clock_mono_ms() + END_SOFTLY_MS;
	int one = signal_processes(w, SIGQUIT);

	while (one >= 0) {
		int64_t left_ms = until_ms - clock_mono_ms();
		struct pollfd p = {.fd = one, .events = POLLIN};

		(void)poll(&p, 1, left_ms > 0 ? (int)left_ms : 1000);
		close(one);
		one = signal_processes(w, clock_mono_ms() < until_ms ? 0 : SIGKILL);
	}
}

void scratch_end_processes(const char *path)
{
	struct workplace w = {.path = realpath(path, NULL)};
	struct stat st;

	if (w.path && stat(w.path, &st) == 0) {
		w.uid = st.st_uid;
		end_processes_of(&w);
	}
	free(w.path);
}

/* Places. */

static void random_name(char name[static 64])
{
	uint64_t number = 0;

	(void)!getrandom(&number, sizeof(number), 0);
	snprintf(name, 64, SCRATCH_PREFIX "%016llx", (unsigned long long)number);
}

static int make_owned(int dir_fd, const char *name, uid_t uid, gid_t gid)
{
	if (mkdirat(dir_fd, name, 0700) < 0)
		return -errno;
	return fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int scratch_place_add(struct scratch_place *p, const char *name, uid_t uid, gid_t gid)
{
	_cleanup(free) char *path = mem_printf("%s/%s", p->name, name);

	return make_owned(p->dir_fd, path, uid, gid);
}

int scratch_place_add_elsewhere(struct scratch_place *p, uid_t uid, gid_t gid)
{
	_cleanup(free) char *elsewhere = mem_strdup(ELSEWHERE_PATTERN);
	int r;

	if (!mkdtemp(elsewhere))
		return -errno;
	p->elsewhere = take_ptr(&elsewhere);
	/* Before it holds anything, so that the next one finds it. */
	r = fd_write_all(p->lock_fd, p->elsewhere, strlen(p->elsewhere));
	if (r == 0 && chown(p->elsewhere, uid, gid) < 0)
		r = -errno;
	return r;
}

int scratch_place_new(const char *directory, uid_t uid, gid_t gid, struct scratch_place *ret,
                      struct error *err)
{
	_cleanup(free) char *lock = NULL;
	int r;

	random_name(ret->name);
	lock = mem_printf("%s" LOCK_SUFFIX, ret->name);
	ret->path = mem_printf("%s/%s", directory, ret->name);
	ret->lock_fd = own_file_open(ret->dir_fd, directory, lock, O_RDWR | O_CREAT | O_EXCL, advice, err);
	if (ret->lock_fd < 0)
		return ret->lock_fd;
	r = flock(ret->lock_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (r == 0)
		r = make_owned(ret->dir_fd, ret->name, uid, gid);
	return r < 0 ? error_system(err, -r, "a scratch directory cannot be made in %s", directory) : 0;
}

int scratch_place_remove(struct scratch_place *p, struct error *err)
{
	_cleanup(free) char *lock = mem_printf("%s" LOCK_SUFFIX, p->name);
	int r;

	scratch_end_processes(p->path);
	r = scratch_remove(p->dir_fd, p->name);
	if (p->elsewhere)
		(void)scratch_remove(AT_FDCWD, p->elsewhere);
	if (r == 0 && unlinkat(p->dir_fd, lock, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	p->lock_fd = -1;
	return r < 0 ? error_system(err, -r, "%s, which a drill has left, cannot be removed: remove it",
	                            p->path)
	             : 0;
}

void scratch_place_finish(struct scratch_place *p)
{
	free(p->path);
	free(p->elsewhere);
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	if (p->dir_fd >= 0)
		close(p->dir_fd);
	*p = (struct scratch_place){.dir_fd = -1, .lock_fd = -1};
}

/* What the dead have left. */

/* 1 with the lock of one whose maker is dead; 0: he lives, or it is gone. */
static int take_over(int dir_fd, const char *directory, const char *lock, struct scratch_place *ret)
{
	struct str elsewhere = {0};
	_cleanup(free) char *path = mem_printf("%s/%s", directory, lock);
	struct stat st;

	*ret = (struct scratch_place){.dir_fd = dir_fd, .lock_fd = -1};
	str_copy(ret->name, sizeof(ret->name), lock);
	ret->name[strlen(ret->name) - strlen(LOCK_SUFFIX)] = '\0';
	ret->lock_fd = own_file_open(dir_fd, directory, lock, O_RDWR, advice, NULL);
	if (ret->lock_fd < 0 || flock(ret->lock_fd, LOCK_EX | LOCK_NB) < 0 || fstat(ret->lock_fd, &st) < 0 ||
	    st.st_nlink == 0)
		return 0;
	ret->path = mem_printf("%s/%s", directory, ret->name);
	if (fd_read_file(path, 4096, &elsewhere) == 0 && str_starts(str_text(&elsewhere), ELSEWHERE) &&
	    !strstr(str_text(&elsewhere), ".."))
		ret->elsewhere = mem_strdup(str_text(&elsewhere));
	str_finish(&elsewhere);
	return 1;
}

static int clear_one(int dir_fd, const char *directory, const char *lock, struct error *err)
{
	struct scratch_place place;
	int r = take_over(dir_fd, directory, lock, &place);

	if (r > 0)
		r = scratch_place_remove(&place, err);
	else if (place.lock_fd >= 0)
		close(place.lock_fd);
	else
		r = 0;
	r = r == 0 && place.path ? 1 : r;
	free(place.path);
	free(place.elsewhere);
	return r;
}

int scratch_place_clear(const char *directory, struct error *err)
{
	_cleanup(fd) int dir_fd = scratch_open(directory, false, err);
	const struct dirent *entry;
	int count = 0, failed = 0;
	DIR *dir;

	if (dir_fd < 0)
		return dir_fd == -ENOENT ? 0 : dir_fd;
	dir = opendir(directory);
	while (dir && (entry = readdir(dir))) {
		int r = 0;

		if (str_starts(entry->d_name, SCRATCH_PREFIX) && str_ends(entry->d_name, LOCK_SUFFIX) &&
		    strlen(entry->d_name) < 64)
			r = clear_one(dir_fd, directory, entry->d_name, err);
		count += r > 0;
		failed = r < 0 ? r : failed;
	}
	if (dir)
		closedir(dir);
	return failed < 0 ? failed : count;
}
