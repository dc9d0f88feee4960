// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * One HTTP exchange: a curl handle, its callbacks and what became of it. Lives on the stack of the thread
 * that waits in net_perform() and drives it; others touch what is said to be theirs, too.
 */
#include <curl/curl.h>
#include <keepfs/net.h>
#include <pthread.h>
#include <stdatomic.h>

#define NET_TEXT_MAX ((size_t)8 << 20)

struct iov_cursor {
	const struct iovec *iov;
	int count;
	int at;          /* the current buffer */
	size_t offset;   /* in it */
	uint64_t passed; /* bytes before the cursor */
};

struct transfer {
	const struct net_request *req;
	struct net_response *out;
	struct error *err; /* may be NULL */
	const char *ca_file;

	CURL *easy;
	struct curl_slist *headers;
	char curl_text[CURL_ERROR_SIZE];
	struct iov_cursor body;
	struct iov_cursor into;
	bool too_large; /* the answer does not fit where it should go */
	curl_off_t sent_bytes;
	int64_t moved_at_ms; /* when the last byte moved; 0 before a connection is there */
	bool answered;       /* the answer has begun */
	int *socket_fd;      /* the line's, kept up to date; not owned, and of another by now at worst */
	bool fell_silent;    /* it was ended because no byte moved */

	atomic_bool cancelled; /* set by the cancel hook, in any thread */
	int result;
	/* The net's lock: */
	CURLM *multi;           /* while it runs */
	pthread_cond_t changed; /* it may be its turn for a line, or it was cancelled */
	struct transfer *next;
};

/** net_init_curl() - once for the process, before anything else of curl. Any thread. */
void net_init_curl(void);

/** proxy_name() - "the proxy http://host:port (from https_proxy)", heap, without its password; NULL when the
 * environment names none for @url. */
char *proxy_name(const char *url);
/** proxy_is_meant() - do curl's words on a failure speak of that proxy, and not of the server? */
bool proxy_is_meant(const char *url, const char *curl_text);

/** transfer_begin() - make and fill the curl handle; on failure the result and error are set. */
int transfer_begin(struct transfer *t, CURLSH *share);
/** transfer_hurry() - before waiting: have the beginning of the answer acknowledged at once. */
void transfer_hurry(struct transfer *t);
/** transfer_end() - take curl's verdict: sets the result and the error. */
void transfer_end(struct transfer *t, CURLcode code);
/** transfer_release() - free the curl handle, which must have left its multi handle. */
void transfer_release(struct transfer *t);
/** transfer_due_ms() - when it must be stopped if no byte moves until then (monotonic clock); INT64_MAX:
 * never. */
int64_t transfer_due_ms(const struct transfer *t);
/** transfer_timeout() - sets the result and error of a transfer whose time is over. */
void transfer_timeout(struct transfer *t);
/** transfer_cancel() - likewise for one that somebody stopped. */
void transfer_cancel(struct transfer *t);
