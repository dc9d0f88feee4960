// SPDX-License-Identifier: Apache-2.0
/* The configuration in force: a version is freed by whoever lets go of it last. */
#include <keepfs/conf.h>

#include <keepfs/base/mem.h>

#include <pthread.h>
#include <stdatomic.h>

struct version {
	struct conf conf; /* first: who has it has the version */
	atomic_uint refs;
};

struct conf_live {
	pthread_mutex_t lock;
	struct version *newest; /* lock */
	uint64_t generation;    /* lock */
};

static struct version *version_new(struct conf *conf)
{
	struct version *v = mem_alloc(sizeof(*v));

	v->conf = *conf;
	*conf = (struct conf){0};
	atomic_init(&v->refs, 1);
	return v;
}

struct conf_live *conf_live_new(struct conf *first)
{
	struct conf_live *live = mem_alloc(sizeof(*live));

	pthread_mutex_init(&live->lock, NULL);
	live->newest = version_new(first);
	return live;
}

struct conf_live *conf_live_free(struct conf_live *live)
{
	if (!live)
		return NULL;
	conf_unref(&live->newest->conf);
	pthread_mutex_destroy(&live->lock);
	free(live);
	return NULL;
}

const struct conf *conf_live_ref(struct conf_live *live)
{
	struct version *v;

	pthread_mutex_lock(&live->lock);
	v = live->newest;
	atomic_fetch_add(&v->refs, 1);
	pthread_mutex_unlock(&live->lock);
	return &v->conf;
}

const struct conf *conf_unref(const struct conf *conf)
{
	struct version *v = (struct version *)conf;

	if (v && atomic_fetch_sub(&v->refs, 1) == 1) {
		conf_finish(&v->conf);
		free(v);
	}
	return NULL;
}

void conf_live_replace(struct conf_live *live, struct conf *next)
{
	struct version *v = version_new(next), *old;

	pthread_mutex_lock(&live->lock);
	old = live->newest;
	live->newest = v;
	live->generation++;
	pthread_mutex_unlock(&live->lock);
	conf_unref(&old->conf);
}

uint64_t conf_live_generation(struct conf_live *live)
{
	uint64_t generation;

	pthread_mutex_lock(&live->lock);
	generation = live->generation;
	pthread_mutex_unlock(&live->lock);
	return generation;
}
