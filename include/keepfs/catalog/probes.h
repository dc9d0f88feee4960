// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The last result of `keepfs check`. See keepfs/catalog.h for what is true of every function. */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** CATALOG_PROBE_OBJECT_LOCK - the check of that name, and of those of a further store, "object lock [store NAME]": health judges it by itself, whatever has run since. */
#define CATALOG_PROBE_OBJECT_LOCK "object lock"

struct catalog_probe {
	char check[64]; /* "store", "database full", … */
	bool ok;
	int64_t at_us;
	char detail[1024];
	char fix[1024]; /* what mends it, on one line: a statement, a command, a line of a file; "": not known */
};
/** catalog_set_probes() - the result of one whole probe replaces the last. */
int catalog_set_probes(struct catalog *c, const char *store_url, const struct catalog_probe *probes,
                       size_t count, struct error *err);
/** catalog_probes() - the last result, in the order of the checks, at most @max; returns how many. */
ssize_t catalog_probes(struct catalog *c, struct catalog_probe *probes, size_t max);
/** catalog_set_store_verified() - the store check passed at @at_us, without a whole probe: the last result stays. */
int catalog_set_store_verified(struct catalog *c, const char *store_url, int64_t at_us, struct error *err);
/** catalog_store_verified() - when the store check last passed for this @store_url; 0: never. */
int64_t catalog_store_verified(struct catalog *c, const char *store_url);
