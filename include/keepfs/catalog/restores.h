// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Restores: what each of them changes now, at a server or in a directory, so that after a crash somebody can be told what is where. A restore that ended
 * well has no row. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

enum restore_phase {
	RESTORE_PHASE_BESIDE,   /* a new database is filled; the one that is there is as it was */
	RESTORE_PHASE_IN_PLACE, /* the database itself is changed */
	RESTORE_PHASE_SWAP,     /* the names are exchanged: both, or neither */
	/* An archive: target is the directory, made the stage in it (keepfs/files/unpack.h); there is no server. */
	RESTORE_PHASE_FILES,      /* what is not there is written */
	RESTORE_PHASE_FILES_OVER, /* ... and what is there is replaced */
	/* A whole deployment, whose name is the target: its parts have rows of their own while they are at work. made is RESTORE_DEPLOYMENT_ALL when all of them were restored. */
	RESTORE_PHASE_DEPLOYMENT,
	/* A drill brings a mirror back: server is the place that the configuration names for that ("s3://scratch/drills"), target what it makes in it, made the job of the mirror, whose
	 * credentials it has. */
	RESTORE_PHASE_SCRATCH,
	/* The data directory of a cluster is filled: target is the directory; there is no server. It is not whole, and no server starts on it. */
	RESTORE_PHASE_CLUSTER,
};

#define RESTORE_DEPLOYMENT_ALL "all"

struct catalog_restore {
	int64_t run_id;
	char target[256];
	char server[512];
	char backup[512];
	char made[256], before[256];
	enum restore_phase phase;
	int64_t begun_at_us;
	bool is_over; /* it does not go on: nobody is at work on it */
	char problem[1024];
};

/** struct catalog_restore_which - rows. Borrowed. */
struct catalog_restore_which {
	int64_t run_id;              /* 0: of any run */
	const char *target, *server; /* as in the row; NULL: any */
};

/** catalog_set_restore() - it is in this phase from now on: durable before anything is done. */
int catalog_set_restore(struct catalog *c, const struct catalog_restore *restore, struct error *err);
/** catalog_end_restore() - it left nothing. */
int catalog_end_restore(struct catalog *c, const struct catalog_restore_which *which, struct error *err);
/** catalog_leave_restore() - it is over, and has left something; @problem: why. */
int catalog_leave_restore(struct catalog *c, const struct catalog_restore_which *which, const char *problem,
                          struct error *err);
/** catalog_forget_restores() - of these what is over is settled; *@ret_count: how many there were. */
int catalog_forget_restores(struct catalog *c, const struct catalog_restore_which *which, uint64_t *ret_count,
                            struct error *err);
/** catalog_interrupt_restores() - at a start: none goes on that did before. */
int catalog_interrupt_restores(struct catalog *c, struct error *err);
/** catalog_each_restore() - call @row for each, the oldest first. */
int catalog_each_restore(struct catalog *c, void (*row)(void *arg, const struct catalog_restore *restore),
                         void *arg);

#define CATALOG_RESTORE_PLACES 1000 /* are kept, of the last restores */

/** struct catalog_restore_place - what a restore has changed, or begun to. Texts are borrowed for the call. */
struct catalog_restore_place {
	const char *target; /* the database */
	const char *server; /* without a password */
	const char *backup;
	const char *
	        before; /* how the old database is called when the restore was good; "": there was none, or it is gone */
};
/** catalog_restore_places() - of a run, also when it is over; by target. */
int catalog_restore_places(struct catalog *c, int64_t run_id,
                           void (*row)(void *arg, const struct catalog_restore_place *place), void *arg);
