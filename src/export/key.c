// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/cleanup.h>
#include <keepfs/codec/copy_json.h>
#include <keepfs/codec/hash.h>
#include <keepfs/conf.h>
#include <keepfs/export.h>
#include <keepfs/secret.h>

#include <errno.h>

#define KEY_MAX_BYTES 4096

_Static_assert(COPY_JSON_KEY_BYTES == SHA256_BYTES, "the key is a digest");

static int refuse_hash_key(const char *what, const char *why, struct error *err)
{
	return error_set(err, ERROR_DENIED, EPERM, "%s %s", what, why);
}

int export_key_of(const struct conf_secret *secret, const char *what,
                  unsigned char ret[static COPY_JSON_KEY_BYTES], struct error *err)
{
	_cleanup(secret_text) struct secret_text key = {0};
	int r = secret_get(secret, &(struct secret_use){.what = what, .whole = true}, NULL, &key, err);

	if (r < 0)
		return r;
	if (key.len < CONF_REDACT_KEY_BYTES)
		return refuse_hash_key(
		        what, "has less than 32 bytes: openssl rand -out FILE 32 makes a file that is one",
		        err);
	if (key.len > KEY_MAX_BYTES)
		return refuse_hash_key(what, "has more than 4096 bytes: is it the right one?", err);
	sha256_once(key.data, key.len, ret);
	return 0;
}
