// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a command needs that only looks into backups: the catalog and the store, both opened for reading beside a daemon that may have them, too. It
 * takes no lock, settles nothing, and changes nothing but that who looks may be noted in the audit. */
#include "cli.h"

#include <keepfs/artifact.h>
#include <keepfs/base/pool.h>
#include <keepfs/inside.h>
#include <keepfs/net.h>
#include <keepfs/reader.h>
#include <keepfs/stores.h>

struct looking {
	struct conf conf;
	struct catalog *catalog;
	struct net *net;
	struct store *store;
	struct stores *stores;
	struct pool *pool;
	struct reader *reader;
	struct reader_metrics metrics;
	struct keyring *keyring;
	struct repository repository;
	struct make_context ctx;
	struct inside *inside;
};

/**
 * looking_open() - as the options say. @ret stays where it is until looking_close(), which is called in every case.
 * @kept_part: one part in so many of [keepfs] memory is for the caller's own use, at least 2
 * Return: CLI_DONE; else the exit status, after saying what is wrong.
 */
int looking_open(const struct cli_options *options, unsigned kept_part, struct looking *ret);
void looking_close(struct looking *l);
