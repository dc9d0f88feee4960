// SPDX-License-Identifier: Apache-2.0
/* See keepfs/export/learner.h. What goes wrong is told by health, as when a run cannot ask: the next run, and the next reload, ask again. */
#include "export.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/members.h>
#include <keepfs/codec/name.h>
#include <keepfs/export/admins.h>
#include <keepfs/export/learner.h>

#include <errno.h>
#include <pthread.h>

struct export_learner {
	const struct make_context *ctx;
	struct export_learner_events events;
	struct cancel cancel;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	bool asks, tidies, ends; /* lock */
	pthread_t thread;
	bool has_thread;
};

static void ask_who_is_there(struct export_learner *l, const struct conf_job *job)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct make_wanted all = {.learns = true, .cancel = &l->cancel};
	struct error err = {0};
	int r = export_targets(l->ctx, job, &all, &targets, &err);

	if (r == -ECANCELED)
		return;
	if (r < 0)
		log_warning("job %s: %s; each run asks again", job->name, err.message);
	else if (targets.failure)
		log_warning("job %s: %s", job->name, targets.failure);
}

struct gone_tenants {
	const struct conf_job *job;
	char **paths;
	size_t count;
};

static void note_gone_tenant(void *arg, const struct catalog_member *m)
{
	struct gone_tenants *gone = arg;
	_cleanup(free) char *below = m->gone_since_us ? name_from_database(m->name) : NULL;

	if (!below)
		return;
	gone->paths = mem_resize(gone->paths, gone->count + 1, sizeof(*gone->paths));
	gone->paths[gone->count++] = make_directory_of(gone->job, below);
}

static void drop_gone_directories(struct export_learner *l, const struct conf_job *job)
{
	struct catalog *catalog = l->ctx->repository->catalog;
	struct gone_tenants gone = {.job = job};
	struct error err = {0};
	int r = catalog_each_member(catalog, job->name, true, note_gone_tenant, &gone);

	for (size_t i = 0; i < gone.count; i++) {
		if (r >= 0)
			r = catalog_drop_directory(catalog, gone.paths[i], &err);
		if (r > 0)
			l->events.dropped(l->events.arg, gone.paths[i]);
		free(gone.paths[i]);
	}
	free(gone.paths);
	if (r < 0)
		log_warning("job %s: directories of tenants that are gone stay: %s", job->name, err.message);
}

static void do_what_is_wanted(struct export_learner *l, bool asks)
{
	const struct conf *conf = make_conf_ref(l->ctx);
	const struct conf_job *job = conf_exports(conf);

	if (job && asks)
		ask_who_is_there(l, job);
	if (job)
		drop_gone_directories(l, job);
	make_conf_unref(l->ctx, conf);
	l->events.learned(l->events.arg);
}

static void *learner_main(void *arg)
{
	struct export_learner *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->ends) {
		bool asks = l->asks;

		if (!asks && !l->tidies) {
			pthread_cond_wait(&l->wanted, &l->lock);
			continue;
		}
		l->asks = l->tidies = false;
		pthread_mutex_unlock(&l->lock);
		do_what_is_wanted(l, asks);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int export_learner_new(const struct make_context *ctx, const struct export_learner_events *events,
                       struct export_learner **ret, struct error *err)
{
	struct export_learner *l = mem_alloc(sizeof(*l));
	int r;

	l->ctx = ctx;
	l->events = *events;
	cancel_init(&l->cancel);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wanted, NULL);
	export_learner_ask(l);
	r = thread_start(&l->thread, "tenants", learner_main, l);
	if (r < 0) {
		export_learner_free(l);
		return error_system(err, -r, "the thread that asks who the tenants are cannot be started");
	}
	l->has_thread = true;
	*ret = l;
	return 0;
}

struct export_learner *export_learner_free(struct export_learner *l)
{
	if (!l)
		return NULL;
	cancel_set(&l->cancel);
	pthread_mutex_lock(&l->lock);
	l->ends = true;
	pthread_cond_signal(&l->wanted);
	pthread_mutex_unlock(&l->lock);
	if (l->has_thread)
		pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->wanted);
	pthread_mutex_destroy(&l->lock);
	cancel_finish(&l->cancel);
	free(l);
	return NULL;
}

static void want_of_learner(struct export_learner *l, bool *what)
{
	pthread_mutex_lock(&l->lock);
	*what = true;
	pthread_cond_signal(&l->wanted);
	pthread_mutex_unlock(&l->lock);
}

void export_learner_ask(struct export_learner *l)
{
	const struct conf *conf = make_conf_ref(l->ctx);
	const struct conf_job *job = conf_exports(conf);
	uint64_t question;

	if (l->ctx->admins) {
		export_admins_configure(l->ctx->admins, job ? job->export.admins : NULL);
		question = export_admins_ask(l->ctx->admins);
		/* Without a section nobody is anybody's admin. */
		if (!job)
			export_admins_answered(l->ctx->admins, question, &(struct export_grants){0});
	}
	make_conf_unref(l->ctx, conf);
	want_of_learner(l, &l->asks);
}

void export_learner_tidy(struct export_learner *l)
{
	want_of_learner(l, &l->tidies);
}
