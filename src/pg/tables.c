// SPDX-License-Identifier: Apache-2.0
/*
 * What is known of tables before they are read: how large, in how many pages, and which of them can only be
 * read in a way of their own. Thousands of tables are asked for in one question.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>

#define TABLES_PER_QUERY 5000

/* pg_dump: an empty condition means all rows (processExtensionTables). Since version 14 a range of pages can
 * be scanned; other access methods than the heap may number their rows otherwise. */
static const char about_tables[] =
        "SELECT o.n,"
        " pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(c.relname),"
        " CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_table_size(c.oid) END,"
        " CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid)"
        "  / pg_catalog.current_setting('block_size')::bigint END,"
        " c.relkind = 'f',"
        " (SELECT e.extcondition[i] FROM pg_catalog.pg_extension e,"
        "  pg_catalog.generate_subscripts(e.extconfig, 1) i"
        "  WHERE e.extconfig[i] = c.oid AND e.extcondition[i] <> '' LIMIT 1),"
        " %s"
        " FROM pg_catalog.unnest('{%s}'::oid[]) WITH ORDINALITY o(oid, n)"
        " JOIN pg_catalog.pg_class c ON c.oid = o.oid"
        " JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace"
        " %s";

static const char names_of_tables[] =
        "SELECT o.n,"
        " pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
        " FROM pg_catalog.unnest('{%s}'::oid[]) WITH ORDINALITY o(oid, n)"
        " JOIN pg_catalog.pg_class c ON c.oid = o.oid"
        " JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace";

static const char is_heap[] = "c.relkind IN ('r', 'm') AND a.amhandler = 'heap_tableam_handler'::regproc";
static const char join_methods[] = "LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam";

struct batch {
	struct pg_table *tables;
	size_t count;
};

static uint64_t parse_count(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

static bool is_true_text(const char *text)
{
	return text && text[0] == 't';
}

static int take_table_name(void *arg, const struct pg_row *row, struct error *err)
{
	const struct batch *batch = arg;
	uint64_t place = parse_count(row->values[0]);

	if (place < 1 || place > batch->count)
		return error_set(err, ERROR_INTERNAL, EPROTO,
		                 "PostgreSQL tells of a table that was not asked for");
	mem_replace_string(&batch->tables[place - 1].relation, row->values[1]);
	return 0;
}

static int take_table(void *arg, const struct pg_row *row, struct error *err)
{
	const struct batch *batch = arg;
	struct pg_table *t;
	int r = take_table_name(arg, row, err);

	if (r < 0)
		return r;
	t = &batch->tables[parse_count(row->values[0]) - 1];
	mem_replace_string(&t->condition, row->values[5]);
	t->total_bytes = parse_count(row->values[2]);
	t->pages = (uint32_t)parse_count(row->values[3]);
	t->foreign = is_true_text(row->values[4]);
	t->by_pages = is_true_text(row->values[6]) && !t->condition;
	return 0;
}

static int ask_batch(struct pg_session *s, const struct batch *batch, bool names, struct error *err)
{
	bool has_ranges = PQserverVersion(s->conn) >= 140000;
	_cleanup(str) struct str oids = {0};
	_cleanup(str) struct str sql = {0};
	int r;

	for (size_t i = 0; i < batch->count; i++)
		str_appendf(&oids, "%s%u", i > 0 ? "," : "", batch->tables[i].oid);
	if (names)
		str_appendf(&sql, names_of_tables, str_text(&oids));
	else
		str_appendf(&sql, about_tables, has_ranges ? is_heap : "false", str_text(&oids),
		            has_ranges ? join_methods : "");
	r = pg_session_rows(s, str_text(&sql), names ? take_table_name : take_table, (void *)batch, err);
	for (size_t i = 0; r == 0 && i < batch->count; i++) {
		if (!batch->tables[i].relation)
			r = error_set(err, ERROR_NOT_FOUND, ENOENT,
			              "the table with OID %u is not there any more, or not yet",
			              batch->tables[i].oid);
	}
	return r;
}

static int ask_tables(struct pg_session *s, struct pg_table *tables, size_t count, bool names,
                      struct error *err)
{
	int r = 0;

	for (size_t done = 0; done < count && r == 0; done += TABLES_PER_QUERY) {
		size_t left = count - done;
		const struct batch batch = {.tables = tables + done,
		                            .count = left < TABLES_PER_QUERY ? left : TABLES_PER_QUERY};

		r = ask_batch(s, &batch, names, err);
	}
	return r;
}

int pg_tables_name(struct pg_session *s, struct pg_table *tables, size_t count, struct error *err)
{
	return ask_tables(s, tables, count, true, err);
}

int pg_tables_learn(struct pg_session *s, struct pg_table *tables, size_t count, struct error *err)
{
	return ask_tables(s, tables, count, false, err);
}

void pg_table_finish(struct pg_table *t)
{
	free(t->relation);
	free(t->condition);
	*t = (struct pg_table){0};
}
