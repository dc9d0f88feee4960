// SPDX-License-Identifier: Apache-2.0
/*
 * The format sqlite: a database file in state_dir, which goes out when it is whole. A chunk of rows is a row of values, each a byte that says what it is,
 * and its bytes: so they are taken apart where several threads can do it, and only put into the file by one.
 *
 * SQLite takes names for the same whose ASCII letters differ in their case alone: what comes later gets "%2", "%3" and so on behind it.
 */
#include "keys.h"
#include "readme.h"
#include "writer.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_cells.h>
#include <keepfs/codec/table_name.h>
#include <keepfs/sqlite.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FACTS      "keepfs_export" /* the table that says what it is */
#define NO_COLUMNS "(no columns)"  /* SQLite has no table without one */
#define COPY_BYTES ((size_t)64 << 10)

struct sqlite_table_rows {
	size_t decision;
	uint64_t rows;
};

struct sqlite_writer {
	struct export_writer base;
	const struct document_head *head;
	struct sqlite_file *file;
	char **names; /* that of the facts, and of tables by the place in the plan (NULL: not exported) */
	size_t name_count;
	struct sqlite_table_rows *tables; /* that were written */
	struct sqlite_file_value *values; /* of a row of the present table */
	size_t value_count;
	struct document schema;
	struct str schema_text;
};

/* How values are kept. */

enum sqlite_kind { KIND_TEXT, KIND_INTEGER, KIND_BOOL, KIND_REAL, KIND_BLOB };

static enum sqlite_kind sqlite_kind_of(const struct copy_json_column *c, const struct tenancy_column *source)
{
	if (c->is_array || c->how == COPY_JSON_MASK || c->how == COPY_JSON_HASH)
		return KIND_TEXT;
	if (c->kind == COPY_JSON_BOOL)
		return KIND_BOOL;
	if (c->kind == COPY_JSON_FLOAT)
		return KIND_REAL;
	if (c->kind == COPY_JSON_NUMBER)
		return strcmp(source->base_type, "numeric") == 0 ? KIND_TEXT : KIND_INTEGER;
	return strcmp(source->base_type, "bytea") == 0 ? KIND_BLOB : KIND_TEXT;
}

static enum sqlite_file_type type_of_kind(enum sqlite_kind kind)
{
	switch (kind) {
	case KIND_INTEGER:
	case KIND_BOOL:
		return SQLITE_FILE_INTEGER;
	case KIND_REAL:
		return SQLITE_FILE_REAL;
	case KIND_BLOB:
		return SQLITE_FILE_BLOB;
	default:
		return SQLITE_FILE_TEXT;
	}
}

/* Names. */

static bool is_taken_name(char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (names[i] && strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

/* heap: @name, or with the number behind it that makes it one of its own. */
static char *name_of_its_own(char *const *names, size_t count, const char *name)
{
	char *own = mem_strdup(name);

	for (unsigned n = 2; is_taken_name(names, count, own); n++) {
		free(own);
		own = mem_printf("%s%%%u", name, n);
	}
	return own;
}

/* Names of tables that begin with "sqlite_" are SQLite's own. */
static char *sqlite_table_name(const struct tenancy_table *t)
{
	char name[NAME_MAX_BYTES];

	table_name_format(strcmp(t->schema, "public") == 0 ? "" : t->schema, t->name, "", name);
	return strncasecmp(name, "sqlite_", 7) == 0 ? mem_printf("%%%02X%s", (unsigned char)name[0], name + 1)
	                                            : mem_strdup(name);
}

static void name_sqlite_tables(struct sqlite_writer *w)
{
	const struct decided *d = w->head->decided;

	/* The first name is that of the facts, which no table can have. */
	w->names[0] = mem_strdup(FACTS);
	for (size_t i = 0; i < d->plan.count; i++) {
		const struct tenancy_decision *of = &d->plan.decisions[i];
		_cleanup(free) char *name = NULL;

		if (of->verdict != TENANCY_EXPORTED)
			continue;
		name = sqlite_table_name(&d->model.tables[of->table]);
		w->names[i + 1] = name_of_its_own(w->names, i + 1, name);
	}
}

struct sqlite_names { /* of the columns of a table that an export has */
	char **items;
	size_t count;
};

static void sqlite_names_finish(struct sqlite_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

static inline void cleanup_sqlite_names(struct sqlite_names *n)
{
	sqlite_names_finish(n);
}

static struct sqlite_names sqlite_columns_of(const struct decided *d, size_t decision)
{
	const struct tenancy_table *t = &d->model.tables[d->plan.decisions[decision].table];
	struct sqlite_names n = {.items = mem_array(t->column_count + 1, sizeof(*n.items))};

	for (size_t i = 0; i < t->column_count; i++) {
		if (d->redaction.columns[decision][i].how == REDACTION_OMIT)
			continue;
		n.items[n.count] = name_of_its_own(n.items, n.count, t->columns[i].name);
		n.count++;
	}
	return n;
}

/* The file. */

static int append_sqlite_schema(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static struct export_writer *sqlite_writer_new(void)
{
	struct sqlite_writer *w = mem_alloc(sizeof(*w));

	w->schema.write = append_sqlite_schema;
	w->schema.arg = &w->schema_text;
	return &w->base;
}

static void sqlite_writer_free(struct export_writer *base)
{
	struct sqlite_writer *w = (struct sqlite_writer *)base;

	sqlite_file_free(w->file);
	for (size_t i = 0; i < w->name_count; i++)
		free(w->names[i]);
	free(w->names);
	free(w->tables);
	free(w->values);
	document_finish(&w->schema);
	str_finish(&w->schema_text);
	free(w);
}

static int sqlite_begin(struct export_writer *base, const struct document_head *head, struct error *err)
{
	struct sqlite_writer *w = (struct sqlite_writer *)base;
	const struct sqlite_file_options options = {
	        .directory = base->options.state_dir,
	        .max_bytes = base->options.space_bytes,
	        .limit = "[export] space",
	};

	w->head = head;
	w->name_count = head->decided->plan.count + 1;
	w->names = mem_array(w->name_count, sizeof(*w->names));
	w->tables = mem_array(head->decided->plan.count + 1, sizeof(*w->tables));
	name_sqlite_tables(w);
	return sqlite_file_new(&options, &w->file, err);
}

/* Tables. */

/* What is made of a table, for one call. */
struct sqlite_table {
	struct sqlite_file_table table;
	struct sqlite_names names;
	struct sqlite_file_column *columns;
	struct sqlite_file_columns *uniques;
	struct sqlite_file_key *keys;
	struct sqlite_names *references; /* of each key: all columns of its other table */
};

static void sqlite_table_finish(struct sqlite_table *t)
{
	free((uint32_t *)t->table.primary_key.places);
	for (size_t i = 0; i < t->table.unique_count; i++)
		free((uint32_t *)t->uniques[i].places);
	for (size_t i = 0; i < t->table.key_count; i++) {
		free((uint32_t *)t->keys[i].columns.places);
		free((char **)t->keys[i].references);
		sqlite_names_finish(&t->references[i]);
	}
	sqlite_names_finish(&t->names);
	free(t->columns);
	free(t->uniques);
	free(t->keys);
	free(t->references);
}

static void add_sqlite_columns(struct sqlite_table *t, const struct export_table *table)
{
	size_t count = table->column_count > 0 ? table->column_count : 1;

	t->columns = mem_array(count, sizeof(*t->columns));
	t->columns[0] = (struct sqlite_file_column){.name = NO_COLUMNS, .type = SQLITE_FILE_TEXT};
	for (size_t i = 0; i < table->column_count; i++)
		t->columns[i] = (struct sqlite_file_column){
		        .name = t->names.items[i],
		        .type = type_of_kind(sqlite_kind_of(&table->columns[i], table->sources[i])),
		        .not_null = table->sources[i]->not_null && table->columns[i].how != COPY_JSON_NULL,
		};
	t->table.columns = t->columns;
	t->table.column_count = count;
}

static void add_sqlite_uniques(struct sqlite_table *t, const struct export_table *table)
{
	const struct decided *d = table->decided;
	_cleanup(free) const struct tenancy_key **uniques =
	        export_uniques(d, table->decision, &t->table.unique_count);

	t->uniques = mem_array(t->table.unique_count + 1, sizeof(*t->uniques));
	for (size_t i = 0; i < t->table.unique_count; i++)
		t->uniques[i] = (struct sqlite_file_columns){
		        .places = export_key_places(d, table->decision, uniques[i]->to_columns,
		                                    uniques[i]->count),
		        .count = uniques[i]->count,
		};
	t->table.uniques = t->uniques;
}

static void add_sqlite_key(struct sqlite_table *t, const struct sqlite_writer *w, size_t decision,
                           const struct tenancy_key *key)
{
	const struct decided *d = w->head->decided;
	size_t to = d->plan.decision_of[key->to], n = t->table.key_count++;
	_cleanup(free) uint32_t *places = export_key_places(d, to, key->to_columns, key->count);
	const char **references = mem_array(key->count + 1, sizeof(*references));

	t->references[n] = sqlite_columns_of(d, to);
	for (size_t i = 0; i < key->count; i++)
		references[i] = t->references[n].items[places[i]];
	t->keys[n] = (struct sqlite_file_key){
	        .columns = {.places = export_key_places(d, decision, key->from_columns, key->count),
	                    .count = key->count},
	        .table = w->names[to + 1],
	        .references = references,
	};
}

static void add_sqlite_keys(struct sqlite_table *t, const struct sqlite_writer *w, size_t decision)
{
	const struct tenancy_model *model = &w->head->decided->model;
	uint32_t table = w->head->decided->plan.decisions[decision].table;

	t->keys = mem_array(model->key_count + 1, sizeof(*t->keys));
	t->references = mem_array(model->key_count + 1, sizeof(*t->references));
	for (size_t i = 0; i < model->key_count; i++)
		if (model->keys[i].from == table && !export_key_problem(w->head->decided, &model->keys[i]))
			add_sqlite_key(t, w, decision, &model->keys[i]);
	t->table.keys = t->keys;
}

static int make_sqlite_table(struct sqlite_writer *w, const struct export_table *table, struct error *err)
{
	const struct decided *d = table->decided;
	const struct tenancy_table *of = &d->model.tables[d->plan.decisions[table->decision].table];
	struct sqlite_table t = {.table.name = w->names[table->decision + 1],
	                         .names = sqlite_columns_of(d, table->decision)};
	int r;

	add_sqlite_columns(&t, table);
	t.table.primary_key = (struct sqlite_file_columns){
	        .places = export_key_places(d, table->decision, of->primary_key, of->primary_key_count),
	        .count = of->primary_key_count,
	};
	add_sqlite_uniques(&t, table);
	add_sqlite_keys(&t, w, table->decision);
	r = sqlite_file_table(w->file, &t.table, err);
	w->value_count = t.table.column_count;
	sqlite_table_finish(&t);
	return r;
}

static int sqlite_table(struct export_writer *base, const struct export_table *table, struct error *err)
{
	struct sqlite_writer *w = (struct sqlite_writer *)base;
	int r = make_sqlite_table(w, table, err);

	free(w->values);
	w->values = mem_array(w->value_count, sizeof(*w->values));
	w->tables[base->tables - 1].decision = table->decision;
	return r;
}

static int sqlite_table_end(struct export_writer *base, struct error *err)
{
	((struct sqlite_writer *)base)->tables[base->tables - 1].rows = base->table_rows;
	return 0;
}

/* Rows, on the threads that read them. */

struct sqlite_converter {
	struct copy_cells *cells;
	enum sqlite_kind *kinds;
	const struct export_table *table;
};

static int sqlite_converter_new(const struct export_table *table, struct export_converter **ret,
                                struct error *err)
{
	struct copy_cells *cells;
	struct sqlite_converter *c;
	int r = copy_cells_new(table->columns, table->column_count, table->key, &cells, err);

	if (r < 0)
		return r;
	c = mem_alloc(sizeof(*c));
	c->cells = cells;
	c->table = table;
	c->kinds = mem_array(table->column_count + 1, sizeof(*c->kinds));
	for (size_t i = 0; i < table->column_count; i++)
		c->kinds[i] = sqlite_kind_of(&table->columns[i], table->sources[i]);
	*ret = (void *)c;
	return 0;
}

static void sqlite_converter_free(struct export_converter *converter)
{
	struct sqlite_converter *c = (struct sqlite_converter *)converter;

	if (!c)
		return;
	copy_cells_free(c->cells);
	free(c->kinds);
	free(c);
}

static void put_sqlite_bytes(struct str *out, enum sqlite_file_type type, const void *data, size_t len)
{
	uint64_t bytes = len;

	str_append_char(out, (char)type);
	str_append_bytes(out, &bytes, sizeof(bytes));
	str_append_bytes(out, data, len);
}

static bool put_sqlite_integer(struct str *out, const struct copy_cell *cell)
{
	char *end;
	int64_t value;

	errno = 0;
	value = strtoll(cell->text, &end, 10);
	if (errno != 0 || cell->len == 0 || end != cell->text + cell->len)
		return false;
	str_append_char(out, (char)SQLITE_FILE_INTEGER);
	str_append_bytes(out, &value, sizeof(value));
	return true;
}

static bool put_sqlite_bool(struct str *out, const struct copy_cell *cell)
{
	int64_t value = cell->text[0] == 't';

	if (cell->len != 1 || !strchr("tf", cell->text[0]))
		return false;
	str_append_char(out, (char)SQLITE_FILE_INTEGER);
	str_append_bytes(out, &value, sizeof(value));
	return true;
}

/* What is no number for SQLite is text in such a column. */
static bool put_sqlite_real(struct str *out, const struct copy_cell *cell)
{
	char *end;
	double value;

	if (cell->len > 0 && (cell->text[cell->len - 1] == 'N' || cell->text[cell->len - 1] == 'y')) {
		put_sqlite_bytes(out, SQLITE_FILE_TEXT, cell->text, cell->len);
		return true;
	}
	value = strtod(cell->text, &end);
	if (cell->len == 0 || end != cell->text + cell->len)
		return false;
	str_append_char(out, (char)SQLITE_FILE_REAL);
	str_append_bytes(out, &value, sizeof(value));
	return true;
}

static int blob_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool put_sqlite_blob(struct str *out, const struct copy_cell *cell)
{
	uint64_t bytes = cell->len / 2 - 1;

	if (cell->len < 2 || cell->len % 2 != 0 || memcmp(cell->text, "\\x", 2) != 0)
		return false;
	str_append_char(out, (char)SQLITE_FILE_BLOB);
	str_append_bytes(out, &bytes, sizeof(bytes));
	for (size_t i = 2; i < cell->len; i += 2) {
		int high = blob_digit(cell->text[i]), low = blob_digit(cell->text[i + 1]);

		if (high < 0 || low < 0)
			return false;
		str_append_char(out, (char)(high << 4 | low));
	}
	return true;
}

static bool put_sqlite_cell(struct str *out, enum sqlite_kind kind, const struct copy_cell *cell)
{
	if (cell->is_null) {
		str_append_char(out, (char)SQLITE_FILE_NULL);
		return true;
	}
	switch (kind) {
	case KIND_INTEGER:
		return put_sqlite_integer(out, cell);
	case KIND_BOOL:
		return put_sqlite_bool(out, cell);
	case KIND_REAL:
		return put_sqlite_real(out, cell);
	case KIND_BLOB:
		return put_sqlite_blob(out, cell);
	default:
		put_sqlite_bytes(out, SQLITE_FILE_TEXT, cell->text, cell->len);
		return true;
	}
}

static int sqlite_append_row(struct export_converter *converter, const char *row, size_t len, struct str *out,
                             struct error *err)
{
	struct sqlite_converter *c = (struct sqlite_converter *)converter;
	const struct copy_cell *cells;
	size_t before = out->len;
	int r = copy_cells_row(c->cells, row, len, &cells, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < c->table->column_count; i++) {
		if (put_sqlite_cell(out, c->kinds[i], &cells[i]))
			continue;
		out->len = before;
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the column \"%s\" has a value that is no %s",
		                 c->table->columns[i].name, c->table->sources[i]->base_type);
	}
	if (c->table->column_count == 0)
		str_append_char(out, (char)SQLITE_FILE_NULL);
	return 0;
}

/* Rows, on the thread that writes. */

static const char *take_sqlite_value(const char *at, struct sqlite_file_value *v)
{
	uint64_t len;

	*v = (struct sqlite_file_value){.type = (enum sqlite_file_type) * at++};
	switch (v->type) {
	case SQLITE_FILE_INTEGER:
		memcpy(&v->integer, at, sizeof(v->integer));
		return at + sizeof(v->integer);
	case SQLITE_FILE_REAL:
		memcpy(&v->real, at, sizeof(v->real));
		return at + sizeof(v->real);
	case SQLITE_FILE_TEXT:
	case SQLITE_FILE_BLOB:
		memcpy(&len, at, sizeof(len));
		v->data = at + sizeof(len);
		v->len = len;
		return at + sizeof(len) + len;
	default:
		return at;
	}
}

static int sqlite_take_rows(struct export_writer *base, const void *bytes, size_t len, uint64_t rows,
                            struct error *err)
{
	struct sqlite_writer *w = (struct sqlite_writer *)base;
	const char *at = bytes;
	int r = 0;

	for (uint64_t i = 0; i < rows && r == 0; i++) {
		for (size_t v = 0; v < w->value_count; v++)
			at = take_sqlite_value(at, &w->values[v]);
		r = sqlite_file_row(w->file, w->values, err);
	}
	return r;
}

/* The end. */

static int describe_sqlite_tables(struct sqlite_writer *w, struct error *err)
{
	int r = document_begin(&w->schema, w->head, err);

	for (size_t i = 0; r == 0 && i < w->base.tables; i++) {
		const struct document_elsewhere rows = {.decision = w->tables[i].decision,
		                                        .key = "name",
		                                        .place = w->names[w->tables[i].decision + 1],
		                                        .rows = w->tables[i].rows};

		r = document_table_without_rows(&w->schema, w->head->decided, &rows, err);
	}
	return r == 0 ? document_end(&w->schema, err) : r;
}

static int put_sqlite_fact(struct sqlite_writer *w, const char *name, const struct str *value,
                           struct error *err)
{
	const struct sqlite_file_value values[] = {
	        {.type = SQLITE_FILE_TEXT, .data = name, .len = strlen(name)},
	        {.type = SQLITE_FILE_TEXT, .data = value->data, .len = value->len},
	};

	return sqlite_file_row(w->file, values, err);
}

static int put_sqlite_facts(struct sqlite_writer *w, struct error *err)
{
	static const uint32_t first[] = {0};
	static const struct sqlite_file_column columns[] = {
	        {.name = "name", .type = SQLITE_FILE_TEXT, .not_null = true},
	        {.name = "value", .type = SQLITE_FILE_TEXT, .not_null = true}};
	static const struct sqlite_file_table facts = {
	        .name = FACTS, .columns = columns, .column_count = 2, .primary_key = {first, 1}};
	_cleanup(str) struct str readme = {0};
	int r = describe_sqlite_tables(w, err);

	readme_append(w->head, &readme);
	if (r == 0)
		r = sqlite_file_table(w->file, &facts, err);
	if (r == 0)
		r = put_sqlite_fact(w, "readme", &readme, err);
	return r == 0 ? put_sqlite_fact(w, "schema", &w->schema_text, err) : r;
}

static int send_sqlite_file(struct sqlite_writer *w, uint64_t bytes, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(COPY_BYTES);
	int r = 0;

	for (uint64_t at = 0; at < bytes && r == 0;) {
		ssize_t n = sqlite_file_read(w->file, buf, COPY_BYTES, at);

		if (n <= 0)
			return error_system(err, n < 0 ? (int)-n : EIO,
			                    "the database of SQLite in %s cannot be read",
			                    w->base.options.state_dir);
		r = export_writer_put(&w->base, buf, (size_t)n, err);
		at += (uint64_t)n;
	}
	return r;
}

static int sqlite_end(struct export_writer *base, struct error *err)
{
	struct sqlite_writer *w = (struct sqlite_writer *)base;
	uint64_t bytes;
	int r = put_sqlite_facts(w, err);

	if (r == 0)
		r = sqlite_file_end(w->file, &bytes, err);
	if (r == 0)
		r = send_sqlite_file(w, bytes, err);
	w->file = sqlite_file_free(w->file);
	return r;
}

/* SQLite has checked it before it was sent, and the checksums say that it came back so. */
static const struct export_writer_ops sqlite_ops = {
        .new = sqlite_writer_new,
        .begin = sqlite_begin,
        .table = sqlite_table,
        .converter_new = sqlite_converter_new,
        .converter_free = sqlite_converter_free,
        .append_row = sqlite_append_row,
        .take_rows = sqlite_take_rows,
        .table_end = sqlite_table_end,
        .end = sqlite_end,
        .free = sqlite_writer_free,
};

static const char *const reading_sqlite[] = {
        "This is a database of SQLite 3: each table of the schema public has its name, each of another schema is called SCHEMA.TABLE. The table " FACTS
        " holds this text, and as JSON the columns, types and keys that the tables have in PostgreSQL.",
        "Whole numbers are integers, true and false are 1 and 0, floating-point numbers are reals (NaN and infinities are text), binary data are blobs, and all else is text as PostgreSQL writes it: numeric with all of its digits, times with a time zone in UTC, lists as {a,b}.",
        NULL,
};

const struct export_format export_format_sqlite = {
        .name = "sqlite",
        .suffix = ".sqlite",
        .reading = reading_sqlite,
        .ops = &sqlite_ops,
};
