/*
 * The transfer thread.
 *
 * It alone touches curl: callers hand over a transfer that lies on their own stack, wake the thread, and
 * sleep until it says done. From then on nothing of the transfer is touched any more, so the caller may
 * return at once. At most max_connections transfers run; the rest wait in the order they came, still watched
 * for their deadline and for cancellation. The thread sleeps in curl_multi_poll() until a socket, a wakeup,
 * or the earliest due time.
 *
 * Connections are kept in a share. When a transfer fell silent, its server may have gone without a word, and
 * then each kept connection is a trap that costs the next request a timeout: from then on transfers begin in
 * a new share. The old one goes, with the connections in it, when its last transfer has ended.
 *
 * A cancel hook runs in a stranger's thread with the token's lock held: it only sets a flag and wakes.
 */
#include "transfer.h"

#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <limits.h>
#include <string.h>

struct queue { /* FIFO */
	struct transfer *first;
	struct transfer **end;
};

struct kept { /* connections; touched by the transfer thread only */
	CURLSH *share;
	unsigned users; /* transfers, and the net while it is the current one */
};

struct net {
	CURLM *multi;
	pthread_t thread;
	char *ca_file;
	unsigned max_connections;

	pthread_mutex_t lock;
	pthread_cond_t callers_changed;
	struct queue incoming; /* lock */
	unsigned callers;      /* lock: threads within net_perform() */
	bool stopping;         /* lock */

	/* The thread's own. */
	struct queue waiting;
	struct transfer *running;
	unsigned running_count;
	struct kept *kept; /* what transfers begin with */
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->end = &q->first;
}

static void queue_add(struct queue *q, struct transfer *t)
{
	t->next = NULL;
	*q->end = t;
	q->end = &t->next;
}

static void unlink_transfer(struct transfer **link, struct transfer *t)
{
	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
}

static void queue_remove(struct queue *q, struct transfer *t)
{
	unlink_transfer(&q->first, t);
	q->end = &q->first;
	while (*q->end)
		q->end = &(*q->end)->next;
}

/* The caller may be gone as soon as the lock is released: the signal is given before. */
static void tell_caller(struct net *net, struct transfer *t)
{
	pthread_mutex_lock(&net->lock);
	t->done = true;
	pthread_cond_signal(&t->done_changed);
	pthread_mutex_unlock(&net->lock);
}

static struct kept *kept_new(void)
{
	struct kept *k = mem_alloc(sizeof(*k));

	k->users = 1;
	k->share = curl_share_init();
	if (k->share && curl_share_setopt(k->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) == CURLSHE_OK)
		return k;
	curl_share_cleanup(k->share);
	free(k);
	return NULL;
}

static void kept_drop(struct kept *k, unsigned users)
{
	if (!k)
		return;
	k->users -= users;
	if (k->users)
		return;
	curl_share_cleanup(k->share);
	free(k);
}

/* @t has left its connection. When it fell silent, those beside it are not used again; without memory for
 * others they have to be. */
static void leave_kept(struct net *net, struct transfer *t)
{
	struct kept *fresh = t->fell_silent && t->kept == net->kept ? kept_new() : NULL;

	if (fresh)
		net->kept = fresh;
	kept_drop(t->kept, fresh ? 2 : 1);
}

/* A running transfer whose result is set: off the multi handle, back to its caller. */
static void finish_running(struct net *net, struct transfer *t)
{
	curl_multi_remove_handle(net->multi, t->easy);
	transfer_release(t);
	leave_kept(net, t);
	unlink_transfer(&net->running, t);
	net->running_count--;
	tell_caller(net, t);
}

static void finish_waiting(struct net *net, struct transfer *t)
{
	queue_remove(&net->waiting, t);
	tell_caller(net, t);
}

static bool take_incoming(struct net *net)
{
	struct transfer *t, *next;
	bool stopping;

	pthread_mutex_lock(&net->lock);
	t = net->incoming.first;
	queue_init(&net->incoming);
	stopping = net->stopping;
	pthread_mutex_unlock(&net->lock);
	for (; t; t = next) {
		next = t->next;
		queue_add(&net->waiting, t);
	}
	return stopping;
}

static void start_waiting(struct net *net)
{
	while (net->waiting.first && net->running_count < net->max_connections) {
		struct transfer *t = net->waiting.first;

		queue_remove(&net->waiting, t);
		t->kept = net->kept;
		if (!transfer_begin(t, t->kept->share) &&
		    curl_multi_add_handle(net->multi, t->easy) != CURLM_OK)
			t->result = error_system(t->err, ENOMEM, "cannot begin an HTTP request");
		if (t->result) {
			transfer_release(t);
			tell_caller(net, t);
			continue;
		}
		t->kept->users++;
		t->next = net->running;
		net->running = t;
		net->running_count++;
	}
}

static void collect_finished(struct net *net)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(net->multi, &left))) {
		CURLcode code = message->data.result;
		struct transfer *t = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		transfer_end(t, code);
		finish_running(net, t);
	}
}

/* Sets the result of a transfer that must not go on. */
static bool must_end(struct transfer *t, int64_t now_ms, bool stopping)
{
	if (stopping || atomic_load(&t->cancelled)) {
		transfer_cancel(t);
		return true;
	}
	if (now_ms >= transfer_due_ms(t)) {
		transfer_timeout(t);
		return true;
	}
	return false;
}

/* Ends what is cancelled or late; returns when the next one will be late. */
static int64_t end_overdue(struct net *net, bool stopping)
{
	int64_t now_ms = clock_mono_ms(), due_ms = INT64_MAX;
	struct transfer *t, *next;

	for (t = net->running; t; t = next) {
		next = t->next;
		if (must_end(t, now_ms, stopping))
			finish_running(net, t);
		else if (transfer_due_ms(t) < due_ms)
			due_ms = transfer_due_ms(t);
	}
	for (t = net->waiting.first; t; t = next) {
		next = t->next;
		if (must_end(t, now_ms, stopping))
			finish_waiting(net, t);
		else if (transfer_due_ms(t) < due_ms)
			due_ms = transfer_due_ms(t);
	}
	return due_ms;
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

static void *run(void *arg)
{
	struct net *net = arg;

	for (;;) {
		bool stopping = take_incoming(net);
		int64_t due_ms = end_overdue(net, stopping);
		int running;

		if (stopping)
			return NULL;
		start_waiting(net);
		curl_multi_perform(net->multi, &running);
		collect_finished(net);
		/* What ended made room: start the next before sleeping. */
		if (net->waiting.first && net->running_count < net->max_connections)
			continue;
		/* A transfer that has just connected got a due time only now. */
		for (struct transfer *t = net->running; t; t = t->next)
			if (transfer_due_ms(t) < due_ms)
				due_ms = transfer_due_ms(t);
		curl_multi_poll(net->multi, NULL, 0, poll_timeout_ms(due_ms), NULL);
	}
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static struct net *destroy(struct net *net)
{
	if (net->multi)
		curl_multi_cleanup(net->multi);
	kept_drop(net->kept, 1);
	pthread_cond_destroy(&net->callers_changed);
	pthread_mutex_destroy(&net->lock);
	free(net->ca_file);
	free(net);
	return NULL;
}

int net_new(const struct net_options *options, struct net **ret_net, struct error *err)
{
	struct net *net = mem_alloc(sizeof(*net));
	int rc;

	pthread_once(&curl_once, init_curl);
	pthread_mutex_init(&net->lock, NULL);
	pthread_cond_init(&net->callers_changed, NULL);
	queue_init(&net->incoming);
	queue_init(&net->waiting);
	if (options->ca_file && *options->ca_file)
		net->ca_file = mem_strdup(options->ca_file);
	net->max_connections = options->max_connections ? options->max_connections : 1;
	net->multi = curl_multi_init();
	net->kept = kept_new();
	if (!net->multi || !net->kept) {
		destroy(net);
		return error_system(err, ENOMEM, "cannot start curl");
	}
	curl_multi_setopt(net->multi, CURLMOPT_MAXCONNECTS, (long)net->max_connections);
	rc = thread_start(&net->thread, "transfer", run, net);
	if (rc) {
		destroy(net);
		return error_system(err, -rc, "cannot start the transfer thread");
	}
	*ret_net = net;
	return 0;
}

struct net *net_free(struct net *net)
{
	if (!net)
		return NULL;
	pthread_mutex_lock(&net->lock);
	net->stopping = true;
	pthread_mutex_unlock(&net->lock);
	curl_multi_wakeup(net->multi);
	pthread_join(net->thread, NULL);
	pthread_mutex_lock(&net->lock);
	while (net->callers)
		pthread_cond_wait(&net->callers_changed, &net->lock);
	pthread_mutex_unlock(&net->lock);
	return destroy(net);
}

struct hook_arg {
	struct transfer *t;
	CURLM *multi;
};

static void wake(void *arg)
{
	struct hook_arg *h = arg;

	atomic_store(&h->t->cancelled, true);
	curl_multi_wakeup(h->multi);
}

static void leave(struct net *net)
{
	pthread_mutex_lock(&net->lock);
	net->callers--;
	pthread_cond_signal(&net->callers_changed);
	pthread_mutex_unlock(&net->lock);
}

/* Hands the transfer over and waits; false when the net is being freed. */
static bool hand_over(struct net *net, struct transfer *t)
{
	bool accepted;

	pthread_mutex_lock(&net->lock);
	accepted = !net->stopping;
	if (accepted)
		queue_add(&net->incoming, t);
	pthread_mutex_unlock(&net->lock);
	if (!accepted)
		return false;
	curl_multi_wakeup(net->multi);
	pthread_mutex_lock(&net->lock);
	while (!t->done)
		pthread_cond_wait(&t->done_changed, &net->lock);
	pthread_mutex_unlock(&net->lock);
	return true;
}

int net_perform(struct net *net, const struct net_request *req, struct net_response *ret, struct error *err)
{
	struct transfer t = {.req = req, .out = ret, .err = err, .ca_file = net->ca_file};
	struct hook_arg hook_arg = {&t, net->multi};
	struct cancel_hook hook = {.wake = wake, .arg = &hook_arg};

	*ret = (struct net_response){0};
	if (!str_starts(req->url, "https://") && !str_starts(req->url, "http://"))
		return error_set(err, ERROR_USAGE, EINVAL, "not a URL that begins with https:// or http://");
	pthread_mutex_lock(&net->lock);
	net->callers++;
	pthread_mutex_unlock(&net->lock);
	pthread_cond_init(&t.done_changed, NULL);
	cancel_add_hook(req->cancel, &hook);
	if (!hand_over(net, &t))
		transfer_cancel(&t);
	cancel_remove_hook(req->cancel, &hook);
	pthread_cond_destroy(&t.done_changed);
	leave(net);
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
