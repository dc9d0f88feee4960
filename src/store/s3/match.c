// SPDX-License-Identifier: Apache-2.0
/*
 * "Only this object" on a put: If-Match. Servers that do not know it come in two kinds: those that say so (501), and those
 * that ignore the header and overwrite, which would make a condition worse than none. So before the first use it is tried
 * on an object of our own: only a server that refuses an etag which that cannot have, and takes the one that it has, is believed. Ceph (16.2) compares the
 * header with the etag as they are, so it wants it without the quotes that belong around it. For the others the
 * object is looked at before it is written: the best that such a server allows, and features tell of it.
 */
#include "../store_private.h"
#include "s3.h"

#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define CLEAN_UP_MS 30000

static int wrong_object(const struct s3 *s, const char *key, struct error *err)
{
	return error_set(err, ERROR_CONFLICT, ESTALE, "PUT %s/%s: the object is another one now",
	                 s->store.name, key);
}

static int probe_key(char *buf, size_t buf_bytes, struct error *err)
{
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_system(err, errno, "random bytes cannot be had");
	hex_encode(random, sizeof(random), hex);
	snprintf(buf, buf_bytes, "state/probe-%s", hex);
	return 0;
}

static char *match_value(enum s3_match how, const char *etag)
{
	return how == S3_MATCH_WORKS_BARE ? mem_strdup(etag) : s3_etag_quoted(etag);
}

/* What the server says to a put over our own object: 1: it was carried out; 0: the condition does not hold; -EOPNOTSUPP: it does not know it; else what went wrong. */
static int try_match(struct s3 *s, const struct store_call *call, const char *key, enum s3_match how,
                     const char *etag, struct error *err)
{
	static const struct store_put_options plain = {0};
	const struct iovec iov = {(void *)"probe", 5};
	_cleanup(free) char *value = match_value(how, etag);
	int r;

	*err = (struct error){0};
	r = s3_put_attempt(s, call, key, &iov, 1, &plain, "if-match", value, err);
	return r == 0 ? 1 : err->http_status == 412 ? 0 : err->http_status == 501 ? -EOPNOTSUPP : r;
}

/* The etag must be refused that it cannot have, and the one taken that it has. */
static int find_match(struct s3 *s, const struct store_call *call, const char *key, const char *etag,
                      enum s3_match *ret_found, struct error *err)
{
	static const char wrong[] = "00000000000000000000000000000000";
	int r = try_match(s, call, key, S3_MATCH_WORKS, wrong, err);

	*ret_found = S3_MATCH_FAILS;
	if (r != 0 || !*etag)
		return r == -EOPNOTSUPP || r >= 0 ? 0 : r;
	for (enum s3_match how = S3_MATCH_WORKS; r == 0 && how <= S3_MATCH_WORKS_BARE; how++) {
		r = try_match(s, call, key, how, etag, err);
		if (r == 1)
			*ret_found = how;
	}
	return r < 0 ? r : 0;
}

static int try_on_own_object(struct s3 *s, const struct store_call *call, struct error *err)
{
	const struct store_call clean_up = {.deadline_ms = clock_mono_ms() + CLEAN_UP_MS};
	const struct iovec iov = {(void *)"probe", 5};
	char key[64], etag[STORE_ETAG_BYTES] = "";
	const struct store_put_options create = {.ret_etag = etag};
	enum s3_match found;
	int r = probe_key(key, sizeof(key), err);

	if (r == 0)
		r = s3_put_attempt(s, call, key, &iov, 1, &create, NULL, NULL, err);
	if (r < 0)
		return r;
	r = find_match(s, call, key, etag, &found, err);
	s3_remove(&s->store, &clean_up, key, NULL);
	if (r < 0)
		return r;
	if (found == S3_MATCH_FAILS && atomic_load(&s->conditional_match) == S3_MATCH_UNKNOWN)
		log_info(
		        "%s: the server does not keep If-Match on a put; objects are looked at before they are replaced",
		        s->store.name);
	atomic_store(&s->conditional_match, (int)found);
	return 0;
}

static int match_after_look(struct s3 *s, const struct store_call *call, const char *key,
                            const struct iovec *iov, int count, const struct store_put_options *options,
                            struct error *err)
{
	struct store_object there;
	int r = s3_head(&s->store, call, key, &there, err);

	if (r == -ENOENT || (r == 0 && !str_equal(there.etag, options->if_match)))
		return wrong_object(s, key, err);
	return r < 0 ? r : s3_put_attempt(s, call, key, iov, count, options, NULL, NULL, err);
}

static int put_conditionally(struct s3 *s, const struct store_call *call, const char *key,
                             const struct iovec *iov, int count, const struct store_put_options *options,
                             struct error *err)
{
	_cleanup(free) char *value =
	        match_value((enum s3_match)atomic_load(&s->conditional_match), options->if_match);
	int r = s3_put_attempt(s, call, key, iov, count, options, "if-match", value, err);

	/* Servers answer 404 when the object is gone. */
	return r == -ENOENT || (r < 0 && err->http_status == 412) ? wrong_object(s, key, err) : r;
}

int s3_put_if_match(struct s3 *s, const struct store_call *call, const char *key, const struct iovec *iov,
                    int count, const struct store_put_options *options, struct error *err)
{
	int r = 0;

	if (atomic_load(&s->conditional_match) == S3_MATCH_UNKNOWN)
		r = try_on_own_object(s, call, err);
	if (r < 0)
		return r;
	return (atomic_load(&s->conditional_match) == S3_MATCH_FAILS ? match_after_look : put_conditionally)(
	        s, call, key, iov, count, options, err);
}
