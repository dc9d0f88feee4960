// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Values of keys, compared as texts: what a server takes for equal must have the same bytes here. Where more have the same bytes than are equal, a filter lets a
 * row too many through, which the export's own condition keeps out afterwards; so it is always made too wide, and never too narrow. Pure.
 */
#include <keepfs/policy/tenancy.h>

enum past_fold {
	PAST_FOLD_TEXT,    /* as it is */
	PAST_FOLD_BLANKS,  /* without blanks at its end: char(n) has them, and they do not count */
	PAST_FOLD_NUMBER,  /* 1.50 is 1.5, and -0 is 0 */
	PAST_FOLD_LETTERS, /* citext: upper and lower case are one, in whatever locale */
	PAST_FOLD_INTEGER, /* one side is a text that may be a number: 007 is 7 */
	PAST_FOLD_UUID,    /* one side is a text that may be a uuid */
};

struct past_side { /* of a comparison; borrowed */
	const struct tenancy_table *table;
	uint32_t column;
	bool is_within; /* json: what is found within the column, as text */
	bool is_unlike; /* its collation takes texts for equal that are not (pg_hollow_facts.unlike) */
};

/** past_fold_of() - how both sides of a foreign key (@b NULL: the column of the tenant, and a text of its type) are made comparable
 * Return: 0; -ENOTSUP (ERROR_USAGE): nobody can tell without a server when two values are equal: @err names the column and its type. */
int past_fold_of(const struct past_side *a, const struct past_side *b, enum past_fold *ret,
                 struct error *err);
/** past_fold_of_soft() - the same of a soft reference, whose sides may be of unlike types. */
int past_fold_of_soft(const struct past_side *a, const struct past_side *b, enum past_fold *ret,
                      struct error *err);
/** past_fold_is_vague() - may values that are not equal have the same bytes? (Of integers and uuids those do not count that are none for the server.) */
bool past_fold_is_vague(enum past_fold how);
/** past_fold_append() - append the value, with its length before it, so that those of several columns cannot be taken for one another. False: it is equal to
 * nothing; @out is as it was then. */
bool past_fold_append(enum past_fold how, const char *text, size_t len, struct str *out);
