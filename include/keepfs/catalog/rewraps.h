// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Artifacts that are rewrapped (artifact_rewrap()): from before their first new object is written until what their manifest does not name any more is gone
 * from the store. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <stdint.h>

struct catalog;

#define REWRAP_WHY_BYTES 512

struct catalog_rewrap {
	uint64_t ino;               /* of the artifact */
	char path[512];             /* of it */
	int64_t since_us;           /* when it was begun */
	int64_t until_us;           /* the store does not let its old objects go before; 0: not known */
	char why[REWRAP_WHY_BYTES]; /* they are still there; "": nobody has said */
	char manifest
	        [SHA256_HEX_BYTES]; /* SHA-256 of the manifest that was put last, or was about to be; "": none was yet */
};

/** catalog_begin_rewrap() - artifact @ino is about to get other objects; 0 also when that is known: then it is not put off any more. */
int catalog_begin_rewrap(struct catalog *c, uint64_t ino, const char *path, int64_t now_us,
                         struct error *err);
/** catalog_expect_rewrap() - the manifest with the SHA-256 @manifest is about to be put in place of the one that it has. */
int catalog_expect_rewrap(struct catalog *c, uint64_t ino, const char *manifest, struct error *err);
/** catalog_put_off_rewrap() - old objects of it are there, and stay for a while. */
int catalog_put_off_rewrap(struct catalog *c, uint64_t ino, int64_t until_us, const char *why,
                           struct error *err);
/** catalog_end_rewrap() - the store has nothing but what the manifest names. */
int catalog_end_rewrap(struct catalog *c, uint64_t ino, struct error *err);
/** catalog_next_rewrap() - the first behind @after_ino; -ENOENT: none. */
int catalog_next_rewrap(struct catalog *c, uint64_t after_ino, struct catalog_rewrap *ret);
/** catalog_rewrap_of() - that of @ino; -ENOENT: it is not being rewrapped. */
int catalog_rewrap_of(struct catalog *c, uint64_t ino, struct catalog_rewrap *ret);

/**
 * catalog_relist_artifact() - the artifact of @m, which is listed, has these objects and recipients now; all else stays as it was
 *
 * One transaction, in which its replicas become wanted again. Its extents must be loaded. Return: 0; -ENOENT: it is not listed, or has other files.
 */
int catalog_relist_artifact(struct catalog *c, const struct manifest *m, struct error *err);
