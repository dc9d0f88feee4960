// SPDX-License-Identifier: Apache-2.0
#pragma once
/** pg_restore and psql, as far as a restore leaves the work to them: what makes the objects, indexes and constraints. What they say goes to
 * the log, and is judged: a harmless error is none, and every other one is a failure, whatever their exit status. */
#include "restore_database.h"
#include "restore_words.h"

#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>

struct restore_program {
	const struct restore_database_options *options; /* borrowed, as the next */
	const char *bindir; /* where programs are looked for; "" or NULL: everywhere */
	struct pg_facts server;
	char path[PG_PATH_BYTES]; /* of pg_restore, or psql */
	int major;                /* its version */
	char *conninfo, *env;     /* of its connection; heap */
	uint64_t harmless, errors;
	struct error first; /* error; with errors > 0 */
};

void restore_program_finish(struct restore_program *p);
static inline void cleanup_restore_program(struct restore_program *p)
{
	restore_program_finish(p);
}

/** restore_program_find() - @name: "pg_restore", "psql". @tool_version: "15.18 (Debian …)", of the pg_dump that made it: no older
 * pg_restore reads that; NULL: any. Asks the server who it is, by the database that can be connected to now. */
int restore_program_find(struct restore_program *p, const char *name, const char *tool_version,
                         const char *database, struct error *err);
/** restore_program_connect() - from now on its connections are to this database. */
int restore_program_connect(struct restore_program *p, const char *database, struct error *err);
/** restore_program_run() - to its end; @arguments: NULL-terminated, without the program and the connection. */
int restore_program_run(struct restore_program *p, const char *const *arguments, struct error *err);
/** restore_program_feed() - the same, with a standard input: @feed writes it by proc_write(). */
int restore_program_feed(struct restore_program *p, const char *const *arguments,
                         int (*feed)(void *arg, struct proc *proc, struct error *err), void *arg,
                         struct error *err);
/** restore_program_capture() - what it writes to its standard output, at most 4 MiB, without a connection. */
int restore_program_capture(struct restore_program *p, const char *const *arguments, struct str *out,
                            struct error *err);
