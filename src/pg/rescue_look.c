// SPDX-License-Identifier: Apache-2.0
/* The living table of a rescue, and how it goes with what the backup has. What a server does not know because it is too old is asked for by
 * way of to_jsonb(). */
#include "rescue.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/manage.h>

#include <errno.h>
#include <string.h>

/* The table. */

static int refuse_second_table(const struct pg_rescue *x, const char *relation, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s may be %s or %s: write schema and table of the one that is meant in quotes, each for itself: into='\"a.b\".\"c\"'",
	        x->order->table, x->relation, relation);
}

/* Those that have just that name come first. */
static int take_table_row(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_rescue *x = arg;

	if (x->oid)
		return row->values[5][0] == 't' ? refuse_second_table(x, row->values[3], err) : 0;
	x->oid = (uint32_t)strtoul(row->values[0], NULL, 10);
	mem_replace_string(&x->schema, row->values[1]);
	mem_replace_string(&x->table, row->values[2]);
	mem_replace_string(&x->relation, row->values[3]);
	free(x->own_rows);
	x->own_rows = mem_printf("%s%s", row->values[4][0] == 'p' ? "" : "ONLY ", x->relation);
	if (strchr("rp", row->values[4][0]))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s is no table: rows can be brought into tables and partitioned tables only",
	                 x->relation);
}

/* The schemas of another table of that name, or names that are like it. */
static int refuse_unknown_table(struct pg_rescue *x, const char *literal, struct error *err)
{
	_cleanup(free) char *like = NULL, *database = NULL;
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.string_agg(name, ', ') FROM (SELECT pg_catalog.concat(n.nspname, '.', c.relname) AS name FROM"
	        " pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"
	        " AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND pg_catalog.lower(c.relname) LIKE"
	        " pg_catalog.concat('%%', pg_catalog.lower(pg_catalog.left(pg_catalog.regexp_replace(%s::text, '^.*\\.', ''), 4)), '%%') ORDER BY"
	        " pg_catalog.abs(pg_catalog.length(c.relname) - pg_catalog.length(%s::text)), 1 LIMIT 5) l",
	        literal, literal);
	int r = pg_session_value(x->session, sql, &like, err);

	if (r == 0)
		r = pg_session_value(x->session, "SELECT pg_catalog.current_database()", &database, err);
	if (r < 0)
		return r;
	return error_set(
	        err, ERROR_NOT_FOUND, ENOENT,
	        "there is no table %s in the database %s%s%s: into=SCHEMA.TABLE names the one that the rows are to come into, and one that is gone as a whole is brought back by: keepfs restore … tables=SCHEMA.TABLE",
	        x->order->table, database, like ? "; like it are " : "", str_or_empty(like));
}

static int find_living_table(struct pg_rescue *x, struct error *err)
{
	_cleanup(free) char *literal = pg_quote_literal(x->order->table);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT c.oid, n.nspname, c.relname, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.',"
	        " pg_catalog.quote_ident(c.relname)), c.relkind, m.just FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
	        " ON n.oid = c.relnamespace CROSS JOIN LATERAL (SELECT %s::text IN (pg_catalog.concat(n.nspname, '.', c.relname),"
	        " pg_catalog.concat('\"', pg_catalog.replace(n.nspname::text, '\"', '\"\"'), '\".\"', pg_catalog.replace(c.relname::text, '\"', '\"\"'),"
	        " '\"')) AS just) m WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')"
	        " AND (m.just OR (c.relname = %s AND pg_catalog.pg_table_is_visible(c.oid))) ORDER BY m.just DESC LIMIT 2",
	        literal, literal);
	int r = pg_session_rows(x->session, sql, take_table_row, x, err);

	return r == 0 && !x->oid ? refuse_unknown_table(x, literal, err) : r;
}

/* Its columns. */

static bool is_true(const char *value)
{
	return str_equal(value, "t");
}

static int take_column_row(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_rescue *x = arg;
	struct rescue_column *c;

	x->columns = mem_resize(x->columns, x->column_count + 1, sizeof(*x->columns));
	c = &x->columns[x->column_count++];
	*c = (struct rescue_column){.name = mem_strdup(row->values[0]),
	                            .quoted = mem_strdup(row->values[1]),
	                            .generated = is_true(row->values[2]),
	                            .always = str_equal(row->values[3], "a"),
	                            .has_number = is_true(row->values[4]),
	                            .loose = row->values[5] ? mem_strdup(row->values[5]) : NULL,
	                            .strict = row->values[5] ? mem_strdup(row->values[6]) : NULL,
	                            .is_decimal = is_true(row->values[7])};
	x->has_identity |= str_or_empty(row->values[3])[0] != '\0';
	return 0;
}

/* A type with a length or a precision rounds, cuts or fills up what it takes, and so does a domain over one: the same type without them does not. */
static int look_at_columns(struct pg_rescue *x, struct error *err)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT a.attname, pg_catalog.quote_ident(a.attname), COALESCE(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> '',"
	        " COALESCE(pg_catalog.to_jsonb(a) ->> 'attidentity', ''), a.atttypid IN (20, 21, 23, 1700),"
	        " CASE WHEN a.atttypmod <> -1 OR base.oid <> a.atttypid THEN pg_catalog.concat('NULL::', pg_catalog.format_type(base.oid, -1),"
	        " (SELECT pg_catalog.concat(' COLLATE ', pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.collname))"
	        " FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation AND"
	        " c.oid <> 100)) END, pg_catalog.format_type(a.atttypid, a.atttypmod), base.oid IN (1700, 1231)"
	        " FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL (WITH RECURSIVE d (oid, kind, below) AS (SELECT t.oid, t.typtype, t.typbasetype"
	        " FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid UNION ALL SELECT t.oid, t.typtype, t.typbasetype FROM d JOIN"
	        " pg_catalog.pg_type t ON t.oid = d.below WHERE d.kind = 'd') SELECT d.oid FROM d WHERE d.kind <> 'd') base"
	        " WHERE a.attrelid = %u AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
	        x->oid);

	return pg_session_rows(x->session, sql, take_column_row, x, err);
}

const struct rescue_column *rescue_find_column(const struct pg_rescue *x, const char *name)
{
	for (size_t i = 0; i < x->column_count; i++)
		if (str_equal(x->columns[i].name, name))
			return &x->columns[i];
	return NULL;
}

static void add_to_text(struct str *out, const char *name)
{
	str_appendf(out, "%s%s", out->len > 0 ? ", " : "", name);
}

/* One that can be written and is not in the backup gets its default; one of the backup that cannot be written is lost. */
static int compare_columns(struct pg_rescue *x, struct error *err)
{
	_cleanup(str) struct str gone = {0}, added = {0};

	for (size_t i = 0; i < x->backup.count; i++) {
		const struct rescue_column *c = rescue_find_column(x, x->backup.items[i]);

		if (c && !c->generated)
			names_add(&x->common, c->quoted);
		else
			add_to_text(&gone, x->backup.items[i]);
	}
	for (size_t i = 0; i < x->column_count; i++)
		if (!x->columns[i].generated && !names_has(&x->backup, x->columns[i].name))
			add_to_text(&added, x->columns[i].name);
	if (x->common.count == 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "no column of %s has the name of one in the backup: %s", x->relation,
		                 str_text(&gone));
	if (gone.len > 0)
		str_append(&x->left_out, str_text(&gone));
	if (added.len > 0)
		add_to_text(&x->left_out, str_text(&added));
	if (x->order->common || x->left_out.len == 0)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the columns of %s are not those of the backup%s%s%s%s: columns=common takes those that both have, and gives the others their defaults",
	        x->relation, gone.len > 0 ? "; the backup alone has values for " : "", str_text(&gone),
	        added.len > 0 ? "; the living table alone has " : "", str_text(&added));
}

/* The key. */

static int take_key_row(void *arg, const struct pg_row *row, struct error *err)
{
	names_add(arg, row->values[0]);
	return 0;
}

static int look_at_primary_key(struct pg_rescue *x, struct error *err)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT a.attname FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (number, place),"
	        " pg_catalog.pg_attribute a WHERE i.indrelid = %u AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.number"
	        " AND k.place <= COALESCE((pg_catalog.to_jsonb(i) ->> 'indnkeyatts')::int, i.indnatts) ORDER BY k.place",
	        x->oid);
	int r = pg_session_rows(x->session, sql, take_key_row, &x->key, err);

	if (r < 0 || x->key.count > 0)
		return r;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s has no primary key, so nothing says which row is which: name columns that no two rows have alike with by=COLUMN,COLUMN",
	        x->relation);
}

static int take_key_columns(struct pg_rescue *x, struct error *err)
{
	if (!x->order->by)
		return look_at_primary_key(x, err);
	if (names_parse(x->order->by, &x->key))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "by=%.80s: names of columns, with a comma between: by=id,day", x->order->by);
}

static int quote_key(struct pg_rescue *x, struct error *err)
{
	for (size_t i = 0; i < x->key.count; i++) {
		const struct rescue_column *c = rescue_find_column(x, x->key.items[i]);

		if (!c)
			return error_set(err, ERROR_USAGE, EINVAL, "by=: %s has no column %.80s", x->relation,
			                 x->key.items[i]);
		if (!names_has(&x->common, c->quoted))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the backup has no values for %s, by which rows of %s are told from one another: name other columns, that no two rows have alike, with by=",
			        c->name, x->relation);
		names_add(&x->quoted_key, c->quoted);
		add_to_text(&x->key_text, c->name);
	}
	return 0;
}

static void choose_compared(struct pg_rescue *x)
{
	for (size_t i = 0; i < x->column_count; i++) {
		const struct rescue_column *c = &x->columns[i];

		if (names_has(&x->common, c->quoted) && !names_has(&x->key, c->name) && !c->always)
			names_add(&x->compared, c->quoted);
	}
}

/* ON CONFLICT needs an index that is unique at once, whole, and of just these columns. */
static int look_for_arbiter(struct pg_rescue *x, struct error *err)
{
	_cleanup(str) struct str list = {0};
	_cleanup(free) char *sql = NULL;
	uint64_t count = 0;
	int r;

	for (size_t i = 0; i < x->key.count; i++) {
		_cleanup(free) char *literal = pg_quote_literal(x->key.items[i]);

		add_to_text(&list, literal);
	}
	sql = mem_printf(
	        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = %u AND i.indisunique AND i.indimmediate AND"
	        " i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY"
	        " a.attname::text COLLATE \"C\") FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (number, place), pg_catalog.pg_attribute a"
	        " WHERE a.attrelid = i.indrelid AND a.attnum = k.number AND k.place <= COALESCE((pg_catalog.to_jsonb(i) ->> 'indnkeyatts')::int,"
	        " i.indnatts)) = (SELECT pg_catalog.array_agg(n ORDER BY n COLLATE \"C\") FROM pg_catalog.unnest(ARRAY[%s]::text[]) AS n)",
	        x->oid, str_text(&list));
	r = rescue_count(x, sql, &count, err);
	x->has_arbiter = count > 0;
	return r;
}

int rescue_look(struct pg_rescue *x, struct error *err)
{
	_cleanup(free) char *columns = NULL;
	int r = pg_rescue_decode(x->session, x->order->columns, x->order->encoding, &columns, err);

	if (r == 0)
		r = find_living_table(x, err);
	if (r == 0 && !names_parse(columns, &x->backup))
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "the backup names no columns of that table, so it has no values: %.200s",
		              columns);
	if (r == 0)
		r = look_at_columns(x, err);
	if (r == 0)
		r = compare_columns(x, err);
	if (r == 0)
		r = take_key_columns(x, err);
	if (r == 0)
		r = quote_key(x, err);
	if (r < 0)
		return r;
	choose_compared(x);
	return look_for_arbiter(x, err);
}
