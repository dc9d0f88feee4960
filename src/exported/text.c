// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <keepfs/base/str.h>

#include <stdint.h>
#include <string.h>

/* What is behind @len bytes is no continuation. */
static bool is_utf8_value(const char *text, size_t len)
{
	const char *end = text + len;
	uint64_t word;

	while (text < end) {
		size_t step = 1;

		if (end - text >= (ssize_t)sizeof(word)) {
			memcpy(&word, text, sizeof(word));
			if (!(word & UINT64_C(0x8080808080808080))) {
				text += sizeof(word);
				continue;
			}
		}
		if (*text & 0x80)
			step = str_utf8_char(text);
		if (step == 0)
			return false;
		text += step;
	}
	return true;
}

const char *exported_text_problem(const char *text, size_t len)
{
	if (memchr(text, '\0', len))
		return "has a NUL, which PostgreSQL cannot hold";
	return is_utf8_value(text, len) ? NULL : "is not UTF-8";
}

bool exported_type_has_empty_text(const char *base)
{
	static const char *const without[] = {
	        "boolean",
	        "smallint",
	        "integer",
	        "bigint",
	        "numeric",
	        "real",
	        "double precision",
	        "money",
	        "oid",
	        "json",
	        "jsonb",
	        "uuid",
	        "date",
	        "time without time zone",
	        "time with time zone",
	        "timestamp without time zone",
	        "timestamp with time zone",
	        "interval",
	        "inet",
	        "cidr",
	        "macaddr",
	        "macaddr8",
	        "xid",
	        "pg_lsn",
	};

	for (size_t i = 0; i < ARRAY_SIZE(without); i++)
		if (strcmp(base, without[i]) == 0)
			return false;
	return !str_ends(base, "[]");
}
