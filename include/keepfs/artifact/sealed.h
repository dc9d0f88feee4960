// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Reading what the store holds of an artifact, encrypted or not. Whoever reads bytes of artifacts goes one of two ways: in order, by
 * sealed_read(), or at random, by the room `reader` with the layout of sealed_layout(). Both check the CRC-32C of the stored bytes
 * before anything else is done with them.
 */
#include <keepfs/artifact.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/age.h>
#include <keepfs/reader.h>
#include <stdatomic.h>

/** sealed_is_known() - does this keepfs know how to read it: is it not encrypted, or by age? */
bool sealed_is_known(const struct manifest_object *o);
/** sealed_refuse_unknown() - -ENOTSUP: @what is kept in a way that a newer keepfs knows. */
int sealed_refuse_unknown(const struct manifest_object *o, const char *what, struct error *err);

/** struct sealed_object - an object that is read; all borrowed. */
struct sealed_object {
	const struct repository *repo;
	struct store *store;                  /* that has it */
	const struct manifest_object *object; /* with its extents */
	const char *what;                     /* its path, for messages; NULL: its key */
	const char *encrypted_to;             /* as the manifest has it; NULL: not known */
	struct cancel *cancel;                /* NULL: it cannot be cancelled */
};

/**
 * sealed_key() - the keys of an object that is encrypted; the caller's age_key_wipe()
 * Gets the first extent of the object, unless the keyring knows its keys; a passphrase takes a second.
 * Return: as keyring_open(); -EBADMSG (ERROR_CORRUPT) when the bytes are not those that were sent; what the store returned.
 */
int sealed_key(const struct sealed_object *o, struct age_key *ret, struct error *err);
/** sealed_layout() - for reader_open(), which consumes it: *@ret is NULL when the object is not encrypted. As sealed_key(). */
int sealed_layout(const struct sealed_object *o, struct reader_layout **ret, struct error *err);

/** struct sealed_reading - of an object, or of a range of it. */
struct sealed_reading {
	struct sealed_object of;
	struct pool *pool;
	atomic_uint_least64_t *done_bytes; /* stored ones; NULL */
	bool as_stored; /* nothing is decrypted, so that no key is needed: digests are of what is stored, and nobody is given bytes */
	bool is_range;
	uint64_t begin,
	        end; /* with is_range: of the file, @begin < @end; all whose cells or extents have bytes of it are read */
	int (*take)(void *arg, const void *data, size_t len,
	            struct error *err); /* plain bytes, in order; of a range, these alone */
	void *arg;
};
struct sealed_digests {
	char plain[SHA256_HEX_BYTES],
	        stored[SHA256_HEX_BYTES]; /* of what was read; the same where nothing is encrypted */
};
/**
 * sealed_read() - in order, as stream_readback()
 * @ret: NULL for a range
 * Return: 0; as stream_readback() and sealed_key(); -EBADMSG (ERROR_CORRUPT), with error.damage, when a cell cannot be decrypted, or the object is
 * too short for the range; what @take returned.
 */
int sealed_read(const struct sealed_reading *reading, struct sealed_digests *ret, struct error *err);

/** sealed_take_facts() - the facts of @m that its manifest must not have (MANIFEST_ROLE_FACTS) are read, where this host can: else they stay unknown. Blocks
 * on the store. */
void sealed_take_facts(const struct repository *repo, struct store *store, const struct store_call *call,
                       struct manifest *m);

/** struct sealed_opener - what makes the stored bytes of an object plain as they come in order: for whoever reads by himself. */
struct sealed_opener;
struct sealed_opener_options {
	const struct age_key *key; /* copied */
	uint64_t begin,
	        end; /* of the object: where the bytes that come begin, a cell's border or 0; and where it ends */
	const char *what; /* for messages; borrowed */
	int (*take)(void *arg, const void *data, size_t len,
	            struct error *err); /* NULL: they are only hashed */
	void *arg;
};
struct sealed_opener *sealed_opener_new(const struct sealed_opener_options *options);
struct sealed_opener *sealed_opener_free(struct sealed_opener *o); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(sealed_opener, struct sealed_opener *, sealed_opener_free)
/** sealed_opener_feed() - @arg: the opener. -EBADMSG (ERROR_CORRUPT), with error.damage; what take() returned. */
int sealed_opener_feed(void *arg, const void *data, size_t len, struct error *err);
/** sealed_opener_end() - all came: the SHA-256 of the plain bytes. -EBADMSG: the object ends within a cell. */
int sealed_opener_end(struct sealed_opener *o, char ret_sha256[static SHA256_HEX_BYTES], struct error *err);
