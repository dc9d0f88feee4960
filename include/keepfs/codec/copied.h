// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a store of copies says of itself: up to which number it has the chain of the store whose copies it has, and which numbers of it, and which backups from before the
 * chain, it does not have. Without it nobody could tell a backup that was never copied from one that somebody has deleted there. It is signed as a link is. Format and
 * promises: docs/formats.md, "Stores of copies". Pure; any thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/sign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COPIED_VERSION   1
#define COPIED_KEY       "state/copied.json"
#define COPIED_MAX_BYTES ((size_t)64 << 20)

/** struct copied_range - numbers, both ends included. */
struct copied_range {
	int64_t first, last;
};

struct copied {
	int64_t at_us;
	char *store;                 /* which one it is, for people; heap */
	char chain[CHAIN_ID_BYTES];  /* of the store whose copies it has */
	int64_t sequence;            /* it has all up to this number, but for: */
	struct copied_range *absent; /* ascending, and apart from one another; heap */
	size_t absent_count;
	char **before; /* paths of backups from before the chain, in byte order; heap, each */
	size_t before_count;
	struct signature signature; /* of one that was decoded: not verified there */
};
void copied_finish(struct copied *c);
static inline void cleanup_copied(struct copied *c)
{
	copied_finish(c);
}

/** copied_add_absent() - that number, greater than those that were added before. */
void copied_add_absent(struct copied *c, int64_t sequence);
/** copied_add_before() - that path; copied_sort() when all were added. */
void copied_add_before(struct copied *c, const char *path);
void copied_sort(struct copied *c);
/** copied_lacks() - does it say that it does not have that number? */
bool copied_lacks(const struct copied *c, int64_t sequence);
/** copied_lacks_before() - or that backup from before the chain? */
bool copied_lacks_before(const struct copied *c, const char *path);

/** copied_encode() - the object. @key: signs it; NULL: what is hashed to see whether it says anything new: without its time and its end. */
void copied_encode(const struct copied *c, const struct sign_key *key, struct str *out);
/** copied_decode() - -EBADMSG with a message that names COPIED_KEY; -ENOTSUP: a newer keepfs has written it. */
int copied_decode(const char *json, size_t len, struct copied *ret, struct error *err);
/** copied_is_signed_by() - does the signature of this text, which was decoded, fit @key? */
bool copied_is_signed_by(const struct copied *c, const struct sign_public *key, const char *json, size_t len);
