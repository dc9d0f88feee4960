// SPDX-License-Identifier: Apache-2.0
/* [control]: what its values may be, whom a rule lets do what, and which commands wait for a second person. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#include "../../src/fs/confirm.h"
#include "../../src/fs/control_rules.h"

static void test_values(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
	        {"[control]\nwrite = trigger\n", "has trigger, which is not FILE:USER or FILE:@GROUP"},
	        {"[control]\nwrite = :anna\n", "has :anna, which is not"},
	        {"[control]\nwrite = trigger:\n", "which is not"},
	        {"[control]\nwrite = trigger:@\n", "which is not"},
	        {"[control]\nread = ../x:anna\n", "which is not"},
	        {"[control]\nconfirm_by = a:b\n", "has a:b, which is not USER or @GROUP"},
	        {"[control]\nconfirm_by = @\n", "which is not USER or @GROUP"},
	        {"[control]\nconfirm_by = anna, anna\n", "keepfs.conf:2: [control] confirm_by"},
	        {"[control]\nconfirm_within = 1s\n", "is too small"},
	        {"[control]\nconfirm = yes\n", "no such key"},
	        {"[control x]\n", "[control x]"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(f, bad[i].text, bad[i].words);
	accept(f,
	       "[control]\nwrite = trigger:@backup, *:anna, re*:17\nread = *:@auditors\nconfirm_by = @approvers, bert\nconfirm_within = 2h\n");
	assert_string_equal(f->conf.control.write[2], "re*:17");
	assert_string_equal(f->conf.control.read[0], "*:@auditors");
	assert_string_equal(f->conf.control.confirm_by[1], "bert");
	assert_int_equal(f->conf.control.confirm_within_ms, 7200000);
	reset(f);
	accept(f, "");
	assert_null(f->conf.control.write[0]);
	assert_null(f->conf.control.confirm_by[0]);
}

static void test_rules(void **state)
{
	char *write[] = {"trigger:@50001", "restore*:60001", "*:60009", "probe:nobody-of-that-name", NULL};
	char *read[] = {"*:@50003", NULL};
	char *confirm_by[] = {"60002", "@50004", NULL};
	const struct conf_control conf = {.write = write, .read = read, .confirm_by = confirm_by};
	struct control_rules *c = control_rules_new(&conf);
	struct rights group = {.uid = 1, .gid = 2, .groups = {7, 50001}, .group_count = 2};
	struct rights own_group = {.uid = 1, .gid = 50001};
	struct rights user = {.uid = 60001, .gid = 2}, all = {.uid = 60009}, nobody = {.uid = 60010};
	struct rights auditor = {.uid = 1, .gid = 50003}, approver = {.uid = 60002}, other = {.gid = 50004};

	assert_true(control_rules_any(c));
	assert_true(control_rules_let(c, &group, "trigger", true));
	assert_true(control_rules_let(c, &own_group, "trigger", true));
	assert_true(control_rules_let(c, &group, "trigger", false));
	assert_false(control_rules_let(c, &group, "restore", true));
	assert_true(control_rules_let(c, &user, "restore", true));
	assert_true(control_rules_let(c, &user, "restore-tenant", true));
	assert_false(control_rules_let(c, &user, "trigger", true));
	assert_true(control_rules_let(c, &all, "erase", true));
	assert_false(control_rules_let(c, &nobody, "trigger", false));
	assert_false(control_rules_know(c, &nobody));
	assert_true(control_rules_know(c, &group));
	assert_true(control_rules_let(c, &auditor, "erase", false));
	assert_false(control_rules_let(c, &auditor, "erase", true));
	assert_true(control_rules_confirm(c, &approver));
	assert_true(control_rules_confirm(c, &other));
	assert_false(control_rules_confirm(c, &all));
	assert_true(control_rules_let(c, &approver, "confirm", true));
	assert_false(control_rules_let(c, &approver, "restore", true));
	assert_true(control_rules_name(c, "trigger"));
	c = control_rules_free(c);
	c = control_rules_new(&(const struct conf_control){0});
	assert_false(control_rules_any(c));
	assert_false(control_rules_name(c, "trigger"));
	control_rules_free(c);
}

static void test_what_needs_a_second_person(void **state)
{
	static const struct {
		const char *file, *text;
		bool is_needed;
	} cases[] = {
	        {"restore", "full/latest.dump into=new", false},
	        {"restore", "full/latest.dump into=shop confirm=shop", true},
	        {"restore", "full/latest.dump into=shop clean=yes", true},
	        {"restore", "full/latest.dump into=shop confirm=shop plan=yes", false},
	        {"restore", "media/latest.tar.gz to=/srv overwrite=yes confirm=/srv", true},
	        {"restore", "media/latest.tar.gz to=/srv overwrite=yes confirm=/srv dry-run=yes", false},
	        {"restore", "forget into=shop", false},
	        {"restore-tenant", "acme from=full mode=diff", false},
	        {"restore-tenant", "acme from=full mode=replace confirm=acme", true},
	        {"rescue", "full/latest.dump public.t", false},
	        {"rescue", "full/latest.dump public.t replace=yes", true},
	        {"rescue", "full/latest.dump public.t confirm=public.t", true},
	        {"prune", "full", false},
	        {"prune", "full apply", false},
	        {"prune", "full confirm=abc", true},
	        {"prune", "clock=right", true},
	        {"hold", "backups/full/x.dump on reason=y", false},
	        {"hold", "backups/full/x.dump off", true},
	        {"hold", "backups/full/x.dump on reason='it is off'", false},
	        {"erase", "list", false},
	        {"erase", "tenant acme", true},
	        {"trigger", "now", false},
	        {"trigger", "export acme then-delete=acme", true},
	        {"trigger", "full note='clean=yes'", false},
	        {"schedule", "off", false},
	        {"restore", "'", false}, /* refused by itself */
	        {"probe", "now", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (confirm_is_needed(cases[i].file, cases[i].text) != cases[i].is_needed)
			fail_msg("%s: %s", cases[i].file, cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_values),
	        cmocka_unit_test(test_rules),
	        cmocka_unit_test(test_what_needs_a_second_person),
	};

	return RUN_CONF_TESTS(tests);
}
