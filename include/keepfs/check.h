// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The probe (`keepfs check`, control/probe): does everything that a backup needs work now? */
#include <keepfs/catalog/probes.h>
#include <keepfs/conf.h>
#include <keepfs/store.h>

struct catalog;

#define CHECK_MAX 64

struct check_result {
	size_t count;
	size_t failed;
	struct catalog_probe items[CHECK_MAX];
};

/**
 * check_run() - store (writes, reads back, deletes a small object), each job's databases (connect, version,
 * rights, space), pg_dump found and not older than the server, /dev/fuse, space for the catalog
 * @store:   NULL: it could not be opened, for the reason in @store_err
 * @catalog: where the result is kept; NULL: nowhere
 * Every item's detail says "ok" facts or what is wrong and what to do. Blocking, within the store's deadline
 * and 10 s a connection.
 */
void check_run(const struct conf *conf, struct store *store, const struct error *store_err,
               struct catalog *catalog, struct check_result *ret);
