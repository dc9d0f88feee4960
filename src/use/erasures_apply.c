// SPDX-License-Identifier: Apache-2.0
/*
 * What was erased is deleted from a database that was just restored. All values of the columns that entries name are read and hashed: there is no other way to find
 * what a hash is of. Values stay in memory only when they are to be deleted.
 */
#include "erasures_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/export.h>
#include <keepfs/exported.h>
#include <keepfs/pg.h>
#include <keepfs/pg/erase.h>
#include <keepfs/pg/rescue.h>
#include <keepfs/pg/tenant_drop.h>
#include <keepfs/policy/tenancy.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static bool is_registered(const struct erasures *e, const struct erasure *of, const char *value)
{
	char hash[SHA256_HEX_BYTES];
	bool is_hashed = false;

	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].kind != of->kind)
			continue;
		if (!is_hashed)
			erasure_hash(e->key, of, value, hash);
		is_hashed = true;
		if (str_equal(e->items[i].hash, hash))
			return true;
	}
	return false;
}

static bool has_kind(const struct erasures *e, enum erasure_kind kind, const char *database)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->items[i].kind == kind && str_equal(e->items[i].database, database))
			return true;
	return false;
}

int erasures_refuse_database(const struct erasures *e, const char *source, struct error *err)
{
	/* The name is what is hashed, so it is not said. */
	const struct erasure of = {.kind = ERASURE_DATABASE, .database = (char *)""};

	if (!source || !is_registered(e, &of, source))
		return 0;
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "the database %s is registered as erased (keepfs erasures): it was a tenant's, and must not come back",
	        source);
}

int erasures_refuse_tenant(const char *tenant, struct error *err)
{
	return error_set(err, ERROR_DENIED, EPERM,
	                 "the tenant %s is registered as erased (keepfs erasures), and must not come back",
	                 tenant);
}

bool erasures_is_tenant(const struct erasures *e, const char *database, const char *tenant_id)
{
	const struct erasure of = {.kind = ERASURE_TENANT, .database = (char *)database};

	return is_registered(e, &of, tenant_id);
}

bool erasures_has_rows_of(const struct erasures *e, const char *database, const char *schema,
                          const char *table)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct erasure *one = &e->items[i];

		if (one->kind == ERASURE_ROWS && str_equal(one->database, database) &&
		    str_equal(one->schema, schema) && str_equal(one->table, table))
			return true;
	}
	return false;
}

/* Rows. */

struct matching {
	const struct erasures *all;
	const struct erasure *of; /* one entry of these: its place */
	char **values;
	size_t count;
};

static int take_matching_value(void *arg, const char *value, struct error *err)
{
	struct matching *m = arg;

	if (!is_registered(m->all, m->of, value))
		return 0;
	m->values = mem_resize(m->values, m->count + 1, sizeof(*m->values));
	m->values[m->count++] = mem_strdup(value);
	return 0;
}

static void finish_matching(struct matching *m)
{
	for (size_t i = 0; i < m->count; i++) {
		explicit_bzero(m->values[i], strlen(m->values[i]));
		free(m->values[i]);
	}
	free(m->values);
}

static bool is_same_place(const struct erasure *a, const struct erasure *b)
{
	return a->kind == b->kind && str_equal(a->database, b->database) && str_equal(a->schema, b->schema) &&
	       str_equal(a->table, b->table) && str_equal(a->column, b->column);
}

static bool is_first_of_place(const struct erasures *e, size_t number)
{
	for (size_t i = 0; i < number; i++)
		if (is_same_place(&e->items[i], &e->items[number]))
			return false;
	return true;
}

struct applying {
	const struct erasures *all;
	const struct erasures_target *target;
	struct pg_session *session;
};

static void say_of_applying(const struct applying *a, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
static void say_of_applying(const struct applying *a, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	a->target->say(a->target->arg, str_text(&line));
}

static void say_erased(void *arg, const char *table, uint64_t rows, bool emptied)
{
	say_of_applying(arg,
	                emptied ? "the erasure register: %" PRIu64
	                          " rows of %s do not refer to what was erased any more"
	                        : "the erasure register: %" PRIu64 " rows of %s were deleted",
	                rows, table);
}

static int add_rows_of_place(const struct applying *a, const struct erasure *of, bool *ret_found,
                             struct error *err)
{
	const struct pg_erase_column column = {of->schema, of->table, of->column};
	struct matching m = {.all = a->all, .of = of};
	int r = pg_erase_values(a->session, &column, take_matching_value, &m, err);

	/* A backup may be older than the column. */
	if (r == 1)
		say_of_applying(a, "the erasure register: there is no %s.%s.%s here", of->schema, of->table,
		                of->column);
	if (r == 0 && m.count > 0)
		r = pg_erase_add_values(a->session, &column, (const char *const *)m.values, m.count, err);
	*ret_found |= m.count > 0;
	finish_matching(&m);
	return r < 0 ? r : 0;
}

static int erase_registered_rows(const struct applying *a, struct error *err)
{
	bool found = false;
	int r = pg_delete_begin(a->session, err);

	for (size_t i = 0; r == 0 && i < a->all->count; i++) {
		const struct erasure *of = &a->all->items[i];

		if (of->kind == ERASURE_ROWS && str_equal(of->database, a->target->source) &&
		    is_first_of_place(a->all, i))
			r = add_rows_of_place(a, of, &found, err);
	}
	if (r == 0 && found)
		r = pg_erase_rows(a->session, say_erased, (void *)a, err);
	return r == 0 ? pg_delete_commit(a->session, err) : r;
}

/* Tenants. */

static bool is_erased_tenant(void *arg, const char *tenant_id)
{
	const struct applying *a = arg;

	return erasures_is_tenant(a->all, a->target->source, tenant_id);
}

static void say_of_tenant(void *arg, const char *line)
{
	const struct applying *a = arg;

	a->target->say(a->target->arg, line);
}

static int erase_registered_tenants(struct applying *a, struct error *err)
{
	const struct conf_job *job = conf_exports(a->target->conf);
	const struct export_erasure erasure = {
	        .server = a->target->server,
	        .database = a->target->database,
	        .cancel = a->target->cancel,
	        .is_erased = is_erased_tenant,
	        .say = say_of_tenant,
	        .arg = a,
	};

	if (!job || job->export.tenancy != TENANCY_COLUMN)
		return error_set(
		        err, ERROR_USAGE, EPERM,
		        "tenants of the database %s are registered as erased, but no section [export] with tenancy = column says which rows are a tenant's",
		        a->target->source);
	return export_erase_tenants(job, &erasure, err);
}

static int take_erased_schema(void *arg, const char *schema, struct error *err)
{
	struct matching *m = arg;

	return take_matching_value(m, schema, err);
}

static int drop_registered_schemas(const struct applying *a, struct error *err)
{
	const struct erasure of = {.kind = ERASURE_SCHEMA, .database = (char *)a->target->source};
	struct matching m = {.all = a->all, .of = &of};
	int r = pg_erase_schemas(a->session, take_erased_schema, &m, err);

	for (size_t i = 0; r == 0 && i < m.count; i++)
		r = pg_schema_drop(a->session, m.values[i], err);
	if (r == 0 && m.count > 0)
		say_of_applying(a, "the erasure register: %zu schemas were dropped", m.count);
	finish_matching(&m);
	return r;
}

int erasures_apply(const struct erasures *e, const struct erasures_target *target, struct error *err)
{
	struct applying a = {.all = e, .target = target};
	bool has_rows = has_kind(e, ERASURE_ROWS, target->source),
	     has_schemas = has_kind(e, ERASURE_SCHEMA, target->source);
	int r = 0;

	if (has_rows || has_schemas)
		r = pg_delete_open(target->server, target->database, target->cancel, &a.session, err);
	if (r == 0 && has_schemas)
		r = drop_registered_schemas(&a, err);
	if (r == 0 && has_rows)
		r = erase_registered_rows(&a, err);
	pg_session_free(a.session);
	a.session = NULL;
	if (r == 0 && has_kind(e, ERASURE_TENANT, target->source))
		r = erase_registered_tenants(&a, err);
	if (r < 0)
		error_prefix(err, "what is registered as erased could not be deleted from what was restored");
	return r;
}

/* Rows that are rescued. */

static void tell_rescued(void (*tell)(void *arg, const char *line), void *arg, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
static void tell_rescued(void (*tell)(void *arg, const char *line), void *arg, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	tell(arg, str_text(&line));
}

/* 1: they have no such column. */
static int leave_out_by(const struct erasures *e, const struct erasures_rescue *what,
                        const struct erasure *of, const char *column, struct error *err)
{
	struct matching m = {.all = e, .of = of};
	uint64_t rows = 0;
	int r = pg_rescue_values(what->rows, column, take_matching_value, &m, err);

	if (r == 0)
		r = pg_rescue_leave_out(what->rows, column, (const char *const *)m.values, m.count, &rows,
		                        err);
	finish_matching(&m);
	if (r == 0 && rows > 0)
		tell_rescued(what->say, what->arg,
		             "the erasure register: %" PRIu64 " rows of %s.%s are left out", rows,
		             what->schema, what->table);
	return r;
}

static int leave_out_rows(const struct erasures *e, const struct erasures_rescue *what, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < e->count; i++) {
		const struct erasure *of = &e->items[i];

		if (of->kind != ERASURE_ROWS || !str_equal(of->database, what->database) ||
		    !str_equal(of->schema, what->schema) || !str_equal(of->table, what->table) ||
		    !is_first_of_place(e, i))
			continue;
		r = leave_out_by(e, what, of, of->column, err);
		if (r == 1)
			tell_rescued(what->warn, what->arg,
			             "the erasure register: %s.%s of the backup has no column %s",
			             what->schema, what->table, of->column);
	}
	return r < 0 ? r : 0;
}

/* "org_id", "orders.org_id", "public.orders.org_id": the column of this table that one names; NULL: of others. */
static const char *column_of_entry(const char *entry, const struct erasures_rescue *what)
{
	_cleanup(free) char *whole = mem_printf("%s.%s", what->schema, what->table);
	const char *dot = strrchr(entry, '.');
	_cleanup(free) char *table = dot ? mem_printf("%.*s", (int)(dot - entry), entry) : NULL;

	if (!table)
		return entry;
	return str_equal(table, what->table) || str_equal(table, whole) ? dot + 1 : NULL;
}

static int leave_out_tenants(const struct erasures *e, const struct erasures_rescue *what, struct error *err)
{
	const struct erasure of = {.kind = ERASURE_TENANT, .database = (char *)what->database};
	const struct conf_job *job = conf_exports(what->conf);
	const char *own =
	        job && job->export.tenant_table ? column_of_entry(job->export.tenant_table, what) : NULL;
	bool is_told = false;
	int r = 0;

	if (own && *own && strchr(job->export.tenant_table, '.')) {
		r = leave_out_by(e, what, &of, own, err);
		is_told = r == 0;
	}
	for (char **entry = job ? job->export.tenant_columns : NULL; r >= 0 && entry && *entry; entry++) {
		const char *column = column_of_entry(*entry, what);

		r = column ? leave_out_by(e, what, &of, column, err) : 1;
		is_told = is_told || r == 0;
	}
	if (r >= 0 && !is_told)
		tell_rescued(
		        what->warn, what->arg,
		        "tenants of the database %s are registered as erased, and the rows of %s.%s do not say by themselves whose they are: look at what comes back",
		        what->database, what->schema, what->table);
	return r < 0 ? r : 0;
}

int erasures_leave_out(const struct erasures *e, const struct erasures_rescue *what, struct error *err)
{
	const struct erasure schema = {.kind = ERASURE_SCHEMA,
	                               .database = (char *)str_or_empty(what->database)};
	int r;

	if (e->count == 0 || !what->database)
		return 0;
	if (is_registered(e, &schema, what->schema))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the schema of %s.%s is registered as erased (keepfs erasures): it was a tenant's, and must not come back",
		        what->schema, what->table);
	r = leave_out_rows(e, what, err);
	return r == 0 && has_kind(e, ERASURE_TENANT, what->database) ? leave_out_tenants(e, what, err) : r;
}

/* Files. */

static ssize_t find_exported_column(const struct exported_table *t, const char *name)
{
	for (size_t i = 0; i < t->column_count; i++)
		if (str_equal(t->columns[i].name, name))
			return (ssize_t)i;
	return -1;
}

static bool is_redacted_there(const struct exported_head *head, const struct erasure *of)
{
	for (size_t i = 0; i < head->redacted_count; i++) {
		const struct exported_redacted *r = &head->redacted[i];

		if (str_equal(r->schema, of->schema) && str_equal(r->table, of->table) &&
		    str_equal(r->column, of->column))
			return true;
	}
	return false;
}

/* Later exports were made of a database in which that had been erased. */
static bool is_before_an_erasure(const struct erasures *e, const struct erasure *of, int64_t taken_at_us)
{
	for (size_t i = 0; i < e->count; i++)
		if (is_same_place(&e->items[i], of) && taken_at_us <= e->items[i].at_us)
			return true;
	return false;
}

/* By what is left of the values nobody finds the rows. */
static int check_redacted_place(const struct erasures *e, const struct exported_head *head,
                                const struct erasure *of, struct error *err)
{
	ssize_t table = exported_find_table(head, of->schema, of->table);

	if (table < 0 || head->tables[table].rows == 0 || !is_redacted_there(head, of) ||
	    !is_before_an_erasure(e, of, head->taken_at_us))
		return 0;
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "rows of %s.%s are registered as erased by %s (keepfs erasures), which is redacted in this export, so nobody can tell whether it has them; an export from a dump (from=full/…) leaves them out",
	        of->schema, of->table, of->column);
}

static int count_erased_rows(const struct erasures *e, struct exported *x, const struct erasure *of,
                             uint64_t *ret_rows, struct error *err)
{
	const struct exported_head *head = exported_head(x);
	ssize_t table = exported_find_table(head, of->schema, of->table);
	ssize_t column = table < 0 ? -1 : find_exported_column(&head->tables[table], of->column);
	const struct exported_value *values;
	int r;

	*ret_rows = 0;
	if (column < 0)
		return 0;
	r = exported_table_begin(x, (size_t)table, err);
	while (r == 0 && (r = exported_row(x, &values, err)) > 0) {
		if (!values[column].is_null && is_registered(e, of, values[column].text))
			++*ret_rows;
		r = 0;
	}
	return r;
}

static bool is_of_erased_schema(const struct erasures *e, const struct exported_head *head)
{
	const struct erasure of = {.kind = ERASURE_SCHEMA, .database = head->database};

	for (size_t i = 0; i < head->table_count; i++)
		if (is_registered(e, &of, head->tables[i].schema))
			return true;
	return false;
}

int erasures_check_exported(const struct erasures *e, struct exported *x, struct error *err)
{
	const struct exported_head *head = exported_head(x);
	int r = erasures_refuse_database(e, head->database, err);

	if (r == 0 &&
	    (erasures_is_tenant(e, head->database, head->tenant_id) || is_of_erased_schema(e, head)))
		return erasures_refuse_tenant(head->slug, err);
	for (size_t i = 0; r == 0 && i < e->count; i++) {
		const struct erasure *of = &e->items[i];
		uint64_t rows = 0;

		if (of->kind != ERASURE_ROWS || !str_equal(of->database, head->database) ||
		    !is_first_of_place(e, i))
			continue;
		r = check_redacted_place(e, head, of, err);
		if (r == 0)
			r = count_erased_rows(e, x, of, &rows, err);
		if (r == 0 && rows > 0)
			r = error_set(
			        err, ERROR_DENIED, EPERM,
			        "%" PRIu64
			        " rows of %s.%s in this export are registered as erased (keepfs erasures), and must not come back; an export from a dump (from=full/…) leaves them out",
			        rows, of->schema, of->table);
	}
	return r;
}
