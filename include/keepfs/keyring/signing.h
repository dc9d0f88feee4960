// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The keys that sign, and those whose signatures are believed: [keepfs] signing_key, signing_key_old (keepfs/secret.h) and verify_key_file, as they
 * were when they were last read. A reload reads them anew; whoever is at work keeps the ones that he has.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sign.h>
#include <stddef.h>

struct conf;

/** struct signing_keys - never changed once they are read. */
struct signing_keys {
	const struct sign_key *key;         /* that signs; NULL: nothing is signed */
	const struct sign_key *old;         /* that signed before, and vouches for @key; NULL: none */
	const struct sign_public *believed; /* those of both, and all of verify_key_file */
	size_t count;
};

/** struct signing - for all threads. */
struct signing;

/** signing_new() - as @conf says; without any key there is nothing to sign or to believe by. -EINVAL, -EPERM, … with the key of the configuration, the file and what
 * to do. Blocks on the local disk, and for a command that prints one. */
int signing_new(const struct conf *conf, struct signing **ret, struct error *err);
/** signing_free() - when nobody has any keys of it any more. NULL allowed; returns NULL. */
struct signing *signing_free(struct signing *s);
DEFINE_CLEANUP(signing, struct signing *, signing_free)
/** signing_read_again() - as @conf says now; a failure leaves all as it was. */
int signing_read_again(struct signing *s, const struct conf *conf, struct error *err);
/** signing_ref(), signing_unref() - the keys in force, which last until they are given back. */
const struct signing_keys *signing_ref(struct signing *s);
void signing_unref(const struct signing_keys *keys);
DEFINE_CLEANUP(signing_ref, const struct signing_keys *, signing_unref)

/** signing_find() - the believed key of that name; NULL. */
const struct sign_public *signing_find(const struct signing_keys *keys, const char *id);

/** struct signing_publics - public keys from files. Begin with {0}. */
struct signing_publics {
	struct sign_public *items; /* heap */
	size_t count;
};
void signing_publics_finish(struct signing_publics *p);
static inline void cleanup_signing_publics(struct signing_publics *p)
{
	signing_publics_finish(p);
}
/** signing_read_publics() - add those of @path: a file with one or several in PEM, or a directory of files NAME.pem. @what names it in messages. */
int signing_read_publics(const char *what, const char *path, struct signing_publics *p, struct error *err);
