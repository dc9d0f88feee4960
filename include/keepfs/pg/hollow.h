// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A hollow database: what a dump makes, but for its rows, on a server that is thrown away. Some of the rows are then loaded into it
 * (keepfs/pg/load.h), and they must come as they are: nothing that the database has of its own accord may refuse them, change them, or add to them.
 * A session belongs to one thread. Failures: negative errno, and @err with the server's words.
 */
#include <keepfs/base/str.h>
#include <keepfs/pg/session.h>
#include <stdint.h>

/** pg_hollow_prepare() - drop the check constraints of all tables of users, since functions in them may look at rows that are not there, and switch triggers off that
 * fire whatever session_replication_role is. */
int pg_hollow_prepare(struct pg_session *s, struct error *err);

/** pg_hollow_redactions() - what comments on columns of the database of @living redact ("keepfs:redact=…"), comments on the same columns of the hollow one redact from then
 * on. Columns that it does not have are passed over. */
int pg_hollow_redactions(struct pg_session *s, struct pg_session *living, struct error *err);

struct pg_hollow_facts {
	/* Each partition, and the table whose rows its own are; oids of pg_class. */
	int (*partition)(void *arg, uint32_t oid, uint32_t root, struct error *err);
	/* Each column whose values may be equal though their bytes are not: its collation is not deterministic. */
	int (*unlike)(void *arg, uint32_t oid, const char *column, struct error *err);
	void *arg;
};
/** pg_hollow_read() - a negative return of a function ends it, and is returned. */
int pg_hollow_read(struct pg_session *s, const struct pg_hollow_facts *facts, struct error *err);
/**
 * pg_hollow_value() - append @text as a value of @type is written by COPY: "007" as an integer is "7"
 * @type: as format_type() writes it
 * -EINVAL (ERROR_USAGE): it is no such value.
 */
int pg_hollow_value(struct pg_session *s, const char *text, const char *type, struct str *ret,
                    struct error *err);
/** pg_hollow_encoding() - heap: the statement with which a session takes rows in @encoding ("UTF8"). */
char *pg_hollow_encoding(const char *encoding);
