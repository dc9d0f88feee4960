// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of leaving share. */
#include "leave.h"
#include "leave_order.h"

#include <keepfs/base/spool.h>

#define LEAVE_BATCH_ROWS  5000
#define LEAVE_NAMES_SHOWN 5

struct leaving_table {
	size_t decision;
	char *label; /* "public.orders" */
	struct str condition, proof;
	struct pg_tenant_rows rows; /* of these */
	uint32_t oid;
	uint64_t first, count; /* places in the spool */
	uint64_t gone;         /* deleted, and committed */
};

struct leaving {
	struct leaving_target of;
	char *database, *schema; /* of it */
	struct leave_order sequence;
	struct leaving_table *tables; /* as in the sequence */
	size_t count;
	uint32_t *oids;
	uint64_t rows, gone;
	struct spool *places;
};

/** leaving_tell_gone() - "12 of 40 rows of public.orders": what was deleted so far, of each table that had rows. */
void leaving_tell_gone(const struct leaving *l, struct str *out);
/** leaving_list() - the places @begin to @end of the spool, into the list of the transaction. */
int leaving_list(struct leaving *l, struct pg_session *s, uint64_t begin, uint64_t end, struct error *err);
/** leaving_check() - with all rows in the list: has anything changed, does anything else refer to them? All reasons are appended to @why. */
int leaving_check(struct leaving *l, struct pg_session *s, struct str *why, struct error *err);
/** leaving_open() - a session that can delete. */
int leaving_open(struct leaving *l, struct pg_session **ret, struct error *err);
/** leaving_check_before() - all that would be a reason not to delete is appended to @why, in a transaction that changes nothing. */
int leaving_check_before(struct leaving *l, struct pg_session *s, struct str *why, struct error *err);
/** leaving_drop() - of a tenant with a schema or a database of its own. */
int leaving_drop(struct leaving *l, struct error *err);
/** leaving_check_schema() - with the list and the locks: why the schema must not be dropped. */
int leaving_check_schema(struct leaving *l, struct pg_session *s, struct str *why, struct error *err);
