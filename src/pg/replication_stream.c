// SPDX-License-Identifier: Apache-2.0
/*
 * Streaming. A session is in COPY BOTH from the start to the end of a timeline; what the server says of a failure is the result behind the last message. Nothing here waits but pg_stream_next(), which sleeps in
 * one poll() on the connection, on the cancel token, and on whoever has done something that the server is to be told.
 */
#include "replication.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/pg/replication_stream.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WITH_SLOT_READING 150000
#define PG_EPOCH_US             INT64_C(946684800000000) /* 2000-01-01 since 1970 */
#define DATA_HEAD_BYTES         25                       /* 'w', two places, a time */
#define KEEPALIVE_BYTES         18                       /* 'k', a place, a time, a flag */
#define REPORT_BYTES            34                       /* 'r', three places, a time, a flag */

static const char removed_state[] = "58P01"; /* undefined_file */

bool pg_slot_name_valid(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return len > 0 && !name[len] && len < PG_SLOT_NAME_BYTES;
}

/* Settings. */

struct setting_unit {
	const char *name;
	uint64_t factor;
};

static int read_setting(const char *text, const struct setting_unit *units, uint64_t *ret)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || errno)
		return -EINVAL;
	for (; units->name; units++)
		if (str_equal(end, units->name) && number <= INT64_MAX / units->factor) {
			*ret = number * units->factor;
			return 0;
		}
	return -EINVAL;
}

int pg_setting_ms(const char *text, int64_t *ret_ms)
{
	static const struct setting_unit units[] = {
	        {"ms", 1},          {"", 1},         {"s", 1000}, {"min", 60000},
	        {"h", 3600 * 1000}, {"d", 86400000}, {NULL, 0}};
	uint64_t value;
	int r = read_setting(text, units, &value);

	if (r == 0)
		*ret_ms = (int64_t)value;
	return r;
}

int pg_setting_bytes(const char *text, uint64_t *ret_bytes)
{
	static const struct setting_unit units[] = {{"B", 1},
	                                            {"", 1},
	                                            {"kB", UINT64_C(1) << 10},
	                                            {"MB", UINT64_C(1) << 20},
	                                            {"GB", UINT64_C(1) << 30},
	                                            {"TB", UINT64_C(1) << 40},
	                                            {NULL, 0}};

	return read_setting(text, units, ret_bytes);
}

/* Slots. */

static int ask_replication(struct pg_replication *s, char *sql, PGresult **ret, struct error *err)
{
	_cleanup(free) char *owned = sql;

	return session_ask(&s->session, &(struct session_query){.sql = owned}, ret, err);
}

int pg_slot_read(struct pg_replication *s, const char *name, struct pg_slot *ret, struct error *err)
{
	_cleanup(pg_result) PGresult *row = NULL;
	struct pg_slot slot = {0};
	int r;

	if (PQserverVersion(s->session.conn) < FIRST_WITH_SLOT_READING)
		return -ENOTSUP;
	r = ask_replication(s, mem_printf("READ_REPLICATION_SLOT \"%s\"", name), &row, err);
	if (r < 0)
		return r;
	if (PQntuples(row) != 1 || PQnfields(row) < 2)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server has not told what it keeps for the slot %s", name);
	slot.is_there = !PQgetisnull(row, 0, 0);
	if (slot.is_there && !PQgetisnull(row, 0, 1))
		r = replication_read_lsn(PQgetvalue(row, 0, 1), &slot.restart_lsn, err);
	if (r == 0)
		*ret = slot;
	return r;
}

int pg_slot_create(struct pg_replication *s, const char *name, struct error *err)
{
	_cleanup(pg_result) PGresult *row = NULL;
	struct error why = {0};
	int r = ask_replication(s, mem_printf("CREATE_REPLICATION_SLOT \"%s\" PHYSICAL RESERVE_WAL", name),
	                        &row, &why);

	if (r < 0 && str_equal(why.code, "42710")) /* duplicate_object */
		return -EEXIST;
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Somebody else has the slot: object_in_use. */
static int is_slot_in_use(int r, struct error *err)
{
	if (r < 0 && err && str_equal(err->code, "55006"))
		return error_set(err, ERROR_CONFLICT, EBUSY,
		                 "%s: another receiver streams by this slot; give each a slot of its own",
		                 err->message);
	return r;
}

int pg_slot_drop(struct pg_replication *s, const char *name, struct error *err)
{
	_cleanup(pg_result) PGresult *row = NULL;
	struct error why = {0};
	int r = is_slot_in_use(
	        ask_replication(s, mem_printf("DROP_REPLICATION_SLOT \"%s\"", name), &row, &why), &why);

	if (r < 0 && err)
		*err = why;
	return r;
}

int pg_stream_history(struct pg_replication *s, uint32_t timeline, char **ret_text, size_t *ret_len,
                      struct error *err)
{
	_cleanup(pg_result) PGresult *row = NULL;
	int r = ask_replication(s, mem_printf("TIMELINE_HISTORY %" PRIu32, timeline), &row, err);
	size_t len;

	if (r < 0)
		return r;
	if (PQntuples(row) != 1 || PQnfields(row) < 2 || PQgetisnull(row, 0, 1))
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server has not told the history of timeline %" PRIu32, timeline);
	len = (size_t)PQgetlength(row, 0, 1);
	*ret_text = mem_alloc(len + 1);
	memcpy(*ret_text, PQgetvalue(row, 0, 1), len);
	*ret_len = len;
	return 0;
}

/* Messages. */

static uint64_t read_be64(const uint8_t *at)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

static void write_be64(uint8_t *at, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> (56 - 8 * i));
}

int pg_stream_message_parse(const void *message, size_t len, struct pg_stream_message *ret, struct error *err)
{
	const uint8_t *m = message;

	if (len > DATA_HEAD_BYTES && m[0] == 'w') {
		*ret = (struct pg_stream_message){.kind = PG_STREAM_DATA,
		                                  .lsn = read_be64(m + 1),
		                                  .server_lsn = read_be64(m + 9),
		                                  .server_us = (int64_t)read_be64(m + 17) + PG_EPOCH_US,
		                                  .data = m + DATA_HEAD_BYTES,
		                                  .len = len - DATA_HEAD_BYTES};
		return 0;
	}
	if (len == KEEPALIVE_BYTES && m[0] == 'k') {
		*ret = (struct pg_stream_message){.kind = PG_STREAM_KEEPALIVE,
		                                  .server_lsn = read_be64(m + 1),
		                                  .server_us = (int64_t)read_be64(m + 9) + PG_EPOCH_US,
		                                  .wants_reply = m[17] != 0};
		return 0;
	}
	return error_set(err, ERROR_UNAVAILABLE, EPROTO,
	                 "the server has sent a message of %zu bytes in its WAL that is none", len);
}

/* Streams. */

/* @result: what the server said; consumed, NULL: nothing. */
static int fail_stream(const struct pg_replication *s, PGresult *result, struct error *err)
{
	_cleanup(pg_result) PGresult *mine = result;
	struct error why = {0};
	int r = is_slot_in_use(session_fail_query(&s->session, mine, &why), &why);

	if (str_equal(why.code, removed_state)) {
		why.class = ERROR_NOT_FOUND;
		why.retry = false;
		r = -ENOENT;
	}
	if (err)
		*err = why;
	return r;
}

static int wait_stream_result(const struct pg_replication *s, PGresult **ret, struct error *err)
{
	const struct pg_session *session = &s->session;
	int r = session_wait_result(session, session->limit_ms, clock_mono_ms() + session->limit_ms, err);

	if (r == 0)
		*ret = PQgetResult(session->conn);
	return r;
}

int pg_stream_start(struct pg_replication *s, const char *slot, uint64_t lsn, uint32_t timeline,
                    bool *ret_over, struct error *err)
{
	char place[PG_LSN_BYTES];
	_cleanup(free) char *sql =
	        mem_printf("START_REPLICATION %s%s%sPHYSICAL %s TIMELINE %" PRIu32, slot ? "SLOT \"" : "",
	                   str_or_empty(slot), slot ? "\" " : "", pg_lsn_format(lsn, place), timeline);
	PGresult *result = NULL;
	ExecStatusType status;
	int r;

	if (!PQsendQuery(s->session.conn, sql))
		return session_fail_query(&s->session, NULL, err);
	r = wait_stream_result(s, &result, err);
	if (r < 0)
		return r;
	status = PQresultStatus(result);
	if (status != PGRES_COPY_BOTH && status != PGRES_TUPLES_OK)
		return fail_stream(s, result, err);
	/* Where nothing of the timeline is left to be sent the row that ends it comes at once. */
	*ret_over = status == PGRES_TUPLES_OK;
	PQclear(s->stream_end);
	s->stream_end = *ret_over ? take_ptr(&result) : NULL;
	PQclear(result);
	return 0;
}

static int stream_poll_ms(int64_t until_ms)
{
	int64_t left_ms = until_ms - clock_mono_ms();

	if (until_ms == 0)
		return -1;
	return left_ms <= 0 ? 0 : left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

/* Return: 1: there may be something to read; 0: the time is over, or somebody woke. */
static int wait_for_stream(const struct pg_replication *s, const struct pg_stream_wait *wait,
                           struct error *err)
{
	int unsent = PQflush(s->session.conn);
	struct pollfd fds[] = {
	        {.fd = PQsocket(s->session.conn),
	         .events = (short)((wait->only_writes ? 0 : POLLIN) | (unsent > 0 ? POLLOUT : 0))},
	        {.fd = s->session.cancel.fd, .events = POLLIN},
	        {.fd = wait->wake_fd, .events = POLLIN},
	};
	int n;

	/* Whoever only writes is told by the next read that the connection is gone. */
	if ((fds[0].fd < 0 || unsent < 0) && !wait->only_writes)
		return 1;
	if (wait->only_writes && unsent <= 0)
		fds[0].fd = -1;
	do
		n = poll(fds, ARRAY_SIZE(fds), stream_poll_ms(wait->until_ms));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_system(err, errno, "waiting for PostgreSQL");
	if (fds[1].revents)
		return session_fail_cancelled(err);
	return fds[0].fd >= 0 && fds[0].revents;
}

static int read_stream(const struct pg_replication *s, struct error *err)
{
	return PQconsumeInput(s->session.conn) ? 0 : fail_stream(s, NULL, err);
}

int pg_stream_next(struct pg_replication *s, const struct pg_stream_wait *wait, struct pg_stream_message *ret,
                   struct error *err)
{
	bool waited = false;

	if (!wait->only_writes) {
		PQfreemem(s->stream_message);
		s->stream_message = NULL;
	}
	if (cancel_is_set(s->session.cancel.cancel))
		return session_fail_cancelled(err);
	for (;;) {
		int n = wait->only_writes ? 0 : PQgetCopyData(s->session.conn, &s->stream_message, 1), r;

		if (n > 0) {
			r = pg_stream_message_parse(s->stream_message, (size_t)n, ret, err);
			return r < 0 ? r : PG_STREAM_MESSAGE;
		}
		if (n < 0)
			return PG_STREAM_OVER;
		if (waited)
			return PG_STREAM_NOTHING;
		r = wait_for_stream(s, wait, err);
		if (r <= 0 || wait->only_writes)
			return r < 0 ? r : PG_STREAM_NOTHING;
		r = read_stream(s, err);
		if (r < 0)
			return r;
		waited = true;
	}
}

int pg_stream_report(struct pg_replication *s, uint64_t durable, bool asks, struct error *err)
{
	uint8_t message[REPORT_BYTES] = {'r'};
	int r;

	write_be64(message + 1, durable);
	write_be64(message + 9, durable);
	write_be64(message + 25, (uint64_t)(clock_now_us() - PG_EPOCH_US));
	message[REPORT_BYTES - 1] = asks;
	r = PQputCopyData(s->session.conn, (const char *)message, REPORT_BYTES);
	/* 0: its buffer is full, so there is no hurry either. */
	if (r < 0 || PQflush(s->session.conn) < 0)
		return fail_stream(s, NULL, err);
	return 0;
}

static int read_stream_end(const PGresult *row, uint32_t *ret_timeline, uint64_t *ret_lsn, struct error *err)
{
	uint64_t timeline = 0;
	int r;

	if (PQntuples(row) != 1 || PQnfields(row) < 2)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server has not told how its log goes on");
	r = replication_read_number(PQgetvalue(row, 0, 0), UINT32_MAX, &timeline, err);
	if (r == 0)
		r = replication_read_lsn(PQgetvalue(row, 0, 1), ret_lsn, err);
	if (r == 0)
		*ret_timeline = (uint32_t)timeline;
	return r;
}

/* One result behind the last message. @ret_more: there may be another one. */
static int take_end_result(struct pg_replication *s, PGresult *result, bool *ret_more, struct error *err)
{
	ExecStatusType status = PQresultStatus(result);

	*ret_more = true;
	if (status == PGRES_FATAL_ERROR)
		return fail_stream(s, result, err);
	if (status == PGRES_TUPLES_OK) {
		PQclear(s->stream_end);
		s->stream_end = result;
		return 0;
	}
	PQclear(result);
	/* The server has ended its half: now ours ends. */
	if ((status == PGRES_COPY_IN || status == PGRES_COPY_BOTH) && PQputCopyEnd(s->session.conn, NULL) < 0)
		return fail_stream(s, NULL, err);
	return 0;
}

int pg_stream_end(struct pg_replication *s, uint32_t *ret_timeline, uint64_t *ret_lsn, struct error *err)
{
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		PGresult *result = NULL;

		r = wait_stream_result(s, &result, err);
		more = result != NULL;
		if (r == 0 && result)
			r = take_end_result(s, result, &more, err);
	}
	if (r < 0)
		return r;
	*ret_timeline = 0;
	if (s->stream_end)
		return read_stream_end(s->stream_end, ret_timeline, ret_lsn, err);
	return PQstatus(s->session.conn) == CONNECTION_BAD ? fail_stream(s, NULL, err) : 0;
}
