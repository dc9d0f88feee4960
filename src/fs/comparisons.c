// SPDX-License-Identifier: Apache-2.0
/*
 * See comparisons.h. A comparison is in the list from when it is asked for until it fails, is given up, or makes room for others. It has a reference of the list, one of
 * the thread that makes it, one of each waiter, and one of each open file.
 *
 * A waiter is woken once, by whoever takes it out of the list of its comparison: the end of that, or the waiter's own token. The hook of that token is set before the
 * waiter is in the list, since everything may be over right after.
 */
#include "comparisons_private.h"

#include "inside.h"
#include "lookers.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/report/troubles.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define THREADS (COMPARISONS_AT_ONCE * COMPARISON_KINDS)
#define PERCENT 100

struct comparisons *comparisons_new(struct fs *fs)
{
	struct comparisons *cs = mem_alloc(sizeof(*cs));

	cs->fs = fs;
	pthread_mutex_init(&cs->lock, NULL);
	clock_cond_init(&cs->changed);
	cs->threads = lookers_new("compare", THREADS, COMPARISONS_AT_ONCE);
	return cs->threads ? cs : comparisons_free(cs);
}

/* References. */

static void free_comparison(struct comparison *c)
{
	cancel_finish(&c->cancel);
	spool_free(c->sides[DIFF_A]);
	spool_free(c->sides[DIFF_B]);
	free(c->path);
	free(c);
}

/* With the lock: true: the caller frees it, without the lock. */
static bool drop_reference(struct comparison *c)
{
	if (--c->refs == 1)
		pthread_cond_broadcast(&c->all->changed);
	if (c->refs > 0)
		return false;
	c->all->bytes -= c->bytes;
	pthread_cond_broadcast(&c->all->changed);
	return true;
}

void comparison_unref(struct comparison *c)
{
	struct comparisons *cs = c->all;
	bool last;

	pthread_mutex_lock(&cs->lock);
	last = drop_reference(c);
	pthread_mutex_unlock(&cs->lock);
	if (last)
		free_comparison(c);
}

/* With the lock. */
static void strike_comparison(struct comparison *c)
{
	if (!c->link)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
	c->refs--; /* never the last: whoever strikes it out has one */
}

static void put_in_front(struct comparison *c)
{
	struct comparisons *cs = c->all;

	c->next = cs->first;
	c->link = &cs->first;
	if (c->next)
		c->next->link = &c->next;
	cs->first = c;
	c->refs++;
}

/* With the lock. A result that nobody has open, and that was not used for longest; NULL: there is none. It is the caller's. */
struct comparison *comparisons_take_oldest(struct comparisons *cs)
{
	struct comparison *oldest = NULL;

	for (struct comparison *c = cs->first; c; c = c->next)
		if (c->has_ended && c->refs == 1)
			oldest = c;
	if (oldest) {
		oldest->refs++;
		strike_comparison(oldest);
	}
	return oldest;
}

/* With the lock: a result of that dump, which is the caller's; NULL: there is none in the list. */
static struct comparison *take_result_of_dump(struct comparisons *cs, uint64_t ino)
{
	struct comparison *c = cs->first;

	while (c && !(c->has_ended && (c->key.pair.inos[DIFF_A] == ino || c->key.pair.inos[DIFF_B] == ino)))
		c = c->next;
	if (c) {
		c->refs++;
		strike_comparison(c);
	}
	return c;
}

/* One that is at work finds out at its end that the dump has gone. */
void comparisons_forget(struct comparisons *cs, uint64_t ino)
{
	struct comparison *c;

	do {
		pthread_mutex_lock(&cs->lock);
		c = take_result_of_dump(cs, ino);
		pthread_mutex_unlock(&cs->lock);
		if (c)
			comparison_unref(c);
	} while (c);
}

struct comparisons *comparisons_free(struct comparisons *cs)
{
	struct comparison *c;

	if (!cs)
		return NULL;
	comparisons_end(cs);
	while ((c = comparisons_take_oldest(cs)))
		comparison_unref(c);
	pthread_cond_destroy(&cs->changed);
	pthread_mutex_destroy(&cs->lock);
	free(cs);
	return NULL;
}

void comparisons_end(struct comparisons *cs)
{
	pthread_mutex_lock(&cs->lock);
	cs->ended = true;
	for (struct comparison *c = cs->first; c; c = c->next)
		cancel_set(&c->cancel);
	pthread_cond_broadcast(&cs->changed);
	pthread_mutex_unlock(&cs->lock);
	cs->threads = lookers_free(cs->threads);
}

int comparison_failed(struct fs *fs, const struct diff_pair_id *pair, enum diff_side side, char *path, int r,
                      const struct error *err)
{
	const struct node of_dump = {.entry.ino = pair->inos[side]};
	_cleanup(free) char *owned = path;

	if (r == -ENOSPC || r == -EFBIG || r == -ENFILE) {
		report_trouble(fs->ctx.troubles, path, -r, err->message);
		log_error("%s could not be made: %s", path ? path : "a comparison", err->message);
		return r;
	}
	if (r != -ECANCELED && !comparison_pair_is_there(fs, pair))
		return -ESTALE;
	return inside_failed(fs, &of_dump, take_ptr(&owned), r, err);
}

/* With the lock: those that are to be woken now. */
static struct comparison_waiter *take_waiters(struct comparison *c)
{
	struct comparison_waiter *waiters = c->waiters;

	for (struct comparison_waiter *w = waiters; w; w = w->next)
		w->is_linked = false;
	c->waiters = NULL;
	return waiters;
}

static void end_comparison(struct comparison *c, int r)
{
	struct comparisons *cs = c->all;
	struct comparison_waiter *waiters, *next;

	pthread_mutex_lock(&cs->lock);
	c->has_ended = true;
	c->result = r;
	if (r < 0)
		strike_comparison(c);
	waiters = take_waiters(c);
	pthread_mutex_unlock(&cs->lock);
	for (; waiters; waiters = next) {
		next = waiters->next;
		waiters->wake(waiters->arg);
	}
	comparisons_keep_allowed(cs);
}

static void run_comparison(void *arg)
{
	struct comparison *c = arg;
	struct comparisons *cs = c->all;
	enum diff_side side = DIFF_B;
	struct error err = {0};
	int r;

	pthread_mutex_lock(&cs->lock);
	c->has_begun = true;
	c->since_us = clock_mono_us();
	pthread_mutex_unlock(&cs->lock);
	r = comparison_make(c, &side, &err);
	if (r < 0)
		r = comparison_failed(cs->fs, &c->key.pair, side, c->path ? mem_strdup(c->path) : NULL, r,
		                      &err);
	end_comparison(c, r);
	comparison_unref(c);
}

/* Asking for one. */

static bool same_key(const struct comparison_key *x, const struct comparison_key *y)
{
	return x->of == y->of && x->table == y->table && diff_pair_id_equal(&x->pair, &y->pair);
}

/* With the lock. What was given up is not in the list any more. */
static struct comparison *find_comparison(struct comparisons *cs, const struct comparison_key *key)
{
	struct comparison *c = cs->first;

	while (c && !same_key(&c->key, key))
		c = c->next;
	return c;
}

/* With the lock: a reference for the caller; it was used last. */
static struct comparison *use_comparison(struct comparison *c)
{
	c->refs++;
	strike_comparison(c);
	put_in_front(c);
	return c;
}

/* With the lock. */
static struct comparison *add_comparison(struct comparisons *cs, const struct comparison_key *key, char *path)
{
	struct comparison *c = mem_alloc(sizeof(*c));
	const char *state_dir = cs->fs->ctx.conf->state_dir;

	c->all = cs;
	c->key = *key;
	c->path = path;
	c->since_us = clock_mono_us();
	cancel_init(&c->cancel);
	for (int side = 0; side < 2; side++)
		c->sides[side] = spool_new_small(state_dir, COMPARISON_SMALL_BYTES);
	c->refs = 2; /* the caller's, and the thread's */
	put_in_front(c);
	lookers_add(cs->threads, key->of, run_comparison, c);
	return c;
}

/* The token's lock is held. */
static void give_up_comparison(void *arg)
{
	struct comparison_waiter *w = arg, **at;
	struct comparisons *cs = w->all;
	struct comparison *c = w->comparison;
	bool was_linked, was_last = false;

	pthread_mutex_lock(&cs->lock);
	w->given_up = true;
	was_linked = w->is_linked;
	if (was_linked) {
		for (at = &c->waiters; *at != w; at = &(*at)->next)
			;
		*at = w->next;
		w->is_linked = false;
		was_last = !c->waiters;
	}
	/* From here on whoever wants it makes it anew. */
	if (was_last) {
		strike_comparison(c);
		pthread_cond_broadcast(&cs->changed);
	}
	pthread_mutex_unlock(&cs->lock);
	if (was_last)
		cancel_set(&c->cancel);
	if (was_linked)
		w->wake(w->arg);
}

/* With the lock. */
static void link_waiter(struct comparison *c, struct comparison_waiter *w)
{
	w->comparison = c;
	w->next = c->waiters;
	c->waiters = w;
	w->is_linked = true;
}

/* It was woken. */
static int take_awaited_result(struct comparison_waiter *w, struct comparison **ret)
{
	_cleanup(comparison) struct comparison *c = take_ptr(&w->comparison);
	int r;

	cancel_remove_hook(w->cancel, &w->hook);
	if (w->given_up)
		return -ECANCELED;
	pthread_mutex_lock(&c->all->lock);
	r = c->result;
	pthread_mutex_unlock(&c->all->lock);
	if (r == 0)
		*ret = take_ptr(&c);
	return r;
}

/* Nothing of @w is touched after the lock was given back with it in the list. */
static int wait_for_comparison(struct comparisons *cs, const struct comparison_key *key, char *path,
                               struct comparison_waiter *w, struct comparison **ret)
{
	_cleanup(free) char *unused = path;
	struct comparison *c;
	int r = COMPARISON_LATER;

	w->all = cs;
	w->hook = (struct cancel_hook){.wake = give_up_comparison, .arg = w};
	cancel_add_hook(w->cancel, &w->hook);
	pthread_mutex_lock(&cs->lock);
	if (w->given_up || cs->ended) {
		r = -ECANCELED;
	} else {
		c = find_comparison(cs, key);
		c = c ? use_comparison(c) : add_comparison(cs, key, take_ptr(&unused));
		if (c->has_ended) {
			*ret = c;
			r = 0;
		} else {
			link_waiter(c, w);
		}
	}
	pthread_mutex_unlock(&cs->lock);
	if (r != COMPARISON_LATER)
		cancel_remove_hook(w->cancel, &w->hook);
	return r;
}

int comparisons_peek(struct comparisons *cs, const struct comparison_key *key, struct comparison **ret)
{
	struct comparison *c;
	int r = -EAGAIN;

	pthread_mutex_lock(&cs->lock);
	c = find_comparison(cs, key);
	if (c && c->has_ended) {
		*ret = use_comparison(c);
		r = 0;
	}
	pthread_mutex_unlock(&cs->lock);
	return r;
}

int comparisons_get(struct comparisons *cs, const struct comparison_key *key, const struct node *node,
                    struct comparison_waiter *waiter, struct comparison **ret)
{
	if (waiter->comparison)
		return take_awaited_result(waiter, ret);
	if (comparisons_peek(cs, key, ret) == 0)
		return 0;
	/* Its path may have to be found in a dump: without the lock. */
	return wait_for_comparison(cs, key, node_path(cs->fs, node), waiter, ret);
}

const struct comparison_key *comparison_key(const struct comparison *c)
{
	return &c->key;
}

const struct spool *comparison_text(const struct comparison *c, enum diff_side side)
{
	return c->sides[side];
}

/* status/diffs. */

static unsigned count_waiters(const struct comparison *c)
{
	unsigned count = 0;

	for (const struct comparison_waiter *w = c->waiters; w; w = w->next)
		count++;
	return count;
}

static void append_comparison(const struct comparison *c, struct str *out)
{
	uint64_t done = atomic_load(&c->read_bytes), expected = atomic_load(&c->expected_bytes);
	unsigned waiters = count_waiters(c);
	char read[16];

	str_append(out, c->has_begun ? "comparing" : "waiting");
	if (c->has_begun && expected > 0)
		str_appendf(out, " %u %%",
		            done >= expected ? PERCENT : (unsigned)(done * PERCENT / expected));
	if (c->has_begun)
		str_appendf(out, ", %s read", str_format_bytes(read, sizeof(read), done));
	str_appendf(out,
	            ", for %lld s, %u reader%s: ", (long long)((clock_mono_us() - c->since_us) / US_PER_S),
	            waiters, waiters == 1 ? "" : "s");
	str_append_line(out, str_or_empty(c->path));
	str_append_char(out, '\n');
}

int comparisons_write(struct comparisons *cs, struct spool *out)
{
	_cleanup(str) struct str text = {0};
	char bytes[16], space[16];
	unsigned kept = 0;

	pthread_mutex_lock(&cs->lock);
	for (const struct comparison *c = cs->first; c; c = c->next) {
		if (c->has_ended)
			kept++;
		else
			append_comparison(c, &text);
	}
	str_format_bytes(bytes, sizeof(bytes), cs->bytes);
	pthread_mutex_unlock(&cs->lock);
	str_format_bytes(space, sizeof(space), comparisons_kept_max(cs));
	str_appendf(&text, "kept: %u of %u results, %s of %s\n", kept, COMPARISONS_KEPT, bytes, space);
	spool_append(out, str_text(&text), text.len);
	return spool_error(out);
}
