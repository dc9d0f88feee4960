// SPDX-License-Identifier: Apache-2.0
/*
 * Commands that print secrets. What one printed is kept for a while, because it is wanted at each message and each request, and because a program that
 * asks a vault is slow and may be counted. One thread runs a command, and the others that want the same wait for it: for what it
 * printed, or for its failure.
 *
 * They are kept by their text, so that a reload with the same text asks nobody. There are as many as a configuration has; those that nobody wanted any
 * more when their time was over go when another one comes.
 */
#include "secret_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MORE_FOR_ENDING_MS INT64_C(1000)
#define FAILED_FOR_MS      INT64_C(1000)

struct kept { /* all: lock */
	char *command;
	struct secret_text text; /* nothing: none is kept */
	int64_t asked_at_ms;     /* clock_mono_ms() */
	bool asking;             /* a thread runs it */
	unsigned waiting;
	struct error failure; /* of the last time */
	int failure_result;   /* 0: it was none */
	struct kept *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_cond_t changed;
static struct kept *all; /* lock */

static int64_t (*now_ms)(void) = clock_mono_ms; /* another one in tests, before there are threads */

void secret_use_clock(int64_t (*clock_ms)(void))
{
	now_ms = clock_ms;
}

static void make_condition(void)
{
	clock_cond_init(&changed);
}

/* Running it. */

/* What it leaves behind may keep its output open for ever: so it is waited for no longer than for the command. */
static int read_secret_output(struct proc *p, struct secret_text *ret, struct error *err)
{
	struct pollfd ready = {.fd = proc_stdout(p), .events = POLLIN};
	int64_t until_ms = clock_mono_ms() + SECRET_COMMAND_TIMEOUT_MS + MORE_FOR_ENDING_MS;
	ssize_t n;

	secret_text_room(ret);
	do {
		int64_t left_ms = until_ms - clock_mono_ms();
		int count = poll(&ready, 1, left_ms > 0 ? (int)left_ms : 0);

		n = -1;
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return error_set(
			        err, ERROR_TIMEOUT, ETIMEDOUT,
			        "its output has not ended in time: something that it started keeps it open");
		n = read(proc_stdout(p), ret->data + ret->len, SECRET_MAX_BYTES + 1 - ret->len);
		ret->len += n > 0 ? (size_t)n : 0;
		if (ret->len > SECRET_MAX_BYTES)
			return error_set(err, ERROR_USAGE, EFBIG, "it prints more than 64 KiB");
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? error_system(err, errno, "its output cannot be read") : 0;
}

static int run_secret_command(const char *command, struct cancel *cancel, struct secret_text *ret,
                              struct error *err)
{
	const struct proc_options options = {
	        .argv = (const char *const[]){"/bin/sh", "-c", command, NULL},
	        .env = PROC_ENV_HELPER,
	        .cancel = cancel,
	        .timeout_ms = SECRET_COMMAND_TIMEOUT_MS,
	};
	_cleanup(proc) struct proc *p = NULL;
	int r = proc_start(&options, &p, err);

	if (r == 0)
		r = read_secret_output(p, ret, err);
	if (r == 0)
		r = proc_wait(p, err);
	if (r == 0 && ret->len == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "it prints nothing");
	if (r < 0)
		secret_text_finish(ret);
	if (r < 0 && err && r != -ECANCELED)
		err->retry = true;
	return r;
}

/* Keeping it. */

static bool is_alive(const struct kept *k)
{
	int64_t age_ms = now_ms() - k->asked_at_ms;

	return k->text.data && age_ms < SECRET_COMMAND_LIFE_MS;
}

/* With the lock. */
static struct kept *find_kept(const char *command)
{
	struct kept *k = all;

	while (k && strcmp(k->command, command) != 0)
		k = k->next;
	return k;
}

/* With the lock. */
static void drop_old(void)
{
	for (struct kept **slot = &all; *slot;) {
		struct kept *k = *slot;

		if (k->asking || k->waiting > 0 || is_alive(k)) {
			slot = &k->next;
			continue;
		}
		*slot = k->next;
		secret_text_finish(&k->text);
		free(k->command);
		free(k);
	}
}

/* With the lock. */
static struct kept *find_or_add_kept(const char *command)
{
	struct kept *k = find_kept(command);

	if (k)
		return k;
	drop_old();
	k = mem_alloc(sizeof(*k));
	k->command = mem_strdup(command);
	k->next = all;
	all = k;
	return k;
}

struct waiting {
	struct cancel *cancel;
	atomic_bool cancelled; /* the token's own lock must not be taken with ours */
};

static void wake_waiting_for_secret(void *arg)
{
	struct waiting *w = arg;

	atomic_store(&w->cancelled, true);
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static bool command_has_just_failed(const struct kept *k)
{
	return k->failure_result && now_ms() - k->asked_at_ms < FAILED_FOR_MS;
}

/* With the lock, which is given up while the command runs. */
static int ask_kept(struct kept *k, struct cancel *cancel, struct error *err)
{
	struct secret_text text = {0};
	struct error why = {0};
	int r;

	k->asking = true;
	pthread_mutex_unlock(&lock);
	r = run_secret_command(k->command, cancel, &text, &why);
	pthread_mutex_lock(&lock);
	k->asking = false;
	secret_text_finish(&k->text);
	k->text = text;
	k->asked_at_ms = now_ms();
	/* Who was cancelled has learnt nothing that others need know: one of them asks. */
	k->failure_result = r == -ECANCELED ? 0 : r;
	k->failure = why;
	pthread_cond_broadcast(&changed);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* With the lock. */
static int get_kept(struct kept *k, const struct waiting *w, struct error *err)
{
	while (k->asking && !atomic_load(&w->cancelled))
		pthread_cond_wait(&changed, &lock);
	if (atomic_load(&w->cancelled))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for a command");
	if (is_alive(k))
		return 0;
	if (!command_has_just_failed(k))
		return ask_kept(k, w->cancel, err);
	if (err)
		*err = k->failure;
	return k->failure_result;
}

int secret_command_get(const char *command, const char *what, struct cancel *cancel, struct secret_text *ret,
                       struct error *err)
{
	struct waiting w = {.cancel = cancel};
	struct cancel_hook hook = {.wake = wake_waiting_for_secret, .arg = &w};
	struct kept *k;
	int r;

	pthread_once(&once, make_condition);
	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&lock);
	k = find_or_add_kept(command);
	k->waiting++;
	r = get_kept(k, &w, err);
	if (r == 0)
		secret_text_set(ret, k->text.data, k->text.len);
	k->waiting--;
	pthread_mutex_unlock(&lock);
	cancel_remove_hook(cancel, &hook);
	if (r < 0)
		error_prefix(err, "%s", what);
	return r;
}

bool secret_command_is_kept(const char *command)
{
	const struct kept *k;
	bool kept;

	pthread_mutex_lock(&lock);
	k = find_kept(command);
	kept = k && is_alive(k);
	pthread_mutex_unlock(&lock);
	return kept;
}

bool secret_command_forget(const char *command)
{
	struct kept *k;
	bool worth_it = true;

	pthread_mutex_lock(&lock);
	k = find_kept(command);
	if (k && !k->asking && k->text.data) {
		worth_it = now_ms() - k->asked_at_ms >= SECRET_FORGET_AFTER_MS;
		if (worth_it)
			secret_text_finish(&k->text);
	}
	pthread_mutex_unlock(&lock);
	return worth_it;
}
