// SPDX-License-Identifier: Apache-2.0
/* Tenants that were erased do not come back with a restored database: their rows are found by the rules by which they are exported, and deleted. */
#include "export.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/erase.h>

#include <errno.h>
#include <inttypes.h>

struct erasing {
	const struct export_erasure *of;
	const struct conf_export *conf;
	struct pg_session *session;
	struct decided decided;
	char **ids;
	size_t count;
};

static int decide_of_now(struct erasing *e, struct error *err)
{
	_cleanup(free) char *snapshot = NULL;
	int r = pg_tenant_export(e->session, &snapshot, err);

	if (r == 0)
		r = decided_refresh(&e->decided, e->session, e->conf, NULL, NULL, err);
	return r == 0 ? pg_tenant_end(e->session, err) : r;
}

static int decide_for_erasure(struct erasing *e, struct error *err)
{
	int r = decide_of_now(e, err);

	if (r < 0 || e->decided.plan.undecided == 0 || e->conf->undecided != CONF_UNSURE_FAIL)
		return r;
	return error_set(
	        err, ERROR_USAGE, EPERM,
	        "of %zu tables nobody knows whose their rows are, so rows of erased tenants may be in them: keepfs export --explain names them; say in [export] what they are, or set undecided = warn",
	        e->decided.plan.undecided);
}

static int take_tenant_id(void *arg, const char *value, struct error *err)
{
	struct erasing *e = arg;

	for (size_t i = 0; i < e->count; i++)
		if (str_equal(e->ids[i], value))
			return 0;
	if (!e->of->is_erased(e->of->arg, value))
		return 0;
	e->ids = mem_resize(e->ids, e->count + 1, sizeof(*e->ids));
	e->ids[e->count++] = mem_strdup(value);
	return 0;
}

static const struct tenancy_table *table_at(const struct erasing *e, size_t number)
{
	return &e->decided.model.tables[e->decided.plan.decisions[number].table];
}

static bool names_tenants(const struct tenancy_decision *d)
{
	return d->verdict == TENANCY_EXPORTED && d->tenant_column >= 0 &&
	       (d->way == TENANCY_BY_SELF || d->way == TENANCY_BY_COLUMN);
}

static int find_erased_tenants(struct erasing *e, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < e->decided.plan.count; i++) {
		const struct tenancy_decision *d = &e->decided.plan.decisions[i];
		const struct tenancy_table *t = table_at(e, i);
		struct pg_erase_column of = {t->schema, t->name, NULL};

		if (!names_tenants(d))
			continue;
		of.column = t->columns[d->tenant_column].name;
		r = pg_erase_values(e->session, &of, take_tenant_id, e, err);
	}
	return r < 0 ? r : 0;
}

static const struct tenancy_column *column_of_tenants(const struct erasing *e, size_t number)
{
	const struct tenancy_decision *d = &e->decided.plan.decisions[number];

	return names_tenants(d) ? &table_at(e, number)->columns[d->tenant_column] : NULL;
}

/* Of each type one column is asked for all. */
static bool is_first_of_type(const struct erasing *e, size_t number)
{
	const char *type = column_of_tenants(e, number)->type;

	for (size_t i = 0; i < number; i++) {
		const struct tenancy_column *c = column_of_tenants(e, i);

		if (c && str_equal(c->type, type))
			return false;
	}
	return true;
}

/* How the server writes it in the columns that name tenants, where @id may be written in other ways: an uuid, a number. */
static int find_canonical(const struct erasing *e, const char *id, struct cancel *cancel, char **ret,
                          struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->decided.plan.count; i++) {
		const struct tenancy_table *t = table_at(e, i);
		const struct tenancy_column *c = column_of_tenants(e, i);
		_cleanup(free) char *value = NULL;

		if (!c || !is_first_of_type(e, i))
			continue;
		r = pg_erase_canonical(e->conf->database, NULL,
		                       &(struct pg_erase_column){t->schema, t->name, c->name}, id, cancel,
		                       &value, err);
		if (r == 0 && *ret && !str_equal(*ret, value))
			r = error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the columns that name tenants write this id in different ways: write it as they do");
		if (r == 0 && !*ret)
			*ret = take_ptr(&value);
	}
	return r;
}

static int add_rows_of_tenant(struct erasing *e, const char *id, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->decided.plan.count; i++) {
		const struct tenancy_decision *d = &e->decided.plan.decisions[i];
		const struct tenancy_table *t = table_at(e, i);
		_cleanup(str) struct str condition = {0};
		struct pg_tenant_rows rows = {
		        .schema = t->schema, .table = t->name, .with_partitions = t->kind == 'p'};

		if (d->verdict != TENANCY_EXPORTED || (t->kind != 'r' && t->kind != 'p') ||
		    (d->way != TENANCY_BY_SELF && d->way != TENANCY_BY_COLUMN && d->way != TENANCY_BY_KEY))
			continue;
		tenancy_append_condition(&e->decided.model, &e->decided.plan, d, "t", id, &condition);
		rows.condition = str_text(&condition);
		r = pg_erase_add_rows(e->session, &rows, err);
	}
	return r;
}

static void say_of_erasure(void *arg, const char *table, uint64_t rows, bool emptied)
{
	const struct erasing *e = arg;
	_cleanup(free) char *line =
	        emptied ? mem_printf("erased tenants: %" PRIu64 " rows of %s do not refer to them any more",
	                             rows, table)
	                : mem_printf("erased tenants: %" PRIu64 " rows of %s were deleted", rows, table);

	e->of->say(e->of->arg, line);
}

static int erase_found_tenants(struct erasing *e, struct error *err)
{
	int r = e->count > 0 ? pg_delete_begin(e->session, err) : 0;

	for (size_t i = 0; r == 0 && i < e->count; i++)
		r = add_rows_of_tenant(e, e->ids[i], err);
	if (r == 0 && e->count > 0)
		r = pg_erase_rows(e->session, say_of_erasure, e, err);
	return r == 0 && e->count > 0 ? pg_delete_commit(e->session, err) : r;
}

int export_canonical_tenant(const struct conf_job *job, const char *id, struct cancel *cancel, char **ret,
                            struct error *err)
{
	struct erasing e = {.conf = &job->export};
	_cleanup(free) char *found = NULL;
	int r = pg_session_open(job->export.database, NULL, "keepfs erase", cancel, &e.session, err);

	if (r == 0)
		r = decide_of_now(&e, err);
	if (r == 0)
		r = find_canonical(&e, id, cancel, &found, err);
	decided_finish(&e.decided);
	pg_session_free(e.session);
	if (r == 0)
		*ret = found ? take_ptr(&found) : mem_strdup(id);
	return r;
}

int export_erase_tenants(const struct conf_job *job, const struct export_erasure *erasure, struct error *err)
{
	struct erasing e = {.of = erasure, .conf = &job->export};
	int r = pg_delete_open(erasure->server, erasure->database, erasure->cancel, &e.session, err);

	if (r == 0)
		r = decide_for_erasure(&e, err);
	if (r == 0)
		r = find_erased_tenants(&e, err);
	if (r == 0)
		r = erase_found_tenants(&e, err);
	decided_finish(&e.decided);
	for (size_t i = 0; i < e.count; i++)
		free(e.ids[i]);
	free(e.ids);
	pg_session_free(e.session);
	return r;
}
