// SPDX-License-Identifier: Apache-2.0
/*
 * An export of a copy. Who makes the copy learns here what the configuration makes of its tables, loads the rows that matter, and has the ordinary
 * export read them: whatever he has loaded too much, the conditions and the proofs of that one keep out.
 */
#include "export.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/policy/databases.h>

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

/* Who the tenant is. */

void export_member_finish(struct export_member *m)
{
	free(m->id);
	free(m->slug);
	free(m->name);
	free(m->class);
	free(m->own);
	for (size_t i = 0; i < PG_TENANT_PLACES; i++)
		free(m->place[i]);
	*m = (struct export_member){0};
}

int export_member_ask(const struct make_context *ctx, const struct conf_job *job, const char *slug,
                      struct cancel *cancel, struct export_member *ret, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct make_wanted wanted = {.database = slug, .cancel = cancel};
	const struct export_tenant *t;
	int r = export_targets(ctx, job, &wanted, &targets, err);

	if (r < 0)
		return r;
	t = export_shared_find(targets.shared, slug);
	if (!t)
		return error_set(err, ERROR_USAGE, EINVAL, "the query of [export] tenants names no %s", slug);
	*ret = (struct export_member){.id = mem_strdup(t->id),
	                              .slug = mem_strdup(t->slug),
	                              .name = mem_strdup(t->name),
	                              .class = mem_strdup(t->class),
	                              .own = mem_strdup(t->own)};
	for (size_t i = 0; i < PG_TENANT_PLACES; i++)
		ret->place[i] = mem_strdup(t->place[i]);
	return 0;
}

int export_member_of_id(const struct make_context *ctx, const struct conf_job *job, const char *id,
                        struct cancel *cancel, char **ret_slug, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct make_wanted wanted = {.cancel = cancel};
	const struct export_shared *shared;
	int r = export_targets(ctx, job, &wanted, &targets, err);

	*ret_slug = NULL;
	if (r < 0)
		return r;
	shared = targets.shared;
	/* Of some types equal ids can be written in several ways; who is refused too much can name the tenant. */
	for (size_t i = 0; i < shared->count && !*ret_slug; i++)
		if (strcasecmp(shared->tenants[i].id, id) == 0)
			*ret_slug = mem_strdup(shared->tenants[i].slug);
	return 0;
}

int export_member_make(const struct conf_job *job, const char *slug, const char *id,
                       struct export_member *ret, struct error *err)
{
	const char *slug_problem = databases_name_problem(slug), *id_problem = databases_name_problem(id);
	struct export_member m = {.id = mem_strdup(id), .slug = mem_strdup(slug)};
	const struct export_tenant t = {.id = m.id, .slug = m.slug};
	const char *problem = slug_problem ? slug_problem : id_problem;

	if (!problem && job->export.tenancy != TENANCY_COLUMN) {
		m.own = export_own_name(&job->export, &t);
		problem = export_own_name_problem(&job->export, m.own);
	}
	if (problem) {
		export_member_finish(&m);
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "no tenant can be exported as %.60s (id %.60s): %s %s", slug, id,
		                 slug_problem ? "the slug"
		                 : id_problem ? "the id"
		                              : "its schema or database",
		                 problem);
	}
	*ret = m;
	return 0;
}

/* What is done with its tables. */

/* Of all other tables each row that is the tenant's must be seen within the context, or the export of the living database fails. */
static int check_shared_without_policies(const struct decided *d, const struct conf_export *conf,
                                         struct error *err)
{
	bool has_context = *str_or_empty(conf->role) || (conf->settings && conf->settings[0]);

	for (size_t i = 0; has_context && conf->tenancy == TENANCY_COLUMN && i < d->plan.count; i++) {
		const struct tenancy_decision *of = &d->plan.decisions[i];
		const struct tenancy_table *t = &d->model.tables[of->table];

		if (of->verdict == TENANCY_EXPORTED && of->way == TENANCY_WHOLE && t->has_row_security)
			return error_set(
			        err, ERROR_DENIED, EPERM,
			        "%s.%s is shared, and row security says which of its rows a tenant sees: that cannot be asked of a backup; exclude the table, or restore the backup into a database (keepfs restore) and export from there",
			        t->schema, t->name);
	}
	return 0;
}

int export_tables_read(struct pg_session *s, const struct conf_job *job, const char *schema,
                       struct export_tables *ret, struct error *err)
{
	struct decided *d = mem_alloc(sizeof(*d));
	_cleanup(free) char *snapshot = NULL;
	int r = pg_tenant_export(s, &snapshot, err);

	*ret = (struct export_tables){.own = d};
	if (r == 0)
		r = decided_refresh(d, s, &job->export, NULL, schema, err);
	if (r == 0)
		r = decided_refusal(d, &job->export, err);
	if (r == 0)
		r = check_shared_without_policies(d, &job->export, err);
	if (r == 0)
		r = pg_tenant_end(s, err);
	if (r < 0) {
		export_tables_free(ret);
		return r;
	}
	ret->model = &d->model;
	ret->plan = &d->plan;
	return 0;
}

void export_tables_free(struct export_tables *t)
{
	if (t->own)
		decided_finish(t->own);
	free(t->own);
	*t = (struct export_tables){0};
}

/* The export. */

static struct export_shared *shared_of_copy(const struct export_copy *copy, struct export_counts *counts)
{
	struct export_shared *shared = export_shared_new();
	const struct export_member *m = copy->member;

	shared->tenants = mem_array(1, sizeof(*shared->tenants));
	shared->tenants[shared->count++] = (struct export_tenant){.id = mem_strdup(m->id),
	                                                          .slug = mem_strdup(m->slug),
	                                                          .name = mem_strdup(m->name),
	                                                          .class = mem_strdup(m->class),
	                                                          .own = mem_strdup(m->own)};
	for (size_t i = 0; i < PG_TENANT_PLACES; i++)
		shared->tenants[0].place[i] = mem_strdup(m->place[i]);
	shared->copy = copy;
	shared->counts = counts;
	return shared;
}

int export_make_copy(const struct make_context *ctx, const struct make_order *order,
                     const struct conf_job *job, const struct export_copy *copy, struct manifest *ret,
                     struct export_counts *ret_counts, struct error *err)
{
	struct export_shared *shared = shared_of_copy(copy, ret_counts);
	_cleanup(free) char *conninfo = mem_strdup(copy->conninfo);
	_cleanup(free) char *below = name_from_database(copy->member->slug);
	_cleanup(free) char *directory = make_directory_of(job, below);
	struct make_target target = {.name = copy->member->slug,
	                             .label = copy->member->slug,
	                             .class = copy->member->class,
	                             .directory = directory};
	struct conf_job own = *job;
	struct make_order of_copy = *order;
	int r;

	own.export.database = conninfo;
	if (copy->path)
		own.export.format = CONF_EXPORT_JSON;
	of_copy.job = &own;
	of_copy.target = &target;
	of_copy.shared = shared;
	of_copy.then_delete = false;
	r = export_make(ctx, &of_copy, ret, err);
	export_shared_free(shared);
	return r;
}
