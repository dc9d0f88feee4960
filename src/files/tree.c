// SPDX-License-Identifier: Apache-2.0
#include "tree.h"

#include "fd_path.h"

#include <keepfs/base/mem.h>
#include <keepfs/files/tree_path.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define REACHED (O_PATH | O_DIRECTORY | O_CLOEXEC)

int tree_open(struct tree *t, const char *directory)
{
	*t = (struct tree){.root = open(directory, REACHED), .parent = -1};
	return t->root < 0 ? -errno : 0;
}

void tree_forget(struct tree *t)
{
	if (t->parent >= 0)
		close(t->parent);
	t->parent = -1;
}

void tree_finish(struct tree *t)
{
	tree_forget(t);
	if (t->root >= 0)
		close(t->root);
	t->root = -1;
	str_finish(&t->path);
}

/* Takes @from over. Return: the directory, or negative errno. */
static int step_into(int from, const char *name)
{
	int next = openat(from, name, REACHED | O_NOFOLLOW), errnum = errno;

	close(from);
	return next < 0 ? -errnum : next;
}

static int reach(const struct tree *t, const char *path)
{
	_cleanup(free) char *names = mem_strdup(path);
	char *rest = *path ? names : NULL, *name;
	int fd = fcntl(t->root, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	while (fd >= 0 && (name = strsep(&rest, "/")))
		fd = step_into(fd, name);
	return fd;
}

static bool is_at(const struct tree *t, const char *path, size_t len)
{
	return t->parent >= 0 && t->path.len == len && memcmp(str_text(&t->path), path, len) == 0;
}

int tree_parent(struct tree *t, const char *path, int *ret_fd, const char **ret_name)
{
	size_t len = tree_path_parent_bytes(path);

	if (!is_at(t, path, len)) {
		tree_forget(t);
		str_clear(&t->path);
		str_append_bytes(&t->path, path, len);
		t->parent = reach(t, str_text(&t->path));
		if (t->parent < 0)
			return t->parent;
	}
	*ret_fd = t->parent;
	*ret_name = *path ? path + len + (len > 0) : ".";
	return 0;
}

int tree_is_empty(const struct tree *t)
{
	int fd = fd_reopen(t->root, O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int is_empty = 1;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (is_empty && (entry = readdir(dir)))
		is_empty = str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..");
	closedir(dir);
	return is_empty;
}
