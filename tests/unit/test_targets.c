// SPDX-License-Identifier: Apache-2.0
/* Which targets a run makes, of all that its job has. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/make.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void add_target(struct make_targets *targets, const char *label, const char *class)
{
	struct make_target *t = make_targets_add(targets);

	t->label = mem_strdup(label);
	t->class = mem_strdup(class);
}

static char *choose(const struct make_wanted *wanted)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct conf_job job = {.name = (char *)"tenants"};
	struct error err = {0};
	struct str names = {0};

	add_target(&targets, "master", NULL);
	add_target(&targets, "a", "demo");
	add_target(&targets, "b", "active");
	add_target(&targets, "c", "demo");
	add_target(&targets, "d", "unknown");
	if (make_targets_choose(&job, wanted, &targets, &err) < 0)
		return mem_strdup(err.message);
	for (size_t i = 0; i < targets.count; i++)
		str_appendf(&names, "%s ", targets.items[i].label);
	return str_take(&names);
}

static void assert_chosen(struct make_wanted wanted, const char *expected)
{
	_cleanup(free) char *chosen = choose(&wanted);

	assert_string_equal(chosen, expected);
}

static void targets_are_chosen(void **state)
{
	assert_chosen((struct make_wanted){0}, "master a b c d ");
	assert_chosen((struct make_wanted){.database = "b"}, "b ");
	assert_chosen((struct make_wanted){.class = "demo"}, "a c ");
	assert_chosen((struct make_wanted){.class = "unknown"}, "d ");
	assert_chosen((struct make_wanted){.class = "demo", .database = "c"}, "c ");
	assert_chosen((struct make_wanted){.except_classes = (char *[]){(char *)"demo", (char *)"x", NULL}},
	              "master b d ");
	assert_chosen(
	        (struct make_wanted){.class = "x"},
	        "job tenants has no database of the class 'x'; the classes of its databases: demo, active, unknown");
	assert_chosen((struct make_wanted){.database = "x"},
	              "job tenants has no database 'x'; its databases: master, a, b, c, d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(targets_are_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
