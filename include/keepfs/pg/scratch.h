// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A throw-away server: a cluster of its own, made with initdb, that nobody but its maker can reach (a unix socket in a directory of mode
 * 0700, no TCP), that may lose everything (no fsync), and that is removed with all that it holds: by pg_scratch_free(); when this process
 * is killed the kernel ends the server, and scratch_place_clear() (keepfs/base/scratch_place.h) of the next one removes its files.
 *
 * A directory holds the lock of the one that is there at a time, and for each cluster a scratch place, which belongs to the server's user.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pg_scratch;

/** struct pg_scratch_filling - where a cluster is to be put that the caller brings; borrowed, as long as @fill is called */
struct pg_scratch_filling {
	const char *place; /* a directory for whatever it needs, "/var/tmp/keepfs-drills/scratch-1f0e…" */
	const char *data;  /* in it, empty: the data directory */
	uid_t uid;         /* whose everything is to be */
	gid_t gid;
	uint64_t room_bytes;   /* so much it may take, all in all */
	struct cancel *cancel; /* set when it is to end, also when it takes more than that */
};

struct pg_scratch_options {
	const char *directory; /* where it is made; made itself when it is missing, with mode 0711 */
	const char *user;   /* whom the server runs as when this process is root's; not looked at otherwise */
	const char *bindir; /* where initdb and postgres are; "": where they are found */
	int version_num; /* of the server that is to be like it: the same major version, or else the nearest newer one */
	uint64_t memory_bytes; /* what its settings are made of */
	unsigned connections;  /* that may be open at once */
	uint64_t
	        disk_bytes; /* all of it, at most: then it is ended. Less when the file system would be left with less than a tenth */
	struct cancel *cancel; /* borrowed; NULL */
	/*
	 * Not NULL: instead of making an empty cluster have the caller bring one: a data directory, with recovery.signal and what a recovery needs in postgresql.auto.conf. Then the server is of
	 * that major version exactly, has a configuration and a pg_hba.conf of its own, loads no libraries, connects to nothing, archives nothing, and takes connections when its recovery has ended
	 * and it was promoted, however long that takes. Who its superuser is nobody knows before pg_scratch_take_role().
	 */
	int (*fill)(void *arg, const struct pg_scratch_filling *f, struct error *err);
	void *fill_arg;
};
/** pg_scratch_put() - of @fill: write a file @name in f->place, in the place of one that is there */
int pg_scratch_put(const struct pg_scratch_filling *f, const char *name, const char *text, struct error *err);

/**
 * pg_scratch_new() - make it, start it, and wait until it takes connections; the calling thread must outlive it
 * Return: 0; -EBUSY (ERROR_CONFLICT): another one is there in this directory; -ENOENT: the programs are not installed; -ECANCELED; else
 * negative, @err says what the programs said. Nothing is left then.
 */
int pg_scratch_new(const struct pg_scratch_options *options, struct pg_scratch **ret, struct error *err);
/** pg_scratch_free() - end it, and remove it. NULL allowed; returns NULL. Blocks until all is gone. */
struct pg_scratch *pg_scratch_free(struct pg_scratch *s);
DEFINE_CLEANUP(pg_scratch, struct pg_scratch *, pg_scratch_free)

/**
 * pg_scratch_take_role() - of a cluster that the caller brought: find a superuser who may log in, so that pg_scratch_conninfo() is of that one
 * @candidates: names that may be those of roles; so many; "" and NULL are passed over. Any role may say who is one.
 * -ENOENT (ERROR_DENIED): none of them may log in.
 */
int pg_scratch_take_role(struct pg_scratch *s, const char *const *candidates, size_t count,
                         struct error *err);
/** pg_scratch_conninfo() - of its superuser, without a database; borrowed. */
const char *pg_scratch_conninfo(const struct pg_scratch *s);
/** pg_scratch_environment() - "PGHOST=…" and so on, for programs that are to reach it; NULL-terminated, borrowed. */
const char *const *pg_scratch_environment(const struct pg_scratch *s);
/** pg_scratch_bindir() - where its programs are; pg_scratch_version() - "15.18 (Debian …)"; pg_scratch_version_num() - 150000. Borrowed. */
const char *pg_scratch_bindir(const struct pg_scratch *s);
const char *pg_scratch_version(const struct pg_scratch *s);
int pg_scratch_version_num(const struct pg_scratch *s);
/** pg_scratch_cancel() - set when the cancel of the options is, and when the server is ended because it needs too much disk: what is done
 * with it takes this one. Borrowed. */
struct cancel *pg_scratch_cancel(struct pg_scratch *s);
/** pg_scratch_failure() - was it ended because of its disk? -ENOSPC with the figures, in place of what became of that; 0. */
int pg_scratch_failure(struct pg_scratch *s, struct error *err);
/** pg_scratch_peak_bytes() - the most that it has taken of the disk so far. */
uint64_t pg_scratch_peak_bytes(struct pg_scratch *s);

/**
 * Globals: what pg_dumpall --globals-only wrote, carried out statement by statement as it is read, so that roles are there before what they
 * own. Tablespaces are made below the server's own directory, under their names. What fails is told to @say, without the statement,
 * which may hold a password, and ends nothing.
 */
struct pg_globals;
int pg_globals_new(struct pg_scratch *s, void (*say)(void *arg, const char *line), void *arg,
                   struct pg_globals **ret, struct error *err);
/** pg_globals_feed() - -ECANCELED, or the connection is gone: with @err. */
int pg_globals_feed(struct pg_globals *g, const void *data, size_t len, struct error *err);
/** pg_globals_end() - the last statement has come. @ret_failed: how many failed. */
int pg_globals_end(struct pg_globals *g, unsigned *ret_failed, struct error *err);
struct pg_globals *pg_globals_free(struct pg_globals *g); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(pg_globals, struct pg_globals *, pg_globals_free)
