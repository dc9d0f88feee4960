// SPDX-License-Identifier: Apache-2.0
/* Which databases a server has, and how large they are. Asked of whatever database lets us in. */
#include "find.h"
#include "statement.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char about_databases[] =
        "SELECT datname, CASE WHEN may_connect THEN pg_catalog.pg_database_size(oid) ELSE 0 END, may_connect "
        "FROM (SELECT oid, datname, pg_catalog.has_database_privilege(oid, 'CONNECT') AS may_connect "
        "FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate) d "
        "ORDER BY 3 DESC, 2 DESC, datname = 'postgres', datname";

static const char about_version[] = "SELECT pg_catalog.current_setting('server_version')";

static int take_database(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_found_server *s = arg;
	struct pg_found_database *d;

	s->databases = mem_resize(s->databases, s->database_count + 1, sizeof(*s->databases));
	d = &s->databases[s->database_count++];
	*d = (struct pg_found_database){
	        .name = mem_strdup(row->values[0]),
	        .bytes = strtoull(row->values[1], NULL, 10),
	        .may_connect = row->values[2][0] == 't',
	};
	s->bytes += d->bytes;
	return 0;
}

/* The server is there, and it is only that database which is not, or is not for us. */
static bool is_about_database(const struct error *err)
{
	return str_equal(err->code, "3D000") || str_equal(err->code, "42501");
}

static int open_any(const char *conninfo, struct pg_session **ret, struct error *err)
{
	const char *const names[] = {"postgres", "template1", getenv("PGDATABASE")};
	struct error later = {0};
	int r = pg_session_open(conninfo, names[0], "keepfs", NULL, ret, err);

	for (size_t i = 1; r < 0 && is_about_database(err) && i < ARRAY_SIZE(names); i++) {
		if (!names[i] || !*names[i])
			continue;
		r = pg_session_open(conninfo, names[i], "keepfs", NULL, ret, &later);
	}
	return r;
}

int find_databases(struct pg_found_server *server, struct error *err)
{
	_cleanup(pg_session) struct pg_session *session = NULL;
	int r = open_any(server->conninfo, &session, err);

	if (r == 0)
		r = pg_session_value(session, about_version, &server->version, err);
	return r < 0 ? r : pg_session_rows(session, about_databases, take_database, server, err);
}
