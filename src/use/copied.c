// SPDX-License-Identifier: Apache-2.0
#include "copied.h"

#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

#define COPIES_WORD "copies/" /* in the mount, before the name of a store */

bool copied_is_word(const char *word)
{
	return str_starts(word, COPIES_WORD);
}

static size_t store_len(const char *word)
{
	return strcspn(word + strlen(COPIES_WORD), "/");
}

static char *store_name_of(const char *word)
{
	return mem_printf("%.*s", (int)store_len(word), word + strlen(COPIES_WORD));
}

char *copied_path(const char *word)
{
	const char *rest = word + strlen(COPIES_WORD) + store_len(word);

	while (*rest == '/')
		rest++;
	return *rest ? tree_path(rest) : mem_strdup("");
}

static bool is_whole_copy(const struct catalog_replica *row)
{
	return row->state == REPLICA_WHOLE || row->state == REPLICA_REMOVED;
}

/* "….dump.age": as a mount without an identity shows it. How long what it is called else is. */
static size_t plain_len(const char *path)
{
	return strlen(path) - (str_ends(path, MANIFEST_SEALED_SUFFIX) ? strlen(MANIFEST_SEALED_SUFFIX) : 0);
}

static int find_copy_named(struct catalog *c, uint64_t store, const char *path, struct catalog_replica *ret)
{
	_cleanup(free) char *plain = mem_printf("%.*s", (int)plain_len(path), path);
	int r = catalog_replica(c, path, store, ret);

	if (r == -ENOENT)
		r = catalog_replica(c, plain, store, ret);
	return r == -ENOENT ? catalog_newest_copy(c, store, path, ret) : r;
}

static int find_store_of_copies(struct catalog *c, const char *word, const char *name, uint64_t *ret,
                                struct error *err)
{
	int r = catalog_copy_tree_of(c, name, ret);

	if (r == -ENOENT)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%.200s: there is no copy yet in a store that is called %.100s: 'keepfs replicate --list' shows what there is",
		        word, name);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

static int refuse_no_copy(const char *word, const char *name, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.200s is no copy of a backup, and no directory that has any which are whole: write one as the mount shows it (" COPIES_WORD
	        "%.100s/full/20261120T020000Z.dump); 'keepfs replicate --list' lists them",
	        word, name);
}

int copied_find(struct catalog *c, const char *word, char **ret_name, struct catalog_replica *ret_row,
                struct error *err)
{
	_cleanup(free) char *name = store_name_of(word), *path = copied_path(word);
	struct catalog_replica row;
	uint64_t store;
	int r = find_store_of_copies(c, word, name, &store, err);

	if (r < 0)
		return r;
	r = find_copy_named(c, store, path, &row);
	if (r == -ENOENT)
		return refuse_no_copy(word, name, err);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (!is_whole_copy(&row))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%.200s cannot be read: that copy is %s%s%s; 'keepfs replicate --list' shows those that are whole",
		        word, replica_state_name(row.state), row.error[0] ? ": " : "", row.error);
	*ret_name = mem_printf(COPIES_WORD "%s/%s", name, row.path);
	if (ret_row)
		*ret_row = row;
	return 0;
}

int copied_add_target(struct catalog *c, const char *word, struct make_targets *ret,
                      struct make_target **ret_target, struct error *err)
{
	_cleanup(free) char *name = NULL;
	struct catalog_replica row;
	struct make_target *t;
	int r = copied_find(c, word, &name, &row, err);

	if (r < 0)
		return r;
	t = make_targets_add(ret);
	t->label = mem_strdup(name);
	t->directory = mem_strdup(name);
	t->name = take_ptr(&name);
	t->expected_bytes = row.stored_bytes;
	*ret_target = t;
	return 0;
}

struct visiting {
	const char *name, *path; /* of the store; below it: "" for all */
	int (*each)(void *arg, const char *name, struct error *err);
	void *arg;
	uint64_t count;
};

static bool is_visited(const struct visiting *v, const char *path)
{
	size_t len = strlen(v->path), plain = plain_len(v->path);

	return len == 0 || (strncmp(path, v->path, len) == 0 && (path[len] == '/' || !path[len])) ||
	       (strlen(path) == plain && strncmp(path, v->path, plain) == 0);
}

static int visit_copy(void *arg, const struct catalog_replica *row, struct error *err)
{
	struct visiting *v = arg;
	_cleanup(free) char *name = NULL;

	if (!is_whole_copy(row) || !is_visited(v, row->path))
		return 0;
	v->count++;
	name = mem_printf(COPIES_WORD "%s/%s", v->name, row->path);
	return v->each(v->arg, name, err);
}

int copied_each(struct catalog *c, const char *word,
                int (*each)(void *arg, const char *name, struct error *err), void *arg, struct error *err)
{
	_cleanup(free) char *name = store_name_of(word), *path = copied_path(word);
	struct visiting v = {.name = name, .path = path, .each = each, .arg = arg};
	uint64_t store;
	int r = find_store_of_copies(c, word, name, &store, err);

	if (r == 0)
		r = catalog_each_replica(c, NULL, store, visit_copy, &v, err);
	return r == 0 && v.count == 0 ? refuse_no_copy(word, name, err) : r;
}

int copied_open(const struct make_context *ctx, const char *name, struct cancel *cancel, struct copied *ret,
                struct error *err)
{
	struct replica_view_options options = {
	        .repository = ctx->repository, .state_dir = ctx->conf->state_dir, .cancel = cancel};
	struct copied c = {.ctx = *ctx, .path = copied_path(name), .store = store_name_of(name)};
	int r = catalog_copy_tree_of(ctx->repository->catalog, c.store, &options.store);

	options.path = c.path;
	r = r < 0 ? error_set(err, ERROR_NOT_FOUND, ENOENT, "%s is not there any more", name)
	          : replica_view_new(&options, &c.view, err);
	if (r < 0) {
		copied_close(&c);
		return r;
	}
	c.ctx.repository = replica_view_repository(c.view);
	*ret = c;
	return 0;
}

/* What it says itself holds for every store: a key that is missing, an entry that cannot be read. */
static bool says_register(int r, const struct error *why)
{
	return r == -EPERM || r == -ECANCELED || why->class == ERROR_CORRUPT;
}

static int load_for_copy(const struct make_context *ctx, const struct copied *copy,
                         const struct make_order *order, const struct conf *conf, struct erasures **ret,
                         struct error *err)
{
	struct error why = {0}, again = {0};
	int r = erasures_load(conf, ctx->repository, order->cancel, ret, &why), other;

	if (r < 0 && copy && !says_register(r, &why)) {
		other = erasures_load_copy(conf, copy->ctx.repository, order->cancel, ret, &again);
		if (other == 0)
			make_warn(
			        order,
			        "what was erased is taken from the register in %s and on this host, since %s",
			        copy->store, why.message);
		if (other == 0 || says_register(other, &again)) {
			r = other;
			why = again;
		}
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

int copied_erasures(const struct make_context *ctx, const struct copied *copy, const struct make_order *order,
                    struct erasures **ret, struct error *err)
{
	const struct conf *conf = make_conf_ref(ctx);
	int r = load_for_copy(ctx, copy, order, conf, ret, err);

	make_conf_unref(ctx, conf);
	return r;
}

void copied_found_right(const struct copied *c)
{
	replica_view_found_right(c->view, NULL);
}

void copied_found_wrong(const struct copied *c, const char *path, const char *why)
{
	if (c)
		replica_view_found_wrong(c->view, path && tree_is_pack(path) ? path : NULL, why);
}

void copied_close(struct copied *c)
{
	replica_view_free(c->view);
	free(c->path);
	free(c->store);
	*c = (struct copied){0};
}
