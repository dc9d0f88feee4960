// SPDX-License-Identifier: Apache-2.0
/*
 * The databases of one job, and the pg_dump for their server. When the server does not answer for one
 * database, the others of the job are not tried: each would wait as long for the same answer.
 */
#include "dump.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 64 /* of an item of the probe */

struct server {           /* what the databases of one job have told of it */
	int version_num;  /* 0: not known yet */
	char silent[256]; /* the database for which it did not answer; "" */
};

static void item_name(char *buf, size_t buf_bytes, const struct conf_job *job, const char *database)
{
	snprintf(buf, buf_bytes, "database %s/%s", job->name, database);
}

static void add_unreadable(const struct make_findings *p, const char *name, const struct pg_facts *f)
{
	if (f->version_num >= 140000)
		make_found(
		        p, false, name,
		        "user %s may not read table %s, so pg_dump would fail; as a superuser: GRANT pg_read_all_data TO \"%s\"",
		        f->user, f->unreadable_table, f->user);
	else
		make_found(p, false, name,
		           "user %s may not read table %s, so pg_dump would fail; as its owner: GRANT SELECT "
		           "ON ALL TABLES "
		           "IN SCHEMA ... TO \"%s\", for each schema",
		           f->user, f->unreadable_table, f->user);
}

/* As pg_dump has it: what chooses schemas or tables leaves them out. */
static bool has_large_objects(const struct conf_job *job)
{
	return job->dump.content != CONF_CONTENT_SCHEMA && !(job->dump.schemas && job->dump.schemas[0]) &&
	       !(job->dump.tables && job->dump.tables[0]);
}

static void add_facts(const struct make_findings *p, const struct conf_job *job, const char *name,
                      const struct pg_facts *f)
{
	char size[32];

	if (f->pooler == PG_POOLER_OF_TRANSACTIONS) {
		make_found(
		        p, false, name,
		        "the connection leads to a pooler that gives each transaction another session of the server, which pg_dump cannot be used with: "
		        "connect to the server itself, or to a pool with pool_mode = session");
	} else if (f->unreadable_table[0]) {
		add_unreadable(p, name, f);
	} else if (f->rls_table[0]) {
		make_found(
		        p, false, name,
		        "row security of table %s applies to user %s, so pg_dump would refuse; as a superuser: "
		        "ALTER ROLE \"%s\" BYPASSRLS, or back up as the owner of the tables",
		        f->rls_table, f->user, f->user);
	} else if (f->unreadable_large_object[0] && has_large_objects(job)) {
		make_found(
		        p, false, name,
		        "user %s may not read large object %s, so pg_dump would fail; as a superuser: "
		        "ALTER ROLE \"%s\" SET lo_compat_privileges = on (which lets it write them, too), or back up as their owner",
		        f->user, f->unreadable_large_object, f->user);
	} else {
		str_format_bytes(size, sizeof(size), f->database_bytes);
		make_found(p, true, name, "PostgreSQL %s, as user %s, who may read %s%s%s", f->version,
		           f->user, f->unreadable_large_object[0] ? "what the job dumps" : "everything",
		           f->database_bytes > 0 ? "; size " : "", f->database_bytes > 0 ? size : "");
	}
}

/* What has a SQLSTATE was said by a server, which will say something of the next database as well. */
static bool is_silence(const struct error *err)
{
	return !err->code[0] && (err->class == ERROR_UNAVAILABLE || err->class == ERROR_TIMEOUT);
}

static void probe_database(const struct make_findings *p, const struct conf_job *job, const char *database,
                           struct server *server)
{
	_cleanup(free) char *own = database ? NULL : pg_conninfo_database(job->dump.database);
	const char *label = database ? database : own ? own : "?";
	struct pg_facts facts = {0};
	struct error err = {0};
	char name[NAME_BYTES];

	item_name(name, sizeof(name), job, label);
	if (server->silent[0]) {
		make_found(p, false, name, "not tried: the server did not answer for database %s",
		           server->silent);
		return;
	}
	if (pg_learn(job->dump.database, database, NULL, &facts, &err) < 0) {
		make_found(p, false, name, "%s", err.message);
		if (is_silence(&err))
			str_copy(server->silent, sizeof(server->silent), label);
		return;
	}
	server->version_num = facts.version_num;
	add_facts(p, job, name, &facts);
}

static void probe_program(const struct make_findings *p, const struct conf_job *job,
                          const struct server *server)
{
	char path[PG_PATH_BYTES], version[128], name[NAME_BYTES];
	struct error err = {0};

	snprintf(name, sizeof(name), "pg_dump %s", job->name);
	if (pg_find_program("pg_dump", job->dump.pg_bindir, server->version_num, path, version, &err) < 0)
		make_found(p, false, name, "%s", err.message);
	else if (server->version_num == 0)
		make_found(p, true, name,
		           "pg_dump %s is there; whether it is new enough is known when the server answers",
		           version);
	else
		make_found(p, true, name, "%s, version %s, fits the server", path, version);
}

void dump_check(const struct conf_job *job, const struct make_findings *p)
{
	struct server server = {0};

	if (!job->dump.databases || !job->dump.databases[0])
		probe_database(p, job, NULL, &server);
	for (size_t i = 0; job->dump.databases && job->dump.databases[i]; i++)
		probe_database(p, job, job->dump.databases[i], &server);
	probe_program(p, job, &server);
}
