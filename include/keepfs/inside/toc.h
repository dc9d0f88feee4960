// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The table of contents of an archive: fetched from the store into a file without a name, and read from there as often as somebody has a question. Each
 * entry with data has some hundred bytes in memory; its texts are in a file as well.
 *
 * Written by one thread, then read by any.
 */
#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/codec/rows.h>
#include <keepfs/codec/segments.h>
#include <keepfs/inside/backup.h>

/** INSIDE_END_BYTES - what pg_dump writes behind the rows of a table: "\\.", and three ends of lines. */
#define INSIDE_END_BYTES 5

struct inside_entry { /* one with data, in the order of the archive */
	int dump_id;
	bool blobs;
	bool has_offset;
	bool has_counts, has_hash; /* of expected */
	bool wanted,
	        own_table; /* a restore's: it brings this one back; and has made the table, so there can be no rows in it but these */
	uint64_t offset,
	        end; /* of the custom format: where its block begins, and the next one, or the file's end */
	struct rows expected;
	size_t record,
	        record_count; /* its records in segments; 0: there are none that are known to be right */
	uint64_t raw_bytes;   /* of all its records */
	uint64_t texts_at;    /* in texts: four of them, each with its NUL */
	uint32_t texts_bytes;
};

struct inside_texts { /* of an entry */
	char *schema; /* heap, holds the others */
	const char *name, *copy_stmt, *file_name;
};
static inline void cleanup_inside_texts(struct inside_texts *t)
{
	free(t->schema);
}

struct inside_toc {
	struct spool *bytes; /* the table of contents itself */
	struct pg_archive_facts facts;
	struct inside_entry *entries;
	size_t count, cap;
	bool has_offsets;              /* of all its entries with data */
	uint64_t object_bytes;         /* of the custom format: of the whole */
	struct str settings;           /* statements of the archive for a session: its encoding */
	struct segment_index segments; /* empty until inside_toc_load_segments() */
	struct spool *texts;
	int last_id;
};

/** inside_toc_open() - fetch it and read it into @t, which is zeroed. -ENOTSUP: the archive has a version or a compression that is not known here, or its rows
 * are no COPY. inside_toc_finish() in any case. */
int inside_toc_open(struct inside_toc *t, struct backup *b, struct error *err);
void inside_toc_finish(struct inside_toc *t);
static inline void cleanup_inside_toc(struct inside_toc *t)
{
	inside_toc_finish(t);
}
/** inside_toc_take_counts() - note with each entry what was counted of it when the backup was made (.tables.csv). 0 also when the
 * backup has none; after a failure no entry has counts. */
int inside_toc_take_counts(struct inside_toc *t, struct backup *b, struct error *err);
/** inside_toc_texts() - of an entry; the caller's cleanup_inside_texts(), after a failure as well. */
int inside_toc_texts(const struct inside_toc *t, const struct inside_entry *e, struct inside_texts *ret,
                     struct error *err);
/** inside_toc_feed() - the bytes of the table of contents into a scan. */
int inside_toc_feed(const struct inside_toc *t, struct pg_archive_scan *scan, struct error *err);
/** inside_toc_each() - @events->entry for each entry. */
int inside_toc_each(const struct inside_toc *t, const struct pg_archive_events *events, struct error *err);

/** struct inside_toc_place - the table of contents as files that pg_restore takes for the archive, as long as it needs no data. */
struct inside_toc_place {
	char *directory; /* heap; of its own, below the state directory */
	char *archive;   /* heap; the file in it; of the directory format: @directory itself */
};

/** inside_toc_place_make() - @prefix: the directory's name begins so. cleanup_inside_toc_place() in any case. */
int inside_toc_place_make(const struct inside_toc *t, const char *state_dir, const char *prefix,
                          struct inside_toc_place *ret, struct error *err);
/** inside_toc_place_remove() - with the files that it has made; others that are in it were removed before. */
void inside_toc_place_remove(struct inside_toc_place *place);
static inline void cleanup_inside_toc_place(struct inside_toc_place *place)
{
	inside_toc_place_remove(place);
}

/* The segment index. */

/** inside_segments_read() - the index of a backup; @ret (zeroed) stays empty when it has none, and after a failure. */
int inside_segments_read(struct backup *b, struct segment_index *ret, struct error *err);
/**
 * inside_toc_load_segments() - read it from the store, and note with each entry which of its records are its own
 * @counts_later: what tables.csv says was not loaded; else records that do not agree with it are passed over
 * Return: 0, also when the backup has none; a failure: nothing is changed, and no entry has records.
 */
int inside_toc_load_segments(struct inside_toc *t, struct backup *b, bool counts_later, struct error *err);
/** inside_toc_assign_segments() - what it does with t->segments. Pure. */
void inside_toc_assign_segments(struct inside_toc *t, bool counts_later);
