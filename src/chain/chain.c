// SPDX-License-Identifier: Apache-2.0
/*
 * Giving out numbers, and writing the links that are objects of their own.
 *
 * What is signed is made within the transaction that gives out its number, since the next number needs its hash. Nothing else happens there: signing is a matter of
 * microseconds, and requests are made behind it.
 */
#include "chain_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/store/proof.h>

#define NAMED_AT_START 100 /* who waits for a start does not wait for more */

struct chain *chain_new(struct catalog *catalog, struct signing *signing)
{
	struct chain *c = mem_alloc(sizeof(*c));

	c->catalog = catalog;
	c->signing = signing;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

struct signing *chain_signing(struct chain *c)
{
	return c ? c->signing : NULL;
}

struct chain *chain_free(struct chain *c)
{
	if (!c)
		return NULL;
	pthread_mutex_destroy(&c->lock);
	free(c->sure);
	free(c);
	return NULL;
}

void chain_set_doubted(struct chain *c, bool is_doubted)
{
	if (c)
		c->is_doubted = is_doubted;
}

bool chain_is_doubted(const struct chain *c)
{
	return c && c->is_doubted;
}

void chain_listen(struct chain *c, void (*put)(void *arg), void *arg)
{
	if (!c)
		return;
	c->put = put;
	c->put_arg = arg;
}

/* Which numbers there are. */

void chain_read_numbers_by(struct chain *c,
                           int (*numbers)(void *arg, const struct chain_at *at, struct error *err), void *arg)
{
	if (!c)
		return;
	c->numbers = numbers;
	c->numbers_arg = arg;
}

/* With the lock. */
static bool has_sure(const struct chain *c, uint64_t store)
{
	size_t i = 0;

	while (i < c->sure_count && c->sure[i] != store)
		i++;
	return i < c->sure_count;
}

static bool is_sure(struct chain *c, uint64_t store)
{
	bool found;

	pthread_mutex_lock(&c->lock);
	found = has_sure(c, store);
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void note_sure(struct chain *c, const struct chain_at *at)
{
	pthread_mutex_lock(&c->lock);
	if (!has_sure(c, at->id)) {
		c->sure = mem_resize(c->sure, c->sure_count + 1, sizeof(*c->sure));
		c->sure[c->sure_count++] = at->id;
	}
	pthread_mutex_unlock(&c->lock);
}

int chain_know_numbers(struct chain *c, const struct chain_at *at, struct error *err)
{
	int r;

	if (!chain_has_key(c) || is_sure(c, at->id))
		return 0;
	r = chain_learn(c, at, NULL, err);
	if (r == 0)
		r = chain_note_listed(c, at, err);
	if (r == 0 && c->numbers)
		r = c->numbers(c->numbers_arg, at, err);
	if (r == 0)
		note_sure(c, at);
	return r;
}

int chain_give(struct chain *c, const struct chain_at *at,
               int (*make)(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                           struct error *err),
               void *arg, struct error *err)
{
	int r = chain_know_numbers(c, at, err);

	return r < 0 ? r : catalog_chain_give(c->catalog, at->id, make, arg, err);
}

/* The next place behind @at. */
static void place_behind(const struct catalog_chain *at, struct chain_place *ret)
{
	*ret = (struct chain_place){.sequence = at->sequence + 1};
	str_copy(ret->id, sizeof(ret->id), at->id);
	str_copy(ret->previous, sizeof(ret->previous), at->hash);
}

static void new_chain_id(char ret[static CHAIN_ID_BYTES])
{
	uint8_t random[(CHAIN_ID_BYTES - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		abort();
	hex_encode(random, sizeof(random), ret);
}

void making_finish(struct making *m)
{
	link_finish(&m->link);
}

static void write_body(struct making *m, struct catalog_chain_given *ret, bool by_old)
{
	_cleanup(str) struct str text = {0};
	struct signature s, old = {0};

	m->link.at_us = clock_now_us();
	m->link.place = ret->place;
	link_encode(&m->link, &text);
	sign_hash(text.data, text.len, ret->place.hash);
	sign_make(m->keys->key, text.data, text.len, &s);
	if (by_old)
		sign_make(m->keys->old, text.data, text.len, &old);
	signature_append(&text, &s, &old);
	ret->body = str_take(&text);
}

static int make_begun(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                      struct error *err)
{
	struct making *m = arg;

	if (at->id[0])
		return CATALOG_CHAIN_NOT_NEEDED;
	making_drop_gone(m);
	new_chain_id(ret->place.id);
	ret->place.sequence = 1;
	ret->key = sign_key_public(m->keys->key);
	write_body(m, ret, false);
	ret->begun_at_us = m->link.at_us;
	return 0;
}

static bool can_vouch(const struct signing_keys *keys, const struct sign_public *before)
{
	return keys->old && strcmp(sign_key_public(keys->old)->id, before->id) == 0;
}

static int make_rotated(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                        struct error *err)
{
	struct making *m = arg;

	if (strcmp(at->key.id, sign_key_public(m->keys->key)->id) == 0)
		return CATALOG_CHAIN_NOT_NEEDED;
	place_behind(at, &ret->place);
	m->link.key = *sign_key_public(m->keys->key);
	m->link.old = at->key;
	ret->key = &m->link.key;
	write_body(m, ret, can_vouch(m->keys, &at->key));
	return 0;
}

int chain_make_link(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                    struct error *err)
{
	struct making *m = arg;

	place_behind(at, &ret->place);
	ret->ends = m->ends;
	ret->ends_run_id = m->ends && !m->link.entries[0].sequence ? m->link.entries[0].run_id : 0;
	ret->is_compacted = m->link.type == LINK_COMPACTED;
	write_body(m, ret, false);
	return 0;
}

static void add_before(void *arg, const struct catalog_unsigned *artifact)
{
	struct link_entry *e = link_add(arg, artifact->path);

	e->run_id = artifact->run_id;
	e->size_bytes = artifact->size_bytes;
	str_copy(e->hash, sizeof(e->hash), artifact->sha256);
}

static int begin(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                 struct error *err)
{
	_cleanup(making) struct making m = {.keys = keys, .link = {.type = LINK_BEGUN}};
	int r = catalog_each_artifact_of(c->catalog, at->id, add_before, &m.link);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	m.link.key = *sign_key_public(keys->key);
	r = chain_give_names(c, at, &m, make_begun, err);
	if (r == 0)
		log_info("%s: what is published from now on is signed with the key %s, and is a chain",
		         at->store->name, m.link.key.id);
	return r < 0 ? r : 0;
}

static int rotate(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                  const struct sign_public *before, struct error *err)
{
	_cleanup(making) struct making m = {.keys = keys, .link = {.type = LINK_ROTATED}};
	int r = catalog_chain_add_key(c->catalog, before, err);

	if (r == 0)
		r = chain_give(c, at, make_rotated, &m, err);
	if (r == 0 && can_vouch(keys, before))
		log_info("%s: the key %s signs from now on, and the key %s has vouched for it",
		         at->store->name, m.link.key.id, before->id);
	else if (r == 0)
		log_warning(
		        "%s: the key %s signs from now on, and the key %s, which did before, could not vouch for it: 'keepfs verify' needs the public halves of both",
		        at->store->name, m.link.key.id, before->id);
	return r < 0 ? r : 0;
}

/* Whoever has put it, keepfs has not: else what the link says would be lost for ever, or no other one could be put any more. */
static int replace_strange(const struct chain_at *at, const struct store_proof *link, struct error *err)
{
	struct store_put_options options = {.content_type = "application/json"};
	struct store_lock lock = {0};
	int r = store_lock_proof(at->store, link->until_us, &lock, err);

	if (r < 0)
		return r;
	options.lock = r > 0 ? &lock : NULL;
	log_error(
	        "%s: %s is there already, and is no link that keepfs has signed: somebody has put it there; it is replaced",
	        at->store->name, link->key);
	return store_put_bytes(at->store, at->call, link->key, link->data, link->len, &options, err);
}

/* It was put before, and the answer was lost; or an older catalog was put back, and gave the number out again. */
static int hold_against_stored(struct chain *c, const struct chain_at *at, int64_t sequence,
                               const struct store_proof *link, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = signing_ref(c->signing);
	_cleanup(free) char *there = NULL;
	_cleanup(link) struct link ours = {0};
	struct catalog_chain known = {0};
	size_t len = 0;
	int r = store_get_all(at->store, at->call, link->key, LINK_MAX_BYTES, &there, &len, err);

	if (r == 0 && len == link->len && memcmp(there, link->data, len) == 0)
		return 0;
	if (r < 0 && r != -EFBIG)
		return r;
	r = catalog_chain(c->catalog, at->id, &known);
	if (r == 0 && keys && keys->count > 0)
		r = chain_read_link(c, at, keys, known.id, sequence, &ours, NULL);
	if (r == -EBADMSG)
		return replace_strange(at, link, err);
	if (r < 0 && r != -ENOTSUP)
		return error_set(err, ERROR_UNAVAILABLE, EAGAIN, "%s: what is there cannot be read now",
		                 link->key);
	log_error(
	        "%s: %s is there already, and says something else: an older catalog was put back, or somebody has written it; 'keepfs verify --key' tells what cannot be proven now",
	        at->store->name, link->key);
	return 0;
}

static int put_waiting(struct chain *c, const struct chain_at *at, int64_t sequence, const char *body,
                       struct error *err)
{
	_cleanup(free) char *key = link_key(sequence);
	struct store_proof link = {.key = key, .data = body, .len = strlen(body)};
	int r = catalog_locked_until(c->catalog, at->id, &link.until_us);

	r = r < 0 ? error_system(err, -r, "the catalog cannot be read")
	          : store_put_proof(at->store, at->call, &link, err);
	if (r == STORE_EXISTS)
		r = hold_against_stored(c, at, sequence, &link, err);
	if (r == 0 && link.unlocked)
		r = catalog_proofs_unlocked(c->catalog, at->id, err);
	if (r >= 0 && c->put)
		c->put(c->put_arg);
	return r < 0 ? r : catalog_chain_written(c->catalog, at->id, sequence, err);
}

int chain_finish_waiting(struct chain *c, const struct chain_at *at, struct error *err)
{
	int64_t sequence;
	int r = 0;

	while (c && r == 0) {
		_cleanup(free) char *body = NULL;

		r = catalog_chain_waiting(c->catalog, at->id, &sequence, &body);
		if (r == -ENOENT)
			return 0;
		r = r < 0 ? error_system(err, -r, "the catalog cannot be read")
		          : put_waiting(c, at, sequence, body, err);
	}
	return r;
}

int chain_make_ready(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                     struct error *err)
{
	struct catalog_chain known;
	int r = catalog_chain(c->catalog, at->id, &known);

	if (r == -ENOENT) {
		r = chain_learn(c, at, NULL, err);
		if (r < 0)
			return r;
		r = catalog_chain(c->catalog, at->id, &known);
	}
	if (r == -ENOENT)
		return begin(c, at, keys, err);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (known.key.id[0] && strcmp(known.key.id, sign_key_public(keys->key)->id) != 0)
		r = rotate(c, at, keys, &known.key, err);
	return r;
}

int chain_ready(struct chain *c, const struct chain_at *at, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	int r = keys && keys->key ? chain_make_ready(c, at, keys, err) : 0;

	if (r == 0)
		r = chain_finish_waiting(c, at, err);
	return r < 0 ? r : chain_name_unsigned(c, at, NAMED_AT_START, err);
}

struct signing_manifest {
	const struct signing_keys *keys;
	struct manifest *m;
	struct str *text;
};

static int make_manifest_link(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                              struct error *err)
{
	struct signing_manifest *s = arg;

	place_behind(at, &s->m->chain);
	manifest_encode(s->m, s->text);
	sign_hash(s->text->data, s->text->len, s->m->chain.hash);
	ret->place = s->m->chain;
	ret->path = s->m->path;
	if (!at->key.id[0])
		ret->key = sign_key_public(s->keys->key);
	return 0;
}

int chain_sign(struct chain *c, const struct chain_at *at, struct manifest *m, struct str *text,
               struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	struct signing_manifest s = {.keys = keys, .m = m, .text = text};
	int r;

	m->chain = (struct chain_place){0};
	if (!keys || !keys->key)
		return 1;
	r = chain_make_ready(c, at, keys, err);
	if (r == 0)
		r = chain_give(c, at, make_manifest_link, &s, err);
	if (r < 0)
		return r;
	sign_make(keys->key, text->data, text->len, &m->signature);
	signature_append(text, &m->signature, NULL);
	m->is_proven = true;
	return 0;
}

static void add_gone_link(void *arg, int64_t sequence, const char *hash)
{
	struct making *m = arg;
	struct link_entry *e = link_add(&m->link, m->ends);

	e->sequence = sequence;
	str_copy(e->hash, sizeof(e->hash), hash);
}

int chain_end(struct chain *c, const struct chain_at *at, const char *path, enum link_type how,
              int64_t run_id, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	_cleanup(making) struct making m = {.keys = keys, .link = {.type = how}, .ends = path};
	int r;

	if (!keys || !keys->key)
		return 0;
	/* What an attempt before this one has given out is put first: each would make a link more, for as long as none can be put. */
	r = chain_finish_waiting(c, at, err);
	if (r < 0)
		return r;
	r = catalog_chain_links_of(c->catalog, at->id, path, add_gone_link, &m);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (m.link.count == 0 && run_id)
		link_add(&m.link, path)->run_id = run_id;
	if (m.link.count == 0)
		return 0;
	r = chain_make_ready(c, at, keys, err);
	if (r == 0)
		r = chain_give(c, at, chain_make_link, &m, err);
	return r < 0 ? r : chain_finish_waiting(c, at, err);
}

bool chain_has_key(struct chain *c)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;

	return keys && keys->key;
}

static int lack_key(const struct manifest *m, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, ENOKEY,
	        "%s: its manifest is signed, and this host has no key to sign another one with: set [keepfs] signing_key_file",
	        m->path);
}

int chain_sign_again(struct chain *c, struct manifest *m, struct str *text, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;

	if (!m->chain.sequence)
		return 1;
	if (!keys || !keys->key)
		return lack_key(m, err);
	manifest_encode(m, text);
	sign_hash(text->data, text->len, m->chain.hash);
	sign_make(keys->key, text->data, text->len, &m->signature);
	signature_append(text, &m->signature, NULL);
	m->is_proven = true;
	return 0;
}

struct rewriting {
	struct making making;
	const struct manifest *m;
	char before[SHA256_HEX_BYTES]; /* the hash that the catalog knows; "": it knows none */
};

static void see_hash(void *arg, int64_t sequence, const char *hash)
{
	struct rewriting *w = arg;

	if (sequence == w->m->chain.sequence)
		str_copy(w->before, sizeof(w->before), hash);
}

static int make_rewritten(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                          struct error *err)
{
	struct rewriting *w = arg;

	place_behind(at, &ret->place);
	ret->rewritten = &w->m->chain;
	write_body(&w->making, ret, false);
	return 0;
}

static int give_rewritten(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                          struct rewriting *w, struct error *err)
{
	struct link_entry *e = link_add(&w->making.link, w->m->path);
	int r;

	e->sequence = w->m->chain.sequence;
	str_copy(e->hash, sizeof(e->hash), w->before);
	str_copy(e->now, sizeof(e->now), w->m->chain.hash);
	r = chain_make_ready(c, at, keys, err);
	return r < 0 ? r : chain_give(c, at, make_rewritten, w, err);
}

int chain_rewritten(struct chain *c, const struct chain_at *at, const struct manifest *m, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	struct rewriting w = {.making = {.keys = keys, .link = {.type = LINK_REWRITTEN}}, .m = m};
	struct catalog_chain known;
	int r;

	if (!c || (!(keys && keys->key) && catalog_chain(c->catalog, at->id, &known) == -ENOENT))
		return 0;
	if (!m->chain.sequence)
		return chain_name_again(c, at, keys, m->path, err);
	r = catalog_chain_links_of(c->catalog, at->id, m->path, see_hash, &w);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (w.before[0] && strcmp(w.before, m->chain.hash) != 0)
		r = keys && keys->key ? give_rewritten(c, at, keys, &w, err) : lack_key(m, err);
	making_finish(&w.making);
	return r < 0 ? r : chain_finish_waiting(c, at, err);
}
