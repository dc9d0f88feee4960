// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a command needs that only reads backups: the catalog and the store, both opened for reading beside a daemon that may have them, too. It
 * takes no lock, settles nothing, and changes nothing. */
#include "cli.h"

#include <keepfs/artifact.h>
#include <keepfs/base/pool.h>
#include <keepfs/inside.h>
#include <keepfs/net.h>

struct reading {
	struct conf conf;
	struct catalog *catalog;
	struct net *net;
	struct store *store;
	struct pool *pool;
	struct repository repository;
	struct inside *inside;
};

/**
 * reading_open() - as the options say. @ret stays where it is until reading_close(), which is called in every case.
 * @word: a backup, as people name it: pg_restore is sought where its job says
 * @kept_part: one part in so many of [keepfs] memory is for the caller's own use
 * Return: CLI_DONE; else the exit status, after saying what is wrong.
 */
int reading_open(const struct cli_options *options, const char *word, unsigned kept_part,
                 struct reading *ret);
void reading_close(struct reading *r);
static inline void cleanup_reading(struct reading *r)
{
	reading_close(r);
}
