// SPDX-License-Identifier: Apache-2.0
/* What can be recovered of a cluster, as status/recovery, its JSON, health and metrics tell it. */
#include "report_test.h"

#include <keepfs/catalog/wal_places.h>
#include <keepfs/report/drills.h>

#define SEGMENT_BYTES UINT32_C(0x1000000)

/* The second job is a cluster, whose archive has the segments @first to @last: what is in number n was committed n seconds behind AT_US. */
static void put_archive(struct fixture *f, uint64_t first, uint64_t last, int64_t arrived_us)
{
	const struct catalog_wal_cluster cluster = {.system_id = 1, .segment_bytes = SEGMENT_BYTES};

	f->conf.job_count = 2;
	f->jobs[1].kind = CONF_JOB_CLUSTER;
	f->jobs[1].cluster.wal = CONF_WAL_ARCHIVE;
	assert_int_equal(catalog_wal_bind(f->catalog, "tenants", &cluster, NULL), 0);
	for (uint64_t n = first; n <= last; n++) {
		struct wal_name name = wal_name_of_lsn(1, n * SEGMENT_BYTES, SEGMENT_BYTES);
		struct wal_index x = {.end = (n + 1) * SEGMENT_BYTES - 8,
		                      .latest_us = AT_US + (int64_t)n * US_PER_S};
		struct catalog_wal row = {
		        .bytes = SEGMENT_BYTES, .stored_bytes = 100, .arrived_us = arrived_us};

		str_copy(row.job, sizeof(row.job), "tenants");
		wal_name_format(&name, row.name);
		str_copy(row.key, sizeof(row.key), row.name);
		assert_int_equal(catalog_wal_add_known(f->catalog, &row,
		                                       &(struct catalog_wal_known){.index = &x}, NULL),
		                 0);
	}
}

static void without_a_base(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL, *json = NULL;

	put_archive(f, 3, 5, AT_US);
	text = written_by(f, report_recovery);
	assert_has(text, "tenants\n  newest point       NONE: there is no base backup\n");
	assert_has(text, "WAL                3 files, 300 B; 000000010000000000000005 came last");
	json = written_by(f, report_recovery_json);
	assert_has(json, "\"cluster\":\"tenants\"");
	assert_has(json, "\"newest\":null");
	assert_has(json, "\"wal_files\":3");
	assert_item(f, "wal", "tenants", REPORT_OK, 0, NULL);
}

static void a_gap_without_a_base_is_told_and_no_alarm(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL, *json = NULL;

	put_archive(f, 3, 5, AT_US);
	put_archive(f, 8, 8, AT_US);
	text = written_by(f, report_recovery);
	assert_has(text, "missing            000000010000000000000006 to 000000010000000000000007 (2)\n");
	json = written_by(f, report_recovery_json);
	assert_has(json, "\"first\":\"000000010000000000000006\"");
	assert_has(json, "\"blocks_newest\":false");
	assert_item(f, "wal", "tenants", REPORT_OK, 0, NULL);
}

static void metrics_of_an_archive(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	put_archive(f, 3, 5, AT_US);
	text = written_by(f, report_metrics);
	assert_has(text, "keepfs_wal_files{backup_job=\"tenants\"} 3\n");
	assert_has(text, "keepfs_wal_missing_segments{backup_job=\"tenants\"} 0\n");
	assert_null(strstr(text, "keepfs_recovery_newest_timestamp_seconds{"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(without_a_base),
	        REPORT_TEST(a_gap_without_a_base_is_told_and_no_alarm),
	        REPORT_TEST(metrics_of_an_archive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
