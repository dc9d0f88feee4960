// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Lists of words, NULL-terminated on the heap; NULL is an empty one to those who read. Pure. */
#include <keepfs/base/str.h>

/** conf_words_parse() - names: NULL with @wrong when an entry is empty or repeats, or a quote is not
 * closed. */
char **conf_words_parse(const char *text, struct str *wrong);
void conf_words_format(char *const *words, struct str *out);
/** conf_patterns_parse() - patterns as pg_dump takes them, with their double quotes: 'public."My Table"' is
 * one; NULL as for names. */
char **conf_patterns_parse(const char *text, struct str *wrong);
void conf_patterns_format(char *const *patterns, struct str *out);
/** conf_words_copy() - NULL gives NULL. */
char **conf_words_copy(char *const *words);
/** conf_words_free() - wiped, since headers hold secrets. */
void conf_words_free(char **words);
/** conf_words_find() - the entry that is @word; NULL when there is none. Borrowed. */
const char *conf_words_find(char *const *words, const char *word);
/** conf_words_same() - the same entries, in whatever order. */
bool conf_words_same(char *const *a, char *const *b);
