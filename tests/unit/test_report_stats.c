// SPDX-License-Identifier: Apache-2.0
/* status/stats.json. */
#include "report_test.h"

#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>

static void test_stats(void **state)
{
	struct fixture *f = *state;
	_cleanup(json) struct json *j = NULL;
	_cleanup(free) char *text = NULL;
	const struct json *full, *old, *tenants;
	int64_t number = 0, at = 0;

	f->conf.job_count = 2;
	f->conf.store.capacity_bytes = 5000;
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	add_artifact(f, "full", 60, add_run(f, "full", RUN_COMPLETED, NULL), 150);
	add_partial_artifact(f, "full", 90, add_run(f, "full", RUN_FAILED, "no"), 10);
	add_run(f, "full", RUN_CANCELLED, NULL);
	add_run(f, "old-job", RUN_FAILED, "no");
	text = written_by(f, report_stats_json);
	j = json_parse(text, strlen(text), NULL);
	assert_non_null(j);
	assert_true(json_get_int(j, "artifacts", &number) && number == 3);
	assert_true(json_get_int(j, "stored_bytes", &number) && number == 260);
	assert_true(json_get_time(j, "oldest", &at) && at == AT_US);
	assert_true(json_get_time(j, "newest", &at) && at == AT_US + 90 * US_PER_S);
	assert_true(json_get_time(j, "newest_whole", &at) && at == AT_US + 60 * US_PER_S);
	assert_true(json_get_int(json_get(j, "runs"), "failed", &number) && number == 2);
	full = json_get(json_get(j, "jobs"), "full");
	assert_true(json_get_int(json_get(full, "runs"), "completed", &number) && number == 2);
	assert_true(json_get_int(json_get(full, "runs"), "failed", &number) && number == 1);
	assert_true(json_get_int(json_get(full, "runs"), "cancelled", &number) && number == 1);
	assert_true(json_get_int(json_get(full, "runs"), "pending", &number) && number == 0);
	assert_true(json_get_time(full, "last_success", &at) && at > 0);
	assert_true(json_get_time(full, "last_failure", &at) && at > 0);
	old = json_get(json_get(j, "jobs"), "old-job");
	assert_false(json_get_time(old, "last_success", &at));
	tenants = json_get(json_get(j, "jobs"), "tenants");
	assert_true(json_get_int(tenants, "artifacts", &number) && number == 0);
	assert_string_equal(json_get_string(json_get(j, "store"), "url"), "s3://bucket");
	assert_true(json_get_int(json_get(j, "store"), "capacity_bytes", &number) && number == 5000);
	assert_false(json_get_time(json_get(j, "store"), "verified", &at));
	assert_true(json_get_null(json_get(j, "store"), "catalog_copy"));
}

static void a_copy_of_the_catalog_is_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	_cleanup(json) struct json *j = NULL;
	int64_t at = 0;

	assert_int_equal(catalog_copy_note(f->catalog, "catalog/x", AT_US, NULL), 0);
	text = written_by(f, report_stats_json);
	j = json_parse(text, strlen(text), NULL);
	assert_true(json_get_time(json_get(j, "store"), "catalog_copy", &at));
	assert_int_equal(at, AT_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(test_stats),
	        REPORT_TEST(a_copy_of_the_catalog_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
