// SPDX-License-Identifier: Apache-2.0
/* The JSON around the rows. What is small is built as values, and left open where the rows go. */
#include "config.h"

#include "document.h"

#include "readme.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

#include <inttypes.h>
#include <string.h>

#define FORMAT_NAME    "keepfs-export"
#define FORMAT_VERSION 1
#define BUFFER_BYTES   ((size_t)64 << 10)

static int flush_document(struct document *d, struct error *err)
{
	int r = d->buf.len > 0 ? d->write(d->arg, d->buf.data, d->buf.len, err) : 0;

	d->bytes += d->buf.len;
	str_clear(&d->buf);
	return r;
}

static void end_document_line(struct document *d)
{
	str_append_char(&d->buf, '\n');
	d->lines++;
}

/* The members alone, behind others. */
static void append_members(struct document *d, const struct json *object)
{
	_cleanup(str) struct str text = {0};

	json_write(object, 0, &text);
	str_append_bytes(&d->buf, text.data + 1, text.len - 2);
}

/* The object without its end, behind which more members follow. */
static void append_open_object(struct document *d, struct json *object)
{
	json_write(object, 0, &d->buf);
	d->buf.len--;
	json_free(object);
}

/* What it is of. */

static struct json *tenant_of(const struct export_tenant *t)
{
	struct json *object = json_object_new();

	json_set_string(object, "id", t->id);
	json_set_string(object, "slug", t->slug);
	json_set_string(object, "name", t->name);
	return object;
}

static const char *tenancy_name(enum tenancy_kind kind)
{
	return kind == TENANCY_SCHEMA ? "schema" : kind == TENANCY_DATABASE ? "database" : "column";
}

static struct json *source_of(const struct document_head *head)
{
	struct json *object = json_object_new();

	json_set_string(object, "job", head->job);
	json_set_string(object, "database", head->database);
	json_set_string(object, "server_version", head->server_version);
	json_set_string(object, "tenancy", tenancy_name(head->tenancy));
	json_set_time(object, "taken_at", head->taken_at_us);
	json_set_string(object, "keepfs", KEEPFS_VERSION);
	return object;
}

/* What is not here. */

static struct json *redacted_item(const struct tenancy_table *t, const struct tenancy_column *c,
                                  enum redaction_how how, const char *why)
{
	struct json *object = json_object_new();

	json_set_string(object, "schema", t->schema);
	json_set_string(object, "table", t->name);
	json_set_string(object, "column", c->name);
	json_set_string(object, "how", redaction_how_name(how));
	json_set_string(object, "why", str_or_empty(why));
	return object;
}

static struct json *redacted_path(const struct tenancy_table *t, const struct tenancy_column *c,
                                  const struct redaction_path *p)
{
	struct json *object = json_object_new(), *path = json_array_new();
	_cleanup(free) char *why = mem_printf("rule %s", p->rule);

	for (size_t i = 0; i < p->key_count; i++)
		json_append_string(path, p->keys[i]);
	json_set_string(object, "schema", t->schema);
	json_set_string(object, "table", t->name);
	json_set_string(object, "column", c->name);
	json_set(object, "path", path);
	json_set_string(object, "how", redaction_how_name(p->how));
	json_set_string(object, "why", why);
	return object;
}

static void add_redacted(struct json *list, const struct tenancy_table *t, const struct tenancy_column *c,
                         const struct redaction_column *redaction)
{
	if (redaction->how != REDACTION_NONE)
		json_append(list, redacted_item(t, c, redaction->how, redaction->why));
	for (size_t i = 0; i < redaction->path_count; i++)
		json_append(list, redacted_path(t, c, &redaction->paths[i]));
}

static struct json *redacted_of(const struct decided *decided)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < decided->plan.count; i++) {
		const struct tenancy_table *t = &decided->model.tables[decided->plan.decisions[i].table];
		const struct redaction_column *columns = decided->redaction.columns[i];

		for (size_t c = 0; columns && c < t->column_count; c++)
			add_redacted(list, t, &t->columns[c], &columns[c]);
	}
	return list;
}

static struct json *left_out_of(const struct decided *decided)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < decided->plan.count; i++) {
		const struct tenancy_decision *decision = &decided->plan.decisions[i];
		const struct tenancy_table *t = &decided->model.tables[decision->table];
		struct json *object;

		if (decision->verdict == TENANCY_EXPORTED)
			continue;
		object = json_object_new();
		json_set_string(object, "schema", t->schema);
		json_set_string(object, "table", t->name);
		json_set_string(object, "why", decision->reason);
		json_append(list, object);
	}
	return list;
}

static void append_head_member(struct document *d, const char *key, struct json *value)
{
	str_appendf(&d->buf, ",\n\"%s\":", key);
	d->lines++;
	json_write(value, 0, &d->buf);
	json_free(value);
}

int document_begin(struct document *d, const struct document_head *head, struct error *err)
{
	str_appendf(&d->buf, "{\"format\":\"%s\",\"version\":%d", FORMAT_NAME, FORMAT_VERSION);
	append_head_member(d, "readme", readme_json(head));
	append_head_member(d, "tenant", tenant_of(head->tenant));
	append_head_member(d, "source", source_of(head));
	append_head_member(d, "redacted", redacted_of(head->decided));
	append_head_member(d, "left_out", left_out_of(head->decided));
	str_append(&d->buf, ",\n\"tables\":[");
	d->lines++;
	return flush_document(d, err);
}

/* Tables. */

/* What separates the elements of an array is only said where it is not what a reader takes it for. */
static void set_delimiter(struct json *object, const struct tenancy_column *c)
{
	const char text[] = {c->delimiter, '\0'};

	if (c->delimiter && c->delimiter != (strcmp(c->base_type, "box[]") == 0 ? ';' : ','))
		json_set_string(object, "delimiter", text);
}

static struct json *described_column(const struct tenancy_column *c)
{
	struct json *object = json_object_new();

	json_set_string(object, "name", c->name);
	json_set_string(object, "type", c->type);
	if (strcmp(c->base_type, c->type) != 0)
		json_set_string(object, "base", c->base_type);
	set_delimiter(object, c);
	json_set_bool(object, "nullable", !c->not_null);
	if (c->is_generated)
		json_set_bool(object, "generated", true);
	if (c->identity)
		json_set_string(object, "identity", c->identity == 'a' ? "always" : "by default");
	if (c->sequence)
		json_set_string(object, "sequence", c->sequence);
	return object;
}

static struct json *columns_of(const struct tenancy_table *t, const struct redaction_column *redaction)
{
	struct json *list = json_array_new();

	for (size_t c = 0; c < t->column_count; c++)
		if (redaction[c].how != REDACTION_OMIT)
			json_append(list, described_column(&t->columns[c]));
	return list;
}

static struct json *column_names(const struct tenancy_table *t, const uint32_t *columns, size_t count)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < count; i++)
		json_append_string(list, t->columns[columns[i]].name);
	return list;
}

static struct json *foreign_keys_of(const struct tenancy_model *model, uint32_t table)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < model->key_count; i++) {
		const struct tenancy_key *key = &model->keys[i];
		const struct tenancy_table *to = &model->tables[key->to];
		struct json *object;

		if (key->from != table)
			continue;
		object = json_object_new();
		json_set_string(object, "name", key->name);
		json_set(object, "columns",
		         column_names(&model->tables[table], key->from_columns, key->count));
		json_set_string(object, "schema", to->schema);
		json_set_string(object, "table", to->name);
		json_set(object, "references", column_names(to, key->to_columns, key->count));
		json_append(list, object);
	}
	return list;
}

/* A unique key of which a column is omitted says nothing of what is here. */
static bool has_all_columns(const struct tenancy_unique *u, const struct redaction_column *redaction)
{
	for (size_t i = 0; i < u->count; i++)
		if (redaction[u->columns[i]].how == REDACTION_OMIT)
			return false;
	return true;
}

static void set_uniques(struct json *object, const struct tenancy_table *t,
                        const struct redaction_column *redaction)
{
	_cleanup(json) struct json *list = json_array_new();

	for (size_t i = 0; i < t->unique_count; i++) {
		const struct tenancy_unique *u = &t->uniques[i];
		struct json *item;

		if (!has_all_columns(u, redaction))
			continue;
		item = json_object_new();
		json_set_string(item, "name", u->name);
		json_set(item, "columns", column_names(t, u->columns, u->count));
		if (u->nulls_equal)
			json_set_bool(item, "nulls_equal", true);
		json_append(list, item);
	}
	if (json_count(list) > 0)
		json_set(object, "unique", take_ptr(&list));
}

/* Soft references. */

static void set_operand(struct json *object, const struct tenancy_table *t, const struct tenancy_operand *o,
                        const char *column, const char *path)
{
	struct json *keys;

	json_set_string(object, column, t->columns[o->column].name);
	if (o->path_count == 0)
		return;
	keys = json_array_new();
	for (size_t i = 0; i < o->path_count; i++)
		json_append_string(keys, o->path[i]);
	json_set(object, path, keys);
}

static struct json *soft_reference_of(const struct tenancy_model *model, const struct tenancy_soft *s)
{
	const struct tenancy_table *from = &model->tables[s->from], *to = &model->tables[s->to];
	struct json *object = json_object_new(), *tests = json_array_new();

	set_operand(object, from, &s->from_value, "column", "path");
	json_set_string(object, "schema", to->schema);
	json_set_string(object, "table", to->name);
	set_operand(object, to, &s->to_value, "references", "references_path");
	for (size_t i = 0; i < s->test_count; i++) {
		struct json *test = json_object_new();

		set_operand(test, from, &s->tests[i].of, "column", "path");
		json_set_string(test, "value", s->tests[i].value);
		json_append(tests, test);
	}
	json_set(object, "when", tests);
	return object;
}

static void set_soft_references(struct json *object, const struct decided *decided, uint32_t table)
{
	_cleanup(json) struct json *list = json_array_new();

	for (size_t i = 0; i < decided->plan.soft_count; i++)
		if (decided->plan.softs[i].from == table)
			json_append(list, soft_reference_of(&decided->model, &decided->plan.softs[i]));
	if (json_count(list) > 0)
		json_set(object, "soft_references", take_ptr(&list));
}

/* Whose the rows are, for programs. */

static const char *way_name(enum tenancy_way way)
{
	switch (way) {
	case TENANCY_BY_COLUMN:
		return "column";
	case TENANCY_BY_SELF:
		return "self";
	case TENANCY_BY_KEY:
		return "key";
	case TENANCY_BY_REFERRED:
		return "referred";
	case TENANCY_WHOLE:
		return "whole";
	}
	return NULL;
}

static void set_way(struct json *object, const struct tenancy_table *t,
                    const struct tenancy_decision *decision)
{
	json_set_string(object, "way", way_name(decision->way));
	if ((decision->way == TENANCY_BY_COLUMN || decision->way == TENANCY_BY_SELF) &&
	    decision->tenant_column >= 0)
		json_set_string(object, "tenant_column", t->columns[decision->tenant_column].name);
}

static void set_kind(struct json *object, const struct tenancy_table *t)
{
	if (t->kind == 'f')
		json_set_string(object, "kind", "foreign table");
	if (t->kind == 'm')
		json_set_string(object, "kind", "materialized view");
	if (t->has_row_security)
		json_set_bool(object, "row_security", true);
}

static struct json *table_head(const struct decided *decided, size_t number)
{
	const struct tenancy_decision *decision = &decided->plan.decisions[number];
	const struct tenancy_table *t = &decided->model.tables[decision->table];
	struct json *object = json_object_new();

	json_set_string(object, "schema", t->schema);
	json_set_string(object, "table", t->name);
	set_kind(object, t);
	json_set(object, "columns", columns_of(t, decided->redaction.columns[number]));
	json_set(object, "primary_key", column_names(t, t->primary_key, t->primary_key_count));
	json_set(object, "foreign_keys", foreign_keys_of(&decided->model, decision->table));
	set_uniques(object, t, decided->redaction.columns[number]);
	set_soft_references(object, decided, decision->table);
	set_way(object, t, decision);
	json_set_string(object, "found_by", decision->reason);
	return object;
}

int document_table_without_rows(struct document *d, const struct decided *decided,
                                const struct document_elsewhere *rows, struct error *err)
{
	_cleanup(json) struct json *place = json_object_new();

	str_append(&d->buf, d->tables++ > 0 ? ",\n" : "\n");
	d->lines++;
	append_open_object(d, table_head(decided, rows->decision));
	json_set_string(place, rows->key, rows->place);
	str_append_char(&d->buf, ',');
	append_members(d, place);
	str_appendf(&d->buf, ",\"row_count\":%" PRIu64 "}", rows->rows);
	d->rows += rows->rows;
	return flush_document(d, err);
}

int document_table(struct document *d, const struct decided *decided, size_t decision, struct error *err)
{
	str_append(&d->buf, d->tables++ > 0 ? ",\n" : "\n");
	d->lines++;
	append_open_object(d, table_head(decided, decision));
	str_append(&d->buf, ",\"rows\":[");
	d->table_rows = 0;
	return flush_document(d, err);
}

static int flush_if_full(struct document *d, struct error *err)
{
	return d->buf.len < BUFFER_BYTES ? 0 : flush_document(d, err);
}

/* The first row of a table has no other one before it, and so no comma. What is long is not copied. */
int document_rows(struct document *d, const char *bytes, size_t len, uint64_t rows, struct error *err)
{
	size_t skipped = d->table_rows == 0;
	int r;

	d->table_rows += rows;
	d->lines += rows;
	bytes += skipped;
	len -= skipped;
	if (len < BUFFER_BYTES) {
		str_append_bytes(&d->buf, bytes, len);
		return flush_if_full(d, err);
	}
	r = flush_document(d, err);
	d->bytes += len;
	return r < 0 ? r : d->write(d->arg, bytes, len, err);
}

int document_pass_rows(struct document *d, uint64_t len, uint64_t rows, struct error *err)
{
	d->table_rows += rows;
	d->lines += rows;
	d->bytes += len;
	return flush_document(d, err);
}

int document_table_end(struct document *d, struct error *err)
{
	if (d->table_rows > 0)
		end_document_line(d);
	str_appendf(&d->buf, "],\"row_count\":%" PRIu64 "}", d->table_rows);
	d->rows += d->table_rows;
	return flush_document(d, err);
}

void document_append_end(struct str *out, uint64_t rows)
{
	str_appendf(out, "\n],\"row_count\":%" PRIu64 "}\n", rows);
}

int document_end(struct document *d, struct error *err)
{
	document_append_end(&d->buf, d->rows);
	d->lines += 2;
	return flush_document(d, err);
}

void document_finish(struct document *d)
{
	str_finish(&d->buf);
}
