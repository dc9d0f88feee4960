// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Models of databases, written as text. A line is a table or a foreign key:
 *
 *   TABLE[:KIND] COLUMN[:TYPE][!][*] …     "!": NOT NULL, "*": of the primary key, which is NOT NULL; KIND: r, p, f, m, or P, a partition
 *   TABLE.COLUMN[,COLUMN] > TABLE.COLUMN[,COLUMN]
 *
 * A table without a schema is in public, a column without a type is a bigint. "~" in a type stands for a blank. Tables come in the order of their schemas and names, as
 * pg_tenancy_read() gives them.
 */
#include <keepfs/base/mem.h>
#include <keepfs/policy/tenancy.h>

#include <string.h>

static inline struct tenancy_column model_column(char *text, bool *ret_is_key)
{
	struct tenancy_column c = {0};
	char *end = text + strlen(text);

	for (*ret_is_key = false; end[-1] == '!' || end[-1] == '*'; *--end = '\0') {
		*ret_is_key = *ret_is_key || end[-1] == '*';
		c.not_null = true;
	}
	end = strchr(text, ':');
	if (end)
		*end++ = '\0';
	c.name = mem_strdup(text);
	c.type = mem_strdup(end ? end : "bigint");
	for (char *p = c.type; (p = strchr(p, '~'));)
		*p = ' ';
	c.base_type = mem_strdup(c.type);
	c.category = (char)(strstr(c.type, "int") ? 'N' : str_equal(c.type, "text") ? 'S' : 'U');
	return c;
}

static inline void model_name(const char *text, char **ret_schema, char **ret_name)
{
	const char *dot = strchr(text, '.');

	*ret_schema = dot ? strndup(text, (size_t)(dot - text)) : mem_strdup("public");
	*ret_name = mem_strdup(dot ? dot + 1 : text);
}

static inline void model_add_table(struct tenancy_model *m, char *line)
{
	char *save = NULL, *word = strtok_r(line, " ", &save), *kind = strchr(word, ':');
	struct tenancy_table *t;

	m->tables = mem_resize(m->tables, m->table_count + 1, sizeof(*m->tables));
	t = &m->tables[m->table_count++];
	*t = (struct tenancy_table){.oid = (uint32_t)(10000 + m->table_count), .kind = 'r'};
	if (kind) {
		*kind++ = '\0';
		t->is_partition = *kind == 'P';
		t->kind = *kind == 'P' ? 'r' : *kind;
	}
	model_name(word, &t->schema, &t->name);
	while ((word = strtok_r(NULL, " ", &save))) {
		bool is_key;

		t->columns = mem_resize(t->columns, t->column_count + 1, sizeof(*t->columns));
		t->columns[t->column_count] = model_column(word, &is_key);
		if (is_key) {
			t->primary_key =
			        mem_resize(t->primary_key, t->primary_key_count + 1, sizeof(uint32_t));
			t->primary_key[t->primary_key_count++] = (uint32_t)t->column_count;
		}
		t->column_count++;
	}
}

static inline int model_by_name(const void *a, const void *b)
{
	const struct tenancy_table *x = a, *y = b;
	int r = strcmp(x->schema, y->schema);

	return r ? r : strcmp(x->name, y->name);
}

/* "orders.a,b": the table's place; its columns. */
static inline uint32_t model_end(const struct tenancy_model *m, char *text, uint32_t **ret_columns,
                                 size_t *ret_count)
{
	char *dot = strrchr(text, '.'), *schema, *name, *save = NULL;
	ssize_t table;

	*dot = '\0';
	model_name(text, &schema, &name);
	table = tenancy_find_table(m, schema, name);
	*ret_count = 0;
	*ret_columns = NULL;
	for (char *c = strtok_r(dot + 1, ",", &save); c; c = strtok_r(NULL, ",", &save)) {
		ssize_t column = table < 0 ? -1 : tenancy_find_column(&m->tables[table], c);

		if (column < 0)
			abort(); /* the test itself is wrong */
		*ret_columns = mem_resize(*ret_columns, *ret_count + 1, sizeof(uint32_t));
		(*ret_columns)[(*ret_count)++] = (uint32_t)column;
	}
	free(schema);
	free(name);
	return (uint32_t)table;
}

static inline void model_add_key(struct tenancy_model *m, char *line)
{
	char *arrow = strstr(line, " > ");
	struct tenancy_key *k;

	m->keys = mem_resize(m->keys, m->key_count + 1, sizeof(*m->keys));
	k = &m->keys[m->key_count++];
	*k = (struct tenancy_key){.name = mem_strdup("key")};
	*arrow = '\0';
	k->from = model_end(m, line, &k->from_columns, &k->count);
	k->to = model_end(m, arrow + 3, &k->to_columns, &k->count);
}

static inline struct tenancy_model model_of(const char *text)
{
	_cleanup(free) char *tables = mem_strdup(text), *keys = mem_strdup(text);
	struct tenancy_model m = {0};
	char *save = NULL;

	for (char *l = strtok_r(tables, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (!strstr(l, " > "))
			model_add_table(&m, l);
	qsort(m.tables, m.table_count, sizeof(*m.tables), model_by_name);
	for (char *l = strtok_r(keys, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strstr(l, " > "))
			model_add_key(&m, l);
	return m;
}

/** model_rename() - give a table or (column not NULL) one of its columns a name that no text above can have. */
static inline void model_rename(struct tenancy_model *m, const char *table, const char *column,
                                const char *name)
{
	struct tenancy_table *t = &m->tables[tenancy_find_table(m, NULL, table)];

	mem_replace_string(column ? &t->columns[tenancy_find_column(t, column)].name : &t->name, name);
}

#define LIST(...) ((char *const[]){__VA_ARGS__, NULL})
