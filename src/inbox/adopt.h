// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A run that adopts what lies at a place.
 *
 *   adopt.c       what was asked for; the place is listed
 *   adopt_file.c  one file of it
 */
#include <keepfs/inbox.h>
#include <keepfs/store/source.h>
#include <keepfs/stores.h>
#include <keepfs/stream/rate.h>

struct adopting {
	const struct make_context *ctx;
	const struct make_order *order; /* of the run */
	const struct conf *conf;
	const struct conf_job *job;
	struct store_call call;
	bool plans, all;
	char *place, *prefix; /* where: "old", "2024/" */
	struct stores_source *opened;
	struct source *source;
	struct store *store; /* the place again, to be asked for single files */
	struct rate *rate;
	char *directory; /* the last that was asked for a table of contents, with the '/' at its end; NULL: none */
	bool is_dump;   /* it has one */
	uint64_t asked; /* of the place, beside what the source counts */
	uint64_t taken, taken_bytes, known, refused_before, same, others, failed;
	int result;
	struct error first; /* failure */
};

/* adopt_consider() - it becomes a backup, or what it is instead is told; whatever goes wrong is noted in @a, and with the file alone. */
void adopt_consider(struct adopting *a, const struct source_object *o);
