// SPDX-License-Identifier: Apache-2.0
/*
 * Links in a store of copies that the chain's own store has no more, since one link tells of them all (compact.c). They go there as well, but for those without which something that is still there could not be
 * proven: a copy that its store keeps longer than the first store is known by the link that says that it was removed, whose hash it has.
 *
 * Only what that one link says is gone, which is read from both stores and believed, is ever removed. Whoever deletes links in the first store does not have them deleted here.
 */
#include "chain_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/catalog/stores.h>

struct following {
	struct chain *c;
	const struct chain_copy *copy;
	const struct signing_keys *keys;
	const char *id; /* of the chain */
	struct chain_at main, there;
	struct link range; /* the newest that tells of all numbers to one */
	struct chain_links links, main_links;
};

static void cleanup_following(struct following *f)
{
	link_finish(&f->range);
	free(f->links.sequences);
	free(f->main_links.sequences);
}

static int order_kept(const void *a, const void *b)
{
	const int64_t *sequence = a;
	const struct link_entry *e = b;

	return (*sequence > e->sequence) - (*sequence < e->sequence);
}

static int order_sequences(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool range_keeps(const struct following *f, int64_t sequence)
{
	return f->range.count > 0 &&
	       bsearch(&sequence, f->range.entries, f->range.count, sizeof(*f->range.entries), order_kept);
}

/* What the first store could not remove yet would only be copied again. */
static bool main_has(const struct following *f, int64_t sequence)
{
	return f->main_links.count > 0 && bsearch(&sequence, f->main_links.sequences, f->main_links.count,
	                                          sizeof(*f->main_links.sequences), order_sequences);
}

static bool is_superfluous_number(const struct following *f, int64_t sequence)
{
	return sequence > 1 && sequence <= f->range.to && !range_keeps(f, sequence) && !main_has(f, sequence);
}

static bool proves_something(const struct following *f, const struct link *l)
{
	for (size_t i = 0; l->type == LINK_REMOVED && i < l->count; i++)
		if (f->copy->holds(f->copy->arg, l->entries[i].path))
			return true;
	return l->type != LINK_REMOVED && l->type != LINK_VOID && l->type != LINK_COMPACTED;
}

/* 1: it may go. What cannot be read, or is not believed, stays for whoever proves the store. */
static int may_follow(struct following *f, int64_t sequence, struct error *err)
{
	_cleanup(link) struct link l = {0};
	struct error why = {0};
	int r = chain_read_link(f->c, &f->there, f->keys, f->id, sequence, &l, &why);

	if (r == 0)
		return !proves_something(f, &l);
	if (r > 0 || r == -EBADMSG || r == -ENOTSUP)
		return 0;
	if (err)
		*err = why;
	return r;
}

#define FOLLOW_REFUSED 2
/* A store may lock them, or let nobody delete: then they stay, and are looked at again the next day. */
static int remove_followed(struct following *f, int64_t sequence, uint64_t *removed, struct error *err)
{
	_cleanup(free) char *key = link_key(sequence);
	struct error why = {0};
	int r = store_remove(f->there.store, f->there.call, key, &why);

	if (r == 0) {
		(*removed)++;
		return 0;
	}
	if (why.retry || r == -ECANCELED) {
		if (err)
			*err = why;
		return r;
	}
	log_info("%s: links of the chain that are needed no more stay for now: %s", f->there.store->name,
	         why.message);
	return FOLLOW_REFUSED;
}

/* Both stores have the same one. */
static int read_common_range(struct following *f, int64_t number, struct error *err)
{
	_cleanup(link) struct link there = {0};
	struct error why = {0};
	int r = chain_read_link(f->c, &f->main, f->keys, f->id, number, &f->range, &why);

	if (r == 0)
		r = chain_read_link(f->c, &f->there, f->keys, f->id, number, &there, &why);
	if (r == 0)
		return f->range.type == LINK_COMPACTED && strcmp(f->range.place.hash, there.place.hash) == 0
		               ? 0
		               : 1;
	if (r > 0 || r == -EBADMSG || r == -ENOTSUP)
		return 1;
	if (err)
		*err = why;
	return r;
}

int chain_compact_copy(struct chain *c, const struct chain_copy *copy, uint64_t *ret_removed,
                       struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	_cleanup(following) struct following f = {
	        .c = c,
	        .copy = copy,
	        .keys = keys,
	        .main = {.id = CATALOG_MAIN_STORE, .store = copy->main, .call = copy->call},
	        .there = {.id = CATALOG_MAIN_STORE, .store = copy->store, .call = copy->call},
	};
	struct catalog_chain known;
	int r;

	*ret_removed = 0;
	if (!keys || !keys->key || catalog_chain(c->catalog, CATALOG_MAIN_STORE, &known) < 0 ||
	    !known.compacted)
		return 0;
	f.id = known.id;
	r = read_common_range(&f, known.compacted, err);
	if (r == 0)
		r = chain_list_links(&f.main, 0, &f.main_links, err);
	if (r == 0)
		r = chain_list_links(&f.there, 0, &f.links, err);
	for (size_t i = 0; r == 0 && i < f.links.count; i++) {
		if (!is_superfluous_number(&f, f.links.sequences[i]))
			continue;
		r = may_follow(&f, f.links.sequences[i], err);
		if (r > 0)
			r = remove_followed(&f, f.links.sequences[i], ret_removed, err);
	}
	return r < 0 ? r : 0;
}
