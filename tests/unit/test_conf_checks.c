// SPDX-License-Identifier: Apache-2.0
/* [check NAME], and the keys of drills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

static const char jobs[] =
        "[store]\nurl = dir:/srv/b\n[backup full]\ndatabase = dbname=x\n[files docs]\npath = /srv/d\n";

static void taken(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = mem_printf(
	        "%s[check orders]\njobs = full\ndatabases = shop\nsql = select count(*) from orders\nexpect = n > 100\n"
	        "[check app]\ncommand = /bin/true\n",
	        jobs);

	accept(f, text);
	assert_int_equal(f->conf.check_count, 2);
	assert_string_equal(f->conf.checks[0].sql, "select count(*) from orders");
	assert_true(conf_check_is_of(&f->conf.checks[0], "full", "shop"));
	assert_false(conf_check_is_of(&f->conf.checks[0], "full", "x"));
	assert_false(conf_check_is_of(&f->conf.checks[0], "other", "shop"));
	assert_true(conf_check_is_of(&f->conf.checks[1], "other", "x"));
	assert_int_equal(f->conf.jobs[0].drill_level, 0);
	assert_string_equal(f->conf.jobs[0].drill, "disabled");
	assert_string_equal(f->conf.jobs[1].drill, "disabled");
	/* What is no database has no server. */
	assert_null(f->conf.jobs[1].drill_server);
}

static void refused(struct fixture *f, const char *section, const char *said)
{
	_cleanup(free) char *text = mem_printf("%s%s", jobs, section);

	refuse(f, text, said);
}

static void problems(void **state)
{
	struct fixture *f = *state;

	refused(f, "[check a]\n", "[check a] asks nothing; allowed: sql, command, or both");
	refused(f, "[check a]\nsql = select 1\nexpect = 5\n", "[check a] expect: '5' is no expectation");
	refused(f, "[check a]\ncommand = x\nexpect = n > 5\n",
	        "[check a] expect: of a statement, and there is none");
	refused(f, "[check a]\nsql = select 1\njobs = docs\n", "[check a] jobs: there is no [backup docs]");
	refused(f, "[check a]\nsql = select 1\njobs = site\n[bundle site]\nparts = docs\n",
	        "[check a] jobs: site is a bundle, of whose services a command asks");
	refused(f, "[check a]\nsql = select 1\n[backup b]\ndrill_level = 1\n",
	        "drill_level = 1: is too small; allowed: auto, or a whole number from 2 to 6");
	refused(f, "[check a]\nsql = select 1\n[backup b]\ndrill_level = 6\n",
	        "drill_level = 6: a moment is proven of clusters alone; allowed: auto, or a whole number from 2 to 5");
	refused(f, "[check a]\nsql = select 1\n[backup b]\ndrill = sometimes\n",
	        "[backup b] drill = sometimes: ");
}

static void of_a_deployment(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text =
	        mem_printf("%s[bundle site]\nparts = docs\nrestore_stop_hook = systemctl stop app\n"
	                   "[check web]\njobs = site\ncommand = /bin/true\ntimeout = 5s\n"
	                   "[check any]\ncommand = /bin/true\n",
	                   jobs);

	accept(f, text);
	assert_true(conf_check_is_of_bundle(&f->conf.checks[0], "site"));
	assert_false(conf_check_is_of_bundle(&f->conf.checks[0], "other"));
	assert_false(conf_check_is_of(&f->conf.checks[0], "full", "shop"));
	/* That of all databases is of no deployment. */
	assert_false(conf_check_is_of_bundle(&f->conf.checks[1], "site"));
	assert_string_equal(conf_find_job(&f->conf, "site")->bundle.restore_stop_hook, "systemctl stop app");
	assert_string_equal(conf_find_job(&f->conf, "site")->bundle.restore_start_hook, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {CONF_TEST(taken), CONF_TEST(of_a_deployment), CONF_TEST(problems)};

	return RUN_CONF_TESTS(tests);
}
