// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/files/exclude.h>
#include <keepfs/files/tree_path.h>

#include <errno.h>
#include <string.h>

int tree_path_normal(const char *path, struct str *ret)
{
	str_clear(ret);
	if (*path == '/')
		return -EINVAL;
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.')
			return -EINVAL;
		if (len > 0 && !(len == 1 && path[0] == '.')) {
			if (ret->len > 0)
				str_append_char(ret, '/');
			str_append_bytes(ret, path, len);
		}
		path += len + (path[len] == '/');
	}
	return 0;
}

bool tree_path_is_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return len == 0 || (strncmp(path, directory, len) == 0 && (path[len] == '/' || !path[len]));
}

bool tree_path_is_pattern(const char *choice)
{
	return strpbrk(choice, "*?[") != NULL;
}

bool tree_path_meets(const char *path, bool is_directory, const char *choice)
{
	return tree_path_is_pattern(choice) ? exclude_match(choice, path, is_directory)
	                                    : str_equal(path, choice);
}

/* The pattern may name a directory above it. */
static bool is_matched_above(const char *path, const char *pattern)
{
	_cleanup(free) char *above = mem_strdup(path);
	size_t len;

	while ((len = tree_path_parent_bytes(above)) > 0) {
		above[len] = '\0';
		if (exclude_match(pattern, above, true))
			return true;
	}
	return false;
}

static bool is_chosen_by(const char *path, bool is_directory, const char *choice)
{
	if (!tree_path_is_pattern(choice))
		return tree_path_is_below(path, choice);
	return *path && (exclude_match(choice, path, is_directory) || is_matched_above(path, choice));
}

bool tree_path_is_chosen(const char *path, bool is_directory, char *const *choices)
{
	for (size_t i = 0; choices && choices[i]; i++)
		if (is_chosen_by(path, is_directory, choices[i]))
			return true;
	return !choices;
}

bool tree_path_may_lead_to(const char *path, char *const *choices)
{
	for (size_t i = 0; choices && choices[i]; i++)
		if (tree_path_is_pattern(choices[i]) || tree_path_is_below(choices[i], path))
			return true;
	return false;
}

size_t tree_path_parent_bytes(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}
