// SPDX-License-Identifier: Apache-2.0
/* Two transactions and the moment between them: written where nothing stays of them, and found again, or not. */
#include "server.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/pg/marker.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct pg_marker written(void)
{
	struct pg_marker m = {0};
	struct error err = {0};

	if (pg_marker_write(server_conninfo(), "it's a test", NULL, &m, &err) != 0)
		fail_msg("%s", err.message);
	return m;
}

static struct pg_marker_seen looked(const struct pg_marker *m)
{
	struct pg_marker_seen seen = {0};
	struct error err = {0};

	if (pg_marker_look(server_conninfo(), m, NULL, &seen, &err) < 0)
		fail_msg("%s", err.message);
	return seen;
}

static void both_are_there_where_they_were_written(void **state)
{
	struct pg_marker m = written();
	struct pg_marker_seen seen = looked(&m);
	int64_t away_us = clock_now_us() - m.moment_us;

	(void)state;
	assert_true(m.after_xid > m.before_xid && m.before_xid > 0);
	assert_true(away_us > -US_PER_S && away_us < 60 * US_PER_S);
	assert_int_equal(strlen(m.last_segment), 24);
	assert_true(m.is_switched);
	assert_true(m.superuser[0] != '\0');
	assert_true(seen.has_before && seen.has_after);
	/* It never recovered. */
	assert_int_equal(seen.replayed_us, 0);
}

static void one_that_was_never_given_out_is_not(void **state)
{
	struct pg_marker m = written();

	(void)state;
	m.after_xid += 1000000;
	assert_true(looked(&m).has_before);
	assert_false(looked(&m).has_after);
}

static void one_that_was_rolled_back_is_not(void **state)
{
	_cleanup(pg_session) struct pg_session *s = server_open("postgres", NULL);
	struct pg_marker m = written();
	_cleanup(free) char *xid = NULL;

	(void)state;
	server_run(s, "BEGIN");
	xid = server_value(s, "SELECT pg_current_xact_id()");
	server_run(s, "ROLLBACK");
	m.after_xid = strtoull(xid, NULL, 10);
	assert_false(looked(&m).has_after);
}

static void a_server_that_is_not_there(void **state)
{
	struct pg_marker m = {0};
	struct error err = {0};

	(void)state;
	assert_true(pg_marker_write("host=/nonexistent dbname=postgres", "x", NULL, &m, &err) < 0);
	assert_int_equal(m.before_xid, 0);
	assert_true(err.message[0] != '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(both_are_there_where_they_were_written),
	        cmocka_unit_test(one_that_was_never_given_out_is_not),
	        cmocka_unit_test(one_that_was_rolled_back_is_not),
	        cmocka_unit_test(a_server_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
