// SPDX-License-Identifier: Apache-2.0
/*
 * Whole objects: put, ranged get, head, delete.
 *
 * A get asks for exactly the bytes wanted (an open-ended range that is abandoned costs the server ten times
 * as much), and believes the answer only when its Content-Range and its length say that it holds them.
 *
 * "Only if absent" is one atomic request where the server knows If-None-Match. Where it answers 501, that is
 * remembered for the store's life, and the object is looked for first: the best that such a server allows.
 */
#include "../store_private.h"
#include "s3.h"

#include <errno.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <stdio.h>
#include <string.h>

#define HEAD_TRIES 3

void s3_etag(const char *text, char ret_etag[static STORE_ETAG_BYTES])
{
	size_t len = strlen(text);

	/* A weak one keeps its mark and its quotes. */
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"')
		str_copy(ret_etag, len - 1 < STORE_ETAG_BYTES ? len - 1 : STORE_ETAG_BYTES, text + 1);
	else
		str_copy(ret_etag, STORE_ETAG_BYTES, text);
}

char *s3_etag_quoted(const char *etag)
{
	return str_starts(etag, "W/\"") ? mem_strdup(etag) : mem_printf("\"%s\"", etag);
}

/* The etag of the object that the answer is of, as callers may ask for it by If-Match: a weak one is no name
 * of bytes, and matches nothing. */
static void strong_etag(const struct net_response *answer, char ret_etag[static STORE_ETAG_BYTES])
{
	char text[STORE_ETAG_BYTES + 8];

	net_header_find(answer, "etag", text, sizeof(text));
	s3_etag(str_starts(text, "W/") ? "" : text, ret_etag);
}

int s3_put_attempt(struct s3 *s, const struct store_call *call, const char *key, const struct iovec *iov,
                   int count, const struct store_put_options *options, const char *condition,
                   const char *value, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "PUT", .key = key, .body = iov, .body_count = count};
	const char *type = options->content_type ? options->content_type : "application/octet-stream";
	struct s3_lock_texts texts;
	int r;

	s3_add_header(&request, "content-type", type);
	s3_add_encryption(s, &request);
	if (condition)
		s3_add_header(&request, condition, value);
	if (options->lock)
		s3_add_lock(&request, options->lock, &texts);
	r = s3_perform(s, call, &request, &answer, err);
	if (r)
		return r;
	s3_check_encryption(s, &answer);
	if (options->ret_etag)
		strong_etag(&answer, options->ret_etag);
	if (options->ret_version)
		net_header_find(&answer, "x-amz-version-id", options->ret_version, STORE_VERSION_BYTES);
	return 0;
}

static int put_after_look(struct s3 *s, const struct store_call *call, const char *key,
                          const struct iovec *iov, int count, const struct store_put_options *options,
                          struct error *err)
{
	struct store_object there;
	int r = s3_head(&s->store, call, key, &there, err);

	if (!r)
		return STORE_EXISTS;
	if (r != -ENOENT)
		return r;
	return s3_put_attempt(s, call, key, iov, count, options, NULL, NULL, err);
}

int s3_put(struct store *store, const struct store_call *call, const char *key, const struct iovec *iov,
           int count, const struct store_put_options *options, struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	struct error spare = {0};
	int r;

	err = err ? err : &spare;
	r = s3_check_put_lock(s, call, options, err);
	if (r < 0)
		return r;
	if (options->if_match)
		return s3_put_if_match(s, call, key, iov, count, options, err);
	if (!options->only_if_absent)
		return s3_put_attempt(s, call, key, iov, count, options, NULL, NULL, err);
	if (atomic_load(&s->no_conditional_put))
		return put_after_look(s, call, key, iov, count, options, err);
	r = s3_put_attempt(s, call, key, iov, count, options, "if-none-match", "*", err);
	if (r && err->http_status == 412)
		return STORE_EXISTS;
	if (r != -EOPNOTSUPP || err->http_status != 501 || s->conf->conditional_puts == CONF_CONDITIONAL_YES)
		return r;
	r = put_after_look(s, call, key, iov, count, options, err);
	/* The 501 may have meant another header: only now it is sure. */
	if (r >= 0 && !atomic_exchange(&s->no_conditional_put, true))
		log_info(
		        "%s: the server has no conditional writes; objects are looked for before they are created",
		        store->name);
	return r;
}

struct content_range {
	uint64_t first;
	uint64_t last;
	bool to_the_end; /* the object has no byte behind `last` */
};

static bool parse_content_range(const struct net_response *answer, struct content_range *ret)
{
	char text[128];
	unsigned long long first, last, total;
	int end = 0;

	net_header_find(answer, "content-range", text, sizeof(text));
	if (sscanf(text, "bytes %llu-%llu/%n", &first, &last, &end) != 2 || !end || last < first)
		return false;
	*ret = (struct content_range){.first = first, .last = last};
	ret->to_the_end = sscanf(text + end, "%llu", &total) == 1 && total == last + 1;
	return true;
}

static int wrong_answer(const struct s3 *s, const char *key, const char *what, struct error *err)
{
	error_set(err, ERROR_UNAVAILABLE, EPROTO, "GET %s/%s: %s", s->store.name, key, what);
	err->retry = true;
	return -EPROTO;
}

/* Whether it brought an object that ends before the buffers do, when that is as good. */
static bool is_whole(const struct net_response *answer, uint64_t want)
{
	struct content_range range;

	if (answer->status == 200)
		return answer->into_bytes <= want;
	return parse_content_range(answer, &range) && range.first == 0 && range.to_the_end &&
	       answer->into_bytes == range.last + 1;
}

/* Whether a 2xx answer brought the bytes that were asked for. */
static int check_range(const struct s3 *s, const char *key, uint64_t offset, uint64_t want,
                       const struct net_response *answer, struct error *err)
{
	struct content_range range = {0};

	if (answer->status == 200) { /* the whole object: right when that is what was wanted */
		if (offset || answer->into_bytes < want)
			return wrong_answer(s, key, "the server ignores ranges", err);
		return 0;
	}
	if (answer->status != 206 || !parse_content_range(answer, &range) || range.first != offset)
		return wrong_answer(s, key, "the server sent another range than the one asked for", err);
	if (range.to_the_end && answer->into_bytes < want &&
	    answer->into_bytes == range.last - range.first + 1)
		return error_set(err, ERROR_USAGE, ERANGE,
		                 "GET %s/%s: the object ends at byte %llu, before %llu", s->store.name, key,
		                 (unsigned long long)range.last + 1, (unsigned long long)(offset + want));
	if (answer->into_bytes == want)
		return 0;
	return wrong_answer(s, key,
	                    answer->into_bytes == range.last - range.first + 1
	                            ? "the server sent fewer bytes than were asked for"
	                            : "the answer's length is not what it says",
	                    err);
}

static int check_etag(const struct s3 *s, const char *key, const char *want,
                      const struct net_response *answer, struct error *err)
{
	char text[STORE_ETAG_BYTES + 8], got[STORE_ETAG_BYTES];

	net_header_find(answer, "etag", text, sizeof(text));
	s3_etag(text, got);
	if (!*got || str_equal(got, want))
		return 0;
	return error_set(err, ERROR_CONFLICT, ESTALE, "GET %s/%s: the object is another one now",
	                 s->store.name, key);
}

/* How many bytes from @offset on the answer says that it holds; 0: others. */
static uint64_t bytes_announced(const struct net_response *answer, uint64_t offset)
{
	struct content_range range;

	if (answer->status != 206 || !parse_content_range(answer, &range) || range.first != offset)
		return 0;
	return range.last - range.first + 1;
}

/* How many bytes a get has brought that failed with @r (0: its answer was too short): none, unless the
 * answer says that they are the ones. */
static uint64_t bytes_of_a_part(const struct net_response *answer, uint64_t offset, int r)
{
	uint64_t announced = bytes_announced(answer, offset);

	if (answer->status == 200)
		return r && offset == 0 ? answer->into_bytes : 0;
	if (answer->into_bytes > announced || (!r && answer->into_bytes != announced))
		return 0;
	return answer->into_bytes;
}

static void tell_of_a_part(const struct store_get_options *options, const struct net_response *answer,
                           uint64_t offset, int r)
{
	uint64_t filled = bytes_of_a_part(answer, offset, r);
	char etag[STORE_ETAG_BYTES];

	strong_etag(answer, etag);
	/* The server may not know If-Match: then the bytes are of whatever it has. */
	if (filled && (!options->if_match || !*etag || str_equal(etag, options->if_match)))
		store_get_tell(options, etag, filled);
}

/* A get whose caller wants to know what has come as it comes. */
struct arriving {
	uint64_t offset;
	const struct store_get_options *options;
	bool judged;
	uint64_t right; /* so many bytes are the ones, as the answer says */
	char etag[STORE_ETAG_BYTES];
};

static void on_filled(void *arg, const struct net_response *so_far)
{
	struct arriving *a = arg;

	if (!a->judged) {
		a->judged = true;
		strong_etag(so_far, a->etag);
		if (*a->etag && (!a->options->if_match || str_equal(a->etag, a->options->if_match)))
			a->right = bytes_announced(so_far, a->offset);
	}
	if (a->right)
		a->options->arrived(a->options->arrived_arg,
		                    so_far->into_bytes < a->right ? so_far->into_bytes : a->right, a->etag);
}

/* The answer to a get that did not fail: its bytes, or what is wrong with them. */
static int judge_answer(const struct s3 *s, const char *key, uint64_t offset, uint64_t want,
                        const struct store_get_options *options, const struct net_response *answer,
                        struct error *err)
{
	char etag[STORE_ETAG_BYTES];
	int r = options->if_match ? check_etag(s, key, options->if_match, answer, err) : 0;

	strong_etag(answer, etag);
	/* A server that does not know If-None-Match sends it all the same. */
	if (!r && options->if_none_match && *etag && str_equal(etag, options->if_none_match))
		return STORE_NOT_CHANGED;
	if (!r && options->to_the_end && is_whole(answer, want)) {
		store_get_tell(options, etag, answer->into_bytes);
		return 0;
	}
	if (!r) {
		r = check_range(s, key, offset, want, answer, err);
		if (r == -EPROTO)
			tell_of_a_part(options, answer, offset, 0);
	}
	if (r)
		return r;
	store_get_tell(options, etag, want);
	return 0;
}

int s3_get(struct store *store, const struct store_call *call, const char *key, uint64_t offset,
           const struct iovec *iov, int count, const struct store_get_options *options, struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(free) char *quoted = NULL, *quoted_old = NULL;
	struct arriving arriving = {.offset = offset, .options = options};
	struct s3_request request = {.method = "GET",
	                             .key = key,
	                             .into = iov,
	                             .into_count = count,
	                             .into_filled = options->arrived ? on_filled : NULL,
	                             .into_arg = &arriving};
	struct error spare = {0};
	uint64_t want = iov_bytes(iov, count);
	char range[64];
	int r;

	err = err ? err : &spare;
	snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)offset,
	         (unsigned long long)(offset + want - 1));
	s3_add_header(&request, "range", range);
	if (options->if_match) {
		quoted = s3_etag_quoted(options->if_match);
		s3_add_header(&request, "if-match", quoted);
	}
	if (options->if_none_match) {
		quoted_old = s3_etag_quoted(options->if_none_match);
		s3_add_header(&request, "if-none-match", quoted_old);
	}
	r = s3_perform(s, call, &request, &answer, err);
	if (r && answer.status == 304 && options->if_none_match)
		return STORE_NOT_CHANGED;
	if (r == -EMSGSIZE)
		return wrong_answer(
		        s, key, "the server sent more than was asked for; it seems to ignore ranges", err);
	if (r) {
		tell_of_a_part(options, &answer, offset, r);
		return r;
	}
	return judge_answer(s, key, offset, want, options, &answer, err);
}

/*
 * The answer to a HEAD has no body, so a missing bucket, a missing object and a wrong key cannot be told
 * apart by it: the same question as a GET of one byte brings the reason. Return: 0 when there is none any
 * more.
 */
static int ask_why(struct s3 *s, const struct store_call *call, const char *key, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "GET", .key = key};
	int r;

	s3_add_header(&request, "range", "bytes=0-0");
	r = s3_perform(s, call, &request, &answer, err);
	return r == -ERANGE ? 0 : r;
}

int s3_head_parse(const struct s3 *s, const char *key, const struct net_response *answer,
                  struct store_object *ret, struct error *err)
{
	char text[STORE_ETAG_BYTES + 8], *end;
	unsigned long long bytes;

	net_header_find(answer, "content-length", text, sizeof(text));
	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		return wrong_answer(s, key, "the answer to HEAD has no Content-Length", err);
	str_copy(ret->key, sizeof(ret->key), key);
	ret->bytes = bytes;
	net_header_find(answer, "etag", text, sizeof(text));
	s3_etag(text, ret->etag);
	return 0;
}

int s3_head(struct store *store, const struct store_call *call, const char *key, struct store_object *ret,
            struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	struct s3_request request = {.method = "HEAD", .key = key};
	struct error spare = {0};

	err = err ? err : &spare;
	for (int i = 0; i < HEAD_TRIES; i++) {
		_cleanup(net_response) struct net_response answer = {0};
		int r = s3_perform(s, call, &request, &answer, err);

		if (!r)
			return s3_head_parse(s, key, &answer, ret, err);
		if (answer.status < 300 || answer.status >= 500 || answer.status == 429)
			return r;
		r = ask_why(s, call, key, err);
		if (r)
			return r;
		/* Somebody created the object in between. */
	}
	return wrong_answer(s, key, "HEAD and GET contradict each other", err);
}

int s3_remove(struct store *store, const struct store_call *call, const char *key, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "DELETE", .key = key};
	struct s3 *s = (struct s3 *)store;
	struct error spare = {0};
	int r;

	err = err ? err : &spare;
	r = s3_perform(s, call, &request, &answer, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	return s3_remove_versions(s, call, key, &answer, err);
}
