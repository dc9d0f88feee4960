// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What of a tenant's rows is not given away: rules of the configuration, comments of columns, types. And what looks like a secret though
 * no rule says anything about it. Pure; any thread.
 *
 * A rule is "WHAT[->KEY…][:HOW]". WHAT is a pattern of columns: "password_hash", "*_secret" (of any table), "users.email",
 * "auth.users.email" (wildcards * and ?). "->KEY->KEY" is a value within a json or jsonb column, of an array of these within each element; "*" as a KEY is any key, or any element of an
 * array. HOW is omit (the default), null, mask or hash. A comment on a column is a rule for it, "keepfs:redact" or
 * "keepfs:redact=hash", anywhere in the comment. A type is one by the list `types`, "secret_text:null": also of its arrays, and of domains over it. A path of a
 * pattern of columns ("*->token") is one of those that are json.
 */
#include <keepfs/policy/tenancy.h>

enum redaction_how {
	REDACTION_NONE,
	REDACTION_OMIT, /* the column, or the key within the json, is not there */
	REDACTION_NULL,
	REDACTION_MASK, /* "***", whatever it was; NULL stays NULL */
	REDACTION_HASH, /* keyed: equal values are equal, in all tables and all exports with the same key; NULL stays NULL */
};

struct redaction_rules { /* borrowed; NULL-terminated */
	char *const *columns;
	char *const *types;
	char *const *allowed; /* patterns of columns that only look like secrets: "sessions.token_count" */
};

struct redaction_path { /* within a json or jsonb column */
	char **keys;    /* heap; "*": any */
	size_t key_count;
	enum redaction_how how;
	const char *rule; /* borrowed from the rules */
};

struct redaction_column {       /* of one column of a table that is exported */
	enum redaction_how how; /* of the whole column */
	char *why; /* heap: "the rule *.password_hash", "its comment", "its type public.secret_text"; NULL: none */
	struct redaction_path *paths;
	size_t path_count;
	/* Why it looks like a secret: by its name, or because it is generated in a row of which something is redacted; NULL: it does not, or a rule or `allowed` says what is to be done. Static. */
	const char *suspicion;
	bool is_allowed; /* `allowed` names it: its values are not looked at either */
};

struct redaction_plan {
	/* [place in the plan's decisions][column]; NULL of tables that are not exported. */
	struct redaction_column **columns;
	size_t table_count;
	size_t suspicious; /* columns with a suspicion */
	char **warnings;   /* heap: "the rule *_secert matches no column" */
	size_t warning_count;
	const struct tenancy_model *model;
	const struct tenancy_plan *plan;
};
void redaction_plan_finish(struct redaction_plan *p);
static inline void cleanup_redaction_plan(struct redaction_plan *p)
{
	redaction_plan_finish(p);
}

/**
 * redaction_decide() - for each column of each exported table
 * @plan: stays where it is as long as @ret is used
 * Return: 0; -EINVAL (ERROR_USAGE): a rule that would make what is exported useless or false: a primary key or a tenant's column that is
 * omitted, nulled or masked; a path into a column that is no json; two rules of a column that say different things (the stronger does not win in
 * silence); @err names it.
 */
int redaction_decide(const struct tenancy_model *model, const struct tenancy_plan *plan,
                     const struct redaction_rules *rules, struct redaction_plan *ret, struct error *err);
/** redaction_lift() - nothing is redacted, and nothing looks like a secret: what is exported never leaves the house. */
void redaction_lift(struct redaction_plan *p);
/** redaction_rules_check() - are they written as they must be? Needs no database. -EINVAL: @err says which is not, and why. */
int redaction_rules_check(const struct redaction_rules *rules, struct error *err);
/** redaction_how_name() - "omit", "null", "mask", "hash"; "" of none. */
const char *redaction_how_name(enum redaction_how how);

/**
 * redaction_value_suspicion() - why a value of a text column looks like a secret: a prefix that only keys and tokens have ("sk_live_", "ghp_",
 * "AKIA", "eyJ…" of a JWT, "$2b$", "$argon2", "-----BEGIN"), or that it is long, of one word, and of high entropy; NULL: it does not.
 * Static text. URLs without a password, paths, UUIDs, plain hexadecimal digests of known lengths and dates are none.
 */
const char *redaction_value_suspicion(const char *value, size_t len);

/** tenancy_explain() - append for people what is exported, how, what is left out and why, and what of it is redacted: a line for each table. Then
 * the columns that look like secrets, and the warnings. @redaction: NULL: it is not known. */
void tenancy_explain(const struct tenancy_model *model, const struct tenancy_plan *plan,
                     const struct redaction_plan *redaction, struct str *out);
