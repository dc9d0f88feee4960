// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Looking at a database that was restored: is it what was backed up, and is it sound? One thread for each session. Failures: negative
 * errno, and @err with the server's words.
 */
#include <keepfs/pg/session.h>
#include <stdint.h>

/** pg_restored_open() - a session that reads one state, with pg_dump's settings. @encoding: of the backup; NULL: the database's */
int pg_restored_open(const char *conninfo, const char *database, const char *encoding, struct cancel *cancel,
                     struct pg_session **ret, struct error *err);
/**
 * pg_restored_table() - the rows of a table as a backup has them: @take for each
 * @copy_stmt: what loads it, from the archive; NULL: all its columns
 * Return: 0; -ENOENT: there is no such table; what @take returned.
 */
int pg_restored_table(struct pg_session *s, const char *schema, const char *table, const char *copy_stmt,
                      pg_take_data take, void *arg, struct error *err);
/** pg_restored_large_objects() - how many there are, and their bytes. */
int pg_restored_large_objects(struct pg_session *s, uint64_t *ret_count, uint64_t *ret_bytes,
                              struct error *err);
/**
 * pg_restored_sequence() - is a sequence where the archive's "SELECT pg_catalog.setval('public.s', 5, true);" sets it?
 * @ret_told: heap: NULL: it is; else what differs, "public.s is 4, true, and not 5, true"
 */
int pg_restored_sequence(struct pg_session *s, const char *setval, char **ret_told, struct error *err);
/** pg_restored_bytes() - pg_database_size(). */
int pg_restored_bytes(struct pg_session *s, uint64_t *ret, struct error *err);

struct pg_soundness {
	/* What was found. @wrong: it is not sound; else something that whoever reads a report should know. */
	void (*found)(void *arg, bool wrong, const char *text);
	void *arg;
	uint64_t indexes, tables, views, constraints; /* that were looked at */
	bool is_of_files; /* the caller's: files were copied, so an index that is not valid was so in the original, too */
	bool amcheck; /* it was there: without it nothing was held against anything, and nothing is proven */
};
/**
 * pg_restored_sound() - do indexes agree with their tables (amcheck), can materialized views be made anew, do
 * constraints hold that were never validated?
 * @s: of pg_session_open(), as a superuser; amcheck is created in a schema of its own
 * Return: 0: all of it was looked at, whatever was found.
 */
int pg_restored_sound(struct pg_session *s, struct pg_soundness *io, struct error *err);

/** pg_restored_ask() - one statement of the configuration: heap: the first column of the first row; NULL: NULL, or no row.
 * Within @limit_ms; else -ETIMEDOUT. */
int pg_restored_ask(const char *conninfo, const char *database, const char *sql, int64_t limit_ms,
                    struct cancel *cancel, char **ret_value, struct error *err);
/** pg_restored_drop() - DROP DATABASE IF EXISTS, with its sessions. @conninfo: of another database of the server. */
int pg_restored_drop(const char *conninfo, const char *database, struct error *err);
/** pg_restored_version() - the number of a server's version, 150018. */
int pg_restored_version(const char *conninfo, struct cancel *cancel, int *ret, struct error *err);

struct pg_rows_read {
	/* A table whose rows cannot be read, and why. */
	void (*failed)(void *arg, const char *text);
	void *arg;
	uint64_t tables, rows; /* that were read */
};
/** pg_restored_read_rows() - read all rows of all tables and materialized views, those of the system, too. @s: of a superuser. 0: all were tried. */
int pg_restored_read_rows(struct pg_session *s, struct pg_rows_read *io, struct error *err);
