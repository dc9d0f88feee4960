// SPDX-License-Identifier: Apache-2.0
/*
 * What people do about the common failures of connections and dumps. The rows are tried in the order of the table: the
 * specific before the general.
 *
 * Each is found by its words, where these are always English (libpq's, a pooler's, pg_dump's) or may be (the server's),
 * or by the SQLSTATE. Where a state has several meanings, the function of the server's source that says it tells them
 * apart: those named here are the same from version 9.5 on, unless another one is said.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <string.h>

#define CONNECTION_LIMIT                                                                                     \
	"the role or the database has a connection limit: let the job use fewer connections, or raise it "   \
	"(ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT …)"
#define NO_CONNECTION_LEFT "the server has no connection left: try again, or raise its max_connections"
#define LARGE_OBJECT                                                                                         \
	"large objects belong to roles one by one: dump as their owner or as a superuser, or ALTER ROLE … SET lo_compat_privileges = on"
#define READ_ALL                                                                                             \
	"let the role read everything: GRANT pg_read_all_data TO … (PostgreSQL 14 and newer), or GRANT SELECT on it and USAGE on its schema"
#define WRONG_PASSWORD                                                                                       \
	"the user name or the password is wrong: see the job's database setting, PGUSER, PGPASSWORD and .pgpass"
#define LOST_SNAPSHOT                                                                                        \
	"the session that holds the snapshot has ended, or this one reached another server: "                \
	"see the server's log, and connect to the server itself, not to a pooler"
#define OTHER_SERVER                                                                                         \
	"this connection reached another server than the first one: connect to the server itself, not to a pooler or several hosts"
#define LOCK_TIMEOUT                                                                                         \
	"somebody holds a lock on that table: try again at a quieter time, or raise the job's lock_wait_timeout"
#define NO_REPLICATION "let the role replicate, which base backups are made by: ALTER ROLE … REPLICATION"
#define NO_WAL_SENDER                                                                                        \
	"a base backup needs a WAL sender: raise max_wal_senders in postgresql.conf (0 allows none at all) and restart the server, or see who uses them (pg_stat_replication)"
#define WAL_LEVEL "set wal_level = replica in postgresql.conf and restart the server"
#define DAMAGED   "the server's data is damaged: see its log, and the documentation of pg_amcheck"

struct hint {
	const char *hint;
	const char *state;    /* NULL: by words alone */
	const char *function; /* NULL: whichever says it */
	const char *words;    /* NULL: by the state alone */
	const char *also;     /* the words must hold this too, whatever else is found; NULL: nothing */
};

static const struct hint hints[] = {
        {"the role must be allowed to see every row: ALTER ROLE … BYPASSRLS, or dump as the owner of the tables or a superuser",
         "42501", "check_enable_rls", "row-level security"},
        {"grant the role the right to connect: GRANT CONNECT ON DATABASE … TO …", "42501", "CheckMyDatabase",
         "permission denied for database"},
        {LARGE_OBJECT, "42501", "inv_open", "permission denied for large object"},
        {LARGE_OBJECT, "42501", "lo_read"}, /* before 11 */
        {"let the connection's role become it: GRANT … TO …", .words = "permission denied to set role"},
        {READ_ALL, "42501", "aclcheck_error", "permission denied for"},
        {READ_ALL, "42501", "pg_sequence_last_value"},
        {"install the client programs of the server's version, or name their directory: "
         "pg_bindir",
         .words = "server version mismatch"},
        {"the database has more tables than the server has locks for one transaction: "
         "raise max_locks_per_transaction in postgresql.conf and restart the server",
         .words = "max_locks_per_transaction"},
        {"the server has no room for more locks: raise max_locks_per_transaction in postgresql.conf and restart the server",
         .words = "out of shared memory"},
        {"give the password in .pgpass, PGPASSWORD or the connection string of the job",
         .words = "no password supplied"},
        {WRONG_PASSWORD, "28P01", NULL, "password authentication failed"},
        {"over the socket the server wants a system user of the same name as the role: run as that user, or connect with host=localhost and a password",
         "28000", "auth_failed", "Peer authentication failed", "on socket"},
        {"a line of pg_hba.conf for all databases does not allow replication: add a line to it, such as: host replication ROLE ADDRESS scram-sha-256; then SELECT pg_reload_conf()",
         .words = "replication connection", .also = "pg_hba.conf"},
        {NO_REPLICATION, .words = "must be superuser or replication role"},
        {NO_REPLICATION, .words = "permission denied to start WAL sender"},
        {NO_WAL_SENDER, .words = "max_wal_senders"},
        {WAL_LEVEL, "55000", "do_pg_backup_start", "WAL level not sufficient"},
        {WAL_LEVEL, "55000", "do_pg_start_backup", "WAL level not sufficient"}, /* before 15 */
        {"the server has removed WAL while the base backup was made that it needs: raise wal_keep_size in postgresql.conf",
         "58P01", NULL, "has already been removed", "WAL segment"},
        {"the server does not let this role in from here: add a line to its pg_hba.conf", "28000",
         "ClientAuthentication", "no pg_hba.conf entry"},
        {"\\du in psql lists the roles: is the user's name spelled right, and may it log in?", "28000",
         "InitializeSessionUserId"},
        {"the database takes no connections, and no backup of it can be made: leave it out of the job, or ALTER DATABASE … ALLOW_CONNECTIONS true",
         "55000", "CheckMyDatabase", "is not currently accepting connections"},
        {"a DROP DATABASE of it was interrupted, and nothing in it can be read: leave it out of the job, and drop it",
         "55000", "InitPostgres", "cannot connect to invalid database"},
        {CONNECTION_LIMIT, "53300", "InitializeSessionUserId", "too many connections for"},
        {CONNECTION_LIMIT, "53300", "CheckMyDatabase"},
        {NO_CONNECTION_LEFT, "53300", NULL, "too many clients"},
        {NO_CONNECTION_LEFT, .words = "remaining connection slots"},
        {"the server is starting or stopping: try again when it accepts connections", "57P03", NULL,
         "the database system is"},
        {"a socket's directory is given as host=/directory", .words = "No such file or directory",
         .also = "on socket"},
        {"is the host's name spelled right, and does the name server answer?",
         .words = "could not translate host name"},
        {"the pooler gives each statement another session of the server, over which nothing can be backed up: "
         "connect to the server itself, or to a pool with pool_mode = session",
         .words = "statement pooling mode"},
        {"the pooler had no session of the server left: raise its pool_size, or connect to the server itself",
         .words = "query_wait_timeout"},
        {"the server is overloaded or hangs, or something else listens there: see its log, and that of a pooler before it",
         .words = "took the connection but gave no answer"},
        {"is its address right, is it up, and does a firewall let this host in?",
         .words = "gave no answer within"},
        {"the host does not answer: is its address right, and does a firewall let this host in?",
         .words = "timeout expired"},
        /* What reads only, in one snapshot, fails with that state for no other reason. */
        {"the standby had to apply changes that this backup still needed the old state of: "
         "set hot_standby_feedback = on there, raise max_standby_streaming_delay, or back up the primary",
         "40001", NULL, "conflict with recovery"},
        {"the server threw away rows that this backup still needed: set old_snapshot_threshold = -1 in postgresql.conf and restart the server",
         "72000", NULL, "snapshot too old"},
        {LOST_SNAPSHOT, "55000", "SnapBuildInitialSnapshot", "could not import the requested snapshot"},
        {LOST_SNAPSHOT, "55000", "SetTransactionSnapshot"},
        {OTHER_SERVER, "22023", "ImportSnapshot", "invalid snapshot identifier"},
        {OTHER_SERVER, "42704", "ImportSnapshot", "does not exist", "snapshot"}, /* from 17 on */
        {"this connection reached another database than the first one: see the pooler's configuration",
         "0A000", "ImportSnapshot", "snapshot from a different database"},
        {"the server was stopped or the session was ended there: run the backup again", "57P01", NULL,
         "administrator command"},
        {"the server stopped or crashed, or the network broke: see the server's log, then run the backup again",
         "57P02", NULL, "server closed the connection"},
        {"the connection broke: see the server's log and the network",
         .words = "could not receive data from server"},
        {LOCK_TIMEOUT, "55P03", "ProcessInterrupts", "due to lock timeout"},
        {"somebody holds or awaits an exclusive lock on that table (ALTER TABLE, TRUNCATE, VACUUM FULL): try again at a quieter time",
         "55P03", NULL, "could not obtain lock"},
        {"somebody holds a lock on that table for longer than lock_wait_timeout: try again at a quieter time, or give it longer",
         .words = "due to statement timeout", .also = "LOCK TABLE"},
        {"the role or the database has a statement_timeout: ALTER ROLE … SET statement_timeout = 0",
         .words = "due to statement timeout"},
        {"somebody cancelled the statement at the server: run the backup again",
         .words = "due to user request"},
        {"somebody cancelled the statement at the server, or a statement_timeout of the role or the database did",
         "57014"},
        {DAMAGED, "XX001", NULL, "invalid page"},
        {DAMAGED, .words = "missing chunk number"},
        {"the server's storage is damaged: see its log, and the documentation of pg_amcheck", "58030", NULL,
         "could not read block"},
        {"the text cannot be written in the client's encoding: "
         "unset PGCLIENTENCODING and the role's client_encoding, so that the dump is in that of the database",
         "22P05", NULL, "has no equivalent in encoding"},
        {"a text in the table is not valid in the database's encoding: "
         "find and mend that row, or dump in the database's own encoding (unset PGCLIENTENCODING)",
         "22021", NULL, "invalid byte sequence for encoding"},
        {"a disk of the server or of this host is full: see the path in the message", "53100", NULL,
         "No space left on device"},
        {"perhaps the system ran out of memory: see its log (dmesg)", .words = "signal 9"},
        {"psql -l lists the databases: is the name spelled right?", "3D000", NULL, "does not exist",
         "database \""},
        {"\\du in psql lists the roles: is the user's name spelled right, and may it log in?",
         .words = "does not exist", .also = "role \""},
};

static bool has_state(const struct pg_complaint *c, const struct hint *h)
{
	if (!h->state || !str_equal(str_or_empty(c->state), h->state))
		return false;
	return !h->function || str_equal(str_or_empty(c->function), h->function);
}

static bool has_words(const struct pg_complaint *c, const struct hint *h)
{
	return h->words && strstr(c->words, h->words) && (!h->also || strstr(c->words, h->also));
}

const char *pg_hint(const struct pg_complaint *complaint)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		if (has_state(complaint, &hints[i]) || has_words(complaint, &hints[i]))
			return hints[i].hint;
	}
	return NULL;
}
