// SPDX-License-Identifier: Apache-2.0
/*
 * How far servers have written, against what has come of it. A server that has nothing to say archives nothing, so how old the last file is says nothing: whether something is missing shows only the place up to which the
 * server has written. It is asked now and then over a replication connection, which is what a base backup needs as well, by a thread of its own: nobody else ever waits for it.
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/pg/replication.h>

#include <errno.h>
#include <stdlib.h>

#define ASK_EVERY_MS INT64_C(30000)

struct wal_server {
	char job[CATALOG_WAL_JOB_BYTES];
	struct wal_server_state state;
	uint64_t first_number; /* that was seen of the timeline: before it there may be none */
	struct wal_server *next;
};

struct wal_servers {
	struct wal *w;
	struct cancel cancel;
	pthread_t asker;
	bool has_asker;
	pthread_mutex_t lock;
	struct wal_server *first; /* lock */
};

static int ask_place_of_server(struct wal_servers *s, const char *conninfo, struct pg_replication_system *ret,
                               struct error *err)
{
	_cleanup(pg_replication) struct pg_replication *session = NULL;
	int r = pg_replication_open(conninfo, "keepfs", &s->cancel, &session, err);

	return r < 0 ? r : pg_replication_identify(session, ret, err);
}

/* With the lock. */
static struct wal_server *find_wal_server(struct wal_servers *s, const char *job, bool add)
{
	struct wal_server *one = s->first;

	while (one && !str_equal(one->job, job))
		one = one->next;
	if (!one && add) {
		one = mem_alloc(sizeof(*one));
		str_copy(one->job, sizeof(one->job), job);
		one->next = s->first;
		s->first = one;
	}
	return one;
}

static void note_silence(struct wal_servers *s, const char *job, const struct error *err)
{
	struct wal_server *one;
	bool is_new;

	pthread_mutex_lock(&s->lock);
	one = find_wal_server(s, job, true);
	is_new = one->state.silent_since_us == 0;
	if (is_new)
		one->state.silent_since_us = clock_now_us();
	pthread_mutex_unlock(&s->lock);
	if (is_new)
		log_info("how far the server of [cluster %s] has written cannot be asked: %s", job,
		         err->message);
}

/* How many whole segments the server has that are not here. */
static uint64_t count_waiting(const struct wal_servers *s, const struct wal_server *one,
                              uint32_t segment_bytes)
{
	uint64_t present = one->state.lsn / segment_bytes, next = one->first_number, newest;

	if (catalog_wal_newest(s->w->options.repository->catalog, one->job, one->state.timeline, &newest) ==
	    0)
		next = newest + 1;
	return present > next ? present - next : 0;
}

static void note_answer(struct wal_servers *s, const char *job, const struct pg_replication_system *is)
{
	struct catalog_wal_cluster cluster = {0};
	struct wal_server *one;

	(void)catalog_wal_cluster(s->w->options.repository->catalog, job, &cluster);
	pthread_mutex_lock(&s->lock);
	one = find_wal_server(s, job, true);
	if (one->state.timeline != is->timeline && cluster.segment_bytes)
		one->first_number = is->lsn / cluster.segment_bytes;
	one->state.silent_since_us = 0;
	one->state.asked_us = clock_now_us();
	one->state.lsn = is->lsn;
	one->state.timeline = cluster.segment_bytes ? is->timeline : 0;
	one->state.waiting = cluster.segment_bytes ? count_waiting(s, one, cluster.segment_bytes) : 0;
	if (one->state.waiting == 0)
		one->state.waiting_since_us = 0;
	else if (one->state.waiting_since_us == 0)
		one->state.waiting_since_us = one->state.asked_us;
	pthread_mutex_unlock(&s->lock);
}

/* Over an ordinary connection, which pg_hba.conf need not allow: then it is not known. */
static void note_keeping(struct wal_servers *s, const struct conf_job *job)
{
	char slot[CONF_SLOT_BYTES];
	bool has_slot = job->cluster.wal != CONF_WAL_ARCHIVE;
	struct pg_wal_keeping keeping;
	bool is_known = pg_wal_keeping(job->cluster.database, has_slot ? conf_cluster_slot(job, slot) : NULL,
	                               &s->cancel, &keeping, NULL) == 0;
	struct wal_server *one;

	pthread_mutex_lock(&s->lock);
	one = find_wal_server(s, job->name, true);
	one->state.has_keeping = is_known;
	if (is_known)
		one->state.keeping = keeping;
	if (!is_known || !keeping.is_failing)
		one->state.failing_since_us = 0;
	else if (!one->state.failing_since_us)
		one->state.failing_since_us = clock_now_us();
	pthread_mutex_unlock(&s->lock);
}

static void ask_servers(struct wal_servers *s)
{
	const struct conf *conf = wal_conf_ref(s->w);

	for (size_t i = 0; i < conf->job_count && !cancel_is_set(&s->cancel); i++) {
		const struct conf_job *job = &conf->jobs[i];
		struct pg_replication_system is;
		struct error err = {0};

		if (!wal_is_archived(job))
			continue;
		if (ask_place_of_server(s, job->cluster.database, &is, &err) < 0) {
			note_silence(s, job->name, &err);
			continue;
		}
		note_answer(s, job->name, &is);
		note_keeping(s, job);
	}
	wal_conf_unref(s->w, conf);
}

static void *run_asker(void *arg)
{
	struct wal_servers *s = arg;

	do
		ask_servers(s);
	while (!cancel_sleep_ms(&s->cancel, ASK_EVERY_MS));
	return NULL;
}

struct wal_servers *wal_servers_new(struct wal *w)
{
	struct wal_servers *s = mem_alloc(sizeof(*s));

	s->w = w;
	cancel_init(&s->cancel);
	pthread_mutex_init(&s->lock, NULL);
	if (w->options.conf->role != CONF_READER) {
		s->has_asker = thread_start(&s->asker, "wal-server", run_asker, s) == 0;
		if (!s->has_asker)
			return wal_servers_free(s);
	}
	return s;
}

void wal_servers_end(struct wal_servers *s)
{
	cancel_set(&s->cancel);
}

struct wal_servers *wal_servers_free(struct wal_servers *s)
{
	if (!s)
		return NULL;
	cancel_set(&s->cancel);
	if (s->has_asker)
		pthread_join(s->asker, NULL);
	while (s->first) {
		struct wal_server *one = s->first;

		s->first = one->next;
		free(one);
	}
	pthread_mutex_destroy(&s->lock);
	cancel_finish(&s->cancel);
	free(s);
	return NULL;
}

bool wal_server_state(struct wal *w, const char *job, struct wal_server_state *ret)
{
	struct wal_servers *s = w->servers;
	const struct wal_server *one;

	pthread_mutex_lock(&s->lock);
	one = find_wal_server(s, job, false);
	*ret = one ? one->state : (struct wal_server_state){0};
	pthread_mutex_unlock(&s->lock);
	return ret->asked_us > 0;
}
