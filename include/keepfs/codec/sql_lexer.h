// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Where one is in SQL text that comes byte by byte: in a statement, in quotes of any kind, in a comment. It follows PostgreSQL's scan.l and psql, as far as
 * pg_dump writes SQL. Not known are the semicolons within parentheses and within BEGIN ATOMIC … END: they end a statement here. Pure.
 */
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>

#define SQL_TAG_MAX ((size_t)1 << 20) /* of "$tag$": pg_dump makes it as long as the body demands */

enum sql_place {
	SQL_PLACE_TEXT,
	SQL_PLACE_STRING,
	SQL_PLACE_ESCAPE, /* behind a backslash of a string */
	SQL_PLACE_NAME,   /* in double quotes */
	SQL_PLACE_LINE_COMMENT,
	SQL_PLACE_BLOCK_COMMENT,
	SQL_PLACE_TAG,    /* behind a "$" that may begin "$tag$" */
	SQL_PLACE_DOLLAR, /* behind "$tag$" */
	SQL_PLACE_META    /* a line of psql's own */
};

struct sql_lexer { /* sql_lexer_init(); read only, but for escape_always */
	enum sql_place place;
	bool escape_always; /* backslashes escape in '…': standard_conforming_strings is off */
	bool in_statement;  /* more than blanks and comments came since the last semicolon */
	bool behind_high; /* there was an escaping backslash behind a byte of 0x80 or more: some encodings have it within a character */
	bool lost; /* there was a tag longer than SQL_TAG_MAX: the place is a guess */
	/* Its own. */
	bool escapes;          /* in the present string */
	bool was_in_statement; /* before the last byte */
	bool in_word;          /* the last byte is of one: a "$" behind it is, too */
	char before, before_that;
	unsigned depth; /* of block comments */
	struct str tag; /* "$tag$" */
	size_t matched;
};

void sql_lexer_init(struct sql_lexer *l);
/** sql_lexer_finish() - free what it holds. */
void sql_lexer_finish(struct sql_lexer *l);
static inline void cleanup_sql_lexer(struct sql_lexer *l)
{
	sql_lexer_finish(l);
}
/** sql_lexer_step() - take the next byte. True: it is a semicolon that ends a statement. */
bool sql_lexer_step(struct sql_lexer *l, char c);
