// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a name in the tree, as a database's, and as the key of an object. A name and
 * its sequence determine each other; whatever a database is called, it gets a directory that is one; a
 * key is a manifest's or it is none.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include <stdlib.h>
#include <string.h>

#define NAME_LONGEST  200
#define SEQUENCES_MAX 1000 /* of one second */

static void check_sequence(const char *text)
{
	int64_t sequence = name_sequence(text);
	char formatted[NAME_MAX_BYTES];

	fuzz_must(sequence >= -1, "a sequence is none or a number", text);
	if (sequence < 0)
		return;
	fuzz_must(name_is_safe(text), "an artifact's name is safe", text);
	name_format(sequence, text + strcspn(text, "."), formatted);
	fuzz_must(str_equal(formatted, text), "a sequence and a suffix are a name", formatted);
}

/* Any number is a name's, and the name's is that number. */
static void check_format(const char *text)
{
	int64_t sequence = strtoll(text, NULL, 10);
	char formatted[NAME_MAX_BYTES];

	if (sequence < 0 || sequence / SEQUENCES_MAX > INT64_C(253402300799)) /* the year 9999 */
		return;
	name_format(sequence, ".dump", formatted);
	fuzz_must(name_sequence(formatted) == sequence, "a name has its sequence", formatted);
}

static void check_database(const char *text)
{
	_cleanup(free) char *name = name_from_database(text);
	size_t len = strlen(name);

	fuzz_must(len <= NAME_LONGEST && (len > 0 || !*text), "a directory has a name that is not too long",
	          name);
	fuzz_must(name[0] != '.' && name[0] != '-' && !strchr(name, '/'), "a directory's name is one", name);
	fuzz_must(!name_is_reserved(name) && name_sequence(name) < 0,
	          "a directory has no name that a file may have", name);
	if (name_is_safe(text) && !name_is_reserved(text) && name_sequence(text) < 0)
		fuzz_must(str_equal(name, text), "a safe name stays as it is", name);
}

static void check_key(const char *text)
{
	_cleanup(free) char *path = manifest_path_of_key(text), *key = path ? manifest_key(path) : NULL;

	if (!path)
		return;
	fuzz_must(str_equal(key, text), "a path has one key", path);
	fuzz_must(!name_is_reserved(strrchr(path, '/') + 1),
	          "a path ends with a name that an artifact may have", path);
	fuzz_must(!strstr(path, "//") && !strstr(path, "/."), "a path stays in its tree", path);
}

/* The kind of a node is in the highest bits of its number: docs/architecture.md. */
static void check_inodes(const char *text)
{
	fuzz_must(ino_of_artifact(text) >> 61 == 3, "an artifact's inode number", text);
	fuzz_must(ino_of_directory(text) >> 61 == 2 && (ino_of_directory(text) & 3) == 0,
	          "a directory's inode number", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);

	check_sequence(text);
	check_format(text);
	check_database(text);
	check_key(text);
	check_inodes(text);
	return 0;
}
