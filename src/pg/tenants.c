// SPDX-License-Identifier: Apache-2.0
/*
 * Who the tenants are. The columns of the answer are found by their names, and one that is there twice is refused: a join with
 * SELECT * has two of the name id, and the first of them may be another table's.
 */
#include "registry.h"

#include <keepfs/base/str.h>
#include <keepfs/pg/tenancy.h>

#include <errno.h>

enum {
	TENANT_ID,
	TENANT_SLUG,
	TENANT_NAME,
	TENANT_CLASS,
	TENANT_UID,
	TENANT_GID,
	TENANT_PLACE,
	TENANT_COLUMNS = TENANT_PLACE + PG_TENANT_PLACES
};
static const char *const tenant_column_names[TENANT_COLUMNS] = {"id",
                                                                "slug",
                                                                "name",
                                                                "class",
                                                                "uid",
                                                                "gid",
                                                                "store",
                                                                "store_url",
                                                                "store_bucket",
                                                                "store_endpoint",
                                                                "store_region",
                                                                "store_credentials",
                                                                "store_provider"};

struct tenants_answer {
	int (*take)(void *arg, const struct pg_tenant *tenant, struct error *err);
	void *arg;
	size_t count;
};

/* The place of a column; -1: there is none, -2: there are several. */
static int find_answer_column(const PGresult *rows, const char *name)
{
	int found = -1;

	for (int i = 0; i < PQnfields(rows); i++) {
		if (!str_equal(PQfname(rows, i), name))
			continue;
		if (found >= 0)
			return -2;
		found = i;
	}
	return found;
}

static int refuse_tenants_columns(const PGresult *rows, const char *name, struct error *err)
{
	_cleanup(str) struct str have = {0};

	for (int i = 0; i < PQnfields(rows); i++)
		str_appendf(&have, "%s%s", i > 0 ? ", " : "", PQfname(rows, i));
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the query of tenants gives no column %s, but has to give id (the value by which rows are told to be a tenant's) and slug (the name of its directory), and may give name, class, uid and gid, and where exports go (store, or store_url and the like): it gives %s: name one with AS, as in SELECT org_id AS id, short_name AS slug FROM …",
	        name, have.len > 0 ? str_text(&have) : "none");
}

static int find_tenant_columns(const PGresult *rows, int ret[static TENANT_COLUMNS], struct error *err)
{
	for (int i = 0; i < TENANT_COLUMNS; i++) {
		ret[i] = find_answer_column(rows, tenant_column_names[i]);
		if (ret[i] == -2)
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the query of tenants gives several columns %s, and which of them is meant cannot be told: name its columns one by one, without *",
			        tenant_column_names[i]);
		if (ret[i] < 0 && i <= TENANT_SLUG)
			return refuse_tenants_columns(rows, tenant_column_names[i], err);
	}
	return 0;
}

static const char *tenant_value(const PGresult *rows, int row, int column)
{
	return column < 0 || PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

static int take_tenants(void *arg, const PGresult *rows, struct error *err)
{
	struct tenants_answer *a = arg;
	int at[TENANT_COLUMNS];
	int r = find_tenant_columns(rows, at, err);

	for (int row = 0; r >= 0 && row < PQntuples(rows); row++) {
		struct pg_tenant tenant = {
		        .id = tenant_value(rows, row, at[TENANT_ID]),
		        .slug = tenant_value(rows, row, at[TENANT_SLUG]),
		        .name = tenant_value(rows, row, at[TENANT_NAME]),
		        .class = tenant_value(rows, row, at[TENANT_CLASS]),
		        .uid = tenant_value(rows, row, at[TENANT_UID]),
		        .gid = tenant_value(rows, row, at[TENANT_GID]),
		};

		for (int i = 0; i < PG_TENANT_PLACES; i++)
			tenant.place[i] = tenant_value(rows, row, at[TENANT_PLACE + i]);
		if (++a->count > PG_TENANTS_MAX)
			return error_set(
			        err, ERROR_USAGE, E2BIG,
			        "more than %d tenants are named: does the query have a WHERE, and no join that repeats rows?",
			        PG_TENANTS_MAX);
		r = a->take(a->arg, &tenant, err);
	}
	return r < 0 ? r : 0;
}

int pg_ask_tenants(const char *conninfo, const char *query, struct cancel *cancel,
                   int (*take)(void *arg, const struct pg_tenant *tenant, struct error *err), void *arg,
                   struct error *err)
{
	struct tenants_answer answer = {.take = take, .arg = arg};

	return registry_ask(conninfo, NULL, query, cancel, take_tenants, &answer, err);
}
