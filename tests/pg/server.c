// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_LIMIT_MS 60000

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		fail_msg("%s is not set: run this program by tests/pg/on_postgres", name);
	return value;
}

const char *server_conninfo(void)
{
	return variable("KEEPFS_TEST_PG");
}

const char *server_directory(void)
{
	return variable("KEEPFS_TEST_PG_DIRECTORY");
}

char *server_program(const char *name)
{
	return mem_printf("%s/%s", variable("KEEPFS_TEST_PG_BINDIR"), name);
}

struct pg_session *server_open(const char *database, struct cancel *cancel)
{
	struct pg_session *s = NULL;
	struct error err = {0};

	if (pg_session_open(server_conninfo(), database, "keepfs test", cancel, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

void server_run(struct pg_session *s, const char *sql)
{
	struct error err = {0};

	if (pg_session_run(s, sql, &err) < 0)
		fail_msg("%s, by: %.200s", err.message, sql);
}

char *server_value(struct pg_session *s, const char *sql)
{
	struct error err = {0};
	char *value = NULL;

	if (pg_session_value(s, sql, &value, &err) < 0)
		fail_msg("%s, by: %.200s", err.message, sql);
	return value;
}

void server_expect(struct pg_session *s, const char *sql, const char *expected)
{
	_cleanup(free) char *value = server_value(s, sql);

	if (!str_equal(value, expected))
		fail_msg("%s: %s instead of %s", sql, value ? value : "NULL", expected ? expected : "NULL");
}

void server_wait(struct pg_session *s, const char *sql)
{
	int64_t until_ms = clock_mono_ms() + WAIT_LIMIT_MS;

	for (;;) {
		_cleanup(free) char *value = server_value(s, sql);

		if (str_equal(value, "t"))
			return;
		if (clock_mono_ms() > until_ms)
			fail_msg("this did not come true: %s", sql);
	}
}

void server_database(const char *database)
{
	struct pg_session *s = server_open("postgres", NULL);
	_cleanup(free) char *literal = pg_quote_literal(database);
	_cleanup(free) char *ask = mem_printf("SELECT format('CREATE DATABASE %%I', %s)", literal);
	_cleanup(free) char *sql = server_value(s, ask);

	server_run(s, sql);
	pg_session_free(s);
}

int server_append(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}
