// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Header and table of contents of an archive, taken as pg_dump wrote them, and changed where a new archive
 * with the same entries differs: how data is compressed, and where each entry's block begins. Their size
 * never changes, so every offset behind them is known before they are. Pure. Layout: docs/formats.md.
 */
#include <keepfs/codec/compression.h>
#include <keepfs/codec/pg_archive.h>

struct pg_archive_head_options {
	struct pg_archive_facts facts; /* of the archive that pg_dump wrote */
	/* What pg_restore shall expect. COMPRESSION_ZSTD only from version 1.15 on: older archives cannot say it. */
	struct compression compression;
	/* The same as the toc.dat of the directory format (pg_dump -Fd): a string stands in the place of each offset, the
	 * name of the entry's file. Source: pg_backup_directory.c (WriteExtraToc). */
	bool directory;
	/* Of the entry whose place this is; all entries are asked for, in their order. @offset: where its block begins in the
	 * file, 0 when it has none; one that does not fit into 4 bytes, where offsets have these, is marked as not known:
	 * pg_restore looks for it. @file_name: borrowed until the next call ("3456.dat", "blobs.toc"), NULL when it has none. */
	uint64_t (*offset)(void *arg, uint64_t place_at);
	const char *(*file_name)(void *arg, uint64_t place_at);
	int (*emit)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};

/** struct pg_archive_head - a header and table of contents that pass: no more than one piece is in memory */
struct pg_archive_head;

struct pg_archive_head *pg_archive_head_new(const struct pg_archive_head_options *options);
struct pg_archive_head *pg_archive_head_free(struct pg_archive_head *h);
DEFINE_CLEANUP(pg_archive_head, struct pg_archive_head *, pg_archive_head_free)
/** pg_archive_head_feed() - the next of the first facts.toc_end bytes of the archive, in pieces of any size; emits what
 * becomes of them. -EBADMSG when they are no header and table of contents; else what emit() returned. */
int pg_archive_head_feed(struct pg_archive_head *h, const void *data, size_t len, struct error *err);

/**
 * struct pg_archive_writer - the data blocks of a custom archive, from compressed segments Blocks come in any
 * order, one at a time. Bytes go to @emit as they are ready, a call's in the order of the file.
 */
struct pg_archive_writer;

struct pg_archive_writer_options {
	struct compression compression;
	uint64_t begin; /* offset of the first block in the file */
	int (*emit)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};

struct pg_archive_writer *pg_archive_writer_new(const struct pg_archive_writer_options *options);
struct pg_archive_writer *pg_archive_writer_free(struct pg_archive_writer *w);
DEFINE_CLEANUP(pg_archive_writer, struct pg_archive_writer *, pg_archive_writer_free)
/** pg_archive_writer_offset() - where the next byte will stand in the file. */
uint64_t pg_archive_writer_offset(const struct pg_archive_writer *w);
/* Each of these returns 0, or what emit() returned; nothing can be written behind a failure. */
int pg_archive_writer_block(struct pg_archive_writer *w, int dump_id, bool blobs, struct error *err);
int pg_archive_writer_blob(struct pg_archive_writer *w, uint32_t oid, struct error *err);
/** pg_archive_writer_segment() - of the present block (or large object), made with SEGMENT_CHECK_ADLER32 for
 * gzip. Segments are joined to one zlib stream; each zstd frame is a chunk of its own. */
int pg_archive_writer_segment(struct pg_archive_writer *w, const struct segment *s, const void *data,
                              struct error *err);
int pg_archive_writer_blob_end(struct pg_archive_writer *w, struct error *err);
int pg_archive_writer_block_end(struct pg_archive_writer *w, struct error *err);
