// SPDX-License-Identifier: Apache-2.0
/* The words of a restore of a whole deployment: read, and refused where they mean nothing. */
#include "../../src/use/restore_order.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int read_words(const char *text, struct command_line *line, struct restore_order *order,
                      struct error *err)
{
	assert_int_equal(command_line_parse(text, line, err), 0);
	return restore_order_read(line, order, err);
}

static void assert_refused(const char *text, const char *said)
{
	_cleanup(command_line) struct command_line line = {0};
	_cleanup(restore_order) struct restore_order order = {0};
	struct error err = {0};

	assert_int_equal(read_words(text, &line, &order, &err), -EINVAL);
	if (!strstr(err.message, said))
		fail_msg("%s: %s", text, err.message);
}

static void all_of_them(void **state)
{
	_cleanup(command_line) struct command_line line = {0};
	_cleanup(restore_order) struct restore_order o = {0};
	struct error err = {0};

	assert_int_equal(
	        read_words(
	                "site/latest confirm=acme secrets=yes parts='database, tenants' overwrite=config,certs delete=yes "
	                "target=database:shop_2 target=config:/etc/app target=documents:s3://b/p",
	                &line, &o, &err),
	        0);
	assert_true(o.secrets && o.secrets_given && o.remove && !o.overwrite && o.swap);
	assert_null(o.word_of_one);
	assert_string_equal(restore_order_place(&o, "database"), "shop_2");
	assert_string_equal(restore_order_place(&o, "config"), "/etc/app");
	assert_string_equal(restore_order_place(&o, "documents"), "s3://b/p");
	assert_null(restore_order_place(&o, "data"));
	assert_null(restore_order_place(&o, "certs"));
	assert_true(restore_order_has_part(o.parts, "database"));
	assert_true(restore_order_has_part(o.parts, "tenants/acme"));
	assert_false(restore_order_has_part(o.parts, "tenants2"));
	assert_false(restore_order_has_part(o.parts, "config"));
	assert_false(restore_order_has_part(NULL, "config"));
	assert_true(restore_order_overwrites(&o, "certs"));
	assert_false(restore_order_overwrites(&o, "uploads"));
}

static void overwrite_is_for_all_or_some(void **state)
{
	static const struct {
		const char *text;
		bool config, uploads;
	} cases[] = {{"site", false, false},
	             {"site overwrite=no", false, false},
	             {"site overwrite=yes", true, true},
	             {"site overwrite=config", true, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup(command_line) struct command_line line = {0};
		_cleanup(restore_order) struct restore_order o = {0};
		struct error err = {0};

		assert_int_equal(read_words(cases[i].text, &line, &o, &err), 0);
		assert_int_equal(restore_order_overwrites(&o, "config"), cases[i].config);
		assert_int_equal(restore_order_overwrites(&o, "uploads"), cases[i].uploads);
		assert_false(o.secrets || o.secrets_given);
	}
}

static void which_go_with_what(void **state)
{
	static const struct {
		const char *text, *of_others, *of_one;
	} cases[] = {{"full/latest.dump", NULL, NULL},         {"full/latest.dump into=x", NULL, "into"},
	             {"media/latest to=/srv/x", NULL, "to"},   {"site check='select true'", NULL, "check"},
	             {"site pre_hook=true", NULL, "pre_hook"}, {"site parts=a", "parts", NULL},
	             {"site target=a:b", "target", NULL},      {"site secrets=no", "secrets", NULL},
	             {"site overwrite=a", "overwrite", NULL},  {"site overwrite=yes", "overwrite", NULL},
	             {"site owners=numbers", "owners", NULL}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup(command_line) struct command_line line = {0};
		_cleanup(restore_order) struct restore_order o = {0};
		struct error err = {0};

		assert_int_equal(read_words(cases[i].text, &line, &o, &err), 0);
		if (!str_equal(o.word_of_others, cases[i].of_others) ||
		    !str_equal(o.word_of_one, cases[i].of_one))
			fail_msg("%s: %s, %s", cases[i].text, str_or_empty(o.word_of_others),
			         str_or_empty(o.word_of_one));
		if (o.word_of_others)
			assert_int_equal(restore_order_refuse_word(&o, &err), -EINVAL);
	}
}

static void words_that_mean_nothing(void **state)
{
	assert_refused("site secrets=maybe", "secrets=maybe: allowed are yes and no");
	assert_refused("site delete=maybe", "delete=maybe: allowed are yes and no");
	assert_refused("site target=database", "target=database: write PART:PLACE");
	assert_refused("site target=:x", "PART:PLACE");
	assert_refused("site target=x:", "PART:PLACE");
	assert_refused("site to=/srv/x into=y", "leave one of them away");
	assert_refused("site secret=yes", "allowed are");
	assert_refused("secrets=yes", "name one or more backups");
}

static void directories(void **state)
{
	struct error err = {0};
	char *path = NULL;

	assert_int_equal(restore_order_directory("target", "/srv/app///", &path, &err), 0);
	assert_string_equal(path, "/srv/app");
	free(path);
	path = NULL;
	assert_int_equal(restore_order_directory("target", "/", &path, &err), 0);
	assert_string_equal(path, "/");
	free(path);
	assert_int_equal(restore_order_directory("target", "srv", &path, &err), -EINVAL);
	assert_non_null(strstr(err.message, "target=srv: write the directory from the root on"));
	assert_int_equal(restore_order_directory("target", "", &path, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_of_them),        cmocka_unit_test(overwrite_is_for_all_or_some),
	        cmocka_unit_test(which_go_with_what), cmocka_unit_test(words_that_mean_nothing),
	        cmocka_unit_test(directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
