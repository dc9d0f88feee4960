// SPDX-License-Identifier: Apache-2.0
/* What manifests name, read and held against what they say of it. */
#include "prove_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define PIECE_BYTES ((size_t)1 << 20)

static bool hash_object(struct proof *p, const struct manifest_object *o,
                        char ret_hex[static SHA256_HEX_BYTES], struct error *err, int *ret_failure)
{
	_cleanup(free) uint8_t *piece = mem_alloc(PIECE_BYTES);
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];
	uint64_t at = 0;
	int r = 0;

	while (r == 0 && at < o->stored_bytes) {
		size_t len =
		        o->stored_bytes - at < PIECE_BYTES ? (size_t)(o->stored_bytes - at) : PIECE_BYTES;
		const struct iovec iov = {piece, len};

		r = store_get(p->store, &p->call, o->key, at, &iov, 1, NULL, err);
		if (r == 0)
			sha256_update(h, piece, len);
		at += len;
	}
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), ret_hex);
	*ret_failure = r;
	return r == 0;
}

static int prove_object(struct proof *p, const struct manifest *m, const struct manifest_object *o,
                        struct error *err)
{
	char hex[SHA256_HEX_BYTES];
	struct store_object there;
	int failure, r = store_head(p->store, &p->call, o->key, &there, err);

	if (r == -ENOENT) {
		proof_find(p, PROVE_OBJECT, "%s: %s is not there", m->path, o->key);
		return 0;
	}
	if (r < 0)
		return r;
	if (there.bytes != o->stored_bytes) {
		proof_find(p, PROVE_OBJECT, "%s: %s has %" PRIu64 " bytes, and should have %" PRIu64, m->path,
		           o->key, there.bytes, o->stored_bytes);
		return 0;
	}
	if (!hash_object(p, o, hex, err, &failure))
		return failure;
	if (o->stored_sha256[0] && strcmp(hex, o->stored_sha256) != 0)
		proof_find(
		        p, PROVE_OBJECT,
		        "%s: %s has other bytes than those that were signed: its SHA-256 is %s, and should be %s",
		        m->path, o->key, hex, o->stored_sha256);
	pthread_mutex_lock(&p->lock);
	p->result.objects++;
	p->result.object_bytes += o->stored_bytes;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static int prove_extents(struct proof *p, const struct manifest *m, struct error *err)
{
	_cleanup(free) char *data = NULL;
	char hex[SHA256_HEX_BYTES];
	size_t len = 0;
	int r;

	if (!m->extents_key)
		return 0;
	r = store_get_all(p->store, &p->call, m->extents_key, MANIFEST_MAX_BYTES, &data, &len, err);
	if (r < 0 && r != -ENOENT && r != -EFBIG)
		return r;
	if (r == 0)
		sign_hash(data, len, hex);
	if (r < 0 || strcmp(hex, m->extents_sha256) != 0)
		proof_find(p, PROVE_OBJECT, "%s: %s is not there, or not the one that was signed", m->path,
		           m->extents_key);
	return 0;
}

int proof_read_objects(struct proof *p, const struct manifest *m, struct error *err)
{
	int r = p->options->objects ? prove_extents(p, m, err) : 0;

	/* What was adopted lies in a place of somebody else: 'keepfs verify' reads it there. */
	for (size_t i = 0; r == 0 && p->options->objects && i < m->object_count; i++)
		if (!manifest_adopted_in(m->objects[i].key, NULL))
			r = prove_object(p, m, &m->objects[i], err);
	return r;
}
