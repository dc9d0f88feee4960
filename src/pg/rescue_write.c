// SPDX-License-Identifier: Apache-2.0
/*
 * What is missing is inserted by one statement, and what differs replaced by another: so a row may refer to another one that comes with it. When one of them fails, the
 * first row with which it does is looked for, by halves, to be named: the server names constraints and values of other columns, if any.
 */
#include "rescue.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* More are not tried again and again. */
#define SEARCHED_ROWS 100000

struct writing {
	const char *list; /* of the places */
	void (*append)(const struct pg_rescue *x, uint64_t most, struct str *out);
	uint64_t count;
};

static void append_insert(const struct pg_rescue *x, uint64_t most, struct str *out)
{
	str_appendf(out, "INSERT INTO %s (", x->relation);
	rescue_list(&x->common, "", out);
	str_append(out, x->has_identity ? ") OVERRIDING SYSTEM VALUE SELECT " : ") SELECT ");
	rescue_list(&x->common, "b.", out);
	str_appendf(out,
	            " FROM " RESCUE_ROWS " b JOIN " RESCUE_MISSING
	            " m ON m.place = b.ctid WHERE m.number <= %" PRIu64 " ORDER BY m.number",
	            most);
	if (!x->has_arbiter)
		return;
	/* Of other unique columns a conflict is an error: that row would be left out, and nobody told why. */
	str_append(out, " ON CONFLICT (");
	rescue_list(&x->quoted_key, "", out);
	str_append(out, ") DO NOTHING");
}

static void append_update(const struct pg_rescue *x, uint64_t most, struct str *out)
{
	str_appendf(out, "UPDATE %s t SET ", x->own_rows);
	for (size_t i = 0; i < x->compared.count; i++)
		str_appendf(out, "%s%s = b.%s", i > 0 ? ", " : "", x->compared.items[i],
		            x->compared.items[i]);
	str_append(out, " FROM " RESCUE_ROWS " b JOIN " RESCUE_DIFFERING " m ON m.place = b.ctid WHERE ");
	rescue_join(x, out);
	str_appendf(out, " AND m.number <= %" PRIu64, most);
}

static int write_rows(struct pg_rescue *x, const struct writing *w, uint64_t most, uint64_t *ret_rows,
                      struct error *err)
{
	_cleanup(str) struct str sql = {0};
	_cleanup(pg_result) PGresult *result = NULL;
	int r;

	w->append(x, most, &sql);
	r = session_ask(x->session, &(struct session_query){.sql = str_text(&sql), .alone = true}, &result,
	                err);
	if (r == 0 && ret_rows)
		*ret_rows = strtoull(PQcmdTuples(result), NULL, 10);
	return r;
}

/* Looking for the row. */

static int undo(struct pg_rescue *x, struct error *err)
{
	return pg_session_run(x->session, "ROLLBACK TO SAVEPOINT keepfs_rescue", err);
}

/* 1: with so many it fails; 0: it does not. */
static int fails_with(struct pg_rescue *x, const struct writing *w, uint64_t most, struct error *err)
{
	int r = write_rows(x, w, most, NULL, err);

	if (r == -ECANCELED || PQstatus(x->session->conn) == CONNECTION_BAD)
		return r;
	return undo(x, NULL) < 0 ? -EIO : r < 0;
}

static int find_failing(struct pg_rescue *x, const struct writing *w, uint64_t *ret, struct error *why)
{
	uint64_t good = 0, bad = w->count;

	while (bad - good > 1) {
		uint64_t middle = good + (bad - good) / 2;
		struct error said = {0};
		int r = fails_with(x, w, middle, &said);

		if (r < 0)
			return r;
		if (r == 1)
			*why = said;
		*(r == 1 ? &bad : &good) = middle;
	}
	*ret = bad;
	return 0;
}

static int read_key(struct pg_rescue *x, const struct writing *w, uint64_t number, char **ret)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "SELECT ");
	rescue_key_value(x, &sql);
	str_appendf(&sql, " FROM " RESCUE_ROWS " b JOIN %s m ON m.place = b.ctid WHERE m.number = %" PRIu64,
	            w->list, number);
	return pg_session_value(x->session, str_text(&sql), ret, NULL);
}

static void name_failing(struct pg_rescue *x, const struct writing *w, struct error *err)
{
	_cleanup(free) char *key = NULL;
	struct error why = *err;
	uint64_t number;

	if (PQstatus(x->session->conn) == CONNECTION_BAD || w->count > SEARCHED_ROWS || undo(x, NULL) < 0 ||
	    find_failing(x, w, &number, &why) < 0 || read_key(x, w, number, &key) < 0 || !key)
		return;
	*err = why;
	error_prefix(err, "the row with %s", key);
}

static int write_listed(struct pg_rescue *x, const struct writing *w, uint64_t *ret_rows, struct error *err)
{
	struct error why = {0};
	int r = pg_session_run(x->session, "SAVEPOINT keepfs_rescue", &why);

	if (r == 0) {
		r = write_rows(x, w, w->count, ret_rows, &why);
		if (r < 0 && r != -ECANCELED)
			name_failing(x, w, &why);
	}
	if (r == 0)
		r = pg_session_run(x->session, "RELEASE SAVEPOINT keepfs_rescue", &why);
	if (r < 0 && err)
		*err = why;
	return r;
}

static void list_writings(const struct pg_rescue *x, struct writing *insert, struct writing *update)
{
	*insert =
	        (struct writing){.list = RESCUE_MISSING, .append = append_insert, .count = x->counts.missing};
	*update = (struct writing){.list = RESCUE_DIFFERING,
	                           .append = append_update,
	                           .count = x->order->replace ? x->counts.differing : 0};
}

static void tell_writing(const struct pg_rescue *x, const struct writing *w)
{
	_cleanup(str) struct str sql = {0};

	if (!x->order->statement || w->count == 0)
		return;
	w->append(x, w->count, &sql);
	x->order->statement(x->order->arg, str_text(&sql));
}

void pg_rescue_plan(struct pg_rescue *x)
{
	struct writing insert, update;

	list_writings(x, &insert, &update);
	tell_writing(x, &insert);
	tell_writing(x, &update);
}

/* A trigger may leave a row out, or put it elsewhere; one that somebody else has inserted since is there. */
static int check_inserted(struct pg_rescue *x, struct error *err)
{
	_cleanup(str) struct str from = {0}, count = {0}, first = {0};
	_cleanup(free) char *key = NULL;
	uint64_t absent = 0;
	int r;

	str_appendf(&from,
	            " FROM " RESCUE_ROWS " b JOIN " RESCUE_MISSING
	            " m ON m.place = b.ctid WHERE NOT EXISTS (SELECT FROM %s t WHERE ",
	            x->own_rows);
	rescue_join(x, &from);
	str_appendf(&count, "SELECT pg_catalog.count(*)%s)", str_text(&from));
	r = rescue_count(x, str_text(&count), &absent, err);
	if (r < 0 || absent == 0)
		return r;
	str_append(&first, "SELECT ");
	rescue_key_value(x, &first);
	str_appendf(&first, "%s) ORDER BY m.number LIMIT 1", str_text(&from));
	r = pg_session_value(x->session, str_text(&first), &key, err);
	if (r < 0)
		return r;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "of %" PRIu64 " rows that were inserted %" PRIu64
	        " are not in %s, the first one is that with %s: a trigger or a rule leaves them out, changes what they are known by, or puts them into another table, which into= could name",
	        x->counts.missing, absent, x->relation, str_or_empty(key));
}

static int check_replaced(const struct pg_rescue *x, uint64_t replaced, struct error *err)
{
	if (replaced == x->counts.differing)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%" PRIu64 " rows of %s were to be replaced, and %" PRIu64
	        " were: a trigger or a rule leaves them as they are, or somebody else has changed them meanwhile",
	        x->counts.differing, x->relation, replaced);
}

int pg_rescue_write(struct pg_rescue *x, uint64_t *ret_inserted, uint64_t *ret_replaced, struct error *err)
{
	struct writing insert, update;
	uint64_t inserted = 0, replaced = 0;
	int r;

	list_writings(x, &insert, &update);
	pg_rescue_plan(x);
	/* What would be found out at the end is found out by the statement, which can be told from others then. */
	r = pg_session_run(x->session, "SET CONSTRAINTS ALL IMMEDIATE", err);
	if (r == 0 && insert.count > 0)
		r = write_listed(x, &insert, &inserted, err);
	if (r == 0 && update.count > 0)
		r = write_listed(x, &update, &replaced, err);
	if (r == 0 && insert.count > 0)
		r = check_inserted(x, err);
	if (r == 0 && update.count > 0)
		r = check_replaced(x, replaced, err);
	if (r < 0)
		return r;
	*ret_inserted = inserted;
	*ret_replaced = replaced;
	return 0;
}

/* What is told. */

struct telling {
	void (*take)(void *arg, const char *key);
	void *arg;
};

static int tell_key(void *arg, const struct pg_row *row, struct error *err)
{
	const struct telling *t = arg;

	t->take(t->arg, str_or_empty(row->values[0]));
	return 0;
}

static int tell_keys(struct pg_rescue *x, const char *list, struct telling *t, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "SELECT ");
	rescue_key_value(x, &sql);
	str_appendf(&sql,
	            " FROM " RESCUE_ROWS
	            " b JOIN %s m ON m.place = b.ctid WHERE m.number <= %d ORDER BY m.number",
	            list, PG_RESCUE_SHOWN);
	return pg_session_rows(x->session, str_text(&sql), tell_key, t, err);
}

int pg_rescue_missing(struct pg_rescue *x, void (*take)(void *arg, const char *key), void *arg,
                      struct error *err)
{
	struct telling t = {.take = take, .arg = arg};

	return tell_keys(x, RESCUE_MISSING, &t, err);
}

int pg_rescue_differing(struct pg_rescue *x, void (*take)(void *arg, const char *key), void *arg,
                        struct error *err)
{
	struct telling t = {.take = take, .arg = arg};

	return tell_keys(x, RESCUE_DIFFERING, &t, err);
}

/* Sequences. */

struct sequences {
	struct pg_rescue *rescue;
	void (*take)(void *arg, const char *sequence, const char *column, const char *sql);
	void *arg;
};

static const struct rescue_column *find_numbered_column(const struct pg_rescue *x, const char *name)
{
	for (size_t i = 0; i < x->column_count; i++)
		if (x->columns[i].has_number && str_equal(x->columns[i].name, name) &&
		    names_has(&x->common, x->columns[i].quoted))
			return &x->columns[i];
	return NULL;
}

/* Behind the highest value, or, where it counts downwards, the lowest one: of what is there, and what is to come. */
static int look_at_sequence(void *arg, const struct pg_row *row, struct error *err)
{
	struct sequences *all = arg;
	struct pg_rescue *x = all->rescue;
	const char *sequence = row->values[1];
	bool downwards = row->values[2][0] == '-';
	const struct rescue_column *c = find_numbered_column(x, row->values[0]);
	const char *most = downwards ? "min" : "max", *than = downwards ? "<" : ">";
	_cleanup(free) char *sql = NULL, *value = NULL, *literal = NULL, *mend = NULL;
	int r;

	if (!c)
		return 0;
	sql = mem_printf(
	        "SELECT m.v FROM (SELECT pg_catalog.%s(v) AS v FROM (SELECT pg_catalog.%s(t.%s) AS v FROM %s t UNION ALL SELECT pg_catalog.%s(b.%s) FROM " RESCUE_ROWS
	        " b JOIN " RESCUE_MISSING
	        " m ON m.place = b.ctid) o) m, %s s WHERE m.v %s s.last_value OR (m.v = s.last_value AND NOT s.is_called)",
	        most, most, c->quoted, x->relation, most, c->quoted, sequence, than);
	r = pg_session_value(x->session, sql, &value, err);
	if (r < 0 || !value)
		return r;
	literal = pg_quote_literal(sequence);
	mend = mem_printf("SELECT pg_catalog.setval(%s, (SELECT pg_catalog.%s(%s) FROM %s))", literal, most,
	                  c->quoted, x->relation);
	all->take(all->arg, sequence, c->name, mend);
	return 0;
}

int pg_rescue_sequences(struct pg_rescue *x,
                        void (*take)(void *arg, const char *sequence, const char *column, const char *sql),
                        void *arg, struct error *err)
{
	struct sequences all = {.rescue = x, .take = take, .arg = arg};
	/* Those that belong to a column, and those that its default asks. */
	_cleanup(free) char *sql = mem_printf(
	        "SELECT DISTINCT a.attname, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(s.relname)), q.seqincrement"
	        " FROM pg_catalog.pg_class s JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid"
	        " JOIN (SELECT d.objid AS sequence, d.refobjsubid::int AS number FROM pg_catalog.pg_depend d WHERE d.classid ="
	        " 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = %u"
	        " AND d.deptype IN ('a', 'i') UNION SELECT d.refobjid, e.adnum::int FROM pg_catalog.pg_attrdef e JOIN pg_catalog.pg_depend d ON d.classid ="
	        " 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = e.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
	        " WHERE e.adrelid = %u) o ON o.sequence = s.oid JOIN pg_catalog.pg_attribute a ON a.attrelid = %u AND a.attnum = o.number"
	        " WHERE s.relkind = 'S' AND pg_catalog.has_sequence_privilege(s.oid, 'SELECT') ORDER BY 1, 2",
	        x->oid, x->oid, x->oid);

	return pg_session_rows(x->session, sql, look_at_sequence, &all, err);
}
