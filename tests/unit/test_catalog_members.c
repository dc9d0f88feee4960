// SPDX-License-Identifier: Apache-2.0
/* Databases that a registry names: those that come, those that go, and answers that are doubted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/clock.h>
#include <keepfs/catalog/members.h>

#include <errno.h>

#include "catalog_fixture.h"

#define HOUR_US (INT64_C(3600) * US_PER_S)
#define DAY_US  (24 * HOUR_US)

static const char *job = "tenants"; /* whose members */

static void write_change(void *arg, enum catalog_member_change change, const struct catalog_member *m)
{
	static const char *const words[] = {"new", "back", "class", "gone", "missing"};

	str_appendf(arg, "%s %s%s%s, ", words[change], m->name, *m->class ? ":" : "", m->class);
}

/* What the answer @text, "a b:demo", changes. */
static char *read_at(struct fixture *f, int64_t at_us, const char *text)
{
	struct catalog_named rows[64];
	char *copy = mem_strdup(text), *rest = copy;
	struct str changes = {0};
	size_t count = 0;

	for (char *word; (word = strsep(&rest, " "));) {
		char *class = strchr(word, ':');

		if (class)
			*class ++ = '\0';
		rows[count++] = (struct catalog_named){word, class};
	}
	str_append(&changes, "");
	assert_int_equal(catalog_read_members(f->catalog,
	                                      &(struct catalog_reading){.job = job,
	                                                                .rows = rows,
	                                                                .count = count,
	                                                                .at_us = at_us,
	                                                                .patience_us = DAY_US},
	                                      write_change, &changes, NULL),
	                 0);
	free(copy);
	return str_take(&changes);
}

static void expect(struct fixture *f, int64_t at_us, const char *text, const char *expected)
{
	_cleanup(free) char *changes = read_at(f, at_us, text);

	assert_string_equal(changes, expected);
}

static void write_member(void *arg, const struct catalog_member *m)
{
	str_appendf(arg, "%s%s ", m->name, m->gone_since_us ? "!" : m->missing_since_us ? "?" : "");
}

static void expect_members(struct fixture *f, bool gone, const char *expected)
{
	_cleanup(str) struct str names = {0};

	str_append(&names, "");
	assert_int_equal(catalog_each_member(f->catalog, "tenants", gone, write_member, &names), 0);
	assert_string_equal(str_text(&names), expected);
}

static struct catalog_registry registry_of(struct fixture *f)
{
	struct catalog_registry ret;

	assert_int_equal(catalog_registry(f->catalog, "tenants", &ret), 0);
	return ret;
}

static void they_come_and_go(void **state)
{
	struct fixture *f = *state;
	struct catalog_member m;

	assert_int_equal(registry_of(f).read_at_us, 0);
	expect(f, AT_US, "master zeta:demo acme", "new master, new zeta:demo, new acme, ");
	expect_members(f, true, "master zeta acme "); /* in the order of the answer */
	expect(f, AT_US + HOUR_US, "master zeta:demo acme", "");
	assert_int_equal(catalog_member(f->catalog, "tenants", "zeta", &m), 0);
	assert_string_equal(m.class, "demo");
	assert_int_equal(m.first_seen_us, AT_US);
	assert_int_equal(m.last_seen_us, AT_US + HOUR_US);
	expect(f, AT_US + 2 * HOUR_US, "zeta:paid master", "class zeta:paid, gone acme, ");
	expect_members(f, false, "zeta master ");
	expect_members(f, true, "zeta master acme! ");
	assert_int_equal(catalog_member_gone(f->catalog, "tenants", "acme"), AT_US + 2 * HOUR_US);
	assert_int_equal(catalog_member_gone(f->catalog, "tenants", "zeta"), 0);
	assert_int_equal(catalog_member_gone(f->catalog, "tenants", "nobody"), 0);
	/* It is gone since then, and not since each reading. */
	expect(f, AT_US + 3 * HOUR_US, "zeta:paid master", "");
	assert_int_equal(catalog_member_gone(f->catalog, "tenants", "acme"), AT_US + 2 * HOUR_US);
	expect(f, AT_US + 4 * HOUR_US, "zeta:paid master acme", "back acme, ");
	assert_int_equal(catalog_member_gone(f->catalog, "tenants", "acme"), 0);
	assert_int_equal(catalog_member(f->catalog, "tenants", "acme", &m), 0);
	assert_int_equal(m.first_seen_us, AT_US);
	assert_int_equal(catalog_member(f->catalog, "other", "acme", &m), -ENOENT);
}

static void a_failed_reading_marks_nothing(void **state)
{
	struct fixture *f = *state;

	expect(f, AT_US, "a b c", "new a, new b, new c, ");
	assert_int_equal(catalog_fail_members(f->catalog, "tenants", AT_US + 1, "refused", NULL), 0);
	assert_int_equal(catalog_fail_members(f->catalog, "tenants", AT_US + 2, "still refused", NULL), 0);
	expect_members(f, true, "a b c ");
	assert_int_equal(registry_of(f).read_at_us, AT_US);
	assert_int_equal(registry_of(f).failed_at_us, AT_US + 1); /* since when */
	assert_string_equal(registry_of(f).failure, "still refused");
	expect(f, AT_US + 3, "a b c", "");
	assert_int_equal(registry_of(f).failed_at_us, 0);
	assert_string_equal(registry_of(f).failure, "");
}

/* Nobody deletes most tenants at once: who is not named then is not taken for gone for a day. */
static void a_sudden_loss_is_doubted(void **state)
{
	struct fixture *f = *state;

	expect(f, AT_US, "a b c d e f g", "new a, new b, new c, new d, new e, new f, new g, ");
	expect(f, AT_US + HOUR_US, "a b c", "missing d, missing e, missing f, missing g, ");
	expect_members(f, true, "a b c d? e? f? g? ");
	assert_int_equal(registry_of(f).missing, 4);
	assert_int_equal(registry_of(f).live, 7);
	assert_int_equal(registry_of(f).missing_since_us, AT_US + HOUR_US);
	/* Readings within the day change nothing, however many. */
	expect(f, AT_US + 2 * HOUR_US, "a b c", "");
	expect(f, AT_US + 24 * HOUR_US, "a b c", "");
	assert_int_equal(catalog_member_gone(f->catalog, "tenants", "d"), 0);
	expect(f, AT_US + 25 * HOUR_US, "a b c", "gone d, gone e, gone f, gone g, ");
	assert_int_equal(registry_of(f).missing, 0);
	assert_int_equal(registry_of(f).gone, 4);
	assert_int_equal(catalog_member_gone(f->catalog, "tenants", "d"), AT_US + 25 * HOUR_US);
}

static void a_loss_that_was_a_mistake(void **state)
{
	struct fixture *f = *state;

	expect(f, AT_US, "a b c d e f", "new a, new b, new c, new d, new e, new f, ");
	expect(f, AT_US + HOUR_US, "a b", "missing c, missing d, missing e, missing f, ");
	expect(f, AT_US + 2 * HOUR_US, "a b c d e f", "back c, back d, back e, back f, ");
	assert_int_equal(registry_of(f).missing, 0);
	/* What is missing then, and is not many, is gone at once. */
	expect(f, AT_US + 3 * HOUR_US, "a b c d e", "gone f, ");
}

/* Another registry altogether: its own names are no reason to believe that the others are gone. */
static void new_names_do_not_hide_a_loss(void **state)
{
	struct fixture *f = *state;

	expect(f, AT_US, "a b c d", "new a, new b, new c, new d, ");
	expect(f, AT_US + HOUR_US, "1 2 3 4 5 6 7 8 9",
	       "new 1, new 2, new 3, new 4, new 5, new 6, new 7, new 8, new 9, missing a, missing b, missing c, missing d, ");
}

/* With a catalog that was made anew, what has backups and is not named is gone, too. */
static void backups_of_what_nobody_named(void **state)
{
	struct fixture *f = *state;
	struct catalog_member m;

	assert_int_equal(add_for(f, "acme", name_first_sequence(AT_US), 1), 0);
	assert_int_equal(add_for(f, "zeta", name_first_sequence(AT_US) + 1, 2), 0);
	job = "full";
	expect(f, AT_US + DAY_US, "zeta", "gone acme, ");
	assert_int_equal(catalog_member(f->catalog, "full", "acme", &m), 0);
	assert_true(m.first_seen_us < AT_US + DAY_US);
	assert_int_equal(m.gone_since_us, AT_US + DAY_US);
	job = "tenants";
}

static void write_database(void *arg, const char *server, const char *name)
{
	str_appendf(arg, "%s/%s ", server, name);
}

static void expect_servers(struct fixture *f, const char *expected)
{
	_cleanup(str) struct str text = {0};

	str_append(&text, "");
	assert_int_equal(catalog_each_server_database(f->catalog, write_database, &text), 0);
	assert_string_equal(str_text(&text), expected);
}

static void what_servers_have(void **state)
{
	static const char *const first[] = {"shop", "crm"}, *const second[] = {"shop"};
	struct fixture *f = *state;
	char server[64];

	assert_int_equal(catalog_job_server(f->catalog, "full", server, sizeof(server)), -ENOENT);
	assert_int_equal(catalog_set_server(f->catalog, "full", "71", first, 2, NULL), 0);
	assert_int_equal(catalog_set_server(f->catalog, "other", "72", second, 1, NULL), 0);
	expect_servers(f, "71/crm 71/shop 72/shop ");
	assert_int_equal(catalog_set_server(f->catalog, "full", "71", second, 1, NULL), 0);
	expect_servers(f, "71/shop 72/shop ");
	assert_int_equal(catalog_job_server(f->catalog, "full", server, sizeof(server)), 0);
	assert_string_equal(server, "71");
	/* Nobody leads to the first any more. */
	assert_int_equal(catalog_set_server(f->catalog, "full", "72", first, 2, NULL), 0);
	expect_servers(f, "72/crm 72/shop ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(they_come_and_go),
	        TEST(a_failed_reading_marks_nothing),
	        TEST(a_sudden_loss_is_doubted),
	        TEST(a_loss_that_was_a_mistake),
	        TEST(new_names_do_not_hide_a_loss),
	        TEST(backups_of_what_nobody_named),
	        TEST(what_servers_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
