// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What was counted of one table when a backup was made, taken out of its .tables.csv. The file comes in pieces, from a mount or from the store;
 * of it nothing is kept but the line of that table. One thread.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/codec/rows.h>
#include <keepfs/make.h>

struct use_counted { /* borrowed until use_counting_free() */
	bool is_there;
	const char *name; /* "public.orders"; NULL: it is not there */
	struct rows rows;
	bool has_hash;       /* large objects have none */
	const char *nearest; /* where it is not there: a name that was perhaps meant; NULL */
};

struct use_counting;
/** use_counting_new() - @table: "public.orders", or "orders", which may be in one schema only. Borrowed. */
struct use_counting *use_counting_new(const char *table);
/** use_counting_new_named() - of the table whose file in inside/ of the mount is @file: "public.orders.tsv" (codec/table_name.h). Large objects have none.
 * Borrowed. */
struct use_counting *use_counting_new_named(const char *file);
/** use_counting_feed() - the next bytes. -EBADMSG (ERROR_CORRUPT): it is no such file. */
int use_counting_feed(struct use_counting *c, const void *data, size_t len, struct error *err);
/** use_counting_end() - that was all. Return: 0; -EBADMSG: it was cut off; -EINVAL (ERROR_USAGE): the table is in several schemas. */
int use_counting_end(struct use_counting *c, struct use_counted *ret, struct error *err);
struct use_counting *use_counting_free(struct use_counting *c);
DEFINE_CLEANUP(use_counting, struct use_counting *, use_counting_free)

/**
 * use_counting_read() - feed it the file of the backup @path ("backups/full/20261120T020000Z.dump") from the store
 * Each extent and the whole are checked. Blocks. Return: 0; -ENOENT (ERROR_NOT_FOUND): the backup is not there, or has no such file; -EBADMSG
 * (ERROR_CORRUPT): what the store holds is something else; or why it did not answer.
 */
int use_counting_read(struct use_counting *c, const struct make_context *ctx, const char *path,
                      struct cancel *cancel, struct error *err);

/* Versions: the backups of a directory by their time, in either direction, and when the table is another one than in the backup before. */

struct use_versions { /* zeroed at first */
	bool has_begun, is_there, has_hash;
	struct rows rows;
};

enum use_version {
	USE_VERSION_SILENT, /* the backup says nothing about the table: it is of less than its job asks for, and has it not */
	USE_VERSION_SAME,
	USE_VERSION_OTHER, /* or the first of all */
};

/** use_versions_take() - what was counted in the next backup; @is_partial: it is of less than its job asks for. Two backups have the same
 * version when rows, bytes and the hash of the rows are equal, or when neither has the table. Pure. */
enum use_version use_versions_take(struct use_versions *v, const struct use_counted *found, bool is_partial);
