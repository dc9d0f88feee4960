// SPDX-License-Identifier: Apache-2.0
/* What "latest" stands for in a command that waits for a second person. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#include <keepfs/use.h>

#define FIRST  "backups/full/20261120T020000Z.dump"
#define SECOND "backups/full/20261120T030000Z.dump"

static char *fixed(struct fixture *f, const char *file, const char *text)
{
	_cleanup(str) struct str told = {0};
	char *now = NULL;

	assert_int_equal(use_fix_backups(f->catalog, file, text, &now, &told, NULL), 0);
	/* It is told when, and only when, something stands for something else. */
	assert_int_equal(told.len > 0, !str_equal(now, text));
	return now;
}

static void assert_fixed(struct fixture *f, const char *file, const char *text, const char *expected)
{
	_cleanup(free) char *now = fixed(f, file, text);

	assert_string_equal(now, expected);
}

static void the_newest_gets_its_name(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = NULL, *kept = NULL;

	assert_string_equal(first, FIRST);
	kept = fixed(f, "restore", "full/latest.dump into=shop confirm=shop");
	assert_string_equal(kept, FIRST " into=shop confirm=shop");
	second = make_dump(f, 2, AT_US + 3600 * US_PER_S);
	assert_string_equal(second, SECOND);
	assert_fixed(f, "restore", "full/latest.dump backups/full clean=yes", SECOND " " SECOND " clean=yes");
	/* That it was given before is as good as by its own name. */
	assert_fixed(f, "restore", kept, kept);
	assert_fixed(f, "restore", "full/latest.dump.age clean=yes", SECOND " clean=yes");
	assert_fixed(f, "rescue", "full/latest.dump public.orders mode=insert confirm='odd name'",
	             SECOND " public.orders mode=insert confirm='odd name'");
	assert_fixed(f, "hold", "full/latest.dump off", SECOND " off");
	assert_fixed(f, "restore-tenant", "acme from=full/latest.dump mode=replace confirm=acme",
	             "acme from=" SECOND " mode=replace confirm=acme");
	assert_fixed(f, "trigger", "export acme from=full/latest.dump then-delete=yes",
	             "export acme from=" SECOND " then-delete=yes");
}

static void what_names_one_or_none_stays_as_it_is(void **state)
{
	static const char *const same[] = {
	        "full/20261120T020000Z.dump into=shop",
	        FIRST " into=shop",
	        FIRST ".age into=shop",
	        "other/latest.dump into=shop",
	        "full/latest.sql.gz  into='a b'",
	        "latest",
	        "run=7",
	        "/",
	        "=",
	        "../full/latest.dump",
	};
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US);

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		assert_fixed(f, "restore", same[i], same[i]);
	/* Those that take none there. */
	assert_fixed(f, "prune", "full/latest.dump confirm=1", "full/latest.dump confirm=1");
	assert_fixed(f, "rescue", FIRST " full/latest.dump", FIRST " full/latest.dump");
	assert_fixed(f, "hold", "full off", "full off");
}

static void what_can_be_known_later_alone_is_refused(void **state)
{
	static const struct {
		const char *file, *text, *words;
	} cases[] = {
	        {"restore-tenant", "acme from=full confirm=acme", "from=full is whatever will be the newest"},
	        {"restore", "full/latest.dump 'unended", "quote"},
	        {"restore", "full/latest.dump 'a=b'", "name the backup itself"},
	};
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(str) struct str told = {0};
		struct error err = {0};
		char *now = NULL;

		assert_int_equal(use_fix_backups(f->catalog, cases[i].file, cases[i].text, &now, &told, &err),
		                 -EINVAL);
		assert_null(now);
		if (!strstr(err.message, cases[i].words))
			fail_msg("%s: %s", cases[i].text, err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(the_newest_gets_its_name),
	        TEST(what_names_one_or_none_stays_as_it_is),
	        TEST(what_can_be_known_later_alone_is_refused),
	};

	return cmocka_run_group_tests_name("fixed_backups", tests, NULL, NULL);
}
