// SPDX-License-Identifier: Apache-2.0
#include "same.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

int same_look(struct files_unpack *u, const char *path, struct same_place *ret)
{
	int parent, r = u->tree.root < 0 ? -ENOENT : 0;
	const char *name;

	ret->fd = -1;
	if (r == 0)
		r = tree_parent(&u->tree, path, &parent, &name);
	if (r == 0) {
		ret->fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		r = ret->fd < 0 || fstat(ret->fd, &ret->st) < 0 ? -errno : 0;
	}
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

void same_close(struct same_place *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static const char *link_difference(const struct untar_entry *e, const struct same_place *s)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(s->fd, "", target, sizeof(target));

	return n >= 0 && (size_t)n == strlen(e->link) && memcmp(target, e->link, (size_t)n) == 0 ? NULL
	                                                                                         : "link";
}

/* The same file as the one that the archive says it is. */
static const char *hard_link_difference(struct files_unpack *u, const struct untar_entry *e,
                                        const struct same_place *s)
{
	_cleanup(same_place) struct same_place first = {.fd = -1};

	if (S_ISDIR(s->st.st_mode))
		return "kind";
	if (same_look(u, e->link, &first) < 0 || first.fd < 0)
		return "hard link";
	return first.st.st_dev == s->st.st_dev && first.st.st_ino == s->st.st_ino ? NULL : "hard link";
}

const char *same_difference(struct files_unpack *u, const struct untar_entry *e, const struct same_place *s)
{
	const struct put_wanted w = put_wanted(&u->put, e);
	const char *what = NULL;

	if (e->kind == UNTAR_HARD_LINK)
		return hard_link_difference(u, e, s);
	if ((s->st.st_mode & S_IFMT) != (e->mode & S_IFMT))
		return "kind";
	if (e->kind == UNTAR_FILE && (uint64_t)s->st.st_size != e->size)
		return "size";
	if (e->kind == UNTAR_SYMLINK)
		what = link_difference(e, s);
	if ((S_ISCHR(e->mode) || S_ISBLK(e->mode)) && s->st.st_rdev != e->device)
		what = "device";
	return what ? what : put_difference(&u->put, s->fd, &s->st, &w, e->kind == UNTAR_DIRECTORY);
}
