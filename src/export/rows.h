// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The rows of one table, or of a range of its pages: out of the server, proven, looked at for secrets, and converted. A struct rows belongs to one
 * thread; several of the same table may be read at once, each over a connection of its own.
 */
#include "writer.h"

struct rows_order {                         /* borrowed */
	const struct export_format *format; /* NULL: nothing is converted */
	const struct decided *decided;
	const struct export_tenant *tenant;
	const struct conf_export *conf;
	const unsigned char *key; /* of `hash`; NULL */
};

struct rows_out { /* any thread */
	/* What the format has made of the next @rows rows; of a range the first comes alone. */
	int (*take)(void *arg, const char *bytes, size_t len, uint64_t rows, struct error *err);
	/* Waits to keep to a rate, or ends it with an error. */
	int (*pace)(void *arg, uint64_t bytes, struct error *err);
	/* A column of which a value looks like a secret, once for each range; only with secrets_unsure = warn. */
	void (*suspect)(void *arg, const char *column, const char *why);
	void *arg;
};

struct rows;
/** rows_new() - of number @decision of the plan; nothing is asked yet. */
struct rows *rows_new(const struct rows_order *order, size_t decision);
struct rows *rows_free(struct rows *t); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(rows, struct rows *, rows_free)
/** rows_table() - how a writer is told of it; borrowed. */
struct export_table rows_table(const struct rows *t);
/** rows_range() - only those of the pages [from, to) from now on; as pg_tenant_rows says. */
void rows_range(struct rows *t, uint32_t from_page, uint32_t to_page);
/** rows_read() - all of them to @out. -EPERM: a row is another tenant's, or a value looks like a secret; else what the server said, or @out returned.
 * Once. */
int rows_read(struct rows *t, struct pg_session *session, const struct rows_out *out, struct error *err);
/** rows_cost() - what the server's planner thinks of it. */
int rows_cost(const struct rows *t, struct pg_session *session, struct pg_tenant_cost *ret,
              struct error *err);

/** rows_hidden() - are there more rows of that table that are the tenant's, as the session sees it now, than the @seen ones? 1; 0; as pg_tenant_exists(). */
int rows_hidden(const struct rows_order *order, struct pg_session *session, size_t decision, uint64_t seen,
                struct error *err);
/** rows_count() - how many; rows_nobodys() - how many of that table are no tenant's at all, and so in no export. */
int rows_count(const struct rows_order *order, struct pg_session *session, size_t decision, uint64_t *ret,
               struct error *err);
int rows_nobodys(const struct rows_order *order, struct pg_session *session, size_t decision, uint64_t *ret,
                 struct error *err);
/** rows_any_nobodys() - are there any? 1; 0; as pg_tenant_exists(). */
int rows_any_nobodys(const struct rows_order *order, struct pg_session *session, size_t decision,
                     struct error *err);
