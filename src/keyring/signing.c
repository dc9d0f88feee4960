// SPDX-License-Identifier: Apache-2.0
/* The keys of signatures: read whole, then exchanged at once. */
#include <keepfs/keyring/signing.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/conf.h>
#include <keepfs/secret.h>

/* What signing_ref() hands out is its first member. */
struct key_set {
	struct signing_keys keys;
	struct sign_key *key, *old;
	struct signing_publics publics;
	atomic_uint refs;
};

struct signing {
	pthread_mutex_t lock;
	struct key_set *set; /* lock */
};

static void drop_set(struct key_set *set)
{
	if (!set || atomic_fetch_sub(&set->refs, 1) > 1)
		return;
	sign_key_free(set->key);
	sign_key_free(set->old);
	signing_publics_finish(&set->publics);
	free(set);
}

static int read_private(const struct conf_secret *secret, const char *name, const char *const names[static 3],
                        struct sign_key **ret, struct error *err)
{
	_cleanup(free) char *what = mem_printf("[keepfs] %s", name),
	                    *source = mem_printf("[keepfs] %s", conf_secret_key(secret, names));
	_cleanup(secret_text) struct secret_text text = {0};
	int r = secret_get(secret, &(struct secret_use){.what = what, .whole = true}, NULL, &text, err);

	if (r == SECRET_NOWHERE)
		return 0;
	return r < 0 ? r : sign_key_parse(source, text.data, text.len, ret, err);
}

static void believe(struct signing_publics *p, const struct sign_key *key)
{
	if (!key)
		return;
	p->items = mem_resize(p->items, p->count + 1, sizeof(*p->items));
	p->items[p->count++] = *sign_key_public(key);
}

static int read_set(const struct conf *conf, struct key_set *set, struct error *err)
{
	int r = read_private(&conf->signing_key, "signing_key", CONF_SECRET_KEYS("signing_key"), &set->key,
	                     err);

	if (r == 0)
		r = read_private(&conf->signing_key_old, "signing_key_old",
		                 CONF_SECRET_KEYS("signing_key_old"), &set->old, err);
	if (r == 0 && *str_or_empty(conf->verify_key_file))
		r = signing_read_publics("[keepfs] verify_key_file", conf->verify_key_file, &set->publics,
		                         err);
	if (r < 0)
		return r;
	believe(&set->publics, set->key);
	believe(&set->publics, set->old);
	set->keys = (struct signing_keys){.key = set->key,
	                                  .old = set->old,
	                                  .believed = set->publics.items,
	                                  .count = set->publics.count};
	return 0;
}

static int new_set(const struct conf *conf, struct key_set **ret, struct error *err)
{
	struct key_set *set = mem_alloc(sizeof(*set));
	int r;

	atomic_init(&set->refs, 1);
	r = read_set(conf, set, err);
	if (r < 0)
		drop_set(set);
	else
		*ret = set;
	return r;
}

int signing_new(const struct conf *conf, struct signing **ret, struct error *err)
{
	struct key_set *set;
	int r = new_set(conf, &set, err);

	if (r < 0)
		return r;
	*ret = mem_alloc(sizeof(**ret));
	pthread_mutex_init(&(*ret)->lock, NULL);
	(*ret)->set = set;
	return 0;
}

struct signing *signing_free(struct signing *s)
{
	if (!s)
		return NULL;
	drop_set(s->set);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

int signing_read_again(struct signing *s, const struct conf *conf, struct error *err)
{
	struct key_set *set, *before;
	int r = new_set(conf, &set, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->lock);
	before = s->set;
	s->set = set;
	pthread_mutex_unlock(&s->lock);
	drop_set(before);
	return 0;
}

const struct signing_keys *signing_ref(struct signing *s)
{
	struct key_set *set;

	pthread_mutex_lock(&s->lock);
	set = s->set;
	atomic_fetch_add(&set->refs, 1);
	pthread_mutex_unlock(&s->lock);
	return &set->keys;
}

void signing_unref(const struct signing_keys *keys)
{
	drop_set((struct key_set *)keys);
}

const struct sign_public *signing_find(const struct signing_keys *keys, const char *id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->believed[i].id, id) == 0)
			return &keys->believed[i];
	return NULL;
}
