// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A run of a cluster's job.
 *
 *   make.c   what one run makes: the order of its steps
 *   parent.c the base before, whose pages need not be stored again
 *   take.c   what the server sends becomes members of one tar
 *   pages.c  the bytes of its files: which pages are as they were in the base before, and the sums of all
 *   pack.c   that tar becomes frames, and these become packs
 *   files.c  what has arrived, held against what the server says that it has sent; the listing
 *   probe.c  would it work?
 *   rebuild.c the program in the store that makes a data directory without keepfs
 */
#include <keepfs/base/spool.h>
#include <keepfs/codec/base_manifest.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/page_sums.h>
#include <keepfs/make.h>
#include <keepfs/make/draft.h>
#include <keepfs/make/pack.h>
#include <keepfs/mirror/used.h>
#include <keepfs/pg/replication.h>

/* Packs. */

/** CLUSTER_PACK_BYTES - a pack ends at the first end of a frame at which it is known to have so many in the store; CLUSTER_PACK_PLAIN_BYTES - or so many plain ones, however little becomes of these. */
#define CLUSTER_PACK_BYTES       (UINT64_C(32) << 20)
#define CLUSTER_PACK_PLAIN_BYTES (UINT64_C(512) << 20)
/** CLUSTER_RUNS_MAX - of a file, about: the packs of a larger one are as large as that takes, since its line in the listing has all of them. */
#define CLUSTER_RUNS_MAX 512U

/** struct cluster_run - bytes of a file */
struct cluster_run {
	int64_t pack; /* its number; 0: it is of an earlier base */
	const char *
	        older; /* which one of that base, as listings call it: a name out of struct used; else NULL */
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

/** cluster_runs_add_older() - the next bytes are in a pack of an earlier base. @older: equal pointers, equal packs. */
void cluster_runs_add_older(struct cluster_runs *runs, const char *older, uint64_t place, uint64_t bytes);

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

/* The base before. */

/** struct cluster_parent - zeroed: there is none. */
struct cluster_parent {
	const struct make_context *ctx;
	const struct make_order *order;
	struct catalog_newest newest;
	bool is_kept, is_encrypted; /* is_encrypted: the new base is */
	bool is_usable;             /* what follows is there; else everything is stored */
	struct spool *lines;        /* of its files that have page sums: the key, with NUL, and the line */
	struct spool *places;       /* of those in @lines, in the order of their keys */
	uint64_t count;             /* of them */
	struct spool *sums;
	struct page_sums_head head;
	struct used used;   /* the packs that it needs, and how many bytes of each */
	struct used leaves; /* those of them that the new base is not to need */
};
/**
 * cluster_parent_open() - the newest base of the job, when it is whole and of the cluster @system_id; its listing and its page sums are brought here, into unlinked files
 *
 * It is kept until cluster_parent_close(). Packs that are gone, damaged, plain where the new base is encrypted, or of which the base needs less than a quarter, are left. Return: 0, also when there is none, or it cannot be
 * used, which is said in the log; -ECANCELED.
 */
int cluster_parent_open(struct cluster_parent *p, const struct make_context *ctx,
                        const struct make_order *order, bool is_encrypted, uint64_t system_id,
                        struct error *err);
void cluster_parent_close(struct cluster_parent *p);
/** cluster_parent_find() - the file @key of it: 1 with @ret, which held nothing, whose page sums are there, too; 0: it has none. -EBADMSG (ERROR_CORRUPT): its listing is damaged. */
int cluster_parent_find(struct cluster_parent *p, const char *key, struct listing_entry *ret,
                        struct error *err);
/** cluster_parent_pack() - the name of a pack of it that may be used, as @used keeps it; NULL: it is left. */
const char *cluster_parent_pack(const struct cluster_parent *p, const char *pack);
/** CLUSTER_PACKS_GONE - cluster_parent_check(): the store does not have all of them. */
#define CLUSTER_PACKS_GONE 1
/** cluster_parent_check() - does the store list all packs of @used that are not in the directory @own ("20261120T020000Z"), as long as they were stored? 0; CLUSTER_PACKS_GONE with @err, which names one; negative: the store could not be
 * asked. */
int cluster_parent_check(const struct cluster_parent *p, const struct used *used, const char *own,
                         struct error *err);

/* The bytes of files. */

/** CLUSTER_PIECES - the members of the tar that are pages of a file that is not stored whole are called that, the key of the file, and the place of the first: ".keepfs-pages/base/5/16384/000000008192". */
#define CLUSTER_PIECES ".keepfs-pages/"

/** struct cluster_member - a member of the tar; all borrowed. */
struct cluster_member {
	const char *name;
	const struct listing_entry *entry; /* what it is */
	uint64_t bytes;
	uint32_t uid, gid;
};
/** cluster_put_header() - the headers of a member: a file's bytes come next. */
int cluster_put_header(struct cluster_packer *packer, const struct cluster_member *member, struct error *err);

struct cluster_pages_options {
	struct cluster_packer *packer; /* borrowed, as all of these */
	struct cluster_parent *parent;
	struct spool *sums; /* its head was written; NULL: none are wanted */
	uint64_t seed;
	struct used *used; /* gets the packs that the runs of files are in */
};
struct cluster_pages;
/** cluster_pages_new() - has some MiB. One file after the other: begin(), put() …, end(). */
struct cluster_pages *cluster_pages_new(const struct cluster_pages_options *options);
struct cluster_pages *cluster_pages_free(struct cluster_pages *p); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(cluster_pages, struct cluster_pages *, cluster_pages_free)
/** cluster_pages_begin() - the file @member->entry, under its key, @member->name; both are borrowed until cluster_pages_end(). */
int cluster_pages_begin(struct cluster_pages *p, const struct cluster_member *member, struct error *err);
int cluster_pages_put(struct cluster_pages *p, const void *data, size_t len, struct error *err);
/** cluster_pages_end() - as many bytes came as the entry says: @ret gets its runs, its CRC-32C and where its page sums are. */
int cluster_pages_end(struct cluster_pages *p, struct listing_entry *ret, struct error *err);
/** cluster_pages_stored() - bytes of files so far that were put into packs, and that earlier bases had (@ret_older). */
uint64_t cluster_pages_stored(const struct cluster_pages *p, uint64_t *ret_older);

/* What the server sends. */

#define CLUSTER_MANIFEST "backup_manifest"

/** struct cluster_taking - zeroed but for the first ones; cluster_taking_finish() */
struct cluster_taking {
	const struct make_context *ctx;
	const struct make_order *order;
	struct draft *draft;
	struct cluster_packer *packer;
	struct cluster_pages *pages;
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

/** cluster_leave_rebuild_program() - recovery/rebuild-1.py in the store that has the base @path, where it is not yet; a failure is a warning of the run. Blocks on the store. */
void cluster_leave_rebuild_program(const struct make_context *ctx, const struct make_order *order,
                                   const char *path);

void cluster_check(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_findings *findings);
