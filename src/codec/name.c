// SPDX-License-Identifier: Apache-2.0
/*
 * Names. A name and its sequence determine each other (up to the suffix), so that a directory is ordered, and
 * a name is found, by one number. Inode numbers come from the path alone: they are the same after a remount
 * and after a rebuild.
 */
#include <keepfs/codec/name.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#define PER_SECOND       1000 /* artifacts that one second has names for */
#define SAFE_MAX_BYTES   200
#define HASH_HEX_BYTES   16
#define SUFFIX_MAX_BYTES 16 /* ".partial.tar.zst" */

#define INO_KIND_MASK (UINT64_C(7) << 61) /* the sign bit, bit 62 and bit 61 */
#define INO_ARTIFACT  (UINT64_C(3) << 61)
#define INO_DIRECTORY (UINT64_C(1) << 62)
#define INO_LOW_BITS  UINT64_C(3)

/* Catalogs hold these numbers, and programs that look at the mount remember them. */
_Static_assert(INO_ARTIFACT == UINT64_C(0x6000000000000000), "an artifact has bits 62 and 61");
_Static_assert(INO_DIRECTORY == UINT64_C(0x4000000000000000), "a directory has bit 62 alone");
_Static_assert((INO_KIND_MASK & INO_LOW_BITS) == 0, "kind and generated files have bits of their own");
_Static_assert(CLOCK_NAME_BYTES == sizeof("20261120T020000Z"), "a name begins with a time of one length");
_Static_assert(SAFE_MAX_BYTES + HASH_HEX_BYTES < NAME_MAX_BYTES, "a file system takes every name");

static bool is_safe_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

static size_t safe_length(const char *text)
{
	size_t len = 0;

	while (is_safe_char(text[len]))
		len++;
	return len;
}

bool name_is_safe(const char *name)
{
	size_t len = safe_length(name);

	return len >= 1 && len <= SAFE_MAX_BYTES && name[len] == '\0' && name[0] != '.' && name[0] != '-';
}

/* "-2" to "-1000" without leading zeros at *@at; moves *@at behind it. 0: there is a '-' and no such
 * number. */
static int64_t parse_ordinal(const char **at)
{
	const char *digits = *at + 1;
	char *end;
	long ordinal;

	if (**at != '-')
		return 1;
	if (*digits < '1' || *digits > '9')
		return 0;
	ordinal = strtol(digits, &end, 10);
	*at = end;
	return ordinal >= 2 && ordinal <= PER_SECOND ? ordinal : 0;
}

int64_t name_sequence(const char *name)
{
	const char *at = name;
	int64_t at_us, ordinal;

	if (!name_is_safe(name) || strlen(name) < CLOCK_NAME_BYTES - 1 ||
	    clock_parse_name(name, &at_us) < 0 || at_us < 0)
		return -1;
	at += CLOCK_NAME_BYTES - 1;
	ordinal = parse_ordinal(&at);
	if (ordinal == 0 || (at[0] != '\0' && at[0] != '.') || str_equal(at, "."))
		return -1;
	return at_us / US_PER_S * PER_SECOND + ordinal - 1;
}

void name_format(int64_t sequence, const char *suffix, char buf[static NAME_MAX_BYTES])
{
	char time[CLOCK_NAME_BYTES];
	int ordinal = (int)(sequence % PER_SECOND) + 1;

	clock_format_name(sequence / PER_SECOND * US_PER_S, time);
	if (ordinal == 1)
		snprintf(buf, NAME_MAX_BYTES, "%s%s", time, suffix);
	else
		snprintf(buf, NAME_MAX_BYTES, "%s-%d%s", time, ordinal, suffix);
}

static void append_name_char(struct str *out, char c)
{
	str_appendf(out, "=%02X", (unsigned char)c);
}

/* No file system takes a name of any length whole; the hash keeps two long ones apart. */
static char *cut_name(struct str *name, const char *text, size_t max_bytes)
{
	_cleanup(str) struct str cut = {0};

	if (name->len <= max_bytes)
		return str_take(name);
	str_append_bytes(&cut, str_text(name), max_bytes - HASH_HEX_BYTES - 1);
	str_appendf(&cut, "=%016llx", (unsigned long long)hash64(text));
	return str_take(&cut);
}

bool name_is_reserved(const char *name)
{
	size_t stem = strcspn(name, ".");

	return (stem == strlen("latest") && strncmp(name, "latest", stem) == 0) ||
	       strcmp(name, "SHA256SUMS") == 0 || strcmp(name, "SHA256SUMS.stored") == 0;
}

/* What an artifact, a file beside it, or a file that keepfs makes may be called in the directory of a job. */
static bool is_taken_by_files(const char *name)
{
	return name_is_reserved(name) || name_sequence(name) >= 0;
}

char *name_from_database(const char *database)
{
	bool taken = is_taken_by_files(database);
	_cleanup(str) struct str name = {0};

	for (const char *at = database; *at; at++) {
		bool leading = at == database && (taken || *at == '.' || *at == '-');

		if (is_safe_char(*at) && !leading)
			str_append_char(&name, *at);
		else
			append_name_char(&name, *at);
	}
	return cut_name(&name, database, SAFE_MAX_BYTES);
}

char *name_stem_from(const char *text)
{
	bool reserved = name_is_reserved(text);
	_cleanup(str) struct str name = {0};

	for (const char *at = text; *at; at++) {
		bool leading = at == text && *at == '-';

		if (is_safe_char(*at) && *at != '.' && !leading && !reserved)
			str_append_char(&name, *at);
		else
			append_name_char(&name, *at);
	}
	return cut_name(&name, text, SAFE_MAX_BYTES - SUFFIX_MAX_BYTES);
}

int64_t name_first_sequence(int64_t at_us)
{
	return at_us / US_PER_S * PER_SECOND;
}

const char *name_suffix(const char *name)
{
	return name + strcspn(name, ".");
}

uint64_t ino_of_artifact(const char *path)
{
	return (hash64(path) & ~INO_KIND_MASK) | INO_ARTIFACT;
}

uint64_t ino_of_directory(const char *path)
{
	return (hash64(path) & ~INO_KIND_MASK & ~INO_LOW_BITS) | INO_DIRECTORY;
}
