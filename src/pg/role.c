// SPDX-License-Identifier: Apache-2.0
/*
 * The script that makes a role for backups. What is known of the server makes it plain statements; what is not, since the
 * server does not let us in yet, is asked by the script itself, in blocks of PL/pgSQL.
 */
#include "rights.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/rights.h>

#include "conninfo.h"
#include "statement.h"

#include <stdlib.h>
#include <string.h>

#define ROLE_NAME                     "keepfs" /* where the job connects as a superuser */
#define FIRST_WITH_MEMBERSHIP_OPTIONS 160000

static const char with_row_security[] =
        "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relrowsecurity AND c.relkind IN ('r', 'p') ORDER BY 1 LIMIT 1";
static const char any_large_object[] = "SELECT oid FROM pg_catalog.pg_largeobject_metadata LIMIT 1";

/* What the script is about. */
struct script {
	const struct pg_role_request *request;
	struct str *out;
	char *role, *literal; /* the name, and as a literal of SQL */
	bool is_other;        /* than the one that the job connects as now */
	bool reads_all;       /* is granted already: that counts for the whole cluster */
};

static void cleanup_script(struct script *s)
{
	free(s->role);
	free(s->literal);
}

/* What is known of one database. */
struct known {
	int version_num;    /* 0: nothing is known */
	char *rls_table;    /* NULL: none has row security */
	char *large_object; /* NULL: there is none */
};

static void cleanup_known(struct known *k)
{
	free(k->rls_table);
	free(k->large_object);
}

/* Only when all could be asked something is known. */
static void learn_database(const struct pg_role_request *request, const char *database, struct known *ret)
{
	_cleanup(pg_session) struct pg_session *session = NULL;
	_cleanup(free) char *version = NULL;
	struct error ignored = {0};
	int r = pg_session_open(request->conninfo, database, "keepfs", NULL, &session, &ignored);

	if (r == 0)
		r = pg_session_value(session, "SHOW server_version_num", &version, &ignored);
	if (r == 0)
		r = pg_session_value(session, with_row_security, &ret->rls_table, &ignored);
	if (r == 0)
		r = pg_session_value(session, any_large_object, &ret->large_object, &ignored);
	if (r == 0 && version)
		ret->version_num = (int)strtol(version, NULL, 10);
}

static bool is_superuser(const struct pg_role_request *request, const char *database)
{
	_cleanup(pg_session) struct pg_session *session = NULL;
	_cleanup(free) char *value = NULL;
	struct error ignored = {0};
	int r = pg_session_open(request->conninfo, database, "keepfs", NULL, &session, &ignored);

	if (r == 0)
		r = pg_session_value(session, "SHOW is_superuser", &value, &ignored);
	return r == 0 && str_equal(value, "on");
}

static void choose_role(struct script *s, const char *database)
{
	_cleanup(free) char *user = conninfo_setting(s->request->conninfo, "user");

	/* The usual superuser, even when it cannot be asked. */
	s->is_other = !user || str_equal(user, "postgres") || is_superuser(s->request, database);
	s->role = s->is_other ? mem_strdup(ROLE_NAME) : take_ptr(&user);
	s->literal = pg_quote_literal(s->role);
}

static void add_block(struct script *s, const char *declare, const char *body)
{
	_cleanup(free) char *whole = mem_printf("%sBEGIN %s END", declare, body);

	rights_block(s->out, whole);
	str_append_char(s->out, '\n');
}

static void add_about_role(struct script *s, const char *before, const char *after)
{
	str_append(s->out, before);
	rights_identifier(s->out, s->role);
	str_append(s->out, after);
}

static void add_login(struct script *s)
{
	_cleanup(free) char *body = mem_printf(
	        "IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN EXECUTE format('CREATE ROLE %%I', %s); END IF;",
	        s->literal, s->literal);

	add_block(s, "", body);
	add_about_role(s, "ALTER ROLE ", " LOGIN INHERIT;\n");
	add_about_role(
	        s, "-- Where pg_hba.conf asks for a password: \\password ",
	        ", and a line in ~/.pgpass. Where it says peer, the role is named like the system's user.\n");
}

/* \connect takes a text with a '=' for a connection string. */
static void add_connect(struct script *s, const char *database)
{
	_cleanup(free) char *conninfo = pg_database_conninfo(database);

	str_append(s->out, "\\connect -reuse-previous=on ");
	rights_identifier(s->out, conninfo);
	str_append_char(s->out, '\n');
}

/* Before version 14: schema by schema, and what their owners will make. */
static char *schema_grants(const struct script *s)
{
	return mem_printf(
	        "FOR r IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP "
	        "EXECUTE format('GRANT USAGE ON SCHEMA %%I TO %%I', r.nspname, %s); "
	        "EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %%I TO %%I', r.nspname, %s); "
	        "EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %%I TO %%I', r.nspname, %s); END LOOP; "
	        "FOR r IN SELECT rolname FROM pg_catalog.pg_roles o WHERE o.oid >= 16384 OR o.rolsuper LOOP "
	        "EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I GRANT SELECT ON TABLES TO %%I', r.rolname, %s); "
	        "EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I GRANT SELECT ON SEQUENCES TO %%I', r.rolname, %s); "
	        "IF current_setting('server_version_num')::int >= 100000 THEN "
	        "EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I GRANT USAGE ON SCHEMAS TO %%I', r.rolname, %s); END IF; END LOOP;",
	        s->literal, s->literal, s->literal, s->literal, s->literal, s->literal);
}

static void add_reading(struct script *s, const struct known *k)
{
	_cleanup(free) char *grants = schema_grants(s);
	_cleanup(free) char *asks = mem_printf(
	        "IF current_setting('server_version_num')::int >= %d THEN EXECUTE format('GRANT pg_read_all_data TO %%I', %s); ELSE %s END IF;",
	        FIRST_WITH_READ_ALL, s->literal, grants);

	if (k->version_num < FIRST_WITH_READ_ALL)
		add_block(s, "DECLARE r record; ", k->version_num ? grants : asks);
	else if (!s->reads_all)
		add_about_role(s, "GRANT pg_read_all_data TO ", ";\n");
	s->reads_all |= k->version_num >= FIRST_WITH_READ_ALL;
}

/* To become that role, and no more than that: from version 16 on a member need not have the rights all the time. */
static void add_context_role(struct script *s)
{
	const char *context = s->request->context_role;
	_cleanup(free) char *literal = NULL, *body = NULL;

	if (!*str_or_empty(context) || str_equal(context, s->role))
		return;
	literal = pg_quote_literal(context);
	body = mem_printf(
	        "IF current_setting('server_version_num')::int >= %d THEN EXECUTE format('GRANT %%I TO %%I WITH INHERIT FALSE, SET TRUE', %s, %s); "
	        "ELSE EXECUTE format('GRANT %%I TO %%I', %s, %s); END IF;",
	        FIRST_WITH_MEMBERSHIP_OPTIONS, literal, s->literal, literal, s->literal);
	str_append(s->out, "-- The rows of a tenant are read as ");
	str_append_line(s->out, context);
	str_append(s->out, ", whom the policies are for: the job's role may become it.\n");
	add_block(s, "", body);
}

static void add_row_security(struct script *s, const struct known *k)
{
	_cleanup(free) char *body = NULL;

	if (k->rls_table) {
		str_append(s->out, "-- Row security hides rows, of ");
		str_append_line(s->out, k->rls_table);
		str_append(
		        s->out,
		        s->request->exports
		                ? " for one, and whether it hides too many is only seen by who sees them all:\n"
		                : " for one, and pg_dump refuses to dump the others alone:\n");
		add_about_role(s, "ALTER ROLE ", " BYPASSRLS;\n");
	} else if (k->version_num) {
		add_about_role(s, "-- No table has row security. As soon as one has: ALTER ROLE ",
		               " BYPASSRLS;\n");
	} else {
		body = mem_printf(
		        "IF EXISTS (SELECT FROM pg_catalog.pg_class WHERE relrowsecurity AND relkind IN ('r', 'p')) THEN "
		        "EXECUTE format('ALTER ROLE %%I BYPASSRLS', %s); END IF;",
		        s->literal);
		add_block(s, "", body);
	}
}

static const char compat_words[] =
        "-- Large objects belong to roles one by one. Before version 18 nothing lets a role read those that others will make, but this\n"
        "-- setting, with which it may write and delete them, too:\n";

static void add_known_large_objects(struct script *s, const struct known *k)
{
	_cleanup(str) struct str body = {0};

	if (k->version_num >= FIRST_TO_READ_ALL_LARGE_OBJECTS)
		return;
	if (k->version_num >= FIRST_WITH_LARGE_OBJECT_DEFAULTS) {
		rights_large_objects(&body, s->literal, true);
		add_block(s, "DECLARE r record; ", str_text(&body));
	} else if (k->large_object) {
		str_append(s->out, compat_words);
		add_about_role(s, "ALTER ROLE ", " SET lo_compat_privileges = on;\n");
	} else {
		add_about_role(s, "-- There are no large objects. As soon as there are: ALTER ROLE ",
		               " SET lo_compat_privileges = on;\n");
	}
}

/* A block is parsed by the server as it comes to each statement: what an old one does not know is text in it. */
static void add_asking_large_objects(struct script *s)
{
	_cleanup(str) struct str grants = {0};
	_cleanup(free) char *body = NULL;

	rights_large_objects(&grants, s->literal, true);
	body = mem_printf(
	        "IF current_setting('server_version_num')::int >= %d THEN NULL; ELSIF current_setting('server_version_num')::int >= %d THEN %s "
	        "ELSIF EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) THEN "
	        "EXECUTE format('ALTER ROLE %%I SET lo_compat_privileges = on', %s); END IF;",
	        FIRST_TO_READ_ALL_LARGE_OBJECTS, FIRST_WITH_LARGE_OBJECT_DEFAULTS, str_text(&grants),
	        s->literal);
	str_append(s->out, compat_words);
	add_block(s, "DECLARE r record; ", body);
}

static void add_database(struct script *s, const char *database)
{
	_cleanup(known) struct known k = {0};

	learn_database(s->request, database, &k);
	str_append_char(s->out, '\n');
	add_connect(s, database);
	str_append(s->out, "GRANT CONNECT ON DATABASE ");
	rights_identifier(s->out, database);
	add_about_role(s, " TO ", ";\n");
	add_reading(s, &k);
	add_row_security(s, &k);
	if (!s->request->large_objects)
		return;
	if (k.version_num)
		add_known_large_objects(s, &k);
	else
		add_asking_large_objects(s);
}

/* pg_read_all_data reads pg_authid, whatever one would expect of it. */
static void add_globals(struct script *s)
{
	str_append(s->out, "\n-- Roles are kept beside each backup. ");
	if (s->reads_all)
		str_append(
		        s->out,
		        "pg_read_all_data reads pg_authid, too, where the hashes of their passwords are: these are kept\n"
		        "-- with them, and whoever has this role can try them out elsewhere.\n");
	else
		str_append(
		        s->out,
		        "From version 14 on pg_read_all_data reads pg_authid, too, where the hashes of their passwords\n"
		        "-- are; whoever has this role can try them out elsewhere. Before that the roles are kept without passwords, unless it is\n"
		        "-- granted the same, in each database:\n");
	if (!s->reads_all)
		add_about_role(s, "-- GRANT SELECT ON pg_catalog.pg_authid TO ", ";\n");
	str_append(s->out, "-- Neither REPLICATION nor pg_read_all_settings is needed.\n");
}

void pg_role_script(const struct pg_role_request *request, struct str *out)
{
	_cleanup(script) struct script s = {.request = request, .out = out};
	_cleanup(free) char *own = pg_conninfo_database(request->conninfo);
	const char *const only[] = {own, NULL};
	const char *const *databases = request->databases && *request->databases ? request->databases : only;

	choose_role(&s, *databases);
	str_append(out, "\n-- ");
	str_append_line(out, request->title);
	str_append(out, ": a role that reads everything and changes nothing. It can be run again.\n");
	if (s.is_other)
		str_append(
		        out,
		        "-- The job connects as a superuser now; then let it connect as this one: user=" ROLE_NAME
		        " in its 'database'.\n");
	add_login(&s);
	add_context_role(&s);
	for (; *databases; databases++)
		add_database(&s, *databases);
	if (request->globals)
		add_globals(&s);
}
