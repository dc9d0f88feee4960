// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Where compressed segments and the marks between them go: one custom archive, or the files of a directory.
 * Made by one thread at a time; it does not know whether one stream or several readers made what comes.
 */
#include "contents.h"
#include "dump.h"
#include "toc.h"

#include <keepfs/stream/ordered.h>

enum mark {
	/* value: the entry's number. An entry's block begins; segments of its rows follow, or large
	 * objects */
	MARK_BLOCK,
	MARK_BLOB, /* value: the large object's oid; its segments follow */
	MARK_BLOB_END,
	MARK_BLOCK_END,
};

struct output;

struct output_ops {
	int (*begin)(struct output *, struct error *);
	int (*segment)(struct output *, const struct segment *, const void *data, struct error *);
	/* Where in its file the next segment will be. */
	uint64_t (*offset)(const struct output *);
	int (*mark)(struct output *, enum mark, uint64_t value, struct error *);
	int (*finish)(struct output *, struct error *);
	void (*free)(struct output *);
};

struct output {
	const struct output_ops *ops;
	struct dump *dump;
	struct contents *contents;
	struct toc toc;
	struct content *content; /* whose block it is; NULL between two */
	uint32_t oid;            /* the large object that has begun; 0: none has */
};

/** output_new() - for the format of the job; @toc is the output's. Reserves nothing. */
struct output *output_new(struct dump *d, struct contents *contents, struct toc toc);
/** output_begin() - the memory for the upload is reserved here, last of all that a dump reserves: so whoever
 * waits for it holds nothing that another one could wait for. */
int output_begin(struct output *o, struct error *err);
/** output_check() - what the segments shall carry. */
enum segment_check output_check(const struct dump *d);
/** output_ordered() - the consumer of press or turns. */
struct ordered_out output_ordered(struct output *o);
/** output_finish() - every entry has its block: the objects are completed in the store. */
int output_finish(struct output *o, struct error *err);
struct output *output_free(struct output *o);
DEFINE_CLEANUP(output, struct output *, output_free)

/** output_block() - begin the block of an entry: fails when there is none of that number, or it had its
 * block. */
int output_block(struct output *o, uint64_t dump_id, struct error *err);
/** output_block_end() - of the entry that output_block() began. */
void output_block_end(struct output *o);

struct output *archive_new(void);
struct output *directory_new(void);
