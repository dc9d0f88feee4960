// SPDX-License-Identifier: Apache-2.0
/* See tenants.h. A directory that goes is forgotten by the thread for that: it may wait for the kernel. */
#include "tenants.h"

#include "notify.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/export/learner.h>

static void on_tenants_learned(void *arg)
{
	notify_directory_changed(arg, CONF_EXPORTS);
}

struct dropped_tenant {
	struct fs *fs;
	char *path;
};

static void forget_dropped(void *arg)
{
	struct dropped_tenant *d = arg;
	struct fs *fs = d->fs;

	pthread_mutex_lock(&fs->forgetting);
	if (!atomic_load(&fs->ending))
		notify_directory_removed(fs, d->path);
	pthread_mutex_unlock(&fs->forgetting);
	free(d->path);
	free(d);
}

static void on_tenant_dropped(void *arg, const char *path)
{
	struct dropped_tenant *d = mem_alloc(sizeof(*d));

	d->fs = arg;
	d->path = mem_strdup(path);
	workers_add(d->fs->forgetters, forget_dropped, d);
}

int tenants_begin(struct fs *fs, struct error *err)
{
	const struct export_learner_events events = {
	        .learned = on_tenants_learned, .dropped = on_tenant_dropped, .arg = fs};
	struct export_learner *learner = NULL;
	int r = fs->ctx.make ? export_learner_new(fs->ctx.make, &events, &learner, err) : 0;

	pthread_mutex_lock(&fs->tenants_lock);
	fs->tenants = learner;
	pthread_mutex_unlock(&fs->tenants_lock);
	return r;
}

void tenants_run_ended(struct fs *fs)
{
	pthread_mutex_lock(&fs->tenants_lock);
	if (fs->tenants)
		export_learner_tidy(fs->tenants);
	pthread_mutex_unlock(&fs->tenants_lock);
}

void tenants_end(struct fs *fs)
{
	struct export_learner *learner;

	pthread_mutex_lock(&fs->tenants_lock);
	learner = take_ptr(&fs->tenants);
	pthread_mutex_unlock(&fs->tenants_lock);
	export_learner_free(learner);
}

/* On the thread that ends the mount, too: so it is there meanwhile. */
void fs_reloaded(struct fs *fs)
{
	if (fs->tenants)
		export_learner_ask(fs->tenants);
}
