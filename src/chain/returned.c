// SPDX-License-Identifier: Apache-2.0
/*
 * Manifests that were gone, and are there again because somebody has brought them back. Only a link can say that: what lies in the store again by itself is what somebody has put there who can write
 * into it, and is told as such.
 */
#include "chain_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

struct returning {
	struct making making;
	const struct manifest *m;
	bool is_known; /* the catalog has its number, so that nobody has said that it is gone */
};

static void see_number(void *arg, int64_t sequence, const char *hash)
{
	struct returning *w = arg;

	w->is_known = w->is_known || sequence == w->m->chain.sequence;
}

/* A number that the chain has not reached nobody can have called gone. */
static int make_returned(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                         struct error *err)
{
	struct returning *w = arg;
	const struct chain_place *its = &w->m->chain;

	if (its->sequence && (strcmp(its->id, at->id) != 0 || its->sequence > at->sequence))
		return CATALOG_CHAIN_NOT_NEEDED;
	if (its->sequence)
		ret->returned = w->m;
	return chain_make_link(&w->making, at, ret, err);
}

static int give_returned(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                         struct returning *w, struct error *err)
{
	struct link_entry *e = link_add(&w->making.link, w->m->path);
	int r;

	e->sequence = w->m->chain.sequence;
	e->run_id = e->sequence ? 0 : w->m->run_id;
	str_copy(e->hash, sizeof(e->hash), e->sequence ? w->m->chain.hash : "");
	r = chain_make_ready(c, at, keys, err);
	if (r == 0)
		r = chain_give(c, at, make_returned, w, err);
	if (r == 0)
		log_info("%s: link %" PRId64 " of the chain says that %s was brought back", at->store->name,
		         w->making.link.place.sequence, w->m->path);
	return r < 0 ? r : 0;
}

static int return_signed(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                         struct returning *w, struct error *err)
{
	int r = catalog_chain_links_of(c->catalog, at->id, w->m->path, see_number, w);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return w->is_known || !w->m->is_proven ? 0 : give_returned(c, at, keys, w, err);
}

static int return_unsigned(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                           struct returning *w, struct error *err)
{
	int r = catalog_unsigned_is(c->catalog, w->m, "");

	if (r != CATALOG_UNSIGNED_GONE)
		return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
	r = give_returned(c, at, keys, w, err);
	return r < 0 ? r
	             : catalog_unsigned_returned(c->catalog, at->id, w->m->path, w->m->run_id,
	                                         w->making.link.place.sequence, err);
}

int chain_returned(struct chain *c, const struct chain_at *at, const struct manifest *m, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	struct returning w = {.making = {.keys = keys, .link = {.type = LINK_RETURNED}}, .m = m};
	int r;

	if (!keys || !keys->key)
		return 0;
	r = m->chain.sequence ? return_signed(c, at, keys, &w, err) : return_unsigned(c, at, keys, &w, err);
	making_finish(&w.making);
	return r < 0 ? r : chain_finish_waiting(c, at, err);
}

/* What links say of it, for who reads them. */

/* By the number; of those without one, by path and run. */
static int order_returns(const struct chain_return *a, const struct link_entry *b)
{
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	if (a->sequence)
		return 0;
	return strcmp(a->path, b->path) ?: (a->run_id > b->run_id) - (a->run_id < b->run_id);
}

/* The first that does not come before @e. */
static size_t place_of_return(const struct chain_returns *returns, const struct link_entry *e)
{
	size_t low = 0, high = returns->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (order_returns(&returns->items[middle], e) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void chain_returns_add(struct chain_returns *returns, const struct link *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct link_entry *e = &l->entries[i];
		size_t at = place_of_return(returns, e);

		if (at < returns->count && order_returns(&returns->items[at], e) == 0) {
			if (returns->items[at].by < l->place.sequence)
				returns->items[at].by = l->place.sequence;
			continue;
		}
		if ((returns->count & (returns->count - 1)) == 0)
			returns->items = mem_resize(returns->items, returns->count ? 2 * returns->count : 1,
			                            sizeof(*returns->items));
		memmove(&returns->items[at + 1], &returns->items[at],
		        (returns->count - at) * sizeof(*returns->items));
		returns->count++;
		returns->items[at] = (struct chain_return){.sequence = e->sequence,
		                                           .run_id = e->run_id,
		                                           .by = l->place.sequence,
		                                           .path = mem_strdup(e->path)};
	}
}

bool chain_returns_have(const struct chain_returns *returns, const struct link_entry *e, int64_t after)
{
	size_t at = place_of_return(returns, e);

	return at < returns->count && order_returns(&returns->items[at], e) == 0 &&
	       returns->items[at].by > after;
}

void chain_returns_finish(struct chain_returns *returns)
{
	for (size_t i = 0; i < returns->count; i++)
		free(returns->items[i].path);
	free(returns->items);
	*returns = (struct chain_returns){0};
}
