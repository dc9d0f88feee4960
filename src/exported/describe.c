// SPDX-License-Identifier: Apache-2.0
/* The members are those of docs/export.schema.json. */
#include "describe.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FORMAT_NAME    "keepfs-export"
#define FORMAT_VERSION 1

static int misdescribed(const char *key, const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "\"%s\" is not %s", key, what);
}

/* Values. */

static int take_said_text(const struct json *object, const char *key, char **ret, struct error *err)
{
	const char *text = json_get_string(object, key);

	if (!text)
		return misdescribed(key, "there as a text", err);
	*ret = mem_strdup(text);
	return 0;
}

/* Absent, or null. */
static int take_said_optional_text(const struct json *object, const char *key, char **ret, struct error *err)
{
	return json_get(object, key) && !json_get_null(object, key) ? take_said_text(object, key, ret, err)
	                                                            : 0;
}

static int take_said_texts(const struct json *list, const char *key, char ***ret, size_t *ret_count,
                           struct error *err)
{
	size_t count = json_count(list);

	if (!list || !json_is_array_value(list))
		return misdescribed(key, "there as a list of texts", err);
	*ret = mem_array(count + 1, sizeof(**ret));
	for (size_t i = 0; i < count; i++) {
		const char *text = json_text(json_item(list, i));

		if (!text)
			return misdescribed(key, "a list of texts", err);
		(*ret)[(*ret_count)++] = mem_strdup(text);
	}
	return 0;
}

static int take_said_flag(const struct json *object, const char *key, bool *ret, struct error *err)
{
	if (json_get(object, key) && !json_get_bool(object, key, ret))
		return misdescribed(key, "true or false", err);
	return 0;
}

/* Columns. */

static int take_said_identity(const struct json *column, char *ret, struct error *err)
{
	const char *identity = json_get_string(column, "identity");

	if (!json_get(column, "identity"))
		return 0;
	if (str_equal(identity, "always"))
		*ret = 'a';
	else if (str_equal(identity, "by default"))
		*ret = 'd';
	else
		return misdescribed("identity", "\"always\" or \"by default\"", err);
	return 0;
}

static int take_said_delimiter(const struct json *column, struct exported_column *c, struct error *err)
{
	const char *delimiter = json_get_string(column, "delimiter");

	if (str_ends(c->base, "[]"))
		c->delimiter = str_equal(c->base, "box[]") ? ';' : ',';
	if (!json_get(column, "delimiter"))
		return 0;
	/* Such that no number, and no word of ours, has it. */
	if (!c->delimiter || !delimiter || strlen(delimiter) != 1 || !strchr(",;:|/#", *delimiter))
		return misdescribed("delimiter", "one of , ; : | / # of a column that is an array", err);
	c->delimiter = *delimiter;
	return 0;
}

static int take_said_column(struct exported_column *c, const struct json *column, struct error *err)
{
	int r = take_said_text(column, "name", &c->name, err);

	c->nullable = true;
	if (r == 0)
		r = take_said_text(column, "type", &c->type, err);
	if (r == 0)
		r = take_said_optional_text(column, "base", &c->base, err);
	if (r == 0 && !c->base)
		c->base = mem_strdup(c->type);
	if (r == 0)
		r = take_said_flag(column, "nullable", &c->nullable, err);
	if (r == 0)
		r = take_said_flag(column, "generated", &c->is_generated, err);
	if (r == 0)
		r = take_said_identity(column, &c->identity, err);
	if (r == 0)
		r = take_said_optional_text(column, "sequence", &c->sequence, err);
	return r < 0 ? r : take_said_delimiter(column, c, err);
}

static ssize_t place_of_column(const struct exported_table *t, const char *name)
{
	for (size_t i = 0; i < t->column_count; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return (ssize_t)i;
	return -1;
}

static int take_said_columns(struct exported_table *t, const struct json *list, struct error *err)
{
	size_t count = json_count(list);
	int r = list && json_is_array_value(list) ? 0 : misdescribed("columns", "there as a list", err);

	if (r == 0)
		t->columns = mem_array(count + 1, sizeof(*t->columns));
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct exported_column *c = &t->columns[i];

		r = take_said_column(c, json_item(list, i), err);
		if (r == 0 && place_of_column(t, c->name) >= 0)
			r = error_set(err, ERROR_CORRUPT, EBADMSG, "there are two columns \"%s\"", c->name);
		t->column_count++;
	}
	return r;
}

/* Keys. */

/* Names of columns that are here, as their places. */
static int take_said_places(const struct exported_table *t, const struct json *list, const char *key,
                            uint32_t **ret, size_t *ret_count, struct error *err)
{
	size_t count = json_count(list);

	if (!list || !json_is_array_value(list))
		return misdescribed(key, "there as a list of columns", err);
	*ret = mem_array(count + 1, sizeof(**ret));
	for (size_t i = 0; i < count; i++) {
		const char *name = json_text(json_item(list, i));
		ssize_t place = name ? place_of_column(t, name) : -1;

		if (place < 0)
			return misdescribed(key, "a list of columns that the table has", err);
		(*ret)[(*ret_count)++] = (uint32_t)place;
	}
	return 0;
}

static int take_said_foreign_key(struct exported_key *k, const struct json *item, struct error *err)
{
	size_t references = 0;
	int r = take_said_optional_text(item, "name", &k->name, err);

	if (r == 0)
		r = take_said_text(item, "schema", &k->schema, err);
	if (r == 0)
		r = take_said_text(item, "table", &k->table, err);
	if (r == 0)
		r = take_said_texts(json_get(item, "columns"), "columns", &k->columns, &k->count, err);
	if (r == 0)
		r = take_said_texts(json_get(item, "references"), "references", &k->references, &references,
		                    err);
	if (r == 0 && (k->count != references || k->count == 0))
		r = misdescribed("references", "as long as \"columns\"", err);
	return r;
}

static int take_said_foreign_keys(struct exported_table *t, const struct json *list, struct error *err)
{
	size_t count = json_count(list);
	int r = list && json_is_array_value(list) ? 0 : misdescribed("foreign_keys", "there as a list", err);

	t->keys = mem_array(count + 1, sizeof(*t->keys));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = take_said_foreign_key(&t->keys[t->key_count++], json_item(list, i), err);
	return r;
}

static int take_said_uniques(struct exported_table *t, const struct json *list, struct error *err)
{
	size_t count = json_count(list);
	int r = 0;

	t->uniques = mem_array(count + 1, sizeof(*t->uniques));
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct exported_unique *u = &t->uniques[t->unique_count++];
		const struct json *item = json_item(list, i);

		r = take_said_optional_text(item, "name", &u->name, err);
		if (r == 0)
			r = take_said_places(t, json_get(item, "columns"), "unique", &u->columns, &u->count,
			                     err);
		if (r == 0)
			r = take_said_flag(item, "nulls_equal", &u->nulls_equal, err);
	}
	return r;
}

/* Soft references. */

static int take_said_operand(struct exported_operand *o, const struct json *item, const char *column,
                             const char *path, struct error *err)
{
	int r = take_said_text(item, column, &o->column, err);

	return r == 0 && json_get(item, path)
	               ? take_said_texts(json_get(item, path), path, &o->path, &o->path_count, err)
	               : r;
}

static int take_said_tests(struct exported_soft *s, const struct json *list, struct error *err)
{
	size_t count = json_count(list);
	int r = 0;

	s->tests = mem_array(count + 1, sizeof(*s->tests));
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct exported_test *t = &s->tests[s->test_count++];

		r = take_said_operand(&t->of, json_item(list, i), "column", "path", err);
		if (r == 0)
			r = take_said_text(json_item(list, i), "value", &t->value, err);
	}
	return r;
}

static int take_said_soft(struct exported_soft *s, const struct json *item, struct error *err)
{
	int r = take_said_operand(&s->from, item, "column", "path", err);

	if (r == 0)
		r = take_said_operand(&s->to, item, "references", "references_path", err);
	if (r == 0)
		r = take_said_text(item, "schema", &s->schema, err);
	if (r == 0)
		r = take_said_text(item, "table", &s->table, err);
	return r < 0 ? r : take_said_tests(s, json_get(item, "when"), err);
}

static int take_said_softs(struct exported_table *t, const struct json *list, struct error *err)
{
	size_t count = json_count(list);
	int r = 0;

	t->softs = mem_array(count + 1, sizeof(*t->softs));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = take_said_soft(&t->softs[t->soft_count++], json_item(list, i), err);
	return r;
}

/* Tables. */

static enum exported_way way_of(const char *name)
{
	static const char *const ways[] = {
	        [EXPORTED_BY_COLUMN] = "column",     [EXPORTED_BY_SELF] = "self", [EXPORTED_BY_KEY] = "key",
	        [EXPORTED_BY_REFERRED] = "referred", [EXPORTED_WHOLE] = "whole",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i] && str_equal(name, ways[i]))
			return (enum exported_way)i;
	return EXPORTED_BY_UNKNOWN;
}

static int take_said_kind(struct exported_table *t, const struct json *table, struct error *err)
{
	const char *kind = json_get_string(table, "kind");

	if (str_equal(kind, "foreign table"))
		t->kind = EXPORTED_FOREIGN_TABLE;
	else if (str_equal(kind, "materialized view"))
		t->kind = EXPORTED_MATERIALIZED_VIEW;
	else if (json_get(table, "kind"))
		return misdescribed("kind", "one that this keepfs knows", err);
	return 0;
}

static int take_said_tenant_column(struct exported_table *t, const struct json *table, struct error *err)
{
	const char *name = json_get_string(table, "tenant_column");

	t->way = way_of(json_get_string(table, "way"));
	t->tenant_column = -1;
	if (!json_get(table, "tenant_column"))
		return 0;
	t->tenant_column = name ? (int)place_of_column(t, name) : -1;
	return t->tenant_column < 0 ? misdescribed("tenant_column", "a column that the table has", err) : 0;
}

static int take_said_names(struct exported_table *t, const struct json *table, struct error *err)
{
	int r = take_said_text(table, "schema", &t->schema, err);

	if (r == 0)
		r = take_said_text(table, "table", &t->name, err);
	return r < 0 ? r : take_said_optional_text(table, "found_by", &t->found_by, err);
}

int describe_table(struct exported_table *ret, const struct json *table, struct error *err)
{
	int r = take_said_names(ret, table, err);

	if (r == 0)
		r = take_said_kind(ret, table, err);
	if (r == 0)
		r = take_said_columns(ret, json_get(table, "columns"), err);
	if (r == 0)
		r = take_said_tenant_column(ret, table, err);
	if (r == 0)
		r = take_said_places(ret, json_get(table, "primary_key"), "primary_key", &ret->primary_key,
		                     &ret->primary_key_count, err);
	if (r == 0)
		r = take_said_foreign_keys(ret, json_get(table, "foreign_keys"), err);
	if (r == 0)
		r = take_said_uniques(ret, json_get(table, "unique"), err);
	if (r == 0)
		r = take_said_softs(ret, json_get(table, "soft_references"), err);
	return r < 0 ? r : take_said_flag(table, "row_security", &ret->row_security, err);
}

/* The document. */

static int take_said_format(struct exported_head *head, const struct json *value, struct error *err)
{
	return str_equal(json_text(value), FORMAT_NAME) ? 0
	                                                : misdescribed("format", "\"" FORMAT_NAME "\"", err);
}

static int take_said_version(struct exported_head *head, const struct json *value, struct error *err)
{
	_cleanup(str) struct str number = {0};

	if (!json_scalar_text(value, &number) || json_text(value))
		return misdescribed("version", "a number", err);
	if (strcmp(str_text(&number), "1") != 0)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "it has version %s of the format, and this keepfs knows version %d: a newer keepfs reads it",
		        str_text(&number), FORMAT_VERSION);
	head->version = FORMAT_VERSION;
	return 0;
}

static int take_said_readme(struct exported_head *head, const struct json *value, struct error *err)
{
	return take_said_texts(value, "readme", &head->readme, &head->readme_count, err);
}

static int take_said_tenant(struct exported_head *head, const struct json *value, struct error *err)
{
	int r = take_said_text(value, "id", &head->tenant_id, err);

	if (r == 0)
		r = take_said_text(value, "slug", &head->slug, err);
	return r < 0 ? r : take_said_optional_text(value, "name", &head->name, err);
}

static int take_said_tenancy(struct exported_head *head, const struct json *value, struct error *err)
{
	int r = take_said_text(value, "tenancy", &head->tenancy, err);

	if (r == 0 && strcmp(head->tenancy, "column") != 0 && strcmp(head->tenancy, "schema") != 0 &&
	    strcmp(head->tenancy, "database") != 0)
		r = misdescribed("tenancy", "\"column\", \"schema\" or \"database\"", err);
	return r;
}

static int take_said_source(struct exported_head *head, const struct json *value, struct error *err)
{
	int r = take_said_text(value, "job", &head->job, err);

	if (r == 0)
		r = take_said_text(value, "database", &head->database, err);
	if (r == 0)
		r = take_said_text(value, "server_version", &head->server_version, err);
	if (r == 0)
		r = take_said_text(value, "keepfs", &head->keepfs, err);
	if (r == 0)
		r = take_said_tenancy(head, value, err);
	if (r == 0 && !json_get_time(value, "taken_at", &head->taken_at_us))
		r = misdescribed("taken_at", "a time", err);
	return r;
}

static int take_said_redacted_item(struct exported_redacted *d, const struct json *item, struct error *err)
{
	int r = take_said_text(item, "schema", &d->schema, err);

	if (r == 0)
		r = take_said_text(item, "table", &d->table, err);
	if (r == 0)
		r = take_said_text(item, "column", &d->column, err);
	if (r == 0)
		r = take_said_text(item, "how", &d->how, err);
	if (r == 0)
		r = take_said_text(item, "why", &d->why, err);
	if (r == 0 && json_get(item, "path"))
		r = take_said_texts(json_get(item, "path"), "path", &d->path, &d->path_count, err);
	return r;
}

static int take_said_redacted(struct exported_head *head, const struct json *list, struct error *err)
{
	size_t count = json_count(list);
	int r = json_is_array_value(list) ? 0 : misdescribed("redacted", "a list", err);

	head->redacted = mem_array(count + 1, sizeof(*head->redacted));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = take_said_redacted_item(&head->redacted[head->redacted_count++], json_item(list, i), err);
	return r;
}

static int take_said_left_out(struct exported_head *head, const struct json *list, struct error *err)
{
	size_t count = json_count(list);
	int r = json_is_array_value(list) ? 0 : misdescribed("left_out", "a list", err);

	head->left_out = mem_array(count + 1, sizeof(*head->left_out));
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct exported_left_out *l = &head->left_out[head->left_out_count++];
		const struct json *item = json_item(list, i);

		r = take_said_text(item, "schema", &l->schema, err);
		if (r == 0)
			r = take_said_text(item, "table", &l->table, err);
		if (r == 0)
			r = take_said_text(item, "why", &l->why, err);
	}
	return r;
}

static const struct {
	const char *key;
	int (*take)(struct exported_head *head, const struct json *value, struct error *err);
} document_members[] = {
        {"format", take_said_format},     {"version", take_said_version}, {"readme", take_said_readme},
        {"tenant", take_said_tenant},     {"source", take_said_source},   {"redacted", take_said_redacted},
        {"left_out", take_said_left_out},
};

bool describe_knows(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(document_members); i++)
		if (strcmp(document_members[i].key, key) == 0)
			return true;
	return false;
}

int describe_document(struct exported_head *head, unsigned *seen, const char *key, const struct json *value,
                      struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(document_members); i++) {
		if (strcmp(document_members[i].key, key) != 0)
			continue;
		if (*seen & 1U << i)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "\"%s\" is there twice", key);
		*seen |= 1U << i;
		return document_members[i].take(head, value, err);
	}
	return 0;
}

int describe_document_check(unsigned seen, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(document_members); i++)
		if (!(seen & 1U << i))
			return error_set(err, ERROR_CORRUPT, EBADMSG, "\"%s\" is not there before \"tables\"",
			                 document_members[i].key);
	return 0;
}
