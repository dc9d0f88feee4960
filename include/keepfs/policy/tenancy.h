// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which rows of a database are one tenant's. Facts about tables, columns and foreign keys go in, and what was said in the
 * configuration; for each table a verdict comes out, with its reason, and for those that are exported a condition in SQL. Pure; any
 * thread.
 *
 * Every table gets one of three verdicts. None is passed over in silence: a table that was forgotten is the commonest fault of exports.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tenancy_kind {
	TENANCY_COLUMN,   /* shared tables, whose rows tell their tenant, or refer to rows that do */
	TENANCY_SCHEMA,   /* a schema for each tenant */
	TENANCY_DATABASE, /* a database for each tenant */
};

/* The facts. All heap, as pg_tenancy_read() fills them; tenancy_model_finish() frees them. */

struct tenancy_column {
	char *name;
	char *type; /* as format_type() writes it, with its length: "numeric(10,2)", "public.secret_text" */
	/* The type without its length, all domains taken off, of an array also those of its elements: "numeric", "character varying", "integer[]".
	 * What is an array is told by the "[]" at the end. */
	char *base_type;
	char *comment; /* COMMENT ON COLUMN; NULL: none */
	bool not_null;
	bool is_generated; /* GENERATED ALWAYS AS (…), stored or virtual: no INSERT may name it */
	char identity;     /* 'a': GENERATED ALWAYS AS IDENTITY; 'd': BY DEFAULT; 0: none */
	char *sequence;    /* heap: the sequence that it owns, quoted: "public.orders_id_seq"; NULL: none */
	char category; /* pg_type.typcategory of the base type, of an array that of its elements: 'N', 'S', 'C', … */
	char delimiter; /* of an array: what separates its elements; else 0 */
};

/** struct tenancy_unique - a unique index beside that of the primary key, of all rows and of columns alone: of a constraint, or by itself */
struct tenancy_unique {
	char *name;
	uint32_t *columns; /* places in the columns of the table */
	size_t count;
	bool nulls_equal; /* NULLS NOT DISTINCT */
};

struct tenancy_table {
	uint32_t oid;
	char *schema, *name;
	char *comment; /* NULL: none */
	char kind;     /* pg_class.relkind: 'r', 'p' (the root of partitions), 'f', 'm' */
	/* A partition: its rows come with its root's, so it has no verdict of its own and is not among the tables of a plan. */
	bool is_partition;
	bool has_row_security, forces_row_security;
	uint32_t policy_count;
	struct tenancy_column *columns;
	size_t column_count;
	uint32_t *primary_key; /* places in @columns, in the order of the key */
	size_t primary_key_count;
	struct tenancy_unique *uniques; /* in the order in which they were made */
	size_t unique_count;
};

struct tenancy_key { /* a foreign key */
	char *name;
	uint32_t from, to;                   /* places in @tables */
	uint32_t *from_columns, *to_columns; /* @count places in the columns of each */
	size_t count;
};

struct tenancy_model {
	struct tenancy_table *tables; /* by schema and name */
	size_t table_count;
	struct tenancy_key *keys; /* of partitions: the root's; none is there twice */
	size_t key_count;
};
void tenancy_model_finish(struct tenancy_model *m);
static inline void cleanup_tenancy_model(struct tenancy_model *m)
{
	tenancy_model_finish(m);
}
/** tenancy_find_table() - the place of a table; -1: there is none. @schema: NULL: the only one of that name, -2 when there are several. */
ssize_t tenancy_find_table(const struct tenancy_model *m, const char *schema, const char *name);
/** tenancy_find_column() - the place of a column; -1. */
ssize_t tenancy_find_column(const struct tenancy_table *t, const char *name);

/* What was said. Borrowed; lists are NULL-terminated, NULL or empty: nothing.
 *
 * Names are as the database has them, in upper and lower case: nothing is folded. One with other characters than letters, digits, '_', '$' and '-' stands in
 * double quotes, which also take the meaning from wildcards: public."odd.name". */

struct tenancy_rules {
	enum tenancy_kind kind;
	/* Of TENANCY_COLUMN: "org_id": of any table that has it; "orders.org_id", "public.orders.org_id": of that one. */
	char *const *tenant_columns;
	/* Of TENANCY_COLUMN: "orgs.id": the table of the tenants, and its key. NULL or "": the one to which foreign keys of tenant columns lead,
	 * if there is just one. */
	const char *tenant_table;
	/* Patterns of tables ("countries", "ref.*"; a name without a dot is of any schema; wildcards * and ?): */
	char *const *shared; /* each export has all of their rows: look-up tables */
	char *const *
	        referred; /* each export has those rows to which exported rows refer: users of several tenants */
	char *const *excluded; /* no export has any */
	/* Soft references, which no foreign key tells: "comments.subject_id -> posts.id when subject_type = 'Post'",
	 * "events.payload->>'user_id' -> users.id". */
	char *const *references;
};

enum tenancy_verdict { TENANCY_EXPORTED, TENANCY_EXCLUDED, TENANCY_UNDECIDED };

/** enum tenancy_way - why a table is exported */
enum tenancy_way {
	TENANCY_BY_COLUMN,   /* it has the tenant's column */
	TENANCY_BY_SELF,     /* it is the tenants' own table */
	TENANCY_BY_KEY,      /* its rows refer to exported ones */
	TENANCY_BY_REFERRED, /* exported rows refer to its rows */
	TENANCY_WHOLE,       /* all of its rows: shared, or the tenant's own schema or database */
};

/** struct tenancy_operand - a value of a row: a column, or what is within a json or jsonb column, as text */
struct tenancy_operand {
	uint32_t column;
	char **path; /* heap: ["user_id"] of payload->>'user_id' */
	size_t path_count;
};
struct tenancy_test { /* "subject_type = 'Post'" */
	struct tenancy_operand of;
	char *value;
};
/** struct tenancy_soft - a soft reference, its names found in the model: rows of @from for which all @tests hold refer to those rows of @to that have
 * the same value */
struct tenancy_soft {
	uint32_t from, to; /* places in the tables of the model */
	struct tenancy_operand from_value, to_value;
	struct tenancy_test *tests; /* of rows of @from */
	size_t test_count;
};

/** struct tenancy_step - one way from a row to its tenant: by a foreign key or by a soft reference */
struct tenancy_step {
	uint32_t other; /* the table that it leads to (TENANCY_BY_REFERRED: that it comes from) */
	const struct tenancy_key *key;   /* borrowed from the model; NULL: a soft reference */
	const struct tenancy_soft *soft; /* borrowed from the plan; NULL: a foreign key */
};

struct tenancy_decision { /* of one table */
	uint32_t table;   /* its place in the model */
	enum tenancy_verdict verdict;
	enum tenancy_way way;
	int tenant_column; /* BY_COLUMN, BY_SELF: its place; else -1 */
	/* BY_KEY: each way that leads to the tenant; BY_REFERRED: each that leads here. */
	struct tenancy_step *steps;
	size_t step_count;
	/* A row may exist that belongs to no tenant: BY_KEY, when all its references may be NULL, or lead to such rows; BY_COLUMN, when the column may be
	 * NULL. Nothing is wrong with such rows, but no export has them. */
	bool may_be_nobodys;
	char *reason; /* for people, heap: "has org_id"; "order_id -> public.orders(id)"; "no column and no foreign key tells whose its rows are" */
};

struct tenancy_plan {
	/* One for each table that is no partition. First those that others refer to, as far as cycles allow: in this order rows can be
	 * inserted. */
	struct tenancy_decision *decisions;
	size_t count;
	/* For each table of the model its place in @decisions; UINT32_MAX: a partition. */
	uint32_t *decision_of;
	struct tenancy_soft *softs;
	size_t soft_count;
	size_t exported, excluded, undecided;
	char **warnings; /* heap: "exclude names audit_*, which matches no table" */
	size_t warning_count;
};
void tenancy_plan_finish(struct tenancy_plan *p);
static inline void cleanup_tenancy_plan(struct tenancy_plan *p)
{
	tenancy_plan_finish(p);
}

/**
 * tenancy_decide() - the verdicts
 * @model: stays where it is as long as @ret is used
 * @schema: of TENANCY_SCHEMA: the tenant's own; tables of other schemas are excluded unless they are shared
 * Return: 0, also with undecided tables; -EINVAL (ERROR_USAGE): a rule makes no sense in this database: @err names it, and what there is.
 *
 * A tenant's column wins over foreign keys, and `exclude` over everything. A table that two lists name is an error, and so is one with a
 * tenant's column that is shared. All references by which a row may lead to the tenant count, foreign keys and soft ones, also through several
 * tables; of those that make a circle, the ones that are shortest from where a tenant is known. A foreign key to a table that is shared or referred says
 * nothing of whose a row is; a soft reference to one that is referred does. Foreign tables and materialized views are undecided unless they are
 * named (also by "table.column" of tenant_columns, and by soft references): nobody can say what stands behind them.
 */
int tenancy_decide(const struct tenancy_model *model, const struct tenancy_rules *rules, const char *schema,
                   struct tenancy_plan *ret, struct error *err);
/** tenancy_rules_check() - are the rules written as they must be? -EINVAL: @err says which is not, and why. Needs no database. */
int tenancy_rules_check(const struct tenancy_rules *rules, struct error *err);
/** tenancy_references_check() - are these soft references written as they must be? -EINVAL: @err says which is not, and why. Needs no
 * database. */
int tenancy_references_check(char *const *references, struct error *err);

/**
 * tenancy_append_condition() - append the condition in SQL that is true of the rows of one tenant
 * @alias: of the table in the query, "t": a name that needs no quotes, of at most 15 bytes
 * @tenant: the value of the tenant's column, as text; compared as the column's own type
 *
 * Never NULL in a way that lets a row in. "true" of TENANCY_WHOLE. Within it tables have the aliases "k1", "k2", …. It is written so that PostgreSQL joins
 * (semi joins, which can begin with the few rows of the tenant) instead of asking for each row. The session must find the operators of pg_catalog first.
 */
void tenancy_append_condition(const struct tenancy_model *model, const struct tenancy_plan *plan,
                              const struct tenancy_decision *d, const char *alias, const char *tenant,
                              struct str *sql);
/**
 * tenancy_append_proof() - append an expression in SQL that is true of a row that tenancy_append_condition() lets in, unless it is also
 * another tenant's: no reference of it leads to a row of another tenant. References that are NULL, or lead to no row or to nobody's, do no harm. "true" where
 * there is nothing to prove: a table with one way by a foreign key has what its parent has, where it is proven. Never NULL.
 */
void tenancy_append_proof(const struct tenancy_model *model, const struct tenancy_plan *plan,
                          const struct tenancy_decision *d, const char *alias, const char *tenant,
                          struct str *sql);
/** tenancy_append_nobodys() - append a condition that is true of rows of @d (may_be_nobodys) that are no tenant's. */
void tenancy_append_nobodys(const struct tenancy_model *model, const struct tenancy_plan *plan,
                            const struct tenancy_decision *d, const char *alias, struct str *sql);
