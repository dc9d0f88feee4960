// SPDX-License-Identifier: Apache-2.0
/* Which tails there are. The store is listed at the start, and whoever makes or removes a piece says so; no catalog has them, since each lives for a few seconds or minutes. */
#include "tail.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many names are remembered whose tails are gone: somebody may be about to open one. */
#define GONE_MAX    32
#define TAIL_SUFFIX ".tail/"

struct wal_tails_entry {
	struct wal_tail tail;
	struct wal_tails_entry *next;
};

void wal_tail_finish(struct wal_tail *t)
{
	free(t->pieces);
	*t = (struct wal_tail){0};
}

/* Keys. */

char *wal_tail_key_format(const struct wal_tail *t, const struct wal_tail_piece *piece)
{
	char name[WAL_NAME_BYTES];

	wal_name_format(&t->name, name);
	return mem_printf(
	        WAL_PREFIX "%s/%" PRIu64 "/%s" TAIL_SUFFIX "%08" PRIX32 "-%08" PRIX32 WAL_SUFFIX "%s", t->job,
	        t->system_id, name, piece->begin, piece->end, piece->is_sealed ? MANIFEST_SEALED_SUFFIX : "");
}

/* What is behind the last '/' of a key. */
static int parse_piece(const char *text, struct wal_tail_piece *ret)
{
	struct wal_tail_piece piece = {0};
	int end = 0;

	if (strspn(text, "0123456789ABCDEF") != 8 ||
	    sscanf(text, "%8" SCNx32 "-%8" SCNx32 "%n", &piece.begin, &piece.end, &end) != 2 || end != 17 ||
	    strspn(text + 9, "0123456789ABCDEF") != 8 || piece.begin >= piece.end ||
	    piece.end > WAL_SEGMENT_BYTES_MAX)
		return -EINVAL;
	piece.is_sealed = str_equal(text + end, WAL_SUFFIX MANIFEST_SEALED_SUFFIX);
	if (!piece.is_sealed && !str_equal(text + end, WAL_SUFFIX))
		return -EINVAL;
	*ret = piece;
	return 0;
}

int wal_tail_key_parse(const char *text, struct wal_tail *ret_tail, struct wal_tail_piece *ret_piece)
{
	const char *at = strstr(text, TAIL_SUFFIX);
	_cleanup(free) char *plain = NULL;
	struct wal_tail_piece piece;
	struct wal_tail tail = {0};
	struct wal_key key;
	int r;

	if (!at)
		return -EINVAL;
	/* What is before it is the key of the segment. */
	plain = mem_printf("%.*s" WAL_SUFFIX, (int)(at - text), text);
	r = wal_key_parse(plain, &key);
	if (r == 0)
		r = parse_piece(at + strlen(TAIL_SUFFIX), &piece);
	if (r == 0)
		r = wal_name_parse(key.name, &tail.name);
	if (r < 0 || tail.name.kind != WAL_NAME_SEGMENT)
		return -EINVAL;
	str_copy(tail.job, sizeof(tail.job), key.job);
	tail.system_id = key.system_id;
	*ret_tail = tail;
	*ret_piece = piece;
	return 0;
}

static int compare_pieces(const void *a, const void *b)
{
	const struct wal_tail_piece *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end == y->end ? 0 : x->end > y->end ? -1 : 1;
}

uint32_t wal_tail_cover(struct wal_tail *t)
{
	uint32_t end = 0;
	size_t kept = 0, i = 0;

	if (t->count == 0)
		return 0;
	qsort(t->pieces, t->count, sizeof(*t->pieces), compare_pieces);
	while (i < t->count && t->pieces[i].begin <= end) {
		size_t best = i;

		/* Of those that begin before what is missing the one that leads furthest. */
		for (; i < t->count && t->pieces[i].begin <= end; i++)
			if (t->pieces[i].end > t->pieces[best].end)
				best = i;
		if (t->pieces[best].end <= end)
			continue;
		end = t->pieces[best].end;
		t->pieces[kept++] = t->pieces[best];
	}
	t->count = kept;
	return end;
}

/* Entries; with the lock. */

static bool is_of_name(const struct wal_tail *t, const char *job, const struct wal_name *name)
{
	return str_equal(t->job, job) && wal_name_compare(&t->name, name) == 0;
}

static struct wal_tail *find_tail_entry(const struct wal *w, const char *job, const struct wal_name *name)
{
	for (struct wal_tails_entry *e = w->tails; e; e = e->next)
		if (is_of_name(&e->tail, job, name))
			return &e->tail;
	return NULL;
}

/* The oldest names of tails that are gone. */
static void forget_gone_tails(struct wal *w)
{
	struct wal_tails_entry **at = &w->tails;
	unsigned gone = 0;

	while (*at) {
		struct wal_tails_entry *e = *at;

		if (e->tail.count == 0 && ++gone > GONE_MAX) {
			*at = e->next;
			wal_tail_finish(&e->tail);
			free(e);
		} else {
			at = &e->next;
		}
	}
}

static struct wal_tail *add_tail_entry(struct wal *w, const struct wal_tail *t)
{
	struct wal_tails_entry *e = mem_alloc(sizeof(*e));

	e->tail = *t;
	e->tail.pieces = NULL;
	e->tail.count = 0;
	e->tail.number = ++w->last_tail;
	e->next = w->tails;
	w->tails = e;
	forget_gone_tails(w);
	return &e->tail;
}

static bool is_piece(const struct wal_tail_piece *a, const struct wal_tail_piece *b)
{
	return a->begin == b->begin && a->end == b->end && a->is_sealed == b->is_sealed;
}

static void add_tail_piece(struct wal_tail *t, const struct wal_tail_piece *piece)
{
	for (size_t i = 0; i < t->count; i++)
		if (is_piece(&t->pieces[i], piece)) {
			t->pieces[i] = *piece;
			return;
		}
	t->pieces = mem_resize(t->pieces, t->count + 1, sizeof(*t->pieces));
	t->pieces[t->count++] = *piece;
}

static void copy_tail(const struct wal_tail *t, struct wal_tail *ret)
{
	*ret = *t;
	ret->pieces = mem_array(t->count + 1, sizeof(*t->pieces));
	if (t->count)
		memcpy(ret->pieces, t->pieces, t->count * sizeof(*t->pieces));
}

void wal_tails_note(struct wal *w, const struct wal_tail *t, const struct wal_tail_piece *piece)
{
	struct wal_tail *found;

	pthread_mutex_lock(&w->lock);
	found = find_tail_entry(w, t->job, &t->name);
	if (!found)
		found = add_tail_entry(w, t);
	/* A tail is of one cluster: that of the archive. */
	found->system_id = t->system_id;
	add_tail_piece(found, piece);
	pthread_mutex_unlock(&w->lock);
}

void wal_tails_strike(struct wal *w, const struct wal_tail *t, const struct wal_tail_piece *piece)
{
	struct wal_tail *found;

	pthread_mutex_lock(&w->lock);
	found = find_tail_entry(w, t->job, &t->name);
	for (size_t i = 0; found && i < found->count; i++)
		if (is_piece(&found->pieces[i], piece)) {
			found->pieces[i] = found->pieces[--found->count];
			break;
		}
	pthread_mutex_unlock(&w->lock);
}

int wal_tails_find(struct wal *w, const char *job, const struct wal_name *name, struct wal_tail *ret)
{
	const struct wal_tail *found;
	bool is_there;

	pthread_mutex_lock(&w->lock);
	found = find_tail_entry(w, job, name);
	is_there = found && found->count;
	if (is_there)
		copy_tail(found, ret);
	pthread_mutex_unlock(&w->lock);
	return is_there ? 0 : -ENOENT;
}

int wal_tails_next(struct wal *w, const char *job, int64_t after, struct wal_tail *ret)
{
	const struct wal_tail *found = NULL;

	pthread_mutex_lock(&w->lock);
	for (const struct wal_tails_entry *e = w->tails; e; e = e->next)
		if (e->tail.number > after && (!job || str_equal(e->tail.job, job)) &&
		    (!found || e->tail.number < found->number))
			found = &e->tail;
	if (found)
		copy_tail(found, ret);
	pthread_mutex_unlock(&w->lock);
	return found ? 0 : -ENOENT;
}

void wal_tails_free(struct wal *w)
{
	while (w->tails) {
		struct wal_tails_entry *e = w->tails;

		w->tails = e->next;
		wal_tail_finish(&e->tail);
		free(e);
	}
}
