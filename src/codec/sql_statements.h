// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * SQL text, in pieces of any size, cut into statements. A statement is kept until its semicolon, and at most SQL_STATEMENT_MAX bytes of it: a longer one is
 * passed over. What stands in quotes and comments does not end one, and a line of psql's own, beginning with a backslash, is none (codec/sql_lexer.h).
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>

#define SQL_STATEMENT_MAX ((size_t)4 << 20)

struct sql_statements;
/** sql_statement_take - without its semicolon, with the comments in front of it; borrowed. Other than 0 ends the reading with that. */
typedef int (*sql_statement_take)(void *arg, const char *statement, struct error *err);

struct sql_statements *sql_statements_new(sql_statement_take take, void *arg);
struct sql_statements *sql_statements_free(struct sql_statements *s); /* NULL allowed; returns NULL */
/** sql_statements_escape() - from here on: do backslashes escape in '…'? (standard_conforming_strings is off) */
void sql_statements_escape(struct sql_statements *s, bool escape);
/** sql_statements_feed() - Return: 0; what sql_statement_take() returned, again and again from then on. */
int sql_statements_feed(struct sql_statements *s, const void *data, size_t len, struct error *err);
