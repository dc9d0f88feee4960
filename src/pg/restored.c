// SPDX-License-Identifier: Apache-2.0
/* What was restored, held against its backup: rows as pg_dump would write them, sequences, large objects. */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/manage.h>
#include <keepfs/pg/restored.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>
#include <string.h>

int pg_restored_open(const char *conninfo, const char *database, const char *encoding, struct cancel *cancel,
                     struct pg_session **ret, struct error *err)
{
	_cleanup(free) char *literal = pg_quote_literal(encoding ? encoding : "");
	_cleanup(free) char *joining =
	        encoding ? mem_printf(" SET LOCAL client_encoding = %s;", literal) : NULL;
	_cleanup(free) char *sql = NULL;
	struct pg_session *s = NULL;
	int r = pg_session_open(conninfo, database, "keepfs drill", cancel, &s, err);

	if (r < 0)
		return r;
	sql = session_begin(s, joining, 0);
	r = pg_session_run(s, sql, err);
	if (r < 0)
		pg_session_free(s);
	else
		*ret = s;
	return r;
}

static int find_restored(struct pg_session *s, const char *schema, const char *table, struct pg_table *ret,
                         struct error *err)
{
	_cleanup(free) char *schema_literal = pg_quote_literal(schema);
	_cleanup(free) char *table_literal = pg_quote_literal(table);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	        " WHERE n.nspname = %s AND c.relname = %s",
	        schema_literal, table_literal);
	_cleanup(free) char *oid = NULL;
	int r = pg_session_value(s, sql, &oid, err);

	*ret = (struct pg_table){0};
	if (r == 0 && !oid)
		return -ENOENT;
	if (r < 0)
		return r;
	ret->oid = (uint32_t)strtoul(oid, NULL, 10);
	return pg_tables_learn(s, ret, 1, err);
}

int pg_restored_table(struct pg_session *s, const char *schema, const char *table, const char *copy_stmt,
                      pg_take_data take, void *arg, struct error *err)
{
	_cleanup(free) char *own = NULL, *sql = NULL;
	struct pg_table found;
	int r = find_restored(s, schema, table, &found, err);

	if (r < 0)
		return r;
	own = copy_stmt ? NULL : mem_printf("COPY %s  FROM stdin;\n", found.relation);
	sql = pg_copy_statement(copy_stmt ? copy_stmt : own, &found, 0, UINT32_MAX);
	pg_table_finish(&found);
	if (!sql)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s.%s cannot be read by: %.200s", schema,
		                 table, copy_stmt);
	return pg_session_copy(s, sql, take, arg, err);
}

static int take_two_numbers(void *arg, const struct pg_row *row, struct error *err)
{
	uint64_t *numbers = arg;

	for (int i = 0; i < 2 && i < row->columns; i++)
		numbers[i] = row->values[i] ? strtoull(row->values[i], NULL, 10) : 0;
	return 0;
}

int pg_restored_large_objects(struct pg_session *s, uint64_t *ret_count, uint64_t *ret_bytes,
                              struct error *err)
{
	static const char sql[] =
	        "SELECT (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata), (SELECT sum(bytes) FROM (SELECT"
	        " max(pageno::bigint * (pg_catalog.current_setting('block_size')::bigint / 4) + length(data)) AS bytes"
	        " FROM pg_catalog.pg_largeobject GROUP BY loid) o)";
	uint64_t numbers[2] = {0};
	int r = pg_session_rows(s, sql, take_two_numbers, numbers, err);

	*ret_count = numbers[0];
	*ret_bytes = numbers[1];
	return r;
}

int pg_restored_bytes(struct pg_session *s, uint64_t *ret, struct error *err)
{
	_cleanup(free) char *bytes = NULL;
	int r = pg_session_value(s, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())",
	                         &bytes, err);

	*ret = bytes ? strtoull(bytes, NULL, 10) : 0;
	return r;
}

/* "SELECT pg_catalog.setval('public.s', 5, true);\n" → "public.s" and "5, true". */
static bool take_setval(const char *setval, char **ret_relation, char **ret_state)
{
	static const char begin[] = "SELECT pg_catalog.setval('";
	_cleanup(str) struct str relation = {0};
	const char *p = setval + strlen(begin), *end;

	if (!str_starts(setval, begin))
		return false;
	for (; *p && (*p != '\'' || p[1] == '\''); p++) {
		str_append_char(&relation, *p);
		p += *p == '\'';
	}
	if (!str_starts(p, "', ") || !(end = strchr(p, ')')))
		return false;
	*ret_relation = str_take(&relation);
	*ret_state = mem_printf("%.*s", (int)(end - p - 3), p + 3);
	return true;
}

int pg_restored_sequence(struct pg_session *s, const char *setval, char **ret_told, struct error *err)
{
	_cleanup(free) char *relation = NULL, *state = NULL, *sql = NULL, *found = NULL;
	int r;

	*ret_told = NULL;
	if (!take_setval(setval, &relation, &state))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "it is not known what sequence this sets: %.200s", setval);
	/* It is an identifier, quoted as pg_dump does. */
	sql = mem_printf("SELECT last_value || CASE WHEN is_called THEN ', true' ELSE ', false' END FROM %s",
	                 relation);
	r = pg_session_value(s, sql, &found, err);
	if (r == 0 && !str_equal(found, state))
		*ret_told = mem_printf("the sequence %s is %s, and not %s", relation, found ? found : "gone",
		                       state);
	return r;
}

int pg_restored_ask(const char *conninfo, const char *database, const char *sql, int64_t limit_ms,
                    struct cancel *cancel, char **ret_value, struct error *err)
{
	const struct session_query query = {.sql = sql, .limit_ms = limit_ms};
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(pg_result) PGresult *result = NULL;
	int r = pg_session_open(conninfo, database, "keepfs drill", cancel, &s, err);

	if (r == 0)
		r = session_ask(s, &query, &result, err);
	if (r < 0)
		return r;
	*ret_value = PQntuples(result) > 0 && PQnfields(result) > 0 && !PQgetisnull(result, 0, 0)
	                     ? mem_strdup(PQgetvalue(result, 0, 0))
	                     : NULL;
	return 0;
}

int pg_restored_drop(const char *conninfo, const char *database, struct error *err)
{
	const struct pg_server_place place = {.server = conninfo, .limit_ms = PG_TELL_LIMIT_MS};

	return pg_database_drop(&place, database, err);
}

int pg_restored_version(const char *conninfo, struct cancel *cancel, int *ret, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	int r = pg_session_open(conninfo, NULL, "keepfs drill", cancel, &s, err);

	if (r == 0)
		*ret = PQserverVersion(s->conn);
	return r;
}
