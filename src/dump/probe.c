// SPDX-License-Identifier: Apache-2.0
/*
 * The databases of one job, and the pg_dump for their server. When the server does not answer for one
 * database, the others of the job are not tried: each would wait as long for the same answer.
 */
#include "dump.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/pg/rights.h>
#include <keepfs/policy/databases.h>

#include <stdio.h>
#include <string.h>

#define NAME_BYTES     64 /* of an item of the probe */
#define MEMBERS_SHOWN  10
#define MEMBERS_PROBED 10
#define MANY_MEMBERS   2000 /* their classes are not counted */
#define CLASSES_SHOWN  8

struct server {           /* what the databases of one job have told of it */
	int version_num;  /* 0: not known yet */
	char silent[256]; /* the database for which it did not answer; "" */
};

static void item_name(char *buf, size_t buf_bytes, const struct conf_job *job, const char *database)
{
	snprintf(buf, buf_bytes, "database %s/%s", job->name, database);
}

static void add_unreadable(const struct make_findings *p, const char *name, const char *fix,
                           const struct pg_facts *f)
{
	if (f->version_num >= 140000)
		make_found_mendable(
		        p, name, fix,
		        "user %s may not read table %s, so pg_dump would fail; as a superuser: GRANT pg_read_all_data TO \"%s\"",
		        f->user, f->unreadable_table, f->user);
	else
		make_found_mendable(
		        p, name, fix,
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
	_cleanup(free) char *fix = pg_fix_rights(f, has_large_objects(job));
	char size[32];

	if (f->pooler == PG_POOLER_OF_TRANSACTIONS) {
		make_found_mendable(
		        p, name, "pool_mode = session (in pgbouncer.ini, for this database)",
		        "the connection leads to a pooler that gives each transaction another session of the server, which pg_dump cannot be used with: "
		        "connect to the server itself, or to a pool with pool_mode = session");
	} else if (f->unreadable_table[0]) {
		add_unreadable(p, name, fix, f);
	} else if (f->rls_table[0]) {
		make_found_mendable(
		        p, name, fix,
		        "row security of table %s applies to user %s, so pg_dump would refuse; as a superuser: "
		        "ALTER ROLE \"%s\" BYPASSRLS, or back up as the owner of the tables",
		        f->rls_table, f->user, f->user);
	} else if (f->unreadable_large_object[0] && has_large_objects(job)) {
		make_found_mendable(
		        p, name, fix,
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
		_cleanup(free) char *fix = pg_fix_refusal(job->dump.database, database, &err);

		make_found_mendable(p, name, fix, "%s", err.message);
		if (is_silence(&err))
			str_copy(server->silent, sizeof(server->silent), label);
		return;
	}
	server->version_num = facts.version_num;
	add_facts(p, job, name, &facts);
}

static void add_missing_program(const struct make_findings *p, const char *name, const struct server *server,
                                const struct error *err)
{
	_cleanup(free) char *fix =
	        server->version_num >= 100000
	                ? mem_printf("apt-get install postgresql-client-%d", server->version_num / 10000)
	                : NULL;

	make_found_mendable(p, name, fix, "%s", err->message);
}

static void probe_program(const struct make_findings *p, const struct conf_job *job,
                          const struct server *server)
{
	char path[PG_PATH_BYTES], version[128], name[NAME_BYTES];
	struct error err = {0};

	snprintf(name, sizeof(name), "pg_dump %s", job->name);
	if (pg_find_program("pg_dump", job->dump.pg_bindir, server->version_num, path, version, &err) < 0)
		add_missing_program(p, name, server, &err);
	else if (server->version_num == 0)
		make_found(p, true, name,
		           "pg_dump %s is there; whether it is new enough is known when the server answers",
		           version);
	else
		make_found(p, true, name, "%s, version %s, fits the server", path, version);
}

/* "30 paid, 12 demo, 1 without class" */
static void count_classes(const struct make_targets *targets, struct str *out)
{
	size_t without = 0, shown = 0;

	for (size_t i = 0; i < targets->count; i++) {
		const char *class = targets->items[i].class;
		size_t count = 0, before = 0;

		without += !class;
		for (size_t k = 0; class && k < targets->count; k++) {
			bool same = str_equal(targets->items[k].class, class);

			count += same;
			before += same && k < i;
		}
		if (class && before == 0 && shown++ < CLASSES_SHOWN)
			str_appendf(out, "%s%zu %s", out->len > 0 ? ", " : "", count, class);
	}
	if (shown > CLASSES_SHOWN)
		str_appendf(out, ", %zu classes in all", shown);
	if (out->len > 0 && without > 0)
		str_appendf(out, ", %zu without class", without);
}

static void tell_members(const struct make_findings *p, const struct conf_job *job,
                         const struct make_targets *targets)
{
	_cleanup(str) struct str classes = {0}, names = {0};
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "registry %s", job->name);
	if (targets->failure) {
		make_found(p, false, name, "%s", targets->failure);
		return;
	}
	if (targets->count <= MANY_MEMBERS)
		count_classes(targets, &classes);
	for (size_t i = 0; i < targets->count && i < MEMBERS_SHOWN; i++)
		str_appendf(&names, "%s%s", i > 0 ? ", " : "", targets->items[i].label);
	make_found(p, true, name, "names %zu databases%s%s%s: %s%s", targets->count,
	           classes.len > 0 ? " (" : "", str_text(&classes), classes.len > 0 ? ")" : "",
	           str_text(&names), targets->count > MEMBERS_SHOWN ? ", …" : "");
}

/* Of hundreds of databases the first ones stand for all: they are of one server, and mostly of one kind. */
static void probe_members(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_findings *p, struct server *server)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct make_wanted all = {0};
	struct error err = {0};
	char name[NAME_BYTES];
	int r = members_targets(ctx, job, &all, &targets, &err);

	if (r < 0) {
		snprintf(name, sizeof(name), "registry %s", job->name);
		make_found(p, false, name, "%s", err.message);
		return;
	}
	tell_members(p, job, &targets);
	for (size_t i = 0; i < targets.count && i < MEMBERS_PROBED; i++)
		probe_database(p, job, targets.items[i].name, server);
}

void dump_check(const struct make_context *ctx, const struct conf_job *job, const struct make_findings *p)
{
	enum databases_kind kind = databases_kind_of(job->dump.databases);
	struct server server = {0};

	if (kind == DATABASES_OWN)
		probe_database(p, job, NULL, &server);
	else if (kind != DATABASES_NAMED)
		probe_members(ctx, job, p, &server);
	for (size_t i = 0; kind == DATABASES_NAMED && job->dump.databases[i]; i++)
		probe_database(p, job, job->dump.databases[i], &server);
	probe_program(p, job, &server);
	if (server.version_num > 0 && ctx->repository->catalog)
		dump_look_around(ctx, job, NULL, NULL);
}

/* The one that is asked for the others, and these: ended by NULL, borrowed from @own and @targets. */
static const char **names_with_rights(const char *own, const struct make_targets *targets)
{
	const char **names = mem_array(targets->count + 2, sizeof(*names));
	size_t count = 0;

	if (own)
		names[count++] = own;
	for (size_t i = 0; i < targets->count; i++)
		if (!str_equal(targets->items[i].name, own))
			names[count++] = targets->items[i].name;
	names[count] = NULL;
	return names;
}

/* Without an answer there is at least what has to be asked. */
static void add_rights_of_members(const struct make_context *ctx, const struct conf_job *job,
                                  struct pg_role_request *request, struct str *script)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	_cleanup(free) char *own = pg_conninfo_database(job->dump.database);
	_cleanup(free) const char **names = NULL;
	const struct make_wanted all = {0};
	struct error err = {0};
	int r = members_targets(ctx, job, &all, &targets, &err);

	if (r < 0 || targets.failure) {
		str_append(script, "\n-- Not all databases of the following job are known yet: ");
		str_append_line(script, r < 0 ? err.message : targets.failure);
		str_append(script,
		           "\n-- Mend that, and make this script once more: it will have the others.\n");
	}
	names = names_with_rights(own, &targets);
	request->databases = names;
	pg_role_script(request, script);
}

void dump_rights(const struct make_context *ctx, const struct conf_job *job, struct str *script)
{
	_cleanup(free) char *title = mem_printf("[backup %s]", job->name);
	enum databases_kind kind = databases_kind_of(job->dump.databases);
	struct pg_role_request request = {
	        .title = title,
	        .conninfo = job->dump.database,
	        .databases = kind == DATABASES_NAMED ? (const char *const *)job->dump.databases : NULL,
	        .large_objects = has_large_objects(job),
	        .globals = conf_dump_has_globals(&job->dump),
	};

	if (kind == DATABASES_MATCHED || kind == DATABASES_QUERY)
		add_rights_of_members(ctx, job, &request, script);
	else
		pg_role_script(&request, script);
}
