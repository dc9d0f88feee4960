// SPDX-License-Identifier: Apache-2.0
/* conf: which databases a job is of, by names, patterns or a query; and those that need no backup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/policy/databases.h>

#include "conf_test.h"

#define QUERY "SELECT datname, class FROM registry WHERE state <> 'gone; or not' ORDER BY prio"

static void assert_databases(struct fixture *f, const char *value, const char *expected,
                             enum databases_kind kind)
{
	_cleanup(free) char *text = mem_printf("[backup t]\ndatabases = %s\n", value);
	_cleanup(str) struct str written = {0};

	accept(f, text);
	conf_job_format(&f->conf.jobs[0], "databases", &written);
	assert_string_equal(str_text(&written), expected);
	assert_int_equal(databases_kind_of(f->conf.jobs[0].dump.databases), kind);
}

static void test_choices(void **state)
{
	struct fixture *f = *state;

	assert_databases(f, "", "", DATABASES_OWN);
	assert_databases(f, "shop billing", "shop, billing", DATABASES_NAMED);
	assert_databases(f, "\"a, b\"", "\"a, b\"", DATABASES_NAMED);
	assert_databases(f, "*, !scratch,!test_*", "*, !scratch, !test_*", DATABASES_MATCHED);
	assert_databases(f, "*, \"!my database\"", "*, \"!my database\"", DATABASES_MATCHED);
	assert_databases(f, QUERY, QUERY, DATABASES_QUERY);
	assert_databases(f, "with t as (select 1) select * from t  # a comment",
	                 "with t as (select 1) select * from t", DATABASES_QUERY);
	assert_databases(f, "select, with", "select, with", DATABASES_NAMED);
}

static void test_bad_choices(void **state)
{
	struct fixture *f = *state;

	refuse(f, "[backup t]\ndatabases = !scratch\n", "only says what is left out: write *, and then that");
	refuse(f, "[backup t]\ndatabases = *, !\n", "has a '!' with nothing behind it");
	refuse(f, "[backup t]\ndatabases = a, *, !a*\n", "asks for a and leaves it out");
	refuse(f, "[backup t]\ndatabases = a, a\n", "names a twice; allowed: different names or patterns");
	refuse(f, "[backup t]\ndatabases = a, b\nregistry = dbname=x\n",
	       "[backup t] registry = dbname=x: is where a query is asked, but there is none in [backup t] databases = a, b");
	refuse(f, "[backup t]\nregistry = dbname=x\n", "is where a query is asked");
	refuse(f, "[backup t]\ndatabases = " QUERY "\nregistry = mysql://x\n",
	       "is a URI of something that is not PostgreSQL");
}

static void test_registry_is_a_secret(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0};

	accept(f, "[backup t]\ndatabases = " QUERY "\nregistry = postgresql://u:hidden@h/db\n");
	assert_string_equal(f->conf.jobs[0].dump.registry, "postgresql://u:hidden@h/db");
	conf_write_effective(&f->conf, &text);
	assert_non_null(strstr(str_text(&text), "registry = postgresql://u:********@h/db"));
	assert_null(strstr(str_text(&text), "hidden"));
	assert_true(conf_variable_is_private("KEEPFS_BACKUP_T_REGISTRY=x"));
}

/* Who runs it has a copy of the whole. */
static void test_a_copy(void **state)
{
	struct fixture *f = *state;
	_cleanup(conf_job) struct conf_job *copy = NULL;
	struct error err = {0};
	bool partial;

	accept(f, "[backup t]\ndatabases = " QUERY "\n");
	assert_int_equal(conf_job_override(&f->conf.jobs[0], NULL, NULL, 0, &copy, &partial, &err), 0);
	assert_string_equal(copy->dump.databases[0], QUERY);
	assert_ptr_not_equal(copy->dump.databases[0], f->conf.jobs[0].dump.databases[0]);
	assert_string_equal(copy->dump.registry, "");
}

static void test_ignored(void **state)
{
	struct fixture *f = *state;

	accept(f, "[backup t]\n");
	assert_null(f->conf.ignore_databases[0]);
	accept(f, "[keepfs]\nignore_databases = scratch, test_*\n[backup t]\n");
	assert_string_equal(f->conf.ignore_databases[1], "test_*");
	assert_null(f->conf.ignore_databases[2]);
	accept(f, "[keepfs]\nignore_databases =\n[backup t]\n");
	assert_null(f->conf.ignore_databases[0]);
	refuse(f, "[keepfs]\nignore_databases = a, a\n[backup t]\n", "names a twice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_choices), CONF_TEST(test_bad_choices), CONF_TEST(test_registry_is_a_secret),
	        CONF_TEST(test_a_copy),  CONF_TEST(test_ignored),
	};

	return RUN_CONF_TESTS(tests);
}
