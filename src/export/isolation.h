// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Is a row the tenant's? Looked at by keepfs itself, whatever condition the server was given. */
#include <keepfs/policy/tenancy.h>

struct isolation {          /* borrowed */
	const char *table;  /* for messages: "public.orders" */
	const char *tenant; /* the tenant's id */
	/* The column that says whose the row is; NULL: the proof alone does. */
	const struct tenancy_column *column;
};

/**
 * isolation_check() - the first two fields of a row: the proof, and the tenant's column as text
 * @at: the row, in COPY's text format; moved on to the third field, or NULL when there is none
 * @end: of the row, without its line feed
 * Return: 0; -EPERM (ERROR_DENIED): it is another tenant's, or it cannot be proven that it is this one's.
 */
int isolation_check(const struct isolation *i, const char **at, const char *end, struct error *err);
