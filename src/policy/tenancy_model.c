// SPDX-License-Identifier: Apache-2.0
/* The facts: freeing them, and finding a table and a column. */
#include <keepfs/policy/tenancy.h>

static void free_model_column(struct tenancy_column *c)
{
	free(c->name);
	free(c->type);
	free(c->base_type);
	free(c->comment);
	free(c->sequence);
}

static void free_model_table(struct tenancy_table *t)
{
	for (size_t i = 0; i < t->column_count; i++)
		free_model_column(&t->columns[i]);
	for (size_t i = 0; i < t->unique_count; i++) {
		free(t->uniques[i].name);
		free(t->uniques[i].columns);
	}
	free(t->uniques);
	free(t->columns);
	free(t->primary_key);
	free(t->schema);
	free(t->name);
	free(t->comment);
}

void tenancy_model_finish(struct tenancy_model *m)
{
	for (size_t i = 0; i < m->table_count; i++)
		free_model_table(&m->tables[i]);
	for (size_t i = 0; i < m->key_count; i++) {
		free(m->keys[i].name);
		free(m->keys[i].from_columns);
		free(m->keys[i].to_columns);
	}
	free(m->tables);
	free(m->keys);
	*m = (struct tenancy_model){0};
}

ssize_t tenancy_find_table(const struct tenancy_model *m, const char *schema, const char *name)
{
	ssize_t found = -1;

	for (size_t i = 0; i < m->table_count; i++) {
		if (!str_equal(m->tables[i].name, name) ||
		    (schema && !str_equal(m->tables[i].schema, schema)))
			continue;
		if (found >= 0)
			return -2;
		found = (ssize_t)i;
	}
	return found;
}

ssize_t tenancy_find_column(const struct tenancy_table *t, const char *name)
{
	for (size_t i = 0; i < t->column_count; i++)
		if (str_equal(t->columns[i].name, name))
			return (ssize_t)i;
	return -1;
}
