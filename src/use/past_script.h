// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What psql did not carry out of a script that pg_dump or pg_restore has written, and whether that matters: tables, and what tells whose their rows are, must
 * be there; functions, views, indexes and triggers need not be. Pure, but for a spool.
 */
#include <keepfs/base/spool.h>
#include <keepfs/policy/tenancy.h>

struct past_failure {
	uint64_t line; /* of the script, from 1 on: where the statement ends */
	char *words;   /* heap: what the server said */
	/* Of past_script_find(); heap; "": what stands there is about no object. */
	char *type, *schema, *name;
};

struct past_failures {
	struct past_failure *items; /* ascending by line */
	size_t count;
	uint64_t more; /* that were not kept */
};
void past_failures_finish(struct past_failures *f);
static inline void cleanup_past_failures(struct past_failures *f)
{
	past_failures_finish(f);
}

#define PAST_FAILURES_MAX 1000

/** past_failures_hear() - a line of psql's standard error: "psql:<stdin>:123: ERROR:  relation …". What is no error is passed over. */
void past_failures_hear(struct past_failures *f, const char *line);
/** past_script_find() - what each failure is about, by the comments of the script ("-- Name: orders; Type: TABLE; Schema: public; Owner: app"). */
int past_script_find(const struct spool *script, struct past_failures *f, struct error *err);

struct past_scope { /* borrowed: what of a database is looked at */
	enum tenancy_kind kind;
	const char *schema; /* of TENANCY_SCHEMA: the tenant's own */
	char *const *excluded, *const *shared;
};
/** past_is_outside() - is a table of that name left out of exports by its name, whatever it holds? */
bool past_is_outside(const struct past_scope *scope, const char *schema, const char *table);
/** past_failures_lack() - was this table not made? */
bool past_failures_lack(const struct past_failures *f, const char *schema, const char *table);
/** past_failures_judge() - -ENOTSUP (ERROR_USAGE): one of them matters, @err says what the server said of which object. */
int past_failures_judge(const struct past_failures *f, const struct past_scope *scope, struct error *err);
