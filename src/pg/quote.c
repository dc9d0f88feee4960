// SPDX-License-Identifier: Apache-2.0
/* Texts in statements, quoted so that no setting changes what they say. */
#include "statement.h"

#include <keepfs/base/str.h>

#include <string.h>

char *pg_quote_literal(const char *text)
{
	struct str out = {0};

	/* What a plain literal makes of a backslash depends on standard_conforming_strings. */
	str_append(&out, strchr(text, '\\') ? " E'" : "'");
	for (; *text; text++) {
		if (strchr("'\\", *text))
			str_append_char(&out, *text);
		str_append_char(&out, *text);
	}
	str_append_char(&out, '\'');
	return str_take(&out);
}
