// SPDX-License-Identifier: Apache-2.0
#include "exported.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>

const char *exported_format_name(enum exported_format format)
{
	static const char *const names[] = {
	        [EXPORTED_JSON] = "json",
	        [EXPORTED_NDJSON] = "ndjson",
	        [EXPORTED_CSV] = "csv",
	        [EXPORTED_SQLITE] = "sqlite",
	};

	return names[format];
}

/* NULL-terminated, or NULL. */
static void free_texts(char **texts)
{
	for (size_t i = 0; texts && texts[i]; i++)
		free(texts[i]);
	free(texts);
}

static void free_columns(struct exported_table *t)
{
	for (size_t i = 0; i < t->column_count; i++) {
		free(t->columns[i].name);
		free(t->columns[i].type);
		free(t->columns[i].base);
		free(t->columns[i].sequence);
	}
	free(t->columns);
}

static void free_exported_keys(struct exported_table *t)
{
	for (size_t i = 0; i < t->key_count; i++) {
		struct exported_key *k = &t->keys[i];

		free(k->name);
		free(k->schema);
		free(k->table);
		free_texts(k->columns);
		free_texts(k->references);
	}
	free(t->keys);
	for (size_t i = 0; i < t->unique_count; i++) {
		free(t->uniques[i].name);
		free(t->uniques[i].columns);
	}
	free(t->uniques);
	free(t->primary_key);
}

static void free_operand(struct exported_operand *o)
{
	free(o->column);
	free_texts(o->path);
}

static void free_exported_softs(struct exported_table *t)
{
	for (size_t i = 0; i < t->soft_count; i++) {
		struct exported_soft *s = &t->softs[i];

		free_operand(&s->from);
		free_operand(&s->to);
		free(s->schema);
		free(s->table);
		for (size_t k = 0; k < s->test_count; k++) {
			free_operand(&s->tests[k].of);
			free(s->tests[k].value);
		}
		free(s->tests);
	}
	free(t->softs);
}

static void finish_exported_table(struct exported_table *t)
{
	free_columns(t);
	free_exported_keys(t);
	free_exported_softs(t);
	free(t->schema);
	free(t->name);
	free(t->found_by);
}

static void free_absent(struct exported_head *head)
{
	for (size_t i = 0; i < head->redacted_count; i++) {
		struct exported_redacted *r = &head->redacted[i];

		free(r->schema);
		free(r->table);
		free(r->column);
		free_texts(r->path);
		free(r->how);
		free(r->why);
	}
	free(head->redacted);
	for (size_t i = 0; i < head->left_out_count; i++) {
		free(head->left_out[i].schema);
		free(head->left_out[i].table);
		free(head->left_out[i].why);
	}
	free(head->left_out);
}

void exported_head_finish(struct exported_head *head)
{
	for (size_t i = 0; i < head->table_count; i++)
		finish_exported_table(&head->tables[i]);
	free(head->tables);
	free_absent(head);
	free_texts(head->readme);
	free_texts(head->remarks);
	free(head->tenant_id);
	free(head->slug);
	free(head->name);
	free(head->job);
	free(head->database);
	free(head->server_version);
	free(head->keepfs);
	free(head->tenancy);
	*head = (struct exported_head){0};
}

void exported_remark(struct exported_head *head, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	head->remarks = mem_resize(head->remarks, head->remark_count + 2, sizeof(*head->remarks));
	head->remarks[head->remark_count++] = str_take(&text);
	head->remarks[head->remark_count] = NULL;
}

ssize_t exported_find_table(const struct exported_head *head, const char *schema, const char *name)
{
	for (size_t i = 0; i < head->table_count; i++)
		if (strcmp(head->tables[i].name, name) == 0 && strcmp(head->tables[i].schema, schema) == 0)
			return (ssize_t)i;
	return -1;
}
