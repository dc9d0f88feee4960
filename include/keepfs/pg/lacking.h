// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a server must have before something is restored to it, and what kind of database is to be restored over: asked before anything is
 * changed. Each call opens a session of its own. Blocks; failures as keepfs/pg/session.h says.
 */
#include <keepfs/base/str.h>
#include <keepfs/pg/manage.h>
#include <keepfs/pg/session.h>

enum pg_needed { PG_NEEDED_ROLES, PG_NEEDED_EXTENSIONS, PG_NEEDED_TABLESPACES, PG_NEEDED_SETTINGS };

/**
 * pg_names_lacking() - append those of @names (NULL-terminated) that the server does not have, in their order by name: "a, b"
 * @database: what is there already counts, too: an extension of it whose files are gone; NULL: none.
 */
int pg_names_lacking(const struct pg_server_place *place, const char *database, enum pg_needed what,
                     const char *const *names, struct str *ret, struct error *err);

struct pg_relation_name { /* heap, for the caller to free */
	char *schema, *name;
};
/** pg_relations_there() - append the first few of @names that are tables, views, sequences, indexes or types of rows in the session's database, "public.orders,
 * public.customers, …". One statement: so @count is some hundreds at most. */
int pg_relations_there(struct pg_session *s, const struct pg_relation_name *names, size_t count,
                       struct str *ret, struct error *err);

struct pg_database_nature {
	bool is_template;
	bool takes_connections; /* of anybody */
};
/** pg_database_nature() - @ret is zeroed where there is no such database. */
int pg_database_nature(const struct pg_server_place *place, const char *database,
                       struct pg_database_nature *ret, struct error *err);
