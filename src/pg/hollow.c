// SPDX-License-Identifier: Apache-2.0
/* A database without rows, made ready for some. */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/hollow.h>

#include <errno.h>
#include <stdlib.h>

#define OF_USERS " n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

/* A constraint that came from a parent goes with that one's. */
static const char drops_checks[] =
        "DO $keepfs$ DECLARE c record; BEGIN"
        " FOR c IN SELECT t.oid::pg_catalog.regclass AS relation, k.conname"
        " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class t ON t.oid = k.conrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace"
        " WHERE k.contype = 'c' AND k.coninhcount = 0 AND" OF_USERS " LOOP"
        " EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', c.relation, c.conname);"
        " END LOOP; END $keepfs$";

/* 'O' are those that a replica does not fire. */
static const char disables_triggers[] =
        "DO $keepfs$ DECLARE c record; BEGIN"
        " FOR c IN SELECT t.oid::pg_catalog.regclass AS relation, g.tgname"
        " FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class t ON t.oid = g.tgrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace"
        " WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R') AND t.relkind IN ('r', 'p') AND" OF_USERS
        " LOOP"
        " EXECUTE pg_catalog.format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', c.relation, c.tgname);"
        " END LOOP; END $keepfs$";

static const char about_partitions[] =
        "SELECT c.oid, pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid FROM pg_catalog.pg_class c"
        " WHERE c.relispartition AND c.relkind IN ('r', 'p', 'f')";

static const char about_unlike_columns[] =
        "SELECT a.attrelid, a.attname FROM pg_catalog.pg_attribute a"
        " JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation AND NOT l.collisdeterministic"
        " JOIN pg_catalog.pg_class t ON t.oid = a.attrelid AND t.relkind IN ('r', 'p', 'f', 'm')"
        " WHERE a.attnum > 0 AND NOT a.attisdropped";

int pg_hollow_prepare(struct pg_session *s, struct error *err)
{
	int r = pg_session_run(s,
	                       "SELECT pg_catalog.set_config('search_path', '', false); "
	                       "SET client_min_messages = warning",
	                       err);

	if (r == 0)
		r = pg_session_run(s, drops_checks, err);
	return r < 0 ? r : pg_session_run(s, disables_triggers, err);
}

/* Redactions. */

/* Of a comment no more than what tells: nothing in that needs quotes. */
static const char about_redactions[] =
        "SELECT n.nspname, c.relname, a.attname,"
        " pg_catalog.substring(d.description, 'keepfs:redact(?:=[A-Za-z0-9_-]*)?')"
        " FROM pg_catalog.pg_description d JOIN pg_catalog.pg_class c ON c.oid = d.objoid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid"
        " WHERE d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid > 0"
        " AND pg_catalog.strpos(d.description, 'keepfs:redact') > 0 AND c.relkind IN ('r', 'p', 'f', 'm')"
        " AND" OF_USERS;

static int has_hollow_column(struct pg_session *s, const char *const *names, bool *ret, struct error *err)
{
	_cleanup(free) char *schema = pg_quote_literal(names[0]), *table = pg_quote_literal(names[1]),
	                    *column = pg_quote_literal(names[2]), *kind = NULL;
	_cleanup(free) char *sql = mem_printf(
	        "SELECT c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
	        " WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND c.relkind IN ('r', 'p', 'f', 'm')",
	        schema, table, column);
	int r = pg_session_value(s, sql, &kind, err);

	*ret = kind != NULL;
	return r;
}

static int take_redaction(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_session *s = arg;
	_cleanup(str) struct str sql = {0};
	bool has_column = false;
	int r = has_hollow_column(s, row->values, &has_column, err);

	if (r < 0 || !has_column)
		return r;
	str_append(&sql, "COMMENT ON COLUMN ");
	for (int i = 0; i < 3; i++) {
		str_append(&sql, i > 0 ? "." : "");
		sql_append_name(&sql, row->values[i]);
	}
	str_appendf(&sql, " IS '%s'", row->values[3]);
	return pg_session_run(s, str_text(&sql), err);
}

int pg_hollow_redactions(struct pg_session *s, struct pg_session *living, struct error *err)
{
	return pg_session_rows(living, about_redactions, take_redaction, s, err);
}

static uint32_t hollow_oid(const char *text)
{
	return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static int take_hollow_partition(void *arg, const struct pg_row *row, struct error *err)
{
	const struct pg_hollow_facts *facts = arg;

	return facts->partition(facts->arg, hollow_oid(row->values[0]), hollow_oid(row->values[1]), err);
}

static int take_unlike_column(void *arg, const struct pg_row *row, struct error *err)
{
	const struct pg_hollow_facts *facts = arg;

	return facts->unlike(facts->arg, hollow_oid(row->values[0]), row->values[1], err);
}

int pg_hollow_read(struct pg_session *s, const struct pg_hollow_facts *facts, struct error *err)
{
	struct pg_hollow_facts own = *facts;
	int r = pg_session_rows(s, about_partitions, take_hollow_partition, &own, err);

	return r < 0 ? r : pg_session_rows(s, about_unlike_columns, take_unlike_column, &own, err);
}

static int take_hollow_value(void *arg, const void *data, size_t len, struct error *err)
{
	const char *text = data;

	if (len > 0 && text[len - 1] == '\n')
		len--;
	str_append_bytes(arg, text, len);
	return 0;
}

int pg_hollow_value(struct pg_session *s, const char *text, const char *type, struct str *ret,
                    struct error *err)
{
	_cleanup(free) char *literal = pg_quote_literal(text);
	_cleanup(free) char *sql = mem_printf("COPY (SELECT CAST(%s AS %s)) TO STDOUT", literal, type);
	struct error why = {0};
	int r = pg_session_copy(s, sql, take_hollow_value, ret, &why);

	if (r < 0 && str_starts(why.code, "22"))
		return error_set(err, ERROR_USAGE, EINVAL, "'%.60s' is no value of the type %s: %s", text,
		                 type, why.message);
	if (r < 0 && err)
		*err = why;
	return r;
}

char *pg_hollow_encoding(const char *encoding)
{
	_cleanup(free) char *literal = pg_quote_literal(encoding);

	return mem_printf("SET client_encoding = %s;", literal);
}
