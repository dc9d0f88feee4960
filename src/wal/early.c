// SPDX-License-Identifier: Apache-2.0
/*
 * What a server has ready is archived before it asks for it: archive_command is run for one file after the other, and each waits for the store. When a segment has come, those behind it that are ready in pg_wal (key of
 * [cluster NAME]) are taken from there, several at once; the archiver's own copy of them is then only compared.
 *
 * A segment is ready when archive_status has NAME.ready, and the server keeps the file as it is until it has renamed that to .done, which it does when archive_command has returned 0. So that NAME.ready is still there when
 * the last byte was read says that these bytes are the segment's. Nothing is written there. Whatever goes wrong is left to the archiver, who is told.
 */
#include "wal_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define EARLY_THREADS 2
#define EARLY_AHEAD   4 /* segments behind the one that came */
#define READ_BYTES    ((size_t)256 << 10)

struct early_file {
	struct wal_early *e;
	char job[CATALOG_WAL_JOB_BYTES], name[WAL_NAME_BYTES];
	char *pg_wal;
	/* lock of all, as all that follows */
	bool has_begun, is_given_up;
	struct early_file *next;
};

struct wal_early {
	struct wal *w;
	struct workers *workers;
	pthread_mutex_t lock;
	pthread_cond_t ended;     /* lock: one of them has */
	struct early_file *first; /* lock: queued, or at work */
};

static bool is_ready_early(const struct early_file *f)
{
	_cleanup(free) char *ready = mem_printf("%s/archive_status/%s.ready", f->pg_wal, f->name);

	return access(ready, F_OK) == 0;
}

static int read_early(const struct early_file *f, struct wal_arrival *a, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/%s", f->pg_wal, f->name);
	_cleanup(free) char *buf = mem_alloc(READ_BYTES);
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return error_system(err, errno, "%s cannot be read", path);
	while ((n = read(fd, buf, READ_BYTES)) > 0) {
		int r = wal_arrival_write(a, buf, (size_t)n, err);

		if (r < 0)
			return r;
	}
	return n < 0 ? error_system(err, errno, "%s cannot be read", path) : 0;
}

static int archive_early(const struct early_file *f, struct error *err)
{
	struct wal *w = f->e->w;
	_cleanup(wal_arrival) struct wal_arrival *a = NULL;
	_cleanup(free) char *note = NULL;
	struct catalog_wal row;
	int r;

	if (cancel_is_set(&w->cancel) || !is_ready_early(f) ||
	    catalog_wal_find(w->options.repository->catalog, f->job, f->name, &row) == 0)
		return 0;
	r = wal_arrival_new(w, f->job, f->name, &w->cancel, &a, err);
	if (r == 0)
		r = read_early(f, a, err);
	if (r < 0 || !is_ready_early(f))
		return r;
	return wal_arrival_end(a, &note, err);
}

static void strike_early(struct wal_early *e, struct early_file *f)
{
	struct early_file **at = &e->first;

	pthread_mutex_lock(&e->lock);
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	pthread_cond_broadcast(&e->ended);
	pthread_mutex_unlock(&e->lock);
	free(f->pg_wal);
	free(f);
}

/* False: the server hands it over itself. */
static bool begin_early(struct early_file *f)
{
	bool is_wanted;

	pthread_mutex_lock(&f->e->lock);
	f->has_begun = true;
	is_wanted = !f->is_given_up;
	pthread_mutex_unlock(&f->e->lock);
	return is_wanted;
}

static void run_early(void *arg)
{
	struct early_file *f = arg;
	struct error err = {0};
	int r = begin_early(f) ? archive_early(f, &err) : 0;

	if (r < 0 && r != -ECANCELED)
		log_info("%s of %s was not archived ahead: %s", f->name, f->pg_wal, err.message);
	strike_early(f->e, f);
}

/* With the lock. */
static struct early_file *find_early(const struct wal_early *e, const char *job, const char *name)
{
	struct early_file *f = e->first;

	while (f && !(str_equal(f->job, job) && str_equal(f->name, name)))
		f = f->next;
	return f;
}

void wal_early_settle(struct wal_early *e, const char *job, const char *name)
{
	struct early_file *f;

	pthread_mutex_lock(&e->lock);
	while ((f = find_early(e, job, name)) && f->has_begun)
		pthread_cond_wait(&e->ended, &e->lock);
	if (f)
		f->is_given_up = true;
	pthread_mutex_unlock(&e->lock);
}

static void queue_early(struct wal_early *e, const char *job, const char *name, const char *pg_wal)
{
	struct early_file *f, *added = mem_alloc(sizeof(*added));

	added->e = e;
	str_copy(added->job, sizeof(added->job), job);
	str_copy(added->name, sizeof(added->name), name);
	added->pg_wal = mem_strdup(pg_wal);
	pthread_mutex_lock(&e->lock);
	f = find_early(e, job, name);
	if (!f) {
		added->next = e->first;
		e->first = added;
	}
	pthread_mutex_unlock(&e->lock);
	if (!f) {
		workers_add(e->workers, run_early, added);
	} else {
		free(added->pg_wal);
		free(added);
	}
}

/* Heap: where the server of @job has its WAL; NULL: nobody says. */
static char *pg_wal_of(const struct wal *w, const char *job)
{
	const struct conf *conf = wal_conf_ref(w);
	const struct conf_job *found = conf_find_job(conf, job);
	char *path =
	        wal_is_archived(found) && found->cluster.pg_wal[0] ? mem_strdup(found->cluster.pg_wal) : NULL;

	wal_conf_unref(w, conf);
	return path;
}

void wal_early_look(struct wal_early *e, const char *job, const struct wal_name *name, uint32_t segment_bytes)
{
	_cleanup(free) char *pg_wal = pg_wal_of(e->w, job);
	struct wal_name next = *name;
	char text[WAL_NAME_BYTES];

	if (!pg_wal || name->kind != WAL_NAME_SEGMENT || !segment_bytes)
		return;
	for (unsigned i = 0; i < EARLY_AHEAD && wal_name_next(&next, segment_bytes, &next) == 0; i++) {
		wal_name_format(&next, text);
		queue_early(e, job, text, pg_wal);
	}
}

struct wal_early *wal_early_new(struct wal *w)
{
	struct wal_early *e = mem_alloc(sizeof(*e));

	e->w = w;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->ended, NULL);
	e->workers = workers_new("wal-early", EARLY_THREADS);
	return e->workers ? e : wal_early_free(e);
}

struct wal_early *wal_early_free(struct wal_early *e)
{
	if (!e)
		return NULL;
	/* What is queued is run, and ends at once: the archives have ended before. */
	workers_free(e->workers);
	pthread_cond_destroy(&e->ended);
	pthread_mutex_destroy(&e->lock);
	free(e);
	return NULL;
}
