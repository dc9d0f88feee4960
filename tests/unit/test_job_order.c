// SPDX-License-Identifier: Apache-2.0
/* From the text of a trigger to an order: the words of exports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/str.h>
#include <keepfs/job.h>
#include <keepfs/use/past.h>

#include <errno.h>
#include <string.h>

static struct conf_job both[] = {{.name = (char *)"full", .kind = CONF_JOB_DUMP},
                                 {.name = (char *)"exports", .kind = CONF_JOB_EXPORT}};
static struct conf_job dumps[] = {{.name = (char *)"full", .kind = CONF_JOB_DUMP},
                                  {.name = (char *)"exports", .kind = CONF_JOB_DUMP}};
static struct conf_job namesake[] = {{.name = (char *)"export", .kind = CONF_JOB_DUMP},
                                     {.name = (char *)"exports", .kind = CONF_JOB_EXPORT}};
static const struct conf with_export = {.jobs = both, .job_count = 2},
                         without = {.jobs = dumps, .job_count = 2},
                         with_namesake = {.jobs = namesake, .job_count = 2};

static void assert_order(const struct conf *conf, const char *text, const char *job, const char *database)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct error err = {0};

	if (jobs_order_parse(conf, text, &order, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	assert_string_equal(order.job->name, job);
	if (database)
		assert_string_equal(order.database, database);
	else
		assert_null(order.database);
}

static void assert_refused(const struct conf *conf, const char *text, const char *why)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct error err = {0};

	assert_int_equal(jobs_order_parse(conf, text, &order, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	if (!str_starts(err.message, why))
		fail_msg("%s:\nwant: %s\ngot: %s", text, why, err.message);
}

static void exports_are_a_job(void **state)
{
	assert_order(&with_export, "exports", "exports", NULL);
	assert_order(&with_export, "exports tenant=acme", "exports", "acme");
	assert_order(&with_export, "exports tenant='a b' note=x", "exports", "a b");
	assert_order(&with_export, "full database=shop", "full", "shop");
}

static void one_tenant_is_named(void **state)
{
	assert_order(&with_export, "export acme", "exports", "acme");
	assert_order(&with_export, "export acme\n", "exports", "acme");
	assert_order(&with_export, "export 'a \"b\" c' note='why not'", "exports", "a \"b\" c");
	assert_order(&with_export, "export ../../etc", "exports", "../../etc");
	assert_order(&with_export, "export exports", "exports", "exports");
	/* A job of that name is triggered by its name alone. */
	assert_order(&with_namesake, "export", "export", NULL);
	assert_order(&with_namesake, "export acme", "exports", "acme");
	assert_order(&with_namesake, "export database=shop", "export", "shop");
}

static void what_makes_no_sense_is_refused(void **state)
{
	assert_refused(&with_export, "export",
	               "export: names no tenant; write one (export acme), or export all of them (exports)");
	assert_refused(&with_export, "export note=x", "export: names no tenant");
	assert_refused(&with_export, "export ''", "export: the name of the tenant is empty");
	assert_refused(
	        &with_export, "export acme beta",
	        "export takes one tenant at a time, but behind acme there is 'beta'; all of them: exports");
	assert_refused(&with_export, "export acme tenant=beta", "tenant: this key is given twice");
	assert_refused(&with_export, "exports tenant=a tenant=b", "tenant: this key is given twice");
	assert_refused(&with_export, "exports tenant=", "tenant: names none; leave it out to export all");
	assert_refused(
	        &with_export, "export acme then-delete=beta",
	        "then-delete=beta: is not the name of the tenant that is exported, acme; nothing was done");
	assert_refused(&with_export, "exports then-delete=acme", "then-delete: deletes one tenant");
	assert_refused(&with_export, "exports class=", "class: names none; leave it out to export all");
	assert_refused(&with_export, "full database=", "database: names none; leave it out to back up all");
	assert_refused(&with_export, "nosuch",
	               "there is no job 'nosuch'; write one of: now, full, exports, export TENANT");
	assert_refused(&with_export, "exports acme",
	               "one job is triggered at a time, but behind it there is 'acme'");
	assert_refused(&with_export, "full beta", "one job is triggered at a time");
	/* Whatever else is called so. */
	assert_refused(&without, "export acme",
	               "nothing says how tenants are exported: add a section [export]");
	assert_refused(&without, "nosuch", "there is no job 'nosuch'; write one of: now, full, exports");
}

/* What is no key of an export is seen to by whoever takes the order. */
static void keys_of_databases_are_not_of_exports(void **state)
{
	_cleanup(jobs_order) struct jobs_order order = {0}, dump = {0};
	struct error err = {0};

	assert_int_equal(jobs_order_parse(&with_export, "exports database=shop final=yes", &order, &err), 0);
	assert_int_equal(order.key_count, 2);
	assert_string_equal(order.keys[0], "database");
	assert_string_equal(order.keys[1], "final");
	assert_null(order.database);
	assert_false(order.is_final);
	assert_int_equal(jobs_order_parse(&with_export, "full tenant=acme", &dump, &err), 0);
	assert_int_equal(dump.key_count, 1);
	assert_null(dump.database);
}

static void assert_from_backup(const char *text, const char *name)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct error err = {0};

	if (jobs_order_parse(&with_export, text, &order, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	assert_null(order.job);
	assert_ptr_equal(order.work, &use_past);
	assert_string_equal(order.work_name, name);
	assert_ptr_equal(order.work_text, text);
}

/* It reads a backup, and not the database: another work, of one tenant. */
static void an_export_may_be_from_a_backup(void **state)
{
	assert_from_backup("export acme from=full", "export:acme");
	assert_from_backup("exports tenant=acme from=full/latest.dump", "export:acme");
	assert_from_backup("export acme from= note='x y'", "export:acme");
	assert_from_backup("exports from=full", "export:all");
	assert_refused(&without, "export acme from=full",
	               "nothing says how tenants are exported: add a section [export]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(exports_are_a_job),
	        cmocka_unit_test(one_tenant_is_named),
	        cmocka_unit_test(what_makes_no_sense_is_refused),
	        cmocka_unit_test(keys_of_databases_are_not_of_exports),
	        cmocka_unit_test(an_export_may_be_from_a_backup),
	};

	return cmocka_run_group_tests_name("job_order", tests, NULL, NULL);
}
