// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A base backup, brought back into a directory that a server starts on: its files come out of its packs (keepfs/codec/listing.h), several packs at once, each of which is read from its begin to its end, and once. Each file's CRC-32C is compared as it is written.
 *
 *   cluster_back_open()    the listing is brought here
 *   cluster_back_plan()    the directory is looked at: what would be fetched, what would be removed
 *   cluster_back_run()     do it
 *
 * Until all is there and on the disk the directory has no global/pg_control, so that no server starts on it, and has a file CLUSTER_BACK_MARK, by which the next one goes on.
 * Memory: a pool of CLUSTER_BACK_POOL_BYTES for each job, what a pack has of files, and a bit for each line of the listing. One thread calls; blocks on the store and the disk.
 */
#include <keepfs/base/str.h>
#include <keepfs/codec/base_facts.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/recovery_settings.h>
#include <keepfs/make.h>
#include <sys/types.h>

/** CLUSTER_BACK_MARK - stands in a directory that is not whole yet. */
#define CLUSTER_BACK_MARK "keepfs.restore"
/** CLUSTER_BACK_POOL_BYTES - of the pool of a context that reads, for each job. */
#define CLUSTER_BACK_POOL_BYTES ((uint64_t)16 << 20)
/** CLUSTER_BACK_JOBS_MAX - more are not used. */
#define CLUSTER_BACK_JOBS_MAX 32U

/** struct cluster_back_space - a tablespace whose files lie elsewhere than in the data directory: pg_tblspc/OID becomes a link there. */
struct cluster_back_space {
	char *oid;       /* "16385" */
	char *directory; /* absolute */
};

struct cluster_back_options {           /* borrowed, all of it, until cluster_back_free() */
	const struct make_context *ctx; /* its pool is used for nothing else meanwhile */
	const struct make_order *order; /* who is told, what is counted, what cancels */
	const char *path;               /* of the artifact: "backups/main/20261120T020000Z" */
	const char *to;                 /* absolute; made when it is not there */
	bool delta;                     /* what is there is compared, and what is the same stays */
	unsigned jobs;                  /* packs at once; 1 to CLUSTER_BACK_JOBS_MAX */
	bool has_owner;                 /* everything becomes @uid's, of @gid; needs root */
	uid_t uid;
	gid_t gid;
	const struct cluster_back_space *spaces;
	size_t space_count;
};

struct cluster_back;
/** cluster_back_open() - -EINVAL (ERROR_USAGE): it is no base backup; -EBADMSG (ERROR_CORRUPT): its listing is damaged; what the store returned. */
int cluster_back_open(const struct cluster_back_options *options, struct cluster_back **ret,
                      struct error *err);
struct cluster_back *cluster_back_free(struct cluster_back *b); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(cluster_back, struct cluster_back *, cluster_back_free)
/** cluster_back_facts(), cluster_back_manifest() - what the base says of itself; borrowed. */
const struct base_facts *cluster_back_facts(const struct cluster_back *b);
const struct manifest *cluster_back_manifest(const struct cluster_back *b);
/** cluster_back_job() - whose it is: "main"; borrowed. */
const char *cluster_back_job(const struct cluster_back *b);

struct cluster_back_plan {
	bool is_there;                   /* the directory */
	bool is_going_on;                /* an earlier restore of this cluster did not end */
	uint64_t files, bytes;           /* of the base */
	uint64_t fetched, fetched_bytes; /* of these, what is not there or differs */
	uint64_t replaced;               /* of those, where another one stands */
	uint64_t removed;                /* what is only there */
	struct str first_removed;        /* names of a few of these, "a, b" */
	struct str kept_links;           /* links that stay, and are followed: "pg_wal -> /fast/wal" */
	bool has_configuration;          /* the base has a postgresql.conf */
};
void cluster_back_plan_finish(struct cluster_back_plan *p);
static inline void cleanup_cluster_back_plan(struct cluster_back_plan *p)
{
	cluster_back_plan_finish(p);
}
/**
 * cluster_back_plan() - nothing is changed
 * Return: 0; -EEXIST (ERROR_CONFLICT): the directory is not empty, and @delta was not asked for; it has another cluster; a server runs on it; a tablespace's directory is not empty; -EACCES and others: it cannot
 * be read.
 */
int cluster_back_plan(struct cluster_back *b, struct cluster_back_plan *ret, struct error *err);
/**
 * cluster_back_run() - what the plan said, with @settings in it; after cluster_back_plan()
 * Return: 0: all is there, and on the disk; -EBADMSG (ERROR_CORRUPT): a file is not what was backed up, the message names it; -ENOSPC; -ECANCELED; others.
 * When it fails the directory has CLUSTER_BACK_MARK, unless nothing was begun.
 */
int cluster_back_run(struct cluster_back *b, const struct recovery_settings *settings, struct error *err);
