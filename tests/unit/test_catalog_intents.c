// SPDX-License-Identifier: Apache-2.0
/* Intents: they hold a place until something is listed there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/base/error.h>
#include <keepfs/catalog/intents.h>

#include "catalog_fixture.h"

static void intents_hold_their_place(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	assert_false(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	assert_int_equal(catalog_add_intent(f->catalog, 1, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_true(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	assert_false(catalog_sequence_taken(f->catalog, "backups/other", SECONDS * 1000));
	assert_int_equal(catalog_add_intent(f->catalog, 2, "backups/full/20261120T020000Z.tar", &err),
	                 -EEXIST);
	assert_int_equal(catalog_add_intent(f->catalog, 2, "backups/full/latest.dump", &err), -EINVAL);
	assert_int_equal(catalog_drop_intent(f->catalog, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_false(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_add_intent(f->catalog, 2, "backups/full/20261120T020000Z.dump", &err),
	                 -EEXIST);
}

static void count_intent(void *arg, int64_t run_id, const char *path)
{
	*(int64_t *)arg += run_id;
}

static void listing_ends_the_intent(void **state)
{
	struct fixture *f = *state;
	int64_t run_ids = 0;

	assert_int_equal(catalog_add_intent(f->catalog, 5, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_int_equal(catalog_intents(f->catalog, count_intent, &run_ids), 0);
	assert_int_equal(run_ids, 5);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 5, 10), 0);
	run_ids = 0;
	assert_int_equal(catalog_intents(f->catalog, count_intent, &run_ids), 0);
	assert_int_equal(run_ids, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(intents_hold_their_place),
	        TEST(listing_ends_the_intent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
