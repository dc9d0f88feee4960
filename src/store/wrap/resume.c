// SPDX-License-Identifier: Apache-2.0
/*
 * A get that is tried again goes on where it broke off: what came is kept, and only the rest is asked for, on
 * the condition that the object is still the one whose bytes came (If-Match). Without an etag to ask for, or
 * when the object was replaced meanwhile, it begins again from the start: bytes of two objects never stand in
 * one buffer. Only when the caller named the object by if_match, or was told already that bytes of it have
 * arrived, is a replaced one the caller's business.
 */
#include "tries.h"

#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>

struct resume {
	const struct iovec *iov; /* the caller's */
	int count;
	uint64_t want, done;
	const struct store_get_options *options; /* the caller's */
	uint64_t told;                           /* the caller was told that so many have arrived */
	char etag[STORE_ETAG_BYTES]; /* of the object whose bytes came, when done > 0 or told > 0 */
	struct iovec *rest;          /* iov without what is done */
};

/* Fills @rest with what is still wanted, and returns how many buffers that are. */
static int rest_of(const struct resume *g, struct iovec *rest)
{
	uint64_t skip = g->done;
	int n = 0;

	for (int i = 0; i < g->count; i++) {
		size_t past = skip < g->iov[i].iov_len ? (size_t)skip : g->iov[i].iov_len;

		skip -= past;
		if (past < g->iov[i].iov_len)
			rest[n++] =
			        (struct iovec){(char *)g->iov[i].iov_base + past, g->iov[i].iov_len - past};
	}
	return n;
}

static void on_resumed_bytes(void *arg, uint64_t filled, const char *etag)
{
	struct resume *g = arg;

	if (g->done == 0)
		str_copy(g->etag, sizeof(g->etag), etag);
	g->told = g->done + filled;
	g->options->arrived(g->options->arrived_arg, g->told, etag);
}

/* After a try that failed and left @filled bytes of the object @etag. */
static void keep_what_came(struct resume *g, struct tries *t, const char *etag, uint64_t filled)
{
	const char *if_match = g->options->if_match;

	if (!t->error.retry || (filled == 0 && g->told <= g->done))
		return;
	tries_made_progress(t);
	if (g->done == 0 && g->told == 0)
		str_copy(g->etag, sizeof(g->etag), if_match ? if_match : etag);
	if (*g->etag)
		g->done += filled;
	if (g->done < g->told)
		g->done = g->told;
}

/* The object is not, or not as long as, the one whose bytes came: both are found out anew. */
static bool begins_anew(struct resume *g, struct tries *t, int r)
{
	if (g->done == 0 || g->told > 0 || g->options->if_match || (r != -ESTALE && r != -ERANGE))
		return false;
	g->done = 0;
	tries_made_progress(t);
	t->error.retry = true;
	return true;
}

static int try_once(struct resume *g, struct tries *t, const char *key, uint64_t offset)
{
	struct store *inner = t->s->inner;
	char etag[STORE_ETAG_BYTES] = "";
	uint64_t filled = 0;
	const struct store_get_options options = {.if_match = g->done ? g->etag : g->options->if_match,
	                                          .ret_etag = etag,
	                                          .ret_filled = &filled,
	                                          .arrived = g->options->arrived ? on_resumed_bytes : NULL,
	                                          .arrived_arg = g};
	int count = rest_of(g, g->rest);
	int r = inner->ops->get(inner, &t->call, key, offset + g->done, g->rest, count, &options, &t->error);

	if (r >= 0) {
		if (g->done == 0)
			str_copy(g->etag, sizeof(g->etag), etag);
		g->done = g->want;
		return r;
	}
	if (!begins_anew(g, t, r))
		keep_what_came(g, t, etag, filled);
	/* What broke off was behind the last byte. */
	return g->done == g->want ? 0 : r;
}

/* What is asked for whole, and only when it is another one: there is nothing to go on with, it begins again. */
static int get_small(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                     const struct iovec *iov, int count, const struct store_get_options *options,
                     struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;
	int r;

	tries_begin(&t, s, call);
	r = TRY(&t, ({
		store_get_begin(options);
		inner->ops->get(inner, &t.call, key, offset, iov, count, options, &t.error);
	}));
	return tries_end(&t, r, err);
}

int retry_resumed_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                      const struct iovec *iov, int count, const struct store_get_options *options,
                      struct error *err)
{
	_cleanup(free) struct iovec *rest = mem_array((size_t)count, sizeof(*rest));
	struct resume g = {
	        .iov = iov, .count = count, .want = iov_bytes(iov, count), .rest = rest, .options = options};
	struct tries t;
	int r;

	if (options->if_none_match || options->to_the_end)
		return get_small(s, call, key, offset, iov, count, options, err);
	tries_begin(&t, s, call);
	r = TRY(&t, try_once(&g, &t, key, offset));
	store_get_tell(options, g.done ? g.etag : "", g.done);
	return tries_end(&t, r, err);
}
