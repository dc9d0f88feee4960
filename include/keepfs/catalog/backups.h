// SPDX-License-Identifier: Apache-2.0
#pragma once
/** All backups as a list, with what people ask of each. See keepfs/catalog.h for what is true of every function. */
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** struct catalog_backup - a row; its texts are borrowed for the call. */
struct catalog_backup {
	const char *path; /* "backups/full/20261120T020000Z.dump" */
	const char *job, *kind, *target;
	const char *facts;   /* an object of JSON: what only its kind has */
	const char *note;    /* NULL: none */
	const char *store;   /* which one has it, as stores_name() says; NULL: the store of all */
	const char *damaged; /* what is wrong with it; NULL: nothing that is known */
	const char *
	        copies; /* an object of JSON: further stores, and the state of the copy there ("whole"); NULL: there are none */
	const char *encrypted_to; /* its recipients, "age1…, age1…"; "": it is not encrypted */
	int64_t chain_sequence;   /* its signed manifest's number in the chain; 0: it is not signed */
	const char *holds;        /* an array of JSON: the names of the holds that are in force */
	int64_t run_id;
	int64_t started_at_us, finished_at_us;
	int64_t verified_at_us; /* 0: it never was */
	uint64_t size_bytes;    /* of the file, or of the files of a directory */
	uint64_t stored_bytes;  /* of all objects, those beside it too */
	unsigned tiers;         /* enum retention_reason */
	bool partial;
};

/**
 * catalog_backups() - call @row for each that is listed, of all jobs, the newest run first
 * @now_us: by which a hold may have ended
 * @before_run: only those of runs with a lower number; INT64_MAX: all
 * A false return of @row ends it. Costs no memory, however many there are. Return: 0; negative errno.
 */
int catalog_backups(struct catalog *c, int64_t now_us, int64_t before_run,
                    bool (*row)(void *arg, const struct catalog_backup *backup), void *arg);
