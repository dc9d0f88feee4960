// SPDX-License-Identifier: Apache-2.0
/*
 * The packs behind one that is read in order. The reader of objects reads ahead in each, but knows nothing of the next: without this, whoever goes on to it would wait for its table
 * first, and then for its first bytes, in small pieces until a window has grown again. A thread does it, one order at a time: an order that comes while it is at work takes the place of the one that waits.
 */
#include "runs_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <string.h>

#define IN_ORDER_BYTES (UINT64_C(2) << 20) /* so much was read in order, or half of the pack: it goes on */
#define SLACK_BYTES    (UINT64_C(4) << 20) /* one reader's requests come out of order */
#define PACKS_AHEAD    4

/* Heap: the one behind @pack in its directory. */
static char *name_of_next_pack(const char *pack)
{
	char directory[CLOCK_NAME_BYTES];
	int64_t number;

	return listing_pack_split(pack, directory, &number)
	               ? mem_printf("%s/%05lld", directory, (long long)number + 1)
	               : NULL;
}

/* Heap: that the file goes on in, or the one behind it. */
static char *pack_behind(const struct listing_entry *e, size_t run)
{
	for (size_t i = run + 1; i < e->run_count; i++)
		if (e->runs[i].pack && strcmp(e->runs[i].pack, e->runs[run].pack) != 0)
			return mem_strdup(e->runs[i].pack);
	return name_of_next_pack(e->runs[run].pack);
}

/* With the lock: is it time for those behind it? */
static bool is_time_for_next(struct open_run_pack *p, uint64_t at, uint64_t end)
{
	if (at > p->position + SLACK_BYTES || end + SLACK_BYTES < p->position) {
		p->in_order = 0;
		p->was_ahead = false;
		p->position = end;
	} else if (end > p->position) {
		p->in_order += end - p->position;
		p->position = end;
	}
	return (p->in_order >= IN_ORDER_BYTES || p->in_order >= p->table.plain_bytes / 2) && !p->was_ahead;
}

static void forget_ahead_order(struct runs_ahead_order *o)
{
	free(o->job);
	free(o->pack);
	*o = (struct runs_ahead_order){0};
}

void run_ahead_note(struct runs_reader *r, const struct runs_read *what, size_t run, struct open_run_pack *p,
                    uint64_t at, uint64_t end)
{
	if (!r->has_thread)
		return;
	pthread_mutex_lock(&r->lock);
	if (is_time_for_next(p, at, end)) {
		p->was_ahead = true;
		forget_ahead_order(&r->ahead);
		r->ahead = (struct runs_ahead_order){.store = what->store,
		                                     .job = mem_strdup(what->job),
		                                     .pack = pack_behind(what->entry, run)};
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
}

/* Whoever comes to it is in order from its first byte on. */
static void expect_pack(struct runs_reader *r, struct open_run_pack *p, uint64_t bytes)
{
	bool is_new;

	pthread_mutex_lock(&r->lock);
	is_new = !p->is_expected || p->in_order == 0;
	if (is_new) {
		p->is_expected = true;
		p->was_ahead = false;
		p->position = 0;
		p->in_order = IN_ORDER_BYTES;
	}
	pthread_mutex_unlock(&r->lock);
	if (is_new)
		reader_expect(p->file, 0, bytes);
}

/* Return: of how many bytes it is; 0: it cannot be opened, as one behind the last. Whoever needs it is told why. */
static uint64_t get_pack_ahead(struct runs_reader *r, const struct runs_ahead_order *o, const char *pack,
                               uint64_t left)
{
	_cleanup(free) char *path = runs_reader_pack_path(o->job, pack);
	const struct runs_pack name = {.store = o->store, .path = path};
	struct error err = {0};
	struct open_run_pack *p;
	uint64_t bytes = 0;

	if (run_pack_use(r, &name, &r->cancel, &p, &err) == 0) {
		bytes = p->bytes;
		expect_pack(r, p, left);
	}
	run_pack_leave(r, p, false);
	return bytes;
}

static void follow_ahead_order(struct runs_reader *r, const struct runs_ahead_order *o)
{
	_cleanup(free) char *pack = o->pack ? mem_strdup(o->pack) : NULL;
	uint64_t left = r->options.ahead_bytes;

	for (unsigned i = 0; pack && i < PACKS_AHEAD && left > 0; i++) {
		uint64_t bytes = get_pack_ahead(r, o, pack, left);
		char *next = bytes > 0 ? name_of_next_pack(pack) : NULL;

		free(pack);
		pack = next;
		left = bytes < left ? left - bytes : 0;
	}
}

static void *ahead_main(void *arg)
{
	struct runs_reader *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->is_ending) {
		struct runs_ahead_order order = r->ahead;

		if (!order.job) {
			pthread_cond_wait(&r->changed, &r->lock);
			continue;
		}
		r->ahead = (struct runs_ahead_order){0};
		pthread_mutex_unlock(&r->lock);
		follow_ahead_order(r, &order);
		forget_ahead_order(&order);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int run_ahead_start(struct runs_reader *r, struct error *err)
{
	int result = thread_start(&r->thread, "runs-ahead", ahead_main, r);

	r->has_thread = result == 0;
	return result < 0 ? error_system(err, -result, "a thread for reading ahead cannot be started") : 0;
}

void run_ahead_end(struct runs_reader *r)
{
	if (r->has_thread) {
		pthread_mutex_lock(&r->lock);
		r->is_ending = true;
		pthread_cond_broadcast(&r->changed);
		pthread_mutex_unlock(&r->lock);
		cancel_set(&r->cancel);
		pthread_join(r->thread, NULL);
	}
	forget_ahead_order(&r->ahead);
}
