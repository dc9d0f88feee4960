// SPDX-License-Identifier: Apache-2.0
/* Reading here and now: for threads that may wait. */
#include <keepfs/reader.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct waiting_read {
	struct reader_request request;
	struct cancel_hook hook;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *buf;
	size_t filled; /* lock, as all behind it */
	bool is_done, is_given_up;
	int result;
	struct error error;
};

static void take_read_bytes(struct reader_request *request, int result, const struct iovec *iov, int count,
                            const struct error *err)
{
	struct waiting_read *w = (struct waiting_read *)request;

	pthread_mutex_lock(&w->lock);
	for (int i = 0; result == 0 && i < count; i++) {
		memcpy(w->buf + w->filled, iov[i].iov_base, iov[i].iov_len);
		w->filled += iov[i].iov_len;
	}
	w->result = result;
	if (err)
		w->error = *err;
	w->is_done = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void give_up_waiting_read(void *arg)
{
	struct waiting_read *w = arg;

	pthread_mutex_lock(&w->lock);
	w->is_given_up = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void wait_for_read(struct waiting_read *w, bool or_given_up)
{
	pthread_mutex_lock(&w->lock);
	while (!w->is_done && !(or_given_up && w->is_given_up))
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static int read_piece_now(const struct reader_now *now, uint64_t at, char *buf, size_t len, struct error *err)
{
	uint64_t tag = atomic_fetch_add(now->tags, 1) + 1;
	struct waiting_read w = {.request = {.offset = at, .len = len, .tag = tag, .done = take_read_bytes},
	                         .hook = {.wake = give_up_waiting_read, .arg = &w},
	                         .lock = PTHREAD_MUTEX_INITIALIZER,
	                         .changed = PTHREAD_COND_INITIALIZER,
	                         .buf = buf};

	cancel_add_hook(now->cancel, &w.hook);
	reader_read(now->file, &w.request);
	wait_for_read(&w, true);
	reader_cancel(now->file, tag);
	wait_for_read(&w, false);
	cancel_remove_hook(now->cancel, &w.hook);
	pthread_mutex_destroy(&w.lock);
	pthread_cond_destroy(&w.changed);
	if (w.result < 0 && err)
		*err = w.error;
	if (w.result < 0)
		return w.result;
	return w.filled == len ? 0
	                       : error_set(err, ERROR_CORRUPT, EBADMSG, "%s is damaged: its end is missing",
	                                   now->what);
}

int reader_read_now(const struct reader_now *now, uint64_t at, void *buf, size_t len, struct error *err)
{
	int r = 0;

	for (size_t done = 0; r == 0 && done < len;) {
		size_t piece = len - done < READER_REQUEST_BYTES ? len - done : READER_REQUEST_BYTES;

		r = read_piece_now(now, at + done, (char *)buf + done, piece, err);
		done += piece;
	}
	return r;
}
