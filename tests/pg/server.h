// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A database on the server that on_postgres has started, for one program of tests. */
#include "../../src/pg/statement.h"

#include <keepfs/base/str.h>

/* The server's connection string; its directory, which the server may write to. */
const char *server_conninfo(void);
const char *server_directory(void);
/* Heap: the path of one of its programs. */
char *server_program(const char *name);

/* server_database() - make it; asserts. */
void server_database(const char *database);
/* server_open(), server_run(), server_value() - as in the two headers of sessions; a failure is told and ends
 * the test. */
struct pg_session *server_open(const char *database, struct cancel *cancel);
void server_run(struct pg_session *s, const char *sql);
char *server_value(struct pg_session *s, const char *sql);
/* server_expect() - the value of @sql. */
void server_expect(struct pg_session *s, const char *sql, const char *expected);
/* server_wait() - until @sql gives 't'; fails after a minute. */
void server_wait(struct pg_session *s, const char *sql);
/* server_append() - a pg_take_data: to the struct str @arg. */
int server_append(void *arg, const void *data, size_t len, struct error *err);
