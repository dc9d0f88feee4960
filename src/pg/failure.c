// SPDX-License-Identifier: Apache-2.0
/* What went wrong with a statement, in the words of the server, and what its SQLSTATE means for keepfs. */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <errno.h>
#include <string.h>

/* A state, or the class that its first two characters are; the specific before the general. */
static const struct {
	const char *state;
	enum error_class class;
	int errnum;
	bool retry;
} meanings[] = {
        {"42501", ERROR_DENIED, EACCES, false},      /* insufficient_privilege */
        {"42P01", ERROR_NOT_FOUND, ENOENT, false},   /* undefined_table */
        {"3F000", ERROR_NOT_FOUND, ENOENT, false},   /* invalid_schema_name */
        {"42704", ERROR_NOT_FOUND, ENOENT, false},   /* undefined_object: a large object, a snapshot */
        {"42", ERROR_INTERNAL, EINVAL, false},       /* syntax_error_or_access_rule_violation */
        {"55P03", ERROR_CONFLICT, EBUSY, true},      /* lock_not_available */
        {"57014", ERROR_TIMEOUT, ETIMEDOUT, true},   /* query_canceled: by a timeout or a person */
        {"57", ERROR_UNAVAILABLE, ECONNRESET, true}, /* operator_intervention */
        {"08", ERROR_UNAVAILABLE, ECONNRESET, true}, /* connection_exception */
        {"40", ERROR_UNAVAILABLE, EAGAIN, true},     /* transaction_rollback: conflict with recovery */
        {"72000", ERROR_UNAVAILABLE, EAGAIN, true},  /* snapshot_too_old */
        {"53100", ERROR_NO_SPACE, ENOSPC, true},     /* disk_full, of the server */
        {"53", ERROR_UNAVAILABLE, EAGAIN, true},     /* insufficient_resources */
        {"23", ERROR_CONFLICT, EEXIST, false},       /* integrity_constraint_violation */
        {"22", ERROR_USAGE, EINVAL, false},          /* data_exception: encodings, snapshots */
        {"58", ERROR_UNAVAILABLE, EIO, true},        /* system_error */
        {"XX001", ERROR_CORRUPT, EBADMSG, false},    /* data_corrupted */
        {"XX002", ERROR_CORRUPT, EBADMSG, false},    /* index_corrupted */
        {"", ERROR_UNAVAILABLE, EIO, true},
};

int session_fail(struct error *err, enum error_class class, int errnum, const char *what,
                 const struct pg_complaint *complaint)
{
	_cleanup(str) struct str line = {0};
	const char *hint = pg_hint(complaint);

	/* Several hosts or details give several lines. */
	for (const char *p = complaint->words; *p; p++) {
		if (*p != '\n')
			str_append_char(&line, *p == '\t' ? ' ' : *p);
		else if (p[1])
			str_append(&line, p[1] == '\t' ? ";" : "; ");
	}
	error_set(err, class, errnum, "%s: %s%s%s%s", what, str_text(&line), hint ? " (" : "",
	          hint ? hint : "", hint ? ")" : "");
	if (err) {
		err->hint = hint;
		err->retry = class == ERROR_UNAVAILABLE || class == ERROR_TIMEOUT;
		str_copy(err->code, sizeof(err->code), str_or_empty(complaint->state));
	}
	return -errnum;
}

/* Of keys the detail has the values of their own columns; of other constraints all of the row, which is nobody's business in a log. */
static const char *detail_of_key(const struct pg_session *s, const PGresult *result)
{
	static const char *const states[] = {"23503", "23505", "23P01"}; /* foreign, unique, exclusion */
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	bool is_key = false;

	for (size_t i = 0; s->tells_keys && i < ARRAY_SIZE(states); i++)
		is_key = is_key || str_equal(state, states[i]);
	return is_key ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
}

int session_fail_cancelled(struct error *err)
{
	return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for PostgreSQL");
}

int session_fail_query(const struct pg_session *s, const PGresult *result, struct error *err)
{
	bool broken = PQstatus(s->conn) == CONNECTION_BAD;
	const char *detail = detail_of_key(s, result);
	_cleanup(free) char *words = NULL;
	struct pg_complaint complaint = {
	        .words = result ? PQresultErrorMessage(result) : "",
	        .state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL,
	        .function = result ? PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION) : NULL,
	};
	size_t i = 0;

	if (!complaint.words[0])
		complaint.words = PQerrorMessage(s->conn);
	if (detail)
		complaint.words = words = mem_printf("%s\n%.500s", complaint.words, detail);
	while (!str_starts(str_or_empty(complaint.state), meanings[i].state))
		i++;
	session_fail(err, meanings[i].class, meanings[i].errnum,
	             broken ? "the connection to PostgreSQL broke" : "PostgreSQL refused a statement",
	             &complaint);
	if (err)
		err->retry = meanings[i].retry;
	return -meanings[i].errnum;
}
