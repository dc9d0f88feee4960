// SPDX-License-Identifier: Apache-2.0
/* Which entries of a dump hold the rows of which table, and those rows that are wanted. */
#include "past_rows.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/hollow.h>
#include <keepfs/pg/load.h>
#include <keepfs/pg/manage.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES ((size_t)128 << 10)

struct source { /* an entry of the dump */
	uint32_t number;
	uint32_t table; /* whose rows these are, for the model: of a partition its root */
};
struct oid_pair {
	uint32_t oid, root;
};
struct unlike_column {
	uint32_t oid;
	char *name;
};

struct loading {
	const struct past_rows_options *options;
	struct past_rows_counts *counts;
	struct oid_pair *partitions;
	size_t partition_count;
	struct unlike_column *unlike;
	size_t unlike_count;
	struct source *sources;
	size_t source_count;
	bool *has_source; /* by the tables of the model */
	bool *is_whole;   /* by the tables of the model: all of its rows are loaded */
	struct past_filter *filter;
	/* The entry that is read. */
	bool takes_all, is_looked_at; /* all rows are kept; the filter sees them */
	bool keeps_none;
	char *copy_statement; /* NULL: it was begun */
	uint64_t entry_rows;
	struct str partial, out;
};

static void finish_loading(struct loading *l)
{
	past_filter_free(l->filter);
	for (size_t i = 0; i < l->unlike_count; i++)
		free(l->unlike[i].name);
	free(l->unlike);
	free(l->partitions);
	free(l->sources);
	free(l->has_source);
	free(l->is_whole);
	free(l->copy_statement);
	str_finish(&l->partial);
	str_finish(&l->out);
}

/* What the server says of the tables. */

static int take_partition(void *arg, uint32_t oid, uint32_t root, struct error *err)
{
	struct loading *l = arg;

	if ((l->partition_count & (l->partition_count - 1)) == 0)
		l->partitions = mem_resize(l->partitions, l->partition_count ? 2 * l->partition_count : 1,
		                           sizeof(*l->partitions));
	l->partitions[l->partition_count++] = (struct oid_pair){oid, root};
	return 0;
}

static int take_unlike(void *arg, uint32_t oid, const char *column, struct error *err)
{
	struct loading *l = arg;

	l->unlike = mem_resize(l->unlike, l->unlike_count + 1, sizeof(*l->unlike));
	l->unlike[l->unlike_count++] = (struct unlike_column){oid, mem_strdup(column)};
	return 0;
}

static int compare_oid_pairs(const void *a, const void *b)
{
	const struct oid_pair *x = a, *y = b;

	return (x->oid > y->oid) - (x->oid < y->oid);
}

static int learn_of_tables(struct loading *l, struct error *err)
{
	const struct pg_hollow_facts facts = {.partition = take_partition, .unlike = take_unlike, .arg = l};
	int r = pg_hollow_read(l->options->session, &facts, err);

	if (r == 0 && l->partition_count > 0)
		qsort(l->partitions, l->partition_count, sizeof(*l->partitions), compare_oid_pairs);
	return r;
}

static bool is_unlike_column(void *arg, uint32_t table, uint32_t column)
{
	const struct loading *l = arg;
	const struct tenancy_table *t = &l->options->tables->model->tables[table];

	for (size_t i = 0; i < l->unlike_count; i++)
		if (l->unlike[i].oid == t->oid && str_equal(l->unlike[i].name, t->columns[column].name))
			return true;
	return false;
}

/* A text as a value of a type, as the server writes it. */
static int canonical_value(void *arg, const char *text, const char *type, struct str *ret, struct error *err)
{
	return pg_hollow_value(((const struct loading *)arg)->options->session, text, type, ret, err);
}

/* Entries and tables. */

static uint32_t table_of_oid(const struct tenancy_model *m, uint32_t oid)
{
	for (uint32_t i = 0; i < m->table_count; i++)
		if (m->tables[i].oid == oid)
			return i;
	return UINT32_MAX;
}

static uint32_t root_of_table(const struct loading *l, uint32_t table)
{
	const struct tenancy_model *m = l->options->tables->model;
	const struct oid_pair wanted = {.oid = m->tables[table].oid}, *found;

	if (!m->tables[table].is_partition)
		return table;
	found = l->partition_count == 0 ? NULL
	                                : bsearch(&wanted, l->partitions, l->partition_count,
	                                          sizeof(*l->partitions), compare_oid_pairs);
	return found ? table_of_oid(m, found->root) : UINT32_MAX;
}

static const struct tenancy_decision *decision_of_table(const struct loading *l, uint32_t table)
{
	const struct tenancy_plan *plan = l->options->tables->plan;

	return &plan->decisions[plan->decision_of[table]];
}

static bool is_table_exported(const struct loading *l, uint32_t table)
{
	return decision_of_table(l, table)->verdict == TENANCY_EXPORTED;
}

/* What was erased. */

/* Of a foreign key, for tables without partitions; false: it is none of theirs. */
static bool ends_of_key(const struct loading *l, const struct tenancy_key *key, uint32_t *ret_from,
                        uint32_t *ret_to)
{
	*ret_from = root_of_table(l, key->from);
	*ret_to = root_of_table(l, key->to);
	return *ret_from != UINT32_MAX && *ret_to != UINT32_MAX;
}

/* Tables of which the register has entries, and those that refer to them and are not exported. */
static void mark_leading(const struct loading *l, bool *leads)
{
	const struct past_rows_options *o = l->options;
	const struct tenancy_model *m = o->tables->model;
	bool is_new = true;
	uint32_t from, to;

	for (uint32_t i = 0; i < m->table_count; i++) {
		uint32_t root = root_of_table(l, i);

		if (root != UINT32_MAX &&
		    erasures_has_rows_of(o->erasures, o->source, m->tables[i].schema, m->tables[i].name))
			leads[root] = true;
	}
	while (is_new) {
		is_new = false;
		for (size_t i = 0; i < m->key_count; i++)
			if (ends_of_key(l, &m->keys[i], &from, &to) && leads[to] && !leads[from] &&
			    !is_table_exported(l, from))
				is_new = leads[from] = true;
	}
}

/*
 * With what was erased went what referred to it, and that may be the tenant's, though the one who was erased is in a table that is not exported, or is another's. All
 * of these tables is loaded, so that whoever applies the register finds both.
 */
static void find_whole_tables(struct loading *l)
{
	const struct tenancy_model *m = l->options->tables->model;
	_cleanup(free) bool *leads = mem_alloc(m->table_count + 1);
	bool is_new = true;
	uint32_t from, to;

	l->is_whole = mem_alloc(m->table_count + 1);
	mark_leading(l, leads);
	while (is_new) {
		is_new = false;
		for (size_t i = 0; i < m->key_count; i++)
			if (ends_of_key(l, &m->keys[i], &from, &to) && leads[to] && !l->is_whole[to] &&
			    (l->is_whole[from] || is_table_exported(l, from)))
				is_new = l->is_whole[to] = true;
	}
}

static int refuse_unknown_entry(const struct loading *l, const struct inside_table *t, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the dump has rows of %s.%s, which is no table that an export could have, or has another name here: restore the dump into a database (keepfs restore), and export from there",
	        t->schema, t->table);
}

static int place_entry(struct loading *l, const struct inside_table *t, struct error *err)
{
	const struct past_rows_options *o = l->options;
	ssize_t table = tenancy_find_table(o->tables->model, t->schema, t->table);
	uint32_t root = table < 0 ? UINT32_MAX : root_of_table(l, (uint32_t)table);

	if (root == UINT32_MAX)
		return past_failures_lack(&o->server->failures, t->schema, t->table) &&
		                       past_is_outside(o->scope, t->schema, t->table)
		               ? 0
		               : refuse_unknown_entry(l, t, err);
	l->has_source[table] = true;
	l->sources[l->source_count++] = (struct source){t->number, root};
	return 0;
}

static int place_entries(struct loading *l, struct error *err)
{
	struct inside_dump *d = l->options->server->dump;
	int r = 0;

	l->sources = mem_array(inside_tables(d) + 1, sizeof(*l->sources));
	l->has_source = mem_array(l->options->tables->model->table_count + 1, sizeof(*l->has_source));
	for (uint32_t number = 1; r == 0 && number <= inside_tables(d); number++) {
		_cleanup(inside_table) struct inside_table t = {0};

		r = inside_table(d, number, &t, err);
		if (r == 0)
			r = place_entry(l, &t, err);
	}
	return r;
}

/* Partitions of partitions have no rows of their own, and roots have none. */
static int check_has_rows(const struct loading *l, uint32_t table, struct error *err)
{
	const struct tenancy_table *t = &l->options->tables->model->tables[table];
	uint32_t root = root_of_table(l, table);

	if (t->kind == 'p' || l->has_source[table] || root == UINT32_MAX ||
	    !(is_table_exported(l, root) || l->is_whole[root]))
		return 0;
	if (!is_table_exported(l, root))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the dump has no rows of %s.%s, where some are registered as erased, or which lead to such: nobody can tell which of the tenant's rows went with them; name another backup",
		        t->schema, t->name);
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the dump has no rows of %s.%s%s: an export from it would lack them; name another backup, or exclude the table",
	        t->schema, t->name,
	        t->kind == 'm'   ? ", a materialized view"
	        : t->kind == 'f' ? ", a foreign table"
	                         : ", which was left out when it was made");
}

static int find_entries(struct loading *l, struct error *err)
{
	int r = place_entries(l, err);

	for (uint32_t i = 0; r == 0 && i < l->options->tables->model->table_count; i++)
		r = check_has_rows(l, i, err);
	return r;
}

/* Rows. */

static int flush_kept(struct loading *l, struct error *err)
{
	int r = 0;

	if (l->out.len == 0)
		return 0;
	if (l->copy_statement) {
		r = pg_load_copy(l->options->session, l->copy_statement, err);
		free(take_ptr(&l->copy_statement));
	}
	if (r == 0)
		r = pg_load_data(l->options->session, l->out.data, l->out.len, err);
	str_clear(&l->out);
	return r;
}

static int keep_row(struct loading *l, const char *row, size_t len, struct error *err)
{
	l->counts->kept_rows++;
	str_append_bytes(&l->out, row, len);
	str_append_char(&l->out, '\n');
	return l->out.len < OUT_BYTES ? 0 : flush_kept(l, err);
}

static int look_at_row(struct loading *l, const char *row, size_t len, struct error *err)
{
	int r = l->is_looked_at ? past_filter_row(l->filter, row, len, err) : 1;

	if (r == 0 && l->takes_all)
		r = 1;
	else if (r > 0 && l->keeps_none)
		r = 0;
	l->entry_rows++;
	return r <= 0 ? r : keep_row(l, row, len, err);
}

static int end_partial_row(struct loading *l, const char *data, size_t len, struct error *err)
{
	int r;

	str_append_bytes(&l->partial, data, len);
	r = look_at_row(l, l->partial.data, l->partial.len, err);
	str_clear(&l->partial);
	return r;
}

static int take_dumped_rows(void *arg, const void *data, size_t len, struct error *err)
{
	struct loading *l = arg;
	const char *at = data, *end = at + len, *line_end;
	const struct make_progress *progress = l->options->server->order->progress;

	l->counts->read_bytes += len;
	if (progress)
		atomic_fetch_add(&l->options->server->order->progress->read_bytes, len);
	while (at < end && (line_end = memchr(at, '\n', (size_t)(end - at)))) {
		size_t n = (size_t)(line_end - at);
		int r = l->partial.len > 0 ? end_partial_row(l, at, n, err) : look_at_row(l, at, n, err);

		if (r < 0)
			return r;
		at = line_end + 1;
	}
	str_append_bytes(&l->partial, at, (size_t)(end - at));
	return 0;
}

static char *statement_of_entry(const struct inside_table *t)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "COPY ");
	sql_append_name(&sql, t->schema);
	str_append_char(&sql, '.');
	sql_append_name(&sql, t->table);
	/* "()" is no list of columns. */
	str_appendf(&sql, " %s FROM stdin;", str_equal(t->columns, "()") ? "" : t->columns);
	return str_take(&sql);
}

static int check_entry(const struct loading *l, const struct inside_table *t, struct error *err)
{
	if (l->partial.len == 0 && (t->rows == INSIDE_NOT_KNOWN || t->rows == l->entry_rows))
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s.%s has %" PRIu64
	                 " rows in the dump, which are not those that were counted when it was made",
	                 t->schema, t->table, l->entry_rows);
}

static int read_dumped_entry(struct loading *l, const struct inside_table *t, struct error *err)
{
	const struct past_server *s = l->options->server;
	uint64_t loaded;
	int r;

	l->entry_rows = 0;
	str_clear(&l->partial);
	str_clear(&l->out);
	free(l->copy_statement);
	l->copy_statement = statement_of_entry(t);
	r = inside_read_rows(s->dump, t->number, s->cancel, take_dumped_rows, l, err);
	if (r == 0)
		r = check_entry(l, t, err);
	if (r == 0)
		r = flush_kept(l, err);
	if (r == 0 && !l->copy_statement)
		r = pg_load_end(l->options->session, &loaded, err);
	l->counts->read_rows += l->entry_rows;
	l->counts->entries++;
	return r;
}

static int pass_entry(struct loading *l, size_t number, enum past_pass pass, uint32_t entry,
                      struct error *err)
{
	_cleanup(inside_table) struct inside_table t = {0};
	_cleanup(copy_columns) struct copy_columns columns = {0};
	int r = inside_table(l->options->server->dump, entry, &t, err);

	if (r == 0)
		r = copy_columns_parse(t.columns, &columns, err);
	if (r == 0)
		r = past_filter_entry(l->filter, number, pass, &columns, err);
	if (r == 0)
		r = read_dumped_entry(l, &t, err);
	if (r < 0 && r != -ECANCELED && err && t.table && !strstr(err->message, t.table))
		error_prefix(err, "rows of %s.%s", t.schema, t.table);
	return r;
}

static int pass_table(struct loading *l, size_t number, enum past_pass pass, struct error *err)
{
	uint32_t table = past_filter_table(l->filter, number);
	int r = 0;

	l->is_looked_at = pass != PAST_OWN || !past_filter_takes_all(l->filter, number);
	l->takes_all = pass == PAST_OWN && (!l->is_looked_at || l->is_whole[table]);
	/* All came the first time. */
	l->keeps_none = pass == PAST_OTHERS && l->is_whole[table];
	for (size_t i = 0; r == 0 && i < l->source_count; i++)
		if (l->sources[i].table == table)
			r = pass_entry(l, number, pass, l->sources[i].number, err);
	return r;
}

static int load_whole_entry(struct loading *l, uint32_t entry, struct error *err)
{
	_cleanup(inside_table) struct inside_table t = {0};
	int r = inside_table(l->options->server->dump, entry, &t, err);

	l->takes_all = true;
	l->is_looked_at = l->keeps_none = false;
	return r < 0 ? r : read_dumped_entry(l, &t, err);
}

/* Those that are exported have been loaded with the others. */
static int load_whole_tables(struct loading *l, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->source_count; i++)
		if (l->is_whole[l->sources[i].table] && !is_table_exported(l, l->sources[i].table))
			r = load_whole_entry(l, l->sources[i].number, err);
	return r;
}

static int pass_all(struct loading *l, struct error *err)
{
	size_t count = past_filter_count(l->filter);
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = pass_table(l, i, PAST_OWN, err);
	for (size_t i = count; r == 0 && i > 0; i--)
		if (past_filter_has_others(l->filter, i - 1))
			r = pass_table(l, i - 1, PAST_OTHERS, err);
	return r < 0 ? r : load_whole_tables(l, err);
}

static bool is_ascii_text(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* In these the second byte of a character may be that of a backslash, which says in the others what follows is. */
static bool has_hidden_backslashes(const char *encoding)
{
	static const char *const names[] = {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "GB18030",
	                                    "UHC",  "JOHAB"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], encoding) == 0)
			return true;
	return false;
}

/* What is compared with the rows is in UTF-8: the id, and what stands in the configuration, or is escaped in JSON. */
static int check_encoding(const struct loading *l, struct error *err)
{
	const char *encoding = inside_encoding(l->options->server->dump);
	bool has_paths = false;

	for (size_t i = 0; i < l->options->tables->plan->soft_count; i++) {
		const struct tenancy_soft *s = &l->options->tables->plan->softs[i];

		has_paths |= s->from_value.path_count > 0 || s->to_value.path_count > 0 || s->test_count > 0;
	}
	if (!*encoding || str_equal(encoding, "UTF8") || str_equal(encoding, "SQL_ASCII") ||
	    (!has_paths && is_ascii_text(l->options->tenant) && !has_hidden_backslashes(encoding)))
		return 0;
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the dump is in %s, and texts of it that tell whose rows are cannot be compared with those of the configuration: restore it into a database (keepfs restore), and export from there",
	        encoding);
}

static int make_filter(struct loading *l, struct error *err)
{
	const struct past_rows_options *o = l->options;
	const struct past_filter_options options = {
	        .model = o->tables->model,
	        .plan = o->tables->plan,
	        .tenant = o->tenant,
	        .memory_bytes = o->memory_bytes,
	        .is_unlike = is_unlike_column,
	        .value = canonical_value,
	        .arg = l,
	};

	return past_filter_new(&options, &l->filter, err);
}

static int begin_loading(struct loading *l, struct error *err)
{
	const char *encoding = inside_encoding(l->options->server->dump);
	_cleanup(free) char *statement = *encoding ? pg_hollow_encoding(encoding) : mem_strdup("");
	const struct pg_load_settings settings = {.statements = statement, .no_triggers = true};

	return pg_load_begin(l->options->session, &settings, err);
}

static int load_all(struct loading *l, struct error *err)
{
	const struct past_server *s = l->options->server;
	const struct pg_server_place place = {.server = pg_scratch_conninfo(s->scratch), .cancel = s->cancel};
	int r = check_encoding(l, err);

	if (r == 0)
		r = learn_of_tables(l, err);
	if (r == 0) {
		find_whole_tables(l);
		r = find_entries(l, err);
	}
	if (r == 0)
		r = make_filter(l, err);
	if (r == 0)
		r = begin_loading(l, err);
	if (r == 0)
		r = pass_all(l, err);
	return r < 0 ? r : pg_database_analyze(&place, s->database, err);
}

int past_rows_load(const struct past_rows_options *options, struct past_rows_counts *ret, struct error *err)
{
	struct past_rows_counts counts = {0};
	struct loading l = {.options = options, .counts = &counts};
	int r = load_all(&l, err);

	finish_loading(&l);
	if (r == 0)
		*ret = counts;
	return r;
}
