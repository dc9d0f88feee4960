// SPDX-License-Identifier: Apache-2.0
/*
 * From the statement that would load a table to the one that reads it, as dumpTableData_copy() of pg_dump
 * makes it. The archive's statement is only taken apart where quoting allows: its names may hold anything.
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/snapshot.h>

#include <string.h>

struct parts { /* of the archive's statement; they point into it */
	const char *relation, *columns;
	size_t relation_len, columns_len; /* columns: without their parentheses; 0: none */
};

/* Behind a quoted name that begins at @p; NULL when it does not end. */
static const char *skip_quoted(const char *p)
{
	for (p++; *p; p++) {
		if (*p == '"' && p[1] != '"')
			return p + 1;
		if (*p == '"')
			p++;
	}
	return NULL;
}

/* Up to the first of the characters @ends outside of quotes; NULL when there is none. */
static const char *skip_to(const char *p, const char *ends)
{
	while (p && *p && !strchr(ends, *p))
		p = *p == '"' ? skip_quoted(p) : p + 1;
	return p && *p ? p : NULL;
}

static bool take_apart(const char *statement, struct parts *ret)
{
	static const char start[] = "COPY ", end[] = " FROM stdin;\n";
	const char *p = statement + strlen(start);

	*ret = (struct parts){0};
	if (!str_starts(statement, start))
		return false;
	ret->relation = p;
	p = skip_to(p, " ();\n");
	if (!p || p == ret->relation || *p != ' ')
		return false;
	ret->relation_len = (size_t)(p - ret->relation);
	p++;
	if (*p == '(') {
		ret->columns = ++p;
		p = skip_to(p, "();\n");
		if (!p || p == ret->columns || *p != ')')
			return false;
		ret->columns_len = (size_t)(p - ret->columns);
		p++;
	}
	return strcmp(p, end) == 0;
}

char *pg_copy_relation(const char *copy_stmt)
{
	struct parts parts;

	if (!take_apart(copy_stmt, &parts))
		return NULL;
	return mem_printf("%.*s", (int)parts.relation_len, parts.relation);
}

static void append_relation(struct str *out, const struct parts *parts, const struct pg_table *table)
{
	/* An archive may load a partition through its root, whose name is then in its statement. */
	if (table && table->relation)
		str_append(out, table->relation);
	else
		str_append_bytes(out, parts->relation, parts->relation_len);
}

static char *whole_table(const struct parts *parts, const struct pg_table *table)
{
	struct str out = {0};

	str_append(&out, "COPY ");
	append_relation(&out, parts, table);
	if (parts->columns_len > 0)
		str_appendf(&out, " (%.*s)", (int)parts->columns_len, parts->columns);
	str_append(&out, " TO stdout");
	return str_take(&out);
}

/* The server keeps a session from foreign tables unless it is told not to. */
static void append_restriction(struct str *out, const char *kinds)
{
	str_appendf(out,
	            "SELECT pg_catalog.set_config(name, '%s', true) FROM pg_catalog.pg_settings "
	            "WHERE name = 'restrict_nonsystem_relation_kind'",
	            kinds);
}

/* A table that COPY reads only as a query: foreign, or an extension's, of which only some rows are dumped. */
static char *chosen_rows(const struct parts *parts, const struct pg_table *table)
{
	struct str out = {0};

	if (table->foreign) {
		append_restriction(&out, "view");
		str_append(&out, "; ");
	}
	str_append(&out, "COPY (SELECT ");
	if (parts->columns_len > 0)
		str_append_bytes(&out, parts->columns, parts->columns_len);
	else
		str_append_char(&out, '*');
	str_append(&out, " FROM ");
	append_relation(&out, parts, table);
	if (table->condition)
		str_appendf(&out, " %s", table->condition);
	str_append(&out, ") TO stdout");
	if (table->foreign) {
		str_append(&out, "; ");
		append_restriction(&out, "view, foreign-table");
	}
	return str_take(&out);
}

static char *range_of_pages(const struct parts *parts, const struct pg_table *table, uint32_t from_page,
                            uint32_t to_page)
{
	struct str out = {0};

	str_appendf(&out, "COPY (SELECT %.*s FROM ONLY ", (int)parts->columns_len, parts->columns);
	append_relation(&out, parts, table);
	str_append(&out, " WHERE ");
	if (from_page > 0)
		str_appendf(&out, "ctid >= '(%u,0)'::pg_catalog.tid", from_page);
	if (to_page < UINT32_MAX)
		str_appendf(&out, "%sctid < '(%u,0)'::pg_catalog.tid", from_page > 0 ? " AND " : "", to_page);
	str_append(&out, ") TO stdout");
	return str_take(&out);
}

char *pg_copy_statement(const char *copy_stmt, const struct pg_table *table, uint32_t from_page,
                        uint32_t to_page)
{
	bool whole = from_page == 0 && to_page == UINT32_MAX;
	bool chosen = table && (table->condition || table->foreign);
	struct parts parts;

	if (!take_apart(copy_stmt, &parts))
		return NULL;
	if (!whole && (chosen || parts.columns_len == 0))
		return NULL;
	if (!whole)
		return range_of_pages(&parts, table, from_page, to_page);
	return chosen ? chosen_rows(&parts, table) : whole_table(&parts, table);
}
