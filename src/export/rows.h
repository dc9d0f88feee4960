// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The rows of one table: out of the server, checked, and to the writer. */
#include "writer.h"

struct rows_order { /* borrowed */
	struct pg_session *session;
	struct export_writer *writer; /* of rows_export() alone */
	const struct decided *decided;
	const struct export_tenant *tenant;
	const struct conf_export *conf;
	const unsigned char *key; /* of `hash`; NULL */
	/* Waits to keep to a rate, or ends it with an error. */
	int (*pace)(void *arg, uint64_t bytes, struct error *err);
	/* A column of which a value looks like a secret, once for each; only with secrets_unsure = warn. */
	void (*suspect)(void *arg, const char *column, const char *why);
	void *arg;
};

/** rows_export() - number @decision of the plan, the whole table of the writer, which has counted its rows then. -EPERM: a row is another tenant's, or a value looks like a
 * secret; else what the server said. */
int rows_export(const struct rows_order *order, size_t decision, struct error *err);
/** rows_hidden() - are there more rows of that table that are the tenant's, as the session sees it now, than the @seen ones? 1; 0; as pg_tenant_exists(). */
int rows_hidden(const struct rows_order *order, size_t decision, uint64_t seen, struct error *err);
/** rows_count() - how many; rows_nobodys() - how many of that table are no tenant's at all, and so in no export. */
int rows_count(const struct rows_order *order, size_t decision, uint64_t *ret, struct error *err);
int rows_nobodys(const struct rows_order *order, size_t decision, uint64_t *ret, struct error *err);
/** rows_any_nobodys() - are there any? 1; 0; as pg_tenant_exists(). */
int rows_any_nobodys(const struct rows_order *order, size_t decision, struct error *err);
