// SPDX-License-Identifier: Apache-2.0
/*
 * Paths and keys: where an artifact is, and all that belongs to it. Everything of one artifact begins with
 * its stem, which no other artifact has, and '.', or '/' when it is a directory, so that it can be found, and deleted,
 * without knowing what it is. A directory of artifacts may have the name of a file's stem.
 */
#include "manifest_private.h"

#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#define ROOT               "manifests/"
#define SUFFIX             ".json"
#define EXTENTS            ".extents"
#define INDEX              ".index"
#define FACTS              ".facts"
#define PATH_MAX_BYTES     512 /* with NUL: leaves room for ROOT and suffixes in a store's key */
#define KEY_MAX_BYTES      1024
#define COMPONENT_MAX      200
#define FILE_COMPONENT_MAX 255

/* The length of one component of a path as name.h makes them (names, and databases with '='); 0 when it is
 * none. */
static size_t component_length(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-=");

	return text[0] == '.' || text[0] == '-' || len > COMPONENT_MAX ? 0 : len;
}

bool manifest_path_is_valid(const char *path)
{
	const struct tree_root *root = tree_root_of(path);
	unsigned directories = 0;
	const char *at = path + strcspn(path, "/");

	if (!root || !*at || strlen(path) >= PATH_MAX_BYTES)
		return false;
	for (at++;; at++) {
		size_t len = component_length(at);

		if (len == 0)
			return false;
		at += len;
		if (at[0] == '\0')
			return directories > 0 && at[-1] != '.' && !name_is_reserved(at - len);
		if (at[0] != '/')
			return false;
		directories++;
	}
}

static const char *last_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static size_t stem_length(const char *path)
{
	const char *name = last_name_of(path);

	return (size_t)(name - path) + strcspn(name, ".");
}

/* One component of a name in a directory: what a file system can hold and a line can show. */
static size_t file_component_length(const char *text)
{
	size_t len = strcspn(text, "/");

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return 0;
	if ((len == 1 && text[0] == '.') || (len == 2 && text[0] == '.' && text[1] == '.'))
		return 0;
	return len > FILE_COMPONENT_MAX ? 0 : len;
}

static bool is_name_within(const char *name)
{
	if (strlen(name) >= PATH_MAX_BYTES)
		return false;
	for (;;) {
		size_t len = file_component_length(name);

		if (len == 0)
			return false;
		name += len;
		if (name[0] == '\0' || name[1] == '\0')
			return true;
		name++;
	}
}

bool manifest_file_name_is_valid(const struct manifest *m, const char *name)
{
	size_t len = strcspn(last_name_of(m->path), ".");

	if (m->is_directory)
		return is_name_within(name);
	return name_is_safe(name) && strncmp(name, last_name_of(m->path), len) == 0 && name[len] == '.' &&
	       name[len + 1] != '\0' && strcmp(name, last_name_of(m->path)) != 0;
}

bool manifest_object_key_is_valid(const char *path, const char *key)
{
	const char *at = key;

	if (strlen(key) >= KEY_MAX_BYTES)
		return false;
	for (;;) {
		size_t len = file_component_length(at);

		if (len == 0)
			return false;
		at += len;
		if (at[0] == '\0')
			break;
		at++;
	}
	return !str_starts(key, ROOT) || manifest_is_beside(key, path);
}

char *manifest_file_path(const struct manifest *m, const struct manifest_file *f)
{
	if (m->is_directory)
		return mem_printf("%s/%s", m->path, f->name);
	return mem_printf("%.*s%s", (int)(last_name_of(m->path) - m->path), m->path, f->name);
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
	return mem_printf(ROOT "%s" EXTENTS, path);
}

char *manifest_index_key(const char *path)
{
	return mem_printf(ROOT "%s" INDEX, path);
}

char *manifest_facts_key(const char *path)
{
	return mem_printf(ROOT "%s" FACTS, path);
}

static const char *const beside[] = {EXTENTS, INDEX, INDEX MANIFEST_SEALED_SUFFIX,
                                     FACTS MANIFEST_SEALED_SUFFIX};

char *manifest_beside_key(const char *path, unsigned number)
{
	return number < ARRAY_SIZE(beside) ? mem_printf(ROOT "%s%s", path, beside[number]) : NULL;
}

bool manifest_is_beside(const char *key, const char *path)
{
	size_t len = strlen(path);

	if (!str_starts(key, ROOT) || strncmp(key + strlen(ROOT), path, len) != 0)
		return false;
	key += strlen(ROOT) + len;
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		if (str_equal(key, beside[i]))
			return true;
	return false;
}

bool manifest_is_beside_any(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		if (str_ends(key, beside[i]))
			return true;
	return false;
}

char *manifest_path_of_key(const char *key)
{
	_cleanup(free) char *path = NULL;

	if (!str_starts(key, ROOT) || !str_ends(key, SUFFIX) || strlen(key) < strlen(ROOT SUFFIX))
		return NULL;
	path = mem_printf("%.*s", (int)(strlen(key) - strlen(ROOT SUFFIX)), key + strlen(ROOT));
	return manifest_path_is_valid(path) ? take_ptr(&path) : NULL;
}
