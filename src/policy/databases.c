// SPDX-License-Identifier: Apache-2.0
/* See keepfs/policy/databases.h. */
#include <keepfs/policy/databases.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>

#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#define LOST_MIN 3 /* so many may go at once in any case */

static bool begins_with_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	/* "select, with" are two names. */
	return strncasecmp(text, word, len) == 0 && text[len] && strchr(" \t(\"'*", text[len]) &&
	       text[len + strspn(text + len, " \t")] && text[len + strspn(text + len, " \t")] != ',';
}

bool databases_are_query(const char *text)
{
	return begins_with_word(text, "select") || begins_with_word(text, "with");
}

bool databases_is_pattern(const char *entry)
{
	return entry[0] == '!' || strpbrk(entry, "*?[");
}

enum databases_kind databases_kind_of(char *const *entries)
{
	if (!entries || !entries[0])
		return DATABASES_OWN;
	if (!entries[1] && databases_are_query(entries[0]))
		return DATABASES_QUERY;
	for (size_t i = 0; entries[i]; i++)
		if (databases_is_pattern(entries[i]))
			return DATABASES_MATCHED;
	return DATABASES_NAMED;
}

static bool matches(const char *pattern, const char *name)
{
	return fnmatch(pattern, name, 0) == 0;
}

bool databases_is_exception(char *const *entries, const char *name)
{
	for (size_t i = 0; entries[i]; i++)
		if (entries[i][0] == '!' && matches(entries[i] + 1, name))
			return true;
	return false;
}

/* Was it chosen by one of the first @count entries? */
static bool is_chosen(char *const *entries, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i][0] != '!' && matches(entries[i], name))
			return true;
	return false;
}

void databases_choose(char *const *entries, const char *const *names, size_t count,
                      void (*row)(void *arg, const char *name), void *arg)
{
	for (size_t e = 0; entries[e]; e++) {
		if (!databases_is_pattern(entries[e])) {
			if (!is_chosen(entries, e, entries[e]))
				row(arg, entries[e]);
			continue;
		}
		for (size_t i = 0; entries[e][0] != '!' && i < count; i++)
			if (matches(entries[e], names[i]) && !is_chosen(entries, e, names[i]) &&
			    !databases_is_exception(entries, names[i]))
				row(arg, names[i]);
	}
}

static bool is_utf8_name(const char *name)
{
	for (size_t n; *name; name += n) {
		n = str_utf8_char(name);
		if (n == 0)
			return false;
	}
	return true;
}

/* Names stand in logs and in the history, a line each. */
static bool has_control_character(const char *name)
{
	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			return true;
	return false;
}

const char *databases_name_problem(const char *name)
{
	if (!*name)
		return "is empty";
	if (strlen(name) > DATABASES_NAME_MAX_BYTES)
		return "is longer than 255 bytes";
	if (!is_utf8_name(name))
		return "is not UTF-8";
	return has_control_character(name) ? "has a control character" : NULL;
}

bool databases_is_providers(const char *name)
{
	static const char *const names[] = {"rdsadmin",        "cloudsqladmin",     "alloydbadmin",
	                                    "alloydbmetadata", "azure_maintenance", "azure_sys"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_equal(names[i], name))
			return true;
	return false;
}

bool databases_are_lost(size_t known, size_t missing)
{
	return missing > LOST_MIN && missing > known / 2;
}
