// SPDX-License-Identifier: Apache-2.0
/*
 * What is missing, or differs, is written by several threads, in the order in which the walk finds it: one object by one thread, whose bytes are hashed on their way; an object whose
 * SHA-256 is not that of the listing is not completed. One that fails keeps no other from being written, but when the target itself does not answer, or is full.
 * What is only at the target is removed when all of the state is there, and not before.
 *
 * A check walks as a run does, and reads what a run would write or leave: from the target, or, where there is none, from the packs.
 */
#include "back_run.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/rate.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define QUEUE_AHEAD  4U   /* tasks for each thread */
#define NAMES_TOLD   200U /* of objects that fail: a line each */
#define FAILURES_MAX 100U /* one behind the other: it is not the objects */
#define PIECE_SHARE  2U   /* a piece takes half of the memory for writing, at most */

static bool is_run_over(struct running *run)
{
	bool over;

	pthread_mutex_lock(&run->lock);
	over = run->is_over;
	pthread_mutex_unlock(&run->lock);
	return over;
}

static struct source_new new_of_task(const struct task *t)
{
	return (struct source_new){.key = t->entry.key,
	                           .bytes = t->entry.bytes,
	                           .type = t->entry.type,
	                           .meta = t->entry.meta,
	                           .modified_us = t->entry.modified_us,
	                           .etag = t->entry.etag,
	                           .most_piece_bytes = t->run->most_piece};
}

/* Is what is there, of the same size, the same? */

/* A file is read: 1, it is the same; 0: it is not, or it cannot be told. */
static int compare_target_file(const struct task *t, char *buf, struct error *err)
{
	const struct mirror_back *b = t->run->b;
	struct sha256 *h = sha256_new();
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < t->entry.bytes;) {
		const struct iovec iov = {.iov_base = buf, .iov_len = back_piece_at(t, at)};

		r = source_get(b->target, &b->call, t->entry.key, t->etag, at, &iov, 1, NULL, err);
		if (r == 0)
			sha256_update(h, buf, iov.iov_len);
		at += iov.iov_len;
	}
	if (r == 0)
		r = back_is_of_entry(h, &t->entry);
	sha256_free(h);
	return r == -ECANCELED ? r : r == 1;
}

/* The ETag that the bytes of the state would have. */
static int compare_etag(const struct task *t, char *buf, struct error *err)
{
	struct source *target = t->run->b->target;
	const struct source_new what = new_of_task(t);
	size_t most = (size_t)(t->entry.bytes / t->piece) + 1, count = 0;
	_cleanup(free) uint8_t(*md5s)[SOURCE_MD5_BYTES] = mem_array(most, sizeof(*md5s));
	_cleanup(free) char *etag = NULL;

	if (!source_may_tell(target, &what, t->etag))
		return 0;
	for (uint64_t at = 0; at < t->entry.bytes || count == 0;) {
		const struct iovec iov = {.iov_base = buf, .iov_len = back_piece_at(t, at)};
		int r = iov.iov_len > 0 ? back_packs_read(t->run->packs, &t->entry, at, buf, iov.iov_len, err)
		                        : 0;

		if (r < 0)
			return r;
		md5_iov(&iov, 1, md5s[count++]);
		at += iov.iov_len;
	}
	etag = source_made_etag(target, &what, md5s, count);
	return str_equal(etag, t->etag);
}

static int compare_there(const struct task *t, char *buf, struct error *err)
{
	return t->run->b->is_directory ? compare_target_file(t, buf, err) : compare_etag(t, buf, err);
}

/* Writing. */

static void note_progress(const struct task *t, size_t len)
{
	const struct make_order *order = t->run->b->options.order;

	if (!order || !order->progress)
		return;
	atomic_fetch_add(&order->progress->read_bytes, len);
	atomic_fetch_add(&order->progress->sent_bytes, len);
}

/* The error is of the state: the others may be right. */
static int fail_reading(struct error *err)
{
	error_prefix(err, "what is stored of it cannot be read");
	return -EBADMSG;
}

static int write_object_pieces(const struct task *t, struct source_put *put, char *buf, struct sha256 *h,
                               bool *ret_of_state, struct error *err)
{
	const struct mirror_back *b = t->run->b;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < t->entry.bytes;) {
		size_t len = back_piece_at(t, at);

		*ret_of_state = true;
		r = back_packs_read(t->run->packs, &t->entry, at, buf, len, err);
		if (r < 0)
			return fail_reading(err);
		*ret_of_state = false;
		sha256_update(h, buf, len);
		if (rate_take(b->options.rate, len, b->options.cancel) < 0)
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		r = source_put_write(put, &b->call, buf, len, err);
		if (r == 0)
			note_progress(t, len);
		at += len;
	}
	return r;
}

static int write_object(const struct task *t, char *buf, bool *ret_of_state, struct error *err)
{
	const struct mirror_back *b = t->run->b;
	struct source_new what = new_of_task(t);
	_cleanup(source_put) struct source_put *put = NULL;
	struct sha256 *h = sha256_new();
	int r;

	what.only_new = !t->etag && !b->options.replace;
	r = source_put_begin(b->target, &b->call, &what, &put, err);

	if (r == 0)
		r = write_object_pieces(t, put, buf, h, ret_of_state, err);
	if (r == 0 && !back_is_of_entry(h, &t->entry)) {
		*ret_of_state = true;
		r = error_set(err, ERROR_CORRUPT, EBADMSG,
		              "what is stored of it has another SHA-256 than its listing says");
	}
	if (r == 0)
		r = source_put_end(put, &b->call, err);
	sha256_free(h);
	return r;
}

static int do_put(const struct task *t, bool *ret_of_state, struct error *err)
{
	const struct mirror_back_options *o = &t->run->b->options;
	_cleanup(free) char *buf = NULL;
	int same = 0, r;

	if (!t->piece)
		return error_set(err, ERROR_USAGE, EFBIG, "it is too large for the memory that there is");
	buf = mem_resize(NULL, t->memory + 1, 1);
	if (t->is_unsure) {
		same = compare_there(t, buf, err);
		*ret_of_state = same < 0;
	}
	if (same != 0)
		return same < 0 ? same : TASK_SAME;
	if (t->etag && !o->replace)
		return TASK_LEFT;
	r = write_object(t, buf, ret_of_state, err);
	/* It was missing when the target was listed. */
	if (r == -ESTALE && !*ret_of_state && !o->replace)
		return TASK_LEFT;
	return r < 0 ? r : TASK_WRITTEN;
}

static int do_removal(const struct task *t, struct error *err)
{
	const struct mirror_back *b = t->run->b;
	int r = source_remove(b->target, &b->call, t->entry.key, err);

	return r < 0 ? r : TASK_REMOVED;
}

/* What came of it. */

/* It would be the same with every other object. */
static bool is_of_all(const struct error *why, bool of_state)
{
	switch (why->class) {
	case ERROR_CANCELLED:
	case ERROR_UNAVAILABLE:
	case ERROR_TIMEOUT:
	case ERROR_NO_SPACE:
		return true;
	case ERROR_NOT_FOUND:
		return !of_state && str_equal(why->code, "NoSuchBucket");
	default:
		return false;
	}
}

/* With the lock. */
static void end_run(struct running *run, const struct error *why)
{
	if (!run->is_over)
		run->fatal = *why;
	run->is_over = true;
}

/* With the lock. */
static void note_failed_task(const struct task *t, bool of_state, const struct error *why)
{
	struct running *run = t->run;
	const struct make_order *order = run->b->options.order;
	_cleanup(str) struct str line = {0};

	if (why->class == ERROR_CANCELLED)
		end_run(run, why);
	if (run->is_over)
		return;
	if (run->counts->failed.count == 0)
		run->first = *why;
	back_note(&run->counts->failed, t->entry.key, t->entry.bytes);
	str_append_line(&line, why->message);
	if (order && run->counts->failed.count <= NAMES_TOLD)
		make_say(order, "failed: %s: %s", t->entry.key, str_text(&line));
	run->in_a_row = of_state ? 0 : run->in_a_row + 1;
	if (is_of_all(why, of_state) || run->in_a_row > FAILURES_MAX)
		end_run(run, why);
}

/* With the lock. */
static void note_done_task(const struct task *t, int result)
{
	struct mirror_back_counts *c = t->run->counts;
	struct mirror_back_names *const names[] = {[TASK_WRITTEN] = &c->written,
	                                           [TASK_REMOVED] = &c->removed,
	                                           [TASK_SAME] = &c->same,
	                                           [TASK_LEFT] = &c->left};

	t->run->in_a_row = 0;
	back_note(names[result], t->entry.key, t->entry.bytes);
}

static void free_task(struct task *t)
{
	listing_entry_finish(&t->entry);
	free(t->etag);
	free(t);
}

static void run_task(void *arg)
{
	struct task *t = arg;
	struct running *run = t->run;
	bool over = is_run_over(run), of_state = false;
	struct error why = {0};
	int r = 0;

	if (!over)
		r = t->is_removal ? do_removal(t, &why)
		    : t->is_check ? back_check_object(t, &of_state, &why)
		                  : do_put(t, &of_state, &why);
	pthread_mutex_lock(&run->lock);
	if (!over && r < 0)
		note_failed_task(t, of_state, &why);
	else if (!over)
		note_done_task(t, r);
	run->used -= t->memory;
	run->tasks--;
	pthread_cond_signal(&run->changed);
	pthread_mutex_unlock(&run->lock);
	free_task(t);
}

/* What is to be done. */

static void copy_entry(const struct listing_entry *e, struct listing_entry *ret)
{
	*ret = (struct listing_entry){.key = mem_strdup(e->key),
	                              .bytes = e->bytes,
	                              .etag = mem_strdup(e->etag),
	                              .modified_us = e->modified_us,
	                              .type = mem_strdup(e->type),
	                              .meta = e->meta ? json_clone(e->meta) : NULL,
	                              .pack = mem_strdup(e->pack),
	                              .at = e->at};
	memcpy(ret->sha256, e->sha256, sizeof(ret->sha256));
}

/* Waits for memory, and for those before it. */
static int add_task(struct running *run, struct task *t, struct error *err)
{
	size_t most = (size_t)QUEUE_AHEAD * run->b->options.connections;
	bool over;

	pthread_mutex_lock(&run->lock);
	while (!run->is_over &&
	       (run->tasks >= most || (run->used > 0 && run->used + t->memory > run->memory)))
		pthread_cond_wait(&run->changed, &run->lock);
	over = run->is_over;
	run->used += t->memory;
	run->tasks++;
	pthread_mutex_unlock(&run->lock);
	workers_add(run->workers, run_task, t);
	if (cancel_is_set(run->b->options.cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	/* Why is in run->fatal. */
	return over ? -ECANCELED : 0;
}

static int add_put(struct running *run, const struct listing_entry *e, const struct source_object *o,
                   bool is_unsure, struct error *err)
{
	struct task *t = mem_alloc(sizeof(*t));
	struct source_new what;

	t->run = run;
	t->is_unsure = is_unsure;
	t->etag = o ? mem_strdup(str_or_empty(o->etag)) : NULL;
	copy_entry(e, &t->entry);
	what = new_of_task(t);
	t->piece = source_piece_bytes(run->b->target, &what);
	t->memory = e->bytes < t->piece ? (size_t)e->bytes : t->piece;
	return add_task(run, t, err);
}

static int add_removal(struct running *run, const struct source_object *o, struct error *err)
{
	struct task *t = mem_alloc(sizeof(*t));

	t->run = run;
	t->is_removal = true;
	t->entry.key = mem_strdup(o->key);
	t->entry.bytes = o->bytes;
	return add_task(run, t, err);
}

static int add_check(struct running *run, const struct listing_entry *e, const struct source_object *o,
                     struct error *err)
{
	struct task *t = mem_alloc(sizeof(*t));

	t->run = run;
	t->is_check = true;
	t->etag = o ? mem_strdup(str_or_empty(o->etag)) : NULL;
	copy_entry(e, &t->entry);
	t->piece = run->most_piece < BACK_CHECK_BYTES ? run->most_piece : BACK_CHECK_BYTES;
	t->memory = e->bytes < t->piece ? (size_t)e->bytes : t->piece;
	return add_task(run, t, err);
}

static void count_now(struct running *run, struct mirror_back_names *n, const char *key, uint64_t bytes)
{
	pthread_mutex_lock(&run->lock);
	back_note(n, key, bytes);
	pthread_mutex_unlock(&run->lock);
}

static void refuse_object(struct running *run, const struct listing_entry *e, const struct error *why)
{
	const struct make_order *order = run->b->options.order;

	count_now(run, &run->counts->refused, e->key, e->bytes);
	if (order && run->counts->refused.count <= NAMES_TOLD)
		make_say(order, "cannot be there: %s: %s", e->key, why->message);
}

/* Of a check. What has another size is not read. */
static int check_found(void *arg, enum back_found what, const struct listing_entry *e,
                       const struct source_object *o, const struct error *why, struct error *err)
{
	struct running *run = arg;
	struct mirror_back_counts *c = run->counts;

	switch (what) {
	case BACK_MISSING:
		count_now(run, &c->missing, e->key, e->bytes);
		return 0;
	case BACK_EXTRA:
		count_now(run, &c->extra, o->key, o->bytes);
		return 0;
	case BACK_REFUSED:
		refuse_object(run, e, why);
		return 0;
	default:
		if (e->bytes == o->bytes)
			return add_check(run, e, o, err);
		count_now(run, &c->different, e->key, e->bytes);
		return 0;
	}
}

static int check_state_item(void *arg, const struct mirror_item *i, struct error *err)
{
	return add_check(arg, &i->entry, NULL, err);
}

static int do_found(void *arg, enum back_found what, const struct listing_entry *e,
                    const struct source_object *o, const struct error *why, struct error *err)
{
	struct running *run = arg;
	struct mirror_back_counts *c = run->counts;

	if (run->removes)
		return what == BACK_EXTRA ? add_removal(run, o, err) : 0;
	switch (what) {
	case BACK_MISSING:
		count_now(run, &c->missing, e->key, e->bytes);
		return add_put(run, e, NULL, false, err);
	case BACK_DIFFERENT:
		count_now(run, &c->different, e->key, e->bytes);
		if (run->b->options.replace)
			return add_put(run, e, o, false, err);
		count_now(run, &c->left, e->key, e->bytes);
		return 0;
	case BACK_UNSURE:
		count_now(run, &c->unsure, e->key, e->bytes);
		return add_put(run, e, o, true, err);
	case BACK_SAME:
		count_now(run, &c->same, e->key, e->bytes);
		return 0;
	case BACK_EXTRA:
		count_now(run, &c->extra, o->key, o->bytes);
		return 0;
	default:
		refuse_object(run, e, why);
		return 0;
	}
}

static void wait_for_tasks(struct running *run)
{
	pthread_mutex_lock(&run->lock);
	while (run->tasks > 0)
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
}

static int walk_once(struct running *run, struct error *err)
{
	const struct back_walker walker = {.found = run->checks ? check_found : do_found, .arg = run};
	const struct mirror_each each = {.item = check_state_item, .arg = run};
	int r;

	if (run->b->target)
		return back_walk(run->b, &walker, err);
	r = mirror_tree_each(run->b->tree, run->b->options.cancel, &each, err);
	if (r == -ECANCELED && !err->class)
		error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return r;
}

/* A walk, to the end of all that it has begun. */
static int run_walk(struct running *run, struct error *err)
{
	struct error why = {0};
	int r = walk_once(run, &why);

	if (r < 0) {
		pthread_mutex_lock(&run->lock);
		end_run(run, &why);
		pthread_mutex_unlock(&run->lock);
	}
	wait_for_tasks(run);
	if (!run->is_over)
		return 0;
	if (err)
		*err = run->fatal;
	return -(run->fatal.errnum ? run->fatal.errnum : EIO);
}

static int judge_run(const struct mirror_back_counts *c, struct error *err)
{
	if (c->failed.count > 0)
		return error_set(
		        err, ERROR_UNAVAILABLE, EIO,
		        "%" PRIu64 " objects could not be brought back, and %" PRIu64
		        " were written: %.300s; the run's log says why; the same command once more goes on with them",
		        c->failed.count, c->written.count, str_text(&c->failed.first));
	if (c->refused.count > 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%" PRIu64
		        " objects cannot be at the target, because of their names: %.300s; all others are",
		        c->refused.count, str_text(&c->refused.first));
	return 0;
}

static int count_extra(void *arg, enum back_found what, const struct listing_entry *e,
                       const struct source_object *o, const struct error *why, struct error *err)
{
	(void)e;
	(void)why;
	(void)err;
	if (what == BACK_EXTRA)
		back_note_extra(arg, o);
	return 0;
}

/* What has come since the plan was told, while all else was written, is what its application works with: nobody was asked about it, and no state has it. */
static int check_extra_is_as_told(struct running *run, struct error *err)
{
	const struct mirror_back *b = run->b;
	struct mirror_back_names now = {0};
	const struct back_walker walker = {.found = count_extra, .arg = &now};
	int r = back_walk(run->b, &walker, err);

	if (r == 0 && (now.count != b->extra_count || now.digest != b->extra_digest))
		r = error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "nothing was removed: %" PRIu64
		        " objects are only there by now (%.300s), and not the %" PRIu64
		        " that were when it was looked at: something writes there. All else is done; the same command once more shows and removes what is only there then",
		        now.count, str_text(&now.first), b->extra_count);
	str_finish(&now.first);
	return r;
}

static int run_walks(struct running *run, struct error *err)
{
	const struct mirror_back_options *o = &run->b->options;
	int r = run_walk(run, err);

	if (r == 0)
		r = judge_run(run->counts, err);
	if (r < 0 && o->remove && run->counts->extra.count > 0 && o->order)
		make_say(o->order, "nothing was removed, since not all of the state is there");
	if (r < 0 || !o->remove || run->counts->extra.count == 0)
		return r;
	r = check_extra_is_as_told(run, err);
	if (r < 0)
		return r;
	run->removes = true;
	r = run_walk(run, err);
	return r == 0 ? judge_run(run->counts, err) : r;
}

static int begin_back_run(struct running *run, size_t reading, size_t writing, struct error *err)
{
	const struct mirror_back_options *o = &run->b->options;
	/* Of a check of a target nothing is read of the state. */
	int r = run->checks && run->b->target ? 0 : back_packs_new(run->b, reading, &run->packs, err);

	if (r < 0)
		return r;
	run->memory = (uint64_t)writing * POOL_BUFFER_BYTES;
	run->most_piece = (size_t)run->memory / PIECE_SHARE;
	run->workers = workers_new("mirror-back", o->connections);
	return run->workers ? 0
	                    : error_set(err, ERROR_INTERNAL, EAGAIN,
	                                "no threads for writing objects could be started");
}

static int do_walks(struct running *run, struct error *err)
{
	int r;

	if (!run->checks)
		return run_walks(run, err);
	r = run_walk(run, err);
	return r < 0 ? r : back_judge_check(run, err);
}

static uint64_t requests_so_far(const struct mirror_back *b)
{
	return b->target ? source_requests(b->target) : 0;
}

static int run_back(struct running *run, struct error *err)
{
	struct mirror_back *b = run->b;
	struct pool *pool = b->options.ctx->pool;
	size_t all = pool_buffers(pool), reading = all / 3, writing = all - reading;
	uint64_t before = requests_so_far(b);
	int r;

	*run->counts = (struct mirror_back_counts){0};
	if (all < MIRROR_BACK_BUFFERS)
		return error_set(err, ERROR_INTERNAL, ENOMEM, "the pool is too small");
	r = pool_reserve(pool, writing, b->options.cancel);
	if (r < 0)
		return error_system(err, -r, "there is no memory for writing objects");
	r = begin_back_run(run, reading, writing, err);
	if (r == 0)
		r = do_walks(run, err);
	workers_free(run->workers);
	back_packs_free(run->packs);
	pool_unreserve(pool, writing);
	run->counts->requests = requests_so_far(b) - before;
	return r;
}

static int run_or_check(struct mirror_back *b, bool checks, struct mirror_back_counts *ret, struct error *err)
{
	struct running run = {.b = b,
	                      .counts = ret,
	                      .checks = checks,
	                      .lock = PTHREAD_MUTEX_INITIALIZER,
	                      .changed = PTHREAD_COND_INITIALIZER};
	struct error spare = {0};
	int r = run_back(&run, err ? err : &spare);

	pthread_cond_destroy(&run.changed);
	pthread_mutex_destroy(&run.lock);
	return r;
}

int mirror_back_run(struct mirror_back *b, struct mirror_back_counts *ret, struct error *err)
{
	return run_or_check(b, false, ret, err);
}

int mirror_back_check(struct mirror_back *b, struct mirror_back_counts *ret, struct error *err)
{
	return run_or_check(b, true, ret, err);
}
