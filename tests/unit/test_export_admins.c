// SPDX-License-Identifier: Apache-2.0
/* Who administers which tenant: rules and words that make no sense, who is let in, and whose answer counts. */
#include <keepfs/base/account.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/export/admins.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void numbers_of_accounts(void **state)
{
	static const char *const wrong[] = {
	        "", "-1", "+1", " 1", "1 ", "0x10", "1e3", "4294967295", "99999999999999999999", "anna"};
	uint32_t id = 7;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(account_id_parse(wrong[i], &id), -EINVAL);
	assert_int_equal(id, 7);
	assert_int_equal(account_id_parse("0", &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(account_id_parse("4294967294", &id), 0);
	assert_int_equal(id, 4294967294U);
}

static void names_of_accounts(void **state)
{
	uid_t uid = 7;
	gid_t gid = 7;

	assert_int_equal(account_user("root", &uid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(account_group("root", &gid), 0);
	assert_int_equal(gid, 0);
	assert_int_equal(account_user("no such user", &uid), -ENOENT);
	assert_int_equal(account_group("-1", &gid), -ENOENT);
	assert_int_equal(account_user("", &uid), -ENOENT);
}

static void rules_that_are_none(void **state)
{
	static const char *const wrong[] = {"", ":", "acme", "acme:", ":1000", ":@1000", "acme:@", "@1000"};
	_cleanup(export_grants) struct export_grants g = {0};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup(str) struct str problem = {0};

		assert_int_equal(export_grants_add_rule(&g, wrong[i], &problem), -EINVAL);
		assert_non_null(strstr(str_text(&problem), "is not TENANT:USER or TENANT:@GROUP"));
	}
	assert_int_equal(g.count, 0);
}

static void what_is_not_known_leaves_the_others(void **state)
{
	_cleanup(export_grants) struct export_grants g = {0};
	_cleanup(str) struct str problem = {0};

	assert_int_equal(export_grants_add(&g, "acme", "61001, nosuchuser,,61002 ", false, &problem),
	                 -ENOENT);
	assert_string_equal(str_text(&problem), "no user 'nosuchuser'");
	assert_int_equal(export_grants_add(&g, "acme", "nosuchgroup", true, &problem), -ENOENT);
	assert_string_equal(str_text(&problem), "no user 'nosuchuser', no group 'nosuchgroup'");
	assert_int_equal(export_grants_add(&g, "acme", NULL, false, &problem), 0);
	assert_int_equal(export_grants_add(&g, "acme", "", true, &problem), 0);
	assert_int_equal(g.count, 2);
	assert_int_equal(g.items[1].id, 61002);
	assert_string_equal(g.items[1].directory, "acme");
}

static bool lets(struct export_admins *a, uid_t uid, gid_t gid, gid_t further, const char *directory)
{
	const struct export_person who = {
	        .uid = uid, .gid = gid, .groups = &further, .group_count = further != 0};

	return directory ? export_admins_let(a, &who, directory) : export_admins_know(a, &who);
}

static void answer(struct export_admins *a, uint64_t question, const char *slug, const char *users)
{
	_cleanup(export_grants) struct export_grants g = {0};
	_cleanup(str) struct str problem = {0};

	assert_int_equal(export_grants_add(&g, slug, users, false, &problem), 0);
	export_admins_answered(a, question, &g);
	assert_int_equal(g.count, 0);
}

static void who_is_let_in(void **state)
{
	char rules[][24] = {"a:b/c:61001", "acme:@62001", "acme:61003"};
	char *list[] = {rules[0], rules[1], rules[2], NULL};
	struct export_admins *a = export_admins_new();

	assert_false(lets(a, 0, 0, 0, NULL));
	export_admins_configure(a, list);
	/* A user is no group of that number, nor the other way round; and the directory is the slug as a name. */
	assert_true(lets(a, 61001, 1, 0, "a=3Ab=2Fc"));
	assert_false(lets(a, 1, 61001, 61001, "a=3Ab=2Fc"));
	assert_true(lets(a, 1, 62001, 0, "acme"));
	assert_true(lets(a, 1, 1, 62001, "acme"));
	assert_false(lets(a, 62001, 1, 0, "acme"));
	assert_false(lets(a, 61001, 1, 0, "acme"));
	assert_false(lets(a, 61003, 1, 0, "acm"));
	assert_false(lets(a, 61003, 1, 0, "acmee"));
	assert_true(lets(a, 61003, 1, 0, NULL));
	assert_false(lets(a, 61004, 1, 0, NULL));
	answer(a, export_admins_ask(a), "globex", "61004 61003");
	assert_true(lets(a, 61004, 1, 0, "globex"));
	assert_true(lets(a, 61003, 1, 0, "globex"));
	assert_true(lets(a, 61003, 1, 0, "acme"));
	/* Each list is replaced by its own kind. */
	export_admins_configure(a, NULL);
	assert_false(lets(a, 61003, 1, 0, "acme"));
	assert_true(lets(a, 61003, 1, 0, "globex"));
	export_admins_free(a);
}

/* Whoever has lost a right does not get it back from a server that was slow. */
static void an_earlier_question_is_answered_late(void **state)
{
	struct export_admins *a = export_admins_new();
	uint64_t first = export_admins_ask(a), second = export_admins_ask(a);

	answer(a, second, "acme", "61002");
	answer(a, first, "acme", "61001");
	assert_false(lets(a, 61001, 1, 0, "acme"));
	assert_true(lets(a, 61002, 1, 0, "acme"));
	export_admins_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers_of_accounts), cmocka_unit_test(names_of_accounts),
	        cmocka_unit_test(rules_that_are_none), cmocka_unit_test(what_is_not_known_leaves_the_others),
	        cmocka_unit_test(who_is_let_in),       cmocka_unit_test(an_earlier_question_is_answered_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
