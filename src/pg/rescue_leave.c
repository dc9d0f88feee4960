// SPDX-License-Identifier: Apache-2.0
/* Rows of a backup that are not to come back: which they are whoever has read their values knows. They go from the temporary table, so nothing that follows knows of them. */
#include "rescue.h"
#include "values.h"

#include <keepfs/codec/sql_text.h>

/* A moment is written in UTC where it is compared with what was noted elsewhere. What the role has set comes back. */
#define IN_UTC  "SET LOCAL timezone = 'UTC'"
#define AS_ELSE "SET LOCAL timezone TO DEFAULT"

static void append_value_text(const char *column, struct str *sql)
{
	str_append(sql, "b.");
	sql_append_name(sql, column);
	str_append(sql, "::pg_catalog.text");
}

int pg_rescue_values(struct pg_rescue *x, const char *column,
                     int (*take)(void *arg, const char *value, struct error *err), void *arg,
                     struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r = rescue_end_rows(x, err);

	if (r < 0 || !names_has(&x->backup, column))
		return r < 0 ? r : 1;
	str_append(&sql, "COPY (SELECT DISTINCT ");
	append_value_text(column, &sql);
	str_append(&sql, " FROM " RESCUE_ROWS " b) TO STDOUT");
	r = rescue_ask(x, IN_UTC, err);
	if (r == 0)
		r = values_copy(x->session, str_text(&sql), take, arg, err);
	return r < 0 ? r : rescue_ask(x, AS_ELSE, err);
}

int pg_rescue_leave_out(struct pg_rescue *x, const char *column, const char *const *values, size_t count,
                        uint64_t *ret_rows, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r = rescue_end_rows(x, err);

	*ret_rows = 0;
	if (r < 0 || count == 0)
		return r;
	str_append(&sql, "WITH gone AS (DELETE FROM " RESCUE_ROWS " b WHERE ");
	append_value_text(column, &sql);
	str_append(&sql, " IN (");
	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *literal = pg_quote_literal(values[i]);

		str_appendf(&sql, "%s%s", i > 0 ? ", " : "", literal);
		explicit_bzero(literal, strlen(literal));
	}
	str_append(&sql, ") RETURNING 1) SELECT pg_catalog.count(*) FROM gone");
	r = rescue_ask(x, IN_UTC, err);
	if (r == 0)
		r = rescue_count(x, str_text(&sql), ret_rows, err);
	explicit_bzero(sql.data, sql.len);
	return r < 0 ? r : rescue_ask(x, AS_ELSE, err);
}
