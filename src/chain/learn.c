// SPDX-License-Identifier: Apache-2.0
/*
 * The chain as the store has it. The newest link is read first: a link that says which key signed before makes the links before it believable.
 */
#include "chain_private.h"

#include <errno.h>
#include <stdlib.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#define PAGE_OBJECTS 1000

static void add_page(struct chain_links *l, const struct store_object *objects, size_t count)
{
	l->sequences = mem_resize(l->sequences, l->count + count, sizeof(*l->sequences));
	for (size_t i = 0; i < count; i++) {
		int64_t sequence = link_sequence_of_key(objects[i].key);

		if (sequence)
			l->sequences[l->count++] = sequence;
		else
			l->strange++;
	}
}

int chain_list_links(const struct chain_at *at, int64_t after, struct chain_links *ret, struct error *err)
{
	_cleanup(free) char *key = link_key(after);
	char last[STORE_KEY_BYTES];
	bool more = true;
	int r = 0;

	str_copy(last, sizeof(last), key);
	while (r == 0 && more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(at->store, at->call, LINK_PREFIX, last, PAGE_OBJECTS, &objects, &count, &more,
		               err);
		if (r < 0 || count == 0)
			break;
		add_page(ret, objects, count);
		str_copy(last, sizeof(last), objects[count - 1].key);
	}
	return r;
}

/* By the bytes alone: what nobody is known to have signed is not even parsed. */
static bool is_believed(struct chain *c, const struct signing_keys *keys, const char *text, size_t len)
{
	struct signature first, second;
	struct sign_public key;
	size_t signed_len;

	if (signature_find(text, len, &signed_len, &first, &second, NULL) != 1)
		return false;
	if (chain_find_key(c, keys, first.key, &key) && sign_verify(&key, text, signed_len, &first))
		return true;
	return second.key[0] && chain_find_key(c, keys, second.key, &key) &&
	       sign_verify(&key, text, signed_len, &second);
}

/* With the same key chains of other stores are signed: what is right there says something else here. */
static int decode_believed(struct chain *c, const struct signing_keys *keys, const char *id, int64_t sequence,
                           const char *text, size_t len, struct link *ret, struct error *err)
{
	_cleanup(free) char *key = link_key(sequence);
	_cleanup(link) struct link link = {0};
	int r;

	if (!is_believed(c, keys, text, len))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "its signature is wrong, or of a key that is not known");
	r = link_decode(key, text, len, &link, err);
	if (r < 0)
		return r;
	if (link.place.sequence != sequence)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it has another number than its name");
	if (id[0] && strcmp(link.place.id, id) != 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it is signed, but of another chain, %s",
		                 link.place.id);
	*ret = link;
	link = (struct link){0};
	return 0;
}

/* In a tenant's store anybody may have put anything. */
#define OTHERS_MAX_BYTES ((size_t)4 << 20)

int chain_read_link(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                    const char *id, int64_t sequence, struct link *ret, struct error *err)
{
	_cleanup(free) char *key = link_key(sequence), *text = NULL;
	size_t len = 0;
	int r = store_get_all(at->store, at->call, key, at->id ? OTHERS_MAX_BYTES : LINK_MAX_BYTES, &text,
	                      &len, err);

	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	return decode_believed(c, keys, id, sequence, text, len, ret, err);
}

struct learning {
	struct chain *c;
	const struct chain_at *at;
	const struct signing_keys *keys;
	char id[CHAIN_ID_BYTES]; /* of the chain; "": nothing tells */
	uint64_t problems;
	/* The newest come first: what is said to be gone by one that is older than these is there. */
	struct chain_returns returns;
	struct link range; /* the newest that tells of one; its place.sequence 0: there is none */
};

static int learn_gone(struct learning *l, const struct link *link, struct error *err)
{
	struct catalog *catalog = l->c->catalog;
	int r = 0;

	for (size_t i = 0; r == 0 && i < link->count; i++) {
		const struct link_entry *e = &link->entries[i];

		if (chain_returns_have(&l->returns, e, link->place.sequence))
			continue;
		if (e->sequence)
			r = catalog_chain_learn_gone(catalog, l->at->id, e->sequence, err);
		else
			r = catalog_unsigned_gone(catalog, l->at->id, e->path, e->run_id,
			                          link->place.sequence, err);
	}
	return r;
}

/* Of one that is not signed the catalog may know since another day that it is gone. */
static int learn_returned(struct learning *l, const struct link *link, struct error *err)
{
	int r = 0;

	chain_returns_add(&l->returns, link);
	for (size_t i = 0; r == 0 && i < link->count; i++)
		if (!link->entries[i].sequence)
			r = catalog_unsigned_returned(l->c->catalog, l->at->id, link->entries[i].path,
			                              link->entries[i].run_id, link->place.sequence, err);
	return r;
}

static int order_kept_numbers(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Its entries that have a number are what is kept, and what was brought back behind its end is there, too; the others are gone. */
static int learn_range(struct learning *l, struct error *err)
{
	const struct link *link = &l->range;
	_cleanup(free) int64_t *kept = mem_array(link->count + l->returns.count + 1, sizeof(*kept));
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < l->returns.count; i++) {
		const struct chain_return *back = &l->returns.items[i];

		if (back->sequence && back->sequence <= link->to && back->by > link->to)
			kept[count++] = back->sequence;
	}
	for (size_t i = 0; r == 0 && i < link->count; i++) {
		const struct link_entry *e = &link->entries[i];

		if (e->sequence)
			kept[count++] = e->sequence;
		else if (!chain_returns_have(&l->returns, e, link->to))
			r = catalog_unsigned_gone(l->c->catalog, l->at->id, e->path, e->run_id, link->to,
			                          err);
	}
	qsort(kept, count, sizeof(*kept), order_kept_numbers);
	return r < 0 ? r
	             : catalog_chain_learn_compacted(l->c->catalog, l->at->id, link->place.sequence, link->to,
	                                             kept, count, err);
}

static int take_learnt(struct learning *l, const struct link *link, struct error *err)
{
	if (link->type == LINK_ROTATED)
		return catalog_chain_add_key(l->c->catalog, &link->old, err);
	if (link->type == LINK_REMOVED || link->type == LINK_VOID)
		return learn_gone(l, link, err);
	if (link->type == LINK_RETURNED)
		return learn_returned(l, link, err);
	return link_names_unsigned(link) ? chain_learn_unsigned(l->c, l->at, link, err) : 0;
}

/* The key that signs, by the newest link. */
static int take_place(struct learning *l, const struct link *link, struct error *err)
{
	struct sign_public key;
	bool is_known = chain_find_key(l->c, l->keys, link->signature.key, &key);

	/* A link that only the key before it has signed for us: the next one says who goes on. */
	return catalog_chain_learn(l->c->catalog, l->at->id, &link->place, is_known ? &key : NULL,
	                           link->type == LINK_BEGUN ? link->at_us : 0, err);
}

static int learn_link(struct learning *l, int64_t sequence, struct error *err)
{
	_cleanup(link) struct link link = {0};
	struct error why = {0};
	int r = chain_read_link(l->c, l->at, l->keys, l->id, sequence, &link, &why);

	if (r == -EBADMSG || r == -ENOTSUP) {
		_cleanup(free) char *key = link_key(sequence);

		l->problems++;
		log_warning("%s: %s is passed over: %s", l->at->store->name, key, why.message);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	if (r != 0)
		return r < 0 ? r : 0;
	r = take_learnt(l, &link, err) ?: take_place(l, &link, err);
	/* Each tells of all numbers from the first one on, so the newest says everything. */
	if (r == 0 && link.type == LINK_COMPACTED && !l->range.place.sequence) {
		l->range = link;
		link = (struct link){0};
	}
	return r;
}

/* 1: it cannot be told by that link. */
static int take_id_of_first(struct learning *l, struct error *err)
{
	_cleanup(link) struct link link = {0};
	struct error why = {0};
	int r = chain_read_link(l->c, l->at, l->keys, "", 1, &link, &why);

	if (r == 0)
		str_copy(l->id, sizeof(l->id), link.place.id);
	if (r == -EBADMSG || r == -ENOTSUP)
		return 1;
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Keys that a later one says signed before it; the newest links come first. */
static int learn_key(struct learning *l, int64_t sequence, struct error *err)
{
	_cleanup(link) struct link link = {0};
	struct error why = {0};
	int r = chain_read_link(l->c, l->at, l->keys, "", sequence, &link, &why);

	if (r == 0 && link.type == LINK_ROTATED)
		return catalog_chain_add_key(l->c->catalog, &link.old, err);
	if (r >= 0 || r == -EBADMSG || r == -ENOTSUP)
		return 0;
	if (err)
		*err = why;
	return r;
}

/* Which chain is it, where the catalog knows none? Its first link tells, which is never removed: a link of another one may lie here with a higher number than all of its own. */
static int find_chain_id(struct learning *l, const struct chain_links *links, struct error *err)
{
	int r = links->count > 0 ? take_id_of_first(l, err) : 0;

	for (size_t i = links->count; r > 0 && i > 0; i--) {
		int learnt = learn_key(l, links->sequences[i - 1], err);

		if (learnt < 0)
			return learnt;
	}
	if (r > 0)
		r = take_id_of_first(l, err);
	return r < 0 ? r : 0;
}

int chain_learn(struct chain *c, const struct chain_at *at, uint64_t *ret_problems, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	_cleanup(chain_links) struct chain_links links = {0};
	struct learning l = {.c = c, .at = at, .keys = keys};
	struct catalog_chain known = {0};
	int r;

	if (!keys || keys->count == 0)
		return 0;
	r = catalog_chain(c->catalog, at->id, &known);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	str_copy(l.id, sizeof(l.id), known.id);
	r = chain_list_links(at, known.sequence, &links, err);
	if (r == 0 && !known.id[0])
		r = find_chain_id(&l, &links, err);
	for (size_t i = links.count; r == 0 && i > 0; i--)
		r = learn_link(&l, links.sequences[i - 1], err);
	/* Last: what was brought back behind its end may be told by a link with a lower number than its own. */
	if (r == 0 && l.range.place.sequence)
		r = learn_range(&l, err);
	link_finish(&l.range);
	chain_returns_finish(&l.returns);
	if (ret_problems)
		*ret_problems += l.problems + links.strange;
	return r;
}
