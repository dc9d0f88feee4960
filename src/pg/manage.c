// SPDX-License-Identifier: Apache-2.0
/*
 * Databases as wholes. ALTER DATABASE … RENAME takes a lock that every new session of that database waits for, and then waits itself for
 * up to five seconds until those that are there have ended. So sessions are ended in the same transaction, just before: one that comes in
 * between the two makes it fail, and it is tried again. Since all of it is one transaction, a crash leaves either names as they were
 * or as they shall be, and nothing that keeps people out.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/lacking.h>
#include <keepfs/pg/session.h>

#include <errno.h>

#define SWAP_TRIES    5
#define SWAP_PAUSE_MS 200

static int open_with_limit(const struct pg_server_place *place, const char *database, struct pg_session **ret,
                           struct error *err)
{
	int r = pg_session_open(place->server, database, "keepfs", place->cancel, ret, err);

	if (r == 0)
		(*ret)->limit_ms = place->limit_ms;
	return r;
}

int session_open_at(const struct pg_server_place *place, const char *database, struct pg_session **ret,
                    struct error *err)
{
	int r = open_with_limit(place, database ? database : "postgres", ret, err);

	return r == -ENOENT && !database ? open_with_limit(place, "template1", ret, err) : r;
}

static const char *row_text(const struct pg_row *row, int column)
{
	return str_or_empty(row->values[column]);
}

static int take_look(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_database_look *look = arg;

	look->version_num = (int)strtol(row_text(row, 0), NULL, 10);
	str_copy(look->directory, sizeof(look->directory), row_text(row, 1));
	look->exists = row->values[2];
	str_copy(look->owner, sizeof(look->owner), row_text(row, 2));
	look->bytes = strtoull(row_text(row, 3), NULL, 10);
	look->sessions = (unsigned)strtoul(row_text(row, 4), NULL, 10);
	look->prepared = (unsigned)strtoul(row_text(row, 5), NULL, 10);
	str_copy(look->instance, sizeof(look->instance), row_text(row, 6));
	look->is_here = str_equal(row_text(row, 7), "t");
	return 0;
}

int pg_database_look(const struct pg_server_place *place, const char *database, struct pg_database_look *ret,
                     struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(free) char *name = pg_quote_literal(database);
	/* data_directory is a row of pg_settings only for those who may see it. */
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.current_setting('server_version_num'),"
	        " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'),"
	        " pg_catalog.pg_get_userbyid(d.datdba),"
	        " CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END,"
	        " (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid),"
	        " (SELECT count(*) FROM pg_catalog.pg_prepared_xacts x WHERE x.database = d.datname),"
	        " pg_catalog.pg_postmaster_start_time() AT TIME ZONE 'UTC',"
	        " coalesce(pg_catalog.inet_server_addr() = pg_catalog.inet_client_addr(), true)"
	        " FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_database d ON d.datname = %s",
	        name);
	int r = session_open_at(place, NULL, &s, err);

	*ret = (struct pg_database_look){0};
	return r < 0 ? r : pg_session_rows(s, sql, take_look, ret, err);
}

struct sessions {
	struct pg_database_session *items;
	size_t count, max;
};

static int take_session(void *arg, const struct pg_row *row, struct error *err)
{
	struct sessions *found = arg;
	struct pg_database_session *one = &found->items[found->count];

	if (found->count == found->max)
		return 0;
	*one = (struct pg_database_session){0};
	str_cut(one->user, sizeof(one->user), row_text(row, 0));
	str_cut(one->application, sizeof(one->application), row_text(row, 1));
	str_cut(one->address, sizeof(one->address), row_text(row, 2));
	str_cut(one->since, sizeof(one->since), row_text(row, 3));
	found->count++;
	return 0;
}

ssize_t pg_database_sessions(const struct pg_server_place *place, const char *database,
                             struct pg_database_session *ret, size_t max, struct error *err)
{
	struct sessions found = {.items = ret, .max = max};
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(free) char *name = pg_quote_literal(database);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT usename, application_name,"
	        " CASE WHEN client_port = -1 THEN 'local' ELSE pg_catalog.host(client_addr) END,"
	        " pg_catalog.to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
	        " FROM pg_catalog.pg_stat_activity WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid()"
	        " ORDER BY backend_start NULLS LAST, pid LIMIT %zu",
	        name, max);
	int r = session_open_at(place, NULL, &s, err);

	if (r == 0)
		r = pg_session_rows(s, sql, take_session, &found, err);
	return r < 0 ? r : (ssize_t)found.count;
}

int pg_database_make(const struct pg_server_place *place, const char *const *statements, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	int r = session_open_at(place, NULL, &s, err);

	for (; r == 0 && *statements; statements++)
		r = pg_session_run(s, *statements, err);
	return r;
}

int pg_database_own(const struct pg_server_place *place, const char *database, const char *owner,
                    struct error *err)
{
	_cleanup(free) char *name = pg_quote_name(database), *role = pg_quote_name(owner);
	_cleanup(free) char *sql = mem_printf("ALTER DATABASE %s OWNER TO %s", name, role);
	const char *const statements[] = {sql, NULL};

	return pg_database_make(place, statements, err);
}

/* Of the session's own database nobody ends anything: it is none of those that are renamed. */
static void append_ending_sessions(struct str *sql, const char *database)
{
	_cleanup(free) char *name = pg_quote_literal(database);

	str_appendf(sql,
	            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
	            " WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid(); ",
	            name);
}

static void append_renaming(struct str *sql, const char *from, const char *to)
{
	_cleanup(free) char *old_name = pg_quote_name(from), *new_name = pg_quote_name(to);

	append_ending_sessions(sql, from);
	str_appendf(sql, "ALTER DATABASE %s RENAME TO %s; ", old_name, new_name);
}

int pg_database_drop(const struct pg_server_place *place, const char *database, struct error *err)
{
	_cleanup(str) struct str ending = {0};
	_cleanup(free) char *name = pg_quote_name(database);
	_cleanup(free) char *drop = mem_printf("DROP DATABASE IF EXISTS %s", name);
	/* A dump of a template has made it one, and nobody may drop such a one. */
	_cleanup(free) char *common = mem_printf("ALTER DATABASE %s IS_TEMPLATE false", name);
	const char *statements[4] = {0};
	struct pg_database_nature nature;
	int r = pg_database_nature(place, database, &nature, err);
	size_t n = 0;

	append_ending_sessions(&ending, database);
	statements[n++] = str_text(&ending);
	if (nature.is_template)
		statements[n++] = common;
	statements[n++] = drop;
	return r < 0 ? r : pg_database_make(place, statements, err);
}

/* The statements of one call are one transaction. */
int pg_database_swap(const struct pg_server_place *place, const struct pg_database_swap *names,
                     struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(str) struct str sql = {0};
	struct pg_database_look look = {0};
	int r = names->before[0] ? pg_database_look(place, names->living, &look, err) : 0;

	if (r == 0 && look.exists)
		append_renaming(&sql, names->living, names->before);
	append_renaming(&sql, names->made, names->living);
	if (r == 0)
		r = session_open_at(place, NULL, &s, err);
	for (int i = 1; r == 0; i++) {
		r = pg_session_run(s, str_text(&sql), err);
		/* object_in_use: somebody has connected in between */
		if (r == 0 || i == SWAP_TRIES || !err || !str_equal(err->code, "55006") ||
		    cancel_sleep_ms(place->cancel, SWAP_PAUSE_MS))
			break;
		r = 0;
	}
	return r;
}

int pg_database_analyze(const struct pg_server_place *place, const char *database, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	int r = session_open_at(place, database, &s, err);

	return r < 0 ? r : pg_session_run(s, "SET statement_timeout = 0; ANALYZE", err);
}

static int take_missing(void *arg, const struct pg_row *row, struct error *err)
{
	struct str *missing = arg;

	str_appendf(missing, "%s%s", missing->len > 0 ? ", " : "", row_text(row, 0));
	return 0;
}

int pg_roles_missing(const struct pg_server_place *place, const char *const *roles, struct str *ret,
                     struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(str) struct str sql = {0};
	int r;

	if (!*roles)
		return 0;
	str_append(&sql, "SELECT r FROM pg_catalog.unnest(ARRAY[");
	for (size_t i = 0; roles[i]; i++) {
		_cleanup(free) char *role = pg_quote_literal(roles[i]);

		str_appendf(&sql, "%s%s", i > 0 ? ", " : "", role);
	}
	str_append(&sql, "]::text[]) r WHERE r NOT IN (SELECT rolname FROM pg_catalog.pg_roles) ORDER BY r");
	r = session_open_at(place, NULL, &s, err);
	return r < 0 ? r : pg_session_rows(s, str_text(&sql), take_missing, ret, err);
}

int pg_database_check(const struct pg_server_place *place, const char *database, const char *sql,
                      char **ret_value, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	int r = session_open_at(place, database, &s, err);

	if (r == 0)
		r = pg_session_run(s, "SET default_transaction_read_only = on", err);
	return r < 0 ? r : pg_session_value(s, sql, ret_value, err);
}
