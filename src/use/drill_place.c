// SPDX-License-Identifier: Apache-2.0
#include "drill_place.h"

#include "restore_files.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/mirror/back.h>
#include <keepfs/store/source.h>
#include <keepfs/use.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define PLACE_PREFIX      "keepfs-drill-"
#define PLACE_DIRECTORY   "dir:"
#define PLACE_CONNECTIONS 16U
#define BASE_BYTES        500U /* of an url: the catalog has no room for more */

static bool is_directory_place(const char *url)
{
	return str_starts(url, PLACE_DIRECTORY);
}

/* Whose place it is. */

static char *real_place(const char *url)
{
	_cleanup(free) char *real =
	        is_directory_place(url) ? restore_files_place(url + strlen(PLACE_DIRECTORY)) : NULL;

	return real ? mem_printf(PLACE_DIRECTORY "%s", real) : mem_strdup(url);
}

/* The mount is not asked where its own path leads to: it would ask keepfs. */
static bool is_the_same_place(const struct conf *conf, const char *url, const char *real, const char *used)
{
	bool is_mount = is_directory_place(used) &&
	                str_equal(used + strlen(PLACE_DIRECTORY), str_or_empty(conf->mountpoint));
	_cleanup(free) char *real_used = is_mount ? NULL : real_place(used);

	return conf_places_overlap(url, used) || conf_places_overlap(real, used) ||
	       (real_used && conf_places_overlap(real, real_used));
}

int drill_place_check_url(const struct conf *conf, const char *url, struct error *err)
{
	_cleanup(free) char *real = NULL;
	struct conf_place_row used;
	struct conf_store to;
	/* Of any job: whether it is a place at all. */
	int r = mirror_back_place(conf, "", url, &to, err);

	if (r < 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "mirror=%.200s is no place for objects: write mirror=s3://bucket/prefix or mirror=dir:/absolute/path",
		        url);
	if (strlen(url) > BASE_BYTES)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%.80s… is too long for a place of drills: %u bytes at most", url,
		                 BASE_BYTES);
	real = real_place(url);
	for (size_t n = 0; conf_used_place(conf, n, &used); n++) {
		_cleanup(free) char *there = used.url;

		if (there && is_the_same_place(conf, url, real, there))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "a drill would write into %s, and remove it again, and that lies in, around or at %s (%s): name a place that nothing else uses (drill_mirror, mirror=)",
			        url, used.title, there);
	}
	return 0;
}

static int refuse_full_place(const char *base, const char *name, struct error *err)
{
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "%s, where drills bring mirrors back, is not empty (%.200s), and no drill of this keepfs has left that: name an empty place (drill_mirror, mirror=), or remove it if it is nobody's",
	        base, name);
}

static int check_empty_bucket(const struct drill_place *p, const struct conf_store *to, struct error *err)
{
	const struct store_call call = {.cancel = p->order->cancel};
	_cleanup(source) struct source *s = NULL;
	_cleanup(source_list) struct source_list *list = NULL;
	_cleanup(source_object) struct source_object o = {0};
	int r = source_open(to, 1, &s, err);

	if (r < 0)
		return r;
	list = source_list_new(s, &call);
	r = source_list_next(list, &o, err);
	return r == 1 ? refuse_full_place(p->base, o.key, err) : r;
}

/* What a file system has of its own. */
static bool is_nobodys(const char *name)
{
	return str_equal(name, ".") || str_equal(name, "..") || str_equal(name, "lost+found");
}

static int check_empty_directory(const struct drill_place *p, const char *path, struct error *err)
{
	const struct dirent *entry;
	int r = fd_make_dirs(path, 0700);
	DIR *dir = r < 0 ? NULL : opendir(path);

	if (!dir)
		return error_system(err, r < 0 ? -r : errno,
		                    "%s, where drills bring mirrors back, cannot be made or read", path);
	while (r == 0 && (entry = readdir(dir)))
		if (!is_nobodys(entry->d_name))
			r = refuse_full_place(p->base, entry->d_name, err);
	closedir(dir);
	return r;
}

/* What is left. */

struct left_place {
	char name[64], base[512], mirror[256];
	int64_t run_id;
};
struct left_places {
	struct left_place *items;
	size_t count;
};

static void free_left_places(struct left_places *l)
{
	free(l->items);
}

static void take_left_place(void *arg, const struct catalog_restore *x)
{
	struct left_places *l = arg;
	struct left_place *one;

	if (x->phase != RESTORE_PHASE_SCRATCH || !x->is_over)
		return;
	l->items = mem_resize(l->items, l->count + 1, sizeof(*l->items));
	one = &l->items[l->count++];
	*one = (struct left_place){.run_id = x->run_id};
	str_copy(one->name, sizeof(one->name), x->target);
	str_copy(one->base, sizeof(one->base), x->server);
	str_copy(one->mirror, sizeof(one->mirror), x->made);
}

static int find_left_places(struct catalog *c, struct left_places *ret, struct error *err)
{
	int r = catalog_each_restore(c, take_left_place, ret);

	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

static char *url_of_place(const char *base, const char *name)
{
	size_t len = strlen(base);

	return mem_printf("%s%s%s", base, len > 0 && base[len - 1] == '/' ? "" : "/", name);
}

/* Only what a drill calls so is ever removed, whatever a catalog says. */
static int empty_place(const struct conf *conf, const char *base, const char *name, const char *mirror,
                       struct cancel *cancel, struct error *err)
{
	_cleanup(free) char *url = url_of_place(base, name);
	_cleanup(source) struct source *s = NULL;
	const struct store_call call = {.cancel = cancel};
	struct conf_store to;
	int r;

	if (!str_starts(name, PLACE_PREFIX) || strchr(name, '/'))
		return error_set(err, ERROR_USAGE, EINVAL, "%s is called otherwise than what drills make",
		                 name);
	r = mirror_back_place(conf, mirror, url, &to, err);
	if (r == 0)
		r = source_open(&to, PLACE_CONNECTIONS, &s, err);
	return r < 0 ? r : source_empty(s, &call, err);
}

static int clear_left_place(const struct make_context *ctx, const struct make_order *order,
                            const struct conf *conf, const struct left_place *left, struct error *err)
{
	const struct catalog_restore_which which = {
	        .run_id = left->run_id, .target = left->name, .server = left->base};
	int r = empty_place(conf, left->base, left->name, left->mirror, order->cancel, err);

	if (r < 0) {
		error_prefix(err, "%s/%s, which a drill has left, could not be removed", left->base,
		             left->name);
		return r;
	}
	make_say(order, "%s/%s, which run %" PRId64 " had left, is removed", left->base, left->name,
	         left->run_id);
	return catalog_end_restore(ctx->repository->catalog, &which, err);
}

/* @name: of the place; NULL: all of those in @base. */
static int clear_left(const struct make_context *ctx, const struct make_order *order, const struct conf *conf,
                      const char *base, const char *name, struct error *err)
{
	struct left_places left = {0};
	int r = find_left_places(ctx->repository->catalog, &left, err);

	for (size_t i = 0; r == 0 && i < left.count; i++)
		if ((!base || str_equal(left.items[i].base, base)) &&
		    (!name || str_equal(left.items[i].name, name)))
			r = clear_left_place(ctx, order, conf, &left.items[i], err);
	free_left_places(&left);
	return r;
}

int drill_places_left(struct catalog *c, struct make_targets *ret, struct error *err)
{
	struct left_places left = {0};
	int r = find_left_places(c, &left, err);

	for (size_t i = 0; r == 0 && i < left.count; i++) {
		struct make_target *t = make_targets_add(ret);

		t->name = mem_strdup(left.items[i].name);
		t->label = url_of_place(left.items[i].base, left.items[i].name);
		t->directory = mem_strdup(t->name);
	}
	free_left_places(&left);
	return r;
}

int drill_place_clear(const struct make_context *ctx, const struct make_order *order, struct error *err)
{
	const struct conf *conf = make_conf_ref(ctx);
	int r = clear_left(ctx, order, conf, NULL, order->target->name, err);

	make_conf_unref(ctx, conf);
	return r;
}

bool use_drill_has_left(struct catalog *catalog)
{
	struct left_places left = {0};
	bool found = find_left_places(catalog, &left, NULL) == 0 && left.count > 0;

	free_left_places(&left);
	return found;
}

/* One of its own. */

int drill_place_check(const struct drill_place *p, struct error *err)
{
	struct conf_store to;
	int r = drill_place_check_url(p->conf, p->base, err);

	if (r == 0)
		r = clear_left(p->ctx, p->order, p->conf, p->base, NULL, err);
	if (r == 0)
		r = mirror_back_place(p->conf, p->mirror, p->base, &to, err);
	if (r < 0)
		return r;
	return is_directory_place(p->base) ? check_empty_directory(p, p->base + strlen(PLACE_DIRECTORY), err)
	                                   : check_empty_bucket(p, &to, err);
}

static int note_drill_place(struct drill_place *p, struct error *err)
{
	struct catalog_restore x = {.run_id = p->order->run_id,
	                            .phase = RESTORE_PHASE_SCRATCH,
	                            .begun_at_us = make_now_us(p->ctx)};
	int r;

	str_copy(x.target, sizeof(x.target), p->name);
	str_copy(x.server, sizeof(x.server), p->base);
	str_cut(x.backup, sizeof(x.backup), p->backup);
	str_copy(x.made, sizeof(x.made), p->mirror);
	r = catalog_set_restore(p->ctx->repository->catalog, &x, err);
	p->is_noted = r == 0;
	return r;
}

/* What was backed up may be for few people. */
static int make_private(const struct drill_place *p, struct error *err)
{
	const char *path = p->url + strlen(PLACE_DIRECTORY);

	if (!is_directory_place(p->url) || mkdir(path, 0700) == 0)
		return 0;
	return error_system(err, errno, "%s, where a mirror is to be brought back, cannot be made", path);
}

int drill_place_new(struct drill_place *p, struct error *err)
{
	uint64_t number = 0;
	int r;

	(void)!getrandom(&number, sizeof(number), 0);
	snprintf(p->name, sizeof(p->name), PLACE_PREFIX "%" PRId64 "-%016" PRIx64, p->order->run_id, number);
	p->url = url_of_place(p->base, p->name);
	r = mirror_back_place(p->conf, p->mirror, p->url, &p->to, err);
	if (r == 0)
		r = note_drill_place(p, err);
	return r < 0 ? r : make_private(p, err);
}

static void note_place_left(const struct drill_place *p, const char *problem)
{
	const struct catalog_restore_which which = {
	        .run_id = p->order->run_id, .target = p->name, .server = p->base};
	struct error err = {0};

	if (catalog_leave_restore(p->ctx->repository->catalog, &which, problem, &err) < 0)
		make_warn(p->order, "what the drill has left could not be kept: %s", err.message);
}

int drill_place_remove(struct drill_place *p, struct error *err)
{
	const struct catalog_restore_which which = {
	        .run_id = p->order->run_id, .target = p->name, .server = p->base};
	struct error why = {0};
	int r = 0;

	if (p->is_noted) {
		r = empty_place(p->conf, p->base, p->name, p->mirror, NULL, &why);
		if (r == 0)
			r = catalog_end_restore(p->ctx->repository->catalog, &which, &why);
		else
			note_place_left(p, why.message);
	}
	mem_replace_string(&p->url, NULL);
	if (r < 0)
		error_prefix(&why, "%s/%s, which the drill has made, could not be removed", p->base, p->name);
	if (r < 0 && err)
		*err = why;
	return r;
}
