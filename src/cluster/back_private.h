// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Bringing a base back.
 *
 *   back.c         the listing is brought here; what is wanted of it
 *   back_look.c    the directory as it is: may it be written, and what is in it
 *   back_fetch.c   packs, several at once
 *   back_file.c    files that are written, of one run or of several
 *   back_end.c     what comes before and behind: what is removed, directories, settings, the control file
 */
#include <keepfs/base/sorter.h>
#include <keepfs/base/spool.h>
#include <keepfs/cluster/back.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/pg_control.h>
#include <pthread.h>
#include <stdatomic.h>

/* Under this name until all else is on the disk. */
#define BACK_CONTROL_NEW PG_CONTROL_NAME ".keepfs"

struct cluster_back {
	struct cluster_back_options options;
	struct manifest m;
	struct base_facts facts;
	struct spool *listing;
	struct listing_index index;
	struct listing_source source;
	char *job;
	int dir_fd;             /* of the directory; -1: it is not there yet */
	uint8_t *wanted;        /* a bit for each line of the listing */
	struct sorter *removed; /* paths, those below a directory before it */
};

/* The listing. */

/** struct base_walk - all lines of a listing, one after the other. */
struct base_walk {
	struct listing_reader *reader;
	struct listing_entry entry; /* the present one */
	uint64_t number;            /* of its line, from 0 */
	bool is_begun;
};
struct base_walk refill_base_walk(const struct cluster_back *b);
/** base_walk_next() - 1: entry and number are the next one's; 0: there are no more; -EBADMSG. */
int base_walk_next(struct base_walk *w, struct error *err);
void base_walk_finish(struct base_walk *w);
static inline void cleanup_base_walk(struct base_walk *w)
{
	base_walk_finish(w);
}
/** refill_is_root() - is it the data directory itself? */
bool refill_is_root(const struct listing_entry *e);
/** refill_is_left_out() - what a recovery writes anew, or must not find. */
bool refill_is_left_out(const char *key);
static inline bool refill_is_wanted(const struct cluster_back *b, uint64_t number)
{
	return b->wanted[number / 8] & (1U << (number % 8));
}
/** refill_expected_crc() - of a file whose CRC-32C is known. */
bool refill_expected_crc(const struct listing_entry *e, uint32_t *ret);

/* The directory. */

/** struct local_record - something that is there; its path follows. */
struct local_record {
	uint64_t bytes;
	int64_t modified_s;
	bool is_directory, is_regular, is_link;
};
static inline const char *local_path(const struct local_record *l)
{
	return (const char *)(l + 1);
}
/** refill_look() - may the directory be written? Opens it. @ret: is_there, is_going_on. */
int refill_look(struct cluster_back *b, struct cluster_back_plan *ret, struct error *err);
/** refill_refuse_running() - -EBUSY (ERROR_CONFLICT): the directory, which is open, has the postmaster.pid of a server that may run. */
int refill_refuse_running(const struct cluster_back *b, struct error *err);
/** refill_list_local() - all that is in it, by path, into a sorter that is ended. */
int refill_list_local(struct cluster_back *b, struct cluster_back_plan *plan, struct sorter **ret,
                      struct error *err);
/** refill_check_spaces() - what becomes links: their directories are empty, or those that the links there lead to. */
int refill_check_spaces(const struct cluster_back *b, bool is_going_on, struct error *err);
/** refill_check_link() - what is at @key is a directory, or (@is_link) a link to one, and stays: -EEXIST (ERROR_CONFLICT) when a tablespace is to be elsewhere. */
int refill_check_link(const struct cluster_back *b, const char *key, bool is_link, struct error *err);
/** refill_space_of() - the one of "pg_tblspc/16385"; NULL. */
const struct cluster_back_space *refill_space_of(const struct cluster_back *b, const char *key);

/* Comparing. */

/** struct refill_candidate - a file that has the right size. */
struct refill_candidate {
	char *path;
	uint64_t number, bytes;
	uint32_t crc32c;
	bool is_same; /* out */
};
/** refill_compare() - read them all, several at once. */
int refill_compare(struct cluster_back *b, struct refill_candidate *items, size_t count, struct error *err);

/* Files. */

/** struct run_record - a run that is to be fetched, of a file; its path follows. */
struct run_record {
	char pack[48];
	int64_t pack_number;
	uint64_t place, at, bytes;
	uint64_t number, file_bytes;         /* of the file */
	uint64_t zeros_before, zeros_behind; /* bytes of zeros that no pack has */
	uint32_t run, runs;                  /* which of how many of that file */
	uint32_t mode, crc32c;
	bool has_crc;
	int64_t modified_us;
};
static inline const char *path_of_run(const struct run_record *r)
{
	return (const char *)(r + 1);
}

struct refill_file; /* one that is written */
struct refill_files {
	const struct cluster_back *b;
	pthread_mutex_t lock;
	struct refill_file *open; /* lock: of several runs, not all of which are there */
};
void refill_files_init(struct refill_files *f, const struct cluster_back *b);
void refill_files_finish(struct refill_files *f);
/** refill_file_open() - the file of @r, to write that run. Any thread. */
int refill_file_open(struct refill_files *f, const struct run_record *r, struct refill_file **ret,
                     struct error *err);
int refill_file_write(const struct refill_file *file, const struct run_record *r, const void *data,
                      size_t len, uint64_t at, struct error *err);
/** refill_file_close() - the run was written, with that CRC-32C; with the last one the file is whole, or -EBADMSG. */
int refill_file_close(struct refill_files *f, struct refill_file *file, const struct run_record *r,
                      uint32_t crc, struct error *err);
/** refill_file_drop() - it failed. NULL allowed. */
void refill_file_drop(struct refill_file *file, const struct run_record *r);
/** refill_file_empty() - a file of which no pack has anything. */
int refill_file_empty(const struct cluster_back *b, const struct listing_entry *e, struct error *err);

/** refill_fetch() - all that is in @runs, which was ended. */
int refill_fetch(struct cluster_back *b, struct sorter *runs, struct error *err);
/** refill_read_object() - an object of @path, from the store, checked and plain. */
int refill_read_object(const struct cluster_back *b, const char *path, const char *encrypted_to,
                       const struct manifest_object *object,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err);

/* Before and behind. */

/** refill_begin() - the mark, no control file, nothing that is not in the base, all directories. */
int refill_begin(struct cluster_back *b, struct error *err);
/** refill_end() - modes, settings, everything on the disk, the control file, no mark. */
int refill_end(struct cluster_back *b, const struct recovery_settings *settings, struct error *err);
