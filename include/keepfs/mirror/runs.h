// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Reading files of a base: any range of one, out of the packs that its runs name (keepfs/codec/listing.h), each of which is a stream in zstd's seekable format
 * (keepfs/codec/seekable.h). Packs are read by the room `reader`: so what is stored is checked against its CRC-32C, decrypted, kept, and read ahead there; here frames are
 * decoded, and zstd compares the checksum of each.
 *
 *   runs_reader_new()      once; packs are opened when they are first needed
 *   runs_reader_read()     a range of a file
 *   runs_reader_forget()   a pack was removed, or is another object now
 *
 * A frame that a reader wants all of is decoded where he wants it; one of which he wants a part is kept, so that whoever reads on, or reads the next small file, does not
 * decode it again. Whoever reads a pack in order has the next ones of its directory opened, and got from the store, before he comes to them; decoding is on the
 * threads of those who read, so a file is decoded by as many at once as ask for ranges of it.
 *
 * Memory is what was reserved of the pool: two buffers for each of @threads who read at the same time, three quarters of the others for frames, the rest for the tables of packs, of which those that were
 * used last stay open. Any thread; what reads blocks until the store has answered or given up, or its cancel token is set.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/listing.h>
#include <keepfs/reader.h>

struct repository;

/** struct runs_pack - which one. Two with the same members are the same. */
struct runs_pack {
	uint64_t
	        store; /* whose copy of it is read, by its number in the catalog; 0: the artifact, from whichever store gives it */
	const char *path; /* "packs/main/20261120T020000Z/00001.tar.zst"; borrowed */
};

/** struct runs_object - a pack that was opened. */
struct runs_object {
	struct reader_file *file; /* closed by the runs_reader, before it calls close() */
	uint64_t bytes;           /* of the pack, decrypted */
};

/** struct runs_packs - where packs come from. */
struct runs_packs {
	/**
	 * open() - for reading by @reader; may wait for the store until @cancel is set
	 * Return: 0; -EBADMSG or another errno with ERROR_CORRUPT or ERROR_NOT_FOUND: the pack is damaged, or gone; what the store says.
	 */
	int (*open)(void *arg, struct reader *reader, const struct runs_pack *pack, struct cancel *cancel,
	            struct runs_object *ret, struct error *err);
	/* close() - one that was opened is read no more. NULL allowed. */
	void (*close)(void *arg, const struct runs_pack *pack);
	void *arg;
};

struct repository_packs { /* for runs_packs_of_repository() */
	struct repository *repository;
};
/**
 * runs_packs_of_repository() - the packs of artifacts, as the catalog knows them; those that it does not know, by the manifests in the store
 * @of: borrowed, for as long as a runs_reader has the result. runs_pack.store must be 0.
 */
struct runs_packs runs_packs_of_repository(struct repository_packs *of);

/** RUNS_THREAD_BUFFERS - buffers of the pool for each thread; RUNS_BUFFERS_MIN - all of them, for one thread. */
#define RUNS_THREAD_BUFFERS 2
#define RUNS_BUFFERS_MIN    4

struct runs_options {
	struct reader *reader;   /* borrowed */
	struct runs_packs packs; /* copied */
	struct pool *pool;       /* borrowed */
	size_t buffers;   /* of it, that are kept; at least RUNS_BUFFERS_MIN, and twice what @threads need */
	unsigned threads; /* so many read at once, at least 1: others wait for their turn */
	uint64_t ahead_bytes; /* of packs behind the one that is read in order, stored ones; 0: none */
};

struct runs_reader;
/**
 * runs_reader_new() - nothing is opened yet
 * Return: 0; -EINVAL; -ENOSPC: the pool cannot promise that much; -EAGAIN: there is no thread for it.
 */
int runs_reader_new(const struct runs_options *options, struct runs_reader **ret, struct error *err);
/** runs_reader_free() - nobody reads. Before the reader. NULL allowed; returns NULL. */
struct runs_reader *runs_reader_free(struct runs_reader *r);
DEFINE_CLEANUP(runs_reader, struct runs_reader *, runs_reader_free)

struct runs_read {                         /* all borrowed for the call */
	uint64_t store;                    /* of its packs: struct runs_pack */
	const char *job;                   /* packs/JOB/… */
	const struct listing_entry *entry; /* a file of a base */
	uint64_t at;
	size_t len; /* @at + @len is at most entry->bytes */
	void *buf;
	struct cancel *cancel; /* NULL: it cannot be cancelled */
};
/**
 * runs_reader_read() - all of the range, or an error
 * @ret_pack: NULL, or which pack could not be read (listing_run.pack of the entry, borrowed from it; NULL: none of them is to blame)
 * Return: 0; -EINVAL: the file has no such range; an errno with ERROR_CORRUPT or ERROR_NOT_FOUND: the pack is damaged, or gone, the message names it; -ECANCELED; what the store says.
 */
int runs_reader_read(struct runs_reader *r, const struct runs_read *what, const char **ret_pack,
                     struct error *err);
/** runs_reader_pack_path() - heap: the path of the pack @pack ("20261120T020000Z/00001") of @job. */
char *runs_reader_pack_path(const char *job, const char *pack);
/** runs_reader_forget() - who reads it now goes on with what he has; the next one opens it anew. Does not wait for the store. */
void runs_reader_forget(struct runs_reader *r, const struct runs_pack *pack);

/** struct runs_reader_counts - since it was made. */
struct runs_reader_counts {
	uint64_t opened;  /* packs */
	uint64_t decoded; /* frames */
	uint64_t kept;    /* frames that somebody wanted and that were there */
};
void runs_reader_counts(struct runs_reader *r, struct runs_reader_counts *ret);
