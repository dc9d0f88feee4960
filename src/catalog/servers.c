// SPDX-License-Identifier: Apache-2.0
/* Which server a job leads to, and what databases that one has: written by runs, as they see it. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/members.h>

/* A server to which no job leads any more is forgotten with what was known of it. */
static int forget_servers(struct connection *c)
{
	static const char sql[] =
	        "DELETE FROM server_database WHERE server NOT IN (SELECT server FROM job_server)";

	return db_run(c, sql, NULL, 0);
}

static int set_server(struct connection *c, const char *job, const char *server, const char *const *names,
                      size_t count)
{
	static const char job_sql[] = "INSERT INTO job_server (job, server) VALUES (?1, ?2)"
	                              " ON CONFLICT (job) DO UPDATE SET server = excluded.server";
	static const char clear_sql[] = "DELETE FROM server_database WHERE server = ?1";
	static const char insert_sql[] =
	        "INSERT OR IGNORE INTO server_database (server, name) VALUES (?1, ?2)";
	int r = db_run(c, job_sql, VALUES(text_value(job), text_value(server)));

	if (r == 0)
		r = db_run(c, clear_sql, VALUES(text_value(server)));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(c, insert_sql, VALUES(text_value(server), text_value(names[i])));
	return r < 0 ? r : forget_servers(c);
}

int catalog_set_server(struct catalog *c, const char *job, const char *server, const char *const *names,
                       size_t count, struct error *err)
{
	return TRANSACTION(c, err, set_server(c->writer, job, server, names, count));
}

int catalog_job_server(struct catalog *c, const char *job, char *ret_server, size_t ret_bytes)
{
	static const char sql[] = "SELECT server FROM job_server WHERE job = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = query_one(&query);

	if (r == 0)
		column_text(query.row, 0, ret_server, ret_bytes);
	return r;
}

int catalog_each_server_database(struct catalog *c,
                                 void (*row)(void *arg, const char *server, const char *name), void *arg)
{
	static const char sql[] = "SELECT server, name FROM server_database ORDER BY server, name";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}
