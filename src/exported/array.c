// SPDX-License-Identifier: Apache-2.0
#include "array.h"

static void separate(struct array_text *a)
{
	if (a->is_behind)
		str_append_char(a->out, a->delimiter);
	a->is_behind = true;
}

void array_text_open(struct array_text *a)
{
	separate(a);
	str_append_char(a->out, '{');
	a->is_behind = false;
}

void array_text_close(struct array_text *a)
{
	str_append_char(a->out, '}');
	a->is_behind = true;
}

void array_text_quoted(struct array_text *a, const char *text, size_t len)
{
	separate(a);
	str_append_char(a->out, '"');
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\')
			str_append_char(a->out, '\\');
		str_append_char(a->out, text[i]);
	}
	str_append_char(a->out, '"');
}

void array_text_bare(struct array_text *a, const char *text, size_t len)
{
	separate(a);
	str_append_bytes(a->out, text, len);
}
