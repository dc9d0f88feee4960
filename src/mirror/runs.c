// SPDX-License-Identifier: Apache-2.0
/* Ranges of files of a base. See keepfs/mirror/runs.h, and runs_private.h for how this is cut. */
#include "runs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

static int check_runs_options(const struct runs_options *o, struct error *err)
{
	if (o->threads == 0 || o->buffers < RUNS_BUFFERS_MIN ||
	    o->buffers < (size_t)2 * RUNS_THREAD_BUFFERS * o->threads)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%zu buffers of 1 MiB are too few for %u threads that read a base",
		                 o->buffers, o->threads);
	if (!pool_try_keep(o->pool, o->buffers))
		return error_set(err, ERROR_NO_SPACE, ENOSPC,
		                 "%zu buffers of 1 MiB for reading bases are more than the pool can "
		                 "promise; raise [keepfs] memory",
		                 o->buffers);
	return 0;
}

int runs_reader_new(const struct runs_options *options, struct runs_reader **ret, struct error *err)
{
	struct runs_reader *r;
	int result = check_runs_options(options, err);

	if (result < 0)
		return result;
	r = mem_alloc(sizeof(*r));
	r->options = *options;
	r->tables_max =
	        (options->buffers - (size_t)RUNS_THREAD_BUFFERS * options->threads) * POOL_BUFFER_BYTES / 4;
	r->frames_max = 3 * r->tables_max;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	cancel_init(&r->cancel);
	result = options->ahead_bytes > 0 ? run_ahead_start(r, err) : 0;
	if (result < 0) {
		runs_reader_free(r);
		return result;
	}
	*ret = r;
	return 0;
}

static void free_runs_decoders(struct runs_reader *r)
{
	while (r->decoders) {
		struct runs_decoder *d = r->decoders;

		r->decoders = d->next;
		unpacker_free(d->unpacker);
		free(d->stored);
		free(d);
	}
}

struct runs_reader *runs_reader_free(struct runs_reader *r)
{
	if (!r)
		return NULL;
	run_ahead_end(r);
	run_packs_close(r);
	free_runs_decoders(r);
	pool_unkeep(r->options.pool, r->options.buffers);
	cancel_finish(&r->cancel);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

static void wake_runs_waiting(void *arg)
{
	struct runs_waiting *w = arg;

	pthread_mutex_lock(&w->r->lock);
	w->is_given_up = true;
	pthread_cond_broadcast(&w->r->changed);
	pthread_mutex_unlock(&w->r->lock);
}

void runs_wait_begin(struct runs_waiting *w, struct runs_reader *r, struct cancel *cancel)
{
	*w = (struct runs_waiting){.r = r, .cancel = cancel, .hook = {.wake = wake_runs_waiting, .arg = w}};
	cancel_add_hook(cancel, &w->hook);
}

void runs_wait_end(struct runs_waiting *w)
{
	cancel_remove_hook(w->cancel, &w->hook);
}

char *runs_reader_pack_path(const char *job, const char *pack)
{
	return mem_printf(TREE_PACKS "/%s/%s%s", job, pack, listing_pack_suffix(LISTING_BASE));
}

/* Whose turn it is. */

/* With the lock. */
static struct runs_decoder *take_runs_decoder(struct runs_reader *r)
{
	struct runs_decoder *d = r->decoders;

	r->reading++;
	if (d)
		r->decoders = d->next;
	return d;
}

static struct runs_decoder *new_runs_decoder(void)
{
	struct runs_decoder *d = mem_alloc(sizeof(*d));

	d->unpacker = unpacker_new(COMPRESSION_ZSTD);
	d->stored = mem_resize(NULL, SEEKABLE_STORED_MAX, 1);
	return d;
}

static int begin_runs_turn(struct runs_reader *r, struct cancel *cancel, struct runs_decoder **ret)
{
	struct runs_waiting w;
	bool has_turn;

	runs_wait_begin(&w, r, cancel);
	pthread_mutex_lock(&r->lock);
	while (r->reading >= r->options.threads && !w.is_given_up)
		pthread_cond_wait(&r->changed, &r->lock);
	has_turn = r->reading < r->options.threads;
	if (has_turn)
		*ret = take_runs_decoder(r);
	pthread_mutex_unlock(&r->lock);
	runs_wait_end(&w);
	if (has_turn && !*ret)
		*ret = new_runs_decoder();
	return has_turn ? 0 : -ECANCELED;
}

static void end_runs_turn(struct runs_reader *r, struct runs_decoder *d)
{
	pthread_mutex_lock(&r->lock);
	d->next = r->decoders;
	r->decoders = d;
	r->reading--;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* Ranges. */

struct range_of_run { /* what is wanted of one */
	size_t run;
	uint64_t within; /* from its beginning on */
	size_t len;
	char *to;
};

static size_t run_with(const struct listing_entry *e, uint64_t at)
{
	size_t low = 0, high = e->run_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (e->runs[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static bool is_damage_of_pack(const struct error *err)
{
	return err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND;
}

static int read_of_pack(struct runs_reader *r, const struct runs_read *what, const struct range_of_run *range,
                        struct runs_decoder *decoder, struct error *err)
{
	const struct listing_run *run = &what->entry->runs[range->run];
	_cleanup(free) char *path = runs_reader_pack_path(what->job, run->pack);
	const struct runs_pack name = {.store = what->store, .path = path};
	struct frames_wanted wanted = {.decoder = decoder,
	                               .cancel = what->cancel,
	                               .at = run->place + range->within,
	                               .len = range->len,
	                               .to = range->to};
	int result = run_pack_use(r, &name, what->cancel, &wanted.pack, err);

	if (result == 0)
		run_ahead_note(r, what, range->run, wanted.pack, wanted.at, wanted.at + wanted.len);
	if (result == 0)
		result = run_frames_read(r, &wanted, err);
	run_pack_leave(r, wanted.pack, result < 0 && is_damage_of_pack(err));
	if (result < 0 && result != -ECANCELED)
		error_prefix(err, "%s", path);
	return result;
}

static int read_one_run(struct runs_reader *r, const struct runs_read *what, const struct range_of_run *range,
                        struct runs_decoder *decoder, struct error *err)
{
	if (what->entry->runs[range->run].pack)
		return read_of_pack(r, what, range, decoder, err);
	memset(range->to, 0, range->len);
	return 0;
}

static int read_runs_of_range(struct runs_reader *r, const struct runs_read *what,
                              struct runs_decoder *decoder, const char **ret_pack, struct error *err)
{
	const struct listing_entry *e = what->entry;
	int result = 0;

	for (size_t done = 0, i = run_with(e, what->at); result == 0 && done < what->len; i++) {
		struct range_of_run range = {
		        .run = i, .within = what->at + done - e->runs[i].at, .to = (char *)what->buf + done};
		uint64_t left = e->runs[i].bytes - range.within;

		range.len = left < what->len - done ? (size_t)left : what->len - done;
		result = read_one_run(r, what, &range, decoder, err);
		if (result < 0 && ret_pack)
			*ret_pack = e->runs[i].pack;
		done += range.len;
	}
	return result;
}

int runs_reader_read(struct runs_reader *r, const struct runs_read *what, const char **ret_pack,
                     struct error *err)
{
	const struct listing_entry *e = what->entry;
	struct runs_decoder *decoder = NULL;
	struct error own = {0};
	int result;

	if (ret_pack)
		*ret_pack = NULL;
	if (what->at > e->bytes || what->len > e->bytes - what->at)
		return error_set(err, ERROR_USAGE, EINVAL, "%s has no such range", e->key);
	if (what->len == 0)
		return 0;
	result = begin_runs_turn(r, what->cancel, &decoder);
	if (result < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "reading was given up");
	result = read_runs_of_range(r, what, decoder, ret_pack, &own);
	end_runs_turn(r, decoder);
	if (result < 0 && err)
		*err = own;
	return result;
}

void runs_reader_counts(struct runs_reader *r, struct runs_reader_counts *ret)
{
	pthread_mutex_lock(&r->lock);
	*ret = r->counts;
	pthread_mutex_unlock(&r->lock);
}
