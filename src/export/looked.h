// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A look at what an export would find: the tenants, a snapshot, what is decided. For explaining and for the probe. */
#include "rows.h"

struct looked {
	struct make_targets targets; /* their shared part has the connection */
	struct export_shared *shared;
	struct export_lane *lane;           /* NULL: it did not come that far */
	const struct export_tenant *tenant; /* that was asked for, or the first; NULL: none was asked for */
	char *database, *schema;            /* of that tenant */
};

/**
 * looked_open() - ask for the tenants, begin a snapshot, decide
 * @slug: the tenant; NULL: the first in the order of the query
 * -EINVAL: there is none of that name, or a rule makes no sense. looked_close() follows in every case.
 */
int looked_open(const struct make_context *ctx, const struct conf_job *job, const char *slug,
                struct cancel *cancel, struct looked *ret, struct error *err);
void looked_close(struct looked *l);
/** looked_rows() - for rows_count() and rows_hidden(). */
struct rows_order looked_rows(const struct looked *l, const struct conf_job *job);
