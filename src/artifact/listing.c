// SPDX-License-Identifier: Apache-2.0
/* Objects by their prefix, and by name: a page at a time, so that memory does not grow with how many there are. */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define PAGE_OBJECTS 1000

int listing_peek(struct listing *l, const struct store_object **ret_object, struct error *err)
{
	_cleanup(free) struct store_object *before = NULL;
	const char *start_after = l->start_after;
	bool more = false;
	int r;

	if (l->at == l->count && !l->ended) {
		before = take_ptr(&l->page);
		if (before)
			start_after = before[l->count - 1].key;
		l->at = l->count = 0;
		r = store_list(l->store, l->call, l->prefix, start_after, PAGE_OBJECTS, &l->page, &l->count,
		               &more, err);
		if (r < 0)
			return r;
		l->ended = !more || l->count == 0;
	}
	*ret_object = l->at < l->count ? &l->page[l->at] : NULL;
	return 0;
}

void listing_pop(struct listing *l)
{
	l->at++;
}

void listing_finish(struct listing *l)
{
	free(l->page);
	*l = (struct listing){0};
}

/* Whether the page can say that @key is there, or is not. */
static bool is_covered(const struct lookup *l, const char *key)
{
	if (!l->after || strcmp(key, l->after) <= 0)
		return false;
	return l->ended || (l->count > 0 && strcmp(key, l->page[l->count - 1].key) <= 0);
}

/* A page that begins with @key, if that is there: behind the longest key that comes before it for sure. */
static int fetch_page_at(struct lookup *l, const char *key, struct error *err)
{
	_cleanup(free) struct store_object *page = NULL;
	_cleanup(free) char *after = mem_strdup(key);
	size_t count = 0;
	bool more = false;
	int r;

	after[strlen(after) - 1] = '\0';
	r = store_list(l->store, l->call, l->prefix, after, PAGE_OBJECTS, &page, &count, &more, err);
	if (r < 0)
		return r;
	free(l->page);
	free(l->after);
	l->page = take_ptr(&page);
	l->after = take_ptr(&after);
	l->count = count;
	l->ended = !more || count == 0;
	return 0;
}

static int compare_key(const void *key, const void *object)
{
	return strcmp(key, ((const struct store_object *)object)->key);
}

int lookup_find(struct lookup *l, const char *key, const struct store_object **ret_object, struct error *err)
{
	int r = is_covered(l, key) ? 0 : fetch_page_at(l, key, err);

	if (r < 0)
		return r;
	/* A thousand keys that come before it, and behind what was asked for: only the store itself can say. */
	if (!is_covered(l, key)) {
		r = store_head(l->store, l->call, key, &l->single, err);
		*ret_object = r == 0 ? &l->single : NULL;
		return r;
	}
	*ret_object = l->count > 0 ? bsearch(key, l->page, l->count, sizeof(*l->page), compare_key) : NULL;
	return *ret_object ? 0 : -ENOENT;
}

void lookup_finish(struct lookup *l)
{
	free(l->page);
	free(l->after);
	*l = (struct lookup){0};
}
