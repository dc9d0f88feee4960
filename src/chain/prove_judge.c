// SPDX-License-Identifier: Apache-2.0
/*
 * The judgement. Each number of the chain from the first to the last one that was seen has to be there, with the hash that the next one names; or a link has to say what
 * became of it. What is there has to be what should be there.
 */
#include "prove_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

static int by_sequence(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return strcmp(x->key, y->key);
}

/* Of one number: that it is gone comes last, and of its contents the newest. */
static int by_told(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	if (x->is_rewritten != y->is_rewritten)
		return x->is_rewritten ? -1 : 1;
	return (x->by > y->by) - (x->by < y->by);
}

static int by_path(const void *a, const void *b)
{
	const struct bare *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static const struct told *first_told(const struct proof *p, int64_t sequence)
{
	size_t low = 0, high = p->told_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->told[middle].sequence < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low < p->told_count && p->told[low].sequence == sequence ? &p->told[low] : NULL;
}

static const struct told *last_told(const struct proof *p, int64_t sequence)
{
	const struct told *t = first_told(p, sequence), *end = p->told + p->told_count;

	while (t && t + 1 < end && t[1].sequence == sequence)
		t++;
	return t;
}

static bool is_same_hash(const uint8_t a[static SHA256_BYTES], const uint8_t b[static SHA256_BYTES])
{
	return memcmp(a, b, SHA256_BYTES) == 0;
}

/* Between which times it was made, by its neighbours. */
static void tell_missing_number(struct proof *p, int64_t sequence, const struct seen *before,
                                const struct seen *after)
{
	char from[CLOCK_ISO_BYTES] = "the beginning", until[CLOCK_ISO_BYTES] = "the end";

	if (before)
		clock_format_iso(before->at_us, from);
	if (after)
		clock_format_iso(after->at_us, until);
	proof_find(
	        p, PROVE_MISSING,
	        "number %" PRId64
	        " is not there, and nothing says that it was removed: a manifest or a link of the chain that was made between %s and %s",
	        sequence, from, until);
}

/* @after: the next one that is there, which need not be the next number. */
static void judge_absent(struct proof *p, int64_t sequence, const struct seen *before,
                         const struct seen *after)
{
	const struct told *t = first_told(p, sequence), *last = last_told(p, sequence);

	if (!last || last->is_rewritten) {
		if (copied_lacks(&p->copied, sequence))
			p->result.elsewhere++;
		else
			tell_missing_number(p, sequence, before, after);
		return;
	}
	p->result.gone++;
	if (after && after->sequence == sequence + 1 && !is_same_hash(t->hash, after->previous))
		proof_find(p, PROVE_CHANGED,
		           "number %" PRId64 ": link %" PRId64
		           " says that it is gone, but had another content than number %" PRId64 " knows of",
		           sequence, t->by, after->sequence);
}

/* Of copies some stay when the first store does not have the backup any more. What was never used was never copied. */
static bool is_kept_copy(const struct proof *p, const struct seen *s, const struct told *first,
                         const struct told *last)
{
	return p->copied.sequence > 0 && !last->is_void &&
	       (is_same_hash(s->hash, last->hash) || is_same_hash(s->hash, first->hash));
}

static void judge_present(struct proof *p, const struct seen *s, const struct seen *next)
{
	const struct told *first = first_told(p, s->sequence), *last = last_told(p, s->sequence);
	const uint8_t *chained = s->hash;

	if (last && !last->is_rewritten && is_kept_copy(p, s, first, last)) {
		p->result.kept++;
	} else if (last && !last->is_rewritten) {
		proof_find(p, PROVE_REPLAYED,
		           "%s: number %" PRId64 " %s, as link %" PRId64 " says, and is there again", s->key,
		           s->sequence, last->is_void ? "was never used" : "was removed", last->by);
		return;
	}
	if (last && last->is_rewritten && !is_same_hash(s->hash, last->now)) {
		/* It is copied once more, and says so. */
		if (copied_lacks(&p->copied, s->sequence)) {
			p->result.elsewhere++;
			return;
		}
		proof_find(p, PROVE_REPLAYED,
		           "%s: it was written anew, as link %" PRId64 " says, and is an older version",
		           s->key, last->by);
		return;
	}
	if (first)
		chained = first->hash;
	if (next && next->sequence == s->sequence + 1 && !is_same_hash(chained, next->previous))
		proof_find(p, PROVE_CHANGED,
		           "%s: number %" PRId64 " is not the one that number %" PRId64
		           " (%s) was made behind",
		           s->key, s->sequence, next->sequence, next->key);
}

static void judge_chain(struct proof *p)
{
	const struct seen *before = NULL;

	for (size_t i = 0; i < p->seen_count; i++) {
		const struct seen *s = &p->seen[i], *next = i + 1 < p->seen_count ? s + 1 : NULL;

		if (before && before->sequence == s->sequence) {
			proof_find(p, PROVE_MOVED, "%s: number %" PRId64 " is there twice, the other is %s",
			           s->key, s->sequence, before->key);
			continue;
		}
		for (int64_t n = before ? before->sequence + 1 : 1; n < s->sequence; n++)
			judge_absent(p, n, before, s);
		/* What is there twice is told of where it comes again. */
		while (next && next->sequence == s->sequence)
			next = next + 1 < p->seen + p->seen_count ? next + 1 : NULL;
		judge_present(p, s, next);
		before = s;
	}
	if (before) {
		p->result.sequence = before->sequence;
		hex_encode(before->hash, sizeof(before->hash), p->result.hash);
	}
	/* A store of copies says how far it goes. */
	for (int64_t n = p->result.sequence + 1; n <= p->copied.sequence; n++)
		judge_absent(p, n, before, NULL);
}

static const struct bare *find_bare(const struct bares *list, const char *path)
{
	const struct bare wanted = {.path = (char *)path};

	return list->count > 0 ? bsearch(&wanted, list->items, list->count, sizeof(*list->items), by_path)
	                       : NULL;
}

static void judge_bare(struct proof *p, const struct bare *b)
{
	const struct bare *known = find_bare(&p->before, b->path),
	                  *gone = find_bare(&p->before_gone, b->path);

	if (!known) {
		proof_find(p, PROVE_ADDED,
		           "%s: its manifest is not signed, and it was not there before the chain began",
		           b->path);
		return;
	}
	p->result.before++;
	if (gone && gone->run_id == known->run_id && p->copied.sequence > 0)
		p->result.kept++;
	else if (gone && gone->run_id == known->run_id)
		proof_find(p, PROVE_REPLAYED,
		           "%s: it was removed, as a link of the chain says, and is there again", b->path);
	else if (known->run_id != b->run_id || known->size_bytes != b->size_bytes ||
	         strcmp(known->sha256, b->sha256) != 0)
		proof_find(
		        p, PROVE_CHANGED,
		        "%s: it is not what was there before the chain began: another run, size or SHA-256",
		        b->path);
}

static void judge_before(struct proof *p)
{
	for (size_t i = 0; i < p->found.count; i++)
		judge_bare(p, &p->found.items[i]);
	for (size_t i = 0; i < p->before.count; i++) {
		const struct bare *b = &p->before.items[i], *gone = find_bare(&p->before_gone, b->path);

		if (find_bare(&p->found, b->path) || (gone && gone->run_id == b->run_id))
			continue;
		if (copied_lacks_before(&p->copied, b->path))
			p->result.elsewhere++;
		else
			proof_find(
			        p, PROVE_MISSING,
			        "%s: it was there before the chain began, and nothing says that it was removed",
			        b->path);
	}
}

static const struct seen *find_seen(const struct proof *p, int64_t sequence)
{
	for (size_t i = 0; i < p->seen_count; i++)
		if (p->seen[i].sequence == sequence)
			return &p->seen[i];
	return NULL;
}

/* A hash that was given for a number whose link is there, or is said to be gone. */
static void judge_checkpoint_hash(struct proof *p, const struct prove_checkpoint *c)
{
	const struct told *t = first_told(p, c->sequence);
	const struct seen *s = find_seen(p, c->sequence);
	char hash[SHA256_HEX_BYTES] = "";

	if (!c->hash[0] || (!t && !s))
		return;
	hex_encode(t ? t->hash : s->hash, SHA256_BYTES, hash);
	if (strcmp(hash, c->hash) != 0)
		proof_find(p, PROVE_CHANGED,
		           "number %" PRId64
		           " is not the one of the checkpoint: it has the hash %s, and not %s",
		           c->sequence, hash, c->hash);
}

static void judge_chain_end(struct proof *p)
{
	const struct prove_checkpoint *c = &p->options->expected;

	if (!c->sequence)
		return;
	if (c->id[0] && strcmp(c->id, p->result.id) != 0) {
		proof_find(p, PROVE_CUT,
		           "the chain is %s, and the checkpoint is of another one, %s: it was begun anew",
		           p->result.id[0] ? p->result.id : "not there", c->id);
		return;
	}
	if (p->result.sequence < c->sequence)
		proof_find(p, PROVE_CUT,
		           "the chain ends at number %" PRId64 ", and went on to %" PRId64
		           " at least: its end was cut off",
		           p->result.sequence, c->sequence);
	judge_checkpoint_hash(p, c);
}

static void sort_bares(struct bares *list)
{
	if (list->count > 0)
		qsort(list->items, list->count, sizeof(*list->items), by_path);
}

void proof_judge(struct proof *p)
{
	if (p->seen_count > 0)
		qsort(p->seen, p->seen_count, sizeof(*p->seen), by_sequence);
	if (p->told_count > 0)
		qsort(p->told, p->told_count, sizeof(*p->told), by_told);
	sort_bares(&p->found);
	sort_bares(&p->before);
	sort_bares(&p->before_gone);
	if (!p->result.id[0])
		proof_find(
		        p, PROVE_MISSING,
		        "there is no chain of signatures here: no manifest and no link is signed with a key that was given");
	judge_chain(p);
	judge_before(p);
	judge_chain_end(p);
}
