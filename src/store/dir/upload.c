// SPDX-License-Identifier: Apache-2.0
/*
 * Uploads. On disk an upload is a file uploads/<id>.key, which holds its key, and a directory uploads/<id>.
 * The key file is the first to come (whole, by dir_temp_publish) and the last to go: whatever a crash leaves
 * can be listed and aborted. How the parts lie in the directory only the handle knows, since only its process
 * can complete the upload: see part.c.
 */
#include "upload.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define KEY_SUFFIX     ".key"
#define KEY_FILE_BYTES (DIR_ID_BYTES + 8)

static void key_file(char ret[static KEY_FILE_BYTES], const char *id)
{
	snprintf(ret, KEY_FILE_BYTES, "%s" KEY_SUFFIX, id);
}

static int write_key_file(struct dir_store *d, const char *id, const char *key)
{
	_cleanup(dir_temp) struct dir_temp temp = {.fd = -1};
	struct iovec iov = {(void *)key, strlen(key)};
	char name[KEY_FILE_BYTES];
	int r;

	key_file(name, id);
	r = dir_temp_open(d, &temp);
	if (r == 0)
		r = dir_write_iov(temp.fd, 0, &iov, 1, NULL);
	return r < 0 ? r : dir_temp_publish(&temp, NULL, d->uploads_fd, name, true);
}

/* The key of upload @id; -ENOENT when there is none, or no readable one. */
static int read_key_file(struct dir_store *d, const char *id, char ret[static STORE_KEY_BYTES])
{
	_cleanup(fd) int fd = -1;
	char name[KEY_FILE_BYTES];
	ssize_t n;

	key_file(name, id);
	fd = openat(d->uploads_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, ret, STORE_KEY_BYTES - 1, 0);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return store_key_check(ret, NULL) < 0 ? -ENOENT : 0;
}

static int make_upload(struct dir_upload *up)
{
	struct dir_store *d = dir_store_of(up->base.store);
	_cleanup(fd) int parent_fd = -1;
	const char *leaf;
	int r;

	/* Made now and not at the end: a key that cannot be is told before its bytes are sent. */
	parent_fd = dir_walk_parent(d, up->base.key, true, &leaf);
	if (parent_fd < 0)
		return parent_fd;
	if (d->work_errno)
		return -d->work_errno;
	r = write_key_file(d, up->id, up->base.key);
	if (r < 0)
		return r;
	if (mkdirat(d->uploads_fd, up->id, 0700) < 0)
		return -errno;
	up->dir_fd = openat(d->uploads_fd, up->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (up->dir_fd < 0)
		return -errno;
	up->body_fd = openat(up->dir_fd, UPLOAD_BODY, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	return up->body_fd < 0 ? -errno : 0;
}

int dir_upload_begin(struct store *s, const struct store_call *call, const char *key,
                     const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	struct dir_upload *up;
	int r;

	if (storage_class)
		return dir_has_no_classes(s, err);
	up = mem_alloc(sizeof(*up));
	up->base = (struct store_upload){s->ops, s, mem_strdup(key)};
	up->dir_fd = up->body_fd = -1;
	pthread_mutex_init(&up->lock, NULL);
	dir_random_id(up->id);
	r = make_upload(up);
	if (r < 0) {
		r = dir_write_error(d, r, err, "begin an upload of", key);
		if (!d->work_errno)
			dir_upload_delete(d, up->id);
		dir_upload_free(&up->base);
		return r;
	}
	*ret_upload = &up->base;
	return 0;
}

const char *dir_upload_id(const struct store_upload *up)
{
	return dir_upload_of(up)->id;
}

struct store_upload *dir_upload_free(struct store_upload *base)
{
	struct dir_upload *up = dir_upload_of(base);

	cleanup_fd(&up->body_fd);
	cleanup_fd(&up->dir_fd);
	pthread_mutex_destroy(&up->lock);
	free(up->parts);
	free(up->base.key);
	free(up);
	return NULL;
}

int dir_upload_error(struct dir_upload *up, int r, struct error *err, const char *verb)
{
	struct dir_store *d = dir_store_of(up->base.store);

	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%s: cannot %s %s: upload %s is not open any more", d->base.name, verb,
		                 up->base.key, up->id);
	return dir_error(d, r, err, verb, up->base.key);
}

static int empty_directory(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = dir ? 0 : -errno;

	if (!dir)
		cleanup_fd(&fd);
	while (r == 0 && (entry = readdir(dir))) {
		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		if (unlinkat(dir_fd, entry->d_name, 0) < 0 && errno != ENOENT)
			r = -errno;
	}
	if (dir)
		closedir(dir);
	return r;
}

int dir_upload_delete(struct dir_store *d, const char *id)
{
	_cleanup(fd) int fd = openat(d->uploads_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char name[KEY_FILE_BYTES];
	int r;

	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (fd >= 0) {
		r = empty_directory(fd);
		if (r < 0)
			return r;
		if (unlinkat(d->uploads_fd, id, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return -errno;
	}
	key_file(name, id);
	if (unlinkat(d->uploads_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return dir_sync(d, d->uploads_fd);
}

int dir_upload_abort(struct store *s, const struct store_call *call, const char *key, const char *upload_id,
                     struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	char its_key[STORE_KEY_BYTES];
	int r;

	/* What is no id of ours, or another key's, is an upload that is not there. */
	if (!dir_id_valid(upload_id) || d->uploads_fd < 0)
		return 0;
	r = read_key_file(d, upload_id, its_key);
	if (r == -ENOENT || (r == 0 && !str_equal(key, its_key)))
		return 0;
	if (r == 0)
		r = dir_upload_delete(d, upload_id);
	return r < 0 ? dir_write_error(d, r, err, "abort the upload of", key) : 0;
}

struct uploads {
	struct store_upload_info *items;
	size_t count, cap;
};

static void uploads_add(struct uploads *u, const char *key, const char *id)
{
	if (u->count == u->cap) {
		u->cap = u->cap ? 2 * u->cap : 8;
		u->items = mem_resize(u->items, u->cap, sizeof(*u->items));
	}
	str_copy(u->items[u->count].key, STORE_KEY_BYTES, key);
	u->items[u->count++].upload_id = mem_strdup(id);
}

static int compare_uploads(const void *a, const void *b)
{
	const struct store_upload_info *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : strcmp(x->upload_id, y->upload_id);
}

static int consider_upload(struct dir_store *d, const char *name, const char *prefix, struct uploads *u)
{
	char id[DIR_ID_BYTES], key[STORE_KEY_BYTES];
	int r;

	if (!str_ends(name, KEY_SUFFIX))
		return 0;
	snprintf(id, sizeof(id), "%.*s", (int)(strlen(name) - strlen(KEY_SUFFIX)), name);
	if (!dir_id_valid(id) || strlen(name) != DIR_ID_BYTES - 1 + strlen(KEY_SUFFIX))
		return 0;
	r = read_key_file(d, id, key);
	if (r == 0 && str_starts(key, prefix))
		uploads_add(u, key, id);
	return r == -ENOENT ? 0 : r; /* ended meanwhile */
}

int dir_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                    struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	struct uploads u = {0};
	struct dirent *entry;
	DIR *dir = NULL;
	int fd = -1, r = 0;

	if (d->uploads_fd >= 0) { /* else it cannot be written, and has none */
		fd = openat(d->uploads_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir = fd < 0 ? NULL : fdopendir(fd);
		r = dir ? 0 : -errno;
	}
	if (!dir)
		cleanup_fd(&fd);
	while (r == 0 && dir && (entry = readdir(dir))) {
		r = store_call_state(call);
		if (r == 0)
			r = consider_upload(d, entry->d_name, prefix, &u);
	}
	if (dir)
		closedir(dir);
	if (r < 0) {
		store_upload_list_free(u.items, u.count);
		return dir_write_error(d, r, err, "list the uploads of", prefix[0] ? prefix : "all keys");
	}
	if (u.count)
		qsort(u.items, u.count, sizeof(*u.items), compare_uploads);
	*ret_uploads = u.items;
	*ret_count = u.count;
	return 0;
}
