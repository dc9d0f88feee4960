// SPDX-License-Identifier: Apache-2.0
/*
 * Links that say nothing any more but that something is gone, replaced by one. It tells of all numbers from the first to one which are still there: manifests, and links that are needed. Whatever
 * else has such a number is gone. It is written when each of these numbers is accounted for, and only then the others are removed; so after a crash at any moment all that was said is still said.
 */
#include "chain_private.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

/* What one link may name, so that it can be read everywhere: a range ends before it would be more. */
#define KEPT_MAX 20000

/* A number of the range whose manifest or link is there, or was there when the range ended. */
struct stay {
	int64_t sequence;
	char hash[SHA256_HEX_BYTES];
	char *path; /* heap: of the artifact, or the key of the link */
};

struct compacting {
	struct chain *c;
	const struct chain_at *at;
	const struct signing_keys *keys;
	const char *id;           /* of the chain */
	struct chain_links links; /* those that the store has */
	struct link
	        newest; /* the one of a range that is there already; its place.sequence 0: there is none */
	int64_t to;     /* the range: from 1 to this, which is a link */
	char to_hash[SHA256_HEX_BYTES];
	struct stay *stays;
	size_t stay_count;
	uint8_t *gone;    /* a bit for each number of the range: a link of the range says that it is gone */
	struct link bare; /* its entries: those from before the chain that are gone */
	struct chain_returns returns;
	int64_t *remove; /* links that are needed no more */
	size_t remove_count;
};

static void cleanup_compacting(struct compacting *x)
{
	for (size_t i = 0; i < x->stay_count; i++)
		free(x->stays[i].path);
	free(x->stays);
	free(x->gone);
	free(x->remove);
	free(x->links.sequences);
	chain_returns_finish(&x->returns);
	link_finish(&x->bare);
	link_finish(&x->newest);
}

static void add_stay(struct compacting *x, int64_t sequence, const char *hash, const char *path)
{
	struct stay *s;

	if ((x->stay_count & (x->stay_count - 1)) == 0)
		x->stays = mem_resize(x->stays, x->stay_count ? 2 * x->stay_count : 1, sizeof(*x->stays));
	s = &x->stays[x->stay_count++];
	*s = (struct stay){.sequence = sequence, .path = mem_strdup(path)};
	str_copy(s->hash, sizeof(s->hash), hash);
}

static void mark_number_gone(struct compacting *x, int64_t sequence)
{
	if (sequence >= 1 && sequence <= x->to)
		x->gone[sequence / 8] |= (uint8_t)(1 << sequence % 8);
}

static void mark_number_back(struct compacting *x, int64_t sequence)
{
	if (sequence >= 1 && sequence <= x->to)
		x->gone[sequence / 8] &= (uint8_t) ~(1 << sequence % 8);
}

static bool is_marked_gone(const struct compacting *x, int64_t sequence)
{
	return x->gone[sequence / 8] >> sequence % 8 & 1;
}

static int refuse_to_compact(const struct compacting *x, int64_t sequence, const char *why, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s: the chain cannot be made shorter, since number %" PRId64
	                 " is not accounted for (%s): 'keepfs verify --key' tells more",
	                 x->at->store->name, sequence, why);
}

static int read_needed(struct compacting *x, int64_t sequence, struct link *ret, struct error *err)
{
	struct error why = {0};
	int r = chain_read_link(x->c, x->at, x->keys, x->id, sequence, ret, &why);

	if (r == 0)
		return 0;
	if (r > 0 || r == -EBADMSG || r == -ENOTSUP)
		return refuse_to_compact(x, sequence, r > 0 ? "its link has gone" : why.message, err);
	if (err)
		*err = why;
	return r;
}

/* What an earlier one has made superfluous. */

static int compare_entry(const void *a, const void *b)
{
	const int64_t *sequence = a;
	const struct link_entry *e = b;

	return (*sequence > e->sequence) - (*sequence < e->sequence);
}

/* Its entries come in the order of their numbers, those without one first. */
static bool newest_keeps(const struct compacting *x, int64_t sequence)
{
	return x->newest.count > 0 && bsearch(&sequence, x->newest.entries, x->newest.count,
	                                      sizeof(*x->newest.entries), compare_entry);
}

static bool is_left_over(const struct compacting *x, int64_t sequence)
{
	return x->newest.place.sequence && sequence <= x->newest.to && !newest_keeps(x, sequence);
}

/* A locked link goes from sight alone: a bucket with locks keeps versions, and this one lies behind a marker until its lock ends. Whatever the store does not let go is asked for again the next time. */
static int remove_links(struct compacting *x, const int64_t *sequences, size_t count, uint64_t *removed,
                        struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *key = link_key(sequences[i]);
		struct error why = {0};
		int r = store_remove(x->at->store, x->at->call, key, &why);

		if (r < 0 && (why.retry || r == -ECANCELED)) {
			if (err)
				*err = why;
			return r;
		}
		if (r < 0) {
			log_info("%s: %zu links of the chain that are needed no more stay for now: %s",
			         x->at->store->name, count - i, why.message);
			return 0;
		}
		(*removed)++;
	}
	return 0;
}

static int remove_left_over(struct compacting *x, uint64_t *removed, struct error *err)
{
	_cleanup(free) int64_t *left = mem_array(x->links.count + 1, sizeof(*left));
	size_t count = 0, others = 0;

	for (size_t i = 0; i < x->links.count; i++) {
		int64_t sequence = x->links.sequences[i];

		if (is_left_over(x, sequence))
			left[count++] = sequence;
		else
			x->links.sequences[others++] = sequence;
	}
	x->links.count = others;
	return remove_links(x, left, count, removed, err);
}

/* Is it worth it, and up to where? */

static bool may_go(const struct compacting *x, int64_t sequence)
{
	return sequence > 1 && !newest_keeps(x, sequence);
}

/* 0: so many are not there. */
static int64_t nth_that_may_go(const struct compacting *x, size_t nth)
{
	size_t count = 0;

	for (size_t i = 0; i < x->links.count; i++)
		if (may_go(x, x->links.sequences[i]) && ++count == nth)
			return x->links.sequences[i];
	return 0;
}

/* Numbers come in the order of time: when the one that has so many before it is old enough, they all are. */
static int is_worth_compacting(struct compacting *x, const struct chain_compaction *when, struct error *err)
{
	_cleanup(link) struct link link = {0};
	int64_t nth = nth_that_may_go(x, when->least > 0 ? when->least : 1);
	int r = nth ? read_needed(x, nth, &link, err) : 0;

	return nth == 0 || r < 0 ? r : link.at_us < when->before_us;
}

/* The last link that is old enough: by halves, since they are in order. */
static int find_end(struct compacting *x, const struct chain_compaction *when, struct error *err)
{
	size_t low = 0, high = x->links.count;

	while (low < high) {
		_cleanup(link) struct link link = {0};
		size_t middle = low + (high - low) / 2;
		int r = read_needed(x, x->links.sequences[middle], &link, err);

		if (r < 0)
			return r;
		if (link.at_us < when->before_us)
			low = middle + 1;
		else
			high = middle;
	}
	x->to = low > 0 ? x->links.sequences[low - 1] : 0;
	return 0;
}

/* What is listed, up to as many as one link may name. */
struct listing_stays {
	struct compacting *x;
	int64_t beyond; /* the first that is one too many; 0: none is */
};

static void add_listed(void *arg, int64_t sequence, const char *hash, const char *path)
{
	struct listing_stays *l = arg;

	if (l->x->stay_count < KEPT_MAX)
		add_stay(l->x, sequence, hash, path);
	else if (!l->beyond)
		l->beyond = sequence;
}

static void end_before(struct compacting *x, int64_t beyond)
{
	size_t i = x->links.count;

	while (i > 0 && x->links.sequences[i - 1] >= beyond)
		i--;
	x->to = i > 0 ? x->links.sequences[i - 1] : 0;
	while (x->stay_count > 0 && x->stays[x->stay_count - 1].sequence > x->to)
		free(x->stays[--x->stay_count].path);
}

static int gather_listed(struct compacting *x, struct error *err)
{
	struct listing_stays l = {.x = x};
	int r = catalog_chain_each_link(x->c->catalog, x->at->id, x->to, add_listed, &l);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (l.beyond)
		end_before(x, l.beyond);
	return 0;
}

/* What links say. */

/* One of the range says that it is gone, for good; one behind it will still be there to say so, so until then it is kept. */
static void take_ended(struct compacting *x, const struct link *l)
{
	bool is_inside = l->place.sequence <= x->to;

	for (size_t i = 0; i < l->count; i++) {
		const struct link_entry *e = &l->entries[i];

		if (is_inside && !e->sequence)
			link_add(&x->bare, e->path)->run_id = e->run_id;
		else if (is_inside)
			mark_number_gone(x, e->sequence);
		else if (e->sequence && e->sequence <= x->to)
			add_stay(x, e->sequence, e->hash, e->path);
	}
}

/* What it does not keep is gone, unless it was brought back behind its end; what it keeps is told of by others, too. */
static void take_earlier_range(struct compacting *x, const struct link *l)
{
	size_t at = 0;

	for (; at < l->count && !l->entries[at].sequence; at++)
		if (!chain_returns_have(&x->returns, &l->entries[at], l->to))
			link_add(&x->bare, l->entries[at].path)->run_id = l->entries[at].run_id;
	for (int64_t n = 1; n <= l->to; n++) {
		const struct link_entry it = {.sequence = n};

		if (at < l->count && l->entries[at].sequence == n)
			at++;
		else if (!chain_returns_have(&x->returns, &it, l->to))
			mark_number_gone(x, n);
	}
}

static void forget_bare(struct link *bare, const struct link_entry *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < bare->count; i++) {
		struct link_entry *b = &bare->entries[i];

		if (b->run_id == e->run_id && strcmp(b->path, e->path) == 0)
			free(b->path);
		else
			bare->entries[kept++] = *b;
	}
	bare->count = kept;
}

/* Of the range or behind it: it is to be there, and a link of the range that says that it is gone says nothing any more. */
static void take_returned(struct compacting *x, const struct link *l)
{
	chain_returns_add(&x->returns, l);
	for (size_t i = 0; i < l->count; i++) {
		const struct link_entry *e = &l->entries[i];

		if (!e->sequence)
			forget_bare(&x->bare, e);
		else if (e->sequence <= x->to) {
			mark_number_back(x, e->sequence);
			add_stay(x, e->sequence, e->hash, e->path);
		}
	}
}

static bool is_needed_no_more(const struct link *l)
{
	return l->type == LINK_REMOVED || l->type == LINK_VOID || l->type == LINK_COMPACTED;
}

static void take_link_inside(struct compacting *x, const struct link *l)
{
	_cleanup(free) char *key = link_key(l->place.sequence);

	if (l->place.sequence == x->to)
		str_copy(x->to_hash, sizeof(x->to_hash), l->place.hash);
	if (!is_needed_no_more(l)) {
		add_stay(x, l->place.sequence, l->place.hash, key);
		return;
	}
	mark_number_gone(x, l->place.sequence);
	x->remove = mem_resize(x->remove, x->remove_count + 1, sizeof(*x->remove));
	x->remove[x->remove_count++] = l->place.sequence;
}

static int read_links_from(struct compacting *x, size_t first, struct error *err)
{
	int r = 0;

	for (size_t i = first; r == 0 && i < x->links.count; i++) {
		_cleanup(link) struct link l = {0};

		r = read_needed(x, x->links.sequences[i], &l, err);
		if (r < 0)
			return r;
		if (l.type == LINK_REMOVED || l.type == LINK_VOID)
			take_ended(x, &l);
		else if (l.type == LINK_RETURNED)
			take_returned(x, &l);
		else if (l.type == LINK_COMPACTED)
			take_earlier_range(x, &l);
		if (l.place.sequence <= x->to)
			take_link_inside(x, &l);
	}
	return r;
}

/* A manifest that was removed while these were read is not listed any more, and its link is newer than all of them. */
static int read_newer_links(struct compacting *x, struct error *err)
{
	size_t read = x->links.count;
	int r = chain_finish_waiting(x->c, x->at, err);

	if (r == 0)
		r = chain_list_links(x->at, read > 0 ? x->links.sequences[read - 1] : 0, &x->links, err);
	return r < 0 ? r : read_links_from(x, read, err);
}

/* Each number is to be one or the other. */

static int compare_stays(const void *a, const void *b)
{
	const struct stay *x = a, *y = b;

	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static int account_for_all(struct compacting *x, struct link *ret, struct error *err)
{
	size_t at = 0;

	if (x->stay_count > 0)
		qsort(x->stays, x->stay_count, sizeof(*x->stays), compare_stays);
	for (int64_t n = 1; n <= x->to; n++) {
		const struct stay *s =
		        at < x->stay_count && x->stays[at].sequence == n ? &x->stays[at] : NULL;

		while (at < x->stay_count && x->stays[at].sequence == n)
			at++;
		if (is_marked_gone(x, n))
			continue;
		if (!s)
			return refuse_to_compact(
			        x, n, "no manifest of it is listed, and no link says that it was removed",
			        err);
		str_copy(link_add(ret, s->path)->hash, SHA256_HEX_BYTES, s->hash);
		ret->entries[ret->count - 1].sequence = n;
	}
	return 0;
}

static int make_range(struct compacting *x, struct making *m, struct error *err)
{
	int r = gather_listed(x, err);

	if (r < 0 || x->to <= x->newest.to)
		return r < 0 ? r : 1;
	x->gone = mem_array((size_t)x->to / 8 + 1, 1);
	r = read_links_from(x, 0, err);
	if (r == 0)
		r = read_newer_links(x, err);
	for (size_t i = 0; r == 0 && i < x->bare.count; i++)
		link_add(&m->link, x->bare.entries[i].path)->run_id = x->bare.entries[i].run_id;
	m->link.to = x->to;
	str_copy(m->link.to_hash, sizeof(m->link.to_hash), x->to_hash);
	return r < 0 ? r : account_for_all(x, &m->link, err);
}

static int give_range(struct compacting *x, struct making *m, struct error *err)
{
	int r = chain_make_ready(x->c, x->at, x->keys, err);

	if (r == 0)
		r = chain_give(x->c, x->at, chain_make_link, m, err);
	return r < 0 ? r : chain_finish_waiting(x->c, x->at, err);
}

static int compact_now(struct compacting *x, const struct chain_compaction *when, uint64_t *removed,
                       struct error *err)
{
	_cleanup(making) struct making m = {.keys = x->keys, .link = {.type = LINK_COMPACTED}};
	int r = find_end(x, when, err);

	if (r == 0)
		r = make_range(x, &m, err);
	if (r != 0 || x->remove_count < when->least)
		return r < 0 ? r : 0;
	r = give_range(x, &m, err);
	if (r < 0)
		return r;
	log_info("%s: link %" PRId64 " of the chain tells of all numbers to %" PRId64
	         ", in place of %zu links",
	         x->at->store->name, m.link.place.sequence, x->to, x->remove_count);
	return remove_links(x, x->remove, x->remove_count, removed, err);
}

int chain_compact(struct chain *c, const struct chain_at *at, const struct chain_compaction *when,
                  uint64_t *ret_removed, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys = c ? signing_ref(c->signing) : NULL;
	_cleanup(compacting) struct compacting x = {.c = c, .at = at, .keys = keys};
	struct catalog_chain known;
	int r;

	*ret_removed = 0;
	if (!keys || !keys->key || catalog_chain(c->catalog, at->id, &known) < 0)
		return 0;
	x.id = known.id;
	r = chain_finish_waiting(c, at, err);
	if (r == 0)
		r = chain_list_links(at, 0, &x.links, err);
	if (r == 0 && known.compacted)
		r = read_needed(&x, known.compacted, &x.newest, err);
	if (r == 0 && known.compacted)
		r = remove_left_over(&x, ret_removed, err);
	if (r == 0)
		r = is_worth_compacting(&x, when, err);
	return r <= 0 ? r : compact_now(&x, when, ret_removed, err);
}

void chain_set_compaction(struct chain *c, int64_t age_ms, int64_t least)
{
	if (!c)
		return;
	c->compact_age_ms = age_ms;
	c->compact_least = least;
}

void chain_tidy(struct chain *c, const struct chain_at *at, int64_t now_us)
{
	const struct chain_compaction when = {.before_us = now_us - (c ? c->compact_age_ms : 0) * 1000,
	                                      .least = (size_t)(c ? c->compact_least : 0)};
	struct error err = {0};
	uint64_t removed;
	int r = chain_name_unsigned(c, at, UINT_MAX, &err);

	if (r == 0 && c && c->compact_age_ms > 0)
		r = chain_compact(c, at, &when, &removed, &err);
	if (r < 0 && r != -ECANCELED)
		log_warning("the chain of signatures could not be tidied: %s", err.message);
}
