// SPDX-License-Identifier: Apache-2.0
/*
 * Which databases there are. A registry's query is an administrator's text, so it is asked with care: over a cursor, within a
 * transaction that only reads, as the single statement of the protocol's extended query: what follows behind a ';' is refused,
 * and an answer of any length passes through memory in pieces.
 */
#include "registry.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/databases.h>

#include <errno.h>

#define ANSWER_MS      30000
#define ROWS_PER_FETCH "500"

/* The server gives up before we do. Names are UTF-8 whatever the database is in. */
static const char begin_asking[] =
        "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = '25s'; SET LOCAL client_encoding = 'UTF8'";

static const char fetch_rows[] = "FETCH FORWARD " ROWS_PER_FETCH " FROM keepfs_registry";

static const char about_databases[] =
        "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2 "
        "ORDER BY datname COLLATE \"C\" LIMIT 20001";
_Static_assert(PG_DATABASES_MAX == 20000, "about_databases asks for one more");

static const char may_read_identifier[] =
        "SELECT COALESCE(pg_catalog.has_function_privilege("
        "pg_catalog.to_regprocedure('pg_catalog.pg_control_system()'), 'EXECUTE'), false)";
static const char about_identifier[] = "SELECT system_identifier FROM pg_catalog.pg_control_system()";

/* Objects that came with the system have numbers below 16384 (access/transam.h: FirstNormalObjectId). An extension brings its
 * own, and is remembered by pg_dump as no more than its name. */
static const char about_content[] =
        "SELECT NOT (EXISTS (SELECT 1 FROM pg_catalog.pg_class WHERE oid >= 16384) "
        "OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc WHERE oid >= 16384) "
        "OR EXISTS (SELECT 1 FROM pg_catalog.pg_type WHERE oid >= 16384) "
        "OR EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_') "
        "OR EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata))";

/* "postgres" where nobody said which: the name of the user, which libpq would take, is that of no database mostly. */
static const char *database_to_ask(const char *conninfo, const char *database)
{
	_cleanup(pq_options) PQconninfoOption *options = NULL, *defaults = NULL;

	if (database || conninfo_parse(conninfo, &options, NULL) < 0)
		return database;
	if (conninfo_value(options, "dbname") || conninfo_value(options, "service"))
		return NULL;
	defaults = PQconndefaults();
	return defaults && (conninfo_value(defaults, "dbname") || conninfo_value(defaults, "service"))
	               ? NULL
	               : "postgres";
}

static int ask(struct pg_session *s, const char *sql, bool alone, PGresult **ret, struct error *err)
{
	const struct session_query query = {.sql = sql, .alone = alone, .limit_ms = ANSWER_MS};

	return session_ask(s, &query, ret, err);
}

static int run_statement(struct pg_session *s, const char *sql, bool alone, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;

	return ask(s, sql, alone, &result, err);
}

static const char *text_or_null_at(const PGresult *result, int row, int column)
{
	if (column >= PQnfields(result) || PQgetisnull(result, row, column))
		return NULL;
	return PQgetvalue(result, row, column);
}

struct answer {
	pg_take_database take;
	void *arg;
	size_t count;
};

static int take_rows(void *arg, const PGresult *result, struct error *err)
{
	struct answer *a = arg;
	int columns = PQnfields(result), r = 0;

	if (columns < 1 || columns > 2)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the query of databases has %d columns, but the first is to be the name of a database, and a second its class: leave out the others",
		        columns);
	for (int row = 0; r >= 0 && row < PQntuples(result); row++) {
		if (++a->count > PG_DATABASES_MAX)
			return error_set(
			        err, ERROR_USAGE, E2BIG,
			        "more than %d databases are named: does the query have a WHERE, and no join that repeats rows? Give each job a part of them",
			        PG_DATABASES_MAX);
		r = a->take(a->arg, text_or_null_at(result, row, 0), text_or_null_at(result, row, 1), err);
	}
	return r < 0 ? r : 0;
}

static int fetch_all(struct pg_session *s, registry_take take, void *arg, struct error *err)
{
	for (;;) {
		_cleanup(pg_result) PGresult *rows = NULL;
		int r = ask(s, fetch_rows, false, &rows, err);

		if (r == 0)
			r = take(arg, rows, err);
		if (r < 0 || PQntuples(rows) == 0)
			return r;
	}
}

static int ask_registry_query(struct pg_session *s, const char *query, registry_take take, void *arg,
                              struct error *err)
{
	/* What ends with a comment, or a ';', is no other statement with this. */
	_cleanup(free) char *declare = mem_printf("DECLARE keepfs_registry NO SCROLL CURSOR FOR %s", query);
	int r = run_statement(s, begin_asking, false, err);

	if (r == 0)
		r = run_statement(s, declare, true, err);
	if (r == 0)
		r = fetch_all(s, take, arg, err);
	return r < 0 ? r : run_statement(s, "COMMIT", false, err);
}

int registry_ask(const char *conninfo, const char *database, const char *query, struct cancel *cancel,
                 registry_take take, void *arg, struct error *err)
{
	struct pg_session s;
	int r = session_connect(&s, conninfo, database, "keepfs", cancel, err);

	if (r < 0)
		return r;
	r = ask_registry_query(&s, query, take, arg, err);
	session_disconnect(&s);
	return r;
}

int pg_ask_registry(const char *conninfo, const char *database, const char *query, struct cancel *cancel,
                    pg_take_database take, void *arg, struct error *err)
{
	struct answer answer = {.take = take, .arg = arg};

	return registry_ask(conninfo, database, query, cancel, take_rows, &answer, err);
}

/* Names of the system's own catalogs, for whom no object of a user may stand in. */
static int ask_system(const char *conninfo, const char *database, const char *sql, struct cancel *cancel,
                      PGresult **ret, struct error *err)
{
	struct pg_session s;
	int r = session_connect(&s, conninfo, database, "keepfs", cancel, err);

	if (r < 0)
		return r;
	r = run_statement(&s, begin_asking, false, err);
	if (r == 0)
		r = run_statement(&s, "SET LOCAL search_path = pg_catalog", false, err);
	if (r == 0)
		r = ask(&s, sql, false, ret, err);
	session_disconnect(&s);
	return r;
}

int pg_list_databases(const char *conninfo, const char *database, struct cancel *cancel,
                      pg_take_database take, void *arg, struct error *err)
{
	struct answer answer = {.take = take, .arg = arg};
	_cleanup(pg_result) PGresult *rows = NULL;
	int r = ask_system(conninfo, database_to_ask(conninfo, database), about_databases, cancel, &rows,
	                   err);

	return r < 0 ? r : take_rows(&answer, rows, err);
}

static bool is_yes(const PGresult *result)
{
	return PQntuples(result) > 0 && PQgetvalue(result, 0, 0)[0] == 't';
}

static int ask_identifier(struct pg_session *s, char ret[static PG_SERVER_ID_BYTES], struct error *err)
{
	_cleanup(pg_result) PGresult *may = NULL, *identifier = NULL;
	int r = ask(s, may_read_identifier, false, &may, err);

	if (r == 0 && is_yes(may))
		r = ask(s, about_identifier, false, &identifier, err);
	if (r < 0)
		return r;
	if (identifier && PQntuples(identifier) > 0)
		str_copy(ret, PG_SERVER_ID_BYTES, PQgetvalue(identifier, 0, 0));
	else
		snprintf(ret, PG_SERVER_ID_BYTES, "%s:%s", str_or_empty(PQhost(s->conn)),
		         str_or_empty(PQport(s->conn)));
	return 0;
}

int pg_server_id(const char *conninfo, const char *database, struct cancel *cancel,
                 char ret[static PG_SERVER_ID_BYTES], struct error *err)
{
	struct pg_session s;
	int r = session_connect(&s, conninfo, database_to_ask(conninfo, database), "keepfs", cancel, err);

	if (r < 0)
		return r;
	r = run_statement(&s, begin_asking, false, err);
	if (r == 0)
		r = run_statement(&s, "SET LOCAL search_path = pg_catalog", false, err);
	if (r == 0)
		r = ask_identifier(&s, ret, err);
	session_disconnect(&s);
	return r;
}

int pg_database_is_empty(const char *conninfo, const char *database, struct cancel *cancel, struct error *err)
{
	_cleanup(pg_result) PGresult *answer = NULL;
	int r = ask_system(conninfo, database, about_content, cancel, &answer, err);

	return r < 0 ? r : is_yes(answer);
}
