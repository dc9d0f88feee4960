// SPDX-License-Identifier: Apache-2.0
/*
 * Objects as plain files below one directory: the key is the path. What holds:
 *
 * - A file under its final name is whole and on disk: bytes are written elsewhere and synced, then named by
 *   one link or rename, then the directory is synced (and, when new, its own name in its parent).
 * - Nothing outside the root is touched: paths are walked one directory at a time without following links.
 * - Where a file system lacks a step of this, another takes its place (foreign.c).
 * - What is not finished lives in .keepfs below the root: tmp/ for puts, uploads/ for uploads. Temporaries
 *   are locked with flock() by whoever writes them, so a later start can tell leftovers from work.
 * - One restriction against S3: an object cannot be another's directory, so "a" and "a/b" exclude each other.
 */
#include "dir.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#define PARALLEL_PARTS 2

int dir_error(struct dir_store *d, int r, struct error *err, const char *verb, const char *what)
{
	switch (-r) {
	case ENOENT:
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s: there is no %s", d->base.name, what);
	case ECANCELED:
		return error_set(err, ERROR_CANCELLED, ECANCELED, "%s: cancelled: %s %s", d->base.name, verb,
		                 what);
	case ETIMEDOUT:
		return error_set(err, ERROR_TIMEOUT, ETIMEDOUT,
		                 "%s: the deadline passed before the end of: %s %s", d->base.name, verb,
		                 what);
	case ENOSPC:
	case EDQUOT:
		return error_set(
		        err, ERROR_NO_SPACE, -r,
		        "cannot %s %s: there is no space left in %s (%s): free some, or move the store to a larger disk",
		        verb, what, d->root, strerrordesc_np(-r));
	case ELOOP:
		return error_set(
		        err, ERROR_USAGE, ELOOP,
		        "cannot %s %s: a part of its path in %s is a symbolic link, and none is followed there: use a bind mount instead",
		        verb, what, d->root);
	case EISDIR:
	case ENOTDIR:
		return error_set(err, ERROR_CONFLICT, -r,
		                 "cannot %s %s: in %s a part of its path is a file, or it is a directory",
		                 verb, what, d->root);
	case ENODEV:
		return error_set(
		        err, ERROR_USAGE, ENODEV,
		        "cannot %s %s: %s was removed while it was in use: bring it back, then restart", verb,
		        what, d->root);
	case ERANGE:
		return error_set(err, ERROR_CORRUPT, ERANGE, "%s: %s was cut by somebody while it was read",
		                 d->base.name, what);
	case ENAMETOOLONG:
		return error_set(err, ERROR_USAGE, ENAMETOOLONG,
		                 "cannot %s %s: a part of it is longer than a file's name may be", verb,
		                 what);
	case EFBIG:
		return error_set(
		        err, ERROR_NO_SPACE, EFBIG,
		        "cannot %s %s: the file system of %s holds no file that large (vfat: 4 GiB), or a limit forbids it (ulimit -f): move the store",
		        verb, what, d->root);
	case EINVAL:
	case EPERM:
	case ENOSYS:
	case EOPNOTSUPP:
	case ESPIPE:
		return error_set(
		        err, ERROR_USAGE, -r,
		        "cannot %s %s: the file system of %s refuses what a store needs (%s): to write anywhere in a file, to sync it, to rename it (rclone mount: --vfs-cache-mode full); use another place",
		        verb, what, d->root, strerrordesc_np(-r));
	case ESTALE: /* NFS; the contract uses it for something else */
		r = error_set(err, ERROR_UNAVAILABLE, EIO,
		              "cannot %s %s: the file server of %s lost its handle", verb, what, d->root);
		if (err)
			err->retry = true;
		return r;
	default:
		return error_system(err, -r, "cannot %s %s in %s", verb, what, d->root);
	}
}

int dir_write_error(struct dir_store *d, int r, struct error *err, const char *verb, const char *what)
{
	if (r == -ENOENT)
		return error_set(err, ERROR_USAGE, EIO,
		                 "cannot %s %s: %s, or a directory in it, was removed while it was in use",
		                 verb, what, d->root);
	return dir_error(d, r, err, verb, what);
}

void dir_random_id(char ret[static DIR_ID_BYTES])
{
	uint8_t bytes[(DIR_ID_BYTES - 1) / 2];
	size_t have = 0;

	while (have < sizeof(bytes)) {
		ssize_t n = getrandom(bytes + have, sizeof(bytes) - have, 0);

		if (n > 0)
			have += (size_t)n;
	}
	hex_encode(bytes, sizeof(bytes), ret);
}

bool dir_id_valid(const char *id)
{
	return strlen(id) == DIR_ID_BYTES - 1 && strspn(id, "0123456789abcdef") == DIR_ID_BYTES - 1;
}

static int dir_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                       struct str *ret_url, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the store %s is a directory and has no URLs: copy the file from backups/ of the mount instead",
	        s->name);
}

int dir_has_no_classes(struct store *s, struct error *err)
{
	return error_set(err, ERROR_USAGE, ENOTSUP,
	                 "the store %s is a directory, and has no storage classes: only S3 has them",
	                 s->name);
}

static int dir_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                       struct error *err)
{
	if (io->op == STORE_LOCK_BUCKET) {
		io->bucket = (struct store_bucket){0};
		return 0;
	}
	if (io->op == STORE_CLASS_GET || io->op == STORE_CLASS_THAW)
		return dir_has_no_classes(s, err);
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the store %s is a directory: whoever may write there may delete, and nothing in it can be locked",
	        s->name);
}

static int dir_features(struct store *s, struct store_features *ret, struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	uint64_t capacity_bytes, available_bytes;
	struct statvfs vfs;

	if (fstatvfs(d->root_fd, &vfs) < 0)
		return dir_error(d, -errno, err, "measure", "the space");
	capacity_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	available_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	/* Many FUSE programs say nothing of their size. */
	if (vfs.f_blocks == 0)
		capacity_bytes = available_bytes = STORE_UNKNOWN;
	*ret = (struct store_features){
	        .min_part_bytes = 1,
	        .max_part_bytes = INT64_MAX,
	        .max_parts = STORE_MAX_PARTS,
	        .parallel = PARALLEL_PARTS,
	        .capacity_bytes = capacity_bytes,
	        .available_bytes = available_bytes,
	        .atomic_absent = dir_creates_exclusively(d),
	        .atomic_match = dir_matches_atomically(d),
	};
	dir_describe_lacks(d, ret->weaker, sizeof(ret->weaker));
	return 0;
}

static struct store *dir_free(struct store *s)
{
	struct dir_store *d = dir_store_of(s);

	cleanup_fd(&d->uploads_fd);
	cleanup_fd(&d->tmp_fd);
	cleanup_fd(&d->root_fd);
	pthread_mutex_destroy(&d->lock);
	free(d->root);
	free(d->base.name);
	free(d);
	return NULL;
}

static const struct store_ops dir_ops = {
        .put = dir_put,
        .get = dir_get,
        .head = dir_head,
        .remove = dir_remove,
        .list = dir_list,
        .upload_begin = dir_upload_begin,
        .upload_announce = dir_upload_announce,
        .upload_part = dir_upload_part,
        .upload_complete = dir_upload_complete,
        .upload_id = dir_upload_id,
        .upload_free = dir_upload_free,
        .upload_abort = dir_upload_abort,
        .upload_list = dir_upload_list,
        .presign = dir_presign,
        .locking = dir_locking,
        .features = dir_features,
        .free = dir_free,
};

/* Of a root that was just made: its name is in its parent. */
static int sync_parent(struct dir_store *d)
{
	_cleanup(free) char *parent = mem_printf("%s/..", d->root);
	_cleanup(fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? 0 : dir_sync(d, fd);
}

/* The root, made when only it is missing. The root itself may be a link: what it points to was configured. */
static int open_root(struct dir_store *d, bool may_make, struct error *err)
{
	bool made = may_make && mkdir(d->root, 0700) == 0;
	struct stat st;
	int r = made ? sync_parent(d) : 0;

	if (r < 0)
		return error_system(err, -r, "the store's directory %s was made, but does not reach the disk",
		                    d->root);
	d->root_fd = open(d->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = d->root_fd < 0 ? -errno : 0;
	if (r == 0) {
		d->root_counts_links = fstat(d->root_fd, &st) == 0 && st.st_nlink > 0;
		return 0;
	}
	/* Never -ENOENT: a store that is not there must not look like one without objects. */
	return error_set(err, r == -EACCES ? ERROR_DENIED : ERROR_USAGE, r == -ENOENT ? ENODEV : -r,
	                 "the store's directory %s cannot be opened: %s; make it, or correct store.url",
	                 d->root, strerrordesc_np(-r));
}

/* A store that cannot be written can still be read: what is wrong is told by the first call that writes. */
static void open_work(struct dir_store *d)
{
	d->tmp_fd = dir_walk(d, DIR_WORK "/tmp", strlen(DIR_WORK "/tmp"), true);
	d->uploads_fd = dir_walk(d, DIR_WORK "/uploads", strlen(DIR_WORK "/uploads"), true);
	if (d->tmp_fd < 0 || d->uploads_fd < 0) {
		d->work_errno = d->tmp_fd < 0 ? -d->tmp_fd : -d->uploads_fd;
		return;
	}
	dir_look_at_place(d);
	dir_temp_sweep(d);
}

static int open_directory_store(const char *root, bool writes, struct store **ret_store, struct error *err)
{
	struct dir_store *d;
	int r;

	if (root[0] != '/')
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "dir:%s is not an absolute path: write dir:/path/to/objects", root);
	d = mem_alloc(sizeof(*d));
	d->base.ops = &dir_ops;
	d->base.name = mem_printf("dir:%s", root);
	d->root = mem_strdup(root);
	d->root_fd = d->tmp_fd = d->uploads_fd = -1;
	pthread_mutex_init(&d->lock, NULL);
	r = open_root(d, writes, err);
	if (r < 0) {
		dir_free(&d->base);
		return r;
	}
	if (writes)
		open_work(d);
	else
		d->work_errno = EROFS;
	*ret_store = &d->base;
	return 0;
}

int store_dir_new(const char *root, struct store **ret_store, struct error *err)
{
	return open_directory_store(root, true, ret_store, err);
}

int store_dir_new_read_only(const char *root, struct store **ret_store, struct error *err)
{
	return open_directory_store(root, false, ret_store, err);
}

bool store_dir_is_used(const char *root)
{
	_cleanup(free) char *work = mem_printf("%s/" DIR_WORK, root);

	return access(work, F_OK) == 0;
}
