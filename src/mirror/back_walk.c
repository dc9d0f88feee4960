// SPDX-License-Identifier: Apache-2.0
/*
 * The listing of a state and that of the target, side by side. Both are in the order of the bytes of their keys; what is not is damaged, or a server that keepfs cannot work
 * with.
 */
#include "back_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/shown_name.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NAMES_FIRST 5
#define MD5_TEXT    32
#define WALK_OVER   1 /* nothing of what was chosen comes any more */

struct walking {
	struct mirror_back *b;
	const struct back_walker *walker;
	struct source_list *list;
	struct source_object there; /* the next of the target; key NULL: none yet */
	bool list_is_over;
	char *last; /* of the state */
	bool has_some;
};

bool back_is_chosen(const struct mirror_back_options *o, const char *key)
{
	const char *below = o->below;
	size_t len = below ? strlen(below) : 0;

	if (len == 0)
		return true;
	if (o->alone)
		return str_equal(key, below);
	return strncmp(key, below, len) == 0 && (!key[len] || key[len] == '/' || below[len - 1] == '/');
}

void back_note(struct mirror_back_names *n, const char *key, uint64_t bytes)
{
	if (n->count++ < NAMES_FIRST) {
		str_append(&n->first, n->first.len > 0 ? ", " : "");
		shown_name(key, strlen(key), &n->first);
	}
	n->bytes += bytes;
}

/* A sum, since it is to be the same whatever the order; a key has no NUL. */
void back_note_extra(struct mirror_back_names *n, const struct source_object *o)
{
	_cleanup(free) char *text = mem_printf("%s\n%s\n%" PRIu64 "\n%" PRId64, o->key, str_or_empty(o->etag),
	                                       o->bytes, o->modified_us);

	back_note(n, o->key, o->bytes);
	n->digest += hash64(text);
}

static bool is_whole_md5(const char *etag)
{
	return etag && strlen(etag) == MD5_TEXT && strspn(etag, "0123456789abcdefABCDEF") == MD5_TEXT;
}

enum back_found back_compare(bool is_directory, const struct listing_entry *e, const struct source_object *o)
{
	if (e->bytes != o->bytes)
		return BACK_DIFFERENT;
	if (*str_or_empty(o->etag) && str_equal(e->etag, o->etag))
		return BACK_SAME;
	if (is_directory)
		return e->modified_us == o->modified_us ? BACK_SAME : BACK_UNSURE;
	return is_whole_md5(e->etag) && is_whole_md5(o->etag) ? BACK_DIFFERENT : BACK_UNSURE;
}

/* A directory that is not there has nothing. */
static bool is_missing_directory(const struct walking *w, int r)
{
	return r == -ENOENT && w->b->is_directory;
}

/* The next of the target: 1, it is in w->there; 0: there is none. */
static int look_there(struct walking *w, struct error *err)
{
	struct error why = {0};
	int r = 0;

	while (!w->there.key && !w->list_is_over) {
		r = source_list_next(w->list, &w->there, &why);
		w->list_is_over = r <= 0;
		if (r < 0 && !is_missing_directory(w, r)) {
			if (err)
				*err = why;
			return r;
		}
		if (r > 0 && !back_is_chosen(&w->b->options, w->there.key))
			source_object_finish(&w->there);
	}
	return w->there.key != NULL;
}

static int tell_extra(struct walking *w, struct error *err)
{
	int r = w->walker->found(w->walker->arg, BACK_EXTRA, NULL, &w->there, NULL, err);

	source_object_finish(&w->there);
	return r;
}

/* All that is at the target before @key; NULL: all of the rest. */
static int pass_extras(struct walking *w, const char *key, struct error *err)
{
	int r;

	while ((r = look_there(w, err)) == 1 && (!key || strcmp(w->there.key, key) < 0)) {
		r = tell_extra(w, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* Of a directory, the object "a" where the state has "a/b", too, is none: a%= in the mount. */
static int check_possible(const struct walking *w, const struct mirror_item *i, struct error *why)
{
	if (w->b->is_directory && str_ends(i->path, SHOWN_OBJECT))
		return error_set(
		        why, ERROR_USAGE, EINVAL,
		        "the state has objects below it, too, and a directory has no file and directory of one name");
	return source_check_key(w->b->target, i->entry.key, why);
}

static int tell_of_state(struct walking *w, const struct mirror_item *i, struct error *err)
{
	const struct listing_entry *e = &i->entry;
	bool is_there = w->there.key && strcmp(w->there.key, e->key) == 0;
	const struct source_object *o = is_there ? &w->there : NULL;
	struct error why = {0};
	enum back_found what;
	int r;

	if (check_possible(w, i, &why) < 0)
		what = BACK_REFUSED;
	else
		what = o ? back_compare(w->b->is_directory, e, o) : BACK_MISSING;
	r = w->walker->found(w->walker->arg, what, e, o, &why, err);
	if (is_there)
		source_object_finish(&w->there);
	return r;
}

static int take_state_item(void *arg, const struct mirror_item *i, struct error *err)
{
	struct walking *w = arg;
	const char *below = w->b->options.below;
	int r;

	if (w->last && strcmp(w->last, i->entry.key) >= 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the listing of the state is damaged: its keys are not in order");
	mem_replace_string(&w->last, i->entry.key);
	if (!back_is_chosen(&w->b->options, i->entry.key))
		return strcmp(i->entry.key, below) > 0 && !str_starts(i->entry.key, below) ? WALK_OVER : 0;
	w->has_some = true;
	r = pass_extras(w, i->entry.key, err);
	return r < 0 ? r : tell_of_state(w, i, err);
}

/* What cannot be looked at would be missing, and be replaced by whoever may write there. The plan walks first, so nothing was done yet. */
static int judge_unreadable_target(const struct walking *w, struct error *err)
{
	const struct source_left *left = source_list_left(w->list);

	if (left->unreadable == 0)
		return 0;
	return error_set(
	        err, ERROR_DENIED, EACCES,
	        "%s: %llu files or directories cannot be looked at, so nobody can tell what would be replaced: %s",
	        source_name(w->b->target), (unsigned long long)left->unreadable, left->first);
}

int back_walk(struct mirror_back *b, const struct back_walker *walker, struct error *err)
{
	struct walking w = {.b = b, .walker = walker};
	const struct mirror_each each = {.item = take_state_item, .arg = &w};
	int r;

	w.list = source_list_below(b->target, &b->call, str_or_empty(b->options.below));
	r = mirror_tree_each(b->tree, b->options.cancel, &each, err);
	if (r == -ECANCELED)
		error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (r >= 0 && b->options.below && !w.has_some)
		r = error_set(err, ERROR_NOT_FOUND, ENOENT, "the state has nothing of that name");
	if (r >= 0)
		r = pass_extras(&w, NULL, err);
	if (r >= 0)
		r = judge_unreadable_target(&w, err);
	source_object_finish(&w.there);
	source_list_free(w.list);
	free(w.last);
	return r;
}
