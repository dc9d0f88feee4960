// SPDX-License-Identifier: Apache-2.0
/*
 * Files of archives in further stores (copies of [cluster NAME]). A thread copies them in the order in which they came, byte for byte under the same keys, so that how far it has come is one number for each archive and store; and removes there what was
 * removed here. It sleeps until something comes, or goes, or until a store that failed is to be tried again; no arrival waits for it.
 *
 * What is there already, with the same length, is taken for what it is to be: a key stands for one file for ever, and is never put twice. That it is right is seen when it is read, by its checksum.
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/wal_copies.h>
#include <keepfs/replica.h>
#include <keepfs/stores.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILES_AT_ONCE  ((size_t)16) /* of one archive, before the next has its turn */
#define PAUSE_LEAST_MS 5000
#define PAUSE_MOST_MS  600000

struct copied_store { /* one archive in one store */
	char job[CATALOG_WAL_JOB_BYTES], name[128];
	int64_t until_ms, pause_ms; /* it is not tried before that; as long as it waits next */
	struct copied_store *next;
};

struct wal_copier {
	struct wal *w;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool kicked, ended;         /* lock */
	struct copied_store *first; /* the thread's */
};

struct copying { /* one attempt */
	struct wal_copier *copier;
	const struct conf_job *job;
	uint64_t id;
	struct store *to;
};

/* One file. */

static int put_wal_copy(struct copying *c, const struct catalog_wal *row, const struct iovec *iov, int count,
                        struct error *err)
{
	const struct store_call call = {.cancel = &c->copier->w->cancel};
	const struct wal_put put = {.job = c->job, .key = row->key, .iov = iov, .count = count};
	struct store_lock ignored;
	int r = wal_put_locked(c->to, &call, &put, &ignored, err);

	return r == STORE_EXISTS ? error_set(err, ERROR_CONFLICT, EEXIST,
	                                     "something else has the name %s there", row->key)
	                         : r;
}

static int copy_wal_object(struct copying *c, const struct catalog_wal *row, struct error *err)
{
	struct wal *w = c->copier->w;
	const struct store_call call = {.cancel = &w->cancel};
	_cleanup(pages) struct pages pages = {0};
	_cleanup(free) struct iovec *iov = NULL;
	int count = 0, r = pages_reserve(&pages, w->options.pool, row->stored_bytes, 0, &w->cancel);

	if (r < 0)
		return error_set(err, r == -ENOSPC ? ERROR_USAGE : ERROR_CANCELLED, -r,
		                 "there are no buffers for it: [keepfs] memory has to be more");
	r = pages_room(&pages, row->stored_bytes);
	iov = pages_iov(&pages, &count);
	if (r == 0)
		r = store_get(repository_store(w->options.repository), &call, row->key, 0, iov, count,
		              &(struct store_get_options){0}, err);
	return r < 0 ? r : put_wal_copy(c, row, iov, count, err);
}

/* 0 also where the first store has it no more: whoever reads it is told. */
static int copy_wal_file(struct copying *c, const struct catalog_wal *row, struct error *err)
{
	const struct store_call call = {.cancel = &c->copier->w->cancel};
	struct store_object there;
	struct error why = {0};
	int r = store_head(c->to, &call, row->key, &there, err);

	if (r == 0 && there.bytes != row->stored_bytes)
		return error_set(err, ERROR_CONFLICT, EEXIST, "something else has the name %s there",
		                 row->key);
	if (r != -ENOENT)
		return r;
	r = copy_wal_object(c, row, &why);
	if (r == -ENOENT) {
		log_warning("%s is not in [store] any more, so it is not copied", row->key);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* One archive in one store. */

static int copy_page(struct copying *c, int64_t up_to, bool *ret_more, struct error *err)
{
	struct catalog *catalog = c->copier->w->options.repository->catalog;
	_cleanup(free) struct catalog_wal *rows = mem_array(FILES_AT_ONCE, sizeof(*rows));
	ssize_t count = catalog_wal_page(catalog, c->job->name, up_to, rows, FILES_AT_ONCE);
	int r = count < 0 ? error_system(err, (int)-count, "the catalog cannot be read") : 0;

	*ret_more = count == (ssize_t)FILES_AT_ONCE;
	for (ssize_t i = 0; r == 0 && i < count; i++) {
		r = copy_wal_file(c, &rows[i], err);
		if (r == 0)
			r = catalog_wal_copied(catalog, c->id, &rows[i], err);
	}
	return r;
}

/* What the store forbids to be removed, or has locked, keeps no other from going. */
static int remove_left(struct copying *c, struct error *err)
{
	const struct store_call call = {.cancel = &c->copier->w->cancel};
	struct catalog *catalog = c->copier->w->options.repository->catalog;
	char key[STORE_KEY_BYTES], after[STORE_KEY_BYTES] = "";
	int r;

	while ((r = catalog_wal_left(catalog, c->id, after, key)) == 0) {
		struct error why = {0};
		int64_t locked_until_us = 0;

		str_copy(after, sizeof(after), key);
		r = wal_locked_until(c->to, &call, key, &locked_until_us, &why);
		if (r == 0 && locked_until_us)
			continue;
		if (r == 0)
			r = store_remove(c->to, &call, key, &why);
		if (r < 0 && !artifact_is_forbidden(r, &why)) {
			if (err)
				*err = why;
			return r;
		}
		if (r == 0)
			r = catalog_wal_left_gone(catalog, c->id, key, err);
		if (r < 0 && !why.message[0])
			return r;
	}
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}

static int copy_archive(struct copying *c, const struct conf_named_store *named, bool *ret_more,
                        struct error *err)
{
	const struct repository *repo = c->copier->w->options.repository;
	_cleanup(store) struct store *to = NULL;
	int64_t up_to = 0;
	int r = replica_store(repo->catalog, named, &c->id, err);

	if (r == 0)
		r = catalog_wal_copy_begin(repo->catalog, c->job->name, c->id, &up_to, err);
	if (r == 0)
		r = repository_open_store(repo, c->id, &to, err);
	c->to = to;
	if (r == 0)
		r = remove_left(c, err);
	return r < 0 ? r : copy_page(c, up_to, ret_more, err);
}

static struct copied_store *find_copied_store(struct wal_copier *copier, const char *job, const char *name)
{
	struct copied_store *s = copier->first;

	while (s && !(str_equal(s->job, job) && str_equal(s->name, name)))
		s = s->next;
	if (s)
		return s;
	s = mem_alloc(sizeof(*s));
	str_copy(s->job, sizeof(s->job), job);
	str_copy(s->name, sizeof(s->name), name);
	s->next = copier->first;
	return copier->first = s;
}

static void note_copy_attempt(const struct copying *c, struct copied_store *s, int r, const struct error *why)
{
	struct error err = {0};

	if (r == -ECANCELED)
		return;
	if (r < 0) {
		s->pause_ms = s->pause_ms ? s->pause_ms * 2 : PAUSE_LEAST_MS;
		s->pause_ms = s->pause_ms > PAUSE_MOST_MS ? PAUSE_MOST_MS : s->pause_ms;
		s->until_ms = clock_mono_ms() + s->pause_ms;
		log_warning("WAL of %s is copied to %s later: %s", s->job, s->name, why->message);
	} else {
		s->pause_ms = s->until_ms = 0;
	}
	if (c->id && catalog_wal_copy_failed(c->copier->w->options.repository->catalog, s->job, c->id,
	                                     clock_now_us(), r < 0 ? why->message : NULL, &err) < 0)
		log_warning("how copies of WAL get on could not be written: %s", err.message);
}

/* When it is to be looked at again: clock_mono_ms(), 0: at once, INT64_MAX: when something comes. */
static int64_t copy_archive_to(struct wal_copier *copier, const struct conf_job *job,
                               const struct conf_named_store *named)
{
	struct copying c = {.copier = copier, .job = job};
	struct copied_store *s = find_copied_store(copier, job->name, named->name);
	struct error err = {0};
	bool more = false;
	int r;

	if (s->until_ms > clock_mono_ms())
		return s->until_ms;
	r = copy_archive(&c, named, &more, &err);
	note_copy_attempt(&c, s, r, &err);
	return r < 0 ? s->until_ms : more ? 0 : INT64_MAX;
}

static int64_t copy_all_wal(struct wal_copier *copier)
{
	const struct conf *conf = wal_conf_ref(copier->w);
	int64_t next_ms = INT64_MAX;

	for (size_t i = 0; i < conf->job_count; i++) {
		const struct conf_job *job = &conf->jobs[i];

		for (size_t n = 0; wal_is_archived(job) && job->copies[n]; n++) {
			const struct conf_named_store *named = conf_find_store(conf, job->copies[n]);
			int64_t at_ms = named ? copy_archive_to(copier, job, named) : INT64_MAX;

			next_ms = at_ms < next_ms ? at_ms : next_ms;
		}
	}
	wal_conf_unref(copier->w, conf);
	return next_ms;
}

/* With the lock. */
static void wait_for_wal(struct wal_copier *copier, int64_t until_ms)
{
	while (!copier->kicked && !copier->ended && until_ms > clock_mono_ms()) {
		if (until_ms == INT64_MAX)
			pthread_cond_wait(&copier->changed, &copier->lock);
		else
			clock_cond_wait_ms(&copier->changed, &copier->lock, until_ms - clock_mono_ms());
	}
}

static void *copy_wal_main(void *arg)
{
	struct wal_copier *copier = arg;

	pthread_mutex_lock(&copier->lock);
	while (!copier->ended) {
		int64_t next_ms;

		copier->kicked = false;
		pthread_mutex_unlock(&copier->lock);
		next_ms = copy_all_wal(copier);
		pthread_mutex_lock(&copier->lock);
		wait_for_wal(copier, next_ms);
	}
	pthread_mutex_unlock(&copier->lock);
	return NULL;
}

void wal_copier_kick(struct wal_copier *copier)
{
	if (!copier)
		return;
	pthread_mutex_lock(&copier->lock);
	copier->kicked = true;
	pthread_cond_broadcast(&copier->changed);
	pthread_mutex_unlock(&copier->lock);
}

void wal_copier_end(struct wal_copier *copier)
{
	pthread_mutex_lock(&copier->lock);
	copier->ended = true;
	pthread_cond_broadcast(&copier->changed);
	pthread_mutex_unlock(&copier->lock);
}

struct wal_copier *wal_copier_new(struct wal *w)
{
	struct wal_copier *copier = mem_alloc(sizeof(*copier));

	copier->w = w;
	pthread_mutex_init(&copier->lock, NULL);
	clock_cond_init(&copier->changed);
	copier->has_thread = thread_start(&copier->thread, "wal-copies", copy_wal_main, copier) == 0;
	return copier->has_thread ? copier : wal_copier_free(copier);
}

struct wal_copier *wal_copier_free(struct wal_copier *copier)
{
	if (!copier)
		return NULL;
	wal_copier_end(copier);
	if (copier->has_thread)
		pthread_join(copier->thread, NULL);
	while (copier->first) {
		struct copied_store *s = copier->first;

		copier->first = s->next;
		free(s);
	}
	pthread_cond_destroy(&copier->changed);
	pthread_mutex_destroy(&copier->lock);
	free(copier);
	return NULL;
}

/* Reading. */

struct spared_wal {
	const struct repository *repo;
	struct catalog_wal row;
};

static int open_spare_of_wal(void *arg, unsigned number, struct store **ret_store, struct error *err)
{
	const struct spared_wal *s = arg;
	uint64_t store = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i <= number; i++)
		r = catalog_wal_spare(s->repo->catalog, &s->row, store, &store);
	if (r < 0)
		return r;
	r = repository_open_store(s->repo, store, ret_store, err);
	return r == -ENOENT ? -EIO : r;
}

static void tell_spared_wal(void *arg, unsigned number, const char *key, bool damaged,
                            const struct error *why)
{
	(void)arg;
	(void)number;
	log_warning("%s is read from a further store: %s: %s", key,
	            damaged ? "what [store] has of it is wrong, or not there" : "[store] did not answer",
	            *why->message ? why->message : "it failed a moment ago");
}

struct store *wal_reading_store(const struct wal *w, const struct catalog_wal *row)
{
	const struct repository *repo = w->options.repository;
	struct store *first = store_handle_new(repository_store(repo), NULL, NULL, NULL);
	struct spared_wal *s;
	uint64_t store;

	if (!repo->stores || catalog_wal_spare(repo->catalog, row, 0, &store) < 0)
		return first;
	s = mem_alloc(sizeof(*s));
	*s = (struct spared_wal){.repo = repo, .row = *row};
	return store_spare_new(
	        first, &(struct store_spares){
	                       .open = open_spare_of_wal, .used = tell_spared_wal, .free = free, .arg = s});
}
