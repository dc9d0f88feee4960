// SPDX-License-Identifier: Apache-2.0
/* What mends a single finding: one line, to be pasted. */
#include "rights.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/rights.h>

#include "conninfo.h"
#include "find.h"
#include "statement.h"

#include <string.h>
#include <unistd.h>

void rights_identifier(struct str *out, const char *name)
{
	str_append_char(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			str_append_char(out, '"');
		str_append_char(out, *name);
	}
	str_append_char(out, '"');
}

void rights_block(struct str *out, const char *body)
{
	_cleanup(str) struct str tag = {0};

	str_append(&tag, "$keepfs");
	while (strstr(body, str_text(&tag)))
		str_append_char(&tag, '_');
	str_appendf(out, "DO %s$ %s %s$;", str_text(&tag), body, str_text(&tag));
}

void rights_large_objects(struct str *out, const char *role, bool defaults)
{
	str_appendf(out,
	            "FOR r IN SELECT oid FROM pg_catalog.pg_largeobject_metadata LOOP "
	            "EXECUTE format('GRANT SELECT ON LARGE OBJECT %%s TO %%I', r.oid, %s); END LOOP;",
	            role);
	if (defaults)
		str_appendf(
		        out,
		        " FOR r IN SELECT DISTINCT rolname FROM pg_catalog.pg_largeobject_metadata JOIN pg_catalog.pg_roles o ON o.oid = lomowner LOOP "
		        "EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I GRANT SELECT ON LARGE OBJECTS TO %%I', r.rolname, %s); END LOOP;",
		        role);
}

char *conninfo_setting(const char *conninfo, const char *keyword)
{
	_cleanup(pq_options) PQconninfoOption *given = NULL;
	_cleanup(pq_options) PQconninfoOption *defaults = PQconndefaults();
	const char *value;

	if (conninfo_parse(conninfo, &given, NULL) < 0)
		return NULL;
	value = conninfo_value(given, keyword);
	if (!value && defaults)
		value = conninfo_value(defaults, keyword);
	return mem_strdup(value);
}

char *pg_conninfo_user(const char *conninfo)
{
	return conninfo_setting(conninfo, "user");
}

/* "sales.orders" or "\"odd.name\".t": how long the schema's name is, in quotes where it has them. */
static size_t schema_length(const char *relation)
{
	bool quoted = false;
	size_t i = 0;

	for (; relation[i] && (quoted || relation[i] != '.'); i++)
		quoted ^= relation[i] == '"';
	return i;
}

/* @relation as pg_facts has it: quoted already. */
static void append_schema_grants(struct str *out, const char *relation, const char *role)
{
	int len = (int)schema_length(relation);

	str_appendf(out, "GRANT USAGE ON SCHEMA %.*s TO ", len, relation);
	rights_identifier(out, role);
	str_appendf(out, "; GRANT SELECT ON ALL TABLES IN SCHEMA %.*s TO ", len, relation);
	rights_identifier(out, role);
	str_appendf(out, "; GRANT SELECT ON ALL SEQUENCES IN SCHEMA %.*s TO ", len, relation);
	rights_identifier(out, role);
	str_append_char(out, ';');
}

static void append_large_object_fix(struct str *out, const struct pg_facts *facts)
{
	_cleanup(free) char *literal = pg_quote_literal(facts->user);
	_cleanup(str) struct str body = {0};

	if (facts->version_num >= FIRST_TO_READ_ALL_LARGE_OBJECTS) {
		str_append(out, "GRANT pg_read_all_data TO ");
		rights_identifier(out, facts->user);
		str_append_char(out, ';');
	} else if (facts->version_num >= FIRST_WITH_LARGE_OBJECT_DEFAULTS) {
		str_append(&body, "DECLARE r record; BEGIN ");
		rights_large_objects(&body, literal, true);
		str_append(&body, " END");
		rights_block(out, str_text(&body));
	} else {
		str_append(out, "ALTER ROLE ");
		rights_identifier(out, facts->user);
		str_append(out, " SET lo_compat_privileges = on;");
	}
}

char *pg_fix_rights(const struct pg_facts *facts, bool large_objects)
{
	struct str out = {0};

	if (facts->unreadable_table[0] && facts->version_num >= FIRST_WITH_READ_ALL) {
		str_append(&out, "GRANT pg_read_all_data TO ");
		rights_identifier(&out, facts->user);
		str_append_char(&out, ';');
	} else if (facts->unreadable_table[0]) {
		append_schema_grants(&out, facts->unreadable_table, facts->user);
	} else if (facts->rls_table[0]) {
		str_append(&out, "ALTER ROLE ");
		rights_identifier(&out, facts->user);
		str_append(&out, " BYPASSRLS;");
	} else if (facts->unreadable_large_object[0] && large_objects) {
		append_large_object_fix(&out, facts);
	} else {
		return NULL;
	}
	return str_take(&out);
}

/* Connections. */

struct refused { /* what was tried; all heap, NULL: nothing */
	char *host, *port, *user, *database;
};

static void cleanup_refused(struct refused *c)
{
	free(c->host);
	free(c->port);
	free(c->user);
	free(c->database);
}

static char *statement_about(const char *before, const char *name, const char *after)
{
	struct str out = {0};

	str_append(&out, before);
	rights_identifier(&out, str_or_empty(name));
	str_append(&out, after);
	return str_take(&out);
}

static bool is_local(const struct refused *c)
{
	return !c->host || *c->host == '/' || *c->host == '@';
}

/* libpq looks for the directory of the socket, but for "localhost" where that is the one it was built with. */
static const char *password_host(const struct refused *c)
{
	return !c->host || !*c->host || str_equal(c->host, DEFAULT_SOCKET_DIRECTORY) ? "localhost" : c->host;
}

/* In a field a backslash stands before what would end it. */
static void append_password_field(struct str *out, const char *field)
{
	for (; *field; field++) {
		if (*field == ':' || *field == '\\')
			str_append_char(out, '\\');
		str_append_char(out, *field);
	}
}

static char *fix_password(const struct refused *c)
{
	struct str out = {0};

	str_append(&out, "a line in ~/.pgpass (chmod 600) of the user that keepfs runs as: ");
	append_password_field(&out, password_host(c));
	str_appendf(&out, ":%s:*:", c->port ? c->port : "5432");
	append_password_field(&out, str_or_empty(c->user));
	str_append(&out, ":PASSWORD");
	return str_take(&out);
}

/* The address that the server itself has seen, as it quotes it. */
static char *address_in(const char *words)
{
	static const char mark[] = "for host \"";
	const char *from = strstr(words, mark);

	if (!from)
		return mem_strdup("samehost");
	from += strlen(mark);
	return mem_printf("%.*s/%s", (int)strcspn(from, "\""), from, strchr(from, ':') ? "128" : "32");
}

static char *fix_hba(const struct refused *c, const char *words)
{
	_cleanup(free) char *address = is_local(c) ? mem_strdup("") : address_in(words);

	return mem_printf(
	        "a line in the server's pg_hba.conf, then SELECT pg_reload_conf(): %s \"%s\" \"%s\" %s scram-sha-256",
	        is_local(c) ? "local" : "host", str_or_empty(c->database), str_or_empty(c->user), address);
}

static char *fix_peer(const struct refused *c)
{
	const char *self = getenv("USER");

	return mem_printf(
	        "connect as the role that is named like the system's user (user=%s in 'database'; keepfs check --fix makes that role), "
	        "or lines in the server's pg_ident.conf: keepfs %s \"%s\" and pg_hba.conf: local all \"%s\" peer map=keepfs",
	        geteuid() == 0 ? "root" : str_or_empty(self), geteuid() == 0 ? "root" : str_or_empty(self),
	        str_or_empty(c->user), str_or_empty(c->user));
}

static char *fix_authorization(const struct refused *c, const char *words)
{
	if (strstr(words, "pg_hba.conf"))
		return fix_hba(c, words);
	if (strstr(words, "eer authentication failed"))
		return fix_peer(c);
	if (strstr(words, "not permitted to log in"))
		return statement_about("ALTER ROLE ", c->user, " LOGIN;");
	if (strstr(words, "does not exist"))
		return statement_about("CREATE ROLE ", c->user, " LOGIN;");
	return NULL;
}

char *pg_fix_refusal(const char *conninfo, const char *database, const struct error *err)
{
	_cleanup(refused) struct refused c = {
	        .host = conninfo_setting(conninfo, "host"),
	        .port = conninfo_setting(conninfo, "port"),
	        .user = conninfo_setting(conninfo, "user"),
	        .database = database ? mem_strdup(database) : pg_conninfo_database(conninfo),
	};

	if (str_starts(err->code, "28P") ||
	    (!err->code[0] && err->class == ERROR_DENIED && strstr(err->message, "password")))
		return fix_password(&c);
	if (str_starts(err->code, "28"))
		return fix_authorization(&c, err->message);
	if (str_equal(err->code, "42501")) {
		_cleanup(free) char *grant =
		        statement_about("GRANT CONNECT ON DATABASE ", c.database, " TO ");

		return statement_about(grant, c.user, ";");
	}
	if (str_equal(err->code, "3D000"))
		return mem_strdup(
		        "correct the name in 'database' or 'databases' of the job; psql -l lists those that there are");
	if (!err->code[0] && err->class == ERROR_UNAVAILABLE && is_local(&c))
		return mem_strdup("systemctl start postgresql");
	return NULL;
}
