// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What makes the bytes of a backup. Blocking: called on a job's thread. */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/conf.h>
#include <keepfs/store.h>
#include <stdatomic.h>

struct catalog;

struct make_context { /* all borrowed */
	const struct conf *conf;
	struct store *store;
	struct catalog *catalog;
	struct pool *pool;
};

struct make_progress {                        /* written by the maker, read by anybody */
	atomic_uint_least64_t read_bytes;     /* raw: made by the server */
	atomic_uint_least64_t sent_bytes;     /* taken by the store */
	atomic_uint_least64_t verified_bytes; /* read back; 0 until all was sent */
};

struct make_dump {
	const struct conf_backup *job; /* with what the trigger changed */
	bool partial;                  /* what it changed leaves something out */
	const char *note;              /* NULL: none */
	const char *database;          /* one of job->databases; NULL: the one that job->database names */
	/* the database's name in history and manifest: behind a pooler the server says another */
	const char *label;
	const char *directory; /* "backups/full" or "backups/tenants/acme" */
	int64_t run_id;
	const char *triggered_by;
	struct make_progress *progress;
	void (*warn)(void *arg,
	             const char *text); /* the backup is whole, but somebody should look; arg: log_arg */
	struct cancel *cancel;
	/* lines for the run's log: what keepfs does, what pg_dump says. Any thread */
	void (*log)(void *arg, const char *line);
	void *log_arg;
};

/**
 * make_dump() - one database, dumped into the store as its job says, published
 *
 * Published only when the programs that made something ended with 0, each entry of the table of contents has
 * its data (SQL text: its last line), and, unless the job says verify = none, everything was read back from
 * the store. On failure nothing stays in the store, and @err holds the words of the program or the server
 * with a hint.
 * @ret: the artifact; the caller's manifest_finish()
 */
int make_dump(const struct make_context *ctx, const struct make_dump *order, struct manifest *ret,
              struct error *err);
