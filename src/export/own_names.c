// SPDX-License-Identifier: Apache-2.0
/*
 * The schema or the database of a tenant. Its name comes from a slug, which often somebody outside has chosen, so it must never lead to what is not
 * a tenant's: the schema of all, the system's, that in which the tenants stand.
 */
#include "export.h"

#include <keepfs/pg.h>

#include <ctype.h>
#include <string.h>

#define SERVER_NAME_MAX_BYTES                                                                                \
	63 /* NAMEDATALEN - 1: servers cut what is longer, and two names may be one then */

char *export_own_name(const struct conf_export *conf, const struct export_tenant *t)
{
	switch ((enum tenancy_kind)conf->tenancy) {
	case TENANCY_SCHEMA:
		return export_template(conf->tenant_schema, t);
	case TENANCY_DATABASE:
		return export_template(conf->tenant_database, t);
	case TENANCY_COLUMN:
		break;
	}
	return NULL;
}

static bool is_one_of_names(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(name, names[i]))
			return true;
	return false;
}

/* Is it "SCHEMA." that stands here, with or without quotes? Without them a server folds it. */
static bool names_schema(const char *text, const char *schema)
{
	size_t len = strlen(schema);

	if (*text == '"')
		return strncmp(text + 1, schema, len) == 0 && str_starts(text + 1 + len, "\".");
	return strncasecmp(text, schema, len) == 0 && text[len] == '.';
}

static const char *behind_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	if (strncasecmp(text, word, len) != 0 || !isspace((unsigned char)text[len]))
		return NULL;
	for (text += len; isspace((unsigned char)*text);)
		text++;
	return text;
}

/* Does the query read a table of it? */
static bool asks_in_schema(const char *query, const char *schema)
{
	for (const char *at = query; *at; at++) {
		const char *table;

		if (at > query && !isspace((unsigned char)at[-1]) && at[-1] != ')')
			continue;
		table = behind_word(at, "from");
		if (!table)
			table = behind_word(at, "join");
		if (table && names_schema(table, schema))
			return true;
	}
	return false;
}

static bool is_schema_of_shared(const struct conf_export *conf, const char *schema)
{
	for (size_t i = 0; conf->shared && conf->shared[i]; i++)
		if (names_schema(conf->shared[i], schema))
			return true;
	return false;
}

static const char *schema_problem(const struct conf_export *conf, const char *schema)
{
	if (str_equal(schema, "public"))
		return "is that of all";
	if (str_starts(schema, "pg_") || str_equal(schema, "information_schema"))
		return "is the system's";
	if (asks_in_schema(conf->tenants, schema))
		return "is the one that the query of the tenants reads";
	return is_schema_of_shared(conf, schema) ? "has tables that shared names" : NULL;
}

static const char *database_problem(const struct conf_export *conf, const char *database)
{
	static const char *const systems[] = {"postgres", "template0", "template1"};
	_cleanup(free) char *own = pg_conninfo_database(conf->database);

	if (is_one_of_names(database, systems, ARRAY_SIZE(systems)))
		return "is the system's";
	return str_equal(database, own) ? "is the one that is asked for the tenants" : NULL;
}

const char *export_own_name_problem(const struct conf_export *conf, const char *name)
{
	if (!*name)
		return "has no name";
	if (strlen(name) > SERVER_NAME_MAX_BYTES)
		return "has a name of more than 63 bytes";
	return conf->tenancy == TENANCY_SCHEMA ? schema_problem(conf, name) : database_problem(conf, name);
}
