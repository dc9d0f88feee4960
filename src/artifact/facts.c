// SPDX-License-Identifier: Apache-2.0
/*
 * Facts that name tables, which an encrypted artifact has in an object of its own. Whoever lists an artifact that he found in the store reads
 * them at once, where he can; where there was no identity they are learnt when there is one.
 */
#include "artifact_private.h"

#include <keepfs/artifact/sealed.h>

#include <errno.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/facts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/json.h>
#include <keepfs/keyring.h>

#define FACTS_MAX_BYTES ((size_t)4 << 20)

struct facts_object {
	const char *key, *encrypted_to;
	struct store *store;
	const struct store_call *call;
};

/* They are added to @m. */
static int get_facts(const struct repository *repo, const struct facts_object *o, struct manifest *m,
                     struct error *err)
{
	_cleanup(free) char *data = NULL;
	_cleanup(str) struct str plain = {0};
	uint8_t id[SHA256_BYTES];
	const struct keyring_object k = {.id = id, .what = o->key, .encrypted_to = o->encrypted_to};
	size_t len = 0;
	int r = store_get_all(o->store, o->call, o->key, FACTS_MAX_BYTES, &data, &len, err);

	if (r < 0)
		return r;
	sha256_once(data, len, id);
	r = keyring_decrypt(repo->keyring, &k, data, len, o->call ? o->call->cancel : NULL, &plain, err);
	return r < 0 ? r : manifest_take_facts(m, str_text(&plain), plain.len, err);
}

void sealed_take_facts(const struct repository *repo, struct store *store, const struct store_call *call,
                       struct manifest *m)
{
	const struct manifest_object *o = manifest_object_of_role(m, MANIFEST_ROLE_FACTS);
	const struct facts_object object = {
	        .key = o ? o->key : NULL, .encrypted_to = m->encrypted_to, .store = store, .call = call};
	struct error err = {0};

	if (!o || !sealed_is_known(o) || !keyring_can_read(repo->keyring))
		return;
	if (get_facts(repo, &object, m, &err) < 0)
		log_warning("what %s tells of the tables of its backup stays unknown: %s", o->key,
		            err.message);
}

/* Later. */

struct learning {
	struct repository *repo;
	const struct store_call *call;
	uint64_t learnt, failed;
	struct error why; /* the first one failed */
};

static int learn_facts_of(struct learning *l, const struct catalog_unlearned *u, struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str facts = {0};
	int r = repository_reading_store_of_ino(l->repo, u->ino, &store, err);
	const struct facts_object object = {
	        .key = u->key, .encrypted_to = u->encrypted_to, .store = store, .call = l->call};

	if (r == 0)
		r = get_facts(l->repo, &object, &m, err);
	if (r < 0 || !m.facts)
		return r;
	json_write(m.facts, 0, &facts);
	r = catalog_learn_facts(l->repo->catalog, u->ino, str_text(&facts), err);
	l->learnt += r == 0;
	return r;
}

/* What is wrong with one object, or with its keys, need not be so with the next one. */
static bool is_of_one_object(int r, const struct error *err)
{
	return r == -ENOKEY || r == -EKEYREJECTED || err->class == ERROR_CORRUPT ||
	       err->class == ERROR_NOT_FOUND;
}

static int learn_if_ours(struct learning *l, const struct catalog_unlearned *u, struct error *err)
{
	struct error why = {0};
	bool ours = false;
	int r = keyring_is_for_us(l->repo->keyring, u->encrypted_to, l->call->cancel, &ours, &why);

	if (r == 0 && ours && (!u->cipher || str_equal(u->cipher, MANIFEST_CIPHER_AGE)))
		r = learn_facts_of(l, u, &why);
	if (r < 0 && is_of_one_object(r, &why)) {
		if (l->failed++ == 0)
			l->why = why;
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static void tell_of_learning(const struct learning *l)
{
	if (l->learnt > 0)
		log_info("what %llu encrypted backups tell of their tables was not known here, and is now",
		         (unsigned long long)l->learnt);
	if (l->failed > 0)
		log_warning("what %llu encrypted backups tell of their tables stays unknown; the first: %s",
		            (unsigned long long)l->failed, l->why.message);
}

int artifact_learn_facts(struct repository *repo, struct cancel *cancel, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	struct learning l = {.repo = repo, .call = &call};
	uint64_t after = 0;
	int r = 0;

	if (!keyring_can_read(repo->keyring) || !catalog_has_any_sealed(repo->catalog))
		return 0;
	while (r == 0) {
		_cleanup(catalog_unlearned) struct catalog_unlearned u = {0};

		if (cancel && cancel_is_set(cancel))
			return -ECANCELED;
		r = catalog_next_unlearned(repo->catalog, after, &u);
		if (r == 0)
			r = learn_if_ours(&l, &u, err);
		after = u.ino;
	}
	tell_of_learning(&l);
	return r == -ENOENT ? 0 : r;
}
