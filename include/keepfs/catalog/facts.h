// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Facts of encrypted artifacts that are not in their manifests, since they name tables: a catalog that was rebuilt where there is no identity
 * does not have them. See keepfs/catalog.h for what is true of every function. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdint.h>

struct catalog;

/** struct catalog_unlearned - an artifact whose hidden facts are not known. Begin with {0}. */
struct catalog_unlearned {
	uint64_t ino;
	char *key;          /* heap: of the object that holds them (MANIFEST_ROLE_FACTS) */
	char *cipher;       /* heap; NULL: it is not encrypted */
	char *encrypted_to; /* heap: its recipients, as the manifest has them */
};
void catalog_unlearned_finish(struct catalog_unlearned *u);
static inline void cleanup_catalog_unlearned(struct catalog_unlearned *u)
{
	catalog_unlearned_finish(u);
}

/** catalog_next_unlearned() - that with the next inode number behind @after (0: the first); -ENOENT: there is no more. */
int catalog_next_unlearned(struct catalog *c, uint64_t after, struct catalog_unlearned *ret);
/** catalog_learn_facts() - @facts, an object of JSON, become facts of @ino; those of these names that it had are replaced. One that is not listed any more is
 * no failure. */
int catalog_learn_facts(struct catalog *c, uint64_t ino, const char *facts, struct error *err);
