// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a server must have before something is restored to it, and what kind of database is to be restored over: asked before anything is
 * changed. Each call opens a session of its own. Blocks; failures as keepfs/pg/session.h says.
 */
#include <keepfs/pg/manage.h>

enum pg_needed { PG_NEEDED_ROLES, PG_NEEDED_EXTENSIONS, PG_NEEDED_TABLESPACES };

/**
 * pg_names_lacking() - append those of @names (NULL-terminated) that the server does not have, in their order by name: "a, b"
 * @database: what is there already counts, too: an extension of it whose files are gone; NULL: none.
 */
int pg_names_lacking(const struct pg_server_place *place, const char *database, enum pg_needed what,
                     const char *const *names, struct str *ret, struct error *err);

struct pg_database_nature {
	bool is_template;
	bool takes_connections; /* of anybody */
};
/** pg_database_nature() - @ret is zeroed where there is no such database. */
int pg_database_nature(const struct pg_server_place *place, const char *database,
                       struct pg_database_nature *ret, struct error *err);
