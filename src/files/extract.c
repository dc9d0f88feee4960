// SPDX-License-Identifier: Apache-2.0
/*
 * An archive unpacked. A file is made in the stage and gets its name when it is whole; a directory is made where it goes, with rights for
 * us alone, and gets its own, and its time, when all that is in it is there.
 */
#include "extract.h"
#include "fd_path.h"
#include "same.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/files/tree_path.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>

#define FIRST_LEVELS 16

/* Attributes. */

static int finish_level(struct extracting *x, struct unfinished *l, struct error *err)
{
	_cleanup(same_place) struct same_place s = {.fd = -1};
	bool is_ours = l->state == LEVEL_OURS;
	int r = is_ours ? same_look(x->u, l->path, &s) : 0;

	if (r == 0 && is_ours && (s.fd < 0 || !S_ISDIR(s.st.st_mode)))
		r = -ENOTDIR;
	if (r < 0)
		extract_trouble(x, l->path, -r, err);
	else if (is_ours)
		r = extract_attributes(x, s.fd, &l->wanted, l->path, err);
	put_wanted_finish(&l->wanted);
	free(l->path);
	l->path = NULL;
	return r;
}

/* Those that @path (NULL: nothing) is not in. The first error is told, and the others are finished all the same. */
static int finish_levels(struct extracting *x, const char *path, struct error *err)
{
	int first = 0;

	while (x->depth > 0) {
		struct unfinished *l = &x->levels[x->depth - 1];
		struct error why = {0};
		int r;

		if (path && tree_path_is_below(path, l->path))
			break;
		x->depth--;
		r = finish_level(x, l, &why);
		if (r < 0 && first == 0) {
			first = r;
			if (err)
				*err = why;
		}
	}
	return first;
}

static void push_level(struct extracting *x, const char *path, const struct put_wanted *w,
                       enum level_state state)
{
	if (x->depth == x->room) {
		x->room = x->room ? x->room * 2 : FIRST_LEVELS;
		x->levels = mem_resize(x->levels, x->room, sizeof(*x->levels));
	}
	x->levels[x->depth++] =
	        (struct unfinished){.path = mem_strdup(path), .wanted = put_wanted_copy(w), .state = state};
}

/* Files. */

/* Was it found to be equal, and is it still what it was? */
static bool is_equal_still(struct extracting *x, const struct untar_entry *e, const struct same_place *s)
{
	const struct files_comparison *k = x->u->known;
	size_t at = e->number / 8;
	bool was_equal = at < k->is_equal_bytes && k->is_equal[at] & 1U << e->number % 8;

	return (was_equal || e->kind == UNTAR_HARD_LINK) && !same_difference(x->u, e, s);
}

static int extract_file(struct extracting *x, const struct untar_entry *e, struct error *err)
{
	_cleanup(same_place) struct same_place s = {.fd = -1};
	int r = same_look(x->u, e->path, &s);

	if (r < 0)
		return extract_trouble(x, e->path, -r, err);
	if (s.fd >= 0 && is_equal_still(x, e, &s))
		return 0;
	if (s.fd >= 0 && x->options->keep && !S_ISDIR(s.st.st_mode))
		return 0;
	if (s.fd >= 0 && (!x->options->overwrite || S_ISDIR(s.st.st_mode)))
		return extract_trouble(x, e->path, EEXIST, err);
	return extract_make(x, e, s.fd >= 0, err);
}

/* Directories. */

/* In the place of a file, or a link: in one step, where the file system can do that. */
static int exchange_for_directory(struct extracting *x, const char *path)
{
	const char *name;
	int parent, r = extract_have_stage(x, path);

	if (r == 0)
		r = tree_parent(&x->u->tree, path, &parent, &name);
	if (r == 0 && mkdirat(x->stage.fd, STAGED, 0700) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (renameat2(x->stage.fd, STAGED, parent, name, RENAME_EXCHANGE) == 0)
		return unlinkat(x->stage.fd, STAGED, 0) < 0 ? -errno : 0;
	if (errno != EINVAL && errno != ENOSYS)
		r = -errno;
	else if (unlinkat(parent, name, 0) < 0 || renameat(x->stage.fd, STAGED, parent, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(x->stage.fd, STAGED, AT_REMOVEDIR);
	return r;
}

static int make_directory(struct extracting *x, const char *path)
{
	const char *name;
	int parent, r = tree_parent(&x->u->tree, path, &parent, &name);

	if (r < 0)
		return r;
	return mkdirat(parent, name, 0700) < 0 ? -errno : 0;
}

/* Return: 1: it was made; 0: it is there. */
static int have_directory(struct extracting *x, const char *path, bool replaces, struct error *err)
{
	_cleanup(same_place) struct same_place s = {.fd = -1};
	int r = same_look(x->u, path, &s);

	if (r == 0 && s.fd >= 0 && S_ISDIR(s.st.st_mode))
		return 0;
	if (r == 0 && s.fd >= 0)
		r = replaces ? exchange_for_directory(x, path) : -EEXIST;
	else if (r == 0)
		r = make_directory(x, path);
	if (r < 0)
		return extract_trouble(x, path, -r, err);
	x->to->directories++;
	x->to->replaced += s.fd >= 0;
	tree_forget(&x->u->tree);
	return 1;
}

static int extract_directory(struct extracting *x, const struct untar_entry *e, struct error *err)
{
	const struct put_wanted w = put_wanted(&x->u->put, e);
	int r = have_directory(x, e->path, x->options->overwrite, err);

	if (r < 0)
		return r;
	push_level(x, e->path, &w, r > 0 || x->options->overwrite ? LEVEL_OURS : LEVEL_LEFT);
	return 0;
}

static int have_parents(struct extracting *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < x->depth; i++) {
		struct unfinished *l = &x->levels[i];

		if (l->state != LEVEL_PENDING)
			continue;
		r = have_directory(x, l->path, false, err);
		l->state = r > 0 ? LEVEL_OURS : LEVEL_LEFT;
	}
	return r < 0 ? r : 0;
}

/* What we have made, what was empty, and what is to be overwritten becomes what was archived. */
static void take_root(struct extracting *x, const struct untar_entry *e)
{
	const struct put_wanted w = put_wanted(&x->u->put, e);
	bool wanted =
	        x->made_root || (!x->options->paths && (x->u->known->is_empty || x->options->overwrite));

	if (wanted && !x->root.path)
		x->root = (struct unfinished){
		        .path = mem_strdup(""), .wanted = put_wanted_copy(&w), .state = LEVEL_OURS};
}

static int pass_by(struct extracting *x, const struct untar_entry *e)
{
	const struct put_wanted w = put_wanted(&x->u->put, e);

	if (e->kind == UNTAR_DIRECTORY)
		push_level(x, e->path, &w, LEVEL_PENDING);
	return 0;
}

int extracting_entry(struct extracting *x, const struct untar_entry *e, struct error *err)
{
	bool is_directory = e->kind == UNTAR_DIRECTORY;
	int r = finish_levels(x, e->path, err);

	if (r < 0)
		return r;
	if (!*e->path) {
		take_root(x, e);
		return 0;
	}
	if (!tree_path_is_chosen(e->path, is_directory, x->options->paths))
		return pass_by(x, e);
	r = have_parents(x, err);
	if (r < 0)
		return r;
	return is_directory ? extract_directory(x, e, err) : extract_file(x, e, err);
}

/* The beginning and the end. */

int extracting_begin(struct files_unpack *u, struct extracting **ret, struct error *err)
{
	const char *directory = u->options->directory;
	struct extracting *x;
	bool made = false;
	int r = 0;

	if (u->tree.root < 0) {
		made = mkdir(directory, 0700) == 0;
		r = made ? tree_open(&u->tree, directory) : -errno;
	}
	if (r < 0)
		return error_system(err, -r, "the directory %s cannot be made", directory);
	x = mem_alloc(sizeof(*x));
	x->u = u;
	x->options = u->options;
	x->to = u->outcome;
	x->made_root = made;
	x->stage = (struct stage){.name = u->options->stage, .fd = -1, .at = -1};
	*ret = x;
	return 0;
}

static void warn_of(const struct extracting *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn_of(const struct extracting *x, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	if (x->options->warn)
		x->options->warn(x->options->arg, str_text(&line));
}

static void tell_troubles(const struct extracting *x)
{
	if (x->to->partly > 0)
		warn_of(x,
		        "of %" PRIu64
		        " files and directories the owner, or some attributes, could not be set; the first: %s: %s",
		        x->to->partly, x->partly.path, strerror(x->partly.errnum));
	if (x->to->left_out > 0)
		warn_of(x,
		        "%" PRIu64 " devices were left out, since only root may make them; the first: %s: %s",
		        x->to->left_out, x->left_out.path, strerror(x->left_out.errnum));
}

static int flush_to_disk(const struct extracting *x, struct error *err)
{
	_cleanup(fd) int fd = fd_reopen(x->u->tree.root, O_DIRECTORY);

	if (fd >= 0 && syncfs(fd) == 0)
		return 0;
	return error_system(err, fd < 0 ? -fd : errno, "%s cannot be brought to the disk",
	                    x->options->directory);
}

static bool made_nothing(const struct extracting *x)
{
	return x->to->files + x->to->directories == 0;
}

int extracting_end(struct extracting *x, int r, struct error *err)
{
	struct error later = {0};
	int finished = finish_levels(x, NULL, &later);

	/* That changes the time of the root. */
	stage_close(&x->stage);
	if (x->root.path && (r == 0 || !made_nothing(x)) && finished == 0)
		finished = finish_level(x, &x->root, &later);
	if (r == 0 && finished == 0)
		finished = flush_to_disk(x, &later);
	if (r == 0 && finished < 0 && err)
		*err = later;
	r = r < 0 ? r : finished;
	if (r < 0 && x->made_root && made_nothing(x))
		rmdir(x->options->directory);
	tell_troubles(x);
	put_wanted_finish(&x->root.wanted);
	free(x->root.path);
	free(x->levels);
	free(x);
	return r;
}
