// SPDX-License-Identifier: Apache-2.0
/* In which order a tenant's rows are deleted. */
#include "../../src/export/leave_order.h"

#include "tenancy_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/str.h>

/* "comments | tasks+notes* | orgs": groups are separated by bars, and "*" is behind those that are a circle. */
static void check_order(const char *text, const char *column, bool all, const char *expected)
{
	char *columns[] = {(char *)column, NULL};
	const struct tenancy_rules rules = {.kind = TENANCY_COLUMN, .tenant_columns = columns};
	struct tenancy_model model = model_of(text);
	struct tenancy_plan plan;
	struct leave_order order;
	_cleanup(free) bool *is_left = NULL;
	_cleanup(str) struct str found = {0};
	struct error err = {0};

	assert_int_equal(tenancy_decide(&model, &rules, NULL, &plan, &err), 0);
	is_left = mem_alloc(plan.count + 1);
	for (size_t i = 0; i < plan.count; i++)
		is_left[i] = all || plan.decisions[i].verdict == TENANCY_EXPORTED;
	leave_order_make(&model, &plan, is_left, &order);
	for (size_t i = 0; i < order.count; i++) {
		bool ends = i + 1 == order.count || order.groups[i + 1] != order.groups[i];

		if (i > 0)
			str_append(&found, order.groups[i - 1] == order.groups[i] ? "+" : " | ");
		str_append(&found, model.tables[plan.decisions[order.decisions[i]].table].name);
		if (ends && order.is_circle[order.groups[i]])
			str_append_char(&found, '*');
	}
	assert_string_equal(str_text(&found), expected);
	assert_int_equal(order.group_count, order.count ? order.groups[order.count - 1] + 1 : 0);
	leave_order_finish(&order);
	tenancy_plan_finish(&plan);
	tenancy_model_finish(&model);
}

static void check(const char *text, const char *column, const char *expected)
{
	check_order(text, column, false, expected);
}

static void children_come_before_parents(void **state)
{
	check("orgs id*\nprojects id* org_id!\ntasks id* project_id!\ncomments id* task_id!\n"
	      "projects.org_id > orgs.id\ntasks.project_id > projects.id\ncomments.task_id > tasks.id",
	      "org_id", "comments | tasks | projects | orgs");
}

static void the_tenants_own_table_comes_last(void **state)
{
	/* No foreign key says that these have anything to do with each other. */
	check("orgs id*\nzebras id* org_id!\napes id* org_id!\nusers id* org_id!\nusers.org_id > orgs.id",
	      "org_id", "zebras | users | apes | orgs");
}

static void circles_are_one_step(void **state)
{
	check("orgs id* owner_id!\nusers id* org_id!\nlogs id* org_id!\nusers.org_id > orgs.id\norgs.owner_id > users.id",
	      "org_id", "logs | users+orgs*");
	check("orgs id*\nnodes id* org_id! parent_id\nnodes.org_id > orgs.id\nnodes.parent_id > nodes.id",
	      "org_id", "nodes* | orgs");
	check("orgs id*\na id* org_id! b_id\nb id* org_id! c_id\nc id* org_id! a_id\nd id* a_id!\n"
	      "a.org_id > orgs.id\nb.org_id > orgs.id\nc.org_id > orgs.id\na.b_id > b.id\nb.c_id > c.id\nc.a_id > a.id\nd.a_id > a.id",
	      "org_id", "d | b+c+a* | orgs");
}

static void what_stays_is_not_in_it(void **state)
{
	check("orgs id*\nlost id*\nparts id* lost_id\nusers id* org_id!\nusers.org_id > orgs.id\nparts.lost_id > lost.id",
	      "org_id", "users | orgs");
}

static void a_long_way_needs_no_stack(void **state)
{
	_cleanup(str) struct str text = {0}, expected = {0};

	str_append(&text, "orgs id*\nt0000 id* org_id!\n");
	for (int i = 1; i < 2000; i++)
		str_appendf(&text, "t%04d id* up!\n", i);
	str_append(&text, "t0000.org_id > orgs.id\n");
	for (int i = 1; i < 2000; i++)
		str_appendf(&text, "t%04d.up > t%04d.id\n", i, i - 1);
	for (int i = 1999; i >= 0; i--)
		str_appendf(&expected, "t%04d | ", i);
	str_append(&expected, "orgs");
	check_order(str_text(&text), "org_id", true, str_text(&expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(children_come_before_parents),
	        cmocka_unit_test(the_tenants_own_table_comes_last),
	        cmocka_unit_test(circles_are_one_step),
	        cmocka_unit_test(what_stays_is_not_in_it),
	        cmocka_unit_test(a_long_way_needs_no_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
