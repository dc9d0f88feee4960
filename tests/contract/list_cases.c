// SPDX-License-Identifier: Apache-2.0
/* Lists: byte order, pages, prefixes. */
#include "suite.h"

#include <keepfs/base/mem.h>

#include <stdio.h>

#define MANY    1003
#define WRITERS 8

/* In byte order of the whole keys: '-' and '.' come before '/', '0' and letters after. */
static const char *const names[] = {
        "a!",      "a-b",  "a-b.c", "a.b", "a/a", "a/b",  "a/b-c", "a/b0",
        "a/d/e/f", "a/d0", "a0",    "aa",  "aa-", "ab/x", "b",     "\xc3\xbc",
};

static void put_names(struct suite *t)
{
	char key[STORE_KEY_BYTES];

	/* Not in order, so that no store can pass by keeping theirs. */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		suite_put(t, suite_key(t, key, names[(i * 7 + 3) % ARRAY_SIZE(names)]), "x");
}

/* List all pages of @page objects and compare with names[@first] … names[@last - 1]. */
static void expect_names(struct suite *t, const char *prefix, const char *start_after, size_t page,
                         size_t first, size_t last)
{
	char full_prefix[STORE_KEY_BYTES], after[STORE_KEY_BYTES], key[STORE_KEY_BYTES];
	bool have_after = start_after, more = true;
	size_t at = first;

	suite_key(t, full_prefix, prefix);
	if (start_after)
		suite_key(t, after, start_after);
	while (more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		assert_ok(store_list(t->store, NULL, full_prefix, have_after ? after : NULL, page, &objects,
		                     &count, &more, &err));
		assert_true(count <= page);
		assert_true(count > 0 || !more);
		for (size_t i = 0; i < count; i++, at++) {
			assert_true(at < last);
			assert_string_equal(objects[i].key, suite_key(t, key, names[at]));
			assert_int_equal(objects[i].bytes, 1);
		}
		if (count > 0)
			snprintf(after, sizeof(after), "%s", objects[count - 1].key);
		have_after = true;
	}
	assert_int_equal(at, last);
}

static void pages_in_byte_order(void **state)
{
	struct suite *t = *state;

	put_names(t);
	for (size_t page = 1; page <= 3; page++)
		expect_names(t, "", NULL, page, 0, ARRAY_SIZE(names));
	expect_names(t, "", NULL, ARRAY_SIZE(names), 0, ARRAY_SIZE(names));
	expect_names(t, "", NULL, 1000, 0, ARRAY_SIZE(names));
}

static void prefixes(void **state)
{
	struct suite *t = *state;

	put_names(t);
	expect_names(t, "a", NULL, 2, 0, 14);
	expect_names(t, "a/", NULL, 2, 4, 10);
	expect_names(t, "a/b", NULL, 2, 5, 8);
	expect_names(t, "a/d/", NULL, 2, 8, 9);
	expect_names(t, "a/d/e/f", NULL, 2, 8, 9);
	expect_names(t, "aa", NULL, 2, 11, 13);
	expect_names(t, "\xc3\xbc", NULL, 2, 15, 16);
	expect_names(t, "c", NULL, 2, 0, 0);
	expect_names(t, "b/c/d", NULL, 2, 0, 0);
	expect_names(t, "none/", NULL, 2, 0, 0);
}

static void start_after(void **state)
{
	struct suite *t = *state;

	put_names(t);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		expect_names(t, "", names[i], 3, i + 1, ARRAY_SIZE(names));
	expect_names(t, "", "a", 3, 0, ARRAY_SIZE(names)); /* not keys themselves */
	expect_names(t, "", "a/", 3, 4, ARRAY_SIZE(names));
	expect_names(t, "", "a/bb", 3, 8, ARRAY_SIZE(names));
	expect_names(t, "", "a/d", 3, 8, ARRAY_SIZE(names));
	expect_names(t, "", "a/e/f", 3, 10, ARRAY_SIZE(names));
	expect_names(t, "a/", "a-b", 3, 4, 10); /* before the prefix's keys */
	expect_names(t, "a/", "b", 3, 0, 0);    /* behind them */
	expect_names(t, "", "\xc3\xbd", 3, 0, 0);
}

static void many_put(void *arg, unsigned index)
{
	struct suite *t = arg;
	char key[STORE_KEY_BYTES], name[32];

	for (unsigned i = index; i < MANY; i += WRITERS) {
		snprintf(name, sizeof(name), "many/%04u", i);
		store_put_bytes(t->store, NULL, suite_key(t, key, name), name, strlen(name), NULL, NULL);
	}
}

static void many_remove(void *arg, unsigned index)
{
	struct suite *t = arg;
	char key[STORE_KEY_BYTES], name[32];

	for (unsigned i = index; i < MANY; i += WRITERS) {
		snprintf(name, sizeof(name), "many/%04u", i);
		store_remove(t->store, NULL, suite_key(t, key, name), NULL);
	}
}

static void more_than_one_full_page(void **state)
{
	struct suite *t = *state;
	_cleanup(free) struct store_object *first = NULL, *second = NULL;
	size_t count = 0;
	bool more = false;
	char key[STORE_KEY_BYTES], name[32];

	suite_threads(WRITERS, many_put, t);
	assert_ok(store_list(t->store, NULL, suite_key(t, key, "many/"), NULL, 1000, &first, &count, &more,
	                     &err));
	assert_int_equal(count, 1000);
	assert_true(more);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "many/%04u", i);
		assert_string_equal(first[i].key, suite_key(t, key, name));
	}
	assert_ok(store_list(t->store, NULL, suite_key(t, key, "many/"), first[999].key, 1000, &second,
	                     &count, &more, &err));
	assert_int_equal(count, MANY - 1000);
	assert_false(more);
	suite_threads(WRITERS, many_remove, t);
}

static void wrong_lists_are_refused(void **state)
{
	static const char *const prefixes[] = {"/", "a//b", "../", "a/../b", "./", "\xff", "a\n"};
	struct suite *t = *state;
	struct store_object *objects = NULL;
	size_t count;
	bool more;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		assert_fails(EINVAL, ERROR_USAGE,
		             store_list(t->store, NULL, prefixes[i], NULL, 1, &objects, &count, &more, &err));
	assert_fails(EINVAL, ERROR_USAGE,
	             store_list(t->store, NULL, t->prefix, NULL, 0, &objects, &count, &more, &err));
	assert_fails(EINVAL, ERROR_USAGE,
	             store_list(t->store, NULL, t->prefix, NULL, 1001, &objects, &count, &more, &err));
	assert_null(objects);
}

const struct CMUnitTest list_cases[] = {
        CASE(pages_in_byte_order),     CASE(prefixes), CASE(start_after), CASE(more_than_one_full_page),
        CASE(wrong_lists_are_refused),
};
const size_t list_case_count = ARRAY_SIZE(list_cases);
