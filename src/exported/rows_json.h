// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * JSON into rows, over libyajl (which only rows_json_private.h includes): the document of an export, or rows of one table by themselves, as they come. White space, and the order of the members of
 * a row, do not matter; all else does. One thread.
 */
#include "batch.h"
#include "bytes.h"

enum json_rows_what {
	JSON_ROWS_DOCUMENT,    /* the document with its rows, which describes itself: the head is filled */
	JSON_ROWS_AGAIN,       /* the same once more: the head is known */
	JSON_ROWS_DESCRIPTION, /* the document, whose tables have no rows, and say in which file they are */
	JSON_ROWS_LINES,       /* rows of one table, one value after the other */
};

struct json_rows_order { /* borrowed */
	enum json_rows_what what;
	struct exported_head *head;
	struct row_batch *batch;
	size_t table; /* JSON_ROWS_LINES: whose rows */
	/* JSON_ROWS_DESCRIPTION: the key of a table that says where its rows are, and its value of each table; of the heap, NULL-terminated. */
	const char *place_key;
	char ***places;
};

struct json_rows;
struct json_rows *json_rows_new(const struct json_rows_order *order);
struct json_rows *json_rows_free(struct json_rows *j); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(json_rows, struct json_rows *, json_rows_free)
/** json_rows_keep_from() - rows of tables before @table are checked, and not put into the batch; SIZE_MAX: none is. At first 0. */
void json_rows_keep_from(struct json_rows *j, size_t table);
/** json_rows_table() - the table that is read now, or is next; so all before it have ended. */
size_t json_rows_table(const struct json_rows *j);
/** json_rows_count() - how many rows of it have come (JSON_ROWS_LINES: in all). */
uint64_t json_rows_count(const struct json_rows *j);
/** json_rows_bytes_wanted() - how many bytes the next piece should have: more, while one token is longer than a piece. */
size_t json_rows_bytes_wanted(const struct json_rows *j);
/** json_rows_feed() - the next piece. -EBADMSG: @err names line and column, table and row. */
int json_rows_feed(struct json_rows *j, const char *data, size_t len, struct error *err);
/** json_rows_end() - that was all of it. */
int json_rows_end(struct json_rows *j, struct error *err);
/** json_rows_pull() - one more piece of @from, by the buffer @piece; 1; 0: it was the end, and all is right; negative errno. */
int json_rows_pull(struct json_rows *j, struct bytes *from, struct str *piece, struct error *err);
