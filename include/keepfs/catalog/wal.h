// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The files of WAL archives, as the store has them (keepfs/wal.h): one row for each, by the section [cluster NAME] that archives it and its name. The store is the truth: a row is
 * written when the object is durable, and what a catalog does not know is found by listing the store. No copy of the catalog has these rows. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/wal_name.h>
#include <keepfs/store.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

#define CATALOG_WAL_JOB_BYTES 256
#define CATALOG_WAL_UNKNOWN   UINT64_MAX /* of a size */

/** struct catalog_wal - one file */
struct catalog_wal {
	int64_t id; /* from 1; of no other file as long as the catalog lives */
	char job[CATALOG_WAL_JOB_BYTES];
	char name[WAL_NAME_BYTES];
	char key[STORE_KEY_BYTES]; /* of its object */
	uint64_t bytes; /* of the file; CATALOG_WAL_UNKNOWN: it was found by its name, and is encrypted */
	uint64_t stored_bytes;
	char sha256[SHA256_HEX_BYTES]; /* of the file; "": it was found by its name, and not read yet */
	int64_t arrived_us;
};

/** catalog_wal_find() - the file @name of @job; -ENOENT. */
int catalog_wal_find(struct catalog *c, const char *job, const char *name, struct catalog_wal *ret);
/** catalog_wal_by_id() - the same by its number; -ENOENT. */
int catalog_wal_by_id(struct catalog *c, int64_t id, struct catalog_wal *ret);
/** catalog_wal_page() - those of @job with numbers above @after, by number; how many, at most @max; negative errno. */
ssize_t catalog_wal_page(struct catalog *c, const char *job, int64_t after, struct catalog_wal *rows,
                         size_t max);
/** catalog_wal_last() - the one of @job that arrived last; -ENOENT. */
int catalog_wal_last(struct catalog *c, const char *job, struct catalog_wal *ret);
/** catalog_wal_last_segment() - of the segments of @job on the timeline of @first, from @first to @last (names of segments, both included), the last one in the log; -ENOENT. */
int catalog_wal_last_segment(struct catalog *c, const char *job, const char *first, const char *last,
                             struct catalog_wal *ret);
/** catalog_wal_totals() - of @job: how many there are, and how many bytes they have in the store. */
int catalog_wal_totals(struct catalog *c, const char *job, uint64_t *ret_files, uint64_t *ret_stored_bytes);
/** catalog_wal_add() - list @w, whose id is not looked at. Return: 0; -EEXIST: the name is listed already, and nothing was changed. */
int catalog_wal_add(struct catalog *c, const struct catalog_wal *w, struct error *err);
/** catalog_wal_learn_sums() - what reading the file has shown. */
int catalog_wal_learn_sums(struct catalog *c, int64_t id, uint64_t bytes, const char *sha256,
                           struct error *err);

/** struct catalog_wal_cluster - of which cluster the archive of a job is. */
struct catalog_wal_cluster {
	uint64_t system_id;
	uint32_t
	        segment_bytes; /* 0: not known, since all that was found so far is encrypted, and this host cannot decrypt it */
};
/** catalog_wal_cluster() - -ENOENT: nothing has said so yet. */
int catalog_wal_cluster(struct catalog *c, const char *job, struct catalog_wal_cluster *ret);
/** catalog_wal_bind() - @job is of that cluster from now on. Again, and with a size of segments where none was known, it is success. -EEXIST: it is of another one, or of other segments. */
int catalog_wal_bind(struct catalog *c, const char *job, const struct catalog_wal_cluster *cluster,
                     struct error *err);
