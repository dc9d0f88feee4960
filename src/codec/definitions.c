// SPDX-License-Identifier: Apache-2.0
/*
 * A record in the spool is texts, each with its NUL: schema and name; for each column a "c", its name, type and collation; for each table
 * or type that it has columns from a "p", schema and name; and an empty one. The form of the statements is that of dumpTableSchema() and dumpCompositeType() in src/bin/pg_dump/pg_dump.c.
 */
#include "definitions.h"

#include "sql_statements.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/spool.h>
#include <keepfs/codec/sql_text.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PARENTS_MAX 64 /* those of all its parents among them */

struct indexed_record {
	uint64_t hash, at;
	uint32_t bytes;
};

struct definitions {
	struct sql_statements *statements;
	bool backslash_escapes;
	struct spool *records;
	struct indexed_record *index;
	size_t count, cap;
	bool sorted;
};

static int take_definition(void *arg, const char *statement, struct error *err);

struct definitions *definitions_new(const char *directory)
{
	struct definitions *d = mem_alloc(sizeof(*d));

	d->records = spool_new(directory);
	d->statements = sql_statements_new(take_definition, d);
	return d;
}

struct definitions *definitions_free(struct definitions *d)
{
	if (!d)
		return NULL;
	sql_statements_free(d->statements);
	spool_free(d->records);
	free(d->index);
	free(d);
	return NULL;
}

int definitions_feed(struct definitions *d, const void *data, size_t len, struct error *err)
{
	return sql_statements_feed(d->statements, data, len, err);
}

static uint64_t hash_of_names(const char *schema, const char *table)
{
	return XXH3_64bits_withSeed(table, strlen(table), XXH3_64bits(schema, strlen(schema)));
}

/* What is read: a statement, and its present token. */
struct reading {
	struct sql_scan scan;
	struct sql_token t;
};

static void go_on(struct reading *x)
{
	x->t = sql_next(&x->scan);
}

static bool skip_if(struct reading *x, const char *word)
{
	bool is = sql_is(&x->t, word);

	if (is)
		go_on(x);
	return is;
}

static void append_with_nul(struct str *s, const char *text)
{
	str_append(s, text);
	str_append_char(s, '\0');
}

/* "schema.name" or "name" as two texts. False: there is no name. */
static bool append_qualified(struct reading *x, struct str *record)
{
	struct sql_token first = x->t, second;

	if (first.kind != SQL_NAME && first.kind != SQL_WORD)
		return false;
	go_on(x);
	if (!skip_if(x, ".")) {
		str_append_char(record, '\0');
		sql_append_value(record, &first);
		str_append_char(record, '\0');
		return true;
	}
	second = x->t;
	if (second.kind != SQL_NAME && second.kind != SQL_WORD)
		return false;
	go_on(x);
	sql_append_value(record, &first);
	str_append_char(record, '\0');
	sql_append_value(record, &second);
	str_append_char(record, '\0');
	return true;
}

static bool append_parent(struct reading *x, struct str *record)
{
	_cleanup(str) struct str names = {0};

	if (!append_qualified(x, &names))
		return false;
	append_with_nul(record, "p");
	str_append_bytes(record, names.data, names.len);
	return true;
}

static bool is_word_of(const struct sql_token *t, const char *const *words)
{
	for (; *words; words++)
		if (sql_is(t, *words))
			return true;
	return false;
}

/* To the comma or parenthesis that ends an item of the list. */
static bool ends_item(const struct sql_token *t, unsigned depth)
{
	return t->kind == SQL_END || (depth == 0 && (sql_is(t, ",") || sql_is(t, ")")));
}

static void count_depth(const struct sql_token *t, unsigned *depth)
{
	if (sql_is(t, "(") || sql_is(t, "["))
		++*depth;
	else if (*depth > 0 && (sql_is(t, ")") || sql_is(t, "]")))
		--*depth;
}

static const char *end_of(const struct sql_token *t)
{
	return t->text + t->len;
}

/* A keyword that stands behind a type. One that is a part of a qualified name is none. */
static bool ends_type(const struct reading *x, bool behind_dot)
{
	static const char *const words[] = {"COLLATE", "DEFAULT", "NOT",         "NULL",       "CONSTRAINT",
	                                    "CHECK",   "UNIQUE",  "PRIMARY",     "REFERENCES", "GENERATED",
	                                    "OPTIONS", "STORAGE", "COMPRESSION", NULL};

	return !behind_dot && is_word_of(&x->t, words);
}

static void append_type(struct reading *x, struct str *record)
{
	const char *start = x->t.text, *end = start;
	bool behind_dot = false;
	unsigned depth = 0;

	while (!ends_item(&x->t, depth) && !(depth == 0 && ends_type(x, behind_dot))) {
		count_depth(&x->t, &depth);
		behind_dot = sql_is(&x->t, ".");
		end = end_of(&x->t);
		go_on(x);
	}
	str_append_bytes(record, start, (size_t)(end - start));
	str_append_char(record, '\0');
}

/* COLLATE comes before or behind other words, and in expressions only within parentheses. */
static void append_collation(struct reading *x, struct str *record)
{
	const char *start, *end;
	unsigned depth = 0;

	while (!ends_item(&x->t, depth) && !(depth == 0 && sql_is(&x->t, "COLLATE"))) {
		count_depth(&x->t, &depth);
		go_on(x);
	}
	if (skip_if(x, "COLLATE")) {
		start = x->t.text;
		end = end_of(&x->t);
		go_on(x);
		if (skip_if(x, ".")) {
			end = end_of(&x->t);
			go_on(x);
		}
		str_append_bytes(record, start, (size_t)(end - start));
	}
	str_append_char(record, '\0');
}

static void skip_item(struct reading *x)
{
	for (unsigned depth = 0; !ends_item(&x->t, depth); go_on(x))
		count_depth(&x->t, &depth);
}

/* Of a column that has its type from elsewhere ("x WITH OPTIONS DEFAULT 1") nothing is kept. */
static void append_column_item(struct reading *x, struct str *record)
{
	static const char *const no_column[] = {"CONSTRAINT", "CHECK",   "NOT",  "UNIQUE",
	                                        "PRIMARY",    "FOREIGN", "LIKE", NULL};
	struct sql_token name = x->t;
	struct str column = {0};

	go_on(x);
	if ((name.kind == SQL_NAME || name.kind == SQL_WORD) && !is_word_of(&name, no_column) &&
	    !sql_is(&x->t, "WITH")) {
		append_with_nul(&column, "c");
		sql_append_value(&column, &name);
		str_append_char(&column, '\0');
		append_type(x, &column);
		append_collation(x, &column);
		str_append_bytes(record, column.data, column.len);
	}
	str_finish(&column);
	skip_item(x);
}

static void append_column_items(struct reading *x, struct str *record)
{
	while (!sql_is(&x->t, ")") && x->t.kind != SQL_END) {
		append_column_item(x, record);
		skip_if(x, ",");
	}
	go_on(x);
}

static void append_parents(struct reading *x, struct str *record)
{
	if (!skip_if(x, "INHERITS") || !skip_if(x, "("))
		return;
	do {
		if (!append_parent(x, record))
			return;
	} while (skip_if(x, ","));
}

static bool read_table_definition(struct reading *x, struct str *record)
{
	if (!append_qualified(x, record))
		return false;
	skip_if(x, "PARTITION");
	if (skip_if(x, "OF") && !append_parent(x, record))
		return false;
	if (skip_if(x, "("))
		append_column_items(x, record);
	append_parents(x, record);
	return true;
}

static bool read_type_definition(struct reading *x, struct str *record)
{
	if (!append_qualified(x, record) || !skip_if(x, "AS") || !skip_if(x, "("))
		return false;
	append_column_items(x, record);
	return true;
}

static bool read_create(struct reading *x, struct str *record)
{
	if (skip_if(x, "TYPE"))
		return read_type_definition(x, record);
	if (!skip_if(x, "UNLOGGED"))
		skip_if(x, "FOREIGN");
	return skip_if(x, "TABLE") && read_table_definition(x, record);
}

static int keep_record(struct definitions *d, struct str *record, struct error *err)
{
	struct indexed_record *one;

	str_append_char(record, '\0');
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 64;
		d->index = mem_resize(d->index, d->cap, sizeof(*d->index));
	}
	one = &d->index[d->count++];
	*one = (struct indexed_record){
	        .hash = hash_of_names(record->data, record->data + strlen(record->data) + 1),
	        .at = spool_size(d->records),
	        .bytes = (uint32_t)record->len,
	};
	d->sorted = false;
	return spool_put(d->records, record->data, record->len, err);
}

static void take_strings_setting(struct definitions *d, struct reading *x)
{
	if (!skip_if(x, "standard_conforming_strings"))
		return;
	if (!skip_if(x, "="))
		skip_if(x, "TO");
	d->backslash_escapes = sql_is(&x->t, "off") || strncmp(x->t.text, "'off'", 5) == 0;
	sql_statements_escape(d->statements, d->backslash_escapes);
}

static bool reads_rows(struct reading *x)
{
	struct sql_token last = {0}, before = {0};

	for (; x->t.kind != SQL_END; go_on(x)) {
		before = last;
		last = x->t;
	}
	return sql_is(&last, "stdin") && sql_is(&before, "FROM");
}

static int take_definition(void *arg, const char *statement, struct error *err)
{
	struct definitions *d = arg;
	struct reading x = {.scan = {.at = statement, .backslash_escapes = d->backslash_escapes}};
	_cleanup(str) struct str record = {0};

	go_on(&x);
	if (skip_if(&x, "SET"))
		take_strings_setting(d, &x);
	else if (skip_if(&x, "COPY"))
		return reads_rows(&x);
	else if (skip_if(&x, "CREATE") && read_create(&x, &record))
		return keep_record(d, &record, err);
	return 0;
}

static int by_record_hash(const void *a, const void *b)
{
	const struct indexed_record *x = a, *y = b;

	return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash)
	                          : (x->at > y->at) - (x->at < y->at);
}

static void sort_index(struct definitions *d)
{
	if (!d->sorted && d->count > 0)
		qsort(d->index, d->count, sizeof(*d->index), by_record_hash);
	d->sorted = true;
}

/* The first record with that hash or a higher one. */
static size_t first_record(const struct definitions *d, uint64_t hash)
{
	size_t low = 0, high = d->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->index[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const char *next_text(const char *text)
{
	return text + strlen(text) + 1;
}

static int read_record(const struct definitions *d, const struct indexed_record *one, struct str *ret,
                       struct error *err)
{
	_cleanup(free) char *bytes = mem_alloc(one->bytes);
	int r = spool_get(d->records, bytes, one->bytes, one->at, err);

	if (r == 0)
		str_append_bytes(ret, bytes, one->bytes);
	return r;
}

/* 1: it is there. */
static int find_record(const struct definitions *d, const char *schema, const char *table, struct str *ret,
                       struct error *err)
{
	uint64_t hash = hash_of_names(schema, table);

	for (size_t i = first_record(d, hash); i < d->count && d->index[i].hash == hash; i++) {
		int r;

		str_clear(ret);
		r = read_record(d, &d->index[i], ret, err);
		if (r < 0)
			return r;
		if (str_equal(ret->data, schema) && str_equal(next_text(ret->data), table))
			return 1;
	}
	return 0;
}

static int add_record(const struct definitions *d, const char *schema, const char *table,
                      struct definition *ret, struct error *err)
{
	struct str record = {0};
	int r = find_record(d, schema, table, &record, err);

	if (r <= 0) {
		str_finish(&record);
		return r;
	}
	ret->records = mem_resize(ret->records, ret->count + 1, sizeof(*ret->records));
	ret->records[ret->count++] = record;
	return 1;
}

/* @text of each "c" or "p" in a record: NULL behind the last one. */
static const char *next_part(const char *part)
{
	for (int texts = *part == 'c' ? 4 : 3; texts > 0; texts--)
		part = next_text(part);
	return *part ? part : NULL;
}

static const char *first_part(const struct str *record)
{
	const char *part = next_text(next_text(record->data));

	return *part ? part : NULL;
}

static int add_parents_of(const struct definitions *d, size_t child, struct definition *ret,
                          struct error *err)
{
	int r = 0;

	for (const char *part = first_part(&ret->records[child]); part && r >= 0; part = next_part(part))
		if (*part == 'p' && ret->count < PARENTS_MAX)
			r = add_record(d, next_text(part), next_text(next_text(part)), ret, err);
	return r < 0 ? r : 0;
}

int definitions_load(struct definitions *d, const char *schema, const char *table, struct definition *ret,
                     struct error *err)
{
	int r;

	*ret = (struct definition){0};
	sort_index(d);
	r = add_record(d, schema, table, ret, err);
	/* An old pg_dump names no schema, but sets search_path. */
	if (r == 0)
		r = add_record(d, "", table, ret, err);
	for (size_t i = 0; i < ret->count && r >= 0; i++)
		r = add_parents_of(d, i, ret, err);
	return r < 0 ? r : 0;
}

void definition_finish(struct definition *d)
{
	for (size_t i = 0; i < d->count; i++)
		str_finish(&d->records[i]);
	free(d->records);
	*d = (struct definition){0};
}

const char *definition_type(const struct definition *d, const char *column, const char **ret_collation)
{
	for (size_t i = 0; i < d->count; i++)
		for (const char *part = first_part(&d->records[i]); part; part = next_part(part)) {
			const char *name = next_text(part), *type = next_text(name);

			if (*part != 'c' || !str_equal(name, column) || !*type)
				continue;
			*ret_collation = next_text(type);
			return type;
		}
	return NULL;
}
