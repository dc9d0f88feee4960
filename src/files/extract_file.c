// SPDX-License-Identifier: Apache-2.0
/* One file of an archive: made in the stage, and moved to its name. */
#include "extract.h"

#include "troubles.h"

#include <keepfs/base/fd.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int extract_trouble(const struct extracting *x, const char *path, int errnum, struct error *err)
{
	char shown[300];

	path_printable(path, shown, sizeof(shown));
	if (errnum == EEXIST)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "%s has come into %s, or was changed there, since the two were compared: nothing of it was touched",
		        shown, x->options->directory);
	error_system(err, errnum, "%s of %s cannot be written", shown, x->options->directory);
	/* What is not found, or is not there, is no fault of the backup. */
	if (err && (err->class == ERROR_NOT_FOUND || err->class == ERROR_CORRUPT))
		err->class = ERROR_CONFLICT;
	return -errnum;
}

static void note_trouble(struct first_trouble *t, uint64_t *count, const char *path, int errnum)
{
	if ((*count)++ > 0)
		return;
	t->errnum = errnum;
	path_printable(path, t->path, sizeof(t->path));
}

int extract_attributes(struct extracting *x, int fd, const struct put_wanted *w, const char *path,
                       struct error *err)
{
	int errnum = 0, r = put_apply(&x->u->put, fd, w, &errnum);

	if (r < 0)
		return extract_trouble(x, path, -r, err);
	if (r > 0)
		note_trouble(&x->partly, &x->to->partly, path, errnum);
	return 0;
}

/* The stage. */

static int rename_no_replace(int from, int to, const char *name)
{
	if (renameat2(from, STAGED, to, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that cannot do that in one step. */
	if (linkat(from, STAGED, to, name, 0) < 0)
		return -errno;
	return unlinkat(from, STAGED, 0) < 0 ? -errno : 0;
}

static int move_staged(struct extracting *x, const char *path, bool replaces)
{
	const char *name;
	int parent, r = tree_parent(&x->u->tree, path, &parent, &name);

	if (r < 0)
		return r;
	if (!replaces)
		return rename_no_replace(x->stage.fd, parent, name);
	return renameat(x->stage.fd, STAGED, parent, name) < 0 ? -errno : 0;
}

int extract_have_stage(struct extracting *x, const char *path)
{
	const char *name;
	int parent, r = tree_parent(&x->u->tree, path, &parent, &name);

	return r < 0 ? r : stage_open(&x->stage, x->u->tree.root, parent);
}

/* Files. */

static int write_pieces(struct extracting *x, const struct untar_entry *e, int fd, struct error *err)
{
	const void *data;
	size_t len;
	uint64_t at;
	int r;

	while ((r = untar_data(x->u->untar, &data, &len, &at, err)) > 0) {
		r = unpack_is_cancelled(x->u, err);
		if (r < 0)
			return r;
		r = fd_pwrite_all(fd, data, len, (off_t)at);
		if (r < 0)
			return extract_trouble(x, e->path, -r, err);
	}
	if (r == 0 && ftruncate(fd, (off_t)e->size) < 0)
		return extract_trouble(x, e->path, errno, err);
	return r;
}

static int stage_regular(struct extracting *x, const struct untar_entry *e, bool replaces, struct error *err)
{
	_cleanup(fd) int fd =
	        openat(x->stage.fd, STAGED, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	const struct put_wanted w = put_wanted(&x->u->put, e);
	int r;

	if (fd < 0)
		return extract_trouble(x, e->path, errno, err);
	r = write_pieces(x, e, fd, err);
	if (r == 0)
		r = extract_attributes(x, fd, &w, e->path, err);
	/* The old one goes when the new one is on the disk. */
	if (r == 0 && replaces && fsync(fd) < 0)
		r = extract_trouble(x, e->path, errno, err);
	return r;
}

static int stage_by_kind(struct extracting *x, const struct untar_entry *e)
{
	const char *name;
	int parent, r;

	switch (e->kind) {
	case UNTAR_SYMLINK:
		return symlinkat(e->link, x->stage.fd, STAGED) < 0 ? -errno : 0;
	case UNTAR_HARD_LINK:
		r = tree_parent(&x->u->tree, e->link, &parent, &name);
		if (r < 0)
			return r;
		return linkat(parent, name, x->stage.fd, STAGED, 0) < 0 ? -errno : 0;
	default:
		return mknodat(x->stage.fd, STAGED, (e->mode & S_IFMT) | 0600, e->device) < 0 ? -errno : 0;
	}
}

static int finish_special(struct extracting *x, const struct untar_entry *e, struct error *err)
{
	const struct put_wanted w = put_wanted(&x->u->put, e);
	_cleanup(fd) int fd = -1;

	if (e->kind == UNTAR_HARD_LINK)
		return 0;
	fd = openat(x->stage.fd, STAGED, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? extract_trouble(x, e->path, errno, err) : extract_attributes(x, fd, &w, e->path, err);
}

/* Return: 1: it is staged; 0: it is left out. */
static int stage_entry(struct extracting *x, const struct untar_entry *e, bool replaces, struct error *err)
{
	int r = extract_have_stage(x, e->path);

	if (r < 0)
		return extract_trouble(x, e->path, -r, err);
	if (e->kind == UNTAR_FILE) {
		r = stage_regular(x, e, replaces, err);
		return r < 0 ? r : 1;
	}
	r = stage_by_kind(x, e);
	/* A device, without the right to make one; a further name of one. */
	if ((r == -EPERM && e->kind == UNTAR_SPECIAL) ||
	    (r == -ENOENT && e->kind == UNTAR_HARD_LINK && x->to->left_out > 0)) {
		note_trouble(&x->left_out, &x->to->left_out, e->path, -r);
		return 0;
	}
	if (r < 0)
		return extract_trouble(x, e->path, -r, err);
	r = finish_special(x, e, err);
	return r < 0 ? r : 1;
}

int extract_make(struct extracting *x, const struct untar_entry *e, bool replaces, struct error *err)
{
	int r = stage_entry(x, e, replaces, err);

	if (r > 0) {
		r = move_staged(x, e->path, replaces);
		if (r < 0)
			extract_trouble(x, e->path, -r, err);
		else
			r = 1;
	}
	/* Of two names of one file a rename does nothing. */
	if (x->stage.fd >= 0)
		unlinkat(x->stage.fd, STAGED, 0);
	if (r <= 0)
		return r;
	x->to->files++;
	x->to->replaced += replaces;
	x->to->bytes += e->kind == UNTAR_FILE ? e->size : 0;
	return 0;
}
