// SPDX-License-Identifier: Apache-2.0
/* See tenancy_operators.h. */
#include "tenancy_operators.h"

#include <keepfs/codec/sql_text.h>

#include <string.h>

enum type_class { CLASS_INTEGER, CLASS_TEXT, CLASS_UUID, CLASS_OTHER };

static bool is_type_of(const char *type, const char *const *names, size_t count)
{
	size_t len = strcspn(type, "(");

	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == len && memcmp(type, names[i], len) == 0)
			return true;
	return false;
}

static enum type_class class_of_type(const char *type)
{
	static const char *const integers[] = {"smallint", "integer", "bigint"};
	static const char *const texts[] = {"text", "character varying", "character", "bpchar"};

	if (is_type_of(type, integers, ARRAY_SIZE(integers)))
		return CLASS_INTEGER;
	if (is_type_of(type, texts, ARRAY_SIZE(texts)))
		return CLASS_TEXT;
	return str_equal(type, "uuid") ? CLASS_UUID : CLASS_OTHER;
}

bool operators_are_plain(const struct tenancy_column *c)
{
	enum type_class class = class_of_type(c->base_type);

	return class == CLASS_INTEGER || class == CLASS_UUID;
}

void operators_append_column(struct str *s, const char *alias, const struct tenancy_table *t, uint32_t column)
{
	str_appendf(s, "%s.", alias);
	sql_append_name(s, t->columns[column].name);
}

/* The length of "public" of "public.citext", of "\"a.b\"" of "\"a.b\".t"; 0: the type is one of pg_catalog's. */
static size_t type_schema_length(const char *type)
{
	const char *p = type;

	if (*p == '"')
		for (p++; *p && (*p != '"' || p[1] == '"'); p++)
			p += *p == '"';
	p += strcspn(p, ". (");
	return *p == '.' ? (size_t)(p - type) : 0;
}

/* An extension's type has operators of its own beside it, which are not found by their names alone. Those of enums, arrays and the like are pg_catalog's. */
static void append_operator(struct str *s, const struct tenancy_column *c, const char *operator)
{
	bool is_builtin = strchr("ECRP", c->category) || str_ends(c->base_type, "[]");
	size_t len = is_builtin ? 0 : type_schema_length(c->base_type);

	if (len == 0)
		str_appendf(s, " %s ", operator);
	else
		str_appendf(s, " OPERATOR(%.*s.%s) ", (int)len, c->base_type, operator);
}

void operators_append_literal(struct str *s, const char *alias, const struct tenancy_table *t,
                              uint32_t column, const char *operator, const char * value)
{
	operators_append_column(s, alias, t, column);
	append_operator(s, &t->columns[column], operator);
	sql_append_literal(s, value);
}

void operators_append_equal(struct str *s, const char *alias, const struct tenancy_table *t, uint32_t column,
                            const char *other_alias, const struct tenancy_table *other, uint32_t other_column)
{
	operators_append_column(s, alias, t, column);
	append_operator(s, &t->columns[column], "=");
	operators_append_column(s, other_alias, other, other_column);
}

/* One side of a soft reference. */
struct side {
	const char *alias;
	const struct tenancy_table *table;
	const struct tenancy_operand *value;
};

static const struct tenancy_column *column_of(const struct side *side)
{
	return &side->table->columns[side->value->column];
}

static enum type_class class_of(const struct side *side)
{
	return side->value->path_count > 0 ? CLASS_TEXT : class_of_type(column_of(side)->base_type);
}

static void append_side(struct str *s, const struct side *side)
{
	const struct tenancy_operand *o = side->value;

	if (o->path_count == 0) {
		operators_append_column(s, side->alias, side->table, o->column);
		return;
	}
	str_append_char(s, '(');
	operators_append_column(s, side->alias, side->table, o->column);
	for (size_t i = 0; i < o->path_count; i++) {
		str_append(s, i + 1 < o->path_count ? " -> " : " ->> ");
		sql_append_literal(s, o->path[i]);
	}
	str_append_char(s, ')');
}

/* A text that may be a number or a uuid; what is neither is NULL, and not an error. */
static void append_converted(struct str *s, const struct side *side, enum type_class class)
{
	static const char uuid[] =
	        "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

	str_append(s, "CASE WHEN (");
	append_side(s, side);
	str_appendf(s, ")::text COLLATE \"C\" ~ '%s' THEN (",
	            class == CLASS_INTEGER ? "^-?[0-9]{1,18}$" : uuid);
	append_side(s, side);
	str_append(s, class == CLASS_INTEGER ? ")::text::bigint END" : ")::text::uuid END");
}

static void append_as_text(struct str *s, const struct side *side)
{
	str_append_char(s, '(');
	append_side(s, side);
	str_append(s, ")::text");
}

static bool are_of_one_type(const struct side *a, const struct side *b)
{
	enum type_class class = class_of(a);
	const char *x, *y;

	if (class != class_of(b))
		return false;
	if (class != CLASS_OTHER)
		return true;
	x = column_of(a)->base_type;
	y = column_of(b)->base_type;
	return strcspn(x, "(") == strcspn(y, "(") && memcmp(x, y, strcspn(x, "(")) == 0;
}

static bool can_be_converted(enum type_class from, enum type_class to)
{
	return from == CLASS_TEXT && (to == CLASS_INTEGER || to == CLASS_UUID);
}

static void append_sides(struct str *s, const struct side *a, const struct side *b)
{
	enum type_class class = class_of(a), other = class_of(b);

	if (are_of_one_type(a, b)) {
		append_side(s, a);
		append_operator(s, column_of(class == CLASS_OTHER ? a : b), "=");
		append_side(s, b);
	} else if (can_be_converted(class, other)) {
		append_converted(s, a, other);
		str_append(s, " = ");
		append_side(s, b);
	} else {
		append_as_text(s, a);
		str_append(s, " = ");
		append_as_text(s, b);
	}
}

void operators_append_soft(struct str *s, const char *from_alias, const struct tenancy_table *from,
                           const char *to_alias, const struct tenancy_table *to,
                           const struct tenancy_soft *soft)
{
	struct side a = {from_alias, from, &soft->from_value}, b = {to_alias, to, &soft->to_value};

	if (can_be_converted(class_of(&b), class_of(&a)))
		append_sides(s, &b, &a);
	else
		append_sides(s, &a, &b);
}

static void append_test(struct str *s, const struct side *side, const char *value)
{
	if (side->value->path_count > 0) {
		append_side(s, side);
		str_append(s, " = ");
		sql_append_literal(s, value);
	} else {
		operators_append_literal(s, side->alias, side->table, side->value->column, "=", value);
	}
}

void operators_append_tests(struct str *s, const char *alias, const struct tenancy_table *from,
                            const struct tenancy_soft *soft)
{
	for (size_t i = 0; i < soft->test_count; i++) {
		str_append(s, " AND ");
		append_test(s, &(struct side){alias, from, &soft->tests[i].of}, soft->tests[i].value);
	}
}
