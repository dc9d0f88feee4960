// SPDX-License-Identifier: Apache-2.0
/*
 * What tables there are, and what is done with each. For a thousand tenants of one database it is found out once; before each export the server is
 * asked for one word that changes with the tables, so that what is new since then is never passed over.
 */
#include "export.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 5 /* in a message */

static void finish_decisions(struct decided *d)
{
	if (d->is_decided) {
		redaction_plan_finish(&d->redaction);
		tenancy_plan_finish(&d->plan);
	}
	d->redaction = (struct redaction_plan){0};
	d->plan = (struct tenancy_plan){0};
	d->is_decided = false;
	for (size_t i = 0; i < d->checked_count; i++)
		free(d->lockable[i].relation);
	free(d->lockable);
	free(d->pages);
	d->lockable = NULL;
	d->pages = NULL;
	d->lockable_count = d->checked_count = 0;
	free(d->schema);
	d->schema = NULL;
}

static void finish_model(struct decided *d)
{
	finish_decisions(d);
	tenancy_model_finish(&d->model);
	d->model = (struct tenancy_model){0};
	d->ddl = pg_ddl_free(d->ddl);
	free(d->mark);
	d->mark = NULL;
	free(d->database);
	d->database = NULL;
}

void decided_finish(struct decided *d)
{
	finish_model(d);
}

/* What was read is not there yet: a failure in between leaves nothing that is believed. */
static int read_model(struct decided *d, struct pg_session *s, const char *database, struct error *err)
{
	_cleanup(free) char *mark = NULL;
	int r = pg_tenant_mark(s, &mark, err);

	if (r < 0)
		return r;
	if (d->mark && str_equal(d->mark, mark) && str_equal(d->database, database))
		return 0;
	finish_model(d);
	r = pg_tenancy_read(s, &d->model, err);
	if (r < 0) {
		d->model = (struct tenancy_model){0};
		error_prefix(err, "the tables of the database cannot be read");
		return r;
	}
	d->mark = take_ptr(&mark);
	d->database = mem_strdup(database);
	return 0;
}

static int decide_tenancy(struct decided *d, const struct conf_export *conf, const char *schema,
                          struct error *err)
{
	const struct tenancy_rules rules = {
	        .kind = (enum tenancy_kind)conf->tenancy,
	        .tenant_columns = conf->tenant_columns,
	        .tenant_table = *str_or_empty(conf->tenant_table) ? conf->tenant_table : NULL,
	        .shared = conf->shared,
	        .referred = conf->referred,
	        .excluded = conf->excluded,
	        .references = conf->references,
	};

	return tenancy_decide(&d->model, &rules, schema, &d->plan, err);
}

static int decide_redaction(struct decided *d, const struct conf_export *conf, struct error *err)
{
	const struct redaction_rules rules = {
	        .columns = conf->redact,
	        .types = conf->redact_types,
	        .allowed = conf->allow_secrets,
	};

	return redaction_decide(&d->model, &d->plan, &rules, &d->redaction, err);
}

static void gather_table(struct decided *d, const struct tenancy_table *t)
{
	struct str name = {0};

	sql_append_name(&name, t->schema);
	str_append_char(&name, '.');
	sql_append_name(&name, t->name);
	d->lockable[d->checked_count++] = (struct pg_table){.oid = t->oid, .relation = str_take(&name)};
}

/* Tables whose rows are read, and the partitions, of which nobody says whose they are. What cannot be locked comes last. */
static void gather_lockable(struct decided *d)
{
	_cleanup(free) bool *is_read = mem_alloc(d->model.table_count + 1);

	for (size_t i = 0; i < d->plan.count; i++)
		is_read[d->plan.decisions[i].table] = d->plan.decisions[i].verdict == TENANCY_EXPORTED;
	d->lockable = mem_array(d->model.table_count + 1, sizeof(*d->lockable));
	for (size_t i = 0; i < d->model.table_count; i++) {
		const struct tenancy_table *t = &d->model.tables[i];

		if ((is_read[i] || t->is_partition) && t->kind != 'f' && t->kind != 'm')
			gather_table(d, t);
	}
	d->lockable_count = d->checked_count;
	for (size_t i = 0; i < d->model.table_count; i++)
		if (is_read[i] && d->model.tables[i].kind == 'm')
			gather_table(d, &d->model.tables[i]);
}

int decided_refresh(struct decided *d, struct pg_session *s, const struct conf_export *conf,
                    const char *database, const char *schema, struct error *err)
{
	int r = read_model(d, s, database, err);

	if (r < 0)
		return r;
	if (d->is_decided && str_equal(d->schema, schema))
		return 0;
	finish_decisions(d);
	r = decide_tenancy(d, conf, schema, err);
	if (r < 0)
		return r;
	r = decide_redaction(d, conf, err);
	if (r < 0) {
		tenancy_plan_finish(&d->plan);
		d->plan = (struct tenancy_plan){0};
		return r;
	}
	d->is_decided = true;
	d->schema = mem_strdup(schema);
	gather_lockable(d);
	return 0;
}

int decided_read_ddl(struct decided *d, struct pg_session *s, struct error *err)
{
	d->ddl = pg_ddl_free(d->ddl);
	return pg_ddl_read(s, &d->ddl, err);
}

/* What stops an export before it has begun. */

static void append_undecided(const struct decided *d, struct str *out)
{
	size_t shown = 0;

	for (size_t i = 0; i < d->plan.count; i++) {
		const struct tenancy_decision *decision = &d->plan.decisions[i];
		const struct tenancy_table *t = &d->model.tables[decision->table];

		if (decision->verdict != TENANCY_UNDECIDED)
			continue;
		if (shown++ >= NAMES_SHOWN)
			continue;
		str_appendf(out, "%s%s.%s (%s)", out->len > 0 ? ", " : "", t->schema, t->name,
		            decision->reason);
	}
	if (shown > NAMES_SHOWN)
		str_appendf(out, " and %zu more", shown - NAMES_SHOWN);
}

static void append_suspicious(const struct decided *d, struct str *out)
{
	size_t shown = 0;

	for (size_t i = 0; i < d->plan.count; i++) {
		const struct tenancy_table *t = &d->model.tables[d->plan.decisions[i].table];
		const struct redaction_column *columns = d->redaction.columns[i];

		for (size_t c = 0; columns && c < t->column_count; c++) {
			if (!columns[c].suspicion || shown++ >= NAMES_SHOWN)
				continue;
			str_appendf(out, "%s%s.%s.%s (%s)", out->len > 0 ? ", " : "", t->schema, t->name,
			            t->columns[c].name, columns[c].suspicion);
		}
	}
	if (shown > NAMES_SHOWN)
		str_appendf(out, " and %zu more", shown - NAMES_SHOWN);
}

/* By a comment or a type; what rules hash was held against the key when the configuration was read. */
static const char *hashed_column(const struct decided *d, const struct tenancy_table **ret_table)
{
	for (size_t i = 0; i < d->plan.count; i++) {
		const struct redaction_column *columns = d->redaction.columns[i];

		*ret_table = &d->model.tables[d->plan.decisions[i].table];
		for (size_t c = 0; columns && c < (*ret_table)->column_count; c++)
			if (columns[c].how == REDACTION_HASH)
				return (*ret_table)->columns[c].name;
	}
	return NULL;
}

static int refuse_hash_without_key(const struct decided *d, struct error *err)
{
	const struct tenancy_table *t;
	const char *column = hashed_column(d, &t);

	return column ? error_set(
	                        err, ERROR_USAGE, EPERM,
	                        "%s.%s.%s is to be hashed, and there is no key for that: set redact_key_file in [export]",
	                        t->schema, t->name, column)
	              : 0;
}

int decided_refusal(const struct decided *d, const struct conf_export *conf, struct error *err)
{
	_cleanup(str) struct str names = {0};

	if (d->plan.undecided > 0 && conf->undecided == CONF_UNSURE_FAIL) {
		append_undecided(d, &names);
		return error_set(
		        err, ERROR_USAGE, EPERM,
		        "%zu tables are undecided: %s; say of each what it is (tenant_column, references, shared, referred or exclude in [export]), or set undecided = warn to leave them out",
		        d->plan.undecided, str_text(&names));
	}
	if (d->redaction.suspicious > 0 && conf->secrets_unsure == CONF_UNSURE_FAIL) {
		append_suspicious(d, &names);
		return error_set(
		        err, ERROR_USAGE, EPERM,
		        "%zu columns look like secrets, and no rule says what is to be done: %s; redact them, or name them in allow_secrets, or set secrets_unsure = warn to export them",
		        d->redaction.suspicious, str_text(&names));
	}
	return conf_secret_is_set(&conf->redact_key) ? 0 : refuse_hash_without_key(d, err);
}
