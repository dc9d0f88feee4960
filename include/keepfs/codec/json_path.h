// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * One value within JSON text, as PostgreSQL's operators find it: payload -> 'user' ->> 'id'. Numbers keep their digits, since nothing but
 * the end of a value is looked for on the way. Pure; any thread. Memory: the value.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stddef.h>

/**
 * json_path_text() - append what ->> says of the value
 * @keys: at least one; each but the last leads to an object. Of equal keys in one object the last one counts.
 *
 * A string comes without its quotes and escapes, in UTF-8; everything else as it stands.
 * Return: 1; 0: there is no such value, or it is null, or what should be an object is none: NULL in SQL; -EBADMSG (ERROR_CORRUPT): it is no JSON, as far as
 * it was looked at; @ret is as it was then.
 */
int json_path_text(const char *text, size_t len, char *const *keys, size_t count, struct str *ret,
                   struct error *err);
