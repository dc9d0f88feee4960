// SPDX-License-Identifier: Apache-2.0
#include "keys.h"

#include <keepfs/base/mem.h>

static enum redaction_how how_of_column(const struct decided *d, uint32_t table, uint32_t column)
{
	return d->redaction.columns[d->plan.decision_of[table]][column].how;
}

static bool is_exported_table(const struct decided *d, uint32_t table)
{
	uint32_t decision = d->plan.decision_of[table];

	return decision != UINT32_MAX && d->plan.decisions[decision].verdict == TENANCY_EXPORTED;
}

/* Equal values are still equal, or there are none. */
static bool column_still_refers(enum redaction_how from, enum redaction_how to)
{
	if (from == REDACTION_NULL)
		return to == REDACTION_NONE;
	return from == to && (from == REDACTION_NONE || from == REDACTION_HASH);
}

const char *export_key_problem(const struct decided *d, const struct tenancy_key *key)
{
	if (!is_exported_table(d, key->to))
		return "that table is left out";
	for (size_t i = 0; i < key->count; i++)
		if (!column_still_refers(how_of_column(d, key->from, key->from_columns[i]),
		                         how_of_column(d, key->to, key->to_columns[i])))
			return "a column of it is redacted";
	return NULL;
}

uint32_t *export_key_places(const struct decided *d, size_t decision, const uint32_t *columns, size_t count)
{
	uint32_t *places = mem_array(count + 1, sizeof(*places));

	for (size_t i = 0; i < count; i++)
		for (uint32_t c = 0; c < columns[i]; c++)
			places[i] += d->redaction.columns[decision][c].how != REDACTION_OMIT;
	return places;
}

static bool key_has_column(const uint32_t *columns, size_t count, uint32_t column)
{
	for (size_t i = 0; i < count; i++)
		if (columns[i] == column)
			return true;
	return false;
}

static bool are_same_columns(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!key_has_column(b, b_count, a[i]))
			return false;
	return true;
}

static bool is_known_unique(const struct tenancy_key *const *known, size_t count,
                            const struct tenancy_key *key)
{
	for (size_t i = 0; i < count; i++)
		if (are_same_columns(known[i]->to_columns, known[i]->count, key->to_columns, key->count))
			return true;
	return false;
}

const struct tenancy_key **export_uniques(const struct decided *d, size_t decision, size_t *ret_count)
{
	const struct tenancy_model *model = &d->model;
	uint32_t table = d->plan.decisions[decision].table;
	const struct tenancy_table *t = &model->tables[table];
	const struct tenancy_key **uniques = mem_array(model->key_count + 1, sizeof(*uniques));
	size_t count = 0;

	for (size_t i = 0; i < model->key_count; i++) {
		const struct tenancy_key *key = &model->keys[i];

		if (key->to != table || !is_exported_table(d, key->from) || export_key_problem(d, key) ||
		    are_same_columns(key->to_columns, key->count, t->primary_key, t->primary_key_count) ||
		    is_known_unique(uniques, count, key))
			continue;
		uniques[count++] = key;
	}
	*ret_count = count;
	return uniques;
}
