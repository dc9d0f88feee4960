// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The SQL text of a schema, as pg_dump and pg_restore write it, taken apart into its objects: each begins with a comment of three lines, whose
 * second is "-- Name: orders; Type: TABLE; Schema: public; Owner: shop" (src/bin/pg_dump/pg_backup_archiver.c, _printTocEntry). What stands before
 * the first one (settings, versions) and behind the last one is no part of any; nor are the settings of the session that pg_dump
 * writes between objects, and empty lines at the ends of an object. Pure: fed with pieces of any size, it keeps one object.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>

struct sql_object {         /* all borrowed for the call */
	const char *name;   /* "orders", "add(integer, integer)", "TABLE orders" of an ACL */
	const char *type;   /* "TABLE", "FUNCTION", "ACL", … */
	const char *schema; /* "-" when it is in none */
	const char *text;   /* its statements, each line with its end */
	size_t len;
};

struct sql_objects;

/** sql_objects_new() - @object is called for each, in order, but for those that are rows, or where a sequence is; a negative return ends the reading with that and @err. */
struct sql_objects *
sql_objects_new(int (*object)(void *arg, const struct sql_object *object, struct error *err), void *arg);
struct sql_objects *sql_objects_free(struct sql_objects *o); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(sql_objects, struct sql_objects *, sql_objects_free)
/** sql_objects_feed() - the next @len bytes. Return: 0; -EFBIG: an object, or a line, is longer than 64 MiB; or what @object returned. */
int sql_objects_feed(struct sql_objects *o, const void *data, size_t len, struct error *err);
/** sql_objects_end() - that was all. Return: 0, or what @object returned. */
int sql_objects_end(struct sql_objects *o, struct error *err);
