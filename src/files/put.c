// SPDX-License-Identifier: Apache-2.0
#include "put.h"

#include "fd_path.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

static const char *const acl_names[] = {"system.posix_acl_access", "system.posix_acl_default"};

static bool is_acl(const char *name)
{
	return str_equal(name, acl_names[0]) || str_equal(name, acl_names[1]);
}

struct put_wanted put_wanted(struct put *p, const struct untar_entry *e)
{
	mode_t kept = p->sets_owners ? 07777 : 01777;

	return (struct put_wanted){
	        .uid = p->by_number ? e->uid : owner_ids_user(&p->ids, e->user, e->uid),
	        .gid = p->by_number ? e->gid : owner_ids_group(&p->ids, e->group, e->gid),
	        .mode = e->mode & kept,
	        .is_symlink = e->kind == UNTAR_SYMLINK,
	        .mtime = e->mtime,
	        .attributes = (struct untar_attribute *)e->attributes,
	        .attribute_count = e->attribute_count,
	};
}

struct put_wanted put_wanted_copy(const struct put_wanted *w)
{
	struct put_wanted copy = *w;

	copy.attributes = mem_array(w->attribute_count + 1, sizeof(*copy.attributes));
	for (size_t i = 0; i < w->attribute_count; i++) {
		const struct untar_attribute *a = &w->attributes[i];

		copy.attributes[i] = (struct untar_attribute){
		        .name = mem_strdup(a->name), .value = mem_alloc(a->bytes + 1), .bytes = a->bytes};
		memcpy(copy.attributes[i].value, a->value, a->bytes);
	}
	return copy;
}

void put_wanted_finish(struct put_wanted *w)
{
	for (size_t i = 0; i < w->attribute_count; i++) {
		free(w->attributes[i].name);
		free(w->attributes[i].value);
	}
	free(w->attributes);
	*w = (struct put_wanted){0};
}

static const struct untar_attribute *find_attribute(const struct put_wanted *w, const char *name)
{
	for (size_t i = 0; i < w->attribute_count; i++)
		if (str_equal(w->attributes[i].name, name))
			return &w->attributes[i];
	return NULL;
}

/* What the kernel, or a security module, gives a file by itself is nobody's to compare or to remove. */
static bool is_ours(const char *name)
{
	return str_starts(name, "user.") || is_acl(name);
}

/* What everybody may set on his own file. */
static bool may_be_set(const struct put *p, const char *name)
{
	return p->sets_owners || is_ours(name);
}

/* Return: of @p's room the names that it has; 0 where the file system has none. */
static ssize_t list_attributes(struct put *p, const char *path)
{
	ssize_t len = listxattr(path, p->room.names, sizeof(p->room.names));

	return len < 0 && errno == ENOTSUP ? 0 : len < 0 ? -errno : len;
}

/* Giving. */

static int add_attributes(const struct put *p, const char *path, const struct put_wanted *w, bool acls)
{
	int worst = 0;

	for (size_t i = 0; i < w->attribute_count; i++) {
		const struct untar_attribute *a = &w->attributes[i];

		if (is_acl(a->name) != acls)
			continue;
		if (!may_be_set(p, a->name))
			worst = EPERM;
		else if (setxattr(path, a->name, a->value, a->bytes, 0) < 0)
			worst = errno;
	}
	return worst;
}

/* Those that it should not have: an ACL that was inherited from its directory, above all. */
static void remove_others(struct put *p, const char *path, const struct put_wanted *w)
{
	ssize_t len = list_attributes(p, path);

	for (const char *name = p->room.names; name < p->room.names + len; name += strlen(name) + 1)
		if (is_ours(name) && !find_attribute(w, name))
			removexattr(path, name);
}

/* A disk without room is an error, and what a file system does not know is not. */
static int judge_put(int errnum, int *io_r, int *ret_errnum)
{
	if (errnum == 0)
		return 0;
	if (errnum == ENOSPC || errnum == EDQUOT || errnum == EIO || errnum == EROFS)
		return -errnum;
	*io_r = 1;
	*ret_errnum = errnum;
	return 0;
}

int put_apply(struct put *p, int fd, const struct put_wanted *w, int *ret_errnum)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, w->mtime};
	char path[FD_PATH_BYTES];
	mode_t mode = w->mode;
	int r, partly = 0;

	fd_path(fd, path);
	r = judge_put(p->sets_owners && chown(path, w->uid, w->gid) < 0 ? errno : 0, &partly, ret_errnum);
	/* Nobody's rights are for him whose file it is instead. */
	if (partly)
		mode &= 01777;
	if (r == 0) {
		remove_others(p, path, w);
		r = judge_put(add_attributes(p, path, w, false), &partly, ret_errnum);
	}
	if (r == 0 && !w->is_symlink)
		r = judge_put(chmod(path, mode) < 0 ? errno : 0, &partly, ret_errnum);
	if (r == 0)
		r = judge_put(add_attributes(p, path, w, true), &partly, ret_errnum);
	if (r == 0)
		r = judge_put(utimensat(AT_FDCWD, path, times, 0) < 0 ? errno : 0, &partly, ret_errnum);
	return r < 0 ? r : partly;
}

/* Comparing. */

/* A file system that knows none of them has nothing to differ in. */
static bool has_value(struct put *p, const char *path, const struct untar_attribute *a)
{
	ssize_t len = getxattr(path, a->name, p->room.value, sizeof(p->room.value));

	if (len < 0 && errno == ENOTSUP)
		return true;
	return len >= 0 && (size_t)len == a->bytes && memcmp(p->room.value, a->value, a->bytes) == 0;
}

static bool attributes_differ(struct put *p, int fd, const struct put_wanted *w)
{
	char path[FD_PATH_BYTES];
	ssize_t len = list_attributes(p, fd_path(fd, path));

	for (const char *name = p->room.names; name < p->room.names + len; name += strlen(name) + 1)
		if (is_ours(name) && !find_attribute(w, name))
			return true;
	for (size_t i = 0; i < w->attribute_count; i++)
		if (may_be_set(p, w->attributes[i].name) && !has_value(p, path, &w->attributes[i]))
			return true;
	return false;
}

const char *put_difference(struct put *p, int fd, const struct stat *st, const struct put_wanted *w,
                           bool without_time)
{
	if (p->sets_owners && (st->st_uid != w->uid || st->st_gid != w->gid))
		return "owner";
	if (!w->is_symlink && (st->st_mode & (p->sets_owners ? 07777U : 01777U)) != w->mode)
		return "mode";
	if (!without_time &&
	    (st->st_mtim.tv_sec != w->mtime.tv_sec || st->st_mtim.tv_nsec != w->mtime.tv_nsec))
		return "time";
	return attributes_differ(p, fd, w) ? "attributes" : NULL;
}
