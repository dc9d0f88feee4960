// SPDX-License-Identifier: Apache-2.0
/* Each statement is a transaction of its own, and each is answered before the next one begins: so the time lies between the two commits, unless the clock of the server was set back meanwhile, which it is asked. */
#include "rights.h"
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/manage.h>
#include <keepfs/pg/marker.h>

#include <errno.h>
#include <stdlib.h>

#define APPLICATION "keepfs drill"
#define TRIES       5

static const char find_superuser[] =
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1";
static const char is_recovering[] = "SELECT pg_catalog.pg_is_in_recovery()";
static const char tell_time[] = "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint";
static const char may_switch[] =
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_switch_wal()', 'EXECUTE')";
static const char find_segment[] =
        "SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())";
static const char switch_segment[] = "SELECT pg_catalog.pg_switch_wal()";
/* A standby that is away must not hold a drill up. */
static const char wait_for_nobody[] = "SET synchronous_commit = local";

static int ask_number(struct pg_session *s, const char *sql, int64_t *ret, struct error *err)
{
	_cleanup(free) char *value = NULL;
	int r = pg_session_value(s, sql, &value, err);

	if (r == 0)
		*ret = value ? strtoll(value, NULL, 10) : 0;
	return r;
}

static int ask_yes(struct pg_session *s, const char *sql, bool *ret, struct error *err)
{
	_cleanup(free) char *value = NULL;
	int r = pg_session_value(s, sql, &value, err);

	*ret = r == 0 && str_equal(value, "t");
	return r;
}

static int write_message(struct pg_session *s, const char *text, uint64_t *ret_xid, struct error *err)
{
	_cleanup(free) char *literal = pg_quote_literal(text);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.pg_current_xact_id() FROM pg_catalog.pg_logical_emit_message(true, 'keepfs', %s)",
	        literal);
	int64_t xid = 0;
	int r = ask_number(s, sql, &xid, err);

	if (r == 0)
		*ret_xid = (uint64_t)xid;
	return r;
}

/* The clock may stand still between two of its steps. */
static int wait_until_later(struct pg_session *s, int64_t moment_us, struct error *err)
{
	int64_t now_us = 0;
	int r = 0;

	for (int i = 0; r == 0 && now_us <= moment_us; i++) {
		if (i == TRIES)
			return error_set(
			        err, ERROR_UNAVAILABLE, EAGAIN,
			        "the clock of the server goes back, so no moment can be told from the next one: try again later");
		r = ask_number(s, tell_time, &now_us, err);
	}
	return r;
}

static int write_both(struct pg_session *s, const char *text, struct pg_marker *m, struct error *err)
{
	int r = pg_session_run(s, wait_for_nobody, err);

	if (r == 0)
		r = write_message(s, text, &m->before_xid, err);
	if (r == 0)
		r = ask_number(s, tell_time, &m->moment_us, err);
	if (r == 0)
		r = wait_until_later(s, m->moment_us, err);
	return r < 0 ? r : write_message(s, text, &m->after_xid, err);
}

static int end_marked_segment(struct pg_session *s, struct pg_marker *m, struct error *err)
{
	_cleanup(free) char *segment = NULL;
	int r = pg_session_value(s, find_segment, &segment, err);

	if (r == 0 && segment)
		str_copy(m->last_segment, sizeof(m->last_segment), segment);
	if (r == 0)
		r = ask_yes(s, may_switch, &m->is_switched, err);
	return r < 0 || !m->is_switched ? r : pg_session_run(s, switch_segment, err);
}

static int write_marker(struct pg_session *s, const char *text, struct pg_marker *m, struct error *err)
{
	_cleanup(free) char *superuser = NULL;
	bool is_standby = false;
	int r = pg_session_value(s, find_superuser, &superuser, err);

	if (r == 0 && superuser)
		str_cut(m->superuser, sizeof(m->superuser), superuser);
	if (r == 0)
		r = ask_yes(s, is_recovering, &is_standby, err);
	if (r < 0 || is_standby)
		return r < 0 ? r : PG_MARKER_STANDBY;
	r = write_both(s, text, m, err);
	return r < 0 ? r : end_marked_segment(s, m, err);
}

int pg_marker_write(const char *conninfo, const char *text, struct cancel *cancel, struct pg_marker *ret,
                    struct error *err)
{
	_cleanup(free) char *database = conninfo_setting(conninfo, "dbname");
	_cleanup(pg_session) struct pg_session *s = NULL;
	struct pg_marker m = {0};
	int r = pg_session_open(conninfo, database ? NULL : "postgres", APPLICATION, cancel, &s, err);

	if (r < 0)
		return r;
	s->limit_ms = PG_MARKER_LIMIT_MS;
	r = write_marker(s, text, &m, err);
	if (r >= 0)
		*ret = m;
	return r;
}

/* A number that the recovered server has not given out yet is that of no transaction of its own. */
static int look_for(struct pg_session *s, uint64_t xid, bool *ret, struct error *err)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT CASE WHEN '%llu'::xid8 < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
	        " THEN pg_catalog.pg_xact_status('%llu'::xid8) = 'committed' ELSE false END",
	        (unsigned long long)xid, (unsigned long long)xid);

	return ask_yes(s, sql, ret, err);
}

int pg_marker_look(const char *conninfo, const struct pg_marker *m, struct cancel *cancel,
                   struct pg_marker_seen *ret, struct error *err)
{
	static const char replayed[] =
	        "SELECT (extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp()) * 1000000)::bigint";
	_cleanup(pg_session) struct pg_session *s = NULL;
	struct pg_marker_seen seen = {0};
	int r = pg_session_open(conninfo, "postgres", APPLICATION, cancel, &s, err);

	if (r == 0)
		r = ask_number(s, replayed, &seen.replayed_us, err);
	if (r == 0 && m)
		r = look_for(s, m->before_xid, &seen.has_before, err);
	if (r == 0 && m)
		r = look_for(s, m->after_xid, &seen.has_after, err);
	if (r == 0)
		*ret = seen;
	return r;
}
