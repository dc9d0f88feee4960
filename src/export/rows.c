// SPDX-License-Identifier: Apache-2.0
/*
 * One table. The server is asked for the proof and the tenant of each row in front of its columns; these two are looked at, and left out. A
 * redacted value is asked for only where something of it is told: what is omitted or NULL stays at the server.
 */
#include "rows.h"

#include "isolation.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_text.h>

#include <errno.h>
#include <string.h>

#define SUSPICIOUS_MIN_BYTES 8 /* shorter values are no keys */
#define CHUNK_BYTES          ((size_t)64 << 10)

struct table_rows {
	const struct rows_order *order;
	char *label; /* "public.orders" */
	struct isolation isolation;
	struct copy_json_column *columns; /* that are read, in order */
	struct pg_tenant_column *read;
	struct copy_json_path **paths;
	const struct tenancy_column **sources;
	bool *is_watched; /* its values are looked at for secrets */
	size_t count, watched;
	struct export_converter *converter;
	struct str chunk; /* what it has made of rows that the writer has not got yet */
	uint64_t chunk_rows;
	struct str value;
	struct str condition, proof;
};

static void finish_table_rows(struct table_rows *t)
{
	if (t->converter)
		t->order->writer->format->ops->converter_free(t->converter);
	for (size_t i = 0; i < t->count; i++)
		free(t->paths[i]);
	free(t->paths);
	free(t->columns);
	free(t->read);
	free(t->sources);
	free(t->is_watched);
	free(t->label);
	str_finish(&t->chunk);
	str_finish(&t->value);
	str_finish(&t->condition);
	str_finish(&t->proof);
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
static bool reads_as_json(const struct table_rows *t, const struct redaction_column *redaction)
{
	const struct export_writer *w = t->order->writer;

	return w && (w->format->has_composite_json || redaction->how == REDACTION_HASH);
}

static bool is_watched_column(const struct table_rows *t, const struct copy_json_column *json,
                              const struct redaction_column *redaction)
{
	if (redaction->how != REDACTION_NONE || redaction->is_allowed)
		return false;
	/* What a path redacts would be seen here as well; who wrote it has looked at the column. */
	if (json->kind == COPY_JSON_JSON)
		return !json->is_array && redaction->path_count == 0;
	return json->kind == COPY_JSON_TEXT && strchr("SC", t->sources[t->count]->category);
}

static void add_read_column(struct table_rows *t, const struct tenancy_column *c,
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
	t->is_watched[t->count] = is_watched_column(t, json, redaction);
	t->watched += t->is_watched[t->count];
	t->count++;
}

static const struct tenancy_table *table_of(const struct rows_order *order, size_t decision)
{
	return &order->decided->model.tables[order->decided->plan.decisions[decision].table];
}

static void append_proof_of_rows(const struct rows_order *order, size_t decision, struct table_rows *t)
{
	const struct decided *d = order->decided;
	const struct tenancy_decision *of = &d->plan.decisions[decision];

	tenancy_append_condition(&d->model, &d->plan, of, "t", order->tenant->id, &t->condition);
	tenancy_append_proof(&d->model, &d->plan, of, "t", order->tenant->id, &t->proof);
}

static void init_table_rows(struct table_rows *t, const struct rows_order *order, size_t decision)
{
	const struct tenancy_table *table = table_of(order, decision);
	const struct tenancy_decision *of = &order->decided->plan.decisions[decision];
	const struct redaction_column *redaction = order->decided->redaction.columns[decision];
	size_t room = table->column_count + 1;

	*t = (struct table_rows){.order = order, .label = mem_printf("%s.%s", table->schema, table->name)};
	t->isolation = (struct isolation){.table = t->label, .tenant = order->tenant->id};
	if (of->tenant_column >= 0 && (of->way == TENANCY_BY_COLUMN || of->way == TENANCY_BY_SELF))
		t->isolation.column = &table->columns[of->tenant_column];
	t->columns = mem_array(room, sizeof(*t->columns));
	t->read = mem_array(room, sizeof(*t->read));
	t->paths = mem_array(room, sizeof(*t->paths));
	t->sources = mem_array(room, sizeof(*t->sources));
	t->is_watched = mem_array(room, sizeof(*t->is_watched));
	for (size_t c = 0; c < table->column_count; c++)
		if (redaction[c].how != REDACTION_OMIT)
			add_read_column(t, &table->columns[c], &redaction[c]);
	append_proof_of_rows(order, decision, t);
}

static struct pg_tenant_rows statement_of(const struct table_rows *t, const struct tenancy_table *table)
{
	return (struct pg_tenant_rows){
	        .schema = table->schema,
	        .table = table->name,
	        .with_partitions = table->kind == 'p',
	        .condition = str_text(&t->condition),
	        .proof = str_text(&t->proof),
	        .tenant_name = t->isolation.column ? t->isolation.column->name : NULL,
	        .columns = t->read,
	        .column_count = t->count,
	};
}

/* Values. */

/* Behind what began at @at: the quote that closes it, or what ends an element without quotes. */
static const char *end_of_part(const char *at, const char *end, bool is_quoted)
{
	for (; at < end; at++) {
		if (is_quoted && *at == '\\' && at + 1 < end)
			at++;
		else if (*at == '"' || (!is_quoted && memchr(",{}", *at, 3)))
			break;
	}
	return at;
}

/* The strings and keys within json; of an array all elements. */
static const char *suspicion_within(const char *at, const char *end, bool is_array)
{
	const char *why = NULL;

	while (at < end && !why) {
		bool is_quoted = *at == '"';
		const char *part = at + is_quoted, *behind;

		if (!is_quoted && (!is_array || memchr(",{}", *at, 3))) {
			at++;
			continue;
		}
		behind = end_of_part(part, end, is_quoted);
		if (behind - part >= SUSPICIOUS_MIN_BYTES)
			why = redaction_value_suspicion(part, (size_t)(behind - part));
		at = behind + (is_quoted && behind < end);
	}
	return why;
}

/* The parts of composite values as PostgreSQL writes them, and of arrays of these, however deep: none of these bytes is in a key. */
static const char *suspicion_within_composite(const char *at, const char *end)
{
	static const char between[] = ",(){}\"\\";
	const char *why = NULL;

	while (at < end && !why) {
		const char *part = at;

		while (at < end && !memchr(between, *at, sizeof(between) - 1))
			at++;
		if (at - part >= SUSPICIOUS_MIN_BYTES)
			why = redaction_value_suspicion(part, (size_t)(at - part));
		at++;
	}
	return why;
}

static const char *suspicion_of_text(const struct table_rows *t, size_t column, const char *text, size_t len)
{
	const struct copy_json_column *json = &t->columns[column];

	if (json->kind == COPY_JSON_TEXT && t->sources[column]->category == 'C')
		return suspicion_within_composite(text, text + len);
	return json->is_array || json->kind == COPY_JSON_JSON
	               ? suspicion_within(text, text + len, json->is_array)
	               : redaction_value_suspicion(text, len);
}

static const char *suspicion_of(struct table_rows *t, size_t column, const struct copy_field *field)
{
	if (field->is_null || field->len < SUSPICIOUS_MIN_BYTES)
		return NULL;
	if (!memchr(field->text, '\\', field->len))
		return suspicion_of_text(t, column, field->text, field->len);
	str_clear(&t->value);
	str_append_bytes(&t->value, field->text, field->len);
	t->value.len = copy_field_decode(field, t->value.data);
	return suspicion_of_text(t, column, t->value.data, t->value.len);
}

static int suspect_column(struct table_rows *t, size_t column, const char *why, struct error *err)
{
	_cleanup(free) char *name = mem_printf("%s.%s", t->label, t->sources[column]->name);

	if (t->order->conf->secrets_unsure == CONF_UNSURE_FAIL)
		return error_set(
		        err, ERROR_USAGE, EPERM,
		        "a value of %s looks like a secret (%s), and no rule says what is to be done: redact the column, or name it in allow_secrets, or set secrets_unsure = warn to export it",
		        name, why);
	t->is_watched[column] = false;
	t->watched--;
	t->order->suspect(t->order->arg, name, why);
	return 0;
}

static int watch_values(struct table_rows *t, const char *at, const char *end, struct error *err)
{
	struct copy_field field;
	int r = 0;

	for (size_t i = 0; i < t->count && t->watched > 0 && r == 0 && copy_field_next(&at, end, &field);
	     i++) {
		const char *why = t->is_watched[i] ? suspicion_of(t, i, &field) : NULL;

		if (why)
			r = suspect_column(t, i, why, err);
	}
	return r;
}

/* Rows. */

static int hand_on_chunk(struct table_rows *t, struct error *err)
{
	int r = t->chunk_rows > 0 ? export_writer_take_rows(t->order->writer, t->chunk.data, t->chunk.len,
	                                                    t->chunk_rows, err)
	                          : 0;

	str_clear(&t->chunk);
	t->chunk_rows = 0;
	return r;
}

static int convert_row(struct table_rows *t, const char *at, const char *end, struct error *err)
{
	const struct export_writer_ops *ops = t->order->writer->format->ops;
	int r = ops->append_row(t->converter, at, (size_t)(end - at), &t->chunk, err);

	if (r < 0)
		return r;
	t->chunk_rows++;
	return t->chunk.len < CHUNK_BYTES ? 0 : hand_on_chunk(t, err);
}

static int take_tenant_row(void *arg, const void *data, size_t len, struct error *err)
{
	struct table_rows *t = arg;
	const char *at = data, *end = at + len;
	int r;

	if (len > 0 && end[-1] == '\n')
		end--;
	r = isolation_check(&t->isolation, &at, end, err);
	if (r == 0 && t->watched > 0)
		r = watch_values(t, at, end, err);
	if (r == 0)
		r = convert_row(t, at ? at : end, end, err);
	return r < 0 ? r : t->order->pace(t->order->arg, len, err);
}

static int copy_table_rows(struct table_rows *t, const struct tenancy_table *table, struct error *err)
{
	const struct pg_tenant_rows rows = statement_of(t, table);
	_cleanup(free) char *sql = pg_tenant_rows_copy(&rows);
	int r = pg_session_copy(t->order->session, sql, take_tenant_row, t, err);

	return r < 0 ? r : hand_on_chunk(t, err);
}

static int write_table(struct table_rows *t, size_t decision, struct error *err)
{
	struct export_writer *w = t->order->writer;
	const struct export_table table = {
	        .decided = t->order->decided,
	        .decision = decision,
	        .columns = t->columns,
	        .sources = t->sources,
	        .column_count = t->count,
	        .key = t->order->key,
	};
	int r = export_writer_table(w, &table, err);

	if (r == 0)
		r = w->format->ops->converter_new(&table, &t->converter, err);
	if (r == 0)
		r = copy_table_rows(t, table_of(t->order, decision), err);
	return r < 0 ? r : export_writer_table_end(w, err);
}

static void name_table_in_error(const struct table_rows *t, int r, struct error *err)
{
	if (r < 0 && r != -ECANCELED && err && !strstr(err->message, t->label))
		error_prefix(err, "table %s", t->label);
}

int rows_export(const struct rows_order *order, size_t decision, struct error *err)
{
	struct table_rows t;
	int r;

	init_table_rows(&t, order, decision);
	r = write_table(&t, decision, err);
	name_table_in_error(&t, r, err);
	finish_table_rows(&t);
	return r;
}

int rows_hidden(const struct rows_order *order, size_t decision, uint64_t seen, struct error *err)
{
	struct table_rows t;
	struct pg_tenant_rows rows;
	_cleanup(free) char *sql = NULL;
	int r;

	init_table_rows(&t, order, decision);
	rows = statement_of(&t, table_of(order, decision));
	sql = pg_tenant_rows_exist(&rows, seen);
	r = pg_tenant_exists(order->session, sql, err);
	name_table_in_error(&t, r, err);
	finish_table_rows(&t);
	return r;
}

int rows_count(const struct rows_order *order, size_t decision, uint64_t *ret, struct error *err)
{
	struct table_rows t;
	struct pg_tenant_rows rows;
	int r;

	init_table_rows(&t, order, decision);
	rows = statement_of(&t, table_of(order, decision));
	r = pg_tenant_rows_count(order->session, &rows, ret, err);
	name_table_in_error(&t, r, err);
	finish_table_rows(&t);
	return r;
}

static struct pg_tenant_rows nobodys_of(const struct rows_order *order, size_t decision,
                                        struct str *condition)
{
	const struct decided *d = order->decided;
	const struct tenancy_table *table = table_of(order, decision);

	tenancy_append_nobodys(&d->model, &d->plan, &d->plan.decisions[decision], "t", condition);
	return (struct pg_tenant_rows){.schema = table->schema,
	                               .table = table->name,
	                               .with_partitions = table->kind == 'p',
	                               .condition = str_text(condition)};
}

int rows_nobodys(const struct rows_order *order, size_t decision, uint64_t *ret, struct error *err)
{
	_cleanup(str) struct str condition = {0};
	const struct pg_tenant_rows rows = nobodys_of(order, decision, &condition);

	return pg_tenant_rows_count(order->session, &rows, ret, err);
}

int rows_any_nobodys(const struct rows_order *order, size_t decision, struct error *err)
{
	_cleanup(str) struct str condition = {0};
	const struct pg_tenant_rows rows = nobodys_of(order, decision, &condition);
	_cleanup(free) char *sql = pg_tenant_rows_exist(&rows, 0);

	return pg_tenant_exists(order->session, sql, err);
}
