// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of the store's wrappers share: a fresh directory for each, and a store in it that fails by
 * rules. */
#include <keepfs/base/mem.h>
#include <keepfs/store.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/tree.h"

static char root[64];

static inline int root_setup(void **state)
{
	snprintf(root, sizeof(root), "/tmp/keepfs-test-store-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static inline int root_teardown(void **state)
{
	remove_tree(root);
	return 0;
}

static inline struct store *new_faulty(const char *spec)
{
	struct error err = {0};
	struct store *s = NULL;

	if (store_dir_new(root, &s, &err) < 0 || store_fault_new(s, spec, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static inline int put(struct store *s, const char *key, const char *text, bool only_if_absent)
{
	return store_put_bytes(s, NULL, key, text, strlen(text),
	                       &(struct store_put_options){.only_if_absent = only_if_absent}, NULL);
}

static inline void expect(struct store *s, const char *key, const char *text)
{
	_cleanup(free) char *data = NULL;
	size_t len;

	assert_int_equal(store_get_all(s, NULL, key, 100, &data, &len, NULL), 0);
	assert_string_equal(data, text);
}
