// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A cluster, restored for a trial: a base backup with its WAL becomes a throw-away server, which recovers and is promoted, and is looked at then.
 *
 *   drill_cluster.c          the order of steps, and what each of them proves
 *   drill_cluster_moment.c   the moment that is recovered to: what is written at the source, and whether the WAL is there
 *   drill_cluster_fill.c     the files, and the server on them
 *   drill_wal.c              its WAL
 */
#include "drill.h"
#include "drill_wal.h"
#include "restore_cluster.h"

#include <keepfs/pg/marker.h>
#include <keepfs/pg/scratch.h>

struct drill_cluster {
	struct drill *d;             /* borrowed */
	struct make_context reading; /* of the backup, with a pool of its own */
	struct restore_cluster_words words;
	struct restore_reach reach;
	int version_num; /* of the base's server */
	struct pg_marker marker;
	bool has_marker; /* both transactions were written, and the WAL of them is there */
	bool is_newest;  /* base of its directory */
	char *database;  /* heap: that [cluster] database names */
	char *user;      /* heap: as whom that connects; NULL */
	char *target;    /* heap: for people */
	struct drill_wal *wal;
	uint64_t wal_files;  /* that the recovery has asked for, and got */
	int64_t restored_us; /* so long it took to bring the files */
	uint64_t bytes;      /* of the base */
	struct pg_marker_seen seen;
	bool is_provable; /* amcheck is there, in each database so far */
	unsigned asked;   /* [check NAME]s */
};

/** drill_cluster() - all of it, as drill_rehearse(). */
int drill_cluster(struct drill *d, struct error *err);
/** drill_is_cluster() - is it a base backup? */
bool drill_is_cluster(const struct backup *b);

/** drill_report_moment() - what the report says of it: the caller's. */
struct json *drill_report_moment(const struct drill_cluster *c);

/** drill_cluster_choose() - write a marker at the source where it can be, and choose up to where is recovered: words.goal */
int drill_cluster_choose(struct drill_cluster *c, struct error *err);
/** drill_cluster_judge_moment() - has the recovered server what it is to have, and nothing else? */
void drill_cluster_judge_moment(struct drill_cluster *c);

/** drill_cluster_recover() - d->scratch, with the server on it, promoted. */
int drill_cluster_recover(struct drill_cluster *c, struct error *err);
