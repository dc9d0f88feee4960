// SPDX-License-Identifier: Apache-2.0
/* Replication sessions: what a base backup consists of, and what goes wrong before and in it. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/replication.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct seen {
	uint64_t lsn;
	uint32_t timeline;
	size_t places, archives, data_bytes;
	struct str manifest, first;
	struct cancel *cancel; /* set when data come */
};

static int see_start(void *arg, uint64_t lsn, uint32_t timeline, const struct pg_base_place *places,
                     size_t count, struct error *err)
{
	struct seen *seen = arg;

	seen->lsn = lsn;
	seen->timeline = timeline;
	seen->places = count;
	assert_int_equal(places[count - 1].oid, 0);
	assert_true(places[count - 1].bytes > 1 << 20);
	return 0;
}

static int see_archive(void *arg, size_t place, struct error *err)
{
	struct seen *seen = arg;

	assert_int_equal(place, seen->archives);
	seen->archives++;
	return 0;
}

static int see_data(void *arg, const void *data, size_t len, struct error *err)
{
	struct seen *seen = arg;

	if (seen->data_bytes == 0)
		str_append_bytes(&seen->first, data, len < 512 ? len : 512);
	seen->data_bytes += len;
	if (seen->cancel)
		cancel_set(seen->cancel);
	return 0;
}

static int see_manifest(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(&((struct seen *)arg)->manifest, data, len);
	return 0;
}

static struct pg_base_to to_seen(struct seen *seen)
{
	return (struct pg_base_to){see_start, see_archive, see_data, see_manifest, seen};
}

static void finish_seen(struct seen *seen)
{
	str_finish(&seen->manifest);
	str_finish(&seen->first);
}

static void test_a_base(void **state)
{
	const struct pg_base_options options = {.label = "it's a label", .with_wal = true};
	struct pg_replication *s = NULL;
	struct pg_replication_system is;
	struct seen seen = {0};
	const struct pg_base_to to = to_seen(&seen);
	struct error err = {0};
	_cleanup(free) char *level = NULL;
	uint64_t end = 0;
	uint32_t timeline = 0;
	char lsn[PG_LSN_BYTES];

	assert_int_equal(pg_replication_open(server_conninfo(), "keepfs test", NULL, &s, &err), 0);
	assert_int_equal(pg_replication_identify(s, &is, &err), 0);
	assert_true(is.version_num >= 130000 && is.timeline == 1 && strlen(is.system_identifier) > 10);
	assert_int_equal(pg_replication_setting(s, "wal_level", &level, &err), 0);
	assert_string_equal(level, "replica");
	if (pg_replication_base(s, &options, &to, &end, &timeline, &err) < 0)
		fail_msg("%s", err.message);
	pg_replication_free(s);
	assert_true(end > seen.lsn && seen.lsn >= is.lsn);
	assert_int_equal(timeline, seen.timeline);
	assert_int_equal(seen.places, 1);
	assert_int_equal(seen.archives, 1);
	assert_string_equal(str_text(&seen.first), "backup_label");
	assert_true(seen.data_bytes > 20 << 20);
	assert_true(strstr(str_text(&seen.manifest), "\"Manifest-Checksum\"") != NULL);
	assert_string_equal(pg_lsn_format(UINT64_C(0x1600000028), lsn), "16/28");
	finish_seen(&seen);
}

static void test_a_base_is_cancelled(void **state)
{
	const struct pg_base_options options = {.label = "x"};
	struct cancel cancel;
	struct pg_replication *s = NULL;
	struct seen seen = {.cancel = &cancel};
	const struct pg_base_to to = to_seen(&seen);
	struct error err = {0};
	uint64_t end;
	uint32_t timeline;

	cancel_init(&cancel);
	assert_int_equal(pg_replication_open(server_conninfo(), "keepfs test", &cancel, &s, &err), 0);
	assert_int_equal(pg_replication_base(s, &options, &to, &end, &timeline, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	pg_replication_free(s);
	cancel_finish(&cancel);
	finish_seen(&seen);
}

static void test_a_role_that_may_not(void **state)
{
	_cleanup(free) char *conninfo = mem_printf("%s user=reads_only", server_conninfo());
	struct pg_session *admin = server_open("postgres", NULL);
	struct pg_replication *s = NULL;
	struct error err = {0};

	server_run(admin, "CREATE ROLE reads_only LOGIN");
	assert_int_equal(pg_replication_open(conninfo, "keepfs test", NULL, &s, &err), -EACCES);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_non_null(err.hint);
	assert_true(strstr(err.hint, "REPLICATION") != NULL);
	server_run(admin, "DROP ROLE reads_only");
	pg_session_free(admin);
}

static void test_a_server_that_lets_nobody_replicate(void **state)
{
	_cleanup(free) char *conninfo = mem_printf("%s user=unlisted", server_conninfo());
	struct pg_session *admin = server_open("postgres", NULL);
	struct pg_replication *s = NULL;
	struct error err = {0};

	server_run(admin, "CREATE ROLE unlisted LOGIN REPLICATION");
	assert_int_equal(pg_replication_open(conninfo, "keepfs test", NULL, &s, &err), -EACCES);
	assert_non_null(err.hint);
	assert_true(strstr(err.hint, "host replication ROLE ADDRESS") != NULL);
	server_run(admin, "DROP ROLE unlisted");
	pg_session_free(admin);
}

static int take_base_of(struct pg_replication *s, bool incremental, struct seen *seen, struct error *err)
{
	const struct pg_base_options options = {.label = "x", .incremental = incremental};
	const struct pg_base_to to = to_seen(seen);
	uint64_t end;
	uint32_t timeline;

	return pg_replication_base(s, &options, &to, &end, &timeline, err);
}

static int server_version(struct pg_session *s)
{
	_cleanup(free) char *version = server_value(s, "SHOW server_version_num");

	return atoi(version);
}

/* From 17 on a server that was told what an earlier backup had sends what changed since; older ones are not asked. */
static void test_an_incremental_base(void **state)
{
	struct pg_session *admin = server_open("postgres", NULL);
	struct pg_replication *s = NULL;
	struct pg_replication_system is;
	struct seen whole = {0}, changes = {0};
	struct error err = {0};
	int r;

	assert_int_equal(pg_replication_open(server_conninfo(), "keepfs test", NULL, &s, &err), 0);
	if (server_version(admin) < 170000) {
		assert_int_equal(pg_replication_manifest_begin(s, &err), -ENOTSUP);
		assert_non_null(strstr(err.message, "17 and later do"));
	} else {
		server_run(admin, "ALTER SYSTEM SET summarize_wal = on");
		server_run(admin, "SELECT pg_reload_conf()");
		server_wait(
		        admin,
		        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walsummarizer')");
		assert_int_equal(pg_replication_identify(s, &is, &err), 0);
		assert_int_equal(take_base_of(s, false, &whole, &err), 0);
		assert_int_equal(pg_replication_manifest_begin(s, &err), 0);
		for (size_t at = 0; at < whole.manifest.len; at += 777)
			assert_int_equal(
			        pg_replication_manifest_put(
			                s, whole.manifest.data + at,
			                whole.manifest.len - at < 777 ? whole.manifest.len - at : 777, &err),
			        0);
		assert_int_equal(pg_replication_manifest_end(s, &err), 0);
		r = take_base_of(s, true, &changes, &err);
		if (r < 0)
			fail_msg("%s", err.message);
		assert_true(changes.data_bytes < whole.data_bytes / 3);
		assert_non_null(strstr(str_text(&changes.manifest), "/INCREMENTAL."));
	}
	pg_replication_free(s);
	pg_session_free(admin);
	finish_seen(&whole);
	finish_seen(&changes);
}

static void test_a_manifest_of_nothing(void **state)
{
	struct pg_session *admin = server_open("postgres", NULL);
	struct pg_replication *s = NULL;
	struct error err = {0};

	if (server_version(admin) >= 170000) {
		assert_int_equal(pg_replication_open(server_conninfo(), "keepfs test", NULL, &s, &err), 0);
		assert_int_equal(pg_replication_manifest_begin(s, &err), 0);
		assert_int_equal(pg_replication_manifest_put(s, "{}", 2, &err), 0);
		assert_true(pg_replication_manifest_end(s, &err) < 0);
		assert_non_null(strstr(err.message, "manifest"));
		pg_replication_free(s);
	}
	pg_session_free(admin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_base),
	        cmocka_unit_test(test_a_base_is_cancelled),
	        cmocka_unit_test(test_a_role_that_may_not),
	        cmocka_unit_test(test_a_server_that_lets_nobody_replicate),
	        cmocka_unit_test(test_an_incremental_base),
	        cmocka_unit_test(test_a_manifest_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
