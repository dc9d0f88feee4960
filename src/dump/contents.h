// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The entries of an archive that have data, in the order of its table of contents, and what is known of
 * each. */
#include <keepfs/codec/pg_archive.h>
#include <keepfs/codec/rows.h>
#include <keepfs/base/str.h>
#include <pthread.h>

struct content {
	int dump_id;
	uint64_t place_at; /* of the entry's offset field in the table of contents */
	bool blobs;        /* large objects; else rows of a table */
	bool begun, ended; /* its block, in the archive that is written */
	uint32_t oid;      /* of the table */
	char *schema, *table, *copy_stmt;
	bool listed; /* blobs: @oids says which; else they are all that there are */
	uint32_t *oids;
	size_t oid_count;
	struct rows rows; /* lock; of large objects: how many, and their bytes */
};

struct contents {
	struct content *items;
	size_t count, cap;
	char encoding[64]; /* client_encoding of the archive; "" when it says none */
	/* Lists of large objects, by the number of the entry that has them. */
	struct content *lists;
	size_t list_count, list_cap;
	/* Numbers of entries to items, sorted once the table of contents is complete. */
	struct content **by_id;
	pthread_mutex_t lock;
};

struct contents *contents_new(void);
struct contents *contents_free(struct contents *c);
DEFINE_CLEANUP(contents, struct contents *, contents_free)
/** contents_add() - an entry of the table of contents, with or without data. */
int contents_add(struct contents *c, const struct pg_archive_entry *entry, struct error *err);
/** contents_complete() - the table of contents ended. */
void contents_complete(struct contents *c);
/** contents_find() - by number, after contents_complete(); NULL when it has no data. */
struct content *contents_find(const struct contents *c, int dump_id);
/** contents_count_rows() - any thread. */
void contents_count_rows(struct contents *c, struct content *content, const struct rows *rows);
/** contents_check() - every entry has had its block; -EBADMSG names one that has not. */
int contents_check(const struct contents *c, struct error *err);
/** contents_write_csv() - "schema,table,rows,bytes,hash" and a line for each entry. */
void contents_write_csv(const struct contents *c, struct str *out);
/** contents_totals() - of all entries. */
void contents_totals(const struct contents *c, struct rows *ret);
