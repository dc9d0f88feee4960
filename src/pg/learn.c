// SPDX-License-Identifier: Apache-2.0
/*
 * What a backup needs to know of a server before it begins. One short connection; each question whose right
 * the role may lack is asked only when a first question said that it has it, so that none fails. Names are
 * qualified by an empty search_path: no object of the database can stand in for one of the catalog.
 */
#include "session.h"

#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OLDEST_SERVER   90500 /* row security, which decides whether a dump is whole */
#define ANSWER_LIMIT_MS 30000

/* Within a transaction, so that nothing stays with a pooler's session. The server gives up before we do, and for no other
 * reason: what the role's settings end early, no backup would be ended by. */
static const char set_up[] =
        "BEGIN TRANSACTION READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = '25s'; "
        "SET LOCAL client_encoding = 'UTF8'; SET LOCAL quote_all_identifiers = off; "
        "SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings "
        "WHERE name IN ('lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')";

static const char about_server[] =
        "SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database(), current_user, "
        "rolsuper, rolbypassrls OR rolsuper, "
        "COALESCE(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('pg_catalog.pg_control_system("
        ")'), "
        "'EXECUTE'), false), "
        "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT'), "
        "pg_catalog.pg_is_in_recovery(), pg_catalog.pg_backend_pid(), "
        "pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'), "
        "pg_catalog.current_setting('client_min_messages') ~ '^(debug|log|info)', "
        "pg_catalog.current_setting('lc_messages') !~* '^(c|posix|en)([._]|$)' AND %s "
        "FROM pg_catalog.pg_roles WHERE rolname = current_user";

static const char may_set_language[] = "pg_catalog.has_parameter_privilege('lc_messages', 'SET')";
static const char may_set_language_before_15[] = "rolsuper";

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

/* pg_read_all_data does not reach them: they belong to roles one by one. */
static const char about_large_objects[] =
        "SELECT m.oid FROM pg_catalog.pg_largeobject_metadata m "
        "WHERE NOT pg_catalog.current_setting('lo_compat_privileges')::bool "
        "AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') "
        "AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT' "
        "AND CASE a.grantee WHEN 0 THEN true ELSE pg_catalog.pg_has_role(a.grantee, 'USAGE') END) LIMIT 1";

/* From version 18 on the server judges itself, so that whatever new right lets a role in counts. */
static const char about_large_objects_18[] =
        "SELECT m.oid FROM pg_catalog.pg_largeobject_metadata m "
        "WHERE NOT pg_catalog.has_largeobject_privilege(m.oid, 'SELECT') LIMIT 1";

/* The result holds one row, or none when @may_be_empty. */
static int ask_one_row(struct pg_session *s, const char *sql, bool may_be_empty, PGresult **ret_result,
                       struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r = session_ask(s, &(struct session_query){.sql = sql, .limit_ms = ANSWER_LIMIT_MS}, &result,
	                    err);

	if (r < 0)
		return r;
	if (PQntuples(result) == 0 && !may_be_empty)
		return error_set(err, ERROR_INTERNAL, EPROTO, "PostgreSQL gives no answer to: %s", sql);
	*ret_result = take_ptr(&result);
	return 0;
}

/* The first column of the first row into @text; "" when there is none. */
static int ask_text(struct pg_session *s, const char *sql, char *text, size_t text_bytes, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r = ask_one_row(s, sql, true, &result, err);

	if (r == 0)
		str_copy(text, text_bytes, PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	return r;
}

static bool is_true_column(const PGresult *result, int column)
{
	return PQgetvalue(result, 0, column)[0] == 't';
}

/* The size only feeds an estimate: a server that takes too long to add it up is no failure. */
static int ask_size(struct pg_session *s, uint64_t *ret_bytes, struct error *err)
{
	struct error own = {0};
	char text[32];
	int r = ask_text(s, about_size, text, sizeof(text), &own);

	if (r == 0)
		*ret_bytes = strtoull(text, NULL, 10);
	if (r == 0 || own.code[0])
		return 0;
	if (err)
		*err = own;
	return r;
}

/* There may be many millions: a server that takes too long to look at them is no failure. */
static int ask_large_objects(struct pg_session *s, struct pg_facts *facts, struct error *err)
{
	struct error own = {0};
	int r = ask_text(s, facts->version_num >= 180000 ? about_large_objects_18 : about_large_objects,
	                 facts->unreadable_large_object, sizeof(facts->unreadable_large_object), &own);

	if (r == 0 || own.code[0])
		return 0;
	if (err)
		*err = own;
	return r;
}

static int learn_rights(struct pg_session *s, struct pg_facts *facts, struct error *err)
{
	int r = 0;

	if (!facts->superuser)
		r = ask_text(s, about_rights, facts->unreadable_table, sizeof(facts->unreadable_table), err);
	if (r == 0 && !facts->bypass_rls)
		r = ask_text(s, about_row_security, facts->rls_table, sizeof(facts->rls_table), err);
	if (r == 0 && !facts->superuser)
		r = ask_large_objects(s, facts, err);
	return r;
}

/* What the role says of its messages is for pg_dump, too, and only there at the start of a session. A pooler passes no
 * options on. */
static void choose_options(const struct pg_session *s, const PGresult *result, struct pg_facts *facts)
{
	_cleanup(pq_options) PQconninfoOption *given = PQconninfo(s->conn);
	const char *own = given ? conninfo_value(given, "options") : NULL;
	bool floods = is_true_column(result, 10), foreign = is_true_column(result, 11);
	_cleanup(str) struct str options = {0};

	if (!floods && !foreign)
		return;
	if (own)
		str_appendf(&options, "%s ", own);
	if (floods)
		str_append(&options, "-c client_min_messages=warning ");
	if (foreign)
		str_append(&options, "-c lc_messages=C");
	if (options.len < sizeof(facts->options))
		str_copy(facts->options, sizeof(facts->options), str_text(&options));
}

static int ask_server(struct pg_session *s, PGresult **ret_result, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_appendf(&sql, about_server,
	            PQserverVersion(s->conn) >= FIRST_WITH_PARAMETER_RIGHTS ? may_set_language
	                                                                    : may_set_language_before_15);
	return ask_one_row(s, str_text(&sql), false, ret_result, err);
}

static int learn_facts(struct pg_session *s, struct pg_facts *facts, int *ret_pid, struct error *err)
{
	_cleanup(pg_result) PGresult *settings = NULL;
	_cleanup(pg_result) PGresult *result = NULL;
	int r;

	facts->version_num = PQserverVersion(s->conn);
	if (facts->version_num < OLDEST_SERVER)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "the server is PostgreSQL %s; keepfs backs up 9.5 and newer",
		                 PQparameterStatus(s->conn, "server_version"));
	r = ask_one_row(s, set_up, true, &settings, err);
	if (r == 0)
		r = ask_server(s, &result, err);
	if (r < 0)
		return r;
	str_copy(facts->version, sizeof(facts->version), PQgetvalue(result, 0, 0));
	str_copy(facts->database, sizeof(facts->database), PQgetvalue(result, 0, 1));
	str_copy(facts->user, sizeof(facts->user), PQgetvalue(result, 0, 2));
	facts->superuser = is_true_column(result, 3);
	facts->bypass_rls = is_true_column(result, 4);
	facts->in_recovery = is_true_column(result, 7);
	*ret_pid = (int)strtol(PQgetvalue(result, 0, 8), NULL, 10);
	facts->reads_passwords = is_true_column(result, 9);
	choose_options(s, result, facts);
	if (is_true_column(result, 5))
		r = ask_text(s, about_cluster, facts->system_identifier, sizeof(facts->system_identifier),
		             err);
	if (r == 0)
		r = learn_rights(s, facts, err);
	/* At last: when it fails, so has the transaction. */
	if (r == 0 && is_true_column(result, 6))
		r = ask_size(s, &facts->database_bytes, err);
	return r < 0 ? r : pg_session_run(s, "COMMIT", err);
}

int pg_learn(const char *conninfo, const char *database, struct cancel *cancel, struct pg_facts *ret,
             struct error *err)
{
	const struct session_place place = {conninfo, database, cancel};
	struct pg_facts facts = {0};
	struct pg_session s;
	int r = session_connect(&s, conninfo, database, "keepfs", cancel, err);
	int pid = 0;

	if (r < 0)
		return r;
	r = learn_facts(&s, &facts, &pid, err);
	if (r == 0)
		r = session_find_pooler(&s, &place, pid, &facts.pooler, err);
	if (facts.pooler != PG_POOLER_NONE)
		facts.options[0] = '\0';
	session_disconnect(&s);
	if (r == 0)
		*ret = facts;
	return r;
}
