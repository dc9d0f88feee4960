// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * HTTP over libcurl (which no other room includes): each thread that calls net_perform() drives its own
 * transfer, between the socket and its buffers; connections are kept and reused by all.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct net;

struct net_options {
	const char *ca_file; /* PEM file to trust in place of the system's; NULL: the system's */
	unsigned max_connections;
};

/** net_new() - no connection is made yet. */
int net_new(const struct net_options *options, struct net **ret_net, struct error *err);
/** net_free() - ends transfers that still run (-ECANCELED), waits for their callers to leave. NULL allowed;
 * returns NULL. */
struct net *net_free(struct net *net);

struct net_header {
	const char *name;
	const char *value;
};

struct net_response;

struct net_request {
	const char *method; /* GET, HEAD, PUT, POST, DELETE */
	const char *url;    /* complete and encoded; sent as it is (no dot-segment removal) */
	const struct net_header *headers;
	size_t header_count;
	const struct iovec *body; /* borrowed until net_perform() returns */
	int body_count;
	const struct iovec *into; /* where the body of a 2xx answer goes; NULL: into the response's text */
	int into_count;
	/* NULL, or called after each piece that went into `into`, on the caller's thread: @so_far has the
	 * status, the headers, and how many bytes of `into` are filled. Not to be finished. */
	void (*into_filled)(void *arg, const struct net_response *so_far);
	void *into_arg;
	int64_t connect_timeout_ms;
	int64_t stall_timeout_ms;      /* no byte in either direction for so long: -ETIMEDOUT */
	int64_t first_byte_timeout_ms; /* likewise, but until the answer begins; 0: stall_timeout_ms */
	int64_t deadline_ms;           /* clock_mono_ms(); 0: none */
	struct cancel *cancel;
};

struct net_response {        /* what came is told of an exchange that failed, too */
	int status;          /* HTTP status; 0 when there was no answer */
	struct str headers;  /* as received, lines ended by "\n", names in lower case: net_header_find() */
	struct str text;     /* the body when `into` was NULL or the status was no 2xx; at most 8 MiB */
	uint64_t into_bytes; /* how many bytes of `into` were filled */
};

void net_response_finish(struct net_response *r);
static inline void cleanup_net_response(struct net_response *r)
{
	net_response_finish(r);
}
/** net_header_find() - value of header @name (lower case) copied into @buf; "" when absent. Returns @buf. */
char *net_header_find(const struct net_response *r, const char *name, char *buf, size_t buf_bytes);

/**
 * net_perform() - one HTTP exchange, not retried, redirects not followed
 *
 * After one that fell silent (a timeout of the first byte or a stall) no connection that existed by then is
 * used again: those that were kept may be as dead as the one that was.
 *
 * Return: 0 when an answer came, whatever its status; else negative with @err: ERROR_UNAVAILABLE (connection
 * refused, lost, DNS, also of a proxy; retry set), ERROR_TIMEOUT (retry set), ERROR_DENIED (TLS certificate not trusted, with
 * what to do, or refused by a proxy; no retry), -EMSGSIZE (ERROR_INTERNAL: a 2xx body larger than `into`), -ECANCELED.
 */
int net_perform(struct net *net, const struct net_request *req, struct net_response *ret, struct error *err);
