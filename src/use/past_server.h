// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A throw-away server with a database that is made as a dump says, and has no rows yet. One thread. */
#include "past_script.h"

#include <keepfs/conf.h>
#include <keepfs/inside.h>
#include <keepfs/inside/backup.h>
#include <keepfs/pg/scratch.h>

struct past_server {
	const struct make_context *ctx; /* borrowed, as the next four */
	const struct make_order *order;
	const struct conf *conf;
	struct backup *backup;
	struct inside_dump *dump;
	const char *database;        /* what it is called */
	const char *database_script; /* what made the one of the dump; "": not known */
	struct pg_scratch *scratch;
	char *conninfo;                /* heap: of the database */
	struct past_failures failures; /* what was not made, and does not matter */
	struct cancel *cancel;         /* borrowed: set also when the server was ended */
};

/** past_server_start() - up to the database, empty: past_server_finish() in any case. -EBUSY (ERROR_CONFLICT): another export from a backup has it. */
int past_server_start(struct past_server *s, struct error *err);
/** past_server_make_tables() - everything of the dump, but for rows; @scope: of what it matters whether it could be made. */
int past_server_make_tables(struct past_server *s, const struct past_scope *scope, struct error *err);
void past_server_finish(struct past_server *s);
/** past_server_directory() - heap: where such servers are made. */
char *past_server_directory(const struct conf *conf);
