// SPDX-License-Identifier: Apache-2.0
/* What people do about the common failures of connections and dumps. The words are matched in the order of
 * the table: the specific before the general. */
#include <keepfs/base/cleanup.h>
#include <keepfs/pg.h>

#include <string.h>

static const struct {
	const char *words;
	const char *hint;
	const char *also; /* these words must be there too; NULL: no more */
} hints[] = {
        {"row-level security",
         "the role must be allowed to see every row: ALTER ROLE … BYPASSRLS, or dump as the owner of the tables or a superuser"},
        {"permission denied for database",
         "grant the role the right to connect: GRANT CONNECT ON DATABASE … TO …"},
        {"permission denied for large object",
         "large objects belong to roles one by one: dump as their owner or as a superuser, or ALTER ROLE … SET lo_compat_privileges = on"},
        {"permission denied for schema",
         "let the role into the schema: GRANT USAGE ON SCHEMA … TO …, or GRANT pg_read_all_data TO … "
         "(PostgreSQL 14 and newer)"},
        {"permission denied for sequence",
         "let the role read it: GRANT SELECT ON SEQUENCE … TO …, or GRANT pg_read_all_data TO … (PostgreSQL 14 and newer)"},
        {"permission denied for",
         "let the role read everything: GRANT pg_read_all_data TO … (PostgreSQL 14 and newer), or GRANT SELECT on it and USAGE on its schema"},
        {"server version mismatch",
         "install the client programs of the server's version, or name their directory: "
         "pg_bindir"},
        {"max_locks_per_transaction",
         "the database has more tables than the server has locks for one transaction: "
         "raise max_locks_per_transaction in postgresql.conf and restart the server"},
        {"out of shared memory",
         "the server has no room for more locks: raise max_locks_per_transaction in postgresql.conf and restart the server"},
        {"no password supplied",
         "give the password in .pgpass, PGPASSWORD or the connection string of the job"},
        {"password authentication failed",
         "the user name or the password is wrong: see the job's database setting, PGUSER, PGPASSWORD and .pgpass"},
        {"Peer authentication failed",
         "over the socket the server wants a system user of the same name as the role: run as that user, or connect with host=localhost and a password"},
        {"no pg_hba.conf entry",
         "the server does not let this role in from here: add a line to its pg_hba.conf"},
        {"too many connections for",
         "the role or the database has a connection limit: let the job use fewer connections, or raise it "
         "(ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT …)"},
        {"too many clients", "the server has no connection left: try again, or raise its max_connections"},
        {"remaining connection slots",
         "the server has no connection left: try again, or raise its max_connections"},
        {"the database system is",
         "the server is starting or stopping: try again when it accepts connections"},
        {"No such file or directory", "a socket's directory is given as host=/directory", "on socket"},
        {"could not translate host name",
         "is the host's name spelled right, and does the name server answer?"},
        {"statement pooling mode",
         "the pooler gives each statement another session of the server, over which nothing can be backed up: "
         "connect to the server itself, or to a pool with pool_mode = session"},
        {"query_wait_timeout",
         "the pooler had no session of the server left: raise its pool_size, or connect to the server itself"},
        {"took the connection but gave no answer",
         "the server is overloaded or hangs, or something else listens there: see its log, and that of a pooler before it"},
        {"gave no answer within", "is its address right, is it up, and does a firewall let this host in?"},
        {"timeout expired",
         "the host does not answer: is its address right, and does a firewall let this host in?"},
        {"conflict with recovery",
         "the standby had to apply changes that this backup still needed the old state of: "
         "set hot_standby_feedback = on there, raise max_standby_streaming_delay, or back up the primary"},
        {"snapshot too old",
         "the server threw away rows that this backup still needed: set old_snapshot_threshold = -1 in postgresql.conf and restart the server"},
        {"could not import the requested snapshot",
         "the session that holds the snapshot has ended, or this one reached another server: "
         "see the server's log, and connect to the server itself, not to a pooler"},
        {"invalid snapshot identifier",
         "this connection reached another server than the first one: connect to the server itself, not to a pooler or several hosts"},
        {"does not exist",
         "this connection reached another server than the first one: connect to the server itself, not to a pooler or several hosts",
         "snapshot \""},
        {"snapshot from a different database",
         "this connection reached another database than the first one: see the pooler's configuration"},
        {"administrator command",
         "the server was stopped or the session was ended there: run the backup again"},
        {"server closed the connection",
         "the server stopped or crashed, or the network broke: see the server's log, then run the backup again"},
        {"could not receive data from server", "the connection broke: see the server's log and the network"},
        {"due to lock timeout",
         "somebody holds a lock on that table: try again at a quieter time, or raise the job's lock_wait_timeout"},
        {"could not obtain lock",
         "somebody holds or awaits an exclusive lock on that table (ALTER TABLE, TRUNCATE, VACUUM FULL): try again at a quieter time"},
        {"due to statement timeout",
         "somebody holds a lock on that table for longer than lock_wait_timeout: try again at a quieter time, or give it longer",
         "LOCK TABLE"},
        {"due to statement timeout",
         "the role or the database has a statement_timeout: ALTER ROLE … SET statement_timeout = 0"},
        {"invalid page", "the server's data is damaged: see its log, and the documentation of pg_amcheck"},
        {"missing chunk number",
         "a stored value is damaged: see the server's log, and the documentation of pg_amcheck"},
        {"could not read block",
         "the server's storage is damaged: see its log, and the documentation of pg_amcheck"},
        {"has no equivalent in encoding",
         "the text cannot be written in the client's encoding: "
         "unset PGCLIENTENCODING and the role's client_encoding, so that the dump is in that of the database"},
        {"invalid byte sequence for encoding",
         "a text in the table is not valid in the database's encoding: "
         "find and mend that row, or dump in the database's own encoding (unset PGCLIENTENCODING)"},
        {"No space left on device",
         "a disk of the server or of this host is full: see the path in the message"},
        {"signal 9", "perhaps the system ran out of memory: see its log (dmesg)"},
        {"does not exist", "psql -l lists the databases: is the name spelled right?", "database \""},
        {"does not exist", "\\du in psql lists the roles: is the user's name spelled right?", "role \""},
};

const char *pg_hint(const char *words)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		if (strstr(words, hints[i].words) && (!hints[i].also || strstr(words, hints[i].also)))
			return hints[i].hint;
	}
	return NULL;
}
