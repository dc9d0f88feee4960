// SPDX-License-Identifier: Apache-2.0
/*
 * One table. The server is asked for the proof and the tenant of each row in front of its columns; these two are looked at, and left out. A
 * redacted value is asked for only where something of it is told: what is omitted or NULL stays at the server.
 */
#include "rows.h"

#include "isolation.h"
#include "suspects.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_text.h>

#include <errno.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)64 << 10)

struct rows {
	struct rows_order order;
	size_t decision;
	const struct tenancy_table *table;
	char *label; /* "public.orders" */
	struct isolation isolation;
	struct copy_json_column *columns; /* that are read, in order */
	struct pg_tenant_column *read;
	struct copy_json_path **paths;
	const struct tenancy_column **sources;
	enum suspect_form *forms; /* in which its values are looked at for secrets */
	size_t count, watched;
	struct str condition, proof;
	uint32_t from_page, to_page;
	/* While it is read. */
	const struct rows_out *out;
	struct export_converter *converter;
	struct str chunk; /* what it has made of rows that @out has not got yet */
	uint64_t chunk_rows;
	bool has_first; /* @out has it */
	uint64_t unpaced_bytes;
	struct str value;
};

struct rows *rows_free(struct rows *t)
{
	if (!t)
		return NULL;
	if (t->converter)
		t->order.format->ops->converter_free(t->converter);
	for (size_t i = 0; i < t->count; i++)
		free(t->paths[i]);
	free(t->paths);
	free(t->columns);
	free(t->read);
	free(t->sources);
	free(t->forms);
	free(t->label);
	str_finish(&t->chunk);
	str_finish(&t->value);
	str_finish(&t->condition);
	str_finish(&t->proof);
	free(t);
	return NULL;
}

static enum copy_json_redaction redaction_of(enum redaction_how how)
{
	switch (how) {
	case REDACTION_NONE:
		return COPY_JSON_KEEP;
	case REDACTION_OMIT:
		return COPY_JSON_OMIT;
	case REDACTION_NULL:
		return COPY_JSON_NULL;
	case REDACTION_MASK:
		return COPY_JSON_MASK;
	case REDACTION_HASH:
		return COPY_JSON_HASH;
	}
	return COPY_JSON_OMIT;
}

static struct copy_json_path *paths_of(const struct redaction_column *redaction)
{
	struct copy_json_path *paths = mem_array(redaction->path_count + 1, sizeof(*paths));

	for (size_t i = 0; i < redaction->path_count; i++)
		paths[i] = (struct copy_json_path){.keys = redaction->paths[i].keys,
		                                   .key_count = redaction->paths[i].key_count,
		                                   .how = redaction_of(redaction->paths[i].how)};
	return paths;
}

/* A hash is that of to_json() in every format, so that equal values have equal hashes in all of them. */
static bool reads_as_json(const struct rows *t, const struct redaction_column *redaction)
{
	const struct export_format *format = t->order.format;

	return format && (format->has_composite_json || redaction->how == REDACTION_HASH);
}

static enum suspect_form suspect_form_of(const struct copy_json_column *json, const struct tenancy_column *c,
                                         const struct redaction_column *redaction)
{
	if (redaction->how != REDACTION_NONE || redaction->is_allowed)
		return SUSPECT_NOT;
	/* What a path redacts would be seen here as well; who wrote it has looked at the column. */
	if (json->kind == COPY_JSON_JSON)
		return redaction->path_count > 0 ? SUSPECT_NOT
		       : json->is_array          ? SUSPECT_WORDS
		                                 : SUSPECT_JSON;
	if (c->category == 'C')
		return SUSPECT_WORDS;
	if (json->kind != COPY_JSON_TEXT || c->category != 'S')
		return SUSPECT_NOT;
	return json->is_array ? SUSPECT_ARRAY : SUSPECT_TEXT;
}

static void add_read_column(struct rows *t, const struct tenancy_column *c,
                            const struct redaction_column *redaction)
{
	struct copy_json_column *json = &t->columns[t->count];
	bool is_plain, as_json;

	*json = (struct copy_json_column){0};
	is_plain = copy_json_kind_of(c->base_type, c->category, json);
	as_json = !is_plain && reads_as_json(t, redaction);
	if (!is_plain)
		*json = (struct copy_json_column){.kind = as_json ? COPY_JSON_JSON : COPY_JSON_TEXT};
	if (json->is_array && c->delimiter)
		json->delimiter = c->delimiter;
	json->name = c->name;
	json->how = redaction_of(redaction->how);
	t->paths[t->count] = paths_of(redaction);
	json->paths = t->paths[t->count];
	json->path_count = redaction->path_count;
	t->sources[t->count] = c;
	t->read[t->count] = (struct pg_tenant_column){
	        .name = c->name,
	        .read = redaction->how == REDACTION_NULL ? PG_TENANT_AS_NULL
	                : as_json                        ? PG_TENANT_AS_JSON
	                                                 : PG_TENANT_AS_IS,
	};
	t->forms[t->count] = suspect_form_of(json, c, redaction);
	t->watched += t->forms[t->count] != SUSPECT_NOT;
	t->count++;
}

static void append_proof_of_rows(struct rows *t)
{
	const struct decided *d = t->order.decided;
	const struct tenancy_decision *of = &d->plan.decisions[t->decision];

	tenancy_append_condition(&d->model, &d->plan, of, "t", t->order.tenant->id, &t->condition);
	tenancy_append_proof(&d->model, &d->plan, of, "t", t->order.tenant->id, &t->proof);
}

static const struct tenancy_table *rows_table_of(const struct decided *d, size_t decision)
{
	return &d->model.tables[d->plan.decisions[decision].table];
}

struct rows *rows_new(const struct rows_order *order, size_t decision)
{
	const struct tenancy_table *table = rows_table_of(order->decided, decision);
	const struct tenancy_decision *of = &order->decided->plan.decisions[decision];
	const struct redaction_column *redaction = order->decided->redaction.columns[decision];
	size_t room = table->column_count + 1;
	struct rows *t = mem_alloc(sizeof(*t));

	*t = (struct rows){.order = *order,
	                   .decision = decision,
	                   .table = table,
	                   .label = mem_printf("%s.%s", table->schema, table->name)};
	t->isolation = (struct isolation){.table = t->label, .tenant = order->tenant->id};
	if (of->tenant_column >= 0 && (of->way == TENANCY_BY_COLUMN || of->way == TENANCY_BY_SELF))
		t->isolation.column = &table->columns[of->tenant_column];
	t->columns = mem_array(room, sizeof(*t->columns));
	t->read = mem_array(room, sizeof(*t->read));
	t->paths = mem_array(room, sizeof(*t->paths));
	t->sources = mem_array(room, sizeof(*t->sources));
	t->forms = mem_array(room, sizeof(*t->forms));
	for (size_t c = 0; c < table->column_count; c++)
		if (redaction[c].how != REDACTION_OMIT)
			add_read_column(t, &table->columns[c], &redaction[c]);
	append_proof_of_rows(t);
	return t;
}

void rows_range(struct rows *t, uint32_t from_page, uint32_t to_page)
{
	t->from_page = from_page;
	t->to_page = to_page;
}

struct export_table rows_table(const struct rows *t)
{
	return (struct export_table){
	        .decided = t->order.decided,
	        .decision = t->decision,
	        .columns = t->columns,
	        .sources = t->sources,
	        .column_count = t->count,
	        .key = t->order.key,
	};
}

static struct pg_tenant_rows statement_of(const struct rows *t)
{
	return (struct pg_tenant_rows){
	        .schema = t->table->schema,
	        .table = t->table->name,
	        .with_partitions = t->table->kind == 'p',
	        .condition = str_text(&t->condition),
	        .proof = str_text(&t->proof),
	        .tenant_name = t->isolation.column ? t->isolation.column->name : NULL,
	        .columns = t->read,
	        .column_count = t->count,
	        .from_page = t->from_page,
	        .to_page = t->to_page,
	};
}

static int suspect_column(struct rows *t, size_t column, const char *why, struct error *err)
{
	_cleanup(free) char *name = mem_printf("%s.%s", t->label, t->sources[column]->name);

	if (t->order.conf->secrets_unsure == CONF_UNSURE_FAIL)
		return error_set(
		        err, ERROR_USAGE, EPERM,
		        "a value of %s looks like a secret (%s), and no rule says what is to be done: redact the column, or name it in allow_secrets, or set secrets_unsure = warn to export it",
		        name, why);
	t->forms[column] = SUSPECT_NOT;
	t->watched--;
	t->out->suspect(t->out->arg, name, why);
	return 0;
}

static int watch_values(struct rows *t, const char *at, const char *end, struct error *err)
{
	size_t left = t->watched;
	struct copy_field field;
	int r = 0;

	for (size_t i = 0; left > 0 && r == 0 && copy_field_next(&at, end, &field); i++) {
		const char *why;

		if (i >= t->count || t->forms[i] == SUSPECT_NOT)
			continue;
		left--;
		why = suspicion_of_field(t->forms[i], &field, &t->value);
		if (why)
			r = suspect_column(t, i, why, err);
	}
	return r;
}

/* Rows. */

static int hand_on_chunk(struct rows *t, struct error *err)
{
	int r = t->chunk_rows > 0 ? t->out->take(t->out->arg, t->chunk.data, t->chunk.len, t->chunk_rows, err)
	                          : 0;

	str_clear(&t->chunk);
	t->chunk_rows = 0;
	t->has_first = true;
	return r;
}

static int convert_row(struct rows *t, const char *at, const char *end, struct error *err)
{
	int r = t->order.format->ops->append_row(t->converter, at, (size_t)(end - at), &t->chunk, err);

	if (r < 0)
		return r;
	t->chunk_rows++;
	return t->has_first && t->chunk.len < CHUNK_BYTES ? 0 : hand_on_chunk(t, err);
}

static int pace_rows(struct rows *t, size_t len, struct error *err)
{
	uint64_t bytes = t->unpaced_bytes += len;

	if (bytes < CHUNK_BYTES)
		return 0;
	t->unpaced_bytes = 0;
	return t->out->pace(t->out->arg, bytes, err);
}

static int take_tenant_row(void *arg, const void *data, size_t len, struct error *err)
{
	struct rows *t = arg;
	const char *at = data, *end = at + len;
	int r;

	if (len > 0 && end[-1] == '\n')
		end--;
	r = isolation_check(&t->isolation, &at, end, err);
	if (r == 0 && t->watched > 0)
		r = watch_values(t, at, end, err);
	if (r == 0)
		r = convert_row(t, at ? at : end, end, err);
	return r < 0 ? r : pace_rows(t, len, err);
}

static void name_table_in_error(const struct rows *t, int r, struct error *err)
{
	if (r < 0 && r != -ECANCELED && err && !strstr(err->message, t->label))
		error_prefix(err, "table %s", t->label);
}

int rows_read(struct rows *t, struct pg_session *session, const struct rows_out *out, struct error *err)
{
	const struct pg_tenant_rows rows = statement_of(t);
	const struct export_table table = rows_table(t);
	_cleanup(free) char *sql = pg_tenant_rows_copy(&rows);
	int r = t->order.format->ops->converter_new(&table, &t->converter, err);

	t->out = out;
	if (r == 0)
		r = pg_session_copy(session, sql, take_tenant_row, t, err);
	if (r == 0)
		r = hand_on_chunk(t, err);
	if (r == 0)
		r = out->pace(out->arg, t->unpaced_bytes, err);
	name_table_in_error(t, r, err);
	return r;
}

int rows_cost(const struct rows *t, struct pg_session *session, struct pg_tenant_cost *ret, struct error *err)
{
	const struct pg_tenant_rows rows = statement_of(t);
	int r = pg_tenant_rows_cost(session, &rows, ret, err);

	name_table_in_error(t, r, err);
	return r;
}

int rows_hidden(const struct rows_order *order, struct pg_session *session, size_t decision, uint64_t seen,
                struct error *err)
{
	_cleanup(rows) struct rows *t = rows_new(order, decision);
	const struct pg_tenant_rows rows = statement_of(t);
	_cleanup(free) char *sql = pg_tenant_rows_exist(&rows, seen);
	int r = pg_tenant_exists(session, sql, err);

	name_table_in_error(t, r, err);
	return r;
}

int rows_count(const struct rows_order *order, struct pg_session *session, size_t decision, uint64_t *ret,
               struct error *err)
{
	_cleanup(rows) struct rows *t = rows_new(order, decision);
	const struct pg_tenant_rows rows = statement_of(t);
	int r = pg_tenant_rows_count(session, &rows, ret, err);

	name_table_in_error(t, r, err);
	return r;
}

static struct pg_tenant_rows nobodys_of(const struct rows_order *order, size_t decision,
                                        struct str *condition)
{
	const struct decided *d = order->decided;
	const struct tenancy_table *table = rows_table_of(d, decision);

	tenancy_append_nobodys(&d->model, &d->plan, &d->plan.decisions[decision], "t", condition);
	return (struct pg_tenant_rows){.schema = table->schema,
	                               .table = table->name,
	                               .with_partitions = table->kind == 'p',
	                               .condition = str_text(condition)};
}

int rows_nobodys(const struct rows_order *order, struct pg_session *session, size_t decision, uint64_t *ret,
                 struct error *err)
{
	_cleanup(str) struct str condition = {0};
	const struct pg_tenant_rows rows = nobodys_of(order, decision, &condition);

	return pg_tenant_rows_count(session, &rows, ret, err);
}

int rows_any_nobodys(const struct rows_order *order, struct pg_session *session, size_t decision,
                     struct error *err)
{
	_cleanup(str) struct str condition = {0};
	const struct pg_tenant_rows rows = nobodys_of(order, decision, &condition);
	_cleanup(free) char *sql = pg_tenant_rows_exist(&rows, 0);

	return pg_tenant_exists(session, sql, err);
}
