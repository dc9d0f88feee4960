// SPDX-License-Identifier: Apache-2.0
#include "unpack.h"

#include "troubles.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/files/tree_path.h>

#include <errno.h>
#include <string.h>

int unpack_is_cancelled(const struct files_unpack *u, struct error *err)
{
	return cancel_is_set(u->options->cancel) ? error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled")
	                                         : 0;
}

/* keepfs writes a directory before what is in it, and all of that in one place. So a name below a link is refused before anything is made. */
int unpack_check_order(struct files_unpack *u, const struct untar_entry *e, struct error *err)
{
	size_t len = tree_path_parent_bytes(e->path);
	_cleanup(free) char *parent = mem_printf("%.*s", (int)len, e->path);
	char shown[300];

	if (!tree_path_is_below(str_text(&u->above), parent)) {
		path_printable(e->path, shown, sizeof(shown));
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the archive is not one that keepfs has made: %s does not follow on the directory that it is in",
		        shown);
	}
	str_clear(&u->above);
	str_append(&u->above, e->kind == UNTAR_DIRECTORY ? e->path : parent);
	return 0;
}

static void note_found(struct files_unpack *u, const struct untar_entry *e)
{
	char *const *choices = u->options->paths;

	for (size_t i = 0; choices && choices[i]; i++)
		u->found[i] = u->found[i] || tree_path_meets(e->path, e->kind == UNTAR_DIRECTORY, choices[i]);
}

static int check_all_found(const struct files_unpack *u, struct error *err)
{
	char shown[300];

	for (size_t i = 0; u->options->paths && u->options->paths[i]; i++) {
		if (u->found[i])
			continue;
		path_printable(u->options->paths[i], shown, sizeof(shown));
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "the backup has nothing that is chosen by %s: write paths as they are below the archived directory (a/b.txt), or patterns (*.jpg, a/**)",
		        shown);
	}
	return 0;
}

static int take_next_entry(struct files_unpack *u, const struct untar_entry *e, struct error *err)
{
	int r = unpack_is_cancelled(u, err);

	if (r == 0)
		r = unpack_check_order(u, e, err);
	if (r < 0)
		return r;
	note_found(u, e);
	return u->comparing ? comparing_entry(u->comparing, e, err) : extracting_entry(u->extracting, e, err);
}

static int take_all_entries(struct files_unpack *u, struct error *err)
{
	const struct untar_entry *e;
	int r;

	while ((r = untar_next(u->untar, &e, err)) > 0) {
		r = take_next_entry(u, e, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : check_all_found(u, err);
}

static int compare_all_entries(struct files_unpack *u, struct error *err)
{
	int r;

	u->comparing = comparing_new(u);
	r = take_all_entries(u, err);
	if (r == 0)
		r = comparing_end(u->comparing, err);
	u->comparing = comparing_free(u->comparing);
	return r;
}

static int extract_all_entries(struct files_unpack *u, struct error *err)
{
	int r = extracting_begin(u, &u->extracting, err);

	if (r < 0)
		return r;
	r = take_all_entries(u, err);
	return extracting_end(u->extracting, r, err);
}

static void *unpack_thread(void *arg)
{
	struct files_unpack *u = arg;

	u->result = u->comparison ? compare_all_entries(u, &u->error) : extract_all_entries(u, &u->error);
	feed_close(&u->feed);
	return NULL;
}

static size_t count_paths(char *const *paths)
{
	size_t count = 0;

	while (paths && paths[count])
		count++;
	return count;
}

static int open_tree(struct files_unpack *u, struct error *err)
{
	int r = tree_open(&u->tree, u->options->directory);

	if (r == 0 || r == -ENOENT)
		return 0;
	return error_system(err, -r, "%s cannot be restored into", u->options->directory);
}

static int unpack_start(struct files_unpack *u, struct error *err)
{
	int r = open_tree(u, err);

	if (r < 0)
		return r;
	u->put.sets_owners = geteuid() == 0;
	u->put.by_number = u->options->by_number;
	u->found = mem_array(count_paths(u->options->paths) + 1, sizeof(*u->found));
	u->untar = untar_new(&u->feed);
	r = thread_start(&u->thread, "files-unpack", unpack_thread, u);
	if (r < 0)
		return error_system(err, -r, "a thread for unpacking cannot be started");
	u->is_running = true;
	return 0;
}

static struct files_unpack *unpack_new(const struct files_unpack_options *options)
{
	struct files_unpack *u = mem_alloc(sizeof(*u));

	u->options = options;
	u->tree = (struct tree){.root = -1, .parent = -1};
	feed_init(&u->feed);
	return u;
}

int files_compare_begin(const struct files_unpack_options *options, struct files_comparison *ret_result,
                        struct files_unpack **ret, struct error *err)
{
	_cleanup(files_unpack) struct files_unpack *u = unpack_new(options);
	int r;

	u->comparison = ret_result;
	r = unpack_start(u, err);
	if (r == 0)
		*ret = take_ptr(&u);
	return r;
}

int files_extract_begin(const struct files_unpack_options *options, const struct files_comparison *known,
                        struct files_outcome *ret_result, struct files_unpack **ret, struct error *err)
{
	_cleanup(files_unpack) struct files_unpack *u = unpack_new(options);
	int r;

	*ret_result = (struct files_outcome){0};
	u->known = known;
	u->outcome = ret_result;
	r = unpack_start(u, err);
	if (r == 0)
		*ret = take_ptr(&u);
	return r;
}

static void join_thread(struct files_unpack *u)
{
	if (u->is_running && !u->is_joined)
		pthread_join(u->thread, NULL);
	u->is_joined = true;
}

static int unpack_result(struct files_unpack *u, struct error *err)
{
	join_thread(u);
	if (u->result < 0 && err)
		*err = u->error;
	return u->result;
}

int files_unpack_write(struct files_unpack *u, const void *data, size_t len, struct error *err)
{
	if (feed_put(&u->feed, data, len) == 0 || u->comparison)
		return 0;
	return unpack_result(u, err);
}

int files_unpack_finish(struct files_unpack *u, struct error *err)
{
	feed_end(&u->feed, false);
	return unpack_result(u, err);
}

struct files_unpack *files_unpack_free(struct files_unpack *u)
{
	if (!u)
		return NULL;
	feed_end(&u->feed, true);
	join_thread(u);
	if (u->untar)
		untar_free(u->untar);
	tree_finish(&u->tree);
	feed_finish(&u->feed);
	str_finish(&u->above);
	free(u->found);
	free(u);
	return NULL;
}
