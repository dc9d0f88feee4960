// SPDX-License-Identifier: Apache-2.0
#pragma once
/** SQL text, cut into its statements as it comes. Quotes, dollar quotes and comments are heeded; what begins with a backslash at the
 * beginning of a line is for psql, and left out. Pure. */
#include <keepfs/base/error.h>
#include <stddef.h>

struct statements;
/** statements_new() - @take is called with each statement, without its semicolon, and without comments in front; borrowed for the call. */
struct statements *statements_new(int (*take)(void *arg, const char *sql, struct error *err), void *arg);
struct statements *statements_free(struct statements *s);
/** statements_feed() - what @take returned; -E2BIG: a statement is longer than 16 MiB. */
int statements_feed(struct statements *s, const void *data, size_t len, struct error *err);
/** statements_end() - what came behind the last semicolon is taken, too. */
int statements_end(struct statements *s, struct error *err);
