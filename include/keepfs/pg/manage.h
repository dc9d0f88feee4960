// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Databases as wholes: made, renamed, looked at, before and after something is restored into one. Each call opens a session of its own, to
 * "postgres" (else "template1") on the server, since nobody can rename the database that he is connected to. Blocks; failures as
 * keepfs/pg/session.h says.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pg_server_place {    /* all borrowed */
	const char *server; /* connection string; the database that it names is not connected to */
	struct cancel *cancel;
	int64_t limit_ms; /* for the answer to each statement, else -ETIMEDOUT: what it did is not known then; 0: none */
};

/** PG_TELL_LIMIT_MS - of those who have to tell soon what became of a database, because somebody waits for that: a server that is sound drops
 * a large database in less. */
#define PG_TELL_LIMIT_MS (5 * 60 * 1000)

struct pg_database_look {
	bool exists;
	uint64_t bytes;       /* 0: not known */
	unsigned sessions;    /* connected to it */
	unsigned prepared;    /* transactions: with one of them nobody can rename it */
	char owner[256];      /* "" when it is not there */
	int version_num;      /* of the server */
	char directory[1024]; /* of the server's data; "" when the role may not know */
	char instance
	        [64]; /* when the server was started, to the microsecond: the same for all names of one server */
	bool is_here; /* the server is this host's: connected by a socket of the file system, or from the address that it has itself */
};

/** pg_database_look() - is there such a database, and who uses it? */
int pg_database_look(const struct pg_server_place *place, const char *database, struct pg_database_look *ret,
                     struct error *err);
/** struct pg_database_session - who is connected; "" for what the role may not know. */
struct pg_database_session {
	char user[64], application[64];
	char address[64]; /* "local": over a socket of the file system */
	char since[32];   /* "2026-11-20T02:00:00Z" */
};
/** pg_database_sessions() - the oldest @max of those that are connected to @database, without the one that asks; returns how many. */
ssize_t pg_database_sessions(const struct pg_server_place *place, const char *database,
                             struct pg_database_session *ret, size_t max, struct error *err);
/** pg_database_make() - run statements one after the other, each for itself: CREATE DATABASE is not to be in a transaction. @statements:
 * NULL-terminated. */
int pg_database_make(const struct pg_server_place *place, const char *const *statements, struct error *err);
/** pg_database_own() - @database belongs to role @owner. */
int pg_database_own(const struct pg_server_place *place, const char *database, const char *owner,
                    struct error *err);
/** pg_database_drop() - with the sessions that it has; one that is not there is success. */
int pg_database_drop(const struct pg_server_place *place, const char *database, struct error *err);

struct pg_database_swap {
	const char *living; /* its name becomes @before; may be missing: then @made alone is renamed */
	const char *made;   /* its name becomes @living */
	const char *
	        before; /* "": there is none of the name @living, and when there is one all the same, it fails (42P04) */
};
/**
 * pg_database_swap() - both get their new names in one transaction, or neither does
 * The sessions of both are ended. No other can begin meanwhile: a new one waits for the lock that the first renaming takes. Tried again for
 * a while when one came in between.
 */
int pg_database_swap(const struct pg_server_place *place, const struct pg_database_swap *names,
                     struct error *err);
/** pg_database_analyze() - statistics for the planner, of all of a database; a restored one has none. */
int pg_database_analyze(const struct pg_server_place *place, const char *database, struct error *err);

/** pg_quote_name() - heap: an identifier in double quotes. */
char *pg_quote_name(const char *name);
/** pg_roles_missing() - append those of @roles (NULL-terminated) that the server does not have: "a, b". */
int pg_roles_missing(const struct pg_server_place *place, const char *const *roles, struct str *ret,
                     struct error *err);
/** pg_database_check() - heap: the first value that a query gives in @database, in a transaction that reads only; NULL: none. */
int pg_database_check(const struct pg_server_place *place, const char *database, const char *sql,
                      char **ret_value, struct error *err);
