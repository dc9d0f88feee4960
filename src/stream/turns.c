// SPDX-License-Identifier: Apache-2.0
/*
 * Turns: what several makers make at once comes out one turn after the other. What holds:
 *
 * - The turns stand in a list, in the order in which they began; the first is the one whose turn it is. The
 *   consumer takes from that one only, and goes on to the next when it has ended and all of it was handed
 *   out.
 * - Every byte and every mark that waits is counted, until the consumer is done with it, in `used`. Turns
 *   behind the first leave room for one segment below the budget. So the first, when nothing of its own is
 *   left, always fits: it waits for the consumer only, and the others wait for nobody but those before them.
 *   (Below a budget of one segment the first may exceed it by that segment: work goes on all the same.)
 * - The first failure (of a maker, of the consumer, or the cancel) is kept, wakes everybody, and is what
 *   every call returns from then on.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/stream/ordered.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#define TAKEN_AT_ONCE POOL_BUFFER_BYTES

struct item {
	struct item *next;
	bool is_mark;
	int what; /* of a mark, as value */
	uint64_t value;
	struct segment segment;
	char data[];
};

struct turn {
	struct turns *turns;
	struct turn *next; /* turns->lock, as all below */
	struct item *first, **last;
	uint64_t used; /* of what is in the list, or with the consumer */
	bool ended;
};

struct turns {
	pthread_mutex_t lock;
	pthread_cond_t made;  /* for the consumer: something came, a turn ended, or all of them */
	pthread_cond_t taken; /* for the makers: there is room, or another turn is the first */
	uint64_t budget;
	struct cancel *cancel;
	struct cancel_hook hook;
	struct turn *first, **last; /* lock, as all below */
	uint64_t used;
	bool closed;
	int failed; /* negative errno of the first failure */
	struct error failure;
};

/* With the lock. */
static void fail_locked(struct turns *t, int r, const struct error *err)
{
	if (t->failed)
		return;
	t->failed = r;
	t->failure = *err;
	pthread_cond_broadcast(&t->made);
	pthread_cond_broadcast(&t->taken);
}

/* With the lock. Return: 0, or the first failure. */
static int told_turn_failure(const struct turns *t, struct error *err)
{
	if (t->failed < 0 && err)
		*err = t->failure;
	return t->failed;
}

static void cancelled(void *arg)
{
	struct error err = {0};
	int r = error_set(&err, ERROR_CANCELLED, ECANCELED, "cancelled");

	turns_fail(arg, r, &err);
}

void turns_fail(struct turns *t, int r, const struct error *err)
{
	pthread_mutex_lock(&t->lock);
	fail_locked(t, r, err);
	pthread_mutex_unlock(&t->lock);
}

struct turns *turns_new(uint64_t budget_bytes, struct cancel *cancel)
{
	struct turns *t = mem_alloc(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->made, NULL);
	pthread_cond_init(&t->taken, NULL);
	t->budget = budget_bytes;
	t->last = &t->first;
	t->cancel = cancel;
	t->hook = (struct cancel_hook){.wake = cancelled, .arg = t};
	cancel_add_hook(cancel, &t->hook);
	return t;
}

static void free_turn_items(struct item *item)
{
	while (item) {
		struct item *next = item->next;

		free(item);
		item = next;
	}
}

struct turns *turns_free(struct turns *t)
{
	if (!t)
		return NULL;
	cancel_remove_hook(t->cancel, &t->hook);
	while (t->first) {
		struct turn *turn = t->first;

		t->first = turn->next;
		free_turn_items(turn->first);
		free(turn);
	}
	pthread_cond_destroy(&t->taken);
	pthread_cond_destroy(&t->made);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

struct turn *turns_begin(struct turns *t)
{
	struct turn *turn = mem_alloc(sizeof(*turn));

	turn->turns = t;
	turn->last = &turn->first;
	pthread_mutex_lock(&t->lock);
	assert(!t->closed);
	*t->last = turn;
	t->last = &turn->next;
	pthread_mutex_unlock(&t->lock);
	return turn;
}

static uint64_t cost(const struct item *item)
{
	return sizeof(*item) + (item->is_mark ? 0 : item->segment.bytes);
}

/* With the lock: whether the turn may keep @bytes more now. */
static bool has_room(const struct turn *turn, uint64_t bytes)
{
	const struct turns *t = turn->turns;
	uint64_t spare = sizeof(struct item) + TAKEN_AT_ONCE;

	if (turn != t->first)
		return t->used + bytes + spare <= t->budget;
	return t->used + bytes <= t->budget || turn->used == 0;
}

/* Wait for room for @bytes and have it counted: nothing is kept, or even copied, before. */
static int claim(struct turn *turn, uint64_t bytes, struct error *err)
{
	struct turns *t = turn->turns;
	int r;

	pthread_mutex_lock(&t->lock);
	while (!t->failed && !has_room(turn, bytes))
		pthread_cond_wait(&t->taken, &t->lock);
	r = told_turn_failure(t, err);
	if (r == 0) {
		turn->used += bytes;
		t->used += bytes;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

static void queue_item(struct turn *turn, struct item *item)
{
	struct turns *t = turn->turns;

	pthread_mutex_lock(&t->lock);
	*turn->last = item;
	turn->last = &item->next;
	if (turn == t->first)
		pthread_cond_signal(&t->made);
	pthread_mutex_unlock(&t->lock);
}

int turn_segment(struct turn *turn, const struct segment *s, const void *data, struct error *err)
{
	const struct item like = {.segment = *s};
	struct item *item;
	int r = claim(turn, cost(&like), err);

	if (r < 0)
		return r;
	item = mem_alloc(cost(&like));
	*item = like;
	memcpy(item->data, data, s->bytes);
	queue_item(turn, item);
	return 0;
}

int turn_mark(struct turn *turn, int what, uint64_t value, struct error *err)
{
	const struct item like = {.is_mark = true, .what = what, .value = value};
	struct item *item;
	int r = claim(turn, cost(&like), err);

	if (r < 0)
		return r;
	item = mem_alloc(sizeof(*item));
	*item = like;
	queue_item(turn, item);
	return 0;
}

void turn_end(struct turn *turn)
{
	struct turns *t = turn->turns;

	pthread_mutex_lock(&t->lock);
	turn->ended = true;
	if (turn == t->first)
		pthread_cond_signal(&t->made);
	pthread_mutex_unlock(&t->lock);
}

void turns_close(struct turns *t)
{
	pthread_mutex_lock(&t->lock);
	t->closed = true;
	pthread_cond_signal(&t->made);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock: whether the consumer has something to do. */
static bool is_ready(const struct turns *t)
{
	return t->first ? t->first->first || t->first->ended : t->closed;
}

/* With the lock: what the first turn has, up to TAKEN_AT_ONCE and at least one item. @ret_bytes: its cost. */
static struct item *take_items(struct turn *turn, uint64_t *ret_bytes)
{
	struct item *items = turn->first;
	struct item **end = &items->next;

	*ret_bytes = cost(items);
	while (*end && *ret_bytes + cost(*end) <= TAKEN_AT_ONCE) {
		*ret_bytes += cost(*end);
		end = &(*end)->next;
	}
	turn->first = *end;
	if (!turn->first)
		turn->last = &turn->first;
	*end = NULL;
	return items;
}

/* Consumes @items. */
static int hand_out_items(struct item *items, const struct ordered_out *out, struct error *err)
{
	int r = 0;

	while (r >= 0 && items) {
		struct item *item = items;

		items = item->next;
		r = item->is_mark ? out->mark(out->arg, item->what, item->value, err)
		                  : out->segment(out->arg, &item->segment, item->data, err);
		free(item);
	}
	free_turn_items(items);
	return r < 0 ? r : 0;
}

/* With the lock, which is released meanwhile. */
static void deliver_some(struct turns *t, struct turn *turn, const struct ordered_out *out)
{
	struct error failure = {0};
	uint64_t bytes;
	struct item *items = take_items(turn, &bytes);
	int r;

	pthread_mutex_unlock(&t->lock);
	r = hand_out_items(items, out, &failure);
	pthread_mutex_lock(&t->lock);
	turn->used -= bytes;
	t->used -= bytes;
	pthread_cond_broadcast(&t->taken);
	if (r < 0)
		fail_locked(t, r, &failure);
}

/* With the lock. */
static void go_on_to_next(struct turns *t)
{
	struct turn *turn = t->first;

	t->first = turn->next;
	if (!t->first)
		t->last = &t->first;
	free(turn);
	pthread_cond_broadcast(&t->taken);
}

int turns_deliver(struct turns *t, const struct ordered_out *out, struct error *err)
{
	int r;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (!t->failed && !is_ready(t))
			pthread_cond_wait(&t->made, &t->lock);
		r = told_turn_failure(t, err);
		if (r < 0 || !t->first)
			break;
		if (t->first->first)
			deliver_some(t, t->first, out);
		else
			go_on_to_next(t);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}
