// SPDX-License-Identifier: Apache-2.0
/* Roles: what the backup has of its cluster's, for those that the server does not have. Those that are there stay as they are, with their
 * passwords and memberships. A backup has all roles of its cluster, also such as somebody has dropped since: so unless they were asked for,
 * they only are there, to own things and to have rights on them, and nobody can log in by them. */
#include "restore_target.h"
#include "restore_words.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define GLOBALS_MAX_BYTES ((size_t)16 << 20)

static int take_globals(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *script = arg;

	if (script->len + len > GLOBALS_MAX_BYTES)
		return error_set(err, ERROR_USAGE, EFBIG, "the file of the roles is too long");
	str_append_bytes(script, data, len);
	return 0;
}

static bool is_in_list(const char *list, const char *name)
{
	_cleanup(free) char *all = mem_printf(", %s, ", list), *one = mem_printf(", %s, ", name);

	return strstr(all, one) != NULL;
}

static void make_roles(const struct restore_target *t, const struct restore_statements *statements,
                       const struct restore_statements *roles, const char *missing)
{
	const struct pg_server_place place = {.server = t->server, .cancel = t->order->cancel};
	bool as_they_were = t->wanted->roles_given;

	make_say(
	        t->order, "roles that the server does not have, and gets from the backup%s: %s",
	        as_they_were
	                ? ""
	                : " by their names alone, without login, attributes and password (roles=yes: as they were)",
	        missing);
	for (size_t i = 0; i < statements->count; i++) {
		const char *const one[] = {statements->items[i], NULL};
		struct error err = {0};

		/* All that a role may do, and its password, is in these. */
		if (!as_they_were && str_starts(one[0], "ALTER ROLE "))
			continue;
		/* What it says may have a password. */
		if (is_in_list(missing, roles->items[i]) && pg_database_make(&place, one, &err) < 0)
			make_warn(t->order, "the role %s could not be made as it was: SQLSTATE %s",
			          roles->items[i], err.code[0] ? err.code : "unknown");
	}
}

void restore_roles(const struct restore_target *t)
{
	const struct pg_server_place place = {.server = t->server, .cancel = t->order->cancel};
	_cleanup(restore_statements) struct restore_statements statements = {0}, roles = {0};
	_cleanup(str) struct str script = {0}, missing = {0};
	const struct backup_out out = {.write = take_globals, .arg = &script};
	struct catalog_entry file;
	struct error err = {0};
	int r = backup_find(t->backup, "globals.sql.gz", &file);

	if (r == -ENOENT) {
		make_say(t->order,
		         "the backup has no roles (globals = no): those that it names must be there");
		return;
	}
	r = r < 0 ? error_system(&err, -r, "the catalog cannot be read")
	          : backup_read_plain(t->backup, &file, &out, &err);
	if (r == 0)
		restore_role_statements(str_text(&script), &statements, &roles);
	if (r == 0 && roles.count > 0)
		r = pg_roles_missing(&place, (const char *const *)roles.items, &missing, &err);
	if (r < 0)
		make_warn(t->order, "the roles of the backup could not be looked at: %s", err.message);
	else if (missing.len > 0)
		make_roles(t, &statements, &roles, str_text(&missing));
	if (script.data)
		explicit_bzero(script.data, script.len);
}
