// SPDX-License-Identifier: Apache-2.0
/*
 * A tenant with a schema or a database of its own. The schema is dropped in the transaction that has looked at it, with locks that let nobody in. A database cannot
 * be dropped within a transaction: nobody can connect to it from before it is looked at, and what was not exported of it is in a last backup.
 */
#include "leave_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/dump.h>
#include <keepfs/pg/manage.h>
#include <keepfs/pg/tenant_drop.h>

#include <errno.h>
#include <inttypes.h>

/* Schemas. */

struct names {
	struct str text;
	size_t count;
};

static int note_name(void *arg, const char *name, struct error *err)
{
	struct names *n = arg;

	if (n->count++ < LEAVE_NAMES_SHOWN)
		str_appendf(&n->text, "%s%s", n->text.len > 0 ? ", " : "", name);
	return 0;
}

static void add_names(struct names *n, const char *before, const char *behind, struct str *why)
{
	if (n->count > 0)
		str_appendf(why, "%s%s%s%s%s", why->len > 0 ? "; " : "", before, str_text(&n->text),
		            n->count > LEAVE_NAMES_SHOWN ? " and more" : "", behind);
	str_finish(&n->text);
	*n = (struct names){0};
}

int leaving_check_schema(struct leaving *l, struct pg_session *s, struct str *why, struct error *err)
{
	struct names names = {0};
	int r = leaving_check(l, s, why, err);

	if (r == 0)
		r = pg_schema_others(s, l->of.schema, l->oids, l->count, note_name, &names, err);
	add_names(&names, "", " have rows that are in no export", why);
	if (r == 0)
		r = pg_schema_dependents(s, l->of.schema, note_name, &names, err);
	add_names(&names, "", " would be dropped, too, and belong to others", why);
	return r;
}

/* The transactions for which the drop has waited may have made tables that nobody had seen. */
static int check_newer(const struct leaving *l, struct pg_session *outside, const char *tables,
                       struct error *err)
{
	_cleanup(str) struct str why = {0};
	struct names names = {0};
	int r = pg_schema_newer(outside, l->of.schema, tables, note_name, &names, err);

	add_names(&names, "", " were made meanwhile, and are in no export", &why);
	return r == 0 && why.len > 0 ? error_set(err, ERROR_CONFLICT, EBUSY, "%s", str_text(&why)) : r;
}

static int drop_schema_within(struct leaving *l, struct pg_session *s, struct pg_session *outside,
                              struct error *err)
{
	_cleanup(free) char *tables = NULL;
	_cleanup(str) struct str why = {0};
	int r = pg_delete_begin(s, err);

	if (r == 0)
		r = pg_schema_tables(s, l->of.schema, &tables, err);
	if (r == 0)
		r = pg_schema_lock(s, l->of.schema, err);
	if (r == 0)
		r = leaving_list(l, s, 0, l->rows, err);
	if (r == 0)
		r = leaving_check_schema(l, s, &why, err);
	if (r == 0 && why.len > 0)
		r = error_set(err, ERROR_CONFLICT, EBUSY, "%s", str_text(&why));
	if (r == 0)
		r = pg_schema_drop(s, l->of.schema, err);
	if (r == 0)
		r = check_newer(l, outside, tables, err);
	if (r == 0)
		r = pg_delete_commit(s, err);
	if (r < 0)
		pg_delete_roll_back(s);
	return r;
}

static int drop_schema(struct leaving *l, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL, *outside = NULL;
	int r = pg_delete_open(l->of.conf->database, NULL, l->of.cancel, &s, err);

	if (r == 0)
		r = pg_session_open(l->of.conf->database, NULL, "keepfs export", l->of.cancel, &outside, err);
	return r < 0 ? r : drop_schema_within(l, s, outside, err);
}

/* The last backup of a database. */

struct last_backup {
	struct conf_job *job;
	struct make_targets targets;
};

static void finish_last_backup(struct last_backup *b)
{
	make_targets_finish(&b->targets);
	conf_job_free(b->job);
	*b = (struct last_backup){0};
}

static bool is_whole_dump(const struct conf_dump *d)
{
	char **const lists[] = {d->schemas, d->exclude_schemas, d->tables, d->exclude_tables,
	                        d->exclude_table_data};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (lists[i] && lists[i][0])
			return false;
	return d->content == CONF_CONTENT_FULL;
}

static int look_at_database(const struct leaving *l, const char *server, struct pg_database_look *ret,
                            struct error *err)
{
	const struct pg_server_place place = {.server = server, .cancel = l->of.cancel};

	return pg_database_look(&place, l->of.database, ret, err);
}

/* Two names of one server are one server when they tell of the same start. */
static bool is_same_server(const struct leaving *l, const char *server)
{
	struct pg_database_look here, there;
	struct error ignored = {0};

	return look_at_database(l, l->of.conf->database, &here, &ignored) == 0 &&
	       look_at_database(l, server, &there, &ignored) == 0 && here.exists && there.exists &&
	       here.instance[0] && str_equal(here.instance, there.instance);
}

static bool covers_database(const struct leaving *l, const struct conf_job *job, struct last_backup *ret)
{
	const struct make_wanted wanted = {
	        .database = l->of.database, .is_final = true, .cancel = l->of.cancel};
	struct error ignored = {0};
	bool partial = false;

	if (job->kind != CONF_JOB_DUMP || !is_whole_dump(&job->dump) ||
	    !is_same_server(l, job->dump.database))
		return false;
	if (dump_kind.targets(l->of.ctx, job, &wanted, &ret->targets, &ignored) == 0 &&
	    ret->targets.count == 1 && !ret->targets.items[0].problem &&
	    conf_job_override(job, NULL, NULL, 0, &ret->job, &partial, &ignored) == 0)
		return true;
	finish_last_backup(ret);
	return false;
}

static int find_last_backup(const struct leaving *l, struct last_backup *ret, struct error *err)
{
	const struct conf *conf = l->of.ctx->conf;

	for (size_t i = 0; i < conf->job_count; i++)
		if (covers_database(l, &conf->jobs[i], ret))
			return 0;
	return error_set(
	        err, ERROR_USAGE, EPERM,
	        "no [backup] of the configuration makes whole dumps of the database %s, and so there can be no last backup of it: add one, or its name to the databases of one",
	        l->of.database);
}

/* Read back whatever the job says. */
static int make_last_backup(struct leaving *l, struct error *err)
{
	struct last_backup backup = {0};
	struct make_order order = *l->of.order;
	_cleanup(manifest) struct manifest m = {0};
	int r = find_last_backup(l, &backup, err);

	if (r == 0) {
		backup.job->verify = CONF_VERIFY_READBACK;
		order.job = backup.job;
		order.target = &backup.targets.items[0];
		order.shared = backup.targets.shared;
		order.partial = false;
		make_say(l->of.order, "the last backup of %s, by the job %s", l->of.database,
		         backup.job->name);
		r = dump_kind.make(l->of.ctx, &order, &m, err);
		if (r < 0)
			error_prefix(err, "the last backup of the database %s", l->of.database);
	}
	if (r == 0)
		make_say(l->of.order, "the last backup of %s is %s", l->of.database, m.path);
	finish_last_backup(&backup);
	return r;
}

/* Databases. */

static int check_database(struct leaving *l, struct pg_session *s, struct error *err)
{
	_cleanup(str) struct str why = {0};
	struct names names = {0};
	int r = pg_database_alone(s, err);

	if (r <= 0)
		return r < 0 ? r : -EBUSY;
	r = pg_delete_begin(s, err);
	if (r == 0)
		r = leaving_list(l, s, 0, l->rows, err);
	if (r == 0)
		r = leaving_check(l, s, &why, err);
	if (r == 0)
		r = pg_schema_others(s, NULL, l->oids, l->count, note_name, &names, err);
	add_names(&names, "", " were made after the export, and have rows that are perhaps in no backup",
	          &why);
	pg_delete_roll_back(s);
	return r == 0 && why.len > 0 ? error_set(err, ERROR_CONFLICT, EBUSY, "%s", str_text(&why)) : r;
}

/* @other: a session of another database. */
static int drop_closed(struct leaving *l, struct pg_session *s, struct pg_session *other, struct error *err)
{
	struct error ignored = {0};
	int r = pg_database_close(other, l->of.database, false, err);

	if (r < 0) {
		pg_session_free(s);
		return r;
	}
	r = check_database(l, s, err);
	pg_session_free(s);
	if (r == 0)
		r = pg_database_drop_closed(other, l->of.database, err);
	if (r < 0 && pg_database_close(other, l->of.database, true, &ignored) < 0)
		make_warn(
		        l->of.order,
		        "nobody can connect to the database %s: it was to be dropped, and %s; ALTER DATABASE … ALLOW_CONNECTIONS true lets them in again",
		        l->of.database, r == -EINPROGRESS ? "may be there" : "is there");
	return r;
}

static int drop_database(struct leaving *l, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL, *other = NULL;
	int r = make_last_backup(l, err);

	if (r == 0)
		r = pg_delete_open(l->of.conf->database, l->of.database, l->of.cancel, &s, err);
	if (r == 0)
		r = pg_session_open(l->of.conf->database, NULL, "keepfs export", l->of.cancel, &other, err);
	if (r == 0)
		r = check_database(l, s, err);
	return r < 0 ? r : drop_closed(l, take_ptr(&s), other, err);
}

int leaving_drop(struct leaving *l, struct error *err)
{
	int r = l->of.schema ? drop_schema(l, err) : drop_database(l, err);

	if (r == 0)
		l->gone = l->rows;
	else if (r == -EINPROGRESS)
		error_prefix(err, "the export is whole, and look whether the %s is there",
		             l->of.schema ? "schema" : "database");
	else
		error_prefix(err, "the export is whole, but nothing was deleted");
	return r;
}
