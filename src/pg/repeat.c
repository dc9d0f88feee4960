// SPDX-License-Identifier: Apache-2.0
/*
 * What pg_dump was refused, it tells in the server's words, and these are in the server's language. So its statement is
 * asked once more here, where the refusal comes with its SQLSTATE. It is as harmless as it was: the same role, a
 * transaction that only reads, and little time for it.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define LOCK_LIMIT_MS   100   /* who has held it until now holds it still */
#define ANSWER_LIMIT_MS 10000 /* the server ends it before that */

#define QUERY_CANCELED "57014"

static const char time_limit[] = "SET LOCAL statement_timeout = '5s'";

/* Behind the name at @p as pg_dump writes names; NULL: there is none. */
static const char *behind_quoted_name(const char *p)
{
	size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (*p != '"')
		return len > 0 ? p + len : NULL;
	for (p++; *p; p++) {
		if (*p == '"' && *++p != '"')
			return p;
	}
	return NULL;
}

/* Behind names that @between separates. */
static const char *behind_names(const char *p, const char *between)
{
	while ((p = behind_quoted_name(p)) && str_starts(p, between))
		p += strlen(between);
	return p;
}

static bool is_lock(const char *p)
{
	if (!str_starts(p, "LOCK TABLE "))
		return false;
	p += strlen("LOCK TABLE ");
	while ((p = behind_names(str_starts(p, "ONLY ") ? p + strlen("ONLY ") : p, ".")) &&
	       str_starts(p, ", "))
		p += strlen(", ");
	return p && str_equal(p, " IN ACCESS SHARE MODE");
}

static bool is_copy_of_table(const char *p)
{
	p = str_starts(p, "COPY ") ? behind_names(p + strlen("COPY "), ".") : NULL;
	if (p && str_starts(p, " (")) {
		p = behind_names(p + strlen(" ("), ", ");
		p = p && *p == ')' ? p + 1 : NULL;
	}
	return p && str_equal(p, " TO stdout");
}

/*
 * What asks for the same right as "SELECT last_value, is_called FROM public.numbers", heap; NULL: @p is no such statement.
 * Not that one itself: under the name there could be a view, and behind it anything.
 */
static char *of_sequence(const char *p)
{
	static const char before[] = "SELECT last_value, is_called FROM ";
	_cleanup(str) struct str name = {0};
	const char *end;

	if (!str_starts(p, before))
		return NULL;
	p += strlen(before);
	end = behind_names(p, ".");
	if (!end || *end)
		return NULL;
	for (; p < end; p++) {
		if (strchr("'\\", *p))
			return NULL;
		str_append_char(&name, *p);
	}
	return mem_printf("SELECT pg_catalog.pg_sequence_last_value('%s'::pg_catalog.regclass)",
	                  str_text(&name));
}

/*
 * The statement comes out of a text in which names stand that any user of the database has given, perhaps with what looks
 * like another statement in them. So nothing is said to the server but what is from beginning to end a lock or a COPY of
 * tables: these do what pg_dump did, whatever the names are.
 */
static bool is_harmless(const char *sql)
{
	return is_lock(sql) || is_copy_of_table(sql);
}

static int take_nothing(void *arg, const void *data, size_t len, struct error *err)
{
	return 0;
}

static int ask_again(struct pg_session *s, const struct pg_attempt *attempt, struct error *err)
{
	_cleanup(free) char *large_object =
	        mem_printf("SELECT pg_catalog.lo_get(%u, 0, 1)", attempt->large_object);
	const char *sql = attempt->sql ? attempt->sql : large_object;
	const struct session_query query = {.sql = sql, .limit_ms = ANSWER_LIMIT_MS};
	_cleanup(free) char *start = session_begin(s, NULL, LOCK_LIMIT_MS);
	_cleanup(pg_result) PGresult *result = NULL;
	int r = pg_session_run(s, start, err);

	if (r == 0)
		r = pg_session_run(s, time_limit, err);
	if (r < 0)
		return r;
	if (str_starts(sql, "COPY "))
		return pg_session_copy(s, sql, take_nothing, NULL, err);
	return session_ask(s, &query, &result, err);
}

/* Only what the server said is an answer, and not that we have ended it ourselves. */
static int judge_repetition(int r, const struct error *err, struct pg_repetition *ret)
{
	if (r < 0 && (!err->code[0] || str_equal(err->code, QUERY_CANCELED)))
		return r;
	*ret = (struct pg_repetition){.refused = r < 0, .hint = err->hint};
	str_copy(ret->state, sizeof(ret->state), err->code);
	return 0;
}

int pg_repeat(const char *conninfo, const char *database, const struct pg_attempt *attempt,
              struct cancel *cancel, struct pg_repetition *ret)
{
	_cleanup(free) char *sequence = attempt->sql ? of_sequence(attempt->sql) : NULL;
	struct pg_attempt instead = *attempt;
	struct pg_session *s = NULL;
	struct error err = {0};
	int r;

	if (sequence)
		instead.sql = sequence;
	else if (attempt->sql && !is_harmless(attempt->sql))
		return -EINVAL;
	r = pg_session_open(conninfo, database, "keepfs", cancel, &s, &err);

	if (r == 0 && (attempt->sql || attempt->large_object > 0))
		r = ask_again(s, &instead, &err);
	pg_session_free(s);
	return judge_repetition(r, &err, ret);
}
