// SPDX-License-Identifier: Apache-2.0
/*
 * libpq without its waits: its own blocking calls have a limit only for connecting, and none can be
 * cancelled. Here the thread sleeps in one poll() on the connection and on the cancel token.
 */
#include "session.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>

#define DEFAULT_PORT "5432"

/* Until when poll() may sleep; @until_ms 0: for ever. */
static int poll_ms(int64_t until_ms)
{
	int64_t left_ms = until_ms - clock_mono_ms();

	if (until_ms == 0)
		return -1;
	return left_ms <= 0 ? 0 : left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

int session_wait(const struct pg_session *s, short events, int64_t until_ms, struct error *err)
{
	struct pollfd fds[] = {
	        {.fd = PQsocket(s->conn), .events = events},
	        {.fd = s->cancel.fd, .events = POLLIN},
	};
	int n;

	/* libpq has closed it: there is something to learn, and nothing to wait for. */
	if (fds[0].fd < 0)
		return 1;
	do
		n = poll(fds, ARRAY_SIZE(fds), poll_ms(until_ms));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_system(err, errno, "waiting for PostgreSQL");
	if (fds[1].revents)
		return session_fail_cancelled(err);
	return n > 0;
}

void session_tell_silence(struct str *words, const struct pg_session *s, bool taken, int64_t limit_ms)
{
	const char *port = PQport(s->conn);

	str_appendf(words, "host \"%s\", port %s, %s within %lld s\n", PQhost(s->conn),
	            port[0] ? port : DEFAULT_PORT,
	            taken ? "took the connection but gave no answer" : "gave no answer",
	            (long long)limit_ms / 1000);
}

int session_wait_result(const struct pg_session *s, int64_t limit_ms, int64_t until_ms, struct error *err)
{
	_cleanup(str) struct str words = {0};
	int r = 1;

	while (r > 0) {
		int unsent = PQflush(s->conn);

		if (unsent < 0 || !PQisBusy(s->conn))
			return 0;
		r = session_wait(s, (short)(unsent ? POLLIN | POLLOUT : POLLIN), until_ms, err);
		if (r > 0 && !PQconsumeInput(s->conn))
			return 0;
	}
	if (r < 0)
		return r;
	session_tell_silence(&words, s, true, limit_ms);
	return session_fail(err, ERROR_TIMEOUT, ETIMEDOUT, "PostgreSQL does not answer",
	                    &(struct pg_complaint){.words = str_text(&words)});
}
