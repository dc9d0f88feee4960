// SPDX-License-Identifier: Apache-2.0
#pragma once
/** An array as PostgreSQL's array_in() takes it (src/backend/utils/adt/arrayfuncs.c), built piece by piece. Each element in quotes is its text, whatever it is. */
#include <keepfs/base/str.h>

struct array_text {
	struct str *out; /* borrowed */
	char delimiter;
	bool is_behind; /* an element: a delimiter comes before the next one */
};

/** array_text_open(), array_text_close() - the begin and end of a dimension. */
void array_text_open(struct array_text *a);
void array_text_close(struct array_text *a);
/** array_text_quoted() - an element that is any text; array_text_bare() - one that needs no quotes: a number, true, false, NULL. */
void array_text_quoted(struct array_text *a, const char *text, size_t len);
void array_text_bare(struct array_text *a, const char *text, size_t len);
