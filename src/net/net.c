// SPDX-License-Identifier: Apache-2.0
/*
 * Lines. Each transfer is driven by the thread that waits for it: nothing is handed to another thread and
 * back, and as many processors move bytes, and decrypt them, as there are transfers. A line is a curl-multi
 * of one's own, with the connection that its last transfer left; the one that was given back last is the next
 * to be taken, since its connection is the least likely to be closed by now. At most max_connections lines
 * exist; who finds none waits in the order of coming, still watched for its deadline and for cancellation.
 *
 * When a transfer fell silent, its server may have gone without a word, and then each kept connection is a
 * trap that costs the next request a timeout: the lines of that time are given up, those in use when they are
 * given back.
 *
 * A cancel hook runs in a stranger's thread with the token's lock held: it only sets a flag and wakes.
 */
#include "transfer.h"

#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <limits.h>
#include <string.h>

#define CONNECTIONS_KEPT 1 /* by each line */

struct line {
	CURLM *multi;
	int socket_fd; /* the last that was opened; -1: none */
	uint64_t age;  /* net->age when it was made */
	struct line *next;
};

struct net {
	CURLSH *share; /* names that were looked up and TLS sessions, for all lines */
	pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
	char *ca_file;
	unsigned max_connections;

	pthread_mutex_t lock;
	pthread_cond_t callers_changed;
	/* All below: lock. */
	struct line *idle;
	unsigned line_count;                     /* idle, and in use */
	uint64_t age;                            /* grows when a transfer fell silent */
	struct transfer *waiting, **waiting_end; /* for a line, in the order they came */
	struct transfer *running;
	unsigned callers; /* threads within net_perform() */
	bool stopping;
};

static void unlink_transfer(struct transfer **link, struct transfer *t)
{
	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
}

static struct line *line_new(uint64_t age)
{
	struct line *line = mem_alloc(sizeof(*line));

	line->age = age;
	line->socket_fd = -1;
	line->multi = curl_multi_init();
	if (line->multi) {
		curl_multi_setopt(line->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
		return line;
	}
	free(line);
	return NULL;
}

static struct line *line_free(struct line *line)
{
	if (!line)
		return NULL;
	curl_multi_cleanup(line->multi);
	free(line);
	return NULL;
}

/* With the lock: the first who waits may have one now. */
static void tell_first(struct net *net)
{
	if (net->waiting && (net->idle || net->line_count < net->max_connections))
		pthread_cond_signal(&net->waiting->changed);
}

/* Sets the result of a transfer that must not go on; with the lock, or when it runs. */
static bool must_end(struct transfer *t)
{
	if (atomic_load(&t->cancelled)) {
		transfer_cancel(t);
		return true;
	}
	if (clock_mono_ms() >= transfer_due_ms(t)) {
		transfer_timeout(t);
		return true;
	}
	return false;
}

/* With the lock: until it is @t's turn and there is a line for it; false when it has ended before. */
static bool wait_for_line(struct net *net, struct transfer *t)
{
	struct transfer **at = &net->waiting;
	int64_t due_ms = transfer_due_ms(t);

	t->next = NULL;
	*net->waiting_end = t;
	net->waiting_end = &t->next;
	while (!must_end(t) &&
	       (net->waiting != t || !(net->idle || net->line_count < net->max_connections))) {
		if (due_ms == INT64_MAX)
			pthread_cond_wait(&t->changed, &net->lock);
		else
			clock_cond_wait_ms(&t->changed, &net->lock, due_ms - clock_mono_ms());
	}
	unlink_transfer(&net->waiting, t);
	while (*at)
		at = &(*at)->next;
	net->waiting_end = at;
	return t->result == 0;
}

/* A line for @t, which counts as running from then on; NULL: its result is set. */
static struct line *take_connection(struct net *net, struct transfer *t)
{
	struct line *line = NULL;

	pthread_mutex_lock(&net->lock);
	if (wait_for_line(net, t)) {
		line = net->idle;
		if (line)
			net->idle = line->next;
		else if ((line = line_new(net->age)))
			net->line_count++;
		else
			t->result = error_system(t->err, ENOMEM, "cannot begin an HTTP request");
	}
	if (line) {
		t->multi = line->multi;
		t->socket_fd = &line->socket_fd;
		t->next = net->running;
		net->running = t;
	}
	tell_first(net);
	pthread_mutex_unlock(&net->lock);
	return line;
}

/* With the lock: take the lines out that nobody uses; the caller frees them. */
static struct line *take_idle(struct net *net)
{
	struct line *idle = net->idle;

	for (struct line *line = idle; line; line = line->next)
		net->line_count--;
	net->idle = NULL;
	return idle;
}

static void free_lines(struct line *line)
{
	while (line) {
		struct line *next = line->next;

		line_free(line);
		line = next;
	}
}

static void give_line(struct net *net, struct line *line, struct transfer *t)
{
	struct line *old = NULL;

	pthread_mutex_lock(&net->lock);
	unlink_transfer(&net->running, t);
	t->multi = NULL;
	if (t->fell_silent && line->age == net->age) {
		net->age++;
		old = take_idle(net);
	}
	if (line->age == net->age) {
		line->next = net->idle;
		net->idle = line;
	} else {
		line->next = old;
		old = line;
		net->line_count--;
	}
	tell_first(net);
	pthread_mutex_unlock(&net->lock);
	free_lines(old);
}

static int poll_timeout_ms(int64_t due_ms)
{
	int64_t wait_ms;

	if (due_ms == INT64_MAX)
		return INT_MAX;
	wait_ms = due_ms - clock_mono_ms();
	if (wait_ms < 0)
		return 0;
	return wait_ms < INT_MAX ? (int)wait_ms : INT_MAX;
}

/* Until curl says that it is done, or it must end. */
static void drive(struct transfer *t)
{
	for (;;) {
		CURLMsg *message;
		int left;

		curl_multi_perform(t->multi, &left);
		message = curl_multi_info_read(t->multi, &left);
		if (message && message->msg == CURLMSG_DONE) {
			transfer_end(t, message->data.result);
			return;
		}
		if (must_end(t))
			return;
		transfer_hurry(t);
		curl_multi_poll(t->multi, NULL, 0, poll_timeout_ms(transfer_due_ms(t)), NULL);
	}
}

static void run_transfer(struct net *net, struct transfer *t)
{
	struct line *line = take_connection(net, t);

	if (!line)
		return;
	if (!transfer_begin(t, net->share)) {
		if (curl_multi_add_handle(line->multi, t->easy) == CURLM_OK) {
			drive(t);
			curl_multi_remove_handle(line->multi, t->easy);
		} else {
			t->result = error_system(t->err, ENOMEM, "cannot begin an HTTP request");
		}
	}
	transfer_release(t);
	give_line(net, line, t);
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void lock_share(CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
	struct net *net = arg;

	pthread_mutex_lock(&net->share_locks[data]);
}

static void unlock_share(CURL *easy, curl_lock_data data, void *arg)
{
	struct net *net = arg;

	pthread_mutex_unlock(&net->share_locks[data]);
}

void net_init_curl(void)
{
	pthread_once(&curl_once, init_curl);
}

static struct net *destroy(struct net *net)
{
	free_lines(net->idle);
	if (net->share)
		curl_share_cleanup(net->share);
	for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_destroy(&net->share_locks[i]);
	pthread_cond_destroy(&net->callers_changed);
	pthread_mutex_destroy(&net->lock);
	free(net->ca_file);
	free(net);
	return NULL;
}

int net_new(const struct net_options *options, struct net **ret_net, struct error *err)
{
	struct net *net = mem_alloc(sizeof(*net));

	net_init_curl();
	pthread_mutex_init(&net->lock, NULL);
	pthread_cond_init(&net->callers_changed, NULL);
	for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_init(&net->share_locks[i], NULL);
	net->waiting_end = &net->waiting;
	if (options->ca_file && *options->ca_file)
		net->ca_file = mem_strdup(options->ca_file);
	net->max_connections = options->max_connections ? options->max_connections : 1;
	net->share = curl_share_init();
	if (!net->share) {
		destroy(net);
		return error_system(err, ENOMEM, "cannot start curl");
	}
	/* Not the connections: threads cannot share those. */
	curl_share_setopt(net->share, CURLSHOPT_LOCKFUNC, lock_share);
	curl_share_setopt(net->share, CURLSHOPT_UNLOCKFUNC, unlock_share);
	curl_share_setopt(net->share, CURLSHOPT_USERDATA, net);
	curl_share_setopt(net->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(net->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	*ret_net = net;
	return 0;
}

/* With the lock. */
static void stop_transfer(struct transfer *t)
{
	atomic_store(&t->cancelled, true);
	if (t->multi)
		curl_multi_wakeup(t->multi);
	else
		pthread_cond_signal(&t->changed);
}

struct net *net_free(struct net *net)
{
	if (!net)
		return NULL;
	pthread_mutex_lock(&net->lock);
	net->stopping = true;
	for (struct transfer *t = net->running; t; t = t->next)
		stop_transfer(t);
	for (struct transfer *t = net->waiting; t; t = t->next)
		stop_transfer(t);
	while (net->callers)
		pthread_cond_wait(&net->callers_changed, &net->lock);
	pthread_mutex_unlock(&net->lock);
	return destroy(net);
}

struct hook_arg {
	struct net *net;
	struct transfer *t;
};

static void wake(void *arg)
{
	struct hook_arg *h = arg;

	pthread_mutex_lock(&h->net->lock);
	stop_transfer(h->t);
	pthread_mutex_unlock(&h->net->lock);
}

/* False when the net is being freed. */
static bool enter(struct net *net)
{
	bool entered;

	pthread_mutex_lock(&net->lock);
	entered = !net->stopping;
	net->callers++;
	pthread_mutex_unlock(&net->lock);
	return entered;
}

static void leave_net(struct net *net)
{
	pthread_mutex_lock(&net->lock);
	net->callers--;
	pthread_cond_signal(&net->callers_changed);
	pthread_mutex_unlock(&net->lock);
}

int net_perform(struct net *net, const struct net_request *req, struct net_response *ret, struct error *err)
{
	struct transfer t = {.req = req, .out = ret, .err = err, .ca_file = net->ca_file};
	struct hook_arg hook_arg = {net, &t};
	struct cancel_hook hook = {.wake = wake, .arg = &hook_arg};

	*ret = (struct net_response){0};
	if (!str_starts(req->url, "https://") && !str_starts(req->url, "http://"))
		return error_set(err, ERROR_USAGE, EINVAL, "not a URL that begins with https:// or http://");
	clock_cond_init(&t.changed);
	if (!enter(net))
		atomic_store(&t.cancelled, true);
	cancel_add_hook(req->cancel, &hook);
	run_transfer(net, &t);
	cancel_remove_hook(req->cancel, &hook);
	pthread_cond_destroy(&t.changed);
	leave_net(net);
	return t.result;
}

void net_response_finish(struct net_response *r)
{
	str_finish(&r->headers);
	str_finish(&r->text);
	*r = (struct net_response){0};
}

char *net_header_find(const struct net_response *r, const char *name, char *buf, size_t buf_bytes)
{
	const char *line = str_text(&r->headers);
	size_t name_len = strlen(name);

	str_copy(buf, buf_bytes, "");
	while (*line) {
		size_t len = strcspn(line, "\n");

		if (len > name_len && line[name_len] == ':' && !memcmp(line, name, name_len)) {
			const char *value = line + name_len + 1;
			size_t value_len;

			value += strspn(value, " \t");
			value_len = (size_t)(line + len - value);
			while (value_len && strchr(" \t", value[value_len - 1]))
				value_len--;
			str_copy(buf, value_len + 1 < buf_bytes ? value_len + 1 : buf_bytes, value);
			return buf;
		}
		line += len + (line[len] == '\n');
	}
	return buf;
}
