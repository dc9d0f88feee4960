// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A state of a mirror, brought back: into the bucket or directory that it is of, or into another one. The listing of the state and that of the target are walked
 * side by side, in the order of the keys, and only what differs is written.
 *
 *   mirror_back_open()     the listing is brought here, the target is opened; nothing is asked of the target
 *   mirror_back_plan()     what is missing, differs, is the same, or is only there; nothing is changed
 *   mirror_back_run()      the same walk; what is missing, or differs, is written, and what is only there is removed, when that was asked for
 *   mirror_back_check()    every object is read, and its SHA-256 compared: at the target, or where there is none as the store has it
 *
 * Whether an object of the target is that of the state is told by what both listings say:
 *
 *   same          its ETag is that of the state; or, of a file, its size and its time are
 *   different     another size; or another ETag, where both are MD5s of their bytes, made the same way
 *   unsure        the same size, and ETags that tell nothing: the run compares the bytes (of a file; or, of a bucket, those of the state with the ETag), and writes
 *                 it when they differ, or when that cannot be found out
 *
 * Metadata of what is the same are not compared. Keys come from a listing that somebody may have forged: what cannot be a file below a directory is refused by name, and no
 * symbolic link is followed. Memory: what was reserved of the pool, a page of the target's listing, and the index of the state's; the listing is in an unlinked file of state_dir.
 *
 * One thread; all but mirror_back_free() block. What a run that was ended has written stays, and is the same for the next one.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/make.h>

struct rate;

/** MIRROR_BACK_BUFFERS - so many of 1 MiB the pool of @ctx must be able to promise, at least: make it with MIRROR_BACK_POOL_BYTES. */
#define MIRROR_BACK_BUFFERS    48
#define MIRROR_BACK_POOL_BYTES ((uint64_t)96 << 20)

struct mirror_back_options { /* all borrowed until mirror_back_free() */
	const struct make_context
	        *ctx;          /* its pool is for this alone: keep no other reservation of it meanwhile */
	struct cancel *cancel; /* NULL: it cannot be cancelled */
	/* Who is told lines about single objects, and of progress: read_bytes, what was read of the state; sent_bytes, what was written. NULL: nobody */
	const struct make_order *order;
	const char *
	        path; /* of the artifact: "backups/documents/20261120T020000Z", "backups/site/20261120T020000Z" */
	const char *part; /* the listing of that part of a bundle ("objects"); NULL: the artifact's own */
	const struct conf_store *
	        to; /* the target, as source_open() takes it: mirror_back_place(); NULL: there is none, for mirror_back_check() alone */
	unsigned connections; /* puts at once */
	const char *
	        below; /* only that key, and those that go on behind it with '/', in both listings; NULL: all */
	bool alone;    /* of @below that key alone */
	bool replace;      /* what is there, and differs, is written; else it is left, and counted */
	bool remove;       /* what is only at the target is removed */
	struct rate *rate; /* of what is written; NULL: no limit */
};

/** struct mirror_back_names - how many, and the first of them. */
struct mirror_back_names {
	uint64_t count, bytes;
	uint64_t digest;  /* of what is only there: which objects these are, in whatever order */
	struct str first; /* "a, b, c", as they are shown in a mount; some 5 */
};
struct mirror_back_counts {                                               /* mirror_back_counts_finish() */
	struct mirror_back_names missing, different, unsure, same, extra; /* of the walk */
	struct mirror_back_names refused; /* keys that cannot be at the target */
	/* Of a run alone. What was unsure, and turned out to be there, counts as same. */
	struct mirror_back_names written, removed;
	struct mirror_back_names left;   /* differ, and were not replaced */
	struct mirror_back_names failed; /* could not be written, removed, or read of the state */
	uint64_t requests;               /* to the target */
};
void mirror_back_counts_finish(struct mirror_back_counts *c);
static inline void cleanup_mirror_back_counts(struct mirror_back_counts *c)
{
	mirror_back_counts_finish(c);
}

struct mirror_back;
/**
 * mirror_back_open()
 * Return: 0; -EINVAL (ERROR_USAGE): it is no state of a mirror, or @part is none; as artifact_read_manifest_anywhere(), keyring_open() and source_open();
 * -EBADMSG (ERROR_CORRUPT): the listing is damaged.
 */
int mirror_back_open(const struct mirror_back_options *options, struct mirror_back **ret, struct error *err);
struct mirror_back *mirror_back_free(struct mirror_back *b); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(mirror_back, struct mirror_back *, mirror_back_free)
/** mirror_back_target() - "s3://documents/prefix": borrowed; NULL: it has none. mirror_back_source() - what the state is of, by its listing: the same. */
const char *mirror_back_target(const struct mirror_back *b);
const char *mirror_back_source(const struct mirror_back *b);
/** mirror_back_plan() - @ret held nothing. Negative: a listing cannot be read. */
int mirror_back_plan(struct mirror_back *b, struct mirror_back_counts *ret, struct error *err);
/**
 * mirror_back_run() - @ret held nothing, and is filled whatever comes
 *
 * What is only there is removed when it is what mirror_back_plan() has told of, and not more or less: else nothing is, with -EEXIST (ERROR_CONFLICT), and all else is done.
 *
 * Return: 0: all of the state is there, but for what was refused to be replaced (@ret->left); negative: some objects are not (@ret->failed, @ret->refused), or it was ended:
 * cancelled, the target has failed for as long as it is retried, or is full. @err says what is left to be done.
 */
int mirror_back_run(struct mirror_back *b, struct mirror_back_counts *ret, struct error *err);
/**
 * mirror_back_check() - is every object that of the state? Changes nothing. Of a target all objects must be there, and no others; all are read
 *
 * @ret held nothing, and is filled whatever comes: @ret->same are right. Return: 0; negative: some are not, and @err has the class of the first one's failure (ERROR_CORRUPT: its bytes are
 * others; ERROR_CONFLICT: they are missing there, or too many), or it was ended as a run is.
 */
int mirror_back_check(struct mirror_back *b, struct mirror_back_counts *ret, struct error *err);
/** mirror_back_tell() - @c in numbers and first names, as lines for the log of @order. */
void mirror_back_tell(const struct make_order *order, const struct mirror_back_counts *c);

/**
 * mirror_back_place() - where a state of @job goes: by @url ("s3://bucket/prefix", "dir:/directory"; NULL: what [mirror @job] mirrors)
 * @ret: shallow: borrowed of @conf and @url. Credentials are those of [mirror @job], or, where the configuration has none of that name or it mirrors no bucket, of
 *        [store].
 * Return: 0; -EINVAL: the configuration has no such mirror, or it says url = none; or @url is no place.
 */
int mirror_back_place(const struct conf *conf, const char *job, const char *url, struct conf_store *ret,
                      struct error *err);
