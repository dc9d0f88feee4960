/*
 * What a backup needs to know of a server before it begins. One short connection; each question whose right
 * the role may lack is asked only when a first question said that it has it, so that none fails. Names are
 * qualified by an empty search_path: no object of the database can stand in for one of the catalog.
 */
#include "conninfo.h"

#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_S "10"
#define OLDEST_SERVER     90500 /* row security, which decides whether a dump is whole */

DEFINE_CLEANUP(pq_conn, PGconn *, PQfinish)
DEFINE_CLEANUP(pq_result, PGresult *, PQclear)

static const char set_up[] = "SET search_path = pg_catalog; SET statement_timeout = '30s'; "
                             "SET default_transaction_read_only = on; SET client_encoding = 'UTF8'";

static const char about_server[] =
        "SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database(), current_user, "
        "rolsuper, rolbypassrls OR rolsuper, "
        "COALESCE(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('pg_catalog.pg_control_system("
        ")'), "
        "'EXECUTE'), false), "
        "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT') "
        "FROM pg_catalog.pg_roles WHERE rolname = current_user";

static const char about_cluster[] = "SELECT system_identifier FROM pg_catalog.pg_control_system()";

static const char about_size[] = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";

/* pg_dump locks and reads every table and sequence that is the user's: not those of the system, of other
 * sessions, or of an extension, unless the extension has marked them as configuration. */
#define USERS_RELATIONS                                                                                      \
	"SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) "              \
	"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "               \
	"WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "                                   \
	"AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d "                                              \
	"LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND c.oid = ANY (e.extconfig) "           \
	"WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 "          \
	"AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e' AND e.oid IS NULL) "

static const char about_rights[] =
        USERS_RELATIONS "AND c.relkind IN ('r', 'p', 'S') "
                        "AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') "
                        "AND CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') "
                        "ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END) "
                        "ORDER BY 1 LIMIT 1";

static const char about_row_security[] =
        USERS_RELATIONS "AND c.relkind IN ('r', 'p') AND c.relrowsecurity "
                        "AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')) "
                        "ORDER BY 1 LIMIT 1";

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
        {"timeout expired", ERROR_UNAVAILABLE, ETIMEDOUT},
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
		err->retry = class == ERROR_UNAVAILABLE;
	return -errnum;
}

static int connect_failed(PGconn *conn, struct error *err)
{
	const char *words = PQerrorMessage(conn);

	for (size_t i = 0; i < ARRAY_SIZE(connect_failures); i++) {
		if (strstr(words, connect_failures[i].words))
			return fail_with_hint(err, connect_failures[i].class, connect_failures[i].errnum,
			                      "cannot connect to PostgreSQL", words);
	}
	if (PQconnectionNeedsPassword(conn))
		return fail_with_hint(err, ERROR_DENIED, EACCES, "cannot connect to PostgreSQL", words);
	return fail_with_hint(err, ERROR_UNAVAILABLE, ECONNREFUSED, "cannot connect to PostgreSQL", words);
}

static bool environment_sets_timeout(void)
{
	_cleanup(pq_options) PQconninfoOption *defaults = PQconndefaults();

	return defaults && conninfo_value(defaults, "connect_timeout");
}

static int connect_to(const char *conninfo, const char *database, PGconn **ret_conn, struct error *err)
{
	_cleanup(pq_options) PQconninfoOption *options = NULL;
	/* Later ones win over earlier ones, and only the first dbname is taken apart. */
	const char *keywords[] = {"fallback_application_name", "dbname", "dbname", "connect_timeout", NULL};
	const char *values[] = {"keepfs", conninfo, database, CONNECT_TIMEOUT_S, NULL};
	PGconn *conn;
	int r = conninfo_parse(conninfo, &options, err);

	if (r < 0)
		return r;
	if (conninfo_value(options, "connect_timeout") || environment_sets_timeout())
		keywords[3] = NULL;
	conn = PQconnectdbParams(keywords, values, 1);
	if (!conn)
		return error_set(err, ERROR_INTERNAL, ENOMEM, "no memory for a connection");
	if (PQstatus(conn) != CONNECTION_OK) {
		r = connect_failed(conn, err);
		PQfinish(conn);
		return r;
	}
	*ret_conn = conn;
	return 0;
}

static int query_failed(PGconn *conn, const PGresult *result, struct error *err)
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
	fail_with_hint(err, class, errnum, "PostgreSQL does not answer a question about itself",
	               PQerrorMessage(conn));
	if (err && state)
		str_copy(err->code, sizeof(err->code), state);
	return -errnum;
}

/* The result holds one row, or none when @may_be_empty. */
static int ask(PGconn *conn, const char *sql, bool may_be_empty, PGresult **ret_result, struct error *err)
{
	_cleanup(pq_result) PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		return query_failed(conn, result, err);
	if (PQntuples(result) == 0 && !may_be_empty)
		return error_set(err, ERROR_INTERNAL, EPROTO, "PostgreSQL gives no answer to: %s", sql);
	*ret_result = take_ptr(&result);
	return 0;
}

/* The first column of the first row into @text; "" when there is none. */
static int ask_text(PGconn *conn, const char *sql, char *text, size_t text_bytes, struct error *err)
{
	_cleanup(pq_result) PGresult *result = NULL;
	int r = ask(conn, sql, true, &result, err);

	if (r == 0)
		str_copy(text, text_bytes, PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	return r;
}

static bool is_true(const PGresult *result, int column)
{
	return PQgetvalue(result, 0, column)[0] == 't';
}

/* The size only feeds an estimate: a server that takes too long to add it up is no failure. */
static uint64_t ask_size(PGconn *conn)
{
	char text[32];

	if (ask_text(conn, about_size, text, sizeof(text), NULL) < 0)
		return 0;
	return strtoull(text, NULL, 10);
}

static int learn_rights(PGconn *conn, struct pg_facts *facts, struct error *err)
{
	int r = 0;

	if (!facts->superuser)
		r = ask_text(conn, about_rights, facts->unreadable_table, sizeof(facts->unreadable_table),
		             err);
	if (r == 0 && !facts->bypass_rls)
		r = ask_text(conn, about_row_security, facts->rls_table, sizeof(facts->rls_table), err);
	facts->can_read_all = !facts->unreadable_table[0];
	return r;
}

static int learn(PGconn *conn, struct pg_facts *facts, struct error *err)
{
	_cleanup(pq_result) PGresult *settings = NULL;
	_cleanup(pq_result) PGresult *result = NULL;
	int r;

	facts->version_num = PQserverVersion(conn);
	if (facts->version_num < OLDEST_SERVER)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "the server is PostgreSQL %s; keepfs backs up 9.5 and newer",
		                 PQparameterStatus(conn, "server_version"));
	r = ask(conn, set_up, true, &settings, err);
	if (r == 0)
		r = ask(conn, about_server, false, &result, err);
	if (r < 0)
		return r;
	str_copy(facts->version, sizeof(facts->version), PQgetvalue(result, 0, 0));
	str_copy(facts->database, sizeof(facts->database), PQgetvalue(result, 0, 1));
	str_copy(facts->user, sizeof(facts->user), PQgetvalue(result, 0, 2));
	facts->superuser = is_true(result, 3);
	facts->bypass_rls = is_true(result, 4);
	if (is_true(result, 5))
		r = ask_text(conn, about_cluster, facts->system_identifier, sizeof(facts->system_identifier),
		             err);
	if (r == 0 && is_true(result, 6))
		facts->database_bytes = ask_size(conn);
	return r < 0 ? r : learn_rights(conn, facts, err);
}

int pg_learn(const char *conninfo, const char *database, struct pg_facts *ret, struct error *err)
{
	_cleanup(pq_conn) PGconn *conn = NULL;
	struct pg_facts facts = {0};
	int r = connect_to(conninfo, database, &conn, err);

	if (r == 0)
		r = learn(conn, &facts, err);
	if (r == 0)
		*ret = facts;
	return r;
}
