// SPDX-License-Identifier: Apache-2.0
/* What is found in a store is believed by its signature, where there are keys to ask. */
#include "chain_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>

bool chain_find_key(struct chain *c, const struct signing_keys *keys, const char *id, struct sign_public *ret)
{
	const struct sign_public *key = signing_find(keys, id);

	if (!key)
		return catalog_chain_key(c->catalog, id, ret) == 0;
	*ret = *key;
	return true;
}

/* From before signing began, or of somebody who has no key. */
static int weigh_unsigned(struct chain *c, const struct manifest *m, struct error *err)
{
	char since[CLOCK_ISO_BYTES];
	int64_t begun_at_us = 0;
	int r = catalog_chain_oldest(c->catalog, &begun_at_us);

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
		return weigh_unsigned(c, m, err);
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
