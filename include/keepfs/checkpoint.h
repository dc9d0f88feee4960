// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Checkpoints: once a day, when the audit or the chain of signed manifests has gone on, an object is put below checkpoints/ that says how far they have come (codec/checkpoint.h).
 * It is signed where there is a key, and names the one before it. keepfs never changes or removes one.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/checkpoint.h>
#include <keepfs/store.h>
#include <stdint.h>

struct catalog;
struct signing;
struct checkpoints;

#define CHECKPOINT_INTERVAL_US (INT64_C(24) * 3600 * 1000000)

struct checkpoint_context { /* all borrowed */
	struct catalog *catalog;
	struct store *store;
	struct signing *signing; /* NULL: none is signed */
	int64_t (*now_us)(void); /* since the epoch; NULL: clock_now_us() */
	void (*put)(void *arg);  /* one was put into the store; must not block; NULL: nobody wants to know */
	void *put_arg;
};

/** checkpoint_is_due() - the last one is a day old, or from the future; or there is none. */
bool checkpoint_is_due(const struct checkpoint_context *ctx);
/** checkpoint_make() - put one, when something has changed since the last. Blocks on the store. Return: 0; 1: nothing has changed, so the last one stands for today, too; negative errno. */
int checkpoint_make(const struct checkpoint_context *ctx, const struct store_call *call, struct error *err);

/** struct checkpoint_reading - who reads them. */
struct checkpoint_reading {
	struct store *store; /* borrowed, as all of these */
	struct signing *signing;
	const struct sign_public *keys; /* in place of @signing: those that are believed */
	size_t key_count;
	int64_t unsigned_until_us; /* those that were made before need no signature, where there are keys: signing began then */
	const struct store_call *call;
	/* One whose signature fits, or that is not signed, where there is no key to believe by: in the order of their keys. */
	void (*each)(void *arg, const char *key, const struct checkpoint *c);
	void (*problem)(void *arg, const char *text); /* what is wrong with one, or with their order */
	void *arg;
};
/** checkpoint_read() - all that the store has. Blocks on the store; some hundred bytes of memory for each. Return: 0; negative errno when the store fails. */
int checkpoint_read(const struct checkpoint_reading *io, struct error *err);

/** checkpoints_new() - a thread that makes them when they are due, the first a minute from now at the earliest; after a failure it tries again after a minute, two, … up to an hour. */
int checkpoints_new(const struct checkpoint_context *ctx, struct checkpoints **ret, struct error *err);
/** checkpoints_look() - the clock on the wall was set. Any thread; does not block. @c may be NULL. */
void checkpoints_look(struct checkpoints *c);
/** checkpoints_free() - gives up what it is at. NULL allowed; returns NULL. */
struct checkpoints *checkpoints_free(struct checkpoints *c);
