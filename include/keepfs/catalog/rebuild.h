// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The frame of a rebuild: what is listed is made anew from the store. */
#include <keepfs/base/error.h>
#include <stdbool.h>

struct catalog;

/**
 * catalog_begin_rebuild(), catalog_end_rebuild() - between them all artifact rows are replaced in one
 * transaction: commit or nothing
 *
 * It belongs to the calling thread, which also adds the artifacts and ends it; other writers wait for the
 * end. Tombs stay, and what is in a store that is in trouble (catalog_set_store_trouble()).
 */
int catalog_begin_rebuild(struct catalog *c, struct error *err);
int catalog_end_rebuild(struct catalog *c, bool commit, struct error *err);
