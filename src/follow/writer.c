// SPDX-License-Identifier: Apache-2.0
/*
 * The writer's side. What has changed is in memory until it is written, so a crash loses it: then the object does not say that it was closed, and
 * the next writer leaves a gap in the numbers, by which readers know that they must compare.
 */
#include <keepfs/follow.h>

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/lease.h>

#include <errno.h>
#include <pthread.h>

#define AT_MOST_EVERY_MS INT64_C(1000)
#define AGAIN_MS         INT64_C(10000)
#define PUT_MS           INT64_C(30000)
#define CLOSE_MS         INT64_C(5000)
#define GAP              1000 /* more than changes are kept */

struct head_writer {
	struct repository *repo;
	struct store *store;
	struct artifact_events events;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct head head; /* lock */
	bool begun;       /* lock: what was there is known, and `head` goes on from it */
	uint64_t written; /* lock: the sequence that the store has */
	bool stopping;    /* lock */
	struct cancel cancel;
	pthread_t thread;
	bool started, told;
};

static void note_head_change(struct head_writer *w, enum head_what what, const char *path)
{
	pthread_mutex_lock(&w->lock);
	head_add(&w->head, what, path);
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void head_on_listed(void *arg, const struct manifest *m)
{
	note_head_change(arg, HEAD_MADE, m->path);
}

static void head_on_removed(void *arg, const struct artifact_removed *what)
{
	note_head_change(arg, HEAD_REMOVED, what->path);
}

static void head_on_marked(void *arg, const char *path)
{
	note_head_change(arg, HEAD_MARKED, path);
}

static int read_old(struct head_writer *w, const struct store_call *call, struct head *ret, struct error *err)
{
	_cleanup(free) char *text = NULL;
	size_t len;
	int r = store_get_all(w->store, call, HEAD_KEY, HEAD_TEXT_MAX, &text, &len, err);

	return r < 0 ? r : head_decode(text, len, ret, err);
}

/* With the lock: the changes of before, then those since; after a crash, or of what cannot be read, a gap. */
static void go_on_from(struct head_writer *w, struct head *old)
{
	struct head since = w->head;

	if (!old->closed) {
		uint64_t sequence = old->sequence + GAP;

		head_finish(old);
		old->sequence = sequence;
	}
	w->head = *old;
	*old = (struct head){0};
	for (size_t i = 0; i < since.count; i++)
		head_add(&w->head, since.changes[i].what, since.changes[i].path);
	head_finish(&since);
	w->begun = true;
}

static int go_on_with_head(struct head_writer *w, const struct store_call *call, struct error *err)
{
	_cleanup(head) struct head old = {0};
	int r = read_old(w, call, &old, err);

	/* Nobody knows what its last number was, nor whether there was one: a number that is surely greater. */
	if (r == -ENOENT || r == -EBADMSG || r == -EFBIG)
		old = (struct head){.sequence = (uint64_t)clock_now_us()};
	else if (r < 0)
		return r;
	pthread_mutex_lock(&w->lock);
	go_on_from(w, &old);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static int put_head_object(struct head_writer *w, const struct store_call *call, bool closed,
                           struct error *err)
{
	const struct store_put_options options = {.content_type = "application/json"};
	_cleanup(str) struct str text = {0};
	uint64_t sequence;
	int r;

	pthread_mutex_lock(&w->lock);
	w->head.fence = lease_number(w->repo->lease);
	w->head.written_us = clock_now_us();
	w->head.closed = closed;
	sequence = w->head.sequence;
	head_encode(&w->head, &text);
	pthread_mutex_unlock(&w->lock);
	r = store_put_bytes(w->store, call, HEAD_KEY, text.data, text.len, &options, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&w->lock);
	w->written = sequence;
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static int write_head(struct head_writer *w, int64_t within_ms, bool closed, struct error *err)
{
	const struct store_call call = {.cancel = closed ? NULL : &w->cancel,
	                                .deadline_ms = clock_mono_ms() + within_ms};
	int r = w->begun ? 0 : go_on_with_head(w, &call, err);

	return r < 0 ? r : put_head_object(w, &call, closed, err);
}

/* Told once, until it works again: readers find out by comparing. Returns the pause before the next one. */
static int64_t write_and_tell(struct head_writer *w)
{
	struct error err = {0};
	int r = write_head(w, PUT_MS, false, &err);

	if (r < 0 && r != -ECANCELED && !w->told)
		log_warning("readers are not told of what is new: %s", err.message);
	w->told = r < 0;
	return r < 0 ? AGAIN_MS : AT_MOST_EVERY_MS;
}

/* With the lock: until something is to be written, and the pause is over. */
static bool wait_for_news(struct head_writer *w, int64_t not_before_ms, int64_t at_ms)
{
	while (!w->stopping) {
		bool is_due = !w->begun || w->head.sequence != w->written;
		int64_t left_ms = (is_due ? not_before_ms : at_ms) - clock_mono_ms();

		if (left_ms <= 0)
			return true;
		clock_cond_wait_ms(&w->changed, &w->lock, left_ms);
	}
	return false;
}

static void *head_writer_main(void *arg)
{
	struct head_writer *w = arg;
	int64_t not_before_ms = 0, at_ms = 0;

	pthread_mutex_lock(&w->lock);
	while (wait_for_news(w, not_before_ms, at_ms)) {
		int64_t pause_ms;

		pthread_mutex_unlock(&w->lock);
		pause_ms = write_and_tell(w);
		not_before_ms = clock_mono_ms() + pause_ms;
		at_ms = clock_mono_ms() + HEAD_REPEAT_MS;
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int head_writer_new(struct repository *repo, struct store *store, struct head_writer **ret, struct error *err)
{
	struct head_writer *w = mem_alloc(sizeof(*w));
	int r;

	w->repo = repo;
	w->store = store;
	w->events = (struct artifact_events){.listed = head_on_listed,
	                                     .removed = head_on_removed,
	                                     .marked = head_on_marked,
	                                     .rewrapped = head_on_listed,
	                                     .arg = w};
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->changed);
	cancel_init(&w->cancel);
	r = thread_start(&w->thread, "head", head_writer_main, w);
	w->started = r == 0;
	if (r < 0) {
		head_writer_free(w);
		return error_system(err, -r, "a thread that tells readers what is new cannot be started");
	}
	repository_listen(repo, &w->events);
	*ret = w;
	return 0;
}

static void stop_writing(struct head_writer *w)
{
	struct error err = {0};

	cancel_set(&w->cancel);
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	if (write_head(w, CLOSE_MS, true, &err) < 0 && !w->told)
		log_warning("readers are told of what is new by the next start: %s", err.message);
}

struct head_writer *head_writer_free(struct head_writer *w)
{
	if (!w)
		return NULL;
	if (w->started)
		stop_writing(w);
	head_finish(&w->head);
	store_free(w->store);
	cancel_finish(&w->cancel);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}
