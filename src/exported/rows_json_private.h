// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the two halves of rows_json.c share: rows_json.c knows where in the document the next token stands, rows_json_value.c what the text of a value is.
 */
#include "rows_json.h"

#include "array.h"
#include "describe.h"

#include <yajl/yajl_parse.h>

#define PIECE_BYTES ((size_t)256 << 10)

enum token {
	TOKEN_NULL,
	TOKEN_TRUE,
	TOKEN_FALSE,
	TOKEN_NUMBER,
	TOKEN_STRING,
	TOKEN_KEY,
	TOKEN_OPEN_OBJECT,
	TOKEN_CLOSE_OBJECT,
	TOKEN_OPEN_LIST,
	TOKEN_CLOSE_LIST,
};

/* Where we are, and what may come there. */
enum place {
	AT_DOCUMENT,     /* its "{" */
	IN_DOCUMENT,     /* a key, or its end */
	AT_TABLES,       /* "[" */
	IN_TABLES,       /* a table's "{", or the end of the list */
	IN_TABLE,        /* a key, or its end */
	AT_ROWS,         /* "[" */
	IN_ROWS,         /* a row's "{", or the end of the list */
	IN_ROW,          /* a key, or its end */
	IN_VALUE,        /* anything: of a member, whose place is @outside */
	BEHIND_DOCUMENT, /* nothing */
};

/* What becomes of the value of a member. */
enum fate {
	FATE_IGNORED,
	FATE_DOCUMENT, /* describe_document() */
	FATE_TABLE,    /* a member of what describe_table() gets */
	FATE_COUNT,    /* "row_count" */
	FATE_PLAIN,    /* a column: a scalar, or not known yet */
	FATE_RAW,      /* a column: the text as it stands */
	FATE_ARRAY,    /* a column: array.h */
};

struct capture {
	size_t start;    /* in the present piece */
	struct str kept; /* of earlier pieces */
};

struct json_rows {
	struct json_rows_order order;
	yajl_handle yajl;
	struct error err; /* what a token was refused for */
	size_t keep_from;
	/* The present piece. */
	const char *piece;
	size_t piece_len;
	uint64_t line, tokens;
	size_t column;          /* bytes of the line before the piece */
	size_t wanted, pending; /* bytes; since the last token */
	/* Where we are. */
	enum place at, outside;
	unsigned seen;
	bool has_tables, has_total;
	uint64_t total, said_total;
	size_t described_bytes;
	/* The table. */
	size_t table; /* its place */
	struct json *members;
	bool is_described, has_rows, has_count;
	uint64_t rows, said_rows;
	/* The value. */
	char *key;
	enum fate fate;
	size_t depth;
	bool is_decoded; /* a string of it had escapes */
	struct capture text;
	size_t next_column;
	const struct exported_column *of;
	size_t value_column;
	/* FATE_ARRAY */
	struct array_text array;
	bool of_json, has_object;
	struct capture element;
};

/* It moves with the batch. */
static inline struct batch_value *json_rows_present_value(const struct json_rows *j)
{
	return row_batch_value(j->order.batch, j->value_column);
}

/** json_rows_refuse() - the token makes no sense: 0, and libyajl ends. */
int json_rows_refuse(struct json_rows *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** json_rows_keep_text() - the present piece ends: what it has of a value that is not over is kept. */
int json_rows_keep_text(struct json_rows *j, struct error *err);
/** json_rows_begin_value() - the next token begins the value of a member. 1. */
int json_rows_begin_value(struct json_rows *j, enum fate fate);
/** json_rows_take_value() - a token of it. 1; 0: refused. */
int json_rows_take_value(struct json_rows *j, enum token token, const char *text, size_t len);
