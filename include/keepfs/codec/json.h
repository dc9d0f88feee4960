// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * JSON, over jansson (which no other room includes). Values are trees with one owner; setters consume the
 * value they are given. Getters borrow. Strings that are not UTF-8 are written with each bad byte as U+FFFD.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;

struct json *json_object_new(void);
struct json *json_array_new(void);
struct json *json_free(struct json *j);
DEFINE_CLEANUP(json, struct json *, json_free)

void json_set_string(struct json *object, const char *key, const char *value); /* NULL writes null */
void json_set_int(struct json *object, const char *key, int64_t value);
void json_set_real(struct json *object, const char *key, double value);
void json_set_bool(struct json *object, const char *key, bool value);
/** json_set_time() - ISO 8601 UTC with microseconds ("2026-11-20T02:00:00.000000Z"); 0 writes null. */
void json_set_time(struct json *object, const char *key, int64_t at_us);
void json_set(struct json *object, const char *key, struct json *value);
void json_append(struct json *array, struct json *value);
void json_append_string(struct json *array, const char *value);

/** json_write() - append to @out; @indent 0 gives one line without a line end. Keys keep the order they were
 * set in. */
void json_write(const struct json *j, int indent, struct str *out);

/** json_write_open(), json_write_close() - the same of an object that is too long to be in memory whole: @object is its
 * first members, of which there are some; lists come behind them, and then its end with a line end. */
void json_write_open(const struct json *object, struct str *out);
void json_write_close(struct str *out);
/** json_list_open(), json_list_close() - a list behind the members; json_list_add() - an item of it, on a line of its own,
 * freed. @first: none was added yet. */
void json_list_open(const char *key, struct str *out);
void json_list_add(struct json *item, bool first, struct str *out);
void json_list_close(struct str *out);

/** json_parse() - NULL with @err filled (line and column) when @text is not one JSON value. */
struct json *json_parse(const char *text, size_t len, struct error *err);

/** struct json_list - a list that is a member of the outermost object, as text: its items are parsed one at a time. */
struct json_list {
	const char *key;
	const char *text; /* behind the bracket; borrowed from what was parsed; NULL: there is no such list */
	size_t len;
	int line;
};

/** json_parse_but() - as json_parse(), but for the @count lists whose keys are given: their items are left out of the
 * value, and not looked at yet. What is no list stays in the value. */
struct json *json_parse_but(const char *text, size_t len, struct json_list *lists, size_t count,
                            struct error *err);
/** json_each() - call @each with the items of @list, in their order, until it does not return 0, which is returned.
 * -EBADMSG: there is something in it that is no JSON. */
int json_each(const struct json_list *list, int (*each)(void *arg, const struct json *item), void *arg,
              struct error *err);

const char *json_get_string(const struct json *object, const char *key); /* NULL: absent or not a string */
bool json_get_int(const struct json *object, const char *key, int64_t *ret_value);
bool json_get_bool(const struct json *object, const char *key, bool *ret_value);
/** json_get_time() - false when absent, null or not a time. */
bool json_get_time(const struct json *object, const char *key, int64_t *ret_at_us);
const struct json *json_get(const struct json *object, const char *key);
/** json_get_null() - true when the key is there and its value is null. */
bool json_get_null(const struct json *object, const char *key);
/** json_clone() - a value of its own, with all that is in it. */
struct json *json_clone(const struct json *j);
/** json_replace_strings() - a clone in which each string that is a value, not a key, was replaced by what @replace makes
 * of it: a value of its own, never NULL. */
struct json *json_replace_strings(const struct json *j, struct json *(*replace)(void *arg, const char *text),
                                  void *arg);
/** json_string_new(), json_int_new() - values by themselves, for that. */
struct json *json_string_new(const char *text);
struct json *json_int_new(int64_t value);
/** json_number() - of a value that is a whole number; false, and nothing is set, when it is none, or @j is NULL. */
bool json_number(const struct json *j, int64_t *ret_value);
/** json_text() - of a value that is a string: borrowed; NULL when it is none. */
const char *json_text(const struct json *j);
bool json_is_object_value(const struct json *j);
bool json_is_array_value(const struct json *j);
const char *json_text(const struct json *j); /* of a string, borrowed; NULL: it is none */
/** json_first_key(), json_next_key() - the keys of an object, in the order in which they were set: borrowed; NULL at
 * the end. */
const char *json_first_key(const struct json *object);
const char *json_next_key(const struct json *object, const char *key);
/** json_scalar_text() - append a string as it is, a number in decimal, "yes" or "no"; false for anything else. */
bool json_scalar_text(const struct json *value, struct str *out);
/** json_count() - how many values an array holds; 0 when it is none. */
size_t json_count(const struct json *array);
const struct json *json_item(const struct json *array, size_t index); /* NULL past the end */
