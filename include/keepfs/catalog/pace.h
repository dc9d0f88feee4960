// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * How long it took to check backups, to restore and to try them: by which it can be said how long the next one will take. See keepfs/catalog.h
 * for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** enum pace_work - what was done with a backup; catalogs have the numbers. */
enum pace_work {
	PACE_BYTES,     /* its bytes were read and checked */
	PACE_STRUCTURE, /* they were also decompressed, and rows counted */
	PACE_RESTORED, /* all of it was restored, up to the planner's statistics; or, in a drill, up to the last index */
	PACE_DRILLED, /* a drill passed: all of it, with everything that it looked at */
};

#define PACE_KEPT 10 /* of each directory and work, the newest */

struct catalog_pace {
	const char *directory; /* of the backup: "backups/tenants/acme" */
	enum pace_work work;
	int64_t at_us, took_us;
	uint64_t stored_bytes;   /* of the backup */
	uint64_t database_bytes; /* of what was restored; 0: not known */
};
/** catalog_add_pace() - what is too old goes. */
int catalog_add_pace(struct catalog *c, const struct catalog_pace *pace, struct error *err);

/** struct catalog_paces - sums over the last ones that are kept. */
struct catalog_paces {
	uint64_t count; /* 0: nothing is known */
	bool of_others; /* there was none of the directory: these are the last ones of all others */
	int64_t at_us;  /* of the newest */
	int64_t took_us;
	uint64_t stored_bytes;
	uint64_t sized_stored_bytes, database_bytes; /* of those whose database_bytes is known */
};
/** catalog_paces() - of @directory, else of all. */
int catalog_paces(struct catalog *c, const char *directory, enum pace_work work, struct catalog_paces *ret);
