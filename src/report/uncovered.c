// SPDX-License-Identifier: Apache-2.0
/* See keepfs/report/uncovered.h. The catalog must not be called while it calls back: what servers have is gathered first. */
#include <keepfs/report/uncovered.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/members.h>
#include <keepfs/pg.h>
#include <keepfs/policy/databases.h>

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct server_database {
	char *server, *name;
	bool is_covered;
};

struct uncovered {
	struct server_database *items;    /* in the catalog's order, in which they are told */
	struct server_database **by_name; /* then by server: a job's names are looked up */
	size_t count;
};

static void cleanup_uncovered(struct uncovered *u)
{
	for (size_t i = 0; i < u->count; i++) {
		free(u->items[i].server);
		free(u->items[i].name);
	}
	free(u->items);
	free(u->by_name);
}

static void gather_database(void *arg, const char *server, const char *name)
{
	struct uncovered *u = arg;

	if ((u->count & (u->count - 1)) == 0)
		u->items = mem_resize(u->items, u->count ? 2 * u->count : 1, sizeof(*u->items));
	u->items[u->count++] =
	        (struct server_database){.server = mem_strdup(server), .name = mem_strdup(name)};
}

static int compare_server_databases(const void *a, const void *b)
{
	const struct server_database *x = *(struct server_database *const *)a,
	                             *y = *(struct server_database *const *)b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->server, y->server);
}

static void sort_by_name(struct uncovered *u)
{
	u->by_name = mem_array(u->count + 1, sizeof(struct server_database *));
	for (size_t i = 0; i < u->count; i++)
		u->by_name[i] = &u->items[i];
	qsort(u->by_name, u->count, sizeof(struct server_database *), compare_server_databases);
}

/* The place of the first that is not before @name of @server; "" is before all servers. */
static size_t find_by_name(const struct uncovered *u, const char *name, const char *server)
{
	struct server_database key = {.server = (char *)server, .name = (char *)name};
	const struct server_database *wanted = &key;
	size_t low = 0, high = u->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_server_databases(&u->by_name[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* What one job is of. */

struct covering {
	struct uncovered *of;
	char server[256]; /* "": not known */
};

static void cover(struct covering *c, const char *name)
{
	struct uncovered *u = c->of;

	for (size_t i = find_by_name(u, name, c->server); i < u->count; i++) {
		struct server_database *d = u->by_name[i];

		if (strcmp(d->name, name) != 0 || (c->server[0] && strcmp(d->server, c->server) != 0))
			return;
		d->is_covered = true;
	}
}

static void cover_member(void *arg, const struct catalog_member *m)
{
	cover(arg, m->name);
}

static void cover_own(struct covering *c, const struct conf_job *job)
{
	_cleanup(free) char *own = pg_conninfo_database(job->dump.database);

	cover(c, own);
}

static int cover_job(struct uncovered *u, struct catalog *catalog, const struct conf_job *job)
{
	struct covering c = {.of = u};
	int r = catalog_job_server(catalog, job->name, c.server, sizeof(c.server));

	if (r < 0 && r != -ENOENT)
		return r;
	switch (databases_kind_of(job->dump.databases)) {
	case DATABASES_OWN:
		cover_own(&c, job);
		return 0;
	case DATABASES_NAMED:
		for (size_t i = 0; job->dump.databases[i]; i++)
			cover(&c, job->dump.databases[i]);
		return 0;
	default:
		return catalog_each_member(catalog, job->name, false, cover_member, &c);
	}
}

static bool is_ignored(const struct conf *conf, const char *name)
{
	for (size_t i = 0; conf->ignore_databases && conf->ignore_databases[i]; i++)
		if (fnmatch(conf->ignore_databases[i], name, 0) == 0)
			return true;
	return false;
}

int report_uncovered(const struct conf *conf, struct catalog *catalog,
                     void (*row)(void *arg, const char *server, const char *name), void *arg)
{
	_cleanup(uncovered) struct uncovered u = {0};
	int r = catalog_each_server_database(catalog, gather_database, &u);

	if (r == 0)
		sort_by_name(&u);
	for (size_t i = 0; r == 0 && u.count > 0 && i < conf->job_count; i++)
		if (conf->jobs[i].kind == CONF_JOB_DUMP)
			r = cover_job(&u, catalog, &conf->jobs[i]);
	for (size_t i = 0; r == 0 && i < u.count; i++)
		if (!u.items[i].is_covered && !is_ignored(conf, u.items[i].name))
			row(arg, u.items[i].server, u.items[i].name);
	return r;
}
