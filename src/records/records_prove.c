// SPDX-License-Identifier: Apache-2.0
/* Records against their names, each of which has the beginning of the SHA-256 of its object. */
#include "records_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE     1000
#define RECORD_ENDING ".jsonl.gz"

/* The hexadecimal digits between the last '-' and the ending, or NULL. */
static const char *hash_in_name(const char *key)
{
	const char *at = strrchr(key, '-');
	int64_t number;

	if (!at || !record_first_number(key, &number) ||
	    strspn(at + 1, "0123456789abcdef") != RECORD_HASH_HEX)
		return NULL;
	at++;
	return str_equal(at + RECORD_HASH_HEX, RECORD_ENDING) ||
	                       str_equal(at + RECORD_HASH_HEX, RECORD_ENDING MANIFEST_SEALED_SUFFIX)
	               ? at
	               : NULL;
}

static void tell_record(const struct records_proving *io, const char *key, const char *what)
{
	_cleanup(free) char *text = mem_printf("%s: %s", key, what);

	io->problem(io->arg, text);
}

static int prove_record(struct records_proving *io, const char *key, struct error *err)
{
	const char *wanted = hash_in_name(key);
	_cleanup(free) char *data = NULL;
	char hash[SHA256_HEX_BYTES];
	uint8_t digest[SHA256_BYTES];
	size_t len = 0;
	int r;

	if (!wanted) {
		tell_record(io, key, "not the name of a record");
		return 0;
	}
	r = store_get_all(io->store, io->call, key, RECORD_OBJECT_BYTES_MAX, &data, &len, err);
	if (r == -ENOENT) /* somebody's lifecycle rule */
		return 0;
	if (r < 0 && r != -EFBIG)
		return r;
	io->count++;
	sha256_once(data ? data : "", len, digest);
	hex_encode(digest, sizeof(digest), hash);
	if (r < 0 || strncmp(hash, wanted, RECORD_HASH_HEX) != 0)
		tell_record(io, key, "it has other bytes than those that its name tells of");
	return 0;
}

int records_prove(struct records_proving *io, struct error *err)
{
	char last[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	io->count = 0;
	while (r == 0 && more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(io->store, io->call, RECORDS_PREFIX, *last ? last : NULL, LIST_PAGE, &objects,
		               &count, &more, err);
		if (r < 0 || count == 0)
			break;
		str_copy(last, sizeof(last), objects[count - 1].key);
		for (size_t i = 0; r == 0 && i < count; i++)
			r = prove_record(io, objects[i].key, err);
	}
	return r;
}
