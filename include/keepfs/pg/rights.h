// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a role needs to make backups, and the statements that give it just that. They are written for people, and for psql;
 * nothing here changes anything at a server. Names in them are quoted, whatever they hold.
 *
 * What is needed: LOGIN; CONNECT to each database; to read tables and sequences (pg_read_all_data from version 14 on, before
 * that USAGE and SELECT of each schema, and of what is made later); BYPASSRLS where tables have row security, since pg_dump
 * refuses to dump a part of the rows; and large objects, which belong to roles one by one: pg_read_all_data covers them from
 * version 19 on, default privileges exist from version 18 on, and before that only lo_compat_privileges lets somebody read
 * those that others will make, and write them, too. Passwords of roles are hashes in pg_authid, which pg_read_all_data reads
 * as well; before version 14 it is read by superusers, and by whoever is granted SELECT on it. Neither REPLICATION nor pg_read_all_settings is needed.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <stdbool.h>

/** pg_fix_rights() - heap: the statement, on one line, that lets the role of @facts read what it may not read now: one thing
 * at a time, as pg_learn() tells them; NULL when nothing is missing. @large_objects: they are dumped, too. */
char *pg_fix_rights(const struct pg_facts *facts, bool large_objects);

/**
 * pg_fix_refusal() - what lets pg_learn() in, after it failed with @err
 * Return: heap: a statement, a command, or a line of a file that it names; one line. NULL when nothing is known.
 */
char *pg_fix_refusal(const char *conninfo, const char *database, const struct error *err);

/** struct pg_role_request - for whom, and what a role shall read */
struct pg_role_request {
	const char *title;            /* of the job, for people: "[backup full]"; one line */
	const char *conninfo;         /* of the job: its user is the role, unless that is a superuser */
	const char *const *databases; /* NULL-terminated; NULL or none: the one that @conninfo names */
	bool large_objects;           /* they are dumped */
	bool globals;                 /* roles are dumped, too */
	bool exports;                 /* the job makes exports of tenants */
	const char *
	        context_role; /* of exports: the one within whose rights a tenant's rows are read; NULL or "": none */
};
/**
 * pg_role_script() - append a script for psql that makes a role of just these rights, for a superuser to run
 *
 * It can be run again, changes nothing but that role and what it is granted, and moves from database to database by
 * \connect. Asks the server what is needed, within pg_learn()'s limits; where it cannot be asked (the role is not there yet), the
 * script asks when it is run. Blocks.
 */
void pg_role_script(const struct pg_role_request *request, struct str *out);
