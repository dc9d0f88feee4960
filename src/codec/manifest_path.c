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
#define CONTENTS           ".contents"
#define CONTENTS_LIST      ".zst"
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

bool manifest_name_within_is_valid(const char *name)
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
		return manifest_name_within_is_valid(name);
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

static char *contents_key(const char *path, const char *part, const char *ending)
{
	return mem_printf(ROOT "%s" CONTENTS "%s%s%s", path, part ? "." : "", str_or_empty(part), ending);
}

char *manifest_contents_key(const char *path, const char *part)
{
	return contents_key(path, part, CONTENTS_LIST);
}

char *manifest_contents_index_key(const char *path, const char *part)
{
	return contents_key(path, part, INDEX);
}

/* Generations: "T.dump.age", and when it was rewrapped "T.dump.r2.age", "T.dump.r3.age". Of what is not encrypted itself "T.dump.extents.r2". */

/* Of a key without its ".age": how long it is without the mark of a generation, which is 1 where there is none. */
static size_t unmarked_length(const char *key, size_t len, unsigned *ret_generation)
{
	size_t digits = len;
	unsigned generation = 0;

	*ret_generation = 1;
	while (digits > 0 && key[digits - 1] >= '0' && key[digits - 1] <= '9')
		digits--;
	if (digits == len || len - digits > 9 || digits < 2 || key[digits] == '0' || key[digits - 1] != 'r' ||
	    key[digits - 2] != '.')
		return len;
	for (size_t i = digits; i < len; i++)
		generation = generation * 10 + (unsigned)(key[i] - '0');
	if (generation < 2)
		return len;
	*ret_generation = generation;
	return digits - 2;
}

static size_t unsealed_length(const char *key)
{
	size_t len = strlen(key);

	return len - (str_ends(key, MANIFEST_SEALED_SUFFIX) ? strlen(MANIFEST_SEALED_SUFFIX) : 0);
}

unsigned manifest_key_generation(const char *key)
{
	unsigned generation;

	(void)unmarked_length(key, unsealed_length(key), &generation);
	return generation;
}

static char *mark_generation(const char *key, size_t len, unsigned generation)
{
	const char *sealed = key[unsealed_length(key)] ? MANIFEST_SEALED_SUFFIX : "";

	return generation > 1 ? mem_printf("%.*s.r%u%s", (int)len, key, generation, sealed)
	                      : mem_printf("%.*s%s", (int)len, key, sealed);
}

char *manifest_key_of_generation(const char *key, unsigned generation)
{
	unsigned had;

	return mark_generation(key, unmarked_length(key, unsealed_length(key), &had), generation);
}

char *manifest_key_marked_again(const char *key, unsigned generation)
{
	return mark_generation(key, unsealed_length(key), generation);
}

static const char *const beside[] = {EXTENTS, INDEX, INDEX MANIFEST_SEALED_SUFFIX,
                                     FACTS MANIFEST_SEALED_SUFFIX};

/* ".contents.zst", or ".contents.PART.zst", and the like: what may stand behind a path. */
static bool is_contents(const char *text)
{
	static const char *const endings[] = {CONTENTS_LIST, INDEX, CONTENTS_LIST MANIFEST_SEALED_SUFFIX,
	                                      INDEX MANIFEST_SEALED_SUFFIX};

	if (!str_starts(text, CONTENTS "."))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		if (str_ends(text, endings[i]) && !strchr(text, '/'))
			return true;
	return false;
}

bool manifest_is_beside(const char *key, const char *path)
{
	_cleanup(free) char *first = manifest_key_of_generation(key, 1);
	size_t len = strlen(path);

	if (!str_starts(first, ROOT) || strncmp(first + strlen(ROOT), path, len) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		if (str_equal(first + strlen(ROOT) + len, beside[i]))
			return true;
	return is_contents(first + strlen(ROOT) + len);
}

char *manifest_adopted_key(const char *place, const char *key)
{
	_cleanup(free) char *adopted = mem_printf(MANIFEST_ADOPTED "%s/%s", place, key);

	return manifest_object_key_is_valid("", adopted) ? take_ptr(&adopted) : NULL;
}

const char *manifest_adopted_in(const char *key, char **ret_place)
{
	const char *place, *slash;

	if (!str_starts(key, MANIFEST_ADOPTED))
		return NULL;
	place = key + strlen(MANIFEST_ADOPTED);
	slash = strchr(place, '/');
	if (!slash || slash == place || !slash[1])
		return NULL;
	if (ret_place)
		*ret_place = mem_printf("%.*s", (int)(slash - place), place);
	return slash + 1;
}

bool manifest_is_beside_any(const char *key)
{
	_cleanup(free) char *first = manifest_key_of_generation(key, 1);

	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		if (str_ends(first, beside[i]))
			return true;
	for (const char *at = strstr(first, CONTENTS "."); at; at = strstr(at + 1, CONTENTS "."))
		if (is_contents(at))
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
