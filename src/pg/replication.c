// SPDX-License-Identifier: Apache-2.0
/* Replication sessions: connecting, and questions that have one row. */
#include "replication.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WITH_MANIFESTS 130000
#define ANSWER_LIMIT_MS      10000 /* of questions; a backup has none */
#define WARNINGS_BYTES       600   /* that are kept for a message */

/* Pages with wrong checksums are told by warnings, and the error at the end names none of them. */
static void keep_warning(void *arg, const PGresult *result)
{
	struct pg_replication *s = arg;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (!words || !str_equal(severity, "WARNING"))
		return;
	log_info("PostgreSQL: %.*s", (int)strcspn(words, "\n"), words);
	if (s->warnings.len + strlen(words) < WARNINGS_BYTES)
		str_appendf(&s->warnings, "; %s", words);
}

int pg_replication_open(const char *conninfo, const char *application, struct cancel *cancel,
                        struct pg_replication **ret, struct error *err)
{
	struct pg_replication *s = mem_alloc(sizeof(*s));
	int r = session_connect_to_replicate(&s->session, conninfo, application, cancel, err), version;

	if (r < 0) {
		free(s);
		return r;
	}
	PQsetNoticeReceiver(s->session.conn, keep_warning, s);
	s->session.limit_ms = ANSWER_LIMIT_MS;
	version = PQserverVersion(s->session.conn);
	if (version < FIRST_WITH_MANIFESTS) {
		pg_replication_free(s);
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the server is PostgreSQL %d, and base backups are made of 13 and newer: back it up by a [backup NAME]",
		        version / 10000);
	}
	*ret = s;
	return 0;
}

struct pg_replication *pg_replication_free(struct pg_replication *s)
{
	if (!s)
		return NULL;
	session_stop_statement(&s->session);
	session_disconnect(&s->session);
	PQfreemem(s->stream_message);
	PQclear(s->stream_end);
	str_finish(&s->warnings);
	free(s);
	return NULL;
}

int replication_read_lsn(const char *text, uint64_t *ret, struct error *err)
{
	unsigned high, low;
	int end = 0;

	if (sscanf(text, "%8X/%8X%n", &high, &low, &end) != 2 || text[end])
		return error_set(err, ERROR_UNAVAILABLE, EPROTO, "the server told a place in WAL as '%.40s'",
		                 text);
	*ret = (uint64_t)high << 32 | low;
	return 0;
}

int replication_read_number(const char *text, uint64_t most, uint64_t *ret, struct error *err)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value > most)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO, "the server told a number as '%.40s'", text);
	*ret = value;
	return 0;
}

const char *pg_lsn_format(uint64_t lsn, char ret[static PG_LSN_BYTES])
{
	snprintf(ret, PG_LSN_BYTES, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
	return ret;
}

int pg_replication_identify(struct pg_replication *s, struct pg_replication_system *ret, struct error *err)
{
	_cleanup(pg_result) PGresult *row = NULL;
	struct pg_replication_system is = {.version_num = PQserverVersion(s->session.conn)};
	uint64_t timeline = 0;
	int r = session_ask(&s->session, &(struct session_query){.sql = "IDENTIFY_SYSTEM"}, &row, err);

	if (r < 0)
		return r;
	if (PQntuples(row) != 1 || PQnfields(row) < 3)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server has not said which one it is (IDENTIFY_SYSTEM)");
	str_copy(is.system_identifier, sizeof(is.system_identifier), PQgetvalue(row, 0, 0));
	r = replication_read_number(PQgetvalue(row, 0, 1), UINT32_MAX, &timeline, err);
	if (r == 0)
		r = replication_read_lsn(PQgetvalue(row, 0, 2), &is.lsn, err);
	is.timeline = (uint32_t)timeline;
	if (r == 0)
		*ret = is;
	return r;
}

int pg_replication_setting(struct pg_replication *s, const char *name, char **ret_value, struct error *err)
{
	_cleanup(free) char *sql = mem_printf("SHOW %s", name);
	_cleanup(pg_result) PGresult *row = NULL;
	int r = session_ask(&s->session, &(struct session_query){.sql = sql}, &row, err);

	if (r < 0)
		return r;
	if (PQntuples(row) != 1 || PQnfields(row) < 1)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO, "the server has not told its setting %s",
		                 name);
	*ret_value = mem_strdup(PQgetvalue(row, 0, 0));
	return 0;
}
