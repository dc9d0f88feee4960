// SPDX-License-Identifier: Apache-2.0
/*
 * The lease once it is ours: a thread renews it, the fence asks whether it still is.
 *
 * The fence reads one number, until when we are sure, and compares it with the clock: it needs nobody to tell it that the time is over. That is what
 * makes it right after a pause of any length, of the host or of the process.
 */
#include "lease_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GIVE_BACK_MS 5000
#define AGAIN_MS_MAX 2000 /* between tries when the store does not answer */

int64_t lease_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whatever is wrong with a store, what is known of it can be served; but not when another keepfs has it, or nobody can say. */
bool lease_may_come_later(int r)
{
	return r < 0 && r != -EBUSY && r != -ECANCELED && r != -EBADMSG && r != -ENOTSUP && r != -ESTALE;
}

int lease_read(struct lease *l, const struct store_call *call, struct lease_text *ret,
               char ret_etag[static STORE_ETAG_BYTES], struct error *err)
{
	_cleanup(free) char *text = mem_alloc(LEASE_TEXT_MAX);
	const struct iovec iov = {text, LEASE_TEXT_MAX};
	uint64_t len = 0;
	const struct store_get_options options = {
	        .to_the_end = true, .ret_filled = &len, .ret_etag = ret_etag};
	int r = store_get(l->store, call, LEASE_KEY, 0, &iov, 1, &options, err);

	if (r < 0)
		return r;
	/* Without it nobody could tell a lease that is renewed from one that is not, nor replace the one that was seen. */
	if (!ret_etag[0])
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "%s: the server does not say which object it sent (a strong ETag), so no lease can be kept there: set [keepfs] lease = none, and see to it that only one keepfs writes there",
		        l->store->name);
	r = lease_decode(text, (size_t)len, ret, err);
	if (r < 0)
		error_prefix(err, "%s: who writes here cannot be told; when nobody does, remove the object",
		             l->store->name);
	return r;
}

bool lease_is_own(const struct lease *l, const struct lease_text *t)
{
	return t->fence == l->own.fence && str_equal(t->instance, l->own.instance) &&
	       str_equal(t->process, l->own.process) && t->pid == l->own.pid;
}

bool lease_is_of_here(const struct lease *l, const struct lease_text *t)
{
	return str_equal(t->instance, l->own.instance) && str_equal(t->host, l->own.host);
}

/* The etag of what we wrote, where the answer did not say it. */
static int learn_own_etag(struct lease *l, const struct store_call *call, struct error *err)
{
	struct lease_text t;
	int r;

	if (l->etag[0])
		return 0;
	r = lease_read(l, call, &t, l->etag, err);
	return r < 0 ? r : lease_is_own(l, &t) ? 0 : -ESTALE;
}

int lease_write(struct lease *l, const struct store_call *call, const char *over, int64_t *ret_sure_until_ms,
                struct error *err)
{
	char etag[STORE_ETAG_BYTES] = "";
	const struct store_put_options options = {.only_if_absent = !over,
	                                          .if_match = over,
	                                          .content_type = "application/json",
	                                          .ret_etag = etag};
	_cleanup(str) struct str text = {0};
	int64_t began_ms = lease_clock_ms();
	int r;

	l->own.until_us = clock_now_us() + l->length_ms * 1000;
	lease_encode(&l->own, &text);
	r = store_put_bytes(l->store, call, LEASE_KEY, text.data, text.len, &options, err);
	if (r == STORE_EXISTS)
		return -ESTALE;
	if (r < 0)
		return r;
	str_copy(l->etag, sizeof(l->etag), etag);
	r = learn_own_etag(l, call, err);
	if (r < 0)
		return r;
	/* Counted from before it was sent: the store may have had it at any moment since. */
	*ret_sure_until_ms = l->own.given_back ? 0 : began_ms + l->length_ms - l->length_ms / 6;
	return 0;
}

void lease_open_fence(struct lease *l, int64_t sure_until_ms)
{
	atomic_store(&l->number, l->own.fence);
	atomic_store(&l->sure_until_ms, sure_until_ms);
}

/* What is ours already. */
static int write_again(struct lease *l, const struct store_call *call, const char *over, struct error *err)
{
	int64_t sure_until_ms;
	int r = lease_write(l, call, over, &sure_until_ms, err);

	if (r == 0)
		lease_open_fence(l, sure_until_ms);
	return r;
}

/* With the lock: since when, and why. */
static void note_lease_trouble(struct lease *l, const struct error *why)
{
	if (!l->trouble_us)
		l->trouble_us = clock_now_us();
	str_cut(l->why, sizeof(l->why), why->message);
	l->class = why->class;
	l->may_pass = why->retry || why->class == ERROR_UNAVAILABLE || why->class == ERROR_TIMEOUT ||
	              why->class == ERROR_CONFLICT;
}

static void forget_lease_trouble(struct lease *l)
{
	pthread_mutex_lock(&l->lock);
	l->trouble_us = 0;
	l->why[0] = '\0';
	pthread_mutex_unlock(&l->lock);
}

int lease_lose(struct lease *l, const struct lease_text *t, struct error *err)
{
	char who[LEASE_WHO_BYTES], since[CLOCK_ISO_BYTES];
	struct error why = {0};

	lease_who(t, who);
	error_set(
	        &why, ERROR_CONFLICT, ESTALE,
	        "another keepfs, on %s, %s to %s since %s, as this one did not %s its lease in time: nothing is written by this one any more",
	        who, t->given_back ? "wrote" : "writes", l->store->name, clock_format_iso(t->since_us, since),
	        l->is_late ? "take" : "renew");
	atomic_store(&l->sure_until_ms, 0);
	pthread_mutex_lock(&l->lock);
	l->is_lost = true;
	l->trouble_us = 0;
	note_lease_trouble(l, &why);
	pthread_mutex_unlock(&l->lock);
	log_error("%s", why.message);
	if (err)
		*err = why;
	return -ESTALE;
}

/* It is not the object that we know: another one's, or our own, of which the answer was lost. */
static int look_who_has_it(struct lease *l, const struct store_call *call, struct error *err)
{
	char etag[STORE_ETAG_BYTES];
	struct lease_text t;
	int r = lease_read(l, call, &t, etag, err);

	/* Somebody has removed it, and nobody has taken it since. */
	if (r == -ENOENT) {
		l->own.fence++;
		return write_again(l, call, NULL, err);
	}
	if (r < 0)
		return r;
	if (lease_is_own(l, &t)) {
		str_copy(l->etag, sizeof(l->etag), etag);
		return -EAGAIN;
	}
	return lease_lose(l, &t, err);
}

static int renew_once(struct lease *l, struct error *err)
{
	const struct store_call call = {.cancel = &l->cancel};
	int r = write_again(l, &call, l->etag, err);

	if (r == -ESTALE)
		r = look_who_has_it(l, &call, err);
	return r == -EAGAIN ? write_again(l, &call, l->etag, err) : r;
}

/* What the start could not take, or what a failed answer left without a name. */
static int take_lease_late(struct lease *l, struct error *err)
{
	const struct lease_wait wait = {.cancel = &l->cancel};

	l->is_late = true;
	return lease_take_once(l, &wait, err);
}

static void renew(struct lease *l)
{
	struct error err = {0};
	int r = (l->etag[0] ? renew_once : take_lease_late)(l, &err);

	pthread_mutex_lock(&l->lock);
	if (r == 0 && l->trouble_us && !l->is_lost) {
		log_info("%s: the lease is ours again", l->store->name);
		l->trouble_us = 0;
		l->why[0] = '\0';
	} else if (r < 0 && !l->is_lost && r != -ECANCELED) {
		if (!l->trouble_us)
			log_warning("the lease cannot be renewed: %s", err.message);
		note_lease_trouble(l, &err);
	}
	pthread_mutex_unlock(&l->lock);
}

static void tell_listener(struct lease *l)
{
	struct lease_state state;

	lease_look(l, &state);
	if (state.phase == l->told)
		return;
	l->told = state.phase;
	pthread_mutex_lock(&l->listener_lock);
	if (l->listener)
		l->listener(l->listener_arg);
	pthread_mutex_unlock(&l->listener_lock);
}

void lease_listen(struct lease *l, void (*changed)(void *arg), void *arg)
{
	pthread_mutex_lock(&l->listener_lock);
	l->listener = changed;
	l->listener_arg = arg;
	pthread_mutex_unlock(&l->listener_lock);
}

/* With the lock: until it is to be renewed again. */
static int64_t pause_ms(const struct lease *l)
{
	int64_t again_ms = l->length_ms / 12;

	if (!l->trouble_us)
		return l->length_ms / 3;
	return again_ms < AGAIN_MS_MAX ? again_ms : AGAIN_MS_MAX;
}

static void *lease_main(void *arg)
{
	struct lease *l = arg;
	int64_t next_ms;

	pthread_mutex_lock(&l->lock);
	next_ms = clock_mono_ms() + pause_ms(l);
	while (!l->stopping && !l->is_lost) {
		int64_t left_ms = next_ms - clock_mono_ms();

		if (left_ms > 0 && !l->poked) {
			clock_cond_wait_ms(&l->changed, &l->lock, left_ms);
			continue;
		}
		pthread_mutex_unlock(&l->lock);
		renew(l);
		tell_listener(l);
		pthread_mutex_lock(&l->lock);
		l->poked = false;
		next_ms = clock_mono_ms() + pause_ms(l);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* The time is over, or never began. */
static int refuse_write(struct lease *l, struct error *err)
{
	enum error_class class;
	bool is_lost, may_pass;
	char why[512];
	int r;

	pthread_mutex_lock(&l->lock);
	is_lost = l->is_lost;
	may_pass = !*l->why || l->may_pass;
	class = *l->why ? l->class : ERROR_CONFLICT;
	str_copy(why, sizeof(why), l->why);
	if (!is_lost && !l->poked) {
		l->poked = true;
		pthread_cond_signal(&l->changed);
	}
	pthread_mutex_unlock(&l->lock);
	if (is_lost)
		return error_set(err, ERROR_CONFLICT, EROFS, "%s", why);
	r = error_set(
	        err, class, EROFS,
	        "%s: the lease is not surely ours now, so nothing is written: another keepfs may have taken it%s%s",
	        l->store->name, *why ? ": " : "", why);
	if (err)
		err->retry = may_pass;
	return r;
}

static int check_fence(void *arg, int64_t *ret_left_ms, struct error *err)
{
	struct lease *l = arg;
	int64_t left_ms = atomic_load(&l->sure_until_ms) - lease_clock_ms();

	*ret_left_ms = INT64_MAX;
	if (l->length_ms == 0)
		return 0;
	if (left_ms <= 0)
		return refuse_write(l, err);
	*ret_left_ms = left_ms;
	return 0;
}

static int describe_self(struct lease *l, const char *state_dir, struct error *err)
{
	l->own.pid = getpid();
	l->own.length_ms = l->length_ms;
	if (gethostname(l->own.host, sizeof(l->own.host) - 1) < 0)
		str_copy(l->own.host, sizeof(l->own.host), "unknown");
	lease_process_of_self(l->own.process, sizeof(l->own.process));
	return lease_instance(state_dir, l->own.instance, sizeof(l->own.instance), err);
}

int lease_new(const struct lease_options *options, struct lease **ret_lease, struct error *err)
{
	struct lease *l = mem_alloc(sizeof(*l));
	int r = 0;

	l->store = options->store;
	l->length_ms = options->length_ms;
	l->fence = (struct store_fence){.check = check_fence, .arg = l};
	l->told = LEASE_HELD;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->listener_lock, NULL);
	clock_cond_init(&l->changed);
	cancel_init(&l->cancel);
	if (l->length_ms)
		r = describe_self(l, options->state_dir, err);
	if (r < 0) {
		lease_free(l);
		return r;
	}
	*ret_lease = l;
	return 0;
}

static int start_renewing(struct lease *l, struct error *err)
{
	int r = thread_start(&l->thread, "lease", lease_main, l);

	l->started = r == 0;
	return r < 0 ? error_system(err, -r, "a thread that renews the lease cannot be started") : 0;
}

/* Who stands by has to know who has it before he begins. False: it was cancelled. */
static bool wait_for_store(struct lease *l, const struct lease_wait *wait, struct error *err)
{
	bool is_news;

	pthread_mutex_lock(&l->lock);
	is_news = !l->trouble_us;
	note_lease_trouble(l, err);
	pthread_mutex_unlock(&l->lock);
	if (is_news)
		log_warning("%s: whether another keepfs writes there cannot be found out now: %s",
		            l->store->name, err->message);
	if (wait->waiting)
		wait->waiting(wait->arg, NULL);
	return !cancel_sleep_ms(wait->cancel, AGAIN_MS_MAX);
}

static int take_or_stand_by(struct lease *l, const struct lease_wait *wait, struct error *err)
{
	int r = lease_take_once(l, wait, err);

	while (wait->forever && lease_may_come_later(r)) {
		if (!wait_for_store(l, wait, err))
			return error_set(err, ERROR_CANCELLED, ECANCELED,
			                 "waiting for the lease was cancelled");
		*err = (struct error){0};
		r = lease_take_once(l, wait, err);
	}
	if (r >= 0)
		forget_lease_trouble(l);
	return r;
}

int lease_take(struct lease *l, const struct lease_wait *wait, struct error *err)
{
	struct error own = {0};
	int r, started;

	err = err ? err : &own;
	if (l->length_ms == 0)
		return 0;
	r = take_or_stand_by(l, wait, err);
	/* Where another one's was seen, what that one did must be looked at first: a start that cannot fails. */
	if (lease_may_come_later(r) && !l->saw_another) {
		pthread_mutex_lock(&l->lock);
		note_lease_trouble(l, err);
		pthread_mutex_unlock(&l->lock);
		r = LEASE_LATER;
	}
	if (r < 0)
		return r;
	started = start_renewing(l, err);
	return started < 0 ? started : r;
}

static void stop_renewing(struct lease *l)
{
	if (!l->started)
		return;
	cancel_set(&l->cancel);
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	l->started = false;
}

void lease_give_back(struct lease *l)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + GIVE_BACK_MS};
	struct error err = {0};

	stop_renewing(l);
	if (l->length_ms == 0 || l->is_lost || !l->etag[0])
		return;
	atomic_store(&l->sure_until_ms, 0);
	l->own.given_back = true;
	if (write_again(l, &call, l->etag, &err) < 0)
		log_warning("the lease was not given back, so that the next keepfs waits for its end: %s",
		            err.message);
	l->etag[0] = '\0';
}

struct lease *lease_free(struct lease *l)
{
	if (!l)
		return NULL;
	stop_renewing(l);
	store_free(l->store);
	cancel_finish(&l->cancel);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->listener_lock);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return NULL;
}

const struct store_fence *lease_fence(struct lease *l)
{
	return &l->fence;
}

uint64_t lease_number(struct lease *l)
{
	return l ? atomic_load(&l->number) : 0;
}

void lease_look(struct lease *l, struct lease_state *ret)
{
	*ret = (struct lease_state){.phase = LEASE_NONE};
	if (!l || l->length_ms == 0)
		return;
	ret->fence = lease_number(l);
	pthread_mutex_lock(&l->lock);
	ret->phase = l->is_lost ? LEASE_LOST : LEASE_HELD;
	str_copy(ret->text, sizeof(ret->text), l->why);
	ret->since_us = l->trouble_us;
	pthread_mutex_unlock(&l->lock);
	if (ret->phase == LEASE_HELD && atomic_load(&l->sure_until_ms) <= lease_clock_ms())
		ret->phase = LEASE_UNSURE;
}

static int refuse_reader(void *arg, int64_t *ret_left_ms, struct error *err)
{
	return error_set(err, ERROR_DENIED, EROFS,
	                 "this keepfs is a reader ([keepfs] role = reader) and writes nothing to the store");
}

const struct store_fence *lease_fence_of_reader(void)
{
	static const struct store_fence fence = {.check = refuse_reader};

	return &fence;
}
