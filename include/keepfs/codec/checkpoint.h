// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A checkpoint: how far the audit and the chain of signed manifests had come at a time, in an object of its own. Whoever can write into the catalog can make the audit
 * anew; a checkpoint of before, which he could not change, shows that. Format and promises: docs/formats.md, "Checkpoints". Pure; any thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/audit_chain.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/sign.h>
#include <stdint.h>

#define CHECKPOINT_VERSION    1
#define CHECKPOINT_PREFIX     "checkpoints/"
#define CHECKPOINT_OBJECT_MAX ((size_t)64 << 10)

struct checkpoint {
	int64_t at_us;
	char *host, *keepfs_version; /* heap */
	struct audit_head audit;     /* the newest line of the audit */
	struct chain_place end;      /* the last link of the chain of the store; sequence 0: it has none */
	char *previous_key;          /* of the checkpoint before this one; heap; NULL: it is the first */
	char previous[SHA256_HEX_BYTES]; /* the SHA-256 of that object */
	struct signature
	        signature; /* of one that was decoded; its key is "": it is not signed. It is not verified there */
};
void checkpoint_finish(struct checkpoint *c);
static inline void cleanup_checkpoint(struct checkpoint *c)
{
	checkpoint_finish(c);
}

/** checkpoint_encode() - the object. @key: signs it; NULL: it is not signed. */
void checkpoint_encode(const struct checkpoint *c, const struct sign_key *key, struct str *out);
/** checkpoint_decode() - -EBADMSG with a message that names @source; -ENOTSUP: a newer keepfs has written it. */
int checkpoint_decode(const char *source, const char *json, size_t len, struct checkpoint *ret,
                      struct error *err);
/** checkpoint_is_signed_by() - does the signature of this text, which was decoded, fit @key? */
bool checkpoint_is_signed_by(const struct checkpoint *c, const struct sign_public *key, const char *json,
                             size_t len);
/** checkpoint_key() - heap: "checkpoints/20261120T020000Z-000000000017.json": its time and the number of the line. */
char *checkpoint_key(const struct checkpoint *c);
