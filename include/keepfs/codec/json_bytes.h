// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Bytes of any length as the inside of a JSON string, in pieces of any size, which may cut a character in two. A byte that is no UTF-8
 * becomes a lone surrogate, \udc80 to \udcff: what Python calls "surrogateescape", from which the bytes can be had again. Pure.
 */
#include <keepfs/base/str.h>
#include <stddef.h>

struct json_bytes {   /* zeroed: nothing is held */
	char held[4]; /* of a character whose end has not come */
	size_t count;
};

/** json_bytes_append() - the next @len bytes, without quotes around them, to @out. */
void json_bytes_append(struct json_bytes *j, const void *data, size_t len, struct str *out);
/** json_bytes_end() - that was the whole string; @j begins anew. */
void json_bytes_end(struct json_bytes *j, struct str *out);
