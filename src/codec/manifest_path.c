// SPDX-License-Identifier: Apache-2.0
/*
 * Paths and keys: where an artifact is, and all that belongs to it. Everything of one artifact begins with
 * its stem, which no other artifact has, so that it can be found, and deleted, without knowing what it is.
 */
#include "manifest_path.h"

#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#define ROOT           "manifests/"
#define SUFFIX         ".json"
#define TREE           "backups/"
#define PATH_MAX_BYTES 512 /* with NUL: leaves room for ROOT and suffixes in a store's key */
#define COMPONENT_MAX  200

/* The length of one component of a path as name.h makes them (names, and databases with '='); 0 when it is
 * none. */
static size_t component_length(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-=");

	return text[0] == '.' || text[0] == '-' || len > COMPONENT_MAX ? 0 : len;
}

bool manifest_path_is_valid(const char *path)
{
	const char *at = path + strlen(TREE);
	unsigned directories = 0;

	if (!str_starts(path, TREE) || strlen(path) >= PATH_MAX_BYTES)
		return false;
	for (;;) {
		size_t len = component_length(at);

		if (len == 0)
			return false;
		if (at[len] == '\0')
			return directories > 0 && name_sequence(at) >= 0;
		if (at[len] != '/')
			return false;
		directories++;
		at += len + 1;
	}
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static size_t stem_length(const char *path)
{
	const char *name = name_of(path);

	return (size_t)(name - path) + strcspn(name, ".");
}

bool manifest_path_is_directory(const char *path)
{
	return path[stem_length(path)] == '\0';
}

bool manifest_file_name_is_valid(const char *path, const char *name)
{
	size_t len = strcspn(name_of(path), ".");

	if (!name_is_safe(name))
		return false;
	if (manifest_path_is_directory(path))
		return true;
	return strncmp(name, name_of(path), len) == 0 && name[len] == '.' && name[len + 1] != '\0' &&
	       strcmp(name, name_of(path)) != 0;
}

char *manifest_file_path(const struct manifest *m, const struct manifest_file *f)
{
	if (m->is_directory)
		return mem_printf("%s/%s", m->path, f->name);
	return mem_printf("%.*s%s", (int)(name_of(m->path) - m->path), m->path, f->name);
}

char *manifest_stem(const char *path)
{
	return mem_printf("%.*s", (int)stem_length(path), path);
}

char *manifest_key(const char *path)
{
	return mem_printf(ROOT "%s" SUFFIX, path);
}

char *manifest_extents_key(const char *path)
{
	return mem_printf(ROOT "%s.extents", path);
}

char *manifest_path_of_key(const char *key)
{
	_cleanup(free) char *path = NULL;

	if (!str_starts(key, ROOT) || !str_ends(key, SUFFIX) || strlen(key) < strlen(ROOT SUFFIX))
		return NULL;
	path = mem_printf("%.*s", (int)(strlen(key) - strlen(ROOT SUFFIX)), key + strlen(ROOT));
	return manifest_path_is_valid(path) ? take_ptr(&path) : NULL;
}
