// SPDX-License-Identifier: Apache-2.0
/*
 * Connecting, with a limit for each host. libpq leaves the limit to callers that do not wait in it, and
 * cannot be told to go on to the next host; but shutting down a socket that is not connected yet fails it,
 * and that libpq takes as a reason to go on.
 */
#include "refusal.h"
#include "session.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_LIMIT_MS 10000
#define CLOSE_LIMIT_MS   500

static const char cannot_connect[] = "cannot connect to PostgreSQL";

/* By the SQLSTATE (a prefix of it) of what the server or a pooler said; by words only what libpq says by itself, or a
 * pooler under a state that says nothing. The rest counts as a failure that may pass. */
static const struct {
	const char *state, *words; /* either is NULL */
	enum error_class class;
	int errnum;
} connect_failures[] = {
        {"28", NULL, ERROR_DENIED, EACCES},      /* invalid_authorization_specification */
        {"42501", NULL, ERROR_DENIED, EACCES},   /* insufficient_privilege */
        {"3D000", NULL, ERROR_USAGE, ENOENT},    /* invalid_catalog_name */
        {"55000", NULL, ERROR_USAGE, EBUSY},     /* object_not_in_prerequisite_state: takes no connections */
        {"22023", NULL, ERROR_USAGE, EINVAL},    /* invalid_parameter_value, and the next: of "options" */
        {"42704", NULL, ERROR_USAGE, EINVAL},    /* undefined_object */
        {"53", NULL, ERROR_UNAVAILABLE, EAGAIN}, /* insufficient_resources */
        {"57", NULL, ERROR_UNAVAILABLE, ECONNREFUSED}, /* operator_intervention */
        {NULL, "authentication failed", ERROR_DENIED, EACCES},
        {NULL, "no password supplied", ERROR_DENIED, EACCES},
        {NULL, "could not accept SSL connection", ERROR_DENIED, EACCES},
        {NULL, "certificate", ERROR_DENIED, EACCES},
        {NULL, "does not exist", ERROR_USAGE, ENOENT},
        {NULL, "definition of service", ERROR_USAGE, ENOENT},
        {NULL, "invalid ", ERROR_USAGE, EINVAL},
};

static bool is_failure(size_t i, const struct pg_complaint *c)
{
	if (connect_failures[i].state)
		return str_starts(c->state, connect_failures[i].state);
	return strstr(c->words, connect_failures[i].words) != NULL;
}

static int connect_failed(const struct pg_complaint *complaint, bool needs_password, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(connect_failures); i++) {
		if (is_failure(i, complaint))
			return session_fail(err, connect_failures[i].class, connect_failures[i].errnum,
			                    cannot_connect, complaint);
	}
	if (needs_password)
		return session_fail(err, ERROR_DENIED, EACCES, cannot_connect, complaint);
	return session_fail(err, ERROR_UNAVAILABLE, ECONNREFUSED, cannot_connect, complaint);
}

struct attempt {
	int64_t limit_ms;  /* for each host; 0: none */
	int64_t until_ms;  /* for the present one; 0: for ever */
	struct str silent; /* which did not answer in time, in words */
	bool is_silent;    /* the present one is one of them */
};

static inline void cleanup_attempt(struct attempt *a)
{
	str_finish(&a->silent);
}

static void begin_host(struct attempt *a)
{
	a->is_silent = false;
	a->until_ms = a->limit_ms > 0 ? clock_mono_ms() + a->limit_ms : 0;
}

static int fail_attempt(const struct pg_session *s, const struct attempt *a, struct error *err)
{
	_cleanup(refusal) struct refusal refusal = {0};
	struct pg_complaint complaint;

	if (a->is_silent)
		return session_fail(err, ERROR_TIMEOUT, ETIMEDOUT, cannot_connect,
		                    &(struct pg_complaint){.words = str_text(&a->silent)});
	str_append(&refusal.words, str_text(&a->silent));
	refusal_parse(&refusal, PQerrorMessage(s->conn));
	complaint = (struct pg_complaint){
	        .words = str_text(&refusal.words), .state = refusal.state, .function = refusal.function};
	return connect_failed(&complaint, PQconnectionNeedsPassword(s->conn), err);
}

/* The time of the present host is over. Return: libpq may have another one. */
static bool give_up_host(const struct pg_session *s, struct attempt *a)
{
	bool taken = PQstatus(s->conn) != CONNECTION_STARTED;

	a->is_silent = true;
	session_tell_silence(&a->silent, s, taken, a->limit_ms);
	if (!taken)
		shutdown(PQsocket(s->conn), SHUT_RDWR);
	return !taken;
}

/* Drive the handshake to its end, over all hosts. */
static int shake_hands(const struct pg_session *s, struct attempt *a, struct error *err)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	begin_host(a);
	while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
		int r = session_wait(s, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, a->until_ms, err);

		if (r < 0)
			return r;
		if (r == 0 && !give_up_host(s, a))
			break;
		next = PQconnectPoll(s->conn);
		/* That state does not last over a call, so this is another address; nor does a socket that
		 * was shut down. */
		if (PQstatus(s->conn) == CONNECTION_STARTED || (r == 0 && next != PGRES_POLLING_FAILED))
			begin_host(a);
	}
	return next == PGRES_POLLING_OK ? 0 : fail_attempt(s, a, err);
}

/* libpq itself reads the setting only where it waits. */
static int read_limit(const struct pg_session *s, int64_t *ret_ms, struct error *err)
{
	_cleanup(pq_options) PQconninfoOption *options = PQconninfo(s->conn);
	const char *text = options ? conninfo_value(options, "connect_timeout") : NULL;
	long long seconds;
	char *end;

	*ret_ms = CONNECT_LIMIT_MS;
	if (!text)
		return 0;
	errno = 0;
	seconds = strtoll(text, &end, 10);
	if (end == text || *end || errno || seconds > INT_MAX)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "connect_timeout of the database's connection is not a number of seconds");
	*ret_ms = seconds > 0 ? seconds * 1000 : 0;
	return 0;
}

/* The default would write to standard error, past the log. Nothing but warnings: how much the server tells besides is a
 * setting of the role's, made for other programs. */
static void log_notice(void *arg, const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (words && str_equal(severity, "WARNING"))
		log_info("PostgreSQL: %.*s", (int)strcspn(words, "\n"), words);
}

static int connect_to(const struct pg_session *s, struct error *err)
{
	_cleanup(attempt) struct attempt attempt = {0};
	int r;

	if (!s->conn)
		return error_set(err, ERROR_INTERNAL, ENOMEM, "no memory for a connection");
	if (PQstatus(s->conn) == CONNECTION_BAD)
		return fail_attempt(s, &attempt, err);
	r = read_limit(s, &attempt.limit_ms, err);
	return r < 0 ? r : shake_hands(s, &attempt, err);
}

/* @replication: libpq's key of this name; NULL: a session of a database. */
static int start_session(struct pg_session *ret, const char *conninfo, const char *database,
                         const char *application, const char *replication, struct cancel *cancel,
                         struct error *err)
{
	_cleanup(pq_options) PQconninfoOption *options = NULL;
	/* Later ones win over earlier ones, and only the first dbname is taken apart. */
	const char *const keywords[] = {
	        CONNINFO_ALIVE, "fallback_application_name", "dbname", "dbname", "replication", NULL};
	const char *const values[] = {CONNINFO_ALIVE_VALUES, application, conninfo, database,
	                              replication,           NULL};
	size_t from;
	int r = conninfo_parse(conninfo, &options, err);

	ret->limit_ms = 0;
	if (r < 0)
		return r;
	if (cancel_is_set(cancel))
		return session_fail_cancelled(err);
	r = cancel_fd_open(&ret->cancel, cancel);
	if (r < 0)
		return error_system(err, -r, "making an eventfd");
	ret->limit_ms = 0;
	from = conninfo_leaves_alive(options) ? 0 : CONNINFO_ALIVE_COUNT;
	ret->conn = PQconnectStartParams(keywords + from, values + from, 1);
	PQsetNoticeReceiver(ret->conn, log_notice, NULL);
	PQsetErrorVerbosity(ret->conn, PQERRORS_VERBOSE); /* for refusal_parse() */
	r = connect_to(ret, err);
	if (r < 0) {
		session_disconnect(ret);
		return r;
	}
	PQsetErrorVerbosity(ret->conn, PQERRORS_DEFAULT);
	PQsetnonblocking(ret->conn, 1);
	return 0;
}

int session_connect(struct pg_session *ret, const char *conninfo, const char *database,
                    const char *application, struct cancel *cancel, struct error *err)
{
	return start_session(ret, conninfo, database, application, NULL, cancel, err);
}

int session_connect_to_replicate(struct pg_session *ret, const char *conninfo, const char *application,
                                 struct cancel *cancel, struct error *err)
{
	/* By this name files of passwords tell what is for such sessions. */
	return start_session(ret, conninfo, "replication", application, "true", cancel, err);
}

/* The server closes its end when the session does not count any more: who has a limit of connections can open
 * the next one then. */
static void wait_for_close(int fd)
{
	int64_t until_ms = clock_mono_ms() + CLOSE_LIMIT_MS;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char rest[4096];

	for (;;) {
		int64_t left_ms = until_ms - clock_mono_ms();

		if (left_ms <= 0 || poll(&p, 1, (int)left_ms) <= 0)
			return;
		if (recv(fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0)
			return;
	}
}

void session_disconnect(struct pg_session *s)
{
	bool idle = PQstatus(s->conn) == CONNECTION_OK && PQtransactionStatus(s->conn) != PQTRANS_ACTIVE;
	_cleanup(fd) int fd = idle ? fcntl(PQsocket(s->conn), F_DUPFD_CLOEXEC, 0) : -1;

	PQfinish(s->conn);
	if (fd >= 0)
		wait_for_close(fd);
	cancel_fd_close(&s->cancel);
}
