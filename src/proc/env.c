// SPDX-License-Identifier: Apache-2.0
/* The environment of a child: ours, and what the caller puts in its place. */
#include "env.h"

#include <keepfs/base/mem.h>

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static size_t count_strings(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool replaced(const char *variable, const char *const *extra)
{
	size_t name = strcspn(variable, "=") + 1;

	for (; *extra; extra++) {
		if (strncmp(*extra, variable, name) == 0)
			return true;
	}
	return false;
}

char **env_merge(const char *const *extra)
{
	static const char *const nothing[] = {NULL};
	const char *const *own = (const char *const *)environ;
	char **merged;
	size_t n = 0;

	if (!extra)
		extra = nothing;
	merged = mem_array(count_strings(own) + count_strings(extra) + 1, sizeof(*merged));
	for (; own && *own; own++) {
		if (!replaced(*own, extra))
			merged[n++] = (char *)*own;
	}
	for (; *extra; extra++)
		merged[n++] = (char *)*extra;
	return merged;
}
