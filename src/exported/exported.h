// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * How an export is read back.
 *
 *   exported.c   opens the file, tells the format by what is in it, hands on to that format's reader
 *   head.c       what an export says of itself: freeing, finding
 *   describe.c   members of the document, as JSON, into the head
 *   batch.c      rows that were read and not asked for yet
 *   bytes.c      bytes of a file, of what is compressed in it
 *   rows_json.c  JSON into rows, by libyajl
 *   array.c      a JSON array into an array of PostgreSQL
 *   rows_csv.c   CSV into rows
 *   text.c       what a text may be
 *   json.c       the reader of json
 *   zipped.c     the reader of ndjson and csv
 *   sqlite.c     the reader of sqlite
 */
#include <keepfs/base/str.h>
#include <keepfs/exported.h>

#include <sys/stat.h>

#include "batch.h"

/** struct exported_reader - of one format; what it works on is e->reading */
struct exported_reader {
	/* Read it whole, fill e->head. */
	int (*open)(struct exported *e, struct error *err);
	int (*begin)(struct exported *e, size_t table, struct error *err);
	int (*row)(struct exported *e, const struct exported_value **ret, struct error *err);
	void (*close)(struct exported *e); /* also after open() has failed; e->reading may be NULL */
};
extern const struct exported_reader exported_reader_json;
extern const struct exported_reader exported_reader_zipped; /* ndjson and csv */
extern const struct exported_reader exported_reader_sqlite;

struct exported {
	const struct exported_reader *reader;
	struct exported_head head;
	struct cancel *cancel;
	char *name; /* for messages */
	int fd;
	bool owns_fd;
	struct stat opened;
	char *temporary_dir;
	bool is_packed; /* json: by gzip */
	struct row_batch batch;
	void *reading;
};

/** exported_head_finish() - free what it has. */
void exported_head_finish(struct exported_head *head);
/** exported_remark() - add one. */
void exported_remark(struct exported_head *head, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
