// SPDX-License-Identifier: Apache-2.0
/* Rows. Of most of them no more is looked at than one field, so fields are found one after the other, as far as somebody asks for them. */
#include "past_rules.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/json_path.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int past_filter_new(const struct past_filter_options *options, struct past_filter **ret, struct error *err)
{
	struct past_filter *f = mem_alloc(sizeof(*f));
	int r;

	f->options = *options;
	f->memory.max_bytes = options->memory_bytes;
	r = past_rules_make(f, err);
	if (r < 0)
		past_filter_free(f);
	else
		*ret = f;
	return r;
}

static void finish_entry(struct past_filter *f)
{
	free(f->place_of);
	free(f->slot_of);
	free(f->fields);
	f->place_of = f->slot_of = NULL;
	f->fields = NULL;
}

struct past_filter *past_filter_free(struct past_filter *f)
{
	if (!f)
		return NULL;
	finish_entry(f);
	past_rules_finish(f);
	str_finish(&f->key);
	str_finish(&f->value);
	str_finish(&f->scratch);
	free(f);
	return NULL;
}

size_t past_filter_count(const struct past_filter *f)
{
	return f->order_count;
}

uint32_t past_filter_table(const struct past_filter *f, size_t number)
{
	return f->rules[f->order[number]].decision->table;
}

bool past_filter_takes_all(const struct past_filter *f, size_t number)
{
	const struct past_rule *rule = &f->rules[f->order[number]];

	return rule->decision->way == TENANCY_WHOLE && rule->give_count == 0;
}

bool past_filter_has_others(const struct past_filter *f, size_t number)
{
	const struct past_rule *rule = &f->rules[f->order[number]];

	for (size_t i = 0; i < rule->give_count; i++)
		if (f->sets[rule->gives[i].set].wanted.count > 0)
			return true;
	return false;
}

/* Entries. */

static uint32_t place_of_name(const struct copy_columns *columns, const char *name)
{
	for (size_t i = 0; i < columns->count; i++)
		if (strcmp(columns->names[i], name) == 0)
			return (uint32_t)i;
	return UINT32_MAX;
}

int past_filter_entry(struct past_filter *f, size_t number, enum past_pass pass,
                      const struct copy_columns *columns, struct error *err)
{
	const struct past_rule *rule = &f->rules[f->order[number]];
	const struct tenancy_table *table = &f->options.model->tables[rule->decision->table];

	finish_entry(f);
	f->rule = rule;
	f->pass = pass;
	f->place_of = mem_array(rule->column_count + 1, sizeof(*f->place_of));
	f->fields = mem_array(rule->column_count + 1, sizeof(*f->fields));
	f->slot_of = mem_array(columns->count + 1, sizeof(*f->slot_of));
	memset(f->slot_of, 0xff, (columns->count + 1) * sizeof(*f->slot_of));
	for (uint32_t i = 0; i < rule->column_count; i++) {
		const char *name = table->columns[rule->columns[i]].name;
		uint32_t place = place_of_name(columns, name);

		if (place == UINT32_MAX)
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "the rows of %s.%s in the dump have no column %s", table->schema,
			                 table->name, name);
		f->place_of[i] = place;
		f->slot_of[place] = i;
	}
	return 0;
}

/* Fields. */

static int fail_row(const struct past_filter *f, const char *what, struct error *err)
{
	const struct tenancy_table *table = &f->options.model->tables[f->rule->decision->table];

	return error_set(err, ERROR_CORRUPT, EBADMSG, "a row of %s.%s in the dump %s", table->schema,
	                 table->name, what);
}

static int read_field(struct past_filter *f, uint32_t slot, const struct copy_field **ret, struct error *err)
{
	struct past_field *wanted = &f->fields[slot];
	uint32_t place = f->place_of[slot];

	while (!wanted->is_read) {
		struct copy_field field = {0};
		uint32_t other;

		if (f->next_place > place || !copy_field_next(&f->at, f->end, &field))
			return fail_row(f, "has too few fields", err);
		other = f->slot_of[f->next_place++];
		if (other != UINT32_MAX)
			f->fields[other] = (struct past_field){field, true};
	}
	*ret = &wanted->field;
	return 0;
}

/* The value of a field that is not NULL; borrowed until the next one. */
static const char *decode_value(struct past_filter *f, const struct copy_field *field, size_t *ret_len)
{
	*ret_len = field->len;
	if (!memchr(field->text, '\\', field->len))
		return field->text;
	str_clear(&f->scratch);
	str_append_bytes(&f->scratch, field->text, field->len);
	*ret_len = copy_field_decode(field, f->scratch.data);
	return f->scratch.data;
}

/* 1: appended to @out; 0: it is NULL, or equal to nothing. */
static int append_key_part(struct past_filter *f, const struct past_operand *o, struct str *out,
                           struct error *err)
{
	const struct copy_field *field = NULL;
	const char *text;
	size_t len;
	int r = read_field(f, o->slot, &field, err);

	if (r < 0 || !field || field->is_null)
		return r;
	text = decode_value(f, field, &len);
	if (o->path_count == 0)
		return past_fold_append(o->fold, text, len, out);
	str_clear(&f->value);
	r = json_path_text(text, len, o->path, o->path_count, &f->value, err);
	if (r < 0)
		return fail_row(f, "has a value that should be JSON, and is none", err);
	return r == 0 ? 0 : past_fold_append(o->fold, str_text(&f->value), f->value.len, out);
}

static int passes_test(struct past_filter *f, const struct past_test *t, struct error *err)
{
	int r;

	str_clear(&f->key);
	r = append_key_part(f, &t->of, &f->key, err);
	return r <= 0 ? r : f->key.len == t->value.len && memcmp(f->key.data, t->value.data, f->key.len) == 0;
}

/* 1: @ret_hash; 0: the row has no such key. */
static int key_of_row(struct past_filter *f, const struct past_tie *t, uint64_t *ret_hash, struct error *err)
{
	for (size_t i = 0; i < t->test_count; i++) {
		int r = passes_test(f, &t->tests[i], err);

		if (r <= 0)
			return r;
	}
	str_clear(&f->key);
	for (size_t i = 0; i < t->count; i++) {
		int r = append_key_part(f, &t->operands[i], &f->key, err);

		if (r <= 0)
			return r;
	}
	*ret_hash = past_key_hash(f->key.data, f->key.len);
	return 1;
}

/* Rows. */

static int has_tenant_value(struct past_filter *f, struct error *err)
{
	const struct past_rule *rule = f->rule;
	int r;

	str_clear(&f->key);
	r = append_key_part(f, &rule->tenant, &f->key, err);
	return r <= 0 ? r
	              : f->key.len == rule->tenant_value.len &&
	                        memcmp(f->key.data, rule->tenant_value.data, f->key.len) == 0;
}

static int has_key_of_tenant(struct past_filter *f, struct error *err)
{
	for (size_t i = 0; i < f->rule->take_count; i++) {
		const struct past_tie *t = &f->rule->takes[i];
		uint64_t hash;
		int r = f->sets[t->set].own.count > 0 ? key_of_row(f, t, &hash, err) : 0;

		if (r < 0)
			return r;
		if (r > 0 && past_keys_has(&f->sets[t->set].own, hash))
			return 1;
	}
	return 0;
}

static int is_own_row(struct past_filter *f, struct error *err)
{
	switch (f->rule->decision->way) {
	case TENANCY_WHOLE:
		return 1;
	case TENANCY_BY_COLUMN:
	case TENANCY_BY_SELF:
		return has_tenant_value(f, err);
	case TENANCY_BY_KEY:
	case TENANCY_BY_REFERRED:
		return has_key_of_tenant(f, err);
	}
	return 0;
}

static int give_keys(struct past_filter *f, struct error *err)
{
	for (size_t i = 0; i < f->rule->give_count; i++) {
		const struct past_tie *t = &f->rule->gives[i];
		uint64_t hash;
		int r = key_of_row(f, t, &hash, err);

		if (r > 0)
			r = past_keys_add(&f->sets[t->set].own, &f->memory, hash, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What it refers to, and is not the tenant's, or may be not. */
static int want_others(struct past_filter *f, struct error *err)
{
	for (size_t i = 0; i < f->rule->take_count; i++) {
		const struct past_tie *t = &f->rule->takes[i];
		struct past_set *set = &f->sets[t->set];
		uint64_t hash;
		int r = set->leads_to_tenant ? key_of_row(f, t, &hash, err) : 0;

		if (r > 0 && (t->is_vague || !past_keys_has(&set->own, hash)))
			r = past_keys_add(&set->wanted, &f->memory, hash, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int is_wanted_other(struct past_filter *f, struct error *err)
{
	for (size_t i = 0; i < f->rule->give_count; i++) {
		const struct past_tie *t = &f->rule->gives[i];
		const struct past_set *set = &f->sets[t->set];
		uint64_t hash;
		int r = set->wanted.count > 0 ? key_of_row(f, t, &hash, err) : 0;

		if (r < 0)
			return r;
		if (r > 0 && past_keys_has(&set->wanted, hash))
			return 1;
	}
	return 0;
}

static int take_own_row(struct past_filter *f, struct error *err)
{
	int r = is_own_row(f, err);

	if (r <= 0)
		return r;
	r = give_keys(f, err);
	if (r == 0 && f->rule->is_proven)
		r = want_others(f, err);
	return r < 0 ? r : 1;
}

static int take_other_row(struct past_filter *f, struct error *err)
{
	int r = is_wanted_other(f, err);

	if (r <= 0)
		return r;
	/* It came the first time. */
	r = is_own_row(f, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = f->rule->decision->way == TENANCY_BY_KEY ? want_others(f, err) : 0;
	return r < 0 ? r : 1;
}

int past_filter_row(struct past_filter *f, const char *row, size_t len, struct error *err)
{
	f->at = row;
	f->end = row + len;
	f->next_place = 0;
	for (size_t i = 0; i < f->rule->column_count; i++)
		f->fields[i].is_read = false;
	return f->pass == PAST_OWN ? take_own_row(f, err) : take_other_row(f, err);
}
