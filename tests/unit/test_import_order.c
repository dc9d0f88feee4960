// SPDX-License-Identifier: Apache-2.0
/* The words of an import. */
#include "../../src/use/import_order.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int read_words(const char *text, struct command_line *line, struct import_order *ret,
                      struct error *err)
{
	assert_int_equal(command_line_parse(text, line, err), 0);
	return import_order_read(line, ret, err);
}

static void all_words(void **state)
{
	_cleanup(command_line) struct command_line line = {0};
	_cleanup(import_order) struct import_order o = {0};
	struct error err = {0};

	assert_int_equal(
	        read_words(
	                "exports/acme/latest.json.gz database=shop tenant=copy tenant-id=7 name='A B' keys=keep shared=insert living=keep changed=allow dry-run=yes"
	                " set=users.hash='a=b c' set=public.users.note= null=users.boss rename=users.email={value}.x ignore-column=users.old ignore-column=users.older"
	                " reference='a.b -> c.d'",
	                &line, &o, &err),
	        0);
	assert_string_equal(o.file, "exports/acme/latest.json.gz");
	assert_false(import_order_is_path(o.file));
	assert_string_equal(o.database, "shop");
	assert_string_equal(o.options.slug, "copy");
	assert_string_equal(o.options.id, "7");
	assert_string_equal(o.options.name, "A B");
	assert_int_equal(o.options.keys, PG_IMPORT_KEYS_KEPT);
	assert_true(o.options.insert_shared && o.options.keep_living && o.options.allow_changed && o.dry_run);
	assert_int_equal(o.options.set_count, 3);
	assert_string_equal(o.options.sets[0].column, "users.hash");
	assert_string_equal(o.options.sets[0].value, "a=b c");
	assert_string_equal(o.options.sets[1].column, "public.users.note");
	assert_string_equal(o.options.sets[1].value, "");
	assert_string_equal(o.options.sets[2].column, "users.boss");
	assert_null(o.options.sets[2].value);
	assert_int_equal(o.options.rename_count, 1);
	assert_string_equal(o.options.renames[0].value, "{value}.x");
	assert_string_equal(o.options.ignored_columns[1], "users.older");
	assert_null(o.options.ignored_columns[2]);
	assert_string_equal(o.options.references[0], "a.b -> c.d");
}

static void few_words(void **state)
{
	_cleanup(command_line) struct command_line line = {0};
	_cleanup(import_order) struct import_order o = {0};
	struct error err = {0};

	assert_int_equal(read_words("/srv/acme.json.gz", &line, &o, &err), 0);
	assert_true(import_order_is_path(o.file));
	assert_null(o.database);
	assert_null(o.options.slug);
	assert_null(o.options.sets);
	assert_null(o.options.ignored_columns);
	assert_int_equal(o.options.keys, PG_IMPORT_KEYS_DEFAULT);
	assert_false(o.options.insert_shared || o.options.keep_living || o.options.allow_changed ||
	             o.dry_run);
}

static void bad_words(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
	        {"", "name one export"},
	        {"a b", "name one export"},
	        {"a colour=red", "allowed are"},
	        {"a keys=new", "keep"},
	        {"a shared=yes", "insert"},
	        {"a living=no", "keep"},
	        {"a changed=yes", "allow"},
	        {"a dry-run=maybe", "yes and no"},
	        {"a tenant=", "has no value"},
	        {"a database=", "has no value"},
	        {"a set=users.email", "set=users.email=VALUE"},
	        {"a set=email=x", "set=users.email=VALUE"},
	        {"a set=email=x.y", "set=users.email=VALUE"},
	        {"a null=boss", "null=users.manager_id"},
	        {"a rename=users.email=x", "{value}"},
	        {"a rename=users.email", "rename=users.email=VALUE"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup(command_line) struct command_line line = {0};
		_cleanup(import_order) struct import_order o = {0};
		struct error err = {0};

		assert_int_equal(read_words(cases[i].text, &line, &o, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!strstr(err.message, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.message);
	}
}

static void words_that_contradict_each_other_change_nothing(void **state)
{
	static const char *const texts[] = {"exports/acme/latest.json.gz database=shop dry-run=yes plan=no",
	                                    "exports/acme/latest.json.gz database=shop dry-run=no plan=yes"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		_cleanup(command_line) struct command_line line = {0};
		_cleanup(import_order) struct import_order o = {0};

		assert_int_equal(read_words(texts[i], &line, &o, NULL), 0);
		assert_true(o.dry_run);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_words),
	        cmocka_unit_test(few_words),
	        cmocka_unit_test(bad_words),
	        cmocka_unit_test(words_that_contradict_each_other_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
