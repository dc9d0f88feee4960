// SPDX-License-Identifier: Apache-2.0
#pragma once
/** PostgreSQL: connections and what backups need to know of a server, over libpq (which no other room
 * includes); its programs on disk. */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

enum pg_pooler {
	PG_POOLER_NONE,
	PG_POOLER_OF_SESSIONS, /* a session of the server's for each connection, as long as it is open */
	/* another one for each transaction: no settings stay, or others get them */
	PG_POOLER_OF_TRANSACTIONS,
};

#define PG_OPTIONS_BYTES 512

struct pg_facts {
	int version_num;            /* 150018 */
	char version[128];          /* "15.18 (Debian 15.18-0+deb12u1)" */
	char system_identifier[32]; /* decimal; "" when the role may not read it */
	char database[256];
	char user[128];
	uint64_t database_bytes; /* pg_database_size(); 0 when not permitted */
	bool in_recovery;        /* a standby */
	enum pg_pooler pooler;   /* what the connection goes through */
	bool superuser;
	bool bypass_rls;
	/* one table or sequence that the role may not read; "" when there is none */
	char unreadable_table[256];
	char rls_table[256]; /* one table under row security that would make pg_dump fail for this role; "" */
	/* the oid of one that the role may not read; "" when there is none, or they are too many to look
	 * at */
	char unreadable_large_object[32];
	bool reads_passwords; /* of roles: pg_dumpall needs pg_authid for them */
	/* What pg_dump's connection shall give as "options", because its role's settings would flood or hide what it says:
	 * those of the connection, and messages in English where the role may choose. "": as they are. */
	char options[PG_OPTIONS_BYTES];
};

/**
 * pg_learn() - connect, ask, disconnect
 * @conninfo: connection string, URI or plain database name, as libpq takes it; libpq's environment, service
 *            file and .pgpass apply
 * @database: replaces the database named in @conninfo; NULL: as it says
 *
 * @cancel:   NULL: cannot be cancelled
 *
 * Waits for at most connect_timeout at each host, from @conninfo, its service or the environment (10 s when
 * none sets it, 0: for ever), and 30 s for each answer. A host that takes no connection in that time is
 * followed by the next one; one that takes it and then keeps silent ends the attempt. Names of hosts are
 * looked up by the system, for as long as it takes: neither limit nor cancel reach there. Nothing is left in
 * a session that a pooler may give to others. A pooler must have a second connection for a moment: without
 * one it cannot be known whether pg_dump may be used through it. Return: 0; -ECANCELED; -ETIMEDOUT
 * (ERROR_TIMEOUT); else negative with @err: ERROR_UNAVAILABLE, ERROR_DENIED or ERROR_USAGE, message with
 * libpq's words and without passwords. Its code is the SQLSTATE of what the server said, "" when no server
 * answered.
 */
int pg_learn(const char *conninfo, const char *database, struct cancel *cancel, struct pg_facts *ret,
             struct error *err);

/**
 * pg_child_conninfo() - how to hand a connection to a child without its password in the argument list
 * @options:      replaces what the connection gives as "options" (struct pg_facts); "" or NULL: as it says
 * @ret_conninfo: heap: for --dbname=, without password
 * @ret_env:      heap: "PGPASSWORD=…", or NULL when @conninfo has none (free with mem_free_secret())
 */
int pg_child_conninfo(const char *conninfo, const char *database, const char *options, char **ret_conninfo,
                      char **ret_env, struct error *err);
/** pg_database_conninfo() - heap: a connection string that names the database @name and nothing else. For
 * programs that take a name with a "=" for such a string. */
char *pg_database_conninfo(const char *name);
/** pg_conninfo_database() - heap: the database that @conninfo (and libpq's environment) names, or the service
 * that does; for labels. "" when @conninfo cannot be read. */
char *pg_conninfo_database(const char *conninfo);
/** pg_conninfo_user() - heap: as whom it connects, also where libpq's environment says so; NULL: as whoever runs this. */
char *pg_conninfo_user(const char *conninfo);
/** pg_conninfo_with_database() - heap: the same server, another database, for a command line that is shown: without the
 * password. "" when @conninfo cannot be read. */
char *pg_conninfo_with_database(const char *conninfo, const char *database);
/** pg_conninfo_with_user() - the same with another user. */
char *pg_conninfo_with_user(const char *conninfo, const char *user);

/**
 * struct pg_complaint - what libpq, the server, a pooler or a program said when it refused something
 *
 * Programs and libpq speak English here; a server speaks the language that its lc_messages says. What it said is
 * recognised by @state and @function, which are in no language; its words only where these are not known.
 */
struct pg_complaint {
	const char *words;
	const char *state;    /* SQLSTATE; NULL or "": not known */
	const char *function; /* of the server's source, as it tells with the state; NULL or "": not known */
};
/**
 * pg_hint() - what to do about it
 * Return: static text that continues a message ("grant the role …"); NULL when it is nothing that is known.
 */
const char *pg_hint(const struct pg_complaint *complaint);

/** struct pg_attempt - what another program asked a server for */
struct pg_attempt {
	const char *sql;       /* borrowed; NULL: no statement */
	uint32_t large_object; /* this one's data; 0: none's. With neither: a connection */
};
/** struct pg_repetition - what pg_repeat() found out */
struct pg_repetition {
	bool refused;     /* it fails again */
	char state[6];    /* with this SQLSTATE */
	const char *hint; /* and this to do about it; NULL: not known */
};
/**
 * pg_repeat() - why was an attempt refused, of which nothing is known but words in the server's language?
 *
 * It is made once more, as pg_dump would, in a transaction that reads only. Rows that come are thrown away. Waits for at
 * most 0.1 s for a lock and 5 s for an end, besides connecting as pg_learn().
 * Return: 0; negative when it could not be found out: the time was over, the server did not answer, -ECANCELED.
 */
int pg_repeat(const char *conninfo, const char *database, const struct pg_attempt *attempt,
              struct cancel *cancel, struct pg_repetition *ret);

#define PG_PATH_BYTES 512
/**
 * pg_find_program() - the pg_dump to use for a server
 * @bindir:      only look here; "" or NULL: $PATH and every /usr/lib/postgresql/N/bin and /usr/pgsql-N/bin
 *               (but not Debian's wrapper in /usr/bin, which chooses a version by itself)
 * @version_num: of the server: the program's major version must be the same or newer; the nearest one is
 * taken
 * @ret_version: what it says of itself ("15.18 (Debian …)"), 128 bytes
 * Return: 0; -ENOENT with a message that lists the versions found and the package to install.
 */
int pg_find_program(const char *name, const char *bindir, int version_num,
                    char ret_path[static PG_PATH_BYTES], char ret_version[static 128], struct error *err);

/**
 * pg_program_takes_zstd() - can this pg_restore read archives that are compressed with zstd? Asks it to list
 * an empty one, which is a file in $TMPDIR for that time. Blocks for as long as the program takes.
 * Return: 1: yes; 0: no, it was built without, or is older than 16; negative errno with @err.
 */
int pg_program_takes_zstd(const char *pg_restore, struct cancel *cancel, struct error *err);
