// SPDX-License-Identifier: Apache-2.0
/* Objects by their prefix, a page at a time: memory does not grow with how many there are. */
#include "artifact_private.h"

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
