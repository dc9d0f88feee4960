// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A run of a cluster's job.
 *
 *   make.c   what one run makes: the order of its steps
 *   take.c   what the server sends becomes members of one tar
 *   pack.c   that tar becomes frames, and these become packs
 *   files.c  what has arrived, held against what the server says that it has sent; the listing
 *   probe.c  would it work?
 */
#include <keepfs/base/spool.h>
#include <keepfs/codec/base_manifest.h>
#include <keepfs/codec/listing.h>
#include <keepfs/make.h>
#include <keepfs/make/draft.h>
#include <keepfs/make/pack.h>
#include <keepfs/pg/replication.h>

/* Packs. */

/** CLUSTER_PACK_BYTES - a pack ends at the first end of a frame at which it is known to have so many in the store; CLUSTER_PACK_PLAIN_BYTES - or so many plain ones, however little becomes of these. */
#define CLUSTER_PACK_BYTES       (UINT64_C(32) << 20)
#define CLUSTER_PACK_PLAIN_BYTES (UINT64_C(512) << 20)
/** CLUSTER_RUNS_MAX - of a file, about: the packs of a larger one are as large as that takes, since its line in the listing has all of them. */
#define CLUSTER_RUNS_MAX 512U

/** struct cluster_run - bytes of a file */
struct cluster_run {
	int64_t pack; /* its number */
	uint64_t at, bytes;
	uint64_t place; /* in the pack, when it is decompressed */
};
struct cluster_runs {
	struct cluster_run *items; /* in order, without gaps */
	size_t count;
	uint64_t bytes; /* of all */
};
/** cluster_runs_clear() - there are none; memory stays for the next ones. cluster_runs_finish() - of a zeroed one, too. */
void cluster_runs_clear(struct cluster_runs *runs);
void cluster_runs_finish(struct cluster_runs *runs);

struct cluster_packer;
struct cluster_packer_options {
	const struct packs_options *packs;
	struct compression compression;
	uint64_t pack_bytes, pack_plain_bytes; /* CLUSTER_PACK_BYTES, CLUSTER_PACK_PLAIN_BYTES */
};
/** cluster_packer_new() - reserves memory: may wait. */
int cluster_packer_new(const struct cluster_packer_options *options, struct cluster_packer **ret,
                       struct error *err);
/** cluster_packer_free() - what was not published is taken back. NULL allowed; returns NULL. */
struct cluster_packer *cluster_packer_free(struct cluster_packer *p);
DEFINE_CLEANUP(cluster_packer, struct cluster_packer *, cluster_packer_free)
/** cluster_packer_put() - the next bytes of the tar; @runs: where they are is appended; NULL: nobody wants to know. */
int cluster_packer_put(struct cluster_packer *p, const void *data, size_t len, struct cluster_runs *runs,
                       struct error *err);
/** cluster_packer_begin_file() - the next @bytes are a file's: of one that is large enough frames begin with it, so that whoever reads pages of it reads no more frames than it takes. */
int cluster_packer_begin_file(struct cluster_packer *p, uint64_t bytes, struct error *err);
/** cluster_packer_finish() - that was all; 0: all packs are published. */
int cluster_packer_finish(struct cluster_packer *p, struct error *err);
/** cluster_packer_name() - heap: how listings call a pack. */
char *cluster_packer_name(const struct cluster_packer *p, int64_t number);
/** cluster_packer_count() - packs that were published; …_stored() - bytes of them in the store, before they are encrypted. */
uint64_t cluster_packer_count(const struct cluster_packer *p);
uint64_t cluster_packer_stored(const struct cluster_packer *p);

/* Files. */

struct cluster_files;
/** cluster_files_new() - @directory: for what is more than fits into memory. */
struct cluster_files *cluster_files_new(const char *directory);
struct cluster_files *cluster_files_free(struct cluster_files *f); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(cluster_files, struct cluster_files *, cluster_files_free)
/** cluster_files_arrived() - a file, or a directory, of the data directory. */
int cluster_files_arrived(struct cluster_files *f, const struct listing_entry *e, struct error *err);
/** cluster_files_promised() - backup_manifest has it. */
int cluster_files_promised(struct cluster_files *f, const struct base_manifest_file *promised,
                           struct error *err);
/**
 * cluster_files_list() - all of both came: hold them against each other, and write what arrived in the order of the keys
 *
 * Each file that was promised has arrived, as long and with the same CRC-32C; and of what arrived nothing was not promised but backup_manifest itself, what is in pg_wal, and directories.
 * -EBADMSG (ERROR_CORRUPT): @err names the first that is otherwise.
 */
int cluster_files_list(struct cluster_files *f, struct listing_writer *to, struct error *err);

/* What the server sends. */

#define CLUSTER_MANIFEST "backup_manifest"

/** struct cluster_taking - zeroed but for the first ones; cluster_taking_finish() */
struct cluster_taking {
	const struct make_context *ctx;
	const struct make_order *order;
	struct draft *draft;
	struct cluster_packer *packer;
	struct cluster_files *files;
	unsigned root_mode; /* of the data directory */
	/* Out. */
	uint64_t start_lsn;
	uint32_t timeline;
	uint64_t file_count, content_bytes;
	struct str tablespaces; /* "16385 /srv/fast", one on each line */
	/* take.c's own. */
	struct tar_members *own;
};
/** cluster_take() - BASE_BACKUP over @session; all of it is put into the packer, with the end of the tar. */
int cluster_take(struct cluster_taking *t, struct pg_replication *session,
                 const struct pg_base_options *options, uint64_t *ret_stop_lsn, struct error *err);
void cluster_taking_finish(struct cluster_taking *t);
static inline void cleanup_cluster_taking(struct cluster_taking *t)
{
	cluster_taking_finish(t);
}

void cluster_check(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_findings *findings);
