// SPDX-License-Identifier: Apache-2.0
#pragma once
/** One value: text to field and back, by the type of its key. Pure, but for user and group names and
 * $HOME. */
#include "keys.h"

/**
 * conf_value_parse() - set the field of @key in @base (the struct of its section) from @text
 * @wrong: what is wrong, for people, when it is not a value of this type ("is no number"); not allowed to be
 * empty either
 * Return: 0; -EINVAL with the field untouched.
 */
int conf_value_parse(const struct conf_key *key, const char *text, void *base, struct str *wrong);
/** conf_control_wrong() - say that a text holds the control character @c, and which that is; returns -EINVAL. */
int conf_control_wrong(struct str *wrong, char c);
/** conf_value_allowed() - what the type takes: "yes or no", "64M to 1T, as a number with K, M, G or T". */
void conf_value_allowed(const struct conf_key *key, struct str *out);
/** conf_value_format() - the field as text that conf_value_parse() reads back to the same; not masked. */
void conf_value_format(const struct conf_key *key, const void *base, struct str *out);
/** conf_value_same() - do two structs say the same? Lists do in any order. */
bool conf_value_same(const struct conf_key *key, const void *base, const void *other);
/** conf_value_show() - for people: secrets as "********", passwords in connection strings too. */
void conf_value_show(const struct conf_key *key, const char *text, struct str *out);
/** conf_value_borrow() - @to's field becomes @from's; texts and lists stay @from's, and @to must never be freed. */
void conf_value_borrow(const struct conf_key *key, const void *from, void *to);
/** conf_value_detach() - after the struct was copied: give the copy's field a heap of its own. */
void conf_value_detach(const struct conf_key *key, void *base);
/** conf_value_finish() - free the field, wiped when it can hold a secret. */
void conf_value_finish(const struct conf_key *key, void *base);

/** conf_home() - the user's home directory from HOME or the user database; heap, NULL when there is none. */
char *conf_home(void);
/** conf_path_normalise() - an absolute path without double, trailing or "." parts; "~/" is expanded.
 * Return: heap; NULL with @wrong. */
char *conf_path_normalise(const char *text, struct str *wrong);
/** conf_url_check() - is @text a store's URL? heap: normalised; NULL with @wrong. */
char *conf_url_normalise(const char *text, struct str *wrong);
char *conf_endpoint_normalise(const char *text, struct str *wrong);

/** conf_mask_connection() - a connection string or URI with each password as "********". */
void conf_mask_connection(const char *text, struct str *out);
#define CONF_MASK "********"
