// SPDX-License-Identifier: Apache-2.0
/* The results of probes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/clock.h>
#include <keepfs/catalog/probes.h>

#include "catalog_fixture.h"

static void a_probe_replaces_the_last(void **state)
{
	struct fixture *f = *state;
	struct catalog_probe probes[3] = {
	        {.check = "store", .ok = true, .at_us = AT_US, .detail = "fine"},
	        {.check = "database full", .ok = false, .at_us = AT_US, .detail = "no such role"},
	};

	assert_int_equal(catalog_store_verified(f->catalog, "s3://a"), 0);
	assert_int_equal(catalog_set_probes(f->catalog, "s3://a", probes, 2, NULL), 0);
	assert_int_equal(catalog_store_verified(f->catalog, "s3://a"), AT_US);
	assert_int_equal(catalog_store_verified(f->catalog, "s3://b"), 0);
	probes[0].ok = false;
	probes[0].at_us++;
	assert_int_equal(catalog_set_probes(f->catalog, "s3://a", probes, 1, NULL), 0);
	assert_int_equal(catalog_probes(f->catalog, probes, 3), 1);
	assert_string_equal(probes[0].check, "store");
	assert_false(probes[0].ok);
	assert_int_equal(probes[0].at_us, AT_US + 1);
	assert_int_equal(catalog_store_verified(f->catalog, "s3://a"), AT_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_probe_replaces_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
