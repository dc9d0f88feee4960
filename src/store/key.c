// SPDX-License-Identifier: Apache-2.0
/*
 * Which keys are safe. The rule is the same for every store, so that objects can move between them: a key
 * that is fine here names a file below a directory and an S3 object alike, and survives XML (no control
 * characters).
 */
#include "store_private.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define RESERVED ".keepfs"

static const char *text_problem(const char *text)
{
	while (*text) {
		size_t n = str_utf8_char(text);

		if (n == 0)
			return "it is not UTF-8";
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return "it contains a control character";
		text += n;
	}
	return NULL;
}

/* @open_end: the last component may still grow, so it may be empty or anything. */
static const char *component_problem(const char *text, bool open_end)
{
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, "/");

		if (open_end && at[len] == '\0')
			return NULL;
		if (len == 0)
			return "it has an empty part";
		if ((len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
			return "it has a part that is . or ..";
		at += len;
		if (*at == '\0')
			return NULL;
	}
}

int store_key_check(const char *key, struct error *err)
{
	const char *problem = NULL;

	if (strlen(key) >= STORE_KEY_BYTES)
		problem = "it is longer than 900 bytes";
	if (!problem)
		problem = text_problem(key);
	if (!problem)
		problem = component_problem(key, false);
	if (!problem && str_starts(key, RESERVED))
		problem = "names that begin with " RESERVED " are reserved";
	if (!problem)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "key \"%.200s\" cannot be used: %s", key, problem);
}

int store_prefix_check(const char *prefix, struct error *err)
{
	const char *problem = strlen(prefix) >= STORE_KEY_BYTES ? "it is longer than 900 bytes" : NULL;

	if (!problem)
		problem = text_problem(prefix);
	if (!problem)
		problem = component_problem(prefix, true);
	if (!problem)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "prefix \"%.200s\" cannot be used: %s", prefix, problem);
}
