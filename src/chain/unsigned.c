// SPDX-License-Identifier: Apache-2.0
/*
 * Manifests that are not signed and are to be believed all the same: those from before the chain, and those that were made while signing was off. A link that has the SHA-256 of each
 * says that they were there when it was made. Of those from before, the first link has no more than run, size and SHA-256 of the artifact, since a start waits for it.
 */
#include "chain_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>

#define NAMED_AT_ONCE 1000 /* in one link */

static struct catalog_unsigned *names_of(const struct link *l)
{
	struct catalog_unsigned *named = mem_array(l->count ? l->count : 1, sizeof(*named));

	for (size_t i = 0; i < l->count; i++) {
		const struct link_entry *e = &l->entries[i];

		named[i] = (struct catalog_unsigned){.path = e->path,
		                                     .sha256 = e->hash,
		                                     .run_id = e->run_id,
		                                     .size_bytes = e->size_bytes,
		                                     .manifest = e->now};
	}
	return named;
}

int chain_learn_unsigned(struct chain *c, const struct chain_at *at, const struct link *l, struct error *err)
{
	_cleanup(free) struct catalog_unsigned *named = names_of(l);

	return catalog_unsigned_note(c->catalog, at->id, named, l->count, l->place.sequence, false, err);
}

int chain_give_names(struct chain *c, const struct chain_at *at, struct making *m, make_link_fn make,
                     struct error *err)
{
	_cleanup(free) struct catalog_unsigned *named = names_of(&m->link);
	int r;

	m->named = named;
	r = catalog_chain_give_named(c->catalog, at->id, named, m->link.count, make, m, err);
	m->named = NULL;
	return r;
}

void making_drop_gone(struct making *m)
{
	struct link *l = &m->link;
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++)
		if (m->named[i].is_gone)
			free(l->entries[i].path);
		else
			l->entries[kept++] = l->entries[i];
	l->count = kept;
}

static int make_names(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                      struct error *err)
{
	struct making *m = arg;

	making_drop_gone(m);
	return m->link.count == 0 ? CATALOG_CHAIN_NOT_NEEDED : chain_make_link(m, at, ret, err);
}

static void name_one(struct link *l, const struct manifest *m, const char *text, size_t len)
{
	struct link_entry *e = link_add(l, m->path);

	e->run_id = m->run_id;
	e->size_bytes = m->size_bytes;
	str_copy(e->hash, sizeof(e->hash), str_or_empty(m->sha256));
	sign_hash(text, len, e->now);
}

/* What the catalog lists is what it was told when that was made, or when nobody signed: the store must still say the same. */
static int weigh_unnamed(struct chain *c, const struct chain_at *at, struct link *l, struct manifest *m,
                         const char *text, size_t len, struct error *err)
{
	struct error why = {0};
	int r = m->chain.sequence ? chain_believe(c, m, text, len, &why) : catalog_has_as(c->catalog, m);

	if (r < 0 && r != -EBADMSG)
		return error_system(err, -r, "the catalog cannot be read");
	/* Listed while no key was known. */
	if (r == 0 && m->is_proven)
		return catalog_chain_note_artifact(c->catalog, at->id, m, err);
	if (r > 0)
		name_one(l, m, text, len);
	return 0;
}

/* 1: there is none, or none that can be understood. */
static int read_unnamed(const struct chain_at *at, const char *path, struct manifest *ret, char **ret_text,
                        size_t *ret_len, struct error *err)
{
	_cleanup(free) char *key = manifest_key(path);
	int r = store_get_all(at->store, at->call, key, MANIFEST_MAX_BYTES, ret_text, ret_len, err);

	if (r == -ENOENT || r == -EFBIG)
		return 1;
	if (r < 0)
		return r;
	return manifest_decode(key, *ret_text, *ret_len, ret, NULL) < 0 || !str_equal(ret->path, path);
}

static int look_at_unnamed(struct chain *c, const struct chain_at *at, struct link *l, const char *path,
                           struct error *err)
{
	_cleanup(free) char *text = NULL;
	_cleanup(manifest) struct manifest m = {0};
	size_t len = 0;
	int r = read_unnamed(at, path, &m, &text, &len, err);

	return r != 0 ? (r < 0 ? r : 0) : weigh_unnamed(c, at, l, &m, text, len, err);
}

static int note_if_signed(struct chain *c, const struct chain_at *at, const char *path, struct error *err)
{
	_cleanup(free) char *text = NULL;
	_cleanup(manifest) struct manifest m = {0};
	size_t len = 0;
	int r = read_unnamed(at, path, &m, &text, &len, err);

	if (r != 0 || !m.chain.sequence)
		return r < 0 ? r : 0;
	r = chain_believe(c, &m, text, len, NULL);
	return r < 0 || !m.is_proven ? 0 : catalog_chain_note_artifact(c->catalog, at->id, &m, err);
}

int chain_note_listed(struct chain *c, const struct chain_at *at, struct error *err)
{
	struct catalog_chain known;
	uint64_t ino = UINT64_C(1) << 63; /* as in chain_name_unsigned() */
	int r = catalog_chain(c->catalog, at->id, &known);

	while (r == 0) {
		_cleanup(free) char *path = NULL;

		r = catalog_unsigned_next(c->catalog, at->id, known.begun_at_us, false, &ino, &path);
		if (r == 0) {
			r = note_if_signed(c, at, path, err);
			if (r < 0)
				return r;
		}
	}
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}

static int gather_unnamed(struct chain *c, const struct chain_at *at, int64_t begun_at_us, uint64_t *ino,
                          unsigned *left, struct link *l, struct error *err)
{
	int r = 0;

	while (r == 0 && *left > 0 && l->count < NAMED_AT_ONCE) {
		_cleanup(free) char *path = NULL;

		r = catalog_unsigned_next(c->catalog, at->id, begun_at_us, true, ino, &path);
		if (r == -ENOENT) {
			*left = 0;
			return 0;
		}
		if (r < 0)
			return error_system(err, -r, "the catalog cannot be read");
		(*left)--;
		r = look_at_unnamed(c, at, l, path, err);
	}
	return r;
}

static int name_gathered(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                         struct making *m, struct error *err)
{
	int r = chain_make_ready(c, at, keys, err);

	if (r == 0)
		r = chain_know_numbers(c, at, err);
	if (r == 0)
		r = chain_give_names(c, at, m, make_names, err);
	if (r == CATALOG_CHAIN_NOT_NEEDED)
		return 0;
	if (r == 0)
		r = chain_finish_waiting(c, at, err);
	if (r == 0)
		log_info("%s: link %" PRId64 " of the chain names %zu manifests that are not signed",
		         at->store->name, m->link.place.sequence, m->link.count);
	return r;
}

int chain_name_again(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                     const char *path, struct error *err)
{
	_cleanup(making) struct making making = {.keys = keys, .link = {.type = LINK_UNSIGNED}};
	_cleanup(free) char *key = manifest_key(path), *text = NULL;
	_cleanup(manifest) struct manifest m = {0};
	char hash[SHA256_HEX_BYTES];
	size_t len = 0;
	int r = store_get_all(at->store, at->call, key, MANIFEST_MAX_BYTES, &text, &len, err);

	if (r == 0)
		r = manifest_decode(key, text, len, &m, err);
	if (r < 0 || m.chain.sequence)
		return r;
	sign_hash(text, len, hash);
	r = catalog_unsigned_is(c->catalog, &m, hash);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (r != CATALOG_UNSIGNED_REWRAPPED)
		return 0;
	if (!keys || !keys->key)
		return catalog_unsigned_loosen(c->catalog, path, m.run_id, err);
	name_one(&making.link, &m, text, len);
	return name_gathered(c, at, keys, &making, err);
}

int chain_name_unsigned(struct chain *c, const struct chain_at *at, unsigned most, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	struct catalog_chain known;
	uint64_t ino = UINT64_C(1) << 63; /* the least, as the catalog orders them */
	int r = 0;

	if (!keys || !keys->key || catalog_chain(c->catalog, at->id, &known) < 0)
		return 0;
	while (r == 0 && most > 0) {
		_cleanup(making) struct making m = {.keys = keys, .link = {.type = LINK_UNSIGNED}};

		r = gather_unnamed(c, at, known.begun_at_us, &ino, &most, &m.link, err);
		if (r == 0 && m.link.count > 0)
			r = name_gathered(c, at, keys, &m, err);
	}
	return r;
}
