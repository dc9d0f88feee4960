// SPDX-License-Identifier: Apache-2.0
#pragma once
/* keepfs init --quick: from nothing to a first backup. Private to quick.c and quick_text.c, but for init_quick(). */
#include "cli.h"

#include <keepfs/base/str.h>
#include <keepfs/pg/find.h>

#define QUICK_JOB "full"

/** struct quick - what was found out so far, and what will stand in the file. All texts are its own. */
struct quick {
	char *path;       /* of the file */
	char *url;        /* of the store */
	char *state_dir;  /* of the catalog */
	char *mountpoint; /* where the backups will be shown */
	char *conninfo;   /* of the job */
	char *database;   /* the name in it, for people */
	struct pg_found found;
	const struct pg_found_server *server; /* in @found; NULL: the user has given a connection string */
	bool no_fuse;                         /* this host cannot mount now */
	char *artifact; /* of the first backup: "backups/full/….dump"; NULL: there is none yet */
};

/** init_quick() - the command. An exit status. */
int init_quick(const struct cli_options *options);

/** quick_write_conf() - append the file. */
void quick_write_conf(const struct quick *q, struct str *out);
/** quick_write_next() - append the lines that somebody needs who has a first backup now: mount, list, copy, restore, and how
 * further ones are made. */
void quick_write_next(const struct quick *q, struct str *out);
/** quick_option() - heap: " -c FILE" for a command line, or "" where the file is found without. */
char *quick_option(const struct quick *q);
