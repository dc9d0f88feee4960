// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Finding the servers of this host that nobody has named, and the databases in them.
 *
 * Looked at are, in this order: what libpq's environment names (PGHOST, PGHOSTADDR, PGSERVICE), and then nothing else;
 * the sockets in the directories where servers have them (/var/run/postgresql, /tmp, and those of the clusters below
 * /etc/postgresql), of PGPORT alone where that is set; where none of these lets us in, localhost. Each is tried as
 * the user that libpq would take, and then as "postgres", unless PGUSER says who it shall be. Nothing is changed anywhere.
 *
 * A socket that nobody has named is asked only when it belongs to root, to the system's user "postgres", or to the user that
 * asks: anybody can make one in /tmp, and would be told a password, or be taken for the server (libpq's requirepeer).
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_found_database {
	char *name;
	uint64_t bytes; /* 0: not known, when the role may not ask */
	bool may_connect;
};

/** struct pg_found_server - one that answered. All texts are its own. */
struct pg_found_server {
	/* How it is reached, as "host=/tmp port=5432 user=postgres": without database, and without password even where the
	 * environment has one. May be "": libpq's own defaults. */
	char *conninfo;
	char *place;   /* for people: "the socket in /tmp, port 5432" */
	char *version; /* "15.18 (Debian …)" */
	char *refusal; /* NULL: it let us in; else why it does not, in its words */
	struct pg_found_database
	        *databases; /* those that take connections, no templates; the largest first */
	size_t database_count;
	uint64_t bytes; /* of all its databases */
};

struct pg_found {
	struct pg_found_server *servers; /* those that let us in first, and of these the one with most data */
	size_t count;
	struct str looked; /* a line for each place where there was none: "  /tmp: no socket of a server" */
	/* Those of these lines that are about sockets of somebody who may be anybody: a person should see them whatever was found. */
	struct str passed_over;
};

/** pg_find_servers() - look; waits for at most connect_timeout (10 s when nobody sets it) at each place. It cannot fail:
 * @ret may have no servers. */
void pg_find_servers(struct pg_found *ret);
void pg_found_finish(struct pg_found *found);
static inline void cleanup_pg_found(struct pg_found *found)
{
	pg_found_finish(found);
}

/** pg_conninfo_add() - append " keyword=value" to a connection string, quoted where libpq or a file of the configuration
 * would read it otherwise. */
void pg_conninfo_add(struct str *conninfo, const char *keyword, const char *value);
/** pg_conninfo_is_name() - is it a plain name of a database, and no connection string or URI? */
bool pg_conninfo_is_name(const char *text);
