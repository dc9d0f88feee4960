// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The data of an archive into a database whose tables are there: over several connections of our own, each of which reads from the store
 * what it writes to the server. */
#include "restore_database.h"

#include <keepfs/inside/toc.h>

struct restore_data {
	const struct restore_database_options *options;
	const struct inside_toc *toc;
	const char *server_options; /* of each connection; "" */
	unsigned jobs;
	bool empties_blobs;           /* large objects may be there, or not: nothing has made them */
	bool no_triggers;             /* foreign keys are there already */
	uint64_t rows, bytes, errors; /* out; errors: tables that could not be loaded, with keep_going */
	unsigned connections, tables_in_parts; /* out: what was made use of */
};

/** restore_data() - all wanted entries; each holds what was counted when the backup was made, else it fails. */
int restore_data(struct restore_data *d, struct error *err);
