// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which store has an artifact. Most are in the store that the catalog belongs to, whose number is 0. What else there is has a row here, and
 * what that says is where it is, never how to get in: names and addresses, so that an artifact is found again as long as somebody has
 * the key, whatever became of the configuration, and of the tenant whose it is. Rows are never given to another address. See keepfs/catalog.h for what is true of
 * every function.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

#define CATALOG_MAIN_STORE UINT64_C(0)

/** struct catalog_store - where it is; heap, all but numbers; "" where nothing is to be said. */
struct catalog_store {
	uint64_t id;
	char *name;        /* of its section [store NAME]; "": a query named its address */
	char *tenant;      /* the slug of the one tenant whose it is, by that query; "": of a section */
	char *url;         /* "s3://bucket/prefix" */
	char *endpoint;    /* "": AWS */
	char *region;      /* as it was last named */
	char *credentials; /* by a query: the name of the file, as it was last named */
	char *trouble; /* why it could not be listed or tried when that was last done; "": it could, or nobody has */
	int64_t trouble_us; /* since when */
	uint64_t artifacts; /* that it has, those in the trash and those that are being deleted included */
};
void catalog_store_finish(struct catalog_store *s);
static inline void cleanup_catalog_store(struct catalog_store *s)
{
	catalog_store_finish(s);
}

/**
 * catalog_note_store() - the number of the store at that address, which has one from now on
 * @store: what names it is all of name, tenant, url and endpoint; region and credentials are noted anew
 */
int catalog_note_store(struct catalog *c, const struct catalog_store *store, uint64_t *ret_id,
                       struct error *err);
/** catalog_get_store() - by its number, which is not 0; -ENOENT. */
int catalog_get_store(struct catalog *c, uint64_t id, struct catalog_store *ret);
/** catalog_each_store() - call @row for each, in the order of their numbers, beginning behind @after. Each is a query of its own, so @row may
 * call the catalog. What it returns ends it, if it is not 0, and is returned. */
int catalog_each_store(struct catalog *c, uint64_t after,
                       int (*row)(void *arg, const struct catalog_store *store, struct error *err), void *arg,
                       struct error *err);
/** catalog_set_store_trouble() - it could not be listed (@why), or could be (NULL). A rebuild keeps what is listed of a store that is in trouble. */
int catalog_set_store_trouble(struct catalog *c, uint64_t id, const char *why, struct error *err);
/** catalog_store_of() - which has the artifact @path: listed, in the trash, being deleted, or announced by an intent.
 * CATALOG_MAIN_STORE also when there is none of that path. */
int catalog_store_of(struct catalog *c, const char *path, uint64_t *ret_id);
/** catalog_store_of_ino() - the same of an artifact that has that number, or of one of whose files it is. */
int catalog_store_of_ino(struct catalog *c, uint64_t ino, uint64_t *ret_id);
