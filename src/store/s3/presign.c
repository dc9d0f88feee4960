// SPDX-License-Identifier: Apache-2.0
/*
 * A GET that is signed now and made by somebody else, later. Only the host is signed with it: a client may
 * ask for a range, or send what headers it likes. The object's bytes are the server's to vouch for: keepfs
 * never sees them.
 */
#include "s3.h"

#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

static int get_presigner(struct s3 *s, bool only_length, const struct aws_credentials **ret,
                         struct error *err)
{
	if (!only_length)
		return aws_get(s->aws, NULL, 0, ret, err);
	*ret = aws_get_at_hand(s->aws);
	return *ret ? 0 : error_set(err, ERROR_DENIED, ENOKEY, "there are no S3 credentials at hand");
}

int s3_presign(struct store *store, const char *key, int64_t ttl_ms, bool only_length, struct str *ret_url,
               struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	const struct sigv4_pair host = {"host", s->place.host};
	_cleanup(aws_credentials) const struct aws_credentials *c = NULL;
	_cleanup(free) char *path = mem_printf("%s%s%s", s->place.root, s->place.prefix, key);
	const struct sigv4_request req = {.method = "GET",
	                                  .path = path,
	                                  .headers = &host,
	                                  .header_count = 1,
	                                  .payload_sha256 = SIGV4_UNSIGNED_PAYLOAD};
	struct sigv4_credentials cred = {.region = s->place.region, .service = "s3"};
	int r = get_presigner(s, only_length, &c, err);

	if (r < 0)
		return r;
	cred.access_key = c->access_key;
	cred.secret_key = c->secret_key;
	cred.session_token = c->session_token;
	str_append(ret_url, s->place.base);
	sigv4_uri_encode(path, 1, ret_url);
	str_append_char(ret_url, '?');
	sigv4_presign_query(&req, &cred, clock_now_us(), (unsigned)(ttl_ms / 1000), ret_url);
	return 0;
}
