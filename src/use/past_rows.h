// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The rows of a dump that an export of one tenant needs, into a database that has the tables, and no rows. One thread. */
#include "past_filter.h"
#include "past_server.h"

#include <keepfs/export/copy.h>
#include <keepfs/use/erasures.h>

struct past_rows_options { /* borrowed */
	const struct past_server *server;
	struct pg_session *session; /* in the database, outside of a transaction; what it is set to stays */
	const struct export_tables *tables;
	const struct past_scope *scope;
	const char *tenant; /* its id */
	/* What refers to rows that were erased is found only where these are, too: so all rows of their tables, and of those between, are loaded. */
	const struct erasures *erasures;
	const char *source; /* the name of the database that the dump is of, as the register has it */
	uint64_t memory_bytes;
};

struct past_rows_counts {
	uint64_t read_rows, read_bytes, kept_rows;
	size_t entries; /* that were read, some of them twice */
};

/** past_rows_load() - -ENOTSUP (ERROR_USAGE): the dump does not have what is needed, or it cannot be told which rows these are; -EBADMSG, -E2BIG as
 * keepfs/use/past.h says. */
int past_rows_load(const struct past_rows_options *options, struct past_rows_counts *ret, struct error *err);
