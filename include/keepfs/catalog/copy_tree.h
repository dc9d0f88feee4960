// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * copies/: the copies that further stores have, as a tree: copies/<store>/<path of the artifact>, with the names that its manifest gives. It is filled when a copy is known to be whole,
 * and what the store has no more leaves it (triggers on the rows of replicas); one that is damaged stays, as it does in backups/. So whoever lists it asks no store. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/codec/manifest.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** copy_tree_ino() - of what is at @path, "" being the store's own directory, in the tree of the store with that number. Bits 60 and 58 are set, and no other above; the lowest is not: with
 * it set it is for what is made up in that directory. Pure. */
uint64_t copy_tree_ino(uint64_t store, const char *path);

/** catalog_set_copy_tree() - @store has all of @m; what the tree had of that artifact is replaced. */
int catalog_set_copy_tree(struct catalog *c, uint64_t store, const struct manifest *m, struct error *err);
/** catalog_has_copy_tree() - 1: the tree has that artifact; 0; negative errno. */
int catalog_has_copy_tree(struct catalog *c, uint64_t store, const char *path);
/** catalog_sweep_copy_tree() - drop directories that are empty now. */
int catalog_sweep_copy_tree(struct catalog *c, struct error *err);

/** catalog_copy_entry() - by its number; its kind says nothing; -ENOENT. */
int catalog_copy_entry(struct catalog *c, uint64_t ino, struct catalog_entry *ret);
/** catalog_copy_child() - by its name as the manifest has it; -ENOENT. */
int catalog_copy_child(struct catalog *c, uint64_t parent_ino, const char *name, struct catalog_entry *ret);
/** catalog_copy_children() - a page of a directory, as catalog_entries(). */
ssize_t catalog_copy_children(struct catalog *c, uint64_t parent_ino, int64_t after,
                              struct catalog_entry *ret, size_t max);
/** catalog_copy_tree_of() - the number of the store whose copies are below copies/<name>/: of those that this section ever was the last; -ENOENT: it has none. */
int catalog_copy_tree_of(struct catalog *c, const char *name, uint64_t *ret_store);

/** struct catalog_copy_place - where a file of the tree comes from. */
struct catalog_copy_place {
	uint64_t store;
	char path[REPLICA_PATH_BYTES]; /* of the artifact; "" of a directory that is above artifacts */
	char shown[REPLICA_PATH_BYTES + NAME_MAX_BYTES]; /* of the file itself, below copies/<store>/ */
	char file[REPLICA_PATH_BYTES];                   /* as the manifest calls it; "": it is a directory */
};
/** catalog_copy_place() - -ENOENT. */
int catalog_copy_place(struct catalog *c, uint64_t ino, struct catalog_copy_place *ret);

/** struct catalog_copy_facts - what is known of a file of the tree, or of an artifact that is a directory. */
struct catalog_copy_facts {
	struct catalog_replica replica;
	struct manifest
	        manifest; /* what it says of the whole; no files, no objects: the caller's manifest_finish() */
	char sha256[SHA256_HEX_BYTES],
	        stored_sha256[SHA256_HEX_BYTES]; /* of the file, of its object; "": not known */
	uint64_t stored_bytes;                   /* of its object; of a directory: of its files */
};
/** catalog_copy_facts() - -ENOENT: @ino is above artifacts, or a directory in one, or is not there. */
int catalog_copy_facts(struct catalog *c, uint64_t ino, struct catalog_copy_facts *ret);
/** catalog_copy_has_sums() - are there artifacts in this directory, so that it has SHA256SUMS? */
bool catalog_copy_has_sums(struct catalog *c, uint64_t directory_ino);
/** catalog_copy_sums() - call @row with each line of it, by name, without its end. @as_stored: what is encrypted is shown as it is stored, and so are its lines. */
int catalog_copy_sums(struct catalog *c, uint64_t directory_ino, bool as_stored,
                      void (*row)(void *arg, const char *line), void *arg);
