// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The probe (`keepfs check`, control/probe): does everything that a backup needs work now? */
#include <keepfs/catalog/probes.h>
#include <keepfs/conf.h>
#include <keepfs/store.h>

struct cancel;
struct catalog;

#define CHECK_MAX 64

struct check_result {
	size_t count;
	size_t failed;
	struct catalog_probe items[CHECK_MAX];
};

/**
 * check_verify_store() - the part of it that is about the store alone; when it passes that is kept in @catalog, for @store_url
 * @cancel: NULL: nobody can
 * Return: 0; negative errno with @err. Blocking, for at most some 20 s.
 */
int check_verify_store(struct store *store, const char *store_url, struct catalog *catalog,
                       struct cancel *cancel, struct error *err);

/**
 * check_run() - store (writes, reads back, deletes a small object), each job's databases (connect, version,
 * rights, space), pg_dump found and not older than the server, /dev/fuse, space for the catalog; secrets that are elsewhere than in the configuration; the mail server and the templates of notices, of which nothing is sent
 * @store:   NULL: it could not be opened, for the reason in @store_err
 * @catalog: where the result is kept; NULL: nowhere
 * Every item's detail says "ok" facts or what is wrong and what to do. Blocking, within the store's deadline
 * and 10 s a connection.
 */
void check_run(const struct conf *conf, struct store *store, const struct error *store_err,
               struct catalog *catalog, struct check_result *ret);

/** check_rights() - append a script (of psql) that gives the jobs the rights that they need at their servers, for a superuser
 * to look at and to run. Nothing is changed here. Blocking, within 10 s a connection. */
void check_rights(const struct conf *conf, struct str *script);
