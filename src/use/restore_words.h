// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What pg_restore and psql say, and what scripts about a database say: read, and changed, as texts. Pure. */
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>

enum restore_said {
	RESTORE_SAID_NOTHING,  /* of weight: a line of a report, a warning */
	RESTORE_SAID_HARMLESS, /* an error that changes nothing of what was restored */
	RESTORE_SAID_ERROR,
};

/** struct restore_listener - lines of a program's standard error, one after the other. What an error is about comes in the line behind
 * it: so each is judged when that has come, or the next begins. Of what else comes with it, nothing is kept that may hold values of rows. Zeroed
 * at first, but for the first two. */
struct restore_listener {
	bool every_line; /* of psql, which does not end at an error: whatever it tells of a line of its input is one, unless it is known not to be */
	bool no_owner;   /* owners and rights are left out: that a role is missing means nothing */
	struct str error; /* that waits for its "Command was" */
	struct str about; /* "from TOC entry …" before it */
	unsigned ignored; /* as pg_restore counts, at its end: "errors ignored on restore: 3" */
};
void restore_listener_finish(struct restore_listener *l);
/** restore_listen() - @line: NULL at the end. @ret: what was found, with its text on one line. */
enum restore_said restore_listen(struct restore_listener *l, const char *line, struct str *ret);

/** struct restore_statements - of a script, one after the other; heap. */
struct restore_statements {
	char **items; /* NULL-terminated, once there is one */
	size_t count;
};
void restore_statements_finish(struct restore_statements *s);
static inline void cleanup_restore_statements(struct restore_statements *s)
{
	restore_statements_finish(s);
}
/**
 * restore_database_statements() - those of a script that are about a database as a whole (CREATE DATABASE, ALTER DATABASE, GRANT … ON
 * DATABASE, ALTER ROLE … IN DATABASE, COMMENT, SECURITY LABEL), with another name in the place of the one that they have
 * @quoted: the new name, quoted; @owner: with those that name roles
 */
void restore_database_statements(const char *script, const char *quoted, bool owner,
                                 struct restore_statements *ret);

/**
 * restore_role_statements() - of what pg_dumpall --globals-only writes: what makes roles (CREATE ROLE, ALTER ROLE) and memberships
 * (GRANT role TO role), each with the name of the role that it is for: the place i of @roles is of the place i of @statements
 */
void restore_role_statements(const char *script, struct restore_statements *statements,
                             struct restore_statements *roles);

/** restore_grantees() - to whom the GRANTs of an entry of a dump give something ("GRANT SELECT ON TABLE t TO r;", ALTER DEFAULT
 * PRIVILEGES, too): names without quotes, perhaps several times; without PUBLIC. */
void restore_grantees(const char *script, struct restore_statements *ret);
