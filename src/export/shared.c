// SPDX-License-Identifier: Apache-2.0
/* What the exports of one run have in common. Hundreds of tenants of one database are read over one connection, each in a snapshot of its own. */
#include "export.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>

struct export_shared *export_shared_new(void)
{
	return mem_alloc(sizeof(struct export_shared));
}

void export_shared_disconnect(struct export_shared *shared)
{
	shared->session = pg_session_free(shared->session);
	free(shared->session_database);
	shared->session_database = NULL;
}

void export_tenant_finish(struct export_tenant *t)
{
	free(t->id);
	free(t->slug);
	free(t->name);
	free(t->class);
	for (size_t i = 0; i < PG_TENANT_PLACES; i++)
		free(t->place[i]);
	free(t->uid);
	free(t->gid);
	free(t->own);
}

void export_shared_free(void *p)
{
	struct export_shared *shared = p;

	if (!shared)
		return;
	for (size_t i = 0; i < shared->count; i++)
		export_tenant_finish(&shared->tenants[i]);
	free(shared->tenants);
	decided_finish(&shared->decided);
	export_shared_disconnect(shared);
	free(shared);
}

static int compare_to_slug(const void *key, const void *item)
{
	return strcmp(key, ((const struct export_tenant *)item)->slug);
}

const struct export_tenant *export_shared_find(const struct export_shared *shared, const char *slug)
{
	return shared->count == 0 ? NULL
	                          : bsearch(slug, shared->tenants, shared->count, sizeof(*shared->tenants),
	                                    compare_to_slug);
}

int export_shared_connect(struct export_shared *shared, const struct conf_export *conf, const char *database,
                          struct cancel *cancel, struct error *err)
{
	int r;

	if (shared->session && str_equal(shared->session_database, database))
		return 0;
	export_shared_disconnect(shared);
	r = pg_session_open(conf->database, database, "keepfs export", cancel, &shared->session, err);
	if (r == 0)
		shared->session_database = mem_strdup(database);
	return r;
}

static void append_filled(struct str *out, const char *template, const struct export_tenant *t)
{
	for (const char *at = template; *at; at++) {
		if (str_starts(at, "{slug}")) {
			str_append(out, t->slug);
			at += strlen("{slug}") - 1;
		} else if (str_starts(at, "{id}")) {
			str_append(out, t->id);
			at += strlen("{id}") - 1;
		} else {
			str_append_char(out, *at);
		}
	}
}

char *export_template(const char *template, const struct export_tenant *t)
{
	struct str out = {0};

	append_filled(&out, template, t);
	return str_take(&out);
}

bool export_context_of(const struct conf_export *conf, const struct export_tenant *t,
                       struct export_context *ret)
{
	size_t count = 0;

	while (conf->settings && conf->settings[count])
		count++;
	*ret = (struct export_context){0};
	if (count == 0 && !*str_or_empty(conf->role))
		return false;
	ret->settings = mem_array(count + 1, sizeof(*ret->settings));
	for (size_t i = 0; i < count; i++)
		ret->settings[i] = export_template(conf->settings[i], t);
	ret->context.role = *str_or_empty(conf->role) ? conf->role : NULL;
	ret->context.settings = count > 0 ? (const char *const *)ret->settings : NULL;
	return true;
}

void export_context_finish(struct export_context *c)
{
	for (size_t i = 0; c->settings && c->settings[i]; i++)
		free(c->settings[i]);
	free(c->settings);
	*c = (struct export_context){0};
}
