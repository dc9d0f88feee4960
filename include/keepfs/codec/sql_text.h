// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Names and texts in SQL, quoted so that no setting of a session changes what they say, and read. Pure; any thread.
 */
#include <keepfs/base/str.h>
#include <stdbool.h>

/** sql_append_name() - an identifier, always in double quotes. */
void sql_append_name(struct str *s, const char *name);
/** sql_append_literal() - a text; with a backslash in it as " E'…'", with a blank in front. */
void sql_append_literal(struct str *s, const char *text);

enum sql_kind {
	SQL_END,
	SQL_WORD,   /* an identifier without quotes, a keyword, a number */
	SQL_NAME,   /* in double quotes */
	SQL_STRING, /* of any kind: '…', E'…', $tag$…$tag$ */
	SQL_SIGN    /* one character */
};
struct sql_token {
	enum sql_kind kind;
	const char *text; /* borrowed: with its quotes */
	size_t len;
};
struct sql_scan {
	const char *at;         /* what comes next; NUL-terminated */
	bool backslash_escapes; /* in '…': standard_conforming_strings is off */
};
/** sql_next() - the next token behind white space and comments. What is not closed reaches to the end. */
struct sql_token sql_next(struct sql_scan *s);
/** sql_is() - is it that word (in any case) or that sign? Never true of what is in quotes. */
bool sql_is(const struct sql_token *t, const char *word);
/** sql_append_value() - the name that a word or a quoted name says: without quotes, or in lower case. */
void sql_append_value(struct str *s, const struct sql_token *t);
