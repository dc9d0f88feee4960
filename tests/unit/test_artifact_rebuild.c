// SPDX-License-Identifier: Apache-2.0
/* What a rebuild asks of the store: pages, and each manifest once, whatever else lies there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#define FOREIGN 2200
#define DUMPS   40

static void hear_problem(void *arg, const char *text)
{
	str_appendf(arg, "%s\n", text);
}

static uint64_t rebuild(struct fixture *f, struct str *ret_problems)
{
	struct artifact_rebuild io = {.threads = 2, .problem = hear_problem, .arg = ret_problems};
	struct error err = {0};

	if (artifact_rebuild(&f->repo, &io, NULL, &err) < 0)
		fail_msg("%s", err.message);
	return io.problems;
}

static char *dump_path(int i)
{
	char name[NAME_MAX_BYTES];

	name_format((AT_S + i) * 1000, ".dump", name);
	return mem_printf("backups/full/%s", name);
}

static void store_dumps(struct fixture *f)
{
	for (int i = 0; i < DUMPS; i++) {
		_cleanup(free) char *path = dump_path(i);

		store_dump(f, path, i + 1);
	}
}

/* Before, between and behind the backups. */
static void foreign_objects_cost_pages(void **state)
{
	static const char *const places[] = {"backups/a", "backups/full/20261120T020005Z-x", "backups/zz"};
	struct fixture *f = *state;
	_cleanup(str) struct str problems = {0};
	unsigned long long lists, heads;

	store_dumps(f);
	for (int i = 0; i < FOREIGN; i++) {
		_cleanup(free) char *key = mem_printf("%s/%04d", places[i % 3], i);

		put_text(f, key, "theirs");
	}
	lists = calls_of(f, STORE_CALL_LIST);
	heads = calls_of(f, STORE_CALL_HEAD);
	assert_int_equal(rebuild(f, &problems), FOREIGN);
	assert_non_null(strstr(str_text(&problems), "backups/a/0000: an object without a manifest\n"));
	assert_non_null(strstr(str_text(&problems), "backups/zz/2198: an object without a manifest\n"));
	/* Three pages of objects, one of manifests, one for looking up, two of what is in the trash or held; two of each
	 * other root. */
	assert_true(calls_of(f, STORE_CALL_LIST) - lists <= 7 + 2 * (tree_roots_count - 1));
	assert_int_equal(calls_of(f, STORE_CALL_HEAD) - heads, DUMPS); /* store_get_all() makes one each */
	for (int i = 0; i < DUMPS; i++) {
		_cleanup(free) char *path = dump_path(i);

		assert_true(is_listed(f, path));
	}
}

/* Manifests whose objects are gone. */
static void missing_objects_cost_pages(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str problems = {0};
	unsigned long long lists, heads;

	store_dumps(f);
	for (int i = 0; i < DUMPS; i++) {
		_cleanup(free) char *path = dump_path(i);

		assert_int_equal(store_remove(f->store, NULL, path, NULL), 0);
	}
	lists = calls_of(f, STORE_CALL_LIST);
	heads = calls_of(f, STORE_CALL_HEAD);
	assert_int_equal(rebuild(f, &problems), DUMPS);
	assert_non_null(strstr(str_text(&problems), "there is a manifest, but the object is missing\n"));
	assert_true(calls_of(f, STORE_CALL_LIST) - lists <= 3 + 2 * (tree_roots_count - 1));
	assert_int_equal(calls_of(f, STORE_CALL_HEAD) - heads, DUMPS);
}

/* What could not be listed has used its number all the same. */
static void numbers_go_on_above_all(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str problems = {0};
	int64_t id = 0;

	store_dump(f, "backups/full/20261120T020000Z.dump", 12);
	store_dump(f, "backups/full/20261120T030000Z.dump", 99);
	assert_int_equal(store_remove(f->store, NULL, "backups/full/20261120T030000Z.dump", NULL), 0);
	assert_int_equal(rebuild(f, &problems), 1);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, NULL), 0);
	assert_int_equal(id, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(foreign_objects_cost_pages),
	        TEST(missing_objects_cost_pages),
	        TEST(numbers_go_on_above_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
