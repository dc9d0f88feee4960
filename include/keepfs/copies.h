// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Copies of the catalog in the store: what no manifest tells (catalog/copy.h) lies there as a compressed SQLite file, below
 * catalog/, encrypted where [keepfs] encrypt_to is set, for a host that has lost its own. docs/formats.md says how one is read without keepfs.
 *
 * A name tells when a copy was made, and a part of the SHA-256 of the file that is in it; of several the last by name was
 * made last, whatever a clock said. An object is put whole and read back; then those before it go, but for the last one of
 * each of as many days as [keepfs] catalog_copies says.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/conf.h>
#include <keepfs/store.h>

#include <stdint.h>

struct catalog;
struct copies;
struct keyring;

#define COPIES_PREFIX "catalog/"

struct copies_context { /* all borrowed */
	const struct conf *conf;
	struct conf_live *live; /* says for whom they are encrypted; NULL: @conf does */
	struct catalog *catalog;
	struct store *store;
	struct pool *pool;
	int64_t (*now_us)(void); /* since the epoch; NULL: clock_now_us() */
	void (*put)(void *arg);  /* one was put into the store; must not block; NULL: nobody wants to know */
	void *put_arg;
};

/**
 * copies_make() - put a copy of what the catalog holds now into the store, unless the newest one there holds the same
 *
 * What came of it is noted in the catalog, for health. That an old copy cannot be removed is no failure. Nothing is done
 * where catalog_copies is none. Blocks on disk and store. Return: 0; negative errno with @err: nothing is left of it.
 */
int copies_make(const struct copies_context *ctx, struct cancel *cancel, struct error *err);

/**
 * copies_new() - a thread that makes a copy once a day, if anything has changed
 *
 * The first is made a minute after the start. When the store fails it tries again after a minute, two, … up to an hour.
 */
int copies_new(const struct copies_context *ctx, struct copies **ret_copies, struct error *err);
/** copies_soon() - something was changed that nobody could tell again (a hold, a switch): have it copied within a
 * minute, together with what else changes until then. Any thread; does not block. @c may be NULL. */
void copies_soon(struct copies *c);
/** copies_look() - the clock was set, or the host slept: look again whether a copy is due. Any thread; does not block. @c may
 * be NULL. */
void copies_look(struct copies *c);
/** copies_last() - the daemon ends: end the thread, and copy once more what has changed since the last copy, to @store,
 * which should not retry for long. @c may be NULL; copies_free() is still to come. */
void copies_last(struct copies *c, struct store *store);
/** copies_free() - gives up what it is at, and leaves nothing of it. NULL allowed; returns NULL. */
struct copies *copies_free(struct copies *c);

/** struct copies_restore - how a catalog is to be had from the store. */
struct copies_restore {
	const struct conf *conf; /* borrowed, as the store */
	struct store *store;
	struct keyring *keyring; /* opens those that are encrypted; NULL: nothing does */
	bool moved; /* in: a copy of the catalog of another [store] url is as good: the store was moved there */
	/* A copy that cannot be used, and why: the one before it is tried, unless it is encrypted and cannot be decrypted: none before it is so new. */
	void (*problem)(void *arg, const char *text);
	void *arg;
	char *key; /* out: heap: of the copy that was used; NULL: there is none that can be */
};

/**
 * copies_restore() - the newest usable copy becomes the catalog of state_dir
 *
 * The caller holds catalog_lock(), and nobody has the catalog open; what was there is gone. Return: 0, also when there was no
 * copy; -EINVAL (ERROR_USAGE): the newest one is of another store, and @moved is not set; another negative errno: the
 * store, or the disk. Then everything is as before.
 */
int copies_restore(struct copies_restore *restore, struct error *err);

/** struct copies_proving - who holds copies against their names. */
struct copies_proving {
	struct store *store;                          /* borrowed */
	struct keyring *keyring;                      /* opens those that are encrypted; NULL: nothing does */
	void (*problem)(void *arg, const char *text); /* one is not what its name says */
	void *arg;
	uint64_t count;  /* out: that were read */
	uint64_t locked; /* out: that are encrypted, and that no identity opens: nothing is known of them */
};
/** copies_prove() - read all copies, and hold each against the SHA-256 in its name, which is of what is in it. Blocks on the store; pieces of a copy in memory. Return: 0; negative errno when the store fails. */
int copies_prove(struct copies_proving *io, struct error *err);
