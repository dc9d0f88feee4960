// SPDX-License-Identifier: Apache-2.0
/*
 * The credentials in force, for all threads. One thread asks for them, without the lock, while the others use those that
 * are good still, or wait. Who asks may be cancelled, or have less time than others: then one of those takes over. What
 * failed for another reason is told to all who wait, and to those who come within a second, because a source in trouble
 * must not be asked once for each request.
 */
#include "source.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/secret.h>

#include <errno.h>
#include <pthread.h>

#define FAILED_FOR_US US_PER_S
/* They are asked for anew so long before their end, or when three quarters of their time are over, if that is later: the
 * metadata service has new ones only minutes before the end. */
#define RENEW_BEFORE_US (15 * 60 * US_PER_S)
#define RENEW_AGAIN_US  (30 * US_PER_S)
/* A request that is on its way when they end is refused. */
#define ENDED_BEFORE_US (5 * US_PER_S)
/* What a server refused that was got so recently is not worth asking for again. */
#define REFUSED_TOO_SOON_US (30 * US_PER_S)

struct aws {
	const struct conf_store *conf;
	struct net *net;
	int64_t (*now_us)(void);

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All below: lock. */
	struct aws_credentials *current; /* NULL: none were got yet */
	int64_t renew_at_us;             /* INT64_MAX: never */
	uint64_t last_serial;
	bool refused; /* a server says that the current ones are none */
	bool asking;  /* a thread does */
	struct error failure;
	int failure_result; /* 0: the last time it was none */
	uint64_t failure_stamp;
	int64_t failed_at_us;
};

struct aws *aws_new(const struct conf_store *conf, struct net *net)
{
	return aws_new_with_clock(conf, net, clock_now_us);
}

struct aws *aws_new_with_clock(const struct conf_store *conf, struct net *net, int64_t (*now_us)(void))
{
	struct aws *a = mem_alloc(sizeof(*a));

	a->conf = conf;
	a->net = net;
	a->now_us = now_us;
	pthread_mutex_init(&a->lock, NULL);
	clock_cond_init(&a->changed);
	return a;
}

/* Of the files that credentials may be in. */
static uint64_t stamp_now(const struct aws *a)
{
	return conf_profiles_stamp() ^ secret_stamp(&a->conf->secret_key) ^
	       secret_stamp(&a->conf->session_token) * 3;
}

void aws_credentials_unref(const struct aws_credentials *borrowed)
{
	struct aws_credentials *c = (struct aws_credentials *)borrowed;

	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	aws_credentials_clear(c);
	free(c);
}

struct aws *aws_free(struct aws *a)
{
	if (!a)
		return NULL;
	aws_credentials_unref(a->current);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->changed);
	free(a);
	return NULL;
}

/* With the lock. */
static const struct aws_credentials *hand_out(struct aws *a)
{
	atomic_fetch_add(&a->current->refs, 1);
	return a->current;
}

/* With the lock: may the current ones be used? */
static bool is_good(const struct aws *a, uint64_t stamp, int64_t now_us)
{
	const struct aws_credentials *c = a->current;

	return c && c->stamp == stamp && !a->refused &&
	       (!c->expires_at_us || now_us < c->expires_at_us - ENDED_BEFORE_US);
}

static int64_t renewal_of(const struct aws_credentials *c)
{
	int64_t before_us = (c->expires_at_us - c->got_at_us) / 4;

	if (!c->expires_at_us)
		return c->from_command ? c->got_at_us + SECRET_COMMAND_LIFE_MS * 1000 : INT64_MAX;
	return c->expires_at_us - (before_us < RENEW_BEFORE_US ? before_us : RENEW_BEFORE_US);
}

static int look_for_credentials(struct aws *a, struct cancel *cancel, int64_t deadline_ms, struct net *net,
                                struct aws_credentials *ret, struct error *err)
{
	_cleanup(conf_profiles) struct conf_profiles *profiles = conf_profiles_read();
	_cleanup(str) struct str tried = {0};
	const struct aws_ask ask = {.conf = a->conf,
	                            .net = net,
	                            .profiles = profiles,
	                            .cancel = cancel,
	                            .deadline_ms = deadline_ms,
	                            .tried = &tried};

	return aws_find(&ask, ret, err);
}

/* Look for them, without the lock; NULL with *@ret_result. @net NULL: without a request. */
static struct aws_credentials *get_fresh(struct aws *a, struct cancel *cancel, int64_t deadline_ms,
                                         struct net *net, int *ret_result, struct error *err)
{
	struct aws_credentials *c = mem_alloc(sizeof(*c));

	/* Before the files are read: when one changes meanwhile, the next call reads them once more. */
	c->stamp = stamp_now(a);
	*ret_result = look_for_credentials(a, cancel, deadline_ms, net, c, err);
	c->got_at_us = a->now_us();
	if (*ret_result == 0 && c->expires_at_us && c->expires_at_us - ENDED_BEFORE_US <= c->got_at_us)
		*ret_result = aws_fail(
		        err, "the credentials from %s have ended when they come: is this host's clock right?",
		        c->source);
	atomic_store(&c->refs, 1);
	if (*ret_result == 0)
		return c;
	aws_credentials_unref(c);
	return NULL;
}

/* With the lock. */
static void put_in_force(struct aws *a, struct aws_credentials *c)
{
	aws_credentials_unref(a->current);
	a->current = c;
	c->serial = ++a->last_serial;
	a->renew_at_us = renewal_of(c);
	a->refused = false;
	a->failure_result = 0;
}

/* With the lock: what a failure means for those who wait, and for the current credentials. Returns for how long these
 * are good still. */
static int64_t note_failure(struct aws *a, uint64_t stamp, int r, const struct error *err)
{
	int64_t now_us = a->now_us();

	if (is_good(a, stamp, now_us)) {
		a->renew_at_us = now_us + RENEW_AGAIN_US;
		return a->current->expires_at_us ? a->current->expires_at_us - now_us : INT64_MAX;
	}
	a->failure = *err;
	a->failure_result = r;
	a->failure_stamp = stamp;
	a->failed_at_us = now_us;
	/* There were some, from a source that gives new ones: it may do so again. */
	if (a->current && a->current->renewable)
		a->failure.retry = true;
	return 0;
}

struct caller { /* of aws_get() */
	struct aws *a;
	struct cancel *cancel;
	int64_t deadline_ms;
	atomic_bool cancelled; /* the token's own lock must not be taken with ours: wake_waiting() has it */
};

static bool is_over(const struct caller *c)
{
	return atomic_load(&c->cancelled) || (c->deadline_ms && clock_mono_ms() >= c->deadline_ms);
}

static int over(const struct caller *c, struct error *err)
{
	int r;

	if (atomic_load(&c->cancelled))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for credentials");
	r = error_set(err, ERROR_TIMEOUT, ETIMEDOUT, "the credentials did not come in time");
	if (err)
		err->retry = true;
	return r;
}

/* As the one who asks for all, without the lock; then what it comes to is everybody's. */
static int ask_for_all(const struct caller *caller, uint64_t stamp, struct error *err)
{
	struct aws *a = caller->a;
	int64_t good_for_us = 0;
	int r;
	struct aws_credentials *c = get_fresh(a, caller->cancel, caller->deadline_ms, a->net, &r, err);

	pthread_mutex_lock(&a->lock);
	a->asking = false;
	if (c)
		put_in_force(a, c);
	else if (!is_over(caller))
		good_for_us = note_failure(a, stamp, r, err);
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (good_for_us == INT64_MAX)
		log_warning("credentials are not renewed, and the old ones stay in use: %s", err->message);
	else if (good_for_us)
		log_warning("credentials are not renewed yet, and end in %lld s: %s",
		            (long long)(good_for_us / US_PER_S), err->message);
	return r;
}

static void wake_waiting(void *arg)
{
	struct caller *c = arg;

	atomic_store(&c->cancelled, true);
	pthread_mutex_lock(&c->a->lock);
	pthread_cond_broadcast(&c->a->changed);
	pthread_mutex_unlock(&c->a->lock);
}

/* With the lock. */
static void wait_for_change(struct aws *a, int64_t deadline_ms)
{
	if (deadline_ms)
		clock_cond_wait_ms(&a->changed, &a->lock, deadline_ms - clock_mono_ms());
	else
		pthread_cond_wait(&a->changed, &a->lock);
}

static bool has_just_failed(const struct aws *a, uint64_t stamp, int64_t now_us)
{
	int64_t ago_us = now_us - a->failed_at_us;

	return a->failure_result && a->failure_stamp == stamp && ago_us >= 0 && ago_us < FAILED_FOR_US;
}

enum step { HAVE_THEM, HAVE_FAILED, ASK, LOOK_AGAIN };

/* With the lock: what is to be done by who wants credentials; it has waited when it is to look again. */
static enum step next_step(const struct caller *c, uint64_t stamp, int *ret_result, struct error *err)
{
	struct aws *a = c->a;
	int64_t now_us = a->now_us();
	bool good = is_good(a, stamp, now_us);

	if (good && (now_us < a->renew_at_us || a->asking))
		return HAVE_THEM;
	if (a->asking && is_over(c)) {
		*ret_result = over(c, err);
		return HAVE_FAILED;
	}
	if (a->asking) {
		wait_for_change(a, c->deadline_ms);
		return LOOK_AGAIN;
	}
	if (!good && has_just_failed(a, stamp, now_us)) {
		*err = a->failure;
		*ret_result = a->failure_result;
		return HAVE_FAILED;
	}
	a->asking = true;
	return ASK;
}

/* With the lock: what there is after it was asked for. Credentials that were asked for too early are good still. */
static const struct aws_credentials *take_what_there_is(struct aws *a, uint64_t stamp, int r)
{
	return r == 0 || is_good(a, stamp, a->now_us()) ? hand_out(a) : NULL;
}

static int get_in_force(const struct caller *caller, const struct aws_credentials **ret, struct error *err)
{
	struct aws *a = caller->a;
	const struct aws_credentials *c = NULL;
	enum step step;
	int r = 0;

	do {
		uint64_t stamp = stamp_now(a);

		pthread_mutex_lock(&a->lock);
		step = next_step(caller, stamp, &r, err);
		if (step == HAVE_THEM)
			c = hand_out(a);
		pthread_mutex_unlock(&a->lock);
		if (step != ASK)
			continue;
		r = ask_for_all(caller, stamp, err);
		pthread_mutex_lock(&a->lock);
		c = take_what_there_is(a, stamp, r);
		pthread_mutex_unlock(&a->lock);
	} while (step == LOOK_AGAIN);
	if (!c)
		return r;
	*ret = c;
	return 0;
}

int aws_get(struct aws *a, struct cancel *cancel, int64_t deadline_ms, const struct aws_credentials **ret,
            struct error *err)
{
	struct caller caller = {.a = a, .cancel = cancel, .deadline_ms = deadline_ms};
	struct cancel_hook hook = {.wake = wake_waiting, .arg = &caller};
	struct error why = {0};
	int r;

	cancel_add_hook(cancel, &hook);
	r = get_in_force(&caller, ret, &why);
	cancel_remove_hook(cancel, &hook);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* The current ones, when they are of files like these; with @any_stamp of any. */
static const struct aws_credentials *take_current(struct aws *a, uint64_t stamp, bool any_stamp)
{
	const struct aws_credentials *c = NULL;

	pthread_mutex_lock(&a->lock);
	if (a->current && (any_stamp || a->current->stamp == stamp))
		c = hand_out(a);
	pthread_mutex_unlock(&a->lock);
	return c;
}

const struct aws_credentials *aws_get_at_hand(struct aws *a)
{
	const struct aws_credentials *c = take_current(a, stamp_now(a), false);
	int r = 0;

	if (!c)
		c = get_fresh(a, NULL, 0, NULL, &r, NULL);
	return r == -EAGAIN ? take_current(a, 0, true) : c;
}

bool aws_outdated(struct aws *a, const struct aws_credentials *c)
{
	bool outdated;

	pthread_mutex_lock(&a->lock);
	outdated = !a->current || a->current->serial != c->serial;
	pthread_mutex_unlock(&a->lock);
	return outdated || stamp_now(a) != c->stamp;
}

bool aws_refused(struct aws *a, const struct aws_credentials *c)
{
	bool worth_it = c->renewable && a->now_us() - c->got_at_us >= REFUSED_TOO_SOON_US;

	pthread_mutex_lock(&a->lock);
	if (worth_it && a->current && a->current->serial == c->serial)
		a->refused = true;
	pthread_mutex_unlock(&a->lock);
	if (worth_it && c->from_command) {
		secret_forget(&a->conf->secret_key);
		secret_forget(&a->conf->session_token);
	}
	return worth_it;
}
