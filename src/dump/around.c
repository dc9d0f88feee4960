// SPDX-License-Identifier: Apache-2.0
/* The databases that the server of a job has: for health, which tells of those that no job backs up. */
#include "dump.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/members.h>
#include <keepfs/pg/databases.h>
#include <keepfs/policy/databases.h>

#include <string.h>

struct around {
	const char *conninfo;
	struct cancel *cancel;
	char **names;
	size_t count;
};

/* That one is made with each server, for tools to connect to; mostly nothing is in it. */
static bool is_unused(const struct around *a, const char *name)
{
	return str_equal(name, "postgres") && pg_database_is_empty(a->conninfo, name, a->cancel, NULL) != 0;
}

static int take_around(void *arg, const char *name, const char *class, struct error *err)
{
	struct around *a = arg;

	if (!name || databases_name_problem(name) || databases_is_providers(name) || is_unused(a, name))
		return 0;
	if ((a->count & (a->count - 1)) == 0)
		a->names = mem_resize(a->names, a->count ? 2 * a->count : 1, sizeof(*a->names));
	a->names[a->count++] = mem_strdup(name);
	return 0;
}

static void cleanup_around(struct around *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->names[i]);
	free(a->names);
}

void dump_look_around(const struct make_context *ctx, const struct conf_job *job,
                      const struct make_target *made, struct cancel *cancel)
{
	_cleanup(around) struct around a = {.conninfo = job->dump.database, .cancel = cancel};
	const char *database = made ? made->name : NULL;
	char server[PG_SERVER_ID_BYTES];
	int r = pg_server_id(a.conninfo, database, cancel, server, NULL);

	if (r == 0)
		r = pg_list_databases(a.conninfo, database, cancel, take_around, &a, NULL);
	if (r == 0)
		catalog_set_server(ctx->repository->catalog, job->name, server, (const char *const *)a.names,
		                   a.count, NULL);
}
