/*
 * libpq without its waits: its own blocking calls have a limit only for connecting, and none can be
 * cancelled. Here the thread sleeps in one poll() on the connection and on the cancel token. libpq leaves the
 * limit to such callers and cannot be told to go on to the next host; but shutting down a socket that is not
 * connected yet fails it, and that libpq takes as a reason to go on.
 */
#include "session.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_LIMIT_MS 10000
#define DEFAULT_PORT     "5432"

static const char cannot_connect[] = "cannot connect to PostgreSQL";
static const char no_answer[] = "PostgreSQL does not answer a question about itself";

/* libpq gives no code for a failed connection, only words; in another language they are not known, and the
 * failure counts as one that may pass. */
static const struct {
	const char *words;
	enum error_class class;
	int errnum;
} connect_failures[] = {
        {"authentication failed", ERROR_DENIED, EACCES},
        {"no pg_hba.conf entry", ERROR_DENIED, EACCES},
        {"no password supplied", ERROR_DENIED, EACCES},
        {"permission denied for", ERROR_DENIED, EACCES},
        {"is not permitted to log in", ERROR_DENIED, EACCES},
        {"could not accept SSL connection", ERROR_DENIED, EACCES},
        {"certificate", ERROR_DENIED, EACCES},
        {"does not exist", ERROR_USAGE, ENOENT},
        {"definition of service", ERROR_USAGE, ENOENT},
        {"invalid ", ERROR_USAGE, EINVAL},
};

static int fail_with_hint(struct error *err, enum error_class class, int errnum, const char *what,
                          const char *words)
{
	_cleanup(str) struct str line = {0};
	const char *hint = pg_hint(words);

	/* Several hosts or details give several lines. */
	for (const char *p = words; *p; p++) {
		if (*p != '\n')
			str_append_char(&line, *p == '\t' ? ' ' : *p);
		else if (p[1])
			str_append(&line, p[1] == '\t' ? ";" : "; ");
	}
	error_set(err, class, errnum, "%s: %s%s%s%s", what, str_text(&line), hint ? " (" : "",
	          hint ? hint : "", hint ? ")" : "");
	if (err)
		err->retry = class == ERROR_UNAVAILABLE || class == ERROR_TIMEOUT;
	return -errnum;
}

static int connect_failed(const char *words, bool needs_password, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(connect_failures); i++) {
		if (strstr(words, connect_failures[i].words))
			return fail_with_hint(err, connect_failures[i].class, connect_failures[i].errnum,
			                      cannot_connect, words);
	}
	if (needs_password)
		return fail_with_hint(err, ERROR_DENIED, EACCES, cannot_connect, words);
	return fail_with_hint(err, ERROR_UNAVAILABLE, ECONNREFUSED, cannot_connect, words);
}

static int cancelled(struct error *err)
{
	return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for PostgreSQL");
}

/* Until when poll() may sleep; @until_ms 0: for ever. */
static int sleep_ms(int64_t until_ms)
{
	int64_t left_ms = until_ms - clock_mono_ms();

	if (until_ms == 0)
		return -1;
	return left_ms <= 0 ? 0 : left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

/* Return: 1 when the connection has @events, 0 when the time is over, -ECANCELED, other negative errno. */
static int wait_for(const struct session *s, short events, int64_t until_ms, struct error *err)
{
	struct pollfd fds[] = {
	        {.fd = PQsocket(s->conn), .events = events},
	        {.fd = s->cancel.fd, .events = POLLIN},
	};
	int n;

	do
		n = poll(fds, ARRAY_SIZE(fds), sleep_ms(until_ms));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_system(err, errno, "waiting for PostgreSQL");
	if (fds[1].revents)
		return cancelled(err);
	return n > 0;
}

static void tell_silence(struct str *words, const struct session *s, bool taken, int64_t limit_ms)
{
	const char *port = PQport(s->conn);

	str_appendf(words, "host \"%s\", port %s, %s within %lld s\n", PQhost(s->conn),
	            port[0] ? port : DEFAULT_PORT,
	            taken ? "took the connection but gave no answer" : "gave no answer",
	            (long long)limit_ms / 1000);
}

/* Connecting. */

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

static int fail_attempt(const struct session *s, const struct attempt *a, struct error *err)
{
	_cleanup(str) struct str words = {0};

	if (a->is_silent)
		return fail_with_hint(err, ERROR_TIMEOUT, ETIMEDOUT, cannot_connect, str_text(&a->silent));
	str_append(&words, str_text(&a->silent));
	str_append(&words, PQerrorMessage(s->conn));
	return connect_failed(str_text(&words), PQconnectionNeedsPassword(s->conn), err);
}

/* The time of the present host is over. Return: libpq may have another one. */
static bool give_up_host(const struct session *s, struct attempt *a)
{
	bool taken = PQstatus(s->conn) != CONNECTION_STARTED;

	a->is_silent = true;
	tell_silence(&a->silent, s, taken, a->limit_ms);
	if (!taken)
		shutdown(PQsocket(s->conn), SHUT_RDWR);
	return !taken;
}

/* Drive the handshake to its end, over all hosts. */
static int shake_hands(const struct session *s, struct attempt *a, struct error *err)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	begin_host(a);
	while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
		int r = wait_for(s, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, a->until_ms, err);

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
static int read_limit(const struct session *s, int64_t *ret_ms, struct error *err)
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

static int connect_to(const struct session *s, struct error *err)
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

int session_open(struct session *ret, const char *conninfo, const char *database, struct cancel *cancel,
                 struct error *err)
{
	_cleanup(pq_options) PQconninfoOption *options = NULL;
	/* Later ones win over earlier ones, and only the first dbname is taken apart. */
	const char *const keywords[] = {"fallback_application_name", "dbname", "dbname", NULL};
	const char *const values[] = {"keepfs", conninfo, database, NULL};
	int r = conninfo_parse(conninfo, &options, err);

	if (r < 0)
		return r;
	if (cancel_is_set(cancel))
		return cancelled(err);
	r = cancel_fd_open(&ret->cancel, cancel);
	if (r < 0)
		return error_system(err, -r, "making an eventfd");
	ret->conn = PQconnectStartParams(keywords, values, 1);
	r = connect_to(ret, err);
	if (r < 0)
		session_close(ret);
	else
		PQsetnonblocking(ret->conn, 1);
	return r;
}

void session_close(struct session *s)
{
	PQfinish(s->conn);
	cancel_fd_close(&s->cancel);
}

/* Asking. */

static int query_failed(const struct session *s, const PGresult *result, struct error *err)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	enum error_class class = ERROR_UNAVAILABLE;
	int errnum = EIO;

	if (str_equal(state, "42501")) {
		class = ERROR_DENIED;
		errnum = EACCES;
	} else if (str_equal(state, "57014")) {
		class = ERROR_TIMEOUT;
		errnum = ETIMEDOUT;
	}
	fail_with_hint(err, class, errnum, no_answer, PQerrorMessage(s->conn));
	if (err && state)
		str_copy(err->code, sizeof(err->code), state);
	return -errnum;
}

/* Return: 0 when a result can be taken, or libpq knows that none will come. */
static int wait_for_result(const struct session *s, int64_t limit_ms, int64_t until_ms, struct error *err)
{
	_cleanup(str) struct str words = {0};
	int r = 1;

	while (r > 0) {
		int unsent = PQflush(s->conn);

		if (unsent < 0 || !PQisBusy(s->conn))
			return 0;
		r = wait_for(s, (short)(unsent ? POLLIN | POLLOUT : POLLIN), until_ms, err);
		if (r > 0 && !PQconsumeInput(s->conn))
			return 0;
	}
	if (r < 0)
		return r;
	tell_silence(&words, s, true, limit_ms);
	return fail_with_hint(err, ERROR_TIMEOUT, ETIMEDOUT, no_answer, str_text(&words));
}

int session_ask(struct session *s, const char *sql, int64_t limit_ms, PGresult **ret_result,
                struct error *err)
{
	int64_t until_ms = clock_mono_ms() + limit_ms;
	_cleanup(pq_result) PGresult *last = NULL;
	ExecStatusType status;

	if (!PQsendQuery(s->conn, sql))
		return query_failed(s, NULL, err);
	for (;;) {
		PGresult *next;
		int r = wait_for_result(s, limit_ms, until_ms, err);

		if (r < 0)
			return r;
		next = PQgetResult(s->conn);
		if (!next)
			break;
		PQclear(last);
		last = next;
	}
	status = PQresultStatus(last);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		return query_failed(s, last, err);
	*ret_result = take_ptr(&last);
	return 0;
}
