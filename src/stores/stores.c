// SPDX-License-Identifier: Apache-2.0
/*
 * The stores that are open. Each has its settings and its connections for itself. Whoever asks is given a handle, which keeps the store open; one that was
 * changed in the configuration, or whose credentials are others by now, is opened anew, and the old one is closed when its last handle has gone.
 */
#include "stores_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/net.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define OTHER_CONNECTIONS 8 /* beside those for reading */

struct opened {
	struct stores *stores;
	struct settings settings;
	struct store *store;
	struct net *net;     /* NULL: of a directory */
	unsigned handles;    /* lock */
	uint64_t used;       /* lock: when it was last asked for */
	struct opened *next; /* lock */
};

struct stores {
	struct stores_options options;
	struct conf_live *live;
	pthread_mutex_t lock;
	struct opened *list; /* lock */
	unsigned count;      /* lock */
	uint64_t uses;       /* lock */
	struct store *main;  /* NULL: there is none */
};

struct stores *stores_new(const struct stores_options *options)
{
	struct stores *s = mem_alloc(sizeof(*s));

	s->options = *options;
	if (!s->options.kept_open)
		s->options.kept_open = STORES_KEPT_OPEN;
	pthread_mutex_init(&s->lock, NULL);
	if (options->main)
		s->main = store_elsewhere_new(
		        options->main, &(struct store_elsewhere){.open = stores_open_adopted, .arg = s});
	return s;
}

struct store *stores_main(struct stores *s)
{
	return s->main;
}

static void close_opened(struct opened *o)
{
	store_free(o->store);
	net_free(o->net);
	settings_finish(&o->settings);
	free(o);
}

struct stores *stores_free(struct stores *s)
{
	struct opened *o = s ? s->list : NULL;

	if (!s)
		return NULL;
	while (o) {
		struct opened *next = o->next;

		close_opened(o);
		o = next;
	}
	store_free(s->main);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

void stores_follow(struct stores *s, struct conf_live *live)
{
	s->live = live;
}

const struct conf *stores_conf(struct stores *s)
{
	return s->live ? conf_live_ref(s->live) : s->options.conf;
}

void stores_conf_done(struct stores *s, const struct conf *conf)
{
	if (s->live)
		conf_unref(conf);
}

/* With the lock: the one that was used least of those that nobody has, out of the list; NULL: not so many are open. */
static struct opened *take_one_too_many(struct stores *s)
{
	struct opened **oldest = NULL, *o;

	if (s->count <= s->options.kept_open)
		return NULL;
	for (struct opened **at = &s->list; *at; at = &(*at)->next)
		if ((*at)->handles == 0 && (!oldest || (*at)->used < (*oldest)->used))
			oldest = at;
	if (!oldest)
		return NULL;
	o = *oldest;
	*oldest = o->next;
	s->count--;
	return o;
}

static void close_those_too_many(struct stores *s)
{
	struct opened *o;

	do {
		pthread_mutex_lock(&s->lock);
		o = take_one_too_many(s);
		pthread_mutex_unlock(&s->lock);
		if (o)
			close_opened(o);
	} while (o);
}

/* Of a handle: no more than counting, since a handle may be freed with locks of others held. */
static void release_handle(void *arg)
{
	struct opened *o = arg;

	pthread_mutex_lock(&o->stores->lock);
	o->handles--;
	pthread_mutex_unlock(&o->stores->lock);
}

/* With the lock. */
static struct opened *find_opened(struct stores *s, const struct settings *settings)
{
	struct opened *o = s->list;

	while (o && memcmp(o->settings.mark, settings->mark, sizeof(settings->mark)) != 0)
		o = o->next;
	if (o) {
		o->handles++;
		o->used = ++s->uses;
	}
	return o;
}

static int open_driver_of(struct stores *s, const struct conf *conf, struct opened *o, struct error *err)
{
	const struct net_options options = {
	        .ca_file = *o->settings.conf.ca_file ? o->settings.conf.ca_file : NULL,
	        .max_connections = OTHER_CONNECTIONS + (unsigned)conf->read.connections,
	};
	int r = net_new(&options, &o->net, err);

	return r < 0 ? r
	             : store_open_fenced(&o->settings.conf, o->net, s->options.metrics, s->options.fence,
	                                 &o->store, err);
}

/* Two may open the same one at once: the second to be ready is let go of again. */
static struct opened *add_opened(struct stores *s, struct opened *fresh)
{
	struct opened *same;

	pthread_mutex_lock(&s->lock);
	same = find_opened(s, &fresh->settings);
	if (!same) {
		fresh->handles = 1;
		fresh->used = ++s->uses;
		fresh->next = s->list;
		s->list = fresh;
		s->count++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!same)
		return fresh;
	close_opened(fresh);
	return same;
}

static int open_fresh(struct stores *s, const struct conf *conf, struct settings *settings,
                      struct opened **ret, struct error *err)
{
	struct opened *fresh = mem_alloc(sizeof(*fresh));
	int r;

	fresh->stores = s;
	fresh->settings = *settings;
	*settings = (struct settings){0};
	r = open_driver_of(s, conf, fresh, err);
	if (r < 0) {
		close_opened(fresh);
		return r;
	}
	*ret = add_opened(s, fresh);
	return 0;
}

static int open_by(struct stores *s, const struct conf *conf, struct settings *settings, struct opened **ret,
                   struct error *err)
{
	int r = 0;

	if (s->options.retry_deadline_ms)
		settings->conf.retry_deadline_ms = s->options.retry_deadline_ms;
	pthread_mutex_lock(&s->lock);
	*ret = find_opened(s, settings);
	pthread_mutex_unlock(&s->lock);
	if (!*ret)
		r = open_fresh(s, conf, settings, ret, err);
	settings_finish(settings);
	return r;
}

int stores_open_settings(struct stores *s, const struct conf *conf, struct settings *settings,
                         const char *label, struct store **ret_store, struct error *err)
{
	struct opened *o = NULL;
	int r = open_by(s, conf, settings, &o, err);

	if (r < 0)
		error_prefix(err, "%s", label);
	else
		*ret_store = store_handle_new(o->store, label, release_handle, o);
	close_those_too_many(s);
	return r;
}

/* "the store acme (s3://…) of tenant globex" */
char *stores_label(const struct catalog_store *at)
{
	_cleanup(str) struct str text = {0};
	struct str label = {0};

	stores_describe(at, &text);
	str_appendf(&label, "the store %s", str_text(&text));
	if (*str_or_empty(at->tenant))
		str_appendf(&label, " of tenant %s", at->tenant);
	return str_take(&label);
}

int stores_open_at(struct stores *s, const struct catalog_store *at, struct store **ret_store,
                   struct error *err)
{
	const struct conf *conf = stores_conf(s);
	_cleanup(free) char *label = stores_label(at);
	struct settings settings;
	int r = settings_of(conf, at, &settings, err);

	if (r < 0)
		error_prefix(err, "%s", label);
	else
		r = stores_open_settings(s, conf, &settings, label, ret_store, err);
	stores_conf_done(s, conf);
	return r;
}

static int find_store_row(struct stores *s, uint64_t id, struct catalog_store *ret, struct error *err)
{
	int r = s->options.catalog ? catalog_get_store(s->options.catalog, id, ret) : -ENOENT;

	if (r == -ENOENT)
		return error_set(err, ERROR_USAGE, EINVAL, "the catalog does not say where store %llu is",
		                 (unsigned long long)id);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

int stores_open(struct stores *s, uint64_t id, struct store **ret_store, struct error *err)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	int r;

	if (id == CATALOG_MAIN_STORE && !s->main)
		return error_set(err, ERROR_USAGE, EINVAL, "the store could not be opened");
	if (id == CATALOG_MAIN_STORE) {
		*ret_store = store_handle_new(s->main, NULL, NULL, NULL);
		return 0;
	}
	r = find_store_row(s, id, &at, err);
	return r < 0 ? r : stores_open_at(s, &at, ret_store, err);
}

char *stores_name(struct stores *s, uint64_t id)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct str text = {0};

	if (id == CATALOG_MAIN_STORE || find_store_row(s, id, &at, NULL) < 0)
		return mem_strdup("");
	stores_describe(&at, &text);
	return str_take(&text);
}

bool stores_may_have_now(struct stores *s, const struct catalog_store *at, const char *path, const char *job)
{
	const struct conf *conf = stores_conf(s);
	bool may = stores_may_have(conf, at, path, job);

	stores_conf_done(s, conf);
	return may;
}

unsigned stores_opened(struct stores *s)
{
	unsigned count;

	pthread_mutex_lock(&s->lock);
	count = s->count;
	pthread_mutex_unlock(&s->lock);
	return count;
}
