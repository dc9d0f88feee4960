// SPDX-License-Identifier: Apache-2.0
/*
 * One tenant brought back from a backup. All that the import does, it does here: rows come into temporary tables, keys and clashes are looked at, what was inserted is
 * compared. To replace a tenant its rows are deleted in the same transaction; an export of them was made, and read back, before.
 */
#include "restore_tenant.h"

#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/export.h>
#include <keepfs/export/copy.h>
#include <keepfs/export/leaving.h>
#include <keepfs/pg.h>
#include <keepfs/use.h>
#include <keepfs/use/erasures.h>
#include <keepfs/use/import.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct restoring_tenant {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf *conf;
	const struct conf_job *job; /* of [export] */
	struct restore_tenant_words words;
	struct tenant_file file;
	const struct exported_head *head;
	struct export_member living; /* zeroed: there is none of that name */
	char *database, *schema;     /* of the tenant that is written; NULL */
	struct pg_import_options options;
	struct pg_session *session;
	struct import *import;
	struct make_targets
	        targets; /* of the export that is made before; its shared part outlives @leaving */
	struct make_order before;
	struct leaving *leaving;
};

static void finish_restoring(struct restoring_tenant *x)
{
	import_free(x->import);
	pg_session_free(x->session);
	leaving_free(x->leaving);
	make_targets_finish(&x->targets);
	tenant_file_close(&x->file);
	export_member_finish(&x->living);
	free(x->database);
	free(x->schema);
}

static void say_of_import(void *arg, const char *line)
{
	make_say(((struct restoring_tenant *)arg)->order, "%s", line);
}

/* Is it what may come back? */

static const struct conf_job *job_of_tenants(const struct conf *conf, struct error *err)
{
	const struct conf_job *job = conf_find_job(conf, CONF_EXPORTS);

	if (job && job->kind == CONF_JOB_EXPORT)
		return job;
	error_set(err, ERROR_USAGE, EINVAL,
	          "nothing says who the tenants are: add a section [export] to the configuration");
	return NULL;
}

static const char *tenancy_word(const struct conf_job *job)
{
	return job->export.tenancy == TENANCY_COLUMN   ? "column"
	       : job->export.tenancy == TENANCY_SCHEMA ? "schema"
	                                               : "database";
}

static int check_erased(const struct restoring_tenant *x, struct error *err)
{
	_cleanup(erasures) struct erasures *e = NULL;
	int r = erasures_load(x->conf, x->ctx->repository, x->order->cancel, &e, err);

	return r < 0 ? r : erasures_check_exported(e, x->file.exported, err);
}

static int check_tenant_file(const struct restoring_tenant *x, struct error *err)
{
	if (!str_equal(x->head->slug, x->words.tenant))
		return error_set(err, ERROR_USAGE, EINVAL, "%s is the data of %.100s, not of %.100s",
		                 x->file.name, x->head->slug, x->words.tenant);
	if (!str_equal(x->head->tenancy, tenancy_word(x->job)))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is of tenants that were kept apart by %.20s, and [export] has tenancy = %s",
		        x->file.name, x->head->tenancy, tenancy_word(x->job));
	if (x->words.mode == RESTORE_TENANT_REPLACE && x->head->redacted_count > 0)
		return error_set(
		        err, ERROR_USAGE, EPERM,
		        "of %zu columns (%s.%s.%s) %s does not have the values, since they were redacted: they would be lost; bring the tenant back from a dump (from=full/20261120T020000Z.dump), which has them",
		        x->head->redacted_count, x->head->redacted[0].schema, x->head->redacted[0].table,
		        x->head->redacted[0].column, x->file.name);
	return check_erased(x, err);
}

/* Whom does it meet? */

static int find_living(struct restoring_tenant *x, struct error *err)
{
	struct error why = {0};
	int r = export_member_ask(x->ctx, x->job, x->words.tenant, x->order->cancel, &x->living, &why);

	if (r == -EINVAL || r == -ENOENT) {
		if (x->words.mode == RESTORE_TENANT_BESIDE)
			return 0;
		return error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "there is no tenant %s to compare with, or to replace (%s); into=%s brings it back",
		        x->words.tenant, why.message, x->words.tenant);
	}
	if (r < 0 && err)
		*err = why;
	if (r < 0)
		return r;
	if (x->words.mode != RESTORE_TENANT_BESIDE && !str_equal(x->living.id, x->head->tenant_id))
		return error_set(err, ERROR_CONFLICT, EEXIST,
		                 "%s is another tenant now: its id is %.60s, that of the backup is %.60s",
		                 x->words.tenant, x->living.id, x->head->tenant_id);
	return 0;
}

/* Where it goes: of tenants with a schema or a database of their own the one of the name that it gets. */
static int choose_place(struct restoring_tenant *x, struct error *err)
{
	_cleanup(export_member) struct export_member own = {0};
	const char *slug = x->words.into ? x->words.into : x->words.tenant;
	int r = export_member_make(x->job, slug, x->head->tenant_id, &own, err);

	if (r < 0)
		return r;
	if (x->job->export.tenancy == TENANCY_DATABASE)
		x->database = take_ptr(&own.own);
	if (x->job->export.tenancy == TENANCY_SCHEMA)
		x->schema = take_ptr(&own.own);
	x->options = (struct pg_import_options){
	        .slug = x->words.into && !str_equal(x->words.into, x->words.tenant) ? x->words.into : NULL,
	        .schema = x->schema,
	        .keep_living = true,
	        .comes_back = true,
	        .references = x->job->export.references,
	        .say = x->words.mode == RESTORE_TENANT_DIFF ? NULL : say_of_import,
	        .arg = x,
	};
	return 0;
}

/* The export of what is there now. */

static int export_living(struct restoring_tenant *x, struct error *err)
{
	const struct make_wanted wanted = {.database = x->words.tenant, .cancel = x->order->cancel};
	_cleanup(manifest) struct manifest m = {0};
	int r = export_kind.targets(x->ctx, x->job, &wanted, &x->targets, err);

	if (r < 0)
		return r;
	x->before = *x->order;
	x->before.job = x->job;
	x->before.line = NULL;
	x->before.target = &x->targets.items[0];
	x->before.shared = x->targets.shared;
	r = export_make_for_replacement(x->ctx, &x->before, &m, &x->leaving, err);
	if (r < 0)
		error_prefix(err, "the export of what %s has now", x->words.tenant);
	else
		make_say(x->order, "what %s has now is kept as %s", x->words.tenant, m.path);
	return r;
}

/* The transaction. */

static int begin_import(struct restoring_tenant *x, struct error *err)
{
	int r = import_open(x->job->export.database, x->database, x->order->cancel, &x->session, err);

	if (r == 0)
		r = import_new(x->session, x->file.exported, &x->options, &x->import, err);
	return r < 0 ? r : import_stage(x->import, err);
}

static void say_difference(void *arg, const struct pg_import_difference *d)
{
	const struct restoring_tenant *x = arg;

	if (d->missing == 0 && d->extra == 0 && d->differing == 0)
		return;
	make_say(x->order,
	         "%s.%s: of %" PRIu64 " rows of the backup %" PRIu64 " are not there now, %" PRIu64
	         " are different%s%s%s; %" PRIu64 " rows came since",
	         d->schema, d->table, d->rows, d->missing, d->differing, *d->columns ? " (" : "", d->columns,
	         *d->columns ? ")" : "", d->extra);
}

static int show_difference(struct restoring_tenant *x, struct error *err)
{
	struct error said = {0};
	int r = begin_import(x, err);

	if (r == 0)
		r = import_plan(x->import, NULL, err);
	if (r < 0)
		return r;
	r = import_compare(x->import, say_difference, x, &said);
	if (r < 0 && err)
		*err = said;
	if (r < 0)
		return r;
	make_say(x->order,
	         r == 0 ? "%s is as it was in %s"
	                : "that is how %s differs from %s; nothing was changed, mode=replace brings it back",
	         x->words.tenant, x->file.name);
	return 0;
}

static int insert_and_compare(struct restoring_tenant *x, struct error *err)
{
	uint64_t rows = 0;
	int r = import_plan(x->import, NULL, err);

	if (r == 0)
		r = import_insert(x->import, &rows, err);
	if (r == 0)
		r = import_compare(x->import, NULL, NULL, err);
	if (r > 0)
		r = -EPERM;
	if (r == 0)
		r = import_commit(x->session, err);
	if (r == 0)
		make_say(x->order, "%s: %" PRIu64 " rows of %s are there",
		         x->words.into ? x->words.into : x->words.tenant, rows, x->file.name);
	return r;
}

static int replace_living(struct restoring_tenant *x, struct error *err)
{
	int r = export_living(x, err);

	if (r == 0)
		r = begin_import(x, err);
	if (r == 0)
		r = leaving_delete_within(x->leaving, x->session, err);
	return r < 0 ? r : insert_and_compare(x, err);
}

static int bring_beside(struct restoring_tenant *x, struct error *err)
{
	int r = begin_import(x, err);

	return r < 0 ? r : insert_and_compare(x, err);
}

static int bring_tenant(struct restoring_tenant *x, struct error *err)
{
	switch (x->words.mode) {
	case RESTORE_TENANT_DIFF:
		return show_difference(x, err);
	case RESTORE_TENANT_REPLACE:
		return replace_living(x, err);
	case RESTORE_TENANT_BESIDE:
		break;
	}
	return bring_beside(x, err);
}

static int run_restoring(struct restoring_tenant *x, struct error *err)
{
	int r;

	x->job = job_of_tenants(x->conf, err);
	r = x->job ? tenant_file_open(&x->file, x->ctx, x->order, &x->words, err) : -EINVAL;
	if (r < 0)
		return r;
	x->head = exported_head(x->file.exported);
	r = check_tenant_file(x, err);
	if (r == 0)
		r = find_living(x, err);
	if (r == 0)
		r = choose_place(x, err);
	return r < 0 ? r : bring_tenant(x, err);
}

/* The work. */

static int say_what_is_there(int r, struct error *err)
{
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled, and nothing was changed");
	if (r < 0 && r != -EINPROGRESS)
		error_prefix(err, "nothing was changed");
	return r;
}

static int restore_tenant_make(const struct make_context *ctx, const struct make_order *order,
                               struct manifest *ret, struct error *err)
{
	struct restoring_tenant x = {.ctx = ctx, .order = order, .file = {.fd = -1}};
	struct error why = {0};
	int r = restore_tenant_words(order->line, &x.words, err);

	if (r < 0)
		return r;
	x.conf = make_conf_ref(ctx);
	r = say_what_is_there(run_restoring(&x, &why), &why);
	finish_restoring(&x);
	make_conf_unref(ctx, x.conf);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int restore_tenant_targets(const struct make_context *ctx, const struct conf_job *job,
                                  const struct make_wanted *wanted, struct make_targets *ret,
                                  struct error *err)
{
	struct restore_tenant_words words;
	struct make_target *t;
	int r = restore_tenant_words(wanted->line, &words, err);

	if (r < 0)
		return r;
	t = make_targets_add(ret);
	t->name = mem_strdup(words.tenant);
	t->label = mem_strdup(words.tenant);
	t->directory = mem_strdup(words.tenant);
	return 0;
}

static int restore_tenant_accepts(const struct make_context *ctx, const struct conf_job *job,
                                  const struct make_wanted *wanted, struct error *err)
{
	struct restore_tenant_words words;
	const struct conf *conf = make_conf_ref(ctx);
	int r = restore_tenant_words(wanted->line, &words, err);

	if (r == 0 && !job_of_tenants(conf, err))
		r = -EINVAL;
	make_conf_unref(ctx, conf);
	return r;
}

static enum make_lane restore_tenant_lane(const struct command_line *line)
{
	return MAKE_LANE_RESTORE;
}

const struct make_kind use_restore_tenant = {
        .name = "restore-tenant",
        .targets_name = "tenants",
        .tells_state = true,
        .lane = restore_tenant_lane,
        .accepts = restore_tenant_accepts,
        .targets = restore_tenant_targets,
        .make = restore_tenant_make,
};
