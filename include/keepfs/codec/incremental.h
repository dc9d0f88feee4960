// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The incremental files in which PostgreSQL 17 and later send what changed of a relation since an earlier backup: INCREMENTAL.16385 in place of 16385
 * (src/backend/backup/basebackup_incremental.c and src/bin/pg_combinebackup/reconstruct.c of PostgreSQL). Numbers of 32 bits as a little-endian server writes them: a magic, how
 * many pages come, the truncation length in pages, the numbers of these pages, ascending; zeros up to a whole page, if any page comes; and the pages. Read as their bytes come.
 * Memory: four bytes for each page that comes, and one page. Pure; one thread.
 *
 *   struct incremental_reader *r = incremental_reader_new(&to);  incremental_reader_feed() …  incremental_reader_end()
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

/** INCREMENTAL_PAGE_BYTES - what PostgreSQL is built with everywhere; a server with other pages is told by its magic alone, and must be refused before. */
#define INCREMENTAL_PAGE_BYTES ((size_t)8192)
/** INCREMENTAL_PAGES_MAX - of a file: one of 8 GiB; PostgreSQL's own are of 1 GiB. */
#define INCREMENTAL_PAGES_MAX ((uint32_t)1 << 20)
/** INCREMENTAL_PREFIX - before the last part of the name of the file that it stands for. */
#define INCREMENTAL_PREFIX "INCREMENTAL."

/**
 * struct incremental_head - which pages come, and how long the file is
 *
 * A page that does not come is that of the earlier backup when its number is below @truncation_pages (zeros, where that one was shorter), and zeros otherwise.
 */
struct incremental_head {
	const uint32_t *pages; /* their numbers, ascending; borrowed until the reader is freed */
	uint32_t count;
	uint32_t truncation_pages;
	uint32_t total_pages; /* of the file, when it is put together */
};

/** struct incremental_to - who is told, the head first; a negative return ends it, and is returned. */
struct incremental_to {
	int (*head)(void *arg, const struct incremental_head *h, struct error *err);
	/* @data: INCREMENTAL_PAGE_BYTES of the page @number, borrowed for the call */
	int (*page)(void *arg, uint32_t number, const void *data, struct error *err);
	void *arg;
};

struct incremental_reader;
struct incremental_reader *incremental_reader_new(const struct incremental_to *to); /* copied */
struct incremental_reader *
incremental_reader_free(struct incremental_reader *r); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(incremental_reader, struct incremental_reader *, incremental_reader_free)
/** incremental_reader_feed() - the next bytes of the file. -EBADMSG (ERROR_CORRUPT): it is no such file; the message says why, and the caller which. */
int incremental_reader_feed(struct incremental_reader *r, const void *data, size_t len, struct error *err);
/** incremental_reader_end() - that was all. -EBADMSG: it was cut off. */
int incremental_reader_end(const struct incremental_reader *r, struct error *err);

/** incremental_file_name() - whether @path is that of an incremental file: then, heap, of the file that it stands for ("base/5/INCREMENTAL.16385" → "base/5/16385"); NULL: it is not. */
char *incremental_file_name(const char *path);
