// SPDX-License-Identifier: Apache-2.0
/*
 * Links of a chain, read to prove it. They say which keys signed when another one did: those whose key is not known yet are read again when it is.
 */
#include "prove_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>

static void note_told_entry(struct proof *p, const struct link *l, const struct link_entry *e)
{
	struct told t = {.sequence = e->sequence,
	                 .by = l->place.sequence,
	                 .is_rewritten = l->type == LINK_REWRITTEN,
	                 .is_returned = l->type == LINK_RETURNED,
	                 .is_void = l->type == LINK_VOID};

	proof_hash(e->hash, t.hash);
	proof_hash(l->type == LINK_RETURNED ? e->hash : e->now, t.now);
	proof_note_told(p, &t);
}

static enum bare_kind bare_kind_of(const struct link *l)
{
	return link_names_unsigned(l) ? BARE_NAMED : l->type == LINK_RETURNED ? BARE_BACK : BARE_GONE;
}

/* A range tells of what was so at its end: behind that, it may have been brought back. */
static void note_bare_entry(struct proof *p, const struct link *l, const struct link_entry *e)
{
	struct bare b = {.kind = bare_kind_of(l),
	                 .by = l->type == LINK_COMPACTED ? l->to : l->place.sequence,
	                 .run_id = e->run_id,
	                 .size_bytes = e->size_bytes};

	str_copy(b.sha256, sizeof(b.sha256), e->hash);
	str_copy(b.manifest, sizeof(b.manifest), e->now);
	proof_note_bare(p, e->path, &b);
}

/* Each tells of all numbers from the first one on, so the newest says everything. */
static void note_range(struct proof *p, const struct link *l)
{
	struct prove_range *range = &p->range;

	if (range->by > l->place.sequence)
		return;
	range->by = l->place.sequence;
	range->to = l->to;
	proof_hash(l->to_hash, range->to_hash);
	range->kept = mem_resize(range->kept, l->count + 1, sizeof(*range->kept));
	range->count = 0;
	for (size_t i = 0; i < l->count; i++)
		if (l->entries[i].sequence) {
			struct kept *k = &range->kept[range->count++];

			k->sequence = l->entries[i].sequence;
			proof_hash(l->entries[i].hash, k->hash);
		}
}

static void note_entries(struct proof *p, const struct link *l)
{
	if (l->type == LINK_COMPACTED)
		note_range(p, l);
	for (size_t i = 0; i < l->count; i++) {
		const struct link_entry *e = &l->entries[i];

		if (!e->sequence)
			note_bare_entry(p, l, e);
		else if (l->type != LINK_COMPACTED)
			note_told_entry(p, l, e);
	}
}

static bool is_of_chain(struct proof *p, const char *key, const char *id)
{
	if (!p->result.id[0])
		str_copy(p->result.id, sizeof(p->result.id), id);
	if (strcmp(p->result.id, id) == 0)
		return true;
	proof_find(p, PROVE_ADDED, "%s: it is signed, but of another chain, %s", key, id);
	return false;
}

/* Another key goes on; it is believed because one that is believed says so, and has signed this. Both ways need both signatures. */
static bool take_rotation(struct proof *p, const struct link *l, const char *text, size_t len)
{
	bool by_new = link_is_signed_by(&l->signature, &l->key, text, len),
	     by_old = link_is_signed_by(&l->second, &l->old, text, len);
	bool knows_new = proof_key(p, l->key.id) != NULL, knows_old = proof_key(p, l->old.id) != NULL;

	if (!by_new || !by_old || (!knows_new && !knows_old))
		return false;
	return (!knows_new && proof_add_key(p, &l->key, false)) ||
	       (!knows_old && proof_add_key(p, &l->old, false));
}

struct reading_links {
	int64_t *unknown; /* whose key was not known when they were read */
	size_t unknown_count;
	bool has_new_key;
};

enum signing_of {
	SIGNED_FITTING, /* or without a signature, which is told by whoever reads it */
	SIGNED_WRONG,
	SIGNED_UNKNOWN, /* by a key that is not known, and for which none of those that are has signed */
};

static bool fits(struct proof *p, const struct signature *s, const char *text, size_t signed_len)
{
	const struct prove_key *k = s->key[0] ? proof_key(p, s->key) : NULL;

	return k && sign_verify(&k->key, text, signed_len, s);
}

/* By the bytes alone: what anybody may have written takes many times its size when it is parsed. */
static enum signing_of look_at_signature(struct proof *p, const char *text, size_t len)
{
	struct signature first = {0}, second = {0};
	size_t signed_len;

	if (signature_find(text, len, &signed_len, &first, &second, NULL) != 1 ||
	    fits(p, &first, text, signed_len))
		return SIGNED_FITTING;
	if (proof_key(p, first.key))
		return SIGNED_WRONG;
	return fits(p, &second, text, signed_len) ? SIGNED_FITTING : SIGNED_UNKNOWN;
}

static void remember_unknown(struct reading_links *rl, int64_t sequence)
{
	if ((rl->unknown_count & (rl->unknown_count - 1)) == 0)
		rl->unknown = mem_resize(rl->unknown, rl->unknown_count ? 2 * rl->unknown_count : 1,
		                         sizeof(*rl->unknown));
	rl->unknown[rl->unknown_count++] = sequence;
}

static void judge_link(struct proof *p, struct reading_links *rl, const char *key, int64_t sequence,
                       const char *text, size_t len)
{
	_cleanup(link) struct link l = {0};
	struct error why = {0};
	struct prove_key *by;
	enum signing_of how = look_at_signature(p, text, len);

	if (how == SIGNED_WRONG)
		proof_find(p, PROVE_CHANGED, "%s: its signature does not fit", key);
	if (how == SIGNED_UNKNOWN)
		remember_unknown(rl, sequence);
	if (how != SIGNED_FITTING)
		return;
	if (link_decode(key, text, len, &l, &why) < 0) {
		proof_find(p, PROVE_CHANGED, "%s", why.message);
		return;
	}
	if (l.type == LINK_ROTATED && take_rotation(p, &l, text, len))
		rl->has_new_key = true;
	by = proof_key(p, l.signature.key);
	if (!by) {
		remember_unknown(rl, sequence);
	} else if (!link_is_signed_by(&l.signature, &by->key, text, len)) {
		proof_find(p, PROVE_CHANGED, "%s: its signature does not fit", key);
	} else if (l.place.sequence != sequence) {
		proof_find(p, PROVE_MOVED, "%s: it is number %" PRId64, key, l.place.sequence);
	} else if (is_of_chain(p, key, l.place.id)) {
		proof_count_key(by, sequence);
		p->result.links++;
		if (l.type == LINK_BEGUN)
			p->result.begun_at_us = l.at_us;
		proof_note_seen(p, key, &l.place, l.at_us, true);
		note_entries(p, &l);
	}
}

static int read_link(struct proof *p, struct reading_links *rl, const char *key, struct error *err)
{
	_cleanup(free) char *text = NULL;
	int64_t sequence = link_sequence_of_key(key);
	size_t len = 0;
	int r;

	if (!sequence) {
		proof_find(p, PROVE_ADDED, "%s: not the name of a link", key);
		return 0;
	}
	r = store_get_all(p->store, &p->call, key, LINK_MAX_BYTES, &text, &len, err);
	if (r == -EFBIG)
		proof_find(p, PROVE_CHANGED, "%s: it is longer than any link", key);
	if (r == -EFBIG || r == -ENOENT)
		return 0;
	if (r == 0)
		judge_link(p, rl, key, sequence, text, len);
	return r;
}

static int read_link_page(struct proof *p, void *arg, const struct store_object *objects, size_t count,
                          struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = read_link(p, arg, objects[i].key, err);
	return r;
}

/* Those whose key was not known, once more with what was learnt meanwhile. */
static int read_unknown(struct proof *p, struct reading_links *rl, struct error *err)
{
	int r = 0;

	while (r == 0 && rl->has_new_key && rl->unknown_count > 0) {
		struct reading_links again = {0};

		for (size_t i = 0; r == 0 && i < rl->unknown_count; i++) {
			_cleanup(free) char *key = link_key(rl->unknown[i]);

			r = read_link(p, &again, key, err);
		}
		free(rl->unknown);
		*rl = again;
	}
	return r;
}

int proof_read_links(struct proof *p, struct error *err)
{
	struct reading_links rl = {0};
	int r = proof_each_page(p, LINK_PREFIX, read_link_page, &rl, err);

	if (r == 0)
		r = read_unknown(p, &rl, err);
	for (size_t i = 0; r == 0 && i < rl.unknown_count; i++)
		proof_find(
		        p, PROVE_ADDED,
		        LINK_PREFIX
		        "%012" PRId64
		        ".json: it is signed with a key that was not given, and for which none of those has vouched",
		        rl.unknown[i]);
	free(rl.unknown);
	return r;
}
