// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a filter (past_filter.h) knows of each table. Private to its two files: past_rules.c makes it, past_filter.c looks at rows. */
#include "past_filter.h"

struct past_operand {
	uint32_t slot;     /* in the columns of its rule */
	char *const *path; /* borrowed */
	size_t path_count;
	enum past_fold fold;
};
struct past_test {
	struct past_operand of;
	struct str value; /* folded */
};
struct past_tie { /* of a rule and a set */
	size_t set;
	struct past_operand *operands;
	size_t count;
	struct past_test *tests;
	size_t test_count;
	/* Of who takes: the key of one of the tenant's rows may also be that of a row which is not. */
	bool is_vague;
};

struct past_set {
	struct past_keys own;    /* of the tenant's rows */
	struct past_keys wanted; /* others, to which its rows refer */
	bool leads_to_tenant; /* whose a row is, its giver tells: one that is not the tenant's may be another's */
};

struct past_rule { /* of a table that is exported */
	const struct tenancy_decision *decision;
	uint32_t *columns; /* that are looked at: places in the table */
	size_t column_count;
	struct past_operand tenant; /* BY_COLUMN, BY_SELF */
	struct str tenant_value;
	struct past_tie *takes, *gives;
	size_t take_count, give_count;
	bool is_proven; /* whether its references lead to another tenant is looked at */
};

struct past_field {
	struct copy_field field;
	bool is_read;
};

struct past_filter {
	struct past_filter_options options;
	struct past_rule *rules; /* by the decisions of the plan */
	size_t rule_count;
	uint32_t *order; /* places in @rules */
	size_t order_count;
	struct past_set *sets;
	size_t set_count;
	struct past_memory memory;
	struct str key, value, scratch;
	/* The entry. */
	const struct past_rule *rule;
	enum past_pass pass;
	uint32_t *place_of; /* of each column of the rule: which field it is */
	uint32_t *slot_of; /* of each field up to the last that is needed: a column of the rule; UINT32_MAX */
	struct past_field *fields; /* by the columns of the rule */
	/* The row. */
	const char *at, *end;
	uint32_t next_place;
};

/** past_rules_make() - of f->options. */
int past_rules_make(struct past_filter *f, struct error *err);
void past_rules_finish(struct past_filter *f);
