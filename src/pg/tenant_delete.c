// SPDX-License-Identifier: Apache-2.0
/*
 * Deleting rows that are known one by one. The list of a transaction is a temporary table. While its rows are locked FOR UPDATE nobody can insert one that
 * refers to them: that needs a lock of its own on the row that it refers to. So what is asked after the locks, in a statement of its own, sees all that
 * refer, and stays true until the end.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/load.h>
#include <keepfs/pg/tenant_delete.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST      "pg_temp.keepfs_gone"
#define THE_SAME  "t.ctid = v.place AND t.tableoid = v.of_table AND t.xmin = v.writer"
#define LOCK_WAIT "60s"

static void append_own_relation(struct str *sql, const struct pg_tenant_rows *rows)
{
	str_append(sql, rows->with_partitions ? "" : "ONLY ");
	sql_append_name(sql, rows->schema);
	str_append_char(sql, '.');
	sql_append_name(sql, rows->table);
}

static const char *or_true(const char *condition)
{
	return *str_or_empty(condition) ? condition : "true";
}

/* Where rows are. */

struct place_taking {
	int (*take)(void *arg, const struct pg_row_place *place, struct error *err);
	void *arg;
};

static int take_place_row(void *arg, const void *data, size_t len, struct error *err)
{
	const struct place_taking *t = arg;
	struct pg_row_place place;
	char line[80];

	if (len >= sizeof(line))
		return error_set(err, ERROR_INTERNAL, EPROTO,
		                 "PostgreSQL tells of a row's place in too many words");
	memcpy(line, data, len);
	line[len] = '\0';
	if (sscanf(line, "%" SCNu32 "\t(%" SCNu32 ",%" SCNu16 ")\t%" SCNu32, &place.table, &place.block,
	           &place.offset, &place.xmin) != 4)
		return error_set(err, ERROR_INTERNAL, EPROTO,
		                 "PostgreSQL tells of a row's place in other words than usual: %.40s", line);
	return t->take(t->arg, &place, err);
}

int pg_row_places(struct pg_session *s, const struct pg_tenant_rows *rows,
                  int (*take)(void *arg, const struct pg_row_place *place, struct error *err), void *arg,
                  struct error *err)
{
	struct place_taking taking = {take, arg};
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "COPY (SELECT t.tableoid, t.ctid, t.xmin FROM ");
	append_own_relation(&sql, rows);
	str_appendf(&sql, " t WHERE (%s) AND (%s)) TO STDOUT", or_true(rows->condition),
	            or_true(rows->proof));
	return pg_session_copy(s, str_text(&sql), take_place_row, &taking, err);
}

/* The transaction. */

int pg_delete_open(const char *conninfo, const char *database, struct cancel *cancel, struct pg_session **ret,
                   struct error *err)
{
	return pg_session_open(conninfo, database, "keepfs export", cancel, ret, err);
}

int pg_delete_begin(struct pg_session *s, struct error *err)
{
	int r = pg_session_run(s, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", err);

	return r < 0 ? r : pg_delete_begin_within(s, err);
}

int pg_delete_begin_within(struct pg_session *s, struct error *err)
{
	static const char sql[] =
	        "SET LOCAL search_path = ''; SET LOCAL row_security = off; SET LOCAL lock_timeout = '" LOCK_WAIT
	        "';"
	        " SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
	        " SET LOCAL client_encoding = 'UTF8';"
	        " DROP TABLE IF EXISTS pg_temp.keepfs_gone; CREATE TEMPORARY TABLE keepfs_gone (of_table pg_catalog.oid, place pg_catalog.tid,"
	        " writer pg_catalog.xid) ON COMMIT DROP";

	return pg_session_run(s, sql, err);
}

int pg_delete_add(struct pg_session *s, const struct pg_row_place *places, size_t count, struct error *err)
{
	_cleanup(str) struct str lines = {0};
	uint64_t taken = 0;
	int r = pg_load_copy(s, "COPY " LIST " FROM stdin", err);

	for (size_t i = 0; i < count; i++)
		str_appendf(&lines, "%" PRIu32 "\t(%" PRIu32 ",%" PRIu16 ")\t%" PRIu32 "\n", places[i].table,
		            places[i].block, places[i].offset, places[i].xmin);
	if (r == 0)
		r = pg_load_data(s, str_text(&lines), lines.len, err);
	return r < 0 ? r : pg_load_end_within(s, &taken, err);
}

int pg_delete_listed(struct pg_session *s, struct error *err)
{
	return pg_session_run(s, "ANALYZE " LIST, err);
}

int pg_delete_commit(struct pg_session *s, struct error *err)
{
	return session_commit(s, "", err);
}

void pg_delete_roll_back(struct pg_session *s)
{
	struct error ignored = {0};

	if (PQtransactionStatus(s->conn) != PQTRANS_IDLE)
		pg_session_run(s, "ROLLBACK", &ignored);
}

/* Are they as they were? */

static int ask_count(struct pg_session *s, const char *sql, uint64_t *ret, struct error *err)
{
	_cleanup(free) char *value = NULL;
	int r = pg_session_value(s, sql, &value, err);

	if (r == 0)
		*ret = strtoull(str_or_empty(value), NULL, 10);
	return r;
}

static int refuse_changed(const struct pg_tenant_rows *rows, uint64_t missing, struct error *err)
{
	return error_set(err, ERROR_CONFLICT, ESTALE,
	                 "%" PRIu64 " rows of %s.%s were changed or deleted after they had been exported",
	                 missing, rows->schema, rows->table);
}

static int check_as_they_were(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t count,
                              const char *locking, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	uint64_t found = 0;
	int r;

	str_append(&sql, "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM ");
	append_own_relation(&sql, rows);
	str_appendf(&sql, " t, " LIST " v WHERE " THE_SAME " AND (%s) AND (%s)%s) f",
	            or_true(rows->condition), or_true(rows->proof), locking);
	r = ask_count(s, str_text(&sql), &found, err);
	if (r < 0)
		return r;
	return found == count ? 0 : refuse_changed(rows, count > found ? count - found : 0, err);
}

int pg_delete_unchanged(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t count,
                        struct error *err)
{
	return check_as_they_were(s, rows, count, "", err);
}

/* The condition leads over rows that may be changed while a lock is waited for: it is looked at again, by a statement that sees that. */
int pg_delete_hold(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t count, struct error *err)
{
	const struct pg_tenant_rows themselves = {
	        .schema = rows->schema, .table = rows->table, .with_partitions = rows->with_partitions};
	int r = check_as_they_were(s, &themselves, count, " FOR UPDATE OF t", err);

	return r < 0 ? r : check_as_they_were(s, rows, count, "", err);
}

int pg_delete_others(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t *ret,
                     struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "SELECT pg_catalog.count(*) FROM ");
	append_own_relation(&sql, rows);
	str_appendf(&sql, " t WHERE (%s) AND NOT EXISTS (SELECT FROM " LIST " v WHERE " THE_SAME ")",
	            or_true(rows->condition));
	return ask_count(s, str_text(&sql), ret, err);
}

/* Who refers to them. */

static void append_oids(struct str *sql, const uint32_t *oids, size_t count)
{
	str_append(sql, "'{");
	for (size_t i = 0; i < count; i++)
		str_appendf(sql, "%s%" PRIu32, i > 0 ? "," : "", oids[i]);
	str_append(sql, "}'::oid[]");
}

/* One row for each foreign key: its name, tables, action, and the statement that finds a row which refers. Keys of partitions are those of their
 * roots; a key may lead to a partition alone. */
static const char about_references[] =
        "SELECT c.conname,"
        " pg_catalog.format('%I.%I', fn.nspname, f.relname), pg_catalog.format('%I.%I', tn.nspname, t.relname),"
        " c.confdeltype,"
        " pg_catalog.format('SELECT 1 FROM " LIST
        " v JOIN %s%I.%I p ON p.ctid = v.place AND p.tableoid = v.of_table"
        " JOIN %s%I.%I f ON %s WHERE NOT EXISTS (SELECT FROM " LIST
        " g WHERE g.of_table = f.tableoid AND g.place = f.ctid) LIMIT 1',"
        " CASE t.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, tn.nspname, t.relname,"
        " CASE f.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, fn.nspname, f.relname,"
        " (SELECT pg_catalog.string_agg(pg_catalog.format('p.%I OPERATOR(%I.%s) f.%I', ta.attname, n.nspname, o.oprname, fa.attname), ' AND ')"
        " FROM pg_catalog.generate_subscripts(c.conkey, 1) i"
        " JOIN pg_catalog.pg_attribute fa ON fa.attrelid = c.conrelid AND fa.attnum = c.conkey[i]"
        " JOIN pg_catalog.pg_attribute ta ON ta.attrelid = c.confrelid AND ta.attnum = c.confkey[i]"
        " JOIN pg_catalog.pg_operator o ON o.oid = c.conpfeqop[i]"
        " JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace))"
        " FROM pg_catalog.pg_constraint c"
        " JOIN pg_catalog.pg_class f ON f.oid = c.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace"
        " JOIN pg_catalog.pg_class t ON t.oid = c.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace"
        " WHERE c.contype = 'f' AND c.conparentid = 0 AND EXISTS (SELECT FROM pg_catalog.unnest(";
static const char about_references_end[] =
        ") o (oid) WHERE c.confrelid = o.oid OR c.confrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(o.oid)))"
        " ORDER BY 2, 1";

struct reference_taking {
	struct pg_session *session;
	int (*take)(void *arg, const struct pg_delete_reference *found, struct error *err);
	void *arg;
};

static int take_foreign_reference(void *arg, const struct pg_row *row, struct error *err)
{
	const struct reference_taking *t = arg;
	const struct pg_delete_reference found = {.constraint = row->values[0],
	                                          .from = row->values[1],
	                                          .to = row->values[2],
	                                          .action = row->values[3][0]};
	_cleanup(free) char *there = NULL;
	int r = pg_session_value(t->session, row->values[4], &there, err);

	if (r < 0)
		error_prefix(err, "whether rows of %s refer to what is to be deleted cannot be found out",
		             found.from);
	return r < 0 || !there ? r : t->take(t->arg, &found, err);
}

int pg_delete_references(struct pg_session *s, const uint32_t *oids, size_t count,
                         int (*take)(void *arg, const struct pg_delete_reference *found, struct error *err),
                         void *arg, struct error *err)
{
	struct reference_taking taking = {s, take, arg};
	_cleanup(str) struct str sql = {0};

	str_append(&sql, about_references);
	append_oids(&sql, oids, count);
	str_append(&sql, about_references_end);
	return pg_session_rows(s, str_text(&sql), take_foreign_reference, &taking, err);
}

int pg_delete_rights(struct pg_session *s, const uint32_t *oids, size_t count, char **ret, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(
	        &sql,
	        "SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ', ' ORDER BY n.nspname, c.relname)"
	        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY (");
	append_oids(&sql, oids, count);
	str_append(
	        &sql,
	        ") AND NOT (pg_catalog.has_table_privilege(c.oid, 'DELETE') AND pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'))");
	return pg_session_value(s, str_text(&sql), ret, err);
}

/* The deletion. */

struct delete_counts {
	uint64_t *counts;
	size_t count;
};

static int take_delete_counts(void *arg, const struct pg_row *row, struct error *err)
{
	const struct delete_counts *c = arg;

	for (size_t i = 0; i < c->count && (int)i < row->columns; i++)
		c->counts[i] = strtoull(str_or_empty(row->values[i]), NULL, 10);
	return 0;
}

int pg_delete_rows(struct pg_session *s, const struct pg_tenant_rows *tables, size_t count, uint64_t *ret,
                   struct error *err)
{
	struct delete_counts counts = {ret, count};
	_cleanup(str) struct str sql = {0};
	int r;

	for (size_t i = 0; i < count; i++) {
		str_appendf(&sql, "%s d%zu AS (DELETE FROM ", i > 0 ? "," : "WITH", i);
		append_own_relation(&sql, &tables[i]);
		str_append(&sql, " t USING " LIST " v WHERE " THE_SAME " RETURNING 1)");
	}
	for (size_t i = 0; i < count; i++)
		str_appendf(&sql, "%s (SELECT pg_catalog.count(*) FROM d%zu)", i > 0 ? "," : " SELECT", i);
	/* Triggers find what they name as they do for whoever else deletes. */
	r = pg_session_run(s, "SET LOCAL search_path TO DEFAULT", err);
	if (r == 0)
		r = pg_session_rows(s, str_text(&sql), take_delete_counts, &counts, err);
	return r < 0 ? r : pg_session_run(s, "SET LOCAL search_path = ''", err);
}
