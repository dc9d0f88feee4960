// SPDX-License-Identifier: Apache-2.0
/*
 * Rows of a backup come into a temporary table, which has the living one's types, by COPY with the backup's encoding. What is missing and what differs is then a
 * list of places in it: counted once, shown, and written. Values are compared as texts: not each type has an operator for it, and what a
 * dump holds are texts, too.
 */
#include "rescue.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/load.h>
#include <keepfs/pg/manage.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Texts of a dump are in these styles, whatever the role's are. A limit that this server does not know is none. */
static const char begin_sql[] =
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL row_security = off; SET LOCAL client_min_messages = warning;"
        " SET LOCAL datestyle = ISO; SET LOCAL intervalstyle = postgres; SET LOCAL xmloption = content; SELECT pg_catalog.set_config(name, '0', true)"
        " FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',"
        " 'transaction_timeout', 'idle_session_timeout')";

int pg_rescue_open(const char *conninfo, const char *database, struct cancel *cancel,
                   struct pg_session **ret_session, struct error *err)
{
	struct pg_session *s = NULL;
	int r = pg_session_open(conninfo, database, "keepfs rescue", cancel, &s, err);

	if (r < 0)
		return r;
	/* DETAIL and CONTEXT hold what is in rows, and messages go into logs, the history and mails. Rows are named by their keys in these anyway. */
	PQsetErrorVerbosity(s->conn, PQERRORS_TERSE);
	s->tells_keys = true;
	r = pg_session_run(s, "SET client_encoding = 'UTF8'", err);
	if (r < 0)
		pg_session_free(s);
	else
		*ret_session = s;
	return r;
}

/* Encodings. */

static bool is_the_same_text(const char *text, const char *encoding)
{
	bool ascii = true;

	for (const char *p = text; *p; p++)
		ascii &= (unsigned char)*p < 0x80;
	return ascii || !*encoding || str_equal(encoding, "UTF8") || str_equal(encoding, "SQL_ASCII");
}

static int take_one_text(void *arg, const struct pg_row *row, struct error *err)
{
	if (row->values[0])
		*(char **)arg = mem_printf("%.*s", row->lengths[0], row->values[0]);
	return 0;
}

static int ask_for_text(struct pg_session *s, const char *sql, char **ret, struct error *err)
{
	_cleanup(free) char *text = NULL;
	int r = pg_session_rows_binary(s, sql, take_one_text, &text, err);

	if (r == 0)
		*ret = text ? take_ptr(&text) : mem_strdup("");
	return r;
}

int pg_rescue_encode(struct pg_session *s, const char *text, const char *encoding, char **ret,
                     struct error *err)
{
	_cleanup(free) char *literal = pg_quote_literal(text), *name = pg_quote_literal(encoding);
	_cleanup(free) char *sql = mem_printf("SELECT pg_catalog.convert_to(%s, %s)", literal, name);

	if (!is_the_same_text(text, encoding))
		return ask_for_text(s, sql, ret, err);
	*ret = mem_strdup(text);
	return 0;
}

int pg_rescue_decode(struct pg_session *s, const char *text, const char *encoding, char **ret,
                     struct error *err)
{
	_cleanup(free) char *name = pg_quote_literal(encoding);
	_cleanup(str) struct str sql = {0};

	if (is_the_same_text(text, encoding)) {
		*ret = mem_strdup(text);
		return 0;
	}
	str_append(&sql, "SELECT pg_catalog.convert_from(pg_catalog.decode('");
	for (; *text; text++)
		str_appendf(&sql, "%02x", (unsigned char)*text);
	str_appendf(&sql, "', 'hex'), %s)", name);
	return ask_for_text(s, str_text(&sql), ret, err);
}

/* Statements. */

int rescue_ask(struct pg_rescue *x, const char *sql, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;

	return session_ask(x->session, &(struct session_query){.sql = sql, .alone = true}, &result, err);
}

int rescue_change(struct pg_rescue *x, const char *sql, struct error *err)
{
	if (x->order->statement)
		x->order->statement(x->order->arg, sql);
	return rescue_ask(x, sql, err);
}

int rescue_count(struct pg_rescue *x, const char *sql, uint64_t *ret, struct error *err)
{
	_cleanup(free) char *value = NULL;
	int r = pg_session_value(x->session, sql, &value, err);

	*ret = value ? strtoull(value, NULL, 10) : 0;
	return r;
}

void rescue_list(const struct names *names, const char *prefix, struct str *out)
{
	for (size_t i = 0; i < names->count; i++)
		str_appendf(out, "%s%s%s", i > 0 ? ", " : "", prefix, names->items[i]);
}

void rescue_join(const struct pg_rescue *x, struct str *out)
{
	for (size_t i = 0; i < x->quoted_key.count; i++)
		str_appendf(out, "%st.%s = b.%s", i > 0 ? " AND " : "", x->quoted_key.items[i],
		            x->quoted_key.items[i]);
}

void rescue_key_value(const struct pg_rescue *x, struct str *out)
{
	str_append(out, "pg_catalog.left(pg_catalog.concat(");
	for (size_t i = 0; i < x->key.count; i++) {
		_cleanup(free) char *label = mem_printf("%s%s=", i > 0 ? ", " : "", x->key.items[i]);
		_cleanup(free) char *literal = pg_quote_literal(label);

		str_appendf(out, "%s%s, b.%s", i > 0 ? ", " : "", literal, x->quoted_key.items[i]);
	}
	str_append(out, "), 200)");
}

/* Beginning. */

/* A column that the living table has not, or computes, is text: nothing is done with it. */
static void append_row_columns(const struct pg_rescue *x, struct str *out)
{
	for (size_t i = 0; i < x->backup.count; i++) {
		_cleanup(free) char *quoted = pg_quote_name(x->backup.items[i]);
		const struct rescue_column *c = rescue_find_column(x, x->backup.items[i]);

		str_append(out, i > 0 ? ", " : "");
		if (!c || c->generated)
			str_appendf(out, "NULL::pg_catalog.text AS %s", quoted);
		else if (c->loose)
			str_appendf(out, "%s AS %s", c->loose, c->quoted);
		else
			str_append(out, c->quoted);
	}
}

static int make_rows_table(struct pg_rescue *x, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r;

	str_append(&sql, "CREATE TEMPORARY TABLE " RESCUE_ROWS " ON COMMIT DROP AS SELECT ");
	append_row_columns(x, &sql);
	str_appendf(&sql, " FROM %s WITH NO DATA", x->relation);
	r = rescue_change(x, str_text(&sql), err);
	if (r < 0)
		error_prefix(err, "the backup's rows need a temporary table in the living database");
	return r;
}

/* COPY takes no parameters: a name of an encoding is quoted as any other literal. */
static int begin_copying_rows(struct pg_rescue *x, struct error *err)
{
	_cleanup(free) char *encoding = pg_quote_literal(x->order->encoding);
	_cleanup(free) char *sql = mem_printf(
	        "COPY " RESCUE_ROWS " FROM STDIN%s%s%s", *x->order->encoding ? " WITH (ENCODING " : "",
	        *x->order->encoding ? encoding : "", *x->order->encoding ? ")" : "");

	if (x->order->statement)
		x->order->statement(x->order->arg, sql);
	return pg_load_copy(x->session, sql, err);
}

int pg_rescue_begin(struct pg_session *s, const struct pg_rescue_order *order, struct pg_rescue **ret,
                    struct error *err)
{
	_cleanup(pg_rescue) struct pg_rescue *x = mem_alloc(sizeof(*x));
	int r;

	x->session = s;
	x->order = order;
	r = pg_session_run(s, begin_sql, err);
	if (r == 0)
		r = rescue_look(x, err);
	if (r == 0)
		r = make_rows_table(x, err);
	if (r == 0)
		r = begin_copying_rows(x, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&x);
	return 0;
}

const char *pg_rescue_relation(const struct pg_rescue *x)
{
	return x->relation;
}

const char *pg_rescue_key(const struct pg_rescue *x)
{
	return str_text(&x->key_text);
}

const char *pg_rescue_left_out(const struct pg_rescue *x)
{
	return str_text(&x->left_out);
}

static int prefix_rows_failure(const struct pg_rescue *x, int r, struct error *err)
{
	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "a row of the backup does not go into the columns that %s has now",
		             x->relation);
	return r;
}

int pg_rescue_data(struct pg_rescue *x, const void *data, size_t len, struct error *err)
{
	const char *at = data, *end = at + len;

	/* What is an end of a line in a value is written in another way. */
	for (; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		x->sent_rows++;
	return prefix_rows_failure(x, pg_load_data(x->session, data, len, err), err);
}

/* Comparing. */

/* COPY ends at a row that is "\.", and leaves what comes behind it. */
int rescue_end_rows(struct pg_rescue *x, struct error *err)
{
	int r;

	if (x->has_come)
		return 0;
	x->has_come = true;
	r = prefix_rows_failure(x, pg_load_end_within(x->session, &x->counts.rows, err), err);

	if (r < 0 || x->counts.rows == x->sent_rows)
		return r;
	return error_set(err, ERROR_INTERNAL, EPROTO,
	                 "the server took %" PRIu64 " of the %" PRIu64
	                 " rows of the backup: one of them ends what it takes",
	                 x->counts.rows, x->sent_rows);
}

/* Only one statement, in a part of the transaction that can only read: temporary tables are no exception that matters. */
static int keep_wanted(struct pg_rescue *x, struct error *err)
{
	_cleanup(free) char *alias = pg_quote_name(x->table);
	_cleanup(str) struct str sql = {0};
	int r;

	if (!x->order->where)
		return 0;
	/* A comment in it ends with its line. */
	str_appendf(&sql, "DELETE FROM " RESCUE_ROWS " AS %s WHERE (\n%s\n) IS NOT TRUE", alias,
	            x->order->where);
	r = pg_session_run(x->session, "SAVEPOINT keepfs_rescue; SET TRANSACTION READ ONLY", err);
	if (r < 0)
		return r;
	r = rescue_change(x, str_text(&sql), err);
	if (r < 0 && r != -ECANCELED) {
		error_prefix(err, "where=%.300s", x->order->where);
		if (err && err->class == ERROR_INTERNAL)
			err->class = ERROR_USAGE;
	}
	return r < 0 ? r : pg_session_run(x->session, "RELEASE SAVEPOINT keepfs_rescue", err);
}

static int refuse_ambiguous(const struct pg_rescue *x, const char *where, const char *what, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s%s %s: by (%s) it is not known which row is which, so nothing can be rescued by it; name columns that no two rows have alike with by=",
	        where, x->relation, what, str_text(&x->key_text));
}

static int check_tells_apart(struct pg_rescue *x, const char *table, const char *name, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	uint64_t count = 0;
	int r;

	str_append(&sql, "SELECT pg_catalog.count(*) FROM (SELECT FROM ");
	str_append(&sql, table);
	str_append(&sql, " GROUP BY ");
	rescue_list(&x->quoted_key, "", &sql);
	str_append(&sql, " HAVING pg_catalog.count(*) > 1 LIMIT 1) d");
	r = rescue_count(x, str_text(&sql), &count, err);
	return r < 0 || count == 0 ? r
	                           : refuse_ambiguous(x, name, "has several rows with the same values", err);
}

static int check_has_key(struct pg_rescue *x, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	uint64_t count = 0;
	int r;

	str_append(&sql, "SELECT pg_catalog.count(*) FROM (SELECT FROM " RESCUE_ROWS " b WHERE ");
	for (size_t i = 0; i < x->quoted_key.count; i++)
		str_appendf(&sql, "%sb.%s IS NULL", i > 0 ? " OR " : "", x->quoted_key.items[i]);
	str_append(&sql, " LIMIT 1) d");
	r = rescue_count(x, str_text(&sql), &count, err);
	return r < 0 || count == 0
	               ? r
	               : refuse_ambiguous(x, "the backup of ", "has rows without a value there", err);
}

static int check_key(struct pg_rescue *x, struct error *err)
{
	int r = check_has_key(x, err);

	if (r == 0)
		r = check_tells_apart(x, RESCUE_ROWS, "the backup of ", err);
	if (r == 0 && !x->has_arbiter && x->order->replace)
		r = check_tells_apart(x, x->own_rows, "the living table ", err);
	return r;
}

/* What the type of the living column would make of it is another value. Kept apart by what is written, but for numbers: 5.5 is 5.50. */
static void append_is_changed(const struct rescue_column *c, struct str *out)
{
	const char *text = c->is_decimal ? "" : "::pg_catalog.text COLLATE \"C\"";

	str_appendf(out, "(b.%s)%s IS DISTINCT FROM (b.%s::%s)%s", c->quoted, text, c->quoted, c->strict,
	            text);
}

static int check_keeps_value(struct pg_rescue *x, const struct rescue_column *c, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	_cleanup(free) char *key = NULL;
	int r;

	str_append(&sql, "SELECT ");
	rescue_key_value(x, &sql);
	str_append(&sql, " FROM " RESCUE_ROWS " b WHERE ");
	append_is_changed(c, &sql);
	str_append(&sql, " LIMIT 1");
	r = pg_session_value(x->session, str_text(&sql), &key, err);
	if (r < 0)
		return prefix_rows_failure(x, r, err);
	if (!key)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the row with %s: %s of %s is %s now, which would make another value of what the backup has: leave the row out with where=, or let the column be wider",
	        key, c->name, x->relation, c->strict);
}

static bool is_narrower(const struct pg_rescue *x, const struct rescue_column *c)
{
	return c->loose && names_has(&x->common, c->quoted);
}

/* All columns at once: mostly there is none. */
static int look_for_changed_value(struct pg_rescue *x, uint64_t *ret, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "SELECT pg_catalog.count(*) FROM (SELECT FROM " RESCUE_ROWS " b WHERE false");
	for (size_t i = 0; i < x->column_count; i++)
		if (is_narrower(x, &x->columns[i])) {
			str_append(&sql, " OR ");
			append_is_changed(&x->columns[i], &sql);
		}
	str_append(&sql, " LIMIT 1) d");
	return prefix_rows_failure(x, rescue_count(x, str_text(&sql), ret, err), err);
}

static int check_keeps_values(struct pg_rescue *x, struct error *err)
{
	uint64_t changed = 0;
	int r = look_for_changed_value(x, &changed, err);

	for (size_t i = 0; r == 0 && changed > 0 && i < x->column_count; i++)
		if (is_narrower(x, &x->columns[i]))
			r = check_keeps_value(x, &x->columns[i], err);
	return r;
}

static int list_places(struct pg_rescue *x, const char *list, const char *condition, uint64_t *ret_count,
                       struct error *err)
{
	_cleanup(str) struct str sql = {0}, count = {0};
	int r;

	str_appendf(
	        &sql,
	        "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT pg_catalog.row_number() OVER (ORDER BY ",
	        list);
	rescue_list(&x->quoted_key, "b.", &sql);
	str_appendf(&sql, ") AS number, b.ctid AS place FROM " RESCUE_ROWS " b WHERE %s", condition);
	str_appendf(&count, "SELECT pg_catalog.count(*) FROM %s", list);
	r = rescue_change(x, str_text(&sql), err);
	return r < 0 ? r : rescue_count(x, str_text(&count), ret_count, err);
}

static int list_missing(struct pg_rescue *x, struct error *err)
{
	_cleanup(str) struct str condition = {0};

	str_appendf(&condition, "NOT EXISTS (SELECT FROM %s t WHERE ", x->own_rows);
	rescue_join(x, &condition);
	str_append_char(&condition, ')');
	return list_places(x, RESCUE_MISSING, str_text(&condition), &x->counts.missing, err);
}

/* What a collation takes for the same need not be. */
static void append_living_values(const struct pg_rescue *x, struct str *out)
{
	for (size_t i = 0; i < x->compared.count; i++)
		str_appendf(out, "%st.%s::pg_catalog.text COLLATE \"C\"", i > 0 ? ", " : "",
		            x->compared.items[i]);
}

/* As they would be in the living table: 5.5 is 5.50 there. */
static void append_backup_values(const struct pg_rescue *x, struct str *out)
{
	const char *between = "";

	for (size_t i = 0; i < x->column_count; i++) {
		const struct rescue_column *c = &x->columns[i];

		if (!names_has(&x->compared, c->quoted))
			continue;
		str_appendf(out, "%sb.%s%s%s::pg_catalog.text COLLATE \"C\"", between, c->quoted,
		            c->loose ? "::" : "", c->loose ? c->strict : "");
		between = ", ";
	}
}

static int list_differing(struct pg_rescue *x, struct error *err)
{
	_cleanup(str) struct str condition = {0};

	str_appendf(&condition, "EXISTS (SELECT FROM %s t WHERE ", x->own_rows);
	rescue_join(x, &condition);
	if (x->compared.count == 0) {
		str_append(&condition, " AND false)");
	} else {
		str_append(&condition, " AND ROW(");
		append_living_values(x, &condition);
		str_append(&condition, ") IS DISTINCT FROM ROW(");
		append_backup_values(x, &condition);
		str_append(&condition, "))");
	}
	return list_places(x, RESCUE_DIFFERING, str_text(&condition), &x->counts.differing, err);
}

int pg_rescue_compare(struct pg_rescue *x, struct pg_rescue_counts *ret, struct error *err)
{
	int r = rescue_end_rows(x, err);

	if (r == 0)
		r = keep_wanted(x, err);
	/* The planner has to know how many there are. */
	if (r == 0)
		r = rescue_ask(x, "ANALYZE " RESCUE_ROWS, err);
	if (r == 0)
		r = rescue_count(x, "SELECT pg_catalog.count(*) FROM " RESCUE_ROWS, &x->counts.wanted, err);
	if (r == 0)
		r = check_keeps_values(x, err);
	if (r == 0)
		r = check_key(x, err);
	if (r == 0)
		r = list_missing(x, err);
	if (r == 0)
		r = list_differing(x, err);
	if (r == 0)
		*ret = x->counts;
	return r;
}

int pg_rescue_commit(struct pg_rescue *x, struct error *err)
{
	return session_commit(
	        x->session, ": order the same once more without confirm=, and it says what is still missing",
	        err);
}

struct pg_rescue *pg_rescue_free(struct pg_rescue *x)
{
	if (!x)
		return NULL;
	for (size_t i = 0; i < x->column_count; i++) {
		free(x->columns[i].name);
		free(x->columns[i].quoted);
		free(x->columns[i].loose);
		free(x->columns[i].strict);
	}
	free(x->columns);
	names_finish(&x->backup);
	names_finish(&x->common);
	names_finish(&x->compared);
	names_finish(&x->key);
	names_finish(&x->quoted_key);
	str_finish(&x->key_text);
	str_finish(&x->left_out);
	free(x->schema);
	free(x->table);
	free(x->relation);
	free(x->own_rows);
	free(x);
	return NULL;
}
