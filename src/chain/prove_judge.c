// SPDX-License-Identifier: Apache-2.0
/*
 * The judgement. Each number of the chain from the first to the last one that was seen has to be there, with the hash that the next one names; or a link has to say what
 * became of it. What is there has to be what should be there. All comes sorted, so that no more than what is being judged is in memory.
 */
#include "prove_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

static int order_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

int proof_by_sequence(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return order_numbers(x->sequence, y->sequence) ?: strcmp(seen_key(x), seen_key(y));
}

/* Of one number: as it was told. */
int proof_by_told(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	if (x->sequence != y->sequence)
		return order_numbers(x->sequence, y->sequence);
	return order_numbers(x->by, y->by);
}

int proof_by_path(const void *a, const void *b)
{
	const struct bare *x = a, *y = b;
	int r = strcmp(bare_path(x), bare_path(y)) ?: order_numbers(x->run_id, y->run_id);

	return r ?: (int)x->kind - (int)y->kind;
}

/* One that is there, kept while the next ones are read. */
struct standing {
	struct seen seen; /* its sequence 0: there was none yet */
	char *key;        /* heap */
};

struct judging {
	struct proof *p;
	struct standing before; /* the last one that is there */
	const struct told *next_told;
	bool told_ended;
	/* What links say of the number that is being judged. */
	struct told first, last; /* last: what is so by all of them */
	int64_t back_by;         /* the newest that says that it was brought back; 0: none does */
	bool has_told;
	size_t next_kept;
	/* Of the checkpoint's number. */
	uint8_t expected[SHA256_BYTES];
	bool has_expected;
	int failed;
	struct error error;
};

static void fail_judging(struct judging *j, int r, const struct error *why)
{
	if (r < 0 && j->failed == 0) {
		j->failed = r;
		j->error = *why;
	}
}

static bool next_record(struct judging *j, struct sorter *sorter, const void **ret)
{
	struct error why = {0};
	int r = j->failed < 0 ? 0 : sorter_next(sorter, ret, &why);

	fail_judging(j, r, &why);
	return r > 0;
}

static void advance_told(struct judging *j)
{
	const void *record = NULL;

	j->told_ended = !next_record(j, j->p->told, &record);
	j->next_told = j->told_ended ? NULL : record;
}

static bool is_told_gone(const struct told *t)
{
	return !t->is_rewritten && !t->is_returned;
}

static void take_teller(struct judging *j, const struct told *t)
{
	if (!j->has_told)
		j->first = *t;
	if (t->is_returned)
		j->back_by = t->by;
	/* That it was written anew may be told late: what is gone does not come back by that. */
	if (!j->has_told || !is_told_gone(&j->last) || !t->is_rewritten)
		j->last = *t;
	j->has_told = true;
}

/* Numbers are asked for in their order. */
static void take_told(struct judging *j, int64_t sequence)
{
	j->has_told = false;
	j->back_by = 0;
	if (!j->next_told && !j->told_ended)
		advance_told(j);
	while (j->next_told && j->next_told->sequence < sequence)
		advance_told(j);
	while (j->next_told && j->next_told->sequence == sequence) {
		take_teller(j, j->next_told);
		advance_told(j);
	}
}

/* In the range, what is to be there; in order, too. */
static const struct kept *take_kept(struct judging *j, int64_t sequence)
{
	const struct prove_range *range = &j->p->range;

	while (j->next_kept < range->count && range->kept[j->next_kept].sequence < sequence)
		j->next_kept++;
	return j->next_kept < range->count && range->kept[j->next_kept].sequence == sequence
	               ? &range->kept[j->next_kept]
	               : NULL;
}

static bool is_same_hash(const uint8_t a[static SHA256_BYTES], const uint8_t b[static SHA256_BYTES])
{
	return memcmp(a, b, SHA256_BYTES) == 0;
}

static void note_expected(struct judging *j, int64_t sequence, const uint8_t hash[static SHA256_BYTES])
{
	if (sequence != j->p->options->expected.sequence)
		return;
	memcpy(j->expected, hash, sizeof(j->expected));
	j->has_expected = true;
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

/* By the range it is gone, unless it was brought back behind it. */
static bool is_ended_by_range(const struct judging *j, int64_t sequence, const struct kept *kept)
{
	const struct prove_range *range = &j->p->range;

	return sequence <= range->to && !kept && j->back_by <= range->to;
}

static void hold_range_end(struct proof *p, int64_t sequence, const struct seen *after)
{
	if (sequence == p->range.to && after && after->sequence == sequence + 1 &&
	    !is_same_hash(p->range.to_hash, after->previous))
		proof_find(p, PROVE_CHANGED,
		           "number %" PRId64 ": link %" PRId64
		           " knows another content of it than number %" PRId64,
		           sequence, p->range.by, after->sequence);
}

/* @after: the next one that is there, which need not be the next number. */
static void judge_absent(struct judging *j, int64_t sequence, const struct seen *after)
{
	struct proof *p = j->p;
	const struct kept *kept = take_kept(j, sequence);

	take_told(j, sequence);
	if (is_ended_by_range(j, sequence, kept)) {
		p->result.gone++;
		hold_range_end(p, sequence, after);
		return;
	}
	if (!j->has_told || !is_told_gone(&j->last)) {
		if (copied_lacks(&p->copied, sequence))
			p->result.elsewhere++;
		else
			tell_missing_number(p, sequence, j->before.seen.sequence ? &j->before.seen : NULL,
			                    after);
		return;
	}
	p->result.gone++;
	note_expected(j, sequence, j->first.hash);
	if (kept && is_told_gone(&j->first) && j->back_by == 0 && !is_same_hash(kept->hash, j->first.hash))
		proof_find(p, PROVE_CHANGED,
		           "number %" PRId64 ": link %" PRId64
		           " says that it is gone, but had another content than link %" PRId64 " knows of",
		           sequence, j->first.by, p->range.by);
	if (after && after->sequence == sequence + 1 && !is_same_hash(j->first.hash, after->previous))
		proof_find(p, PROVE_CHANGED,
		           "number %" PRId64 ": link %" PRId64
		           " says that it is gone, but had another content than number %" PRId64 " knows of",
		           sequence, j->first.by, after->sequence);
}

/* What the next number was made behind, and a link of a range knows. */
static void judge_content(struct judging *j, const struct standing *s, const struct kept *kept,
                          const struct seen *next)
{
	const uint8_t *chained = j->has_told ? j->first.hash : s->seen.hash;

	note_expected(j, s->seen.sequence, chained);
	/* Of one that was written anew, the links that say so have all its contents, one behind the other. */
	if (kept && !j->has_told && !is_same_hash(kept->hash, chained))
		proof_find(j->p, PROVE_CHANGED,
		           "%s: number %" PRId64 " is not the one that is to be there, as link %" PRId64
		           " says",
		           s->key, s->seen.sequence, j->p->range.by);
	if (next && next->sequence == s->seen.sequence + 1 && !is_same_hash(chained, next->previous))
		proof_find(j->p, PROVE_CHANGED,
		           "%s: number %" PRId64 " is not the one that number %" PRId64
		           " (%s) was made behind",
		           s->key, s->seen.sequence, next->sequence, seen_key(next));
}

/* Of copies some stay when the first store does not have the backup any more. What was never used was never copied. */
static bool is_kept_copy(const struct judging *j, const struct standing *s)
{
	return j->p->copied.sequence > 0 && !j->last.is_void &&
	       (is_same_hash(s->seen.hash, j->last.hash) || is_same_hash(s->seen.hash, j->first.hash));
}

/* What a link says that was removed is known by its hash: another version of it is none that was there last. Of the old links of a range only those are left that tell of copies. */
static void judge_kept_by_range(struct judging *j, const struct standing *s)
{
	struct proof *p = j->p;

	if (j->has_told && is_told_gone(&j->last) && !is_kept_copy(j, s) &&
	    !copied_lacks(&p->copied, s->seen.sequence))
		proof_find(p, PROVE_REPLAYED,
		           "%s: number %" PRId64 " %s, as link %" PRId64 " says, and is another version",
		           s->key, s->seen.sequence, j->last.is_void ? "was never used" : "was removed",
		           j->last.by);
	else
		p->result.kept++;
}

/* A link that one of a range has made superfluous may be there as long as nobody has removed it. */
static void judge_superseded(struct judging *j, const struct standing *s)
{
	struct proof *p = j->p;

	if (s->seen.is_link)
		p->result.superseded++;
	else if (p->copied.sequence > 0)
		judge_kept_by_range(j, s);
	else
		proof_find(p, PROVE_REPLAYED,
		           "%s: number %" PRId64 " was removed, as link %" PRId64 " says, and is there again",
		           s->key, s->seen.sequence, p->range.by);
}

/* Of copies it is copied once more, and says so. */
static void judge_older(struct proof *p, const struct judging *j, const struct standing *s)
{
	if (copied_lacks(&p->copied, s->seen.sequence))
		p->result.elsewhere++;
	else if (j->last.is_returned)
		proof_find(p, PROVE_REPLAYED,
		           "%s: it was brought back, as link %" PRId64 " says, and is another version",
		           s->key, j->last.by);
	else
		proof_find(p, PROVE_REPLAYED,
		           "%s: it was written anew, as link %" PRId64 " says, and is an older version",
		           s->key, j->last.by);
}

static void judge_present(struct judging *j, const struct standing *s, const struct seen *next)
{
	const struct kept *kept = take_kept(j, s->seen.sequence);
	struct proof *p = j->p;

	take_told(j, s->seen.sequence);
	if (is_ended_by_range(j, s->seen.sequence, kept))
		judge_superseded(j, s);
	else if (j->has_told && is_told_gone(&j->last) && is_kept_copy(j, s)) {
		p->result.kept++;
		judge_content(j, s, kept, next);
	} else if (j->has_told && is_told_gone(&j->last))
		proof_find(p, PROVE_REPLAYED,
		           "%s: number %" PRId64 " %s, as link %" PRId64 " says, and is there again", s->key,
		           s->seen.sequence, j->last.is_void ? "was never used" : "was removed", j->last.by);
	else if (j->has_told && !is_same_hash(s->seen.hash, j->last.now))
		judge_older(p, j, s);
	else
		judge_content(j, s, kept, next);
}

static void take_standing(struct standing *s, const struct seen *seen)
{
	s->seen = *seen;
	mem_replace_string(&s->key, seen_key(seen));
}

static void judge_seen(struct judging *j, const struct seen *s)
{
	struct standing *before = &j->before;

	if (before->seen.sequence == s->sequence) {
		proof_find(j->p, PROVE_MOVED, "%s: number %" PRId64 " is there twice, the other is %s",
		           seen_key(s), s->sequence, before->key);
		return;
	}
	if (before->seen.sequence)
		judge_present(j, before, s);
	for (int64_t n = before->seen.sequence + 1; n < s->sequence; n++)
		judge_absent(j, n, s);
	take_standing(before, s);
}

static void judge_chain(struct judging *j)
{
	struct prove_result *result = &j->p->result;
	const void *record = NULL;

	while (next_record(j, j->p->seen, &record))
		judge_seen(j, record);
	if (j->before.seen.sequence) {
		judge_present(j, &j->before, NULL);
		result->sequence = j->before.seen.sequence;
		hex_encode(j->before.seen.hash, sizeof(j->before.seen.hash), result->hash);
	}
	/* A store of copies says how far it goes. */
	for (int64_t n = result->sequence + 1; n <= j->p->copied.sequence; n++)
		judge_absent(j, n, NULL);
}

/* Of one path: few. */
struct bare_group {
	char *path; /* heap */
	struct bare *items;
	size_t count;
};

/* Of several links the newest one that knows the manifest. */
static const struct bare *find_bare(const struct bare_group *g, enum bare_kind kind, int64_t run_id)
{
	const struct bare *found = NULL;

	for (size_t i = 0; i < g->count; i++) {
		const struct bare *b = &g->items[i];

		if (b->kind == kind && (run_id == 0 || b->run_id == run_id) &&
		    (!found || (b->manifest[0] && (!found->manifest[0] || b->by > found->by))))
			found = b;
	}
	return found;
}

static int64_t newest_bare(const struct bare_group *g, enum bare_kind kind, int64_t run_id)
{
	int64_t by = 0;

	for (size_t i = 0; i < g->count; i++)
		if (g->items[i].kind == kind && g->items[i].run_id == run_id && g->items[i].by > by)
			by = g->items[i].by;
	return by;
}

static bool is_bare_gone(const struct bare_group *g, int64_t run_id)
{
	return newest_bare(g, BARE_GONE, run_id) > newest_bare(g, BARE_BACK, run_id);
}

static bool is_what_is_named(const struct bare *named, const struct bare *found)
{
	return named->size_bytes == found->size_bytes && strcmp(named->sha256, found->sha256) == 0 &&
	       (!named->manifest[0] || strcmp(named->manifest, found->manifest) == 0);
}

static void judge_found(struct proof *p, const struct bare_group *g, const struct bare *found)
{
	const struct bare *named = find_bare(g, BARE_NAMED, found->run_id);

	if (!named && !find_bare(g, BARE_NAMED, 0)) {
		proof_find(
		        p, PROVE_ADDED,
		        "%s: its manifest is not signed, and no link says that it was there before the chain began, or was made while signing was off",
		        g->path);
		return;
	}
	p->result.before++;
	if (named && !named->manifest[0])
		p->result.loose++;
	if (named && is_bare_gone(g, found->run_id) && p->copied.sequence > 0)
		p->result.kept++;
	else if (named && is_bare_gone(g, found->run_id))
		proof_find(p, PROVE_REPLAYED,
		           "%s: it was removed, as a link of the chain says, and is there again", g->path);
	else if (!named || !is_what_is_named(named, found))
		proof_find(
		        p, PROVE_CHANGED,
		        "%s: it is not what a link of the chain says is there: another run, size, SHA-256 or manifest",
		        g->path);
}

static void judge_named(struct proof *p, const struct bare_group *g)
{
	for (size_t i = 0; i < g->count; i++) {
		const struct bare *b = &g->items[i];

		if (b->kind != BARE_NAMED || find_bare(g, BARE_FOUND, 0) || is_bare_gone(g, b->run_id))
			continue;
		if (copied_lacks_before(&p->copied, g->path))
			p->result.elsewhere++;
		else
			proof_find(
			        p, PROVE_MISSING,
			        "%s: it was there, as a link of the chain says, and nothing says that it was removed",
			        g->path);
		return;
	}
}

static void judge_group(struct proof *p, struct bare_group *g)
{
	const struct bare *found = g->count > 0 ? find_bare(g, BARE_FOUND, 0) : NULL;

	if (found)
		judge_found(p, g, found);
	if (g->count > 0)
		judge_named(p, g);
	g->count = 0;
}

static void judge_unsigned(struct judging *j)
{
	struct bare_group g = {0};
	const void *record = NULL;

	while (next_record(j, j->p->bares, &record)) {
		const struct bare *b = record;

		if (g.path && strcmp(g.path, bare_path(b)) != 0)
			judge_group(j->p, &g);
		mem_replace_string(&g.path, bare_path(b));
		g.items = mem_resize(g.items, g.count + 1, sizeof(*g.items));
		g.items[g.count++] = *b;
	}
	judge_group(j->p, &g);
	free(g.items);
	free(g.path);
}

static void judge_checkpoint_hash(struct judging *j, const struct prove_checkpoint *c)
{
	char hash[SHA256_HEX_BYTES] = "";

	if (!c->hash[0] || !j->has_expected)
		return;
	hex_encode(j->expected, sizeof(j->expected), hash);
	if (strcmp(hash, c->hash) != 0)
		proof_find(j->p, PROVE_CHANGED,
		           "number %" PRId64
		           " is not the one of the checkpoint: it has the hash %s, and not %s",
		           c->sequence, hash, c->hash);
}

static void judge_chain_end(struct judging *j)
{
	struct proof *p = j->p;
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
	judge_checkpoint_hash(j, c);
}

static int end_sorters(struct proof *p, struct error *err)
{
	int r = sorter_end(p->seen, err);

	if (r == 0)
		r = sorter_end(p->told, err);
	return r < 0 ? r : sorter_end(p->bares, err);
}

int proof_judge(struct proof *p, struct error *err)
{
	struct judging j = {.p = p};
	int r = end_sorters(p, err);

	if (r < 0)
		return r;
	if (!p->result.id[0])
		proof_find(
		        p, PROVE_MISSING,
		        "there is no chain of signatures here: no manifest and no link is signed with a key that was given");
	judge_chain(&j);
	judge_unsigned(&j);
	judge_chain_end(&j);
	free(j.before.key);
	if (j.failed < 0 && err)
		*err = j.error;
	return j.failed;
}
