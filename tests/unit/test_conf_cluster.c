// SPDX-License-Identifier: Apache-2.0
/* [cluster NAME]: what is taken, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#define SERVER "[cluster main]\ndatabase = host=db user=keepfs\n"

static void test_a_server(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job;

	accept(f, SERVER "wal = archive\npg_wal = /srv/pg_wal\nread_timeout = 2h\nwal_max_age = 30m\n");
	job = &f->conf.jobs[0];
	assert_int_equal(job->kind, CONF_JOB_CLUSTER);
	assert_string_equal(job->name, "main");
	assert_string_equal(job->cluster.database, "host=db user=keepfs");
	assert_int_equal(job->cluster.wal, CONF_WAL_ARCHIVE);
	assert_string_equal(job->cluster.pg_wal, "/srv/pg_wal");
	assert_int_equal(job->cluster.read_timeout_ms, 2 * 3600 * 1000);
	assert_int_equal(job->cluster.wal_max_age_ms, 30 * 60 * 1000);
}

static void test_cluster_defaults(void **state)
{
	struct fixture *f = *state;

	accept(f, "[cluster main]\n");
	assert_string_equal(f->conf.jobs[0].cluster.database, "");
	assert_int_equal(f->conf.jobs[0].cluster.wal, CONF_WAL_ARCHIVE);
	accept(f, SERVER "copies = primary, other\n[store other]\nurl = dir:/other\n");
}

static void test_what_a_cluster_cannot_be(void **state)
{
	struct fixture *f = *state;

	refuse(f, SERVER "wal = no\n", "wal");
	refuse(f, SERVER "schedule = daily-2am\n", "the WAL of a cluster comes when the server has it");
	refuse(f, SERVER "format = plain\n", "format");
	refuse(f, SERVER "drill = daily-2am\n", "drill");
	refuse(f, "[cluster packs]\n", "[cluster packs]: the name is reserved");
	refuse(f, SERVER "[files main]\npath = /srv/x\n", "no two jobs of any kind");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_a_server),
	        CONF_TEST(test_cluster_defaults),
	        CONF_TEST(test_what_a_cluster_cannot_be),
	};

	return RUN_CONF_TESTS(tests);
}
