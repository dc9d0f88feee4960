// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which databases there are: by a query on a registry, and by what a server has itself. Each call connects, asks within a
 * transaction that only reads, and disconnects, with the limits of pg_learn(); any thread. Failures: negative errno, and @err with
 * the server's words, a hint, and without passwords.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <stdbool.h>

/** PG_DATABASES_MAX - an answer of more rows is refused: memory is for backups. */
#define PG_DATABASES_MAX 20000

/** pg_take_database - a row; borrowed. @name, @class: NULL for NULL; @class also when there is no such column. A negative
 * return ends it, and is returned. */
typedef int (*pg_take_database)(void *arg, const char *name, const char *class, struct error *err);

/**
 * pg_ask_registry() - @take for each row of the answer to @query, in its order
 * @query: one statement that begins with SELECT or WITH, with one or two columns, of whatever types; it sees the search_path of
 *         its role. The server ends it after 25 s.
 * @database: replaces the one that @conninfo names; NULL: as it says
 * Return: 0; -EINVAL (ERROR_USAGE): not one or two columns; -E2BIG: too many rows; else what the server said.
 */
int pg_ask_registry(const char *conninfo, const char *database, const char *query, struct cancel *cancel,
                    pg_take_database take, void *arg, struct error *err);

/** pg_list_databases() - @take for each database of the server that takes connections and is no template, by name. What a DROP
 * DATABASE left half dropped is none. @database: as above; NULL, and none is named: "postgres" */
int pg_list_databases(const char *conninfo, const char *database, struct cancel *cancel,
                      pg_take_database take, void *arg, struct error *err);

#define PG_SERVER_ID_BYTES 128
/** pg_server_id() - what tells this server from others: its system identifier, which its standbys share, or "host:port"
 * when the role may not read it. */
int pg_server_id(const char *conninfo, const char *database, struct cancel *cancel,
                 char ret[static PG_SERVER_ID_BYTES], struct error *err);

/** pg_database_is_empty() - does it hold nothing but what every new database holds? 1; 0; negative errno. */
int pg_database_is_empty(const char *conninfo, const char *database, struct cancel *cancel,
                         struct error *err);
