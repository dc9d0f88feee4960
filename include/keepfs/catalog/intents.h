// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Intents: objects that a run is about to write. Recorded before the first byte, so that a crash leaves
 * nothing that the next start cannot find. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** catalog_add_intent() - the artifact @path is about to be written; -EEXIST when its place in the directory
 * is taken, -EINVAL when it is no path of an artifact. */
int catalog_add_intent(struct catalog *c, int64_t run_id, const char *path, struct error *err);
/** catalog_add_intent_in() - the same, in the store @store (keepfs/catalog/stores.h) and not in the catalog's own. */
int catalog_add_intent_in(struct catalog *c, int64_t run_id, const char *path, uint64_t store,
                          struct error *err);
/** catalog_intent_run() - the run that announced @path; -ENOENT. */
int catalog_intent_run(struct catalog *c, const char *path, int64_t *ret_run_id);
/** catalog_drop_intent() - it did not come to be; 0 also when there is no such intent. */
int catalog_drop_intent(struct catalog *c, const char *path, struct error *err);
/** catalog_intents() - call @row for each. */
int catalog_intents(struct catalog *c, void (*row)(void *arg, int64_t run_id, const char *path), void *arg);
/** catalog_sequence_taken() - is there an artifact, tomb or intent of this directory at @sequence? */
bool catalog_sequence_taken(struct catalog *c, const char *directory_path, int64_t sequence);
/** catalog_stem_taken() - 1 when an artifact with that stem ("2026-11-20") is in the directory, is being deleted there,
 * or announced; 0; negative errno. */
int catalog_stem_taken(struct catalog *c, const char *directory_path, const char *stem);
/** catalog_stem_is_of_another() - 1 when the artifact with that stem says by its fact "path" that it was made of another place
 * than @path; 0 also when there is none, or it does not say; negative errno. */
int catalog_stem_is_of_another(struct catalog *c, const char *directory_path, const char *stem,
                               const char *path);
