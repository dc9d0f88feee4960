// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A run that adopts what lies at a place.
 *
 *   adopt.c       what was asked for; the place is listed
 *   adopt_file.c  one file of it
 *   adopt_ours.c  stores of keepfs, which are left alone
 */
#include <keepfs/inbox.h>
#include <keepfs/store/source.h>
#include <keepfs/stores.h>
#include <keepfs/stream/rate.h>

#define ADOPT_NESTED 4 /* directories of one path that are remembered to be no stores of keepfs */

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
	bool is_dump; /* it has one */
	char *ours; /* the directory that was found last to be a store of keepfs, with the '/' at its end; NULL: none */
	char *not_ours
	        [ADOPT_NESTED]; /* the last that were asked about, and are none: the outermost, the one in it, … */
	uint64_t asked;         /* of the place, beside what the source counts */
	const char *elsewhere; /* the last section that was told to have files of the place; NULL: none */
	uint64_t taken, taken_bytes, known, refused_before, same, others, failed;
	int result;
	struct error first; /* failure */
};

/* adopt_is_elsewhere() - is the object @key of the place one of another section? It is counted, and told once. Adopted in both it would be two backups, of which the removal of one may take the file from the other. */
bool adopt_is_elsewhere(struct adopting *a, const char *key);
/* adopt_consider() - it becomes a backup, or what it is instead is told; whatever goes wrong is noted in @a, and with the file alone. */
void adopt_consider(struct adopting *a, const struct source_object *o);

/* adopt_is_keepfs() - is the directory @root of the place ("", or with the '/' at its end) a store of keepfs, or of its copies? Blocks on the place. Return: 1: it is; 0; negative errno. */
int adopt_is_keepfs(struct adopting *a, const char *root, struct error *err);
/* adopt_is_within_keepfs() - the same of what the place itself lies in, as far as the credentials of the place let it be seen. */
int adopt_is_within_keepfs(struct adopting *a, struct error *err);
/* adopt_is_ours() - does the object @key of the place lie in such a store? That is told of each once. Return: as adopt_is_keepfs(). */
int adopt_is_ours(struct adopting *a, const char *key, struct error *err);
/* adopt_forget_ours() - what those remember. */
void adopt_forget_ours(struct adopting *a);
