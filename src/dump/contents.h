// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The entries of an archive that have data, in the order of its table of contents, and what is known of
 * each. What grows with the database is small in memory; its texts, which can be large, are in a spool. */
#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/codec/rows.h>
#include <keepfs/codec/segments.h>
#include <pthread.h>

/* Some 0.3 kB of memory belong to each entry with data, wherever they are kept. */
#define CONTENTS_MAX 2000000

struct content_place { /* in the spool */
	uint64_t at;
	uint32_t bytes;
};

struct content {
	int dump_id;
	uint32_t oid;      /* of the table */
	uint64_t place_at; /* of the entry's offset field in the table of contents */
	uint64_t offset;   /* of its block in the archive that is written; 0: it has none */
	bool blobs;        /* large objects; else rows of a table */
	bool begun, ended; /* its block, in the archive that is written */
	bool has_columns;  /* its COPY names the table's columns */
	bool listed;       /* blobs: @list says which; else they are all that there are */
	struct content_place texts;
	struct content_place list;
	struct rows rows; /* lock; of large objects: how many, and their bytes */
};

struct content_list { /* of large objects, of an entry that has them in its text */
	int dump_id;
	struct content_place place;
};

struct contents {
	struct content *items;
	size_t count, cap;
	size_t max;          /* of items: CONTENTS_MAX */
	char encoding[64];   /* client_encoding of the archive; "" when it says none */
	struct spool *spool; /* texts of items, lists */
	struct content_list *lists;
	size_t list_count, list_cap;
	/* Numbers of entries to items, sorted once the table of contents is complete. */
	struct content **by_id;
	struct segment_index
	        index; /* where their data can be entered: the output's, one thread's at a time */
	pthread_mutex_t lock;
};

/** contents_new() - @directory: for the spool. */
struct contents *contents_new(const char *directory);
struct contents *contents_free(struct contents *c);
DEFINE_CLEANUP(contents, struct contents *, contents_free)
/** contents_add() - an entry of the table of contents, with or without data. -EFBIG: there are too many of them; or what
 * the spool failed with. */
int contents_add(struct contents *c, const struct pg_archive_entry *entry, struct error *err);
/** contents_complete() - the table of contents ended. */
void contents_complete(struct contents *c);
/** contents_find() - by number, after contents_complete(); NULL when it has no data. */
struct content *contents_find(const struct contents *c, int dump_id);

struct content_texts {
	char *schema; /* heap; holds the others, too */
	const char *table, *copy_stmt;
};
/** contents_texts() - of one item; any thread. The caller's content_texts_finish(), also after a failure. */
int contents_texts(const struct contents *c, const struct content *content, struct content_texts *ret,
                   struct error *err);
void content_texts_finish(struct content_texts *t);
static inline void cleanup_content_texts(struct content_texts *t)
{
	content_texts_finish(t);
}
/** contents_listed() - the next large objects of an item that lists them, up to @max; any thread. @at: where to go on,
 * 0 at first. How many; 0 at the end; negative errno. */
ssize_t contents_listed(const struct contents *c, const struct content *content, uint64_t *at, uint32_t *oids,
                        size_t max, struct error *err);

/** contents_count_rows() - any thread. */
void contents_count_rows(struct contents *c, struct content *content, const struct rows *rows);
/** contents_check() - every entry has had its block; -EBADMSG names one that has not. */
int contents_check(const struct contents *c, struct error *err);
/** contents_write_csv() - "schema,table,rows,bytes,hash" and a line for each entry, in pieces. */
int contents_write_csv(const struct contents *c,
                       int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err);
/** contents_totals() - of all entries. */
void contents_totals(const struct contents *c, struct rows *ret);
/** contents_largest() - heap: the largest tables, as the fact `largest_tables` tells of them: an array of JSON, of at most
 * CONTENTS_LARGEST arrays of a name, its rows and its bytes, the largest first; NULL: none has any row. */
#define CONTENTS_LARGEST 10
int contents_largest(const struct contents *c, char **ret, struct error *err);
/** contents_table_count() - how many entries are tables, and not large objects. */
size_t contents_table_count(const struct contents *c);
