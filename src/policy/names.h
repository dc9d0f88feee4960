// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Names of tables and columns as rules write them: "orders", "public.orders.org_id", "ref.*", public."odd.name". A part without quotes has letters, digits, '_',
 * '$' and '-', and wildcards where patterns are allowed; nothing is folded to lower case. Pure.
 */
#include <keepfs/policy/tenancy.h>

#define POLICY_NAME_PARTS 3

struct policy_name {
	char *parts[POLICY_NAME_PARTS]; /* heap */
	bool is_quoted[POLICY_NAME_PARTS];
	size_t count;
};
void policy_name_finish(struct policy_name *n);
static inline void cleanup_policy_name(struct policy_name *n)
{
	policy_name_finish(n);
}
/** policy_skip_blanks() - the first character from @p on that is no white space. */
const char *policy_skip_blanks(const char *p);
/** policy_name_take() - read the name at *@at, and move behind it. NULL; or what is wrong with it, static: @ret is to be finished in both cases. */
const char *policy_name_take(const char **at, bool patterns, struct policy_name *ret);
/** policy_name_take_all() - the same of the whole of @text, which nothing may follow. */
const char *policy_name_take_all(const char *text, bool patterns, struct policy_name *ret);
/** policy_literal_take() - read a text in single quotes at *@at (two of them stand for one), and move behind it. NULL; or what is wrong. */
const char *policy_literal_take(const char **at, char **ret);
bool policy_name_is_pattern(const struct policy_name *n, size_t part);
/** policy_name_matches() - does this part match @text? */
bool policy_name_matches(const struct policy_name *n, size_t part, const char *text);
/** policy_name_matches_table() - do the first @count parts, at most two, match the table, or its schema and the table? 0 parts: any. */
bool policy_name_matches_table(const struct policy_name *n, size_t count, const struct tenancy_table *t);

/** policy_append_word() - a name for people: in double quotes where it has other characters than usual. */
void policy_append_word(struct str *s, const char *name);
/** policy_append_table() - "public.orders", for people. */
void policy_append_table(struct str *s, const struct tenancy_table *t);
/** policy_append_columns() - "a, b, c", for people, and how many more there are. */
void policy_append_columns(struct str *s, const struct tenancy_table *t);
/** policy_bad_rule() - -EINVAL: "KEY: TEXT PROBLEM" */
int policy_bad_rule(struct error *err, const char *key, const char *text, const char *problem);
/** policy_refuse() - -EINVAL (ERROR_USAGE), with a message that is one line, whatever names are in it. */
int policy_refuse(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** policy_warn() - append to a list of warnings on the heap, each of one line. */
void policy_warn(char ***warnings, size_t *count, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void policy_free_texts(char **texts, size_t count);
