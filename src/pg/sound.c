// SPDX-License-Identifier: Apache-2.0
/* Is a database sound? What the server says of one thing is about that thing, and ends nothing; a session that is gone ends all. */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/restored.h>

#include <errno.h>
#include <string.h>

struct looking {
	struct pg_session *session;
	struct pg_soundness *found;
	char *amcheck; /* heap: the schema of its functions, quoted; NULL: it is not there */
};

static void tell_soundness(struct looking *l, bool wrong, const char *what, const char *why)
{
	_cleanup(free) char *text = mem_printf("%s: %s", what, why);

	l->found->found(l->found->arg, wrong, text);
}

/* @wrong: when it fails. Negative: the session is of no use any more. */
static int try_statement(struct looking *l, const char *what, const char *sql, bool wrong, struct error *err)
{
	struct error own = {0};
	int r = pg_session_run(l->session, sql, &own);

	if (r == 0)
		return 0;
	if (!own.code[0] || r == -ECANCELED) {
		if (err)
			*err = own;
		return r;
	}
	tell_soundness(l, wrong, what, own.message);
	return 0;
}

static int validate_one(void *arg, const struct pg_row *row, struct error *err)
{
	struct looking *l = arg;
	_cleanup(free) char *sql =
	        mem_printf("ALTER TABLE %s VALIDATE CONSTRAINT %s", row->values[0], row->values[1]);
	_cleanup(free) char *what =
	        mem_printf("the constraint %s of %s, which was never validated, does not hold",
	                   row->values[1], row->values[0]);

	l->found->constraints++;
	/* So it was in the original, too. */
	return try_statement(l, what, sql, false, err);
}

static int tell_invalid_index(void *arg, const struct pg_row *row, struct error *err)
{
	struct looking *l = arg;

	tell_soundness(l, !l->found->is_of_files, row->values[0], "the index is not valid");
	return 0;
}

static int check_index(void *arg, const struct pg_row *row, struct error *err)
{
	struct looking *l = arg;
	_cleanup(free) char *sql =
	        mem_printf("SELECT %s.bt_index_check(%s::regclass, true)", l->amcheck, row->values[1]);

	l->found->indexes++;
	return try_statement(l, row->values[0], sql, true, err);
}

static int tell_heap(void *arg, const struct pg_row *row, struct error *err)
{
	tell_soundness(arg, true, row->values[0], row->values[1]);
	return 0;
}

static int check_heap(void *arg, const struct pg_row *row, struct error *err)
{
	struct looking *l = arg;
	_cleanup(free) char *literal = pg_quote_literal(row->values[0]);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT %s, pg_catalog.format('block %%s, row %%s: %%s', blkno, offnum, msg) FROM %s.verify_heapam(%s::regclass) LIMIT 3",
	        literal, l->amcheck, row->values[1]);

	l->found->tables++;
	return pg_session_rows(l->session, sql, tell_heap, l, err);
}

static int refresh_view(void *arg, const struct pg_row *row, struct error *err)
{
	struct looking *l = arg;
	_cleanup(free) char *sql = mem_printf("REFRESH MATERIALIZED VIEW %s", row->values[0]);

	l->found->views++;
	return try_statement(l, row->values[0], sql, true, err);
}

#define NAMED          "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
#define FROM_RELATIONS " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
#define OF_USERS       " AND n.nspname !~ '^pg_temp' AND c.relpersistence <> 't'"

static int find_amcheck(struct looking *l, struct error *err)
{
	static const char there[] =
	        "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n"
	        " ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'";
	static const char create[] =
	        "CREATE SCHEMA keepfs_drill; CREATE EXTENSION amcheck SCHEMA keepfs_drill";
	int r = pg_session_value(l->session, there, &l->amcheck, err);

	if (r < 0 || l->amcheck)
		return r;
	r = try_statement(
	        l,
	        "amcheck cannot be used, so indexes were not held against their tables, and no more than level 3 is proven",
	        create, false, err);
	return r < 0 ? r : pg_session_value(l->session, there, &l->amcheck, err);
}

static int check_by_amcheck(struct looking *l, struct error *err)
{
	static const char indexes[] =
	        "SELECT " NAMED ", c.oid" FROM_RELATIONS
	        " JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid JOIN pg_catalog.pg_am a ON a.oid = c.relam"
	        " WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisready AND i.indisvalid" OF_USERS
	        " ORDER BY c.oid";
	static const char heaps[] =
	        "SELECT " NAMED ", c.oid" FROM_RELATIONS " JOIN pg_catalog.pg_am a ON a.oid = c.relam"
	        " WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't')" OF_USERS " ORDER BY c.oid";
	int r = find_amcheck(l, err);

	if (r < 0 || !l->amcheck)
		return r;
	l->found->amcheck = true;
	r = pg_session_rows(l->session, indexes, check_index, l, err);
	if (r == 0 && PQserverVersion(l->session->conn) >= 140000)
		r = pg_session_rows(l->session, heaps, check_heap, l, err);
	return r;
}

int pg_restored_sound(struct pg_session *s, struct pg_soundness *io, struct error *err)
{
	static const char constraints[] = "SELECT " NAMED ", pg_catalog.quote_ident(k.conname)" FROM_RELATIONS
	                                  " JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid"
	                                  " WHERE NOT k.convalidated AND k.conparentid = 0 ORDER BY k.oid";
	static const char invalid[] =
	        "SELECT " NAMED FROM_RELATIONS " JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid"
	        " WHERE NOT i.indisvalid AND c.relkind = 'i'" OF_USERS " ORDER BY 1";
	static const char views[] =
	        "SELECT " NAMED FROM_RELATIONS " WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid";
	struct looking l = {.session = s, .found = io};
	int r = pg_session_rows(s, invalid, tell_invalid_index, &l, err);

	if (r == 0)
		r = check_by_amcheck(&l, err);
	if (r == 0)
		r = pg_session_rows(s, constraints, validate_one, &l, err);
	if (r == 0)
		r = pg_session_rows(s, views, refresh_view, &l, err);
	free(l.amcheck);
	return r;
}

/* Rows. */

struct reading_rows {
	struct pg_session *session;
	struct pg_rows_read *read;
};

static int read_rows_of(void *arg, const struct pg_row *row, struct error *err)
{
	struct reading_rows *all = arg;
	_cleanup(free) char *sql = mem_printf("SELECT count(*) FROM %s", row->values[0]), *count = NULL,
	                    *text = NULL;
	struct error own = {0};
	int r = pg_session_value(all->session, sql, &count, &own);

	if (r == 0) {
		all->read->tables++;
		all->read->rows += count ? strtoull(count, NULL, 10) : 0;
		return 0;
	}
	if (!own.code[0] || r == -ECANCELED) {
		if (err)
			*err = own;
		return r;
	}
	text = mem_printf("%s: %s", row->values[0], own.message);
	all->read->failed(all->read->arg, text);
	return 0;
}

int pg_restored_read_rows(struct pg_session *s, struct pg_rows_read *io, struct error *err)
{
	static const char tables[] =
	        "SELECT " NAMED FROM_RELATIONS " JOIN pg_catalog.pg_am a ON a.oid = c.relam"
	        " WHERE c.relkind IN ('r', 'm') AND (c.relkind = 'r' OR c.relispopulated)" OF_USERS
	        " ORDER BY c.oid";
	struct reading_rows all = {.session = s, .read = io};

	return pg_session_rows(s, tables, read_rows_of, &all, err);
}
