// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Where drills bring mirrors back: a place that is there for that alone, and in it a directory, or prefix, of each drill's own ("keepfs-drill-17-1f0e…"). The catalog knows of it
 * before anything is written (RESTORE_PHASE_SCRATCH), so that what is left when keepfs is killed is found and removed: by a run that the next start orders, and before the
 * next drill.
 *
 *   drill_place_check()     before a drill begins: it is nobody else's, and empty
 *   drill_place_new()       one of its own
 *   drill_place_remove()    all of it
 *
 * All block on the place, and belong to one thread.
 */
#include <keepfs/conf.h>
#include <keepfs/make.h>

/** DRILL_CLEAR - the word of a run that removes what is left. */
#define DRILL_CLEAR "clear"

struct drill_place {
	const struct make_context *ctx; /* borrowed, as the next ones: to be set by the caller */
	const struct make_order *order;
	const struct conf *conf;
	const char *base;     /* "s3://scratch/drills", "dir:/scratch" */
	const char *mirror;   /* the job whose credentials it has */
	const char *backup;   /* its path */
	char name[64];        /* in the base */
	char *url;            /* heap */
	struct conf_store to; /* of that url */
	bool is_noted;
};

/** drill_place_check_url() - -EINVAL (ERROR_USAGE): it is no place, or lies in, around or at something that is backed up, or that keepfs has. Of directories the file system is asked where links lead. */
int drill_place_check_url(const struct conf *conf, const char *url, struct error *err);
/** drill_place_check() - the same, and is it empty, once what earlier drills have left was removed? -EEXIST (ERROR_CONFLICT): it is not. @p: nothing is made. */
int drill_place_check(const struct drill_place *p, struct error *err);
/** drill_place_new() - @p gets name, url and to; nobody else may enter a directory. The caller's drill_place_remove(), also after a failure. */
int drill_place_new(struct drill_place *p, struct error *err);
/** drill_place_remove() - also when the run was cancelled. What could not be removed stays on record, and is told by health; @err: NULL allowed. */
int drill_place_remove(struct drill_place *p, struct error *err);

/** drill_places_left() - a target for each place that was left. */
int drill_places_left(struct catalog *c, struct make_targets *ret, struct error *err);
/** drill_place_clear() - remove the place that is order->target. */
int drill_place_clear(const struct make_context *ctx, const struct make_order *order, struct error *err);
