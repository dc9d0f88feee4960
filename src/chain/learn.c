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

struct learning {
	struct chain *c;
	const struct chain_at *at;
	const struct signing_keys *keys;
	int64_t *sequences;
	size_t count;
	uint64_t problems;
};

static void add_page(struct learning *l, const struct store_object *objects, size_t count)
{
	l->sequences = mem_resize(l->sequences, l->count + count, sizeof(*l->sequences));
	for (size_t i = 0; i < count; i++) {
		int64_t sequence = link_sequence_of_key(objects[i].key);

		if (sequence)
			l->sequences[l->count++] = sequence;
		else
			l->problems++;
	}
}

static int list_new_links(struct learning *l, int64_t after, struct error *err)
{
	_cleanup(free) char *key = link_key(after);
	char last[STORE_KEY_BYTES];
	bool more = true;
	int r = 0;

	str_copy(last, sizeof(last), key);
	while (r == 0 && more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(l->at->store, l->at->call, LINK_PREFIX, last, PAGE_OBJECTS, &objects, &count,
		               &more, err);
		if (r < 0 || count == 0)
			break;
		add_page(l, objects, count);
		str_copy(last, sizeof(last), objects[count - 1].key);
	}
	return r;
}

static void tell_unusable_link(struct learning *l, const char *key, const char *why)
{
	l->problems++;
	log_warning("%s: %s is passed over: %s", l->at->store->name, key, why);
}

static int take_learnt(struct learning *l, const struct link *link, struct error *err)
{
	struct catalog *catalog = l->c->catalog;
	bool gone = link->type == LINK_REMOVED || link->type == LINK_VOID;
	int r = 0;

	if (link->type == LINK_ROTATED)
		r = catalog_chain_add_key(catalog, &link->old, err);
	for (size_t i = 0; r == 0 && gone && i < link->count; i++)
		if (link->entries[i].sequence)
			r = catalog_chain_learn_gone(catalog, l->at->id, link->entries[i].sequence, err);
	return r;
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

/* By the bytes alone: what nobody is known to have signed is not even parsed. */
static bool is_believed(struct learning *l, const char *text, size_t len)
{
	struct signature first, second;
	struct sign_public key;
	size_t signed_len;

	if (signature_find(text, len, &signed_len, &first, &second, NULL) != 1)
		return false;
	if (chain_find_key(l->c, l->keys, first.key, &key) && sign_verify(&key, text, signed_len, &first))
		return true;
	return second.key[0] && chain_find_key(l->c, l->keys, second.key, &key) &&
	       sign_verify(&key, text, signed_len, &second);
}

/* In a tenant's store anybody may have put anything. */
#define OTHERS_MAX_BYTES ((size_t)4 << 20)

static int learn_link(struct learning *l, int64_t sequence, struct error *err)
{
	_cleanup(free) char *key = link_key(sequence), *text = NULL;
	_cleanup(link) struct link link = {0};
	struct error why = {0};
	size_t len = 0;
	int r = store_get_all(l->at->store, l->at->call, key, l->at->id ? OTHERS_MAX_BYTES : LINK_MAX_BYTES,
	                      &text, &len, &why);

	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -EFBIG) {
		if (err)
			*err = why;
		return r;
	}
	if (r == -EFBIG)
		tell_unusable_link(l, key, why.message);
	else if (!is_believed(l, text, len))
		tell_unusable_link(l, key, "its signature is wrong, or of a key that is not known");
	else if (link_decode(key, text, len, &link, &why) < 0)
		tell_unusable_link(l, key, why.message);
	else if (link.place.sequence != sequence)
		tell_unusable_link(l, key, "it has another number than its name");
	else
		return take_learnt(l, &link, err) ?: take_place(l, &link, err);
	return 0;
}

int chain_learn(struct chain *c, const struct chain_at *at, uint64_t *ret_problems, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	struct learning l = {.c = c, .at = at, .keys = keys};
	struct catalog_chain known = {0};
	int r;

	if (!keys || keys->count == 0)
		return 0;
	r = catalog_chain(c->catalog, at->id, &known);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	r = list_new_links(&l, known.sequence, err);
	for (size_t i = l.count; r == 0 && i > 0; i--)
		r = learn_link(&l, l.sequences[i - 1], err);
	free(l.sequences);
	if (ret_problems)
		*ret_problems += l.problems;
	return r;
}
