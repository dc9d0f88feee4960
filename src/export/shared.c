// SPDX-License-Identifier: Apache-2.0
/* What the exports of one run have in common. Hundreds of tenants of one database are read over a few connections, each in a snapshot of its own. */
#include "export.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>

struct export_shared *export_shared_new(void)
{
	struct export_shared *shared = mem_alloc(sizeof(*shared));

	pthread_mutex_init(&shared->lock, NULL);
	shared->connections = 1;
	return shared;
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

/* Lanes. */

static void cancel_lane(void *arg)
{
	cancel_set(&((struct export_lane *)arg)->cancel);
}

static struct export_lane *new_lane(struct cancel *cancel, struct decided *decided)
{
	struct export_lane *lane = mem_alloc(sizeof(*lane));

	lane->decided = decided ? decided : mem_alloc(sizeof(*lane->decided));
	cancel_init(&lane->cancel);
	lane->outer = (struct cancel_hook){.wake = cancel_lane, .arg = lane};
	lane->outer_cancel = cancel;
	cancel_add_hook(cancel, &lane->outer);
	return lane;
}

void export_lane_disconnect(struct export_lane *lane)
{
	lane->session = pg_session_free(lane->session);
	lane->outside = pg_session_free(lane->outside);
	free(lane->session_database);
	lane->session_database = NULL;
}

static void free_lane(struct export_lane *lane)
{
	cancel_remove_hook(lane->outer_cancel, &lane->outer);
	export_lane_disconnect(lane);
	if (lane->decided)
		decided_finish(lane->decided);
	free(lane->decided);
	cancel_finish(&lane->cancel);
	free(lane);
}

struct export_lane *export_lane_take(struct export_shared *shared, struct cancel *cancel)
{
	struct export_lane *lane;

	pthread_mutex_lock(&shared->lock);
	shared->in_use++;
	lane = shared->idle;
	if (lane)
		shared->idle = lane->next;
	pthread_mutex_unlock(&shared->lock);
	return lane ? lane : new_lane(cancel, NULL);
}

/* What was decided outlives a failure; in whatever state its transaction is, nobody else shall find it. */
void export_lane_give(struct export_shared *shared, struct export_lane *lane, bool is_sound)
{
	struct export_lane *fresh;

	if (!lane)
		return;
	if (!is_sound) {
		fresh = new_lane(lane->outer_cancel, take_ptr(&lane->decided));
		free_lane(lane);
		lane = fresh;
	}
	pthread_mutex_lock(&shared->lock);
	shared->in_use--;
	lane->next = shared->idle;
	shared->idle = lane;
	pthread_mutex_unlock(&shared->lock);
}

unsigned export_shared_more(struct export_shared *shared, unsigned wanted)
{
	unsigned left;

	pthread_mutex_lock(&shared->lock);
	left = shared->in_use < shared->connections ? shared->connections - shared->in_use : 0;
	if (wanted > left)
		wanted = left;
	shared->in_use += wanted;
	pthread_mutex_unlock(&shared->lock);
	return wanted;
}

void export_shared_less(struct export_shared *shared, unsigned count)
{
	pthread_mutex_lock(&shared->lock);
	shared->in_use -= count;
	pthread_mutex_unlock(&shared->lock);
}

void export_shared_free(void *p)
{
	struct export_shared *shared = p;

	if (!shared)
		return;
	for (size_t i = 0; i < shared->count; i++)
		export_tenant_finish(&shared->tenants[i]);
	free(shared->tenants);
	while (shared->idle) {
		struct export_lane *lane = shared->idle;

		shared->idle = lane->next;
		free_lane(lane);
	}
	pthread_mutex_destroy(&shared->lock);
	free(shared->told);
	free(shared->telling);
	free(shared);
}

/* Warnings. */

static char *tables_told_of(const struct decided *d)
{
	return mem_printf("%s\n%s\n%s", str_or_empty(d->mark), str_or_empty(d->database),
	                  str_or_empty(d->schema));
}

bool export_shared_claim_told(struct export_shared *shared, const struct decided *d)
{
	_cleanup(free) char *what = tables_told_of(d);
	bool is_mine;

	pthread_mutex_lock(&shared->lock);
	is_mine = !str_equal(shared->telling, what) && !str_equal(shared->told, what);
	/* Of schemas of their own each has its own to tell, so one is enough to remember. */
	if (is_mine && !shared->telling)
		shared->telling = take_ptr(&what);
	pthread_mutex_unlock(&shared->lock);
	return is_mine;
}

void export_shared_told(struct export_shared *shared, const struct decided *d, bool has_told)
{
	_cleanup(free) char *what = tables_told_of(d), *before = NULL;

	pthread_mutex_lock(&shared->lock);
	if (str_equal(shared->telling, what))
		before = take_ptr(&shared->telling);
	if (has_told) {
		free(shared->told);
		shared->told = take_ptr(&what);
	}
	pthread_mutex_unlock(&shared->lock);
}

/* Tenants. */

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

int export_lane_connect(struct export_lane *lane, const struct conf_export *conf, const char *database,
                        struct error *err)
{
	int r;

	if (lane->session && str_equal(lane->session_database, database))
		return 0;
	export_lane_disconnect(lane);
	r = pg_session_open(conf->database, database, "keepfs export", &lane->cancel, &lane->session, err);
	if (r == 0)
		lane->session_database = mem_strdup(database);
	return r;
}

int export_lane_look_outside(struct export_lane *lane, const struct conf_export *conf, struct error *err)
{
	return lane->outside ? 0
	                     : pg_session_open(conf->database, lane->session_database, "keepfs export",
	                                       &lane->cancel, &lane->outside, err);
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
