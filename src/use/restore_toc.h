// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The table of contents of a dump that is restored: fetched from the store into a file of its own, which pg_restore takes for the archive
 * whenever it needs no data; and which of its entries are wanted. Each entry with data has some hundred bytes in memory, the others a bit.
 */
#include "backup.h"
#include "restore_database.h"

#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/codec/rows.h>
#include <keepfs/codec/segments.h>

struct restore_entry { /* one with data, in the order of the archive */
	int dump_id;
	bool blobs, wanted;
	bool has_offset;
	bool has_counts, has_hash; /* of expected */
	bool own_table;            /* the restore has made the table: there can be no rows in it but these */
	uint64_t offset,
	        end; /* of the custom format: where its block begins, and the next one, or the file's end */
	struct rows expected;
	size_t record,
	        record_count; /* its records in segments; 0: there are none that are known to be right */
	uint64_t raw_bytes;   /* of all its records */
	uint64_t texts_at;    /* in texts: four of them, each with its NUL */
	uint32_t texts_bytes;
};

struct restore_texts { /* of an entry */
	char *schema;  /* heap, holds the others */
	const char *name, *copy_stmt, *file_name;
};
static inline void cleanup_restore_texts(struct restore_texts *t)
{
	free(t->schema);
}

struct restore_toc {
	char *directory; /* that all of this is in, below state_dir; removed at the end */
	char *archive;   /* for pg_restore */
	char *list, *data_list,
	        *database_list; /* for its -L: all that is wanted; of that what has no data; what is of the database itself */
	int fd;                 /* of the table of contents */
	struct pg_archive_facts facts;
	struct restore_entry *entries;
	size_t count, cap;
	bool has_offsets;              /* of all its entries with data */
	uint64_t object_bytes;         /* of the custom format: of the whole */
	struct str settings;           /* statements of the archive for a session: its encoding */
	struct segment_index segments; /* empty until restore_segments_load() */
	struct spool *texts;
	uint8_t *wanted; /* a bit for each number of an entry */
	int last_id;
};

/** restore_toc_open() - fetch, read, choose. -ENOTSUP: the archive has a version or a compression that is not known here. */
int restore_toc_open(struct restore_toc *t, const struct restore_database_options *o, struct error *err);
void restore_toc_finish(struct restore_toc *t);
static inline void cleanup_restore_toc(struct restore_toc *t)
{
	restore_toc_finish(t);
}
int restore_toc_texts(const struct restore_toc *t, const struct restore_entry *e, struct restore_texts *ret,
                      struct error *err);
/** restore_toc_feed() - the bytes of the table of contents into a scan. */
int restore_toc_feed(const struct restore_toc *t, struct pg_archive_scan *scan, struct error *err);
