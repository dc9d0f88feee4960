// SPDX-License-Identifier: Apache-2.0
/* Restores that change something now, and what earlier ones have left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/catalog/notices.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/catalog/runs.h>

#include "catalog_fixture.h"

static void append_restore(void *arg, const struct catalog_restore *x)
{
	str_appendf(arg, "%lld %s@%s from %s, %s, %s, phase %d%s%s|", (long long)x->run_id, x->target,
	            x->server, x->backup, x->made, x->before, x->phase, x->is_over ? ", over: " : "",
	            x->problem);
}

static void assert_restores(struct fixture *f, const char *expected)
{
	_cleanup(str) struct str found = {0};

	assert_int_equal(catalog_each_restore(f->catalog, append_restore, &found), 0);
	assert_string_equal(str_text(&found), expected);
}

static void set_at(struct fixture *f, int64_t run, const char *target, const char *server,
                   enum restore_phase phase)
{
	struct catalog_restore x = {.run_id = run, .phase = phase, .begun_at_us = AT_US};

	str_copy(x.target, sizeof(x.target), target);
	str_copy(x.server, sizeof(x.server), server);
	str_copy(x.backup, sizeof(x.backup), "b");
	str_copy(x.made, sizeof(x.made), "made");
	assert_int_equal(catalog_set_restore(f->catalog, &x, NULL), 0);
}

static void set(struct fixture *f, int64_t run, const char *target, enum restore_phase phase)
{
	set_at(f, run, target, "host=db", phase);
}

static uint64_t forget(struct fixture *f, int64_t run, const char *target, const char *server)
{
	const struct catalog_restore_which which = {.run_id = run, .target = target, .server = server};
	uint64_t count = 9;

	assert_int_equal(catalog_forget_restores(f->catalog, &which, &count, NULL), 0);
	return count;
}

static void one_that_ends_well_leaves_nothing(void **state)
{
	const struct catalog_restore_which which = {.run_id = 1, .target = "shop", .server = "host=db"};
	struct fixture *f = *state;

	set(f, 1, "shop", RESTORE_PHASE_BESIDE);
	assert_restores(f, "1 shop@host=db from b, made, , phase 0|");
	set(f, 1, "shop", RESTORE_PHASE_SWAP);
	assert_restores(f, "1 shop@host=db from b, made, , phase 2|");
	assert_int_equal(catalog_end_restore(f->catalog, &which, NULL), 0);
	assert_restores(f, "");
}

static void what_was_left_stays_until_it_is_settled(void **state)
{
	const struct catalog_restore_which which = {.run_id = 1, .target = "shop", .server = "host=db"};
	struct fixture *f = *state;

	set(f, 1, "shop", RESTORE_PHASE_IN_PLACE);
	set(f, 1, "other", RESTORE_PHASE_BESIDE);
	set(f, 2, "third", RESTORE_PHASE_BESIDE);
	assert_int_equal(catalog_leave_restore(f->catalog, &which, "why", NULL), 0);
	/* One that is at work is not forgotten. */
	assert_int_equal(forget(f, 0, "third", NULL), 0);
	assert_int_equal(catalog_interrupt_restores(f->catalog, NULL), 0);
	assert_restores(f,
	                "1 other@host=db from b, made, , phase 0, over: keepfs ended in the middle of it|"
	                "1 shop@host=db from b, made, , phase 1, over: why|"
	                "2 third@host=db from b, made, , phase 0, over: keepfs ended in the middle of it|");
	assert_int_equal(forget(f, 2, "shop", NULL), 0);
	assert_int_equal(forget(f, 0, "shop", NULL), 1);
	assert_int_equal(forget(f, 0, NULL, NULL), 2);
	assert_restores(f, "");
}

static void append_place(void *arg, const struct catalog_restore_place *p)
{
	str_appendf(arg, "%s@%s from %s, %s|", p->target, p->server, p->backup, p->before);
}

static void assert_places(struct fixture *f, int64_t run, const char *expected)
{
	_cleanup(str) struct str found = {0};

	assert_int_equal(catalog_restore_places(f->catalog, run, append_place, &found), 0);
	assert_string_equal(str_text(&found), expected);
}

static void where_it_went_to_is_known_when_it_is_over(void **state)
{
	struct fixture *f = *state;

	set(f, 1, "shop", RESTORE_PHASE_BESIDE);
	set(f, 1, "shop", RESTORE_PHASE_SWAP);
	set(f, 1, "crm", RESTORE_PHASE_IN_PLACE);
	set(f, 2, "crm", RESTORE_PHASE_IN_PLACE);
	assert_int_equal(catalog_end_restore(f->catalog,
	                                     &(struct catalog_restore_which){.run_id = 1, .target = "shop"},
	                                     NULL),
	                 0);
	assert_places(f, 1, "crm@host=db from b, |shop@host=db from b, |");
	for (int64_t run = 3; run < CATALOG_RESTORE_PLACES + 2; run++)
		set(f, run, "shop", RESTORE_PHASE_BESIDE);
	assert_places(f, 1, "");
	assert_places(f, 2, "crm@host=db from b, |");
}

static int64_t run_of(struct fixture *f, const char *job, const char *kind, bool starts)
{
	struct catalog_run run = {0};
	int64_t id;

	str_copy(run.job, sizeof(run.job), job);
	str_copy(run.kind, sizeof(run.kind), kind);
	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	if (starts)
		assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	return id;
}

static void assert_untold(struct fixture *f, ssize_t count, int64_t first)
{
	int64_t ids[4];

	assert_int_equal(catalog_untold_restores(f->catalog, ids, 4), count);
	if (count > 0)
		assert_int_equal(ids[0], first);
}

/* Each is told of once, in the transaction that adds what is said of it. One that never began has done nothing. */
static void those_that_have_ended_are_to_be_told(void **state)
{
	struct fixture *f = *state;
	int64_t good = run_of(f, "restore:full", "restore", true),
	        verify = run_of(f, "verify:full", "verify", true);
	int64_t unborn = run_of(f, "restore:other", "restore", false);
	const struct catalog_news news = {.restores = &good, .restore_count = 1, .waiting_max = 5};

	assert_untold(f, 0, 0);
	assert_int_equal(catalog_finish_run(f->catalog, good, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, verify, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, unborn, RUN_CANCELLED, "x", NULL), 0);
	assert_untold(f, 1, good);
	assert_int_equal(catalog_add_news(f->catalog, &news, NULL), 0);
	assert_untold(f, 0, 0);
	assert_int_equal(catalog_finish_run(f->catalog, run_of(f, "restore:x", "restore", true), RUN_FAILED,
	                                    "x", NULL),
	                 0);
	assert_untold(f, 1, 4);
	assert_int_equal(catalog_forget_told(f->catalog, NULL), 0);
	assert_untold(f, 0, 0);
}

/* Of one name, on two servers, by one run: neither is in the place of the other. */
static void databases_of_two_servers_are_two(void **state)
{
	const struct catalog_restore_which one = {.run_id = 1, .target = "shop", .server = "host=one"};
	struct fixture *f = *state;

	set_at(f, 1, "shop", "host=one", RESTORE_PHASE_IN_PLACE);
	set_at(f, 1, "shop", "host=two", RESTORE_PHASE_IN_PLACE);
	assert_int_equal(catalog_leave_restore(f->catalog, &one, "why", NULL), 0);
	assert_restores(f, "1 shop@host=one from b, made, , phase 1, over: why|"
	                   "1 shop@host=two from b, made, , phase 1|");
	assert_int_equal(catalog_interrupt_restores(f->catalog, NULL), 0);
	assert_int_equal(forget(f, 0, "shop", "host=two"), 1);
	assert_restores(f, "1 shop@host=one from b, made, , phase 1, over: why|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(one_that_ends_well_leaves_nothing, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_left_stays_until_it_is_settled, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(where_it_went_to_is_known_when_it_is_over, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(those_that_have_ended_are_to_be_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(databases_of_two_servers_are_two, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
