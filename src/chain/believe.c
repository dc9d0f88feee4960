// SPDX-License-Identifier: Apache-2.0
/* What is found in a store is believed by its signature, where there are keys to ask. */
#include "chain_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/catalog/stores.h>

bool chain_find_key(struct chain *c, const struct signing_keys *keys, const char *id, struct sign_public *ret)
{
	const struct sign_public *key = signing_find(keys, id);

	if (!key)
		return catalog_chain_key(c->catalog, id, ret) == 0;
	*ret = *key;
	return true;
}

static void see_link(void *arg, int64_t sequence, const char *hash)
{
	*(bool *)arg = true;
}

/* 1: the catalog knows its number. What stands there without a signature is another one, whatever date it has. */
static int was_signed(struct chain *c, const struct manifest *m)
{
	uint64_t store = CATALOG_MAIN_STORE;
	bool found = false;
	int r = catalog_store_of(c->catalog, m->path, &store);

	if (r < 0 && r != -ENOENT)
		return r;
	r = catalog_chain_links_of(c->catalog, store, m->path, see_link, &found);
	return r < 0 ? r : found;
}

static int another_was_put(const struct manifest *m, const char *why, struct error *err)
{
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "%s: its manifest is not signed, and %s: somebody has put another one there, so it is not believed",
	        m->path, why);
}

/* 1: it is to be believed; 0: nothing is known of it. */
static int is_named_unsigned(struct chain *c, const struct manifest *m, const char *json, size_t len,
                             struct error *err)
{
	char hash[SHA256_HEX_BYTES];
	int r;

	sign_hash(json, len, hash);
	r = catalog_unsigned_is(c->catalog, m, hash);
	if (r == CATALOG_UNSIGNED_OTHER)
		return another_was_put(m, "it is not the one that a link of the chain names", err);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : r == CATALOG_UNSIGNED_NAMED;
}

/* 1: it is what links or the catalog have, as of one that was made while nothing was signed. */
static int is_known_unsigned(struct chain *c, const struct manifest *m, const char *json, size_t len,
                             struct error *err)
{
	int r = was_signed(c, m);

	if (r > 0)
		return another_was_put(m, "the one that keepfs wrote is", err);
	if (r == 0) {
		r = is_named_unsigned(c, m, json, len, err);
		if (r != 0)
			return r;
		r = catalog_has_as(c->catalog, m);
	}
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : r;
}

/* From before signing began, or made while it was off, or of somebody who has no key. */
static int weigh_unsigned(struct chain *c, const struct manifest *m, const char *json, size_t len,
                          struct error *err)
{
	char since[CLOCK_ISO_BYTES];
	int64_t begun_at_us = 0;
	int r = is_known_unsigned(c, m, json, len, err);

	if (r != 0)
		return r < 0 ? r : 0;
	r = catalog_chain_oldest(c->catalog, &begun_at_us);
	if (r == -ENOENT || (r == 0 && (!begun_at_us || m->finished_at_us <= begun_at_us)))
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "%s: its manifest is not signed, and all are since %s: somebody else has written it, so it is not believed",
	        m->path, clock_format_iso(begun_at_us, since));
}

int chain_believe(struct chain *c, struct manifest *m, const char *json, size_t len, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	struct sign_public key;

	if (!keys || keys->count == 0)
		return 0;
	if (!m->chain.sequence)
		return weigh_unsigned(c, m, json, len, err);
	if (!chain_find_key(c, keys, m->signature.key, &key))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s: its manifest is signed with the key %s, which nobody has said is to be believed: [keepfs] verify_key_file names such keys",
		        m->path, m->signature.key);
	if (!manifest_is_signed_by(m, &key, json, len))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s: the signature of its manifest is wrong: somebody has changed it, so it is not believed",
		        m->path);
	m->is_proven = true;
	return 0;
}
