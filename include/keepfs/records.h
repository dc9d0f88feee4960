// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Records: the audit and the history grow for ever, the catalog does not. What is beyond history_keep and audit_keep, or
 * older than history_age and audit_age (keepfs/conf.h), is moved into the store, as compressed lines of JSON below
 * records/, encrypted where [keepfs] encrypt_to is set; docs/formats.md says how they are read. Nothing here ever deletes or overwrites one.
 *
 * In this order, so that each row is in the catalog or in the store at every moment, and in the store only once: the
 * object is made and kept in the catalog together with the numbers of its rows (catalog/records.h); it is put, under a
 * name that its time and its own hash make, and read back; then its rows are dropped. After a crash the kept object is
 * put once more, and nothing is made anew. But a run whose backup is found in the store and listed again (an older catalog
 * was put back) comes back, or stays, and may be moved once more when that backup is gone.
 *
 * What stays in any case: the newest line of the audit, since numbers go on from it; runs that live, that have a backup,
 * and the last RECORDS_RUNS_OF_JOB of each job, since health looks at them.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/conf.h>
#include <keepfs/store.h>

#include <stdint.h>

struct catalog;
struct keyring;
struct records;

#define RECORDS_PREFIX      "records/"
#define RECORDS_RUNS_OF_JOB 256

struct records_context { /* all borrowed */
	const struct conf *conf;
	struct conf_live *live; /* says for whom they are encrypted; NULL: @conf does */
	struct catalog *catalog;
	struct store *store;
	struct keyring *keyring; /* opens those that are encrypted; NULL: nothing does */
	int64_t (*now_us)(void); /* since the epoch; NULL: clock_now_us() */
	void (*put)(void *arg);  /* one was put into the store; must not block; NULL: nobody wants to know */
	void *put_arg;
};

/** records_move() - move all that is due, an object at a time. Blocks on the store. Return: 0, also when nothing was;
 * negative errno with @err: what was not moved stays where it is. */
int records_move(const struct records_context *ctx, const struct store_call *call, struct error *err);

struct records_moved {
	/* A record that cannot be read, and why: its rows may be told of twice. */
	void (*problem)(void *arg, const char *text);
	void *arg;
};
/**
 * records_drop_moved() - drop from the catalog what records in the store tell of already
 *
 * For a catalog that was made from an older copy of itself: before anything else is moved, and after its backups were listed,
 * since a run that has one stays. Reads all records of runs, and those of the audit that can tell of lines that it has. Runs
 * that are added later get numbers above all that were read. Blocks on the store. Return: 0; negative errno.
 */
int records_drop_moved(const struct records_context *ctx, const struct records_moved *io,
                       const struct store_call *call, struct error *err);

/** records_continue_audit() - the next line of the audit goes on from the last one that records tell of, when the catalog has not been as far: it was made anew, or of an older
 * copy. Blocks on the store. Return: 0; -EBADMSG: the last record cannot be read. */
int records_continue_audit(const struct records_context *ctx, const struct store_call *call,
                           struct error *err);

/** struct records_reading - who reads the audit, or the history, as a whole. */
struct records_reading {
	const struct records_context *ctx; /* borrowed; without a catalog: what is in the store alone */
	const struct store_call *call;
	/* A line, without its line end, and where it is; borrowed for the call. */
	void (*line)(void *arg, const char *source, const char *line, size_t len);
	void (*unreadable)(void *arg, const char *key, const char *why); /* a record that is none */
	void *arg;
};
/** records_read_audit() - all lines of the audit: first those of records, in the order of their numbers, then those that the catalog has. Blocks on the
 * store; one record is in memory at a time. A daemon may be at work beside. */
int records_read_audit(const struct records_reading *io, struct error *err);
/** records_read_history() - all runs that have moved into records, a line each, in no order that counts; those of the catalog are the caller's to add. Blocks on the store; one record
 * is in memory at a time. */
int records_read_history(const struct records_reading *io, struct error *err);

/**
 * records_new() - a thread that moves what is due, at once and whenever it is told to look
 *
 * When the store fails it tries again after a minute, two, … up to an hour, whether it is told to look or not.
 */
int records_new(const struct records_context *ctx, struct records **ret_records, struct error *err);
/** records_look() - something was added. Any thread; does not block. @r may be NULL. */
void records_look(struct records *r);
/** records_free() - gives up what it is at; the next start goes on with it. NULL allowed; returns NULL. */
struct records *records_free(struct records *r);

/** struct records_proving - who holds records against their names. */
struct records_proving {
	struct store *store; /* borrowed */
	const struct store_call *call;
	void (*problem)(void *arg, const char *text); /* one is not what its name says, or its name is none */
	void *arg;
	uint64_t count; /* out: that were read */
};
/** records_prove() - read all records, and hold each against the SHA-256 in its name: no key is needed. Blocks on the store; a record in memory. Return: 0; negative errno when the store fails. */
int records_prove(struct records_proving *io, struct error *err);
