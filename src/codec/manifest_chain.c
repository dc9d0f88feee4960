// SPDX-License-Identifier: Apache-2.0
/* The member "chain" of what is signed. */
#include "manifest_private.h"

#include <string.h>

struct json *chain_place_encode(const struct chain_place *p)
{
	struct json *j = json_object_new();

	json_set_string(j, "id", p->id);
	json_set_int(j, "sequence", p->sequence);
	json_set_string(j, "previous", p->previous[0] ? p->previous : NULL);
	return j;
}

static bool is_hexadecimal(const char *text, size_t len)
{
	return text && strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

bool chain_place_decode(const struct json *j, struct chain_place *ret, const char **ret_why)
{
	struct chain_place p = {0};

	if (!is_hexadecimal(json_get_string(j, "id"), CHAIN_ID_BYTES - 1)) {
		*ret_why = "has no \"id\" of 16 lower-case hexadecimal digits";
		return false;
	}
	if (!json_get_int(j, "sequence", &p.sequence) || p.sequence < 1 || p.sequence > CHAIN_SEQUENCE_MAX) {
		*ret_why = "has no \"sequence\" from 1 on";
		return false;
	}
	if (p.sequence == 1 ? !json_get_null(j, "previous")
	                    : !is_hexadecimal(json_get_string(j, "previous"), SHA256_HEX_BYTES - 1)) {
		*ret_why = "has no \"previous\" of 64 lower-case hexadecimal digits (the first one: null)";
		return false;
	}
	str_copy(p.id, sizeof(p.id), json_get_string(j, "id"));
	str_copy(p.previous, sizeof(p.previous), str_or_empty(json_get_string(j, "previous")));
	*ret = p;
	return true;
}
