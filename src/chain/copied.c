// SPDX-License-Identifier: Apache-2.0
/* What a store of copies says of itself. It is signed by the key that signs the chain, so that only whoever could write the chain can say that something was never copied. */
#include "chain_private.h"

#include <errno.h>
#include <stdlib.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/copied.h>

static void take_uncopied(void *arg, int64_t sequence)
{
	copied_add_absent(arg, sequence);
}

static void take_uncopied_before(void *arg, const char *path)
{
	copied_add_before(arg, path);
}

/* Up to where the catalog's store has all links, so that the copy can have them. */
static int find_written(struct chain *c, const struct catalog_chain *known, int64_t *ret)
{
	_cleanup(free) char *body = NULL;
	int64_t waiting;
	int r = catalog_chain_waiting(c->catalog, CATALOG_MAIN_STORE, &waiting, &body);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret = r == 0 && waiting <= known->sequence ? waiting - 1 : known->sequence;
	return 0;
}

static int gather_copied(struct chain *c, uint64_t store, struct copied *ret)
{
	struct catalog_chain known;
	int r = catalog_chain(c->catalog, CATALOG_MAIN_STORE, &known);

	if (r == 0)
		r = find_written(c, &known, &ret->sequence);
	if (r < 0)
		return r;
	str_copy(ret->chain, sizeof(ret->chain), known.id);
	r = catalog_each_uncopied(c->catalog, store, ret->sequence, take_uncopied, take_uncopied_before, ret);
	copied_sort(ret);
	return r;
}

static int put_copied(const struct chain_at *copy, const struct signing_keys *keys, struct copied *says,
                      struct error *err)
{
	const struct store_put_options options = {.content_type = "application/json"};
	_cleanup(str) struct str text = {0};

	says->at_us = clock_now_us();
	copied_encode(says, keys->key, &text);
	return store_put_bytes(copy->store, copy->call, COPIED_KEY, text.data, text.len, &options, err);
}

int chain_say_copied(struct chain *c, const struct chain_at *copy, const char *name, char *said,
                     struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	_cleanup(copied) struct copied says = {.store = mem_strdup(name)};
	_cleanup(str) struct str bare = {0};
	char hash[SHA256_HEX_BYTES];
	int r;

	if (!keys || !keys->key)
		return 1;
	r = gather_copied(c, copy->id, &says);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	/* There is no chain yet, or nothing of it is written. */
	if (r == -ENOENT || says.sequence < 1)
		return 0;
	str_append(&bare, sign_key_public(keys->key)->id);
	copied_encode(&says, NULL, &bare);
	sign_hash(bare.data, bare.len, hash);
	if (said && str_equal(said, hash))
		return 0;
	r = put_copied(copy, keys, &says, err);
	if (r == 0 && said)
		str_copy(said, SHA256_HEX_BYTES, hash);
	return r;
}
