// SPDX-License-Identifier: Apache-2.0
/* Single fields of a manifest. */
#include "manifest_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>

void refuse(struct decoding *d, const char *field, const char *why)
{
	if (!d->failed)
		d->failed = error_set(d->err, ERROR_CORRUPT, EBADMSG, "%s: \"%s\" %s", d->source, field, why);
}

void take_optional(struct decoding *d, const char *field, char **ret_text)
{
	*ret_text = mem_strdup(json_get_string(d->object, field));
}

void take_string(struct decoding *d, const char *field, char **ret_text)
{
	take_optional(d, field, ret_text);
	if (!*ret_text)
		refuse(d, field, "is missing or no string");
}

uint64_t take_count(struct decoding *d, const char *field)
{
	int64_t value = 0;

	if (!json_get_int(d->object, field, &value) || value < 0)
		refuse(d, field, "is missing or no whole number from 0");
	return (uint64_t)value;
}

void take_time(struct decoding *d, const char *field, int64_t *ret_at_us)
{
	if (!json_get_time(d->object, field, ret_at_us) || *ret_at_us <= 0)
		refuse(d, field, "is missing or no time such as 2026-11-20T02:00:00.000000Z");
}

void take_sha256(struct decoding *d, const char *field, char ret_hex[static SHA256_HEX_BYTES])
{
	const char *text = json_get_string(d->object, field);

	if (!text || strlen(text) != SHA256_HEX_BYTES - 1 ||
	    strspn(text, "0123456789abcdef") != SHA256_HEX_BYTES - 1)
		refuse(d, field, "is missing or not 64 lower-case hexadecimal digits");
	else
		str_copy(ret_hex, SHA256_HEX_BYTES, text);
}

void take_known_sha256(struct decoding *d, const char *field, char ret_hex[static SHA256_HEX_BYTES])
{
	if (!json_get_null(d->object, field))
		take_sha256(d, field, ret_hex);
}

void take_flag(struct decoding *d, const char *field, bool *ret_flag)
{
	if (json_get(d->object, field) && !json_get_bool(d->object, field, ret_flag))
		refuse(d, field, "is neither true nor false");
}
