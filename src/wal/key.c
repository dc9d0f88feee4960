// SPDX-License-Identifier: Apache-2.0
/* Keys: "wal/main/7301234567890123456/000000010000000000000007.zst", with ".age" where it is encrypted. docs/formats.md, "WAL". */
#include "wal_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SYSTEM_ID_DIGITS 20

char *wal_key_format(const struct wal_key *key)
{
	return mem_printf(WAL_PREFIX "%s/%" PRIu64 "/%s" WAL_SUFFIX "%s", key->job, key->system_id, key->name,
	                  key->is_sealed ? MANIFEST_SEALED_SUFFIX : "");
}

bool wal_key_is_sealed(const char *key)
{
	return str_ends(key, MANIFEST_SEALED_SUFFIX);
}

/* Copies what is before the next '/', and moves behind it. */
static int take_key_part(const char **at, char *ret, size_t ret_bytes)
{
	const char *end = strchr(*at, '/');
	size_t len = end ? (size_t)(end - *at) : 0;

	if (len == 0 || len >= ret_bytes)
		return -EINVAL;
	memcpy(ret, *at, len);
	ret[len] = '\0';
	*at = end + 1;
	return 0;
}

/* In the one form that wal_key_format() gives it. */
static int parse_system_id(const char *text, uint64_t *ret)
{
	uint64_t id = 0;

	if (!*text || (*text == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || id > (UINT64_MAX - (uint64_t)(*text - '0')) / 10)
			return -EINVAL;
		id = 10 * id + (uint64_t)(*text - '0');
	}
	*ret = id;
	return 0;
}

static int parse_object_name(const char *text, struct wal_key *ret)
{
	static const char sealed[] = WAL_SUFFIX MANIFEST_SEALED_SUFFIX, plain[] = WAL_SUFFIX;
	const char *suffix;
	struct wal_name name;
	size_t len;

	ret->is_sealed = str_ends(text, sealed);
	suffix = ret->is_sealed ? sealed : plain;
	if (!str_ends(text, suffix))
		return -EINVAL;
	len = strlen(text) - strlen(suffix);
	if (len >= sizeof(ret->name))
		return -EINVAL;
	memcpy(ret->name, text, len);
	ret->name[len] = '\0';
	return wal_name_parse(ret->name, &name);
}

int wal_key_parse(const char *text, struct wal_key *ret)
{
	char id[SYSTEM_ID_DIGITS + 1];
	struct wal_key key = {0};
	int r;

	if (!str_starts(text, WAL_PREFIX))
		return -EINVAL;
	text += strlen(WAL_PREFIX);
	r = take_key_part(&text, key.job, sizeof(key.job));
	if (r == 0)
		r = take_key_part(&text, id, sizeof(id));
	if (r == 0)
		r = parse_system_id(id, &key.system_id);
	if (r == 0)
		r = parse_object_name(text, &key);
	if (r == 0)
		*ret = key;
	return r;
}
