// SPDX-License-Identifier: Apache-2.0
/*
 * What is in segments that nobody has looked into: those that were found in the store have their index at their end, which is read of several at once. Those without one, which an older keepfs has written, are read
 * whole, one after the other in the order of the log, so that records that span two are told; that is the work of hours in a large archive, and waits for nobody.
 */
#include "wal_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/wal_scan.h>

#include <errno.h>
#include <stdlib.h>

#define READERS 8
#define BATCH   128

struct catching_row {
	const struct wal_catching *c;
	struct catalog_wal row;
	struct wal_index index;
	int result;
	struct error err;
	struct crowd *crowd;
};

/* Those of a batch, until all are read. */
struct crowd {
	pthread_mutex_t lock;
	pthread_cond_t done;
	size_t left; /* lock */
};

static struct wal_fetching fetching_for(const struct wal_catching *c, const struct catalog_wal *row)
{
	return (struct wal_fetching){.store = repository_store(c->repository),
	                             .keyring = c->repository->keyring,
	                             .pool = c->pool,
	                             .cancel = c->cancel,
	                             .key = row->key,
	                             .stored_bytes = row->stored_bytes};
}

static void read_tail(void *arg)
{
	struct catching_row *one = arg;
	struct wal_fetching f = fetching_for(one->c, &one->row);

	one->result =
	        cancel_is_set(one->c->cancel) ? -ECANCELED : wal_fetch_index(&f, &one->index, &one->err);
	pthread_mutex_lock(&one->crowd->lock);
	one->crowd->left--;
	pthread_cond_broadcast(&one->crowd->done);
	pthread_mutex_unlock(&one->crowd->lock);
}

static void read_tails(struct workers *workers, struct crowd *crowd, struct catching_row *rows, size_t count)
{
	crowd->left = count;
	for (size_t i = 0; i < count; i++) {
		rows[i].crowd = crowd;
		workers_add(workers, read_tail, &rows[i]);
	}
	pthread_mutex_lock(&crowd->lock);
	while (crowd->left > 0)
		pthread_cond_wait(&crowd->done, &crowd->lock);
	pthread_mutex_unlock(&crowd->lock);
}

/* It will not be otherwise when it is read again at once: it is not there, damaged, or nobody here can decrypt it. */
static bool is_lasting(int r, const struct error *err)
{
	return r == -ENOENT || r == -ERANGE || r == -EBADMSG || r == -ENOTSUP || r == -ENOKEY ||
	       r == -EKEYREJECTED || r == -EACCES || r == -ENOSPC || err->class == ERROR_CORRUPT;
}

/* --- whole segments --- */

struct whole {
	struct wal_indexing indexing;
	struct sha256 *sha256;
	uint64_t bytes;
};

static int take_whole(void *arg, const void *data, size_t len, struct error *err)
{
	struct whole *w = arg;

	(void)err;
	sha256_update(w->sha256, data, len);
	wal_indexing_feed(&w->indexing, data, len);
	w->bytes += len;
	return 0;
}

/* @trail: the scan of the segment before, or of any other; that of this one afterwards. */
static int read_whole_segment(struct catching_row *one, struct wal_scan **trail)
{
	struct wal_fetching f = fetching_for(one->c, &one->row);
	struct whole w = {.sha256 = sha256_new()};
	const struct wal_index *index = NULL;
	char sum[SHA256_HEX_BYTES];
	uint8_t digest[SHA256_BYTES];
	struct wal_name name;
	int r = wal_name_parse(one->row.name, &name);

	wal_indexing_begin(&w.indexing, *trail, &name);
	one->err = (struct error){0};
	if (r == 0)
		r = wal_fetch(&f, take_whole, &w, &one->err);
	sha256_final(w.sha256, digest);
	sha256_free(w.sha256);
	hex_encode(digest, sizeof(digest), sum);
	if (r == 0)
		index = wal_indexing_close(&w.indexing, w.bytes, sum);
	if (index) {
		one->index = w.indexing.index;
		w.indexing.index = (struct wal_index){0};
		wal_scan_free(*trail);
		*trail = w.indexing.scan;
		w.indexing.scan = NULL;
	}
	wal_indexing_finish(&w.indexing);
	return r < 0 || index ? r : error_set(&one->err, ERROR_CORRUPT, EBADMSG, "%s is no segment", f.key);
}

/* --- batches --- */

struct batch {
	struct catching_row *rows;
	struct workers *workers;
	struct crowd crowd;
	struct wal_scan *trail;
};

static int learn_batch(struct wal_catching *c, struct batch *b, size_t count, struct error *err)
{
	_cleanup(free) struct catalog_wal_lesson *lessons = mem_array(count, sizeof(*lessons));
	size_t known = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct catching_row *one = &b->rows[i];
		enum catalog_wal_state state = CATALOG_WAL_READ;

		if (one->result < 0 && is_lasting(one->result, &one->err) && c->reads_whole)
			one->result = read_whole_segment(one, &b->trail);
		if (one->result < 0 && !is_lasting(one->result, &one->err)) {
			*err = one->err;
			r = one->result;
		}
		if (one->result < 0) {
			state = CATALOG_WAL_UNREADABLE;
			log_info("what is in %s is not known: %s", one->row.name, one->err.message);
			/* Of what is not read whole here nobody has said that it cannot be. */
			if (!c->reads_whole || r < 0)
				continue;
		}
		lessons[known++] =
		        (struct catalog_wal_lesson){.id = one->row.id, .state = state, .index = &one->index};
		c->found += state == CATALOG_WAL_READ;
	}
	if (known > 0) {
		int learnt = catalog_wal_learn(c->repository->catalog, lessons, known, r == 0 ? err : NULL);

		r = r < 0 ? r : learnt;
	}
	return r;
}

static int catch_segments(struct wal_catching *c, struct batch *b, struct error *err)
{
	_cleanup(free) struct catalog_wal *rows = mem_array(BATCH, sizeof(*rows));
	struct catalog_wal_cursor at = {0};
	ssize_t count;
	int r = 0;

	while (r == 0 && (count = catalog_wal_unread(c->repository->catalog, &at, rows, BATCH)) != 0) {
		if (count < 0)
			return error_system(err, (int)-count, "the catalog cannot be read");
		for (ssize_t i = 0; i < count; i++)
			b->rows[i] = (struct catching_row){.c = c, .row = rows[i]};
		read_tails(b->workers, &b->crowd, b->rows, (size_t)count);
		r = cancel_is_set(c->cancel) ? error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled")
		                             : learn_batch(c, b, (size_t)count, err);
		for (ssize_t i = 0; i < count; i++)
			wal_index_finish(&b->rows[i].index);
	}
	return r;
}

/* --- histories --- */

static int take_history_text(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *text = arg;

	if (text->len + len > WAL_TEXT_BYTES_MAX)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it is longer than a history can be");
	str_append_bytes(text, data, len);
	return 0;
}

static int catch_history(struct wal_catching *c, const struct catalog_wal *row, struct error *err)
{
	struct wal_fetching f = fetching_for(c, row);
	_cleanup(str) struct str text = {0};
	struct error why = {0};
	int r = wal_fetch(&f, take_history_text, &text, &why);

	if (r == 0) {
		c->found++;
		return catalog_wal_learn_history(c->repository->catalog, row->id, str_text(&text), err);
	}
	if (!is_lasting(r, &why)) {
		*err = why;
		return r;
	}
	log_warning("what a timeline came from is not known: %s", why.message);
	return 0;
}

static int catch_histories(struct wal_catching *c, struct error *err)
{
	_cleanup(free) struct catalog_wal *rows = mem_array(BATCH, sizeof(*rows));
	int64_t after = 0;
	ssize_t count;
	int r = 0;

	while (r == 0 &&
	       (count = catalog_wal_unread_histories(c->repository->catalog, after, rows, BATCH)) != 0) {
		if (count < 0)
			return error_system(err, (int)-count, "the catalog cannot be read");
		for (ssize_t i = 0; r == 0 && i < count; i++)
			r = catch_history(c, &rows[i], err);
		after = rows[count - 1].id;
	}
	return r;
}

int wal_catch_up(struct wal_catching *c, struct error *err)
{
	struct catalog *catalog = c->repository->catalog;
	struct batch b = {.rows = mem_array(BATCH, sizeof(*b.rows))};
	int r = catalog_wal_place(catalog, err);

	/* Somebody may have mended what could not be read, or set what decrypts it. */
	if (r == 0 && c->reads_whole)
		r = catalog_wal_forget_unreadable(catalog, err);
	if (r == 0)
		r = catch_histories(c, err);
	pthread_mutex_init(&b.crowd.lock, NULL);
	pthread_cond_init(&b.crowd.done, NULL);
	b.workers = r == 0 ? workers_new("wal-index", READERS) : NULL;
	if (r == 0)
		r = b.workers ? catch_segments(c, &b, err)
		              : error_system(err, EAGAIN, "the threads that read WAL cannot be started");
	workers_free(b.workers);
	wal_scan_free(b.trail);
	pthread_cond_destroy(&b.crowd.done);
	pthread_mutex_destroy(&b.crowd.lock);
	free(b.rows);
	return r;
}
