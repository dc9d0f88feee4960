// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which databases a job is of: names, patterns that are held against what a server has, or a query whose answer names
 * them (a registry). And what is to be thought of an answer that differs from the last one. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

enum databases_kind {
	DATABASES_OWN,     /* nothing was said: the one that the connection leads to */
	DATABASES_NAMED,   /* these names */
	DATABASES_MATCHED, /* of those of the server what the patterns choose: "*", "!scratch", "test_*" */
	DATABASES_QUERY,   /* what a query names: the only entry is its text */
};

/** databases_are_query() - does @text begin as a query does: SELECT or WITH, in any case, and more behind it? */
bool databases_are_query(const char *text);
/** databases_kind_of() - of the entries of a job; NULL-terminated, NULL: none. */
enum databases_kind databases_kind_of(char *const *entries);
/** databases_is_pattern() - does the entry have a wildcard ('*', '?', '['), or leave something out ('!')? */
bool databases_is_pattern(const char *entry);
/** databases_is_exception() - does an entry of a list with patterns leave @name out? */
bool databases_is_exception(char *const *entries, const char *name);
/**
 * databases_choose() - call @row for each name that is chosen, once
 * @entries: of DATABASES_MATCHED
 * @names: what the server has, @count of them
 *
 * In the order of the entries ("master, *": that one first), and of @names within one. A name without wildcards is chosen though the
 * server does not have it: that it is missing must be seen, and not taken for a pattern that happens to match nothing.
 */
void databases_choose(char *const *entries, const char *const *names, size_t count,
                      void (*row)(void *arg, const char *name), void *arg);

#define DATABASES_NAME_MAX_BYTES 255

/** databases_name_problem() - why a name that a registry gives cannot be one of a database; NULL: it can. Static text. */
const char *databases_name_problem(const char *name);

/** databases_is_providers() - a database that a cloud provider keeps on its servers for itself, and lets nobody into. */
bool databases_is_providers(const char *name);

/**
 * databases_are_lost() - are so many not named any more that the answer is doubted?
 * @known: how many were named so far; @missing: how many of these are not now
 *
 * More than three, and more than half of all: a registry that was restored from an old backup, a condition of its query that
 * became too narrow, a filter by rights. Nobody deletes so many tenants in a day without knowing.
 */
bool databases_are_lost(size_t known, size_t missing);
