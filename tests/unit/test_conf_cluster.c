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

	accept(f, SERVER
	       "wal = archive\npg_wal = /srv/pg_wal\nread_timeout = 2h\nwal_window = 14d\nwal_max_age = 30m\n");
	job = &f->conf.jobs[0];
	assert_int_equal(job->kind, CONF_JOB_CLUSTER);
	assert_string_equal(job->name, "main");
	assert_string_equal(job->cluster.database, "host=db user=keepfs");
	assert_int_equal(job->cluster.wal, CONF_WAL_ARCHIVE);
	assert_string_equal(job->cluster.pg_wal, "/srv/pg_wal");
	assert_int_equal(job->cluster.read_timeout_ms, 2 * 3600 * 1000);
	assert_int_equal(job->cluster.wal_window_ms, INT64_C(14) * 86400 * 1000);
	assert_int_equal(job->cluster.wal_max_age_ms, 30 * 60 * 1000);
}

static void test_a_stream(void **state)
{
	struct fixture *f = *state;
	char slot[CONF_SLOT_BYTES];

	accept(f, SERVER "wal = both\nslot = mine_1\nwal_tail = 0s\nwal_confirm = disk\n");
	assert_int_equal(f->conf.jobs[0].cluster.wal, CONF_WAL_BOTH);
	assert_int_equal(f->conf.jobs[0].cluster.wal_tail_ms, 0);
	assert_int_equal(f->conf.jobs[0].cluster.wal_confirm, CONF_WAL_CONFIRM_DISK);
	assert_string_equal(conf_cluster_slot(&f->conf.jobs[0], slot), "mine_1");
	accept(f, SERVER "wal = stream\n");
	assert_int_equal(f->conf.jobs[0].cluster.wal_tail_ms, 5000);
	assert_int_equal(f->conf.jobs[0].cluster.wal_confirm, CONF_WAL_CONFIRM_STORE);
	assert_string_equal(conf_cluster_slot(&f->conf.jobs[0], slot), "keepfs_main");
	accept(f, "[cluster Main-Shop.2]\nwal = stream\n");
	assert_string_equal(conf_cluster_slot(&f->conf.jobs[0], slot), "keepfs_main_shop_2");
	accept(f, "[cluster a23456789012345678901234567890123456789012345678901234567890]\n");
	assert_string_equal(conf_cluster_slot(&f->conf.jobs[0], slot),
	                    "keepfs_a2345678901234567890123456789012345678901234567890123456");
}

static void test_what_a_stream_cannot_be(void **state)
{
	struct fixture *f = *state;

	refuse(f, SERVER "slot = Mine\n", "at most 63 of the letters");
	refuse(f, SERVER "slot = a b\n", "at most 63 of the letters");
	refuse(f, SERVER "slot = a234567890123456789012345678901234567890123456789012345678901234\n",
	       "at most 63 of the letters");
	refuse(f, SERVER "wal_confirm = none\n", "wal_confirm");
	refuse(f, SERVER "wal_tail = 2h\n", "wal_tail");
}

static void test_cluster_defaults(void **state)
{
	struct fixture *f = *state;

	accept(f, "[cluster main]\n");
	assert_string_equal(f->conf.jobs[0].cluster.database, "");
	assert_int_equal(f->conf.jobs[0].cluster.wal, CONF_WAL_ARCHIVE);
	assert_int_equal(f->conf.jobs[0].cluster.wal_window_ms, 0);
	accept(f, SERVER "wal_window = bases\n");
	assert_int_equal(f->conf.jobs[0].cluster.wal_window_ms, 0);
	assert_int_equal(f->conf.jobs[0].cluster.checkpoint, CONF_CHECKPOINT_FAST);
	assert_int_equal(f->conf.jobs[0].cluster.incremental, CONF_INCREMENTAL_AUTO);
	assert_int_equal(f->conf.jobs[0].cluster.wal_timeout_ms, 10 * 60 * 1000);
	assert_int_equal(f->conf.jobs[0].compression.kind, COMPRESS_FAST);
	accept(f, SERVER "copies = primary, other\n[store other]\nurl = dir:/other\n");
}

/* What every job has that makes something. */
static void test_a_cluster_is_scheduled(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job;

	accept(f, SERVER
	       "schedule = daily-2am\nkeep_daily = 7\npre_hook = true\ncheckpoint = spread\nincremental = off\nwal_timeout = 1h\n"
	       "compression = zstd:3\nmax_rate = 50M/s\n");
	job = &f->conf.jobs[0];
	assert_string_equal(job->policy.schedule, "daily-2am");
	assert_int_equal(job->policy.keep_daily, 7);
	assert_string_equal(job->pre_hook, "true");
	assert_int_equal(job->cluster.checkpoint, CONF_CHECKPOINT_SPREAD);
	assert_int_equal(job->cluster.incremental, CONF_INCREMENTAL_OFF);
	assert_int_equal(job->cluster.wal_timeout_ms, 3600 * 1000);
	assert_int_equal(job->compression.level, 3);
}

static void test_what_a_cluster_cannot_be(void **state)
{
	struct fixture *f = *state;

	refuse(f, SERVER "wal = no\n", "wal");
	refuse(f, SERVER "compression = gzip\n", "cannot be read in its middle");
	refuse(f, SERVER "compression = none\n", "fast, small, zstd, zstd:1 to zstd:19");
	refuse(f, SERVER "checkpoint = slow\n", "fast or spread");
	refuse(f, SERVER "incremental = on\n", "auto, compare or off");
	refuse(f, SERVER "wal_timeout = 0\n", "wal_timeout");
	refuse(f, SERVER "jobs = 4\n", "jobs");
	refuse(f, SERVER "format = plain\n", "format");
	refuse(f, SERVER "drill_server = postgresql://x\n", "drill_server");
	refuse(f, "[cluster packs]\n", "[cluster packs]: the name is reserved");
	refuse(f, SERVER "[files main]\npath = /srv/x\n", "no two jobs of any kind");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_a_server),
	        CONF_TEST(test_a_stream),
	        CONF_TEST(test_what_a_stream_cannot_be),
	        CONF_TEST(test_cluster_defaults),
	        CONF_TEST(test_a_cluster_is_scheduled),
	        CONF_TEST(test_what_a_cluster_cannot_be),
	};

	return RUN_CONF_TESTS(tests);
}
