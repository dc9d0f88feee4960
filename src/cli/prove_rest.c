// SPDX-License-Identifier: Apache-2.0
/*
 * Records and copies of the catalog have a SHA-256 in their names, checkpoints are signed and name one another. That finds what was damaged, and what somebody has changed who did not
 * give it another name.
 */
#include "prove_rest.h"

#include <keepfs/base/mem.h>
#include <keepfs/checkpoint.h>
#include <keepfs/copies.h>
#include <keepfs/keyring.h>
#include <keepfs/records.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct proving_rest {
	struct prove_rest *rest;
	struct prove_result *proof;
};

static void tell_rest(const struct proving_rest *p, enum prove_kind kind, const char *text)
{
	p->proof->problems[kind]++;
	p->proof->problem_count++;
	p->rest->problem(p->rest->arg, kind, text);
}

static void see_wrong_object(void *arg, const char *text)
{
	tell_rest(arg, PROVE_OBJECT, text);
}

static void see_wrong_checkpoint(void *arg, const char *text)
{
	tell_rest(arg, PROVE_CHANGED, text);
}

/* It says how long the chain was. */
static void hold_against_chain(void *arg, const char *key, const struct checkpoint *c)
{
	const struct proving_rest *p = arg;
	const struct prove_result *proof = p->proof;
	_cleanup(free) char *text = NULL, *name = checkpoint_key(c);

	p->rest->checkpoints++;
	if (strcmp(name, key) != 0) {
		text = mem_printf("%s is the checkpoint of another name, %s", key, name);
		tell_rest(p, PROVE_MOVED, text);
		return;
	}
	/* A store of copies may get a checkpoint before the links that it tells of. */
	if (proof->is_copy || !c->end.sequence || !c->signature.key[0] || strcmp(c->end.id, proof->id) != 0)
		return;
	if (c->end.sequence > proof->sequence)
		text = mem_printf("%s: the chain had come to number %" PRId64 ", and ends at number %" PRId64
		                  ": its end was cut off",
		                  key, c->end.sequence, proof->sequence);
	else if (c->end.sequence == proof->sequence && strcmp(c->end.hash, proof->hash) != 0)
		text = mem_printf("%s: number %" PRId64 " of the chain is not the one that was there then",
		                  key, c->end.sequence);
	if (text)
		tell_rest(p, PROVE_CUT, text);
}

static int prove_checkpoints(struct proving_rest *p, struct store *store, struct error *err)
{
	_cleanup(free) struct sign_public *keys =
	        mem_array(p->proof->key_count ? p->proof->key_count : 1, sizeof(*keys));
	const struct checkpoint_reading reading = {
	        .store = store,
	        .keys = keys,
	        .key_count = p->proof->key_count,
	        .unsigned_until_us = p->proof->begun_at_us,
	        .each = hold_against_chain,
	        .problem = see_wrong_checkpoint,
	        .arg = p,
	};

	for (size_t i = 0; i < p->proof->key_count; i++)
		keys[i] = p->proof->keys[i].key;
	return checkpoint_read(&reading, err);
}

static int prove_copies(struct proving_rest *p, struct store *store, const struct conf *conf,
                        struct error *err)
{
	_cleanup(keyring) struct keyring *keyring = keyring_new(conf);
	struct copies_proving copies = {
	        .store = store, .keyring = keyring, .problem = see_wrong_object, .arg = p};
	int r = copies_prove(&copies, err);

	p->rest->copies = copies.count;
	p->rest->locked = copies.locked;
	return r;
}

int prove_rest(struct store *store, const struct conf *conf, struct prove_result *proof,
               struct prove_rest *rest, struct error *err)
{
	struct proving_rest p = {.rest = rest, .proof = proof};
	struct records_proving records = {.store = store, .problem = see_wrong_object, .arg = &p};
	int r = records_prove(&records, err);

	rest->records = records.count;
	if (r == 0)
		r = prove_checkpoints(&p, store, err);
	return r < 0 ? r : prove_copies(&p, store, conf, err);
}
