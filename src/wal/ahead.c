// SPDX-License-Identifier: Apache-2.0
/*
 * Files that are open, and those that are expected to be next. A server in recovery asks for one segment after the other, each when it has replayed the one before it: so whoever opens
 * one has those behind it fetched, by threads of their own, as far as half of the pool allows. Whoever opens a file that is being fetched waits for that.
 *
 * What was read goes when it is closed. What was fetched, and nobody has opened, goes when somebody needs its memory, and after KEPT_MS: a recovery has ended then, and the memory belongs to the backups.
 */
#include "tail.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/wal_keep.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FETCHERS     3
#define KEPT_MS      60000
#define TRY_YOURSELF 1    /* wait_for_content(): who fetched it has failed, or has given up */
#define OF_NOBODY    (-1) /* the number of a file that nobody finds any more */

enum content_state { CONTENT_QUEUED, CONTENT_LOADING, CONTENT_READY, CONTENT_FAILED };

struct wal_content {
	struct wal *w;
	struct catalog_wal row;
	struct pages pages; /* the file; READY: they do not change */
	struct sha256 *sha256;
	struct pool *own_pool; /* of the pages of a tail, which nobody else finds; NULL: it is a file */
	/* lock of all, as all that follows */
	enum content_state state;
	unsigned refs;
	int64_t used_ms;
	int result; /* FAILED */
	struct error err;
	struct wal_content *next;
};

struct wal_ahead {
	struct wal *w;
	pthread_mutex_t lock;
	pthread_cond_t changed;    /* counts by the monotonic clock */
	struct wal_content *first; /* lock: the newest first */
	bool ended;                /* lock */
	pthread_t fetchers[FETCHERS];
	unsigned fetcher_count;
};

/* One file. */

static int take_wal_content(void *arg, const void *data, size_t len, struct error *err)
{
	struct wal_content *c = arg;

	if (pages_append(&c->pages, data, len) < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it is longer than what was archived");
	sha256_update(c->sha256, data, len);
	return 0;
}

/* What was found in the store is known by its name alone, until it is read. */
static int check_learnt_file(const struct catalog_wal *row,
                             const uint8_t head[static WAL_LONG_PAGE_HEADER_BYTES], uint64_t bytes,
                             struct error *err)
{
	struct wal_name name;
	int r = wal_name_parse(row->name, &name);

	return r < 0 ? error_system(err, -r, "%s is no name of WAL", row->name)
	             : wal_check_file(row->key, &name, head, bytes, err);
}

static int check_wal_content(struct wal_content *c, struct error *err)
{
	uint8_t digest[SHA256_BYTES], head[WAL_LONG_PAGE_HEADER_BYTES] = {0};
	char hex[SHA256_HEX_BYTES];
	int r;

	sha256_final(c->sha256, digest);
	hex_encode(digest, sizeof(digest), hex);
	if (c->pages.bytes != c->row.bytes || (c->row.sha256[0] && !str_equal(hex, c->row.sha256)))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the object %s is not what was archived: its checksum is another one",
		                 c->row.key);
	if (c->row.sha256[0])
		return 0;
	pages_copy(&c->pages, 0, head, c->pages.bytes < sizeof(head) ? (size_t)c->pages.bytes : sizeof(head));
	r = check_learnt_file(&c->row, head, c->pages.bytes, err);
	if (r < 0)
		return r;
	return catalog_wal_learn_sums(c->w->options.repository->catalog, c->row.id, c->row.bytes, hex, err);
}

/* Once from where it is to be, and what is wrong there once more from a further store, if that has it. */
static int fetch_content(struct wal_content *c, struct wal_fetching *f, struct error *err)
{
	int r;

	c->sha256 = sha256_new();
	r = wal_fetch(f, take_wal_content, c, err);
	if (r == 0)
		r = check_wal_content(c, err);
	c->sha256 = sha256_free(c->sha256);
	return r;
}

/* What was found by its name alone, and nobody could decrypt then, is read once to learn how long it is. */
static int learn_bytes(struct wal_content *c, struct cancel *cancel, struct error *err)
{
	struct wal_fetching f;
	struct wal_sums sums;
	int r;

	if (c->row.bytes != CATALOG_WAL_UNKNOWN)
		return 0;
	wal_fetching_of(c->w, &c->row, cancel, &f);
	r = wal_fetch_sums(&f, &sums, err);
	if (r == 0)
		r = check_learnt_file(&c->row, sums.head, sums.bytes, err);
	if (r < 0)
		return r;
	c->row.bytes = sums.bytes;
	str_copy(c->row.sha256, sizeof(c->row.sha256), sums.sha256);
	return catalog_wal_learn_sums(c->w->options.repository->catalog, c->row.id, sums.bytes, sums.sha256,
	                              err);
}

static int reserve_content(struct wal_content *c, struct cancel *cancel, struct error *err)
{
	int r = pages_reserve(&c->pages, c->w->options.pool, c->row.bytes, pages_for(c->row.stored_bytes),
	                      cancel);

	if (r == -ENOSPC)
		return error_set(
		        err, ERROR_USAGE, ENOMEM,
		        "a segment of %llu MiB needs as many buffers: [keepfs] memory has to be more",
		        (unsigned long long)(c->row.bytes >> 20));
	return r < 0 ? error_set(err, ERROR_CANCELLED, -r, "cancelled") : 0;
}

/* @reserving: PAGES_AT_ONCE, or as @cancel. */
static int load_content(struct wal_content *c, struct cancel *reserving, struct cancel *cancel,
                        struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	struct wal_fetching f;
	int r = learn_bytes(c, cancel, err);

	if (r == 0)
		r = reserve_content(c, reserving, err);
	if (r < 0)
		return r;
	store = wal_reading_store(c->w, &c->row);
	wal_fetching_of(c->w, &c->row, cancel, &f);
	f.store = store;
	f.is_reserved = true;
	r = fetch_content(c, &f, err);
	if (r != -EBADMSG || !store_has_spares(store))
		return r;
	pages_finish(&c->pages);
	r = reserve_content(c, reserving, err);
	f.elsewhere = true;
	return r < 0 ? r : fetch_content(c, &f, err);
}

static struct wal_content *free_content(struct wal_content *c)
{
	pages_finish(&c->pages);
	free(c);
	return NULL;
}

/* All of them. With the lock. */

static struct wal_content *find_content(const struct wal_ahead *a, int64_t id)
{
	struct wal_content *c = a->first;

	while (c && c->row.id != id)
		c = c->next;
	return c;
}

static void strike_content(struct wal_ahead *a, struct wal_content *c)
{
	struct wal_content **at = &a->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static struct wal_content *add_wal_content(struct wal_ahead *a, const struct catalog_wal *row,
                                           enum content_state state)
{
	struct wal_content *c = mem_alloc(sizeof(*c));

	c->w = a->w;
	c->row = *row;
	c->state = state;
	c->used_ms = clock_mono_ms();
	c->next = a->first;
	a->first = c;
	return c;
}

static bool is_idle(const struct wal_content *c)
{
	return c->refs == 0 && c->state != CONTENT_LOADING;
}

/* Those that nobody has, and that were used last before @before_ms, go. */
static void drop_idle(struct wal_ahead *a, int64_t before_ms)
{
	struct wal_content **at = &a->first;

	while (*at) {
		struct wal_content *c = *at;

		if (is_idle(c) && c->used_ms <= before_ms) {
			*at = c->next;
			free_content(c);
		} else {
			at = &c->next;
		}
	}
}

static size_t buffers_of(const struct wal_ahead *a)
{
	size_t count = 0;

	for (const struct wal_content *c = a->first; c; c = c->next)
		count += pages_for(c->row.bytes == CATALOG_WAL_UNKNOWN ? 0 : c->row.bytes) +
		         (c->state == CONTENT_READY ? 0 : pages_for(c->row.stored_bytes));
	return count;
}

/* Fetching ahead. */

static struct wal_content *next_queued(struct wal_ahead *a)
{
	struct wal_content *found = NULL;

	/* The one that was asked for first: the oldest. */
	for (struct wal_content *c = a->first; c; c = c->next)
		if (c->state == CONTENT_QUEUED)
			found = c;
	return found;
}

static void settle_content(struct wal_ahead *a, struct wal_content *c, int r, const struct error *err)
{
	c->state = r < 0 ? CONTENT_FAILED : CONTENT_READY;
	c->result = r;
	c->err = *err;
	c->used_ms = clock_mono_ms();
	pthread_cond_broadcast(&a->changed);
}

static void fetch_queued(struct wal_ahead *a, struct wal_content *c)
{
	struct error err = {0};
	int r;

	c->state = CONTENT_LOADING;
	pthread_mutex_unlock(&a->lock);
	r = load_content(c, PAGES_AT_ONCE, &a->w->cancel, &err);
	pthread_mutex_lock(&a->lock);
	settle_content(a, c, r, &err);
	/* Whoever wants it says what is wrong, if that is still so. */
	if (r < 0 && c->refs == 0) {
		strike_content(a, c);
		free_content(c);
	}
}

static void *fetch_wal_ahead(void *arg)
{
	struct wal_ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->ended) {
		struct wal_content *c = next_queued(a);

		if (c)
			fetch_queued(a, c);
		else if (!a->first)
			pthread_cond_wait(&a->changed, &a->lock);
		else if (!clock_cond_wait_ms(&a->changed, &a->lock, KEPT_MS))
			drop_idle(a, clock_mono_ms() - KEPT_MS);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

struct wal_ahead *wal_ahead_new(struct wal *w)
{
	struct wal_ahead *a = mem_alloc(sizeof(*a));

	a->w = w;
	pthread_mutex_init(&a->lock, NULL);
	clock_cond_init(&a->changed);
	while (a->fetcher_count < FETCHERS &&
	       thread_start(&a->fetchers[a->fetcher_count], "wal-ahead", fetch_wal_ahead, a) == 0)
		a->fetcher_count++;
	return a->fetcher_count ? a : wal_ahead_free(a);
}

void wal_ahead_end(struct wal_ahead *a)
{
	pthread_mutex_lock(&a->lock);
	a->ended = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

struct wal_ahead *wal_ahead_free(struct wal_ahead *a)
{
	if (!a)
		return NULL;
	wal_ahead_end(a);
	for (unsigned i = 0; i < a->fetcher_count; i++)
		pthread_join(a->fetchers[i], NULL);
	while (a->first) {
		struct wal_content *c = a->first;

		a->first = c->next;
		free_content(c);
	}
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

/* With the lock. False: there is no more room for what comes behind. */
static bool queue_content(struct wal_ahead *a, const struct catalog_wal *row)
{
	size_t needed = pages_for(row->bytes) + pages_for(row->stored_bytes);
	struct wal_content *c = find_content(a, row->id);

	if (c) {
		c->used_ms = clock_mono_ms();
		return true;
	}
	if (buffers_of(a) + needed > pool_buffers(a->w->options.pool) / 2)
		return false;
	add_wal_content(a, row, CONTENT_QUEUED);
	return true;
}

/* The catalog is asked without the lock. */
static size_t find_next_rows(struct wal *w, const struct catalog_wal *row, struct catalog_wal rows[WAL_AHEAD])
{
	struct catalog *catalog = w->options.repository->catalog;
	struct catalog_wal_cluster cluster;
	struct wal_name name;
	char text[WAL_NAME_BYTES];
	size_t count = 0;

	if (wal_name_parse(row->name, &name) < 0 || name.kind != WAL_NAME_SEGMENT ||
	    catalog_wal_cluster(catalog, row->job, &cluster) < 0 || !cluster.segment_bytes)
		return 0;
	while (count < WAL_AHEAD && wal_name_next(&name, cluster.segment_bytes, &name) == 0) {
		wal_name_format(&name, text);
		if (catalog_wal_find(catalog, row->job, text, &rows[count]) < 0 ||
		    rows[count].bytes == CATALOG_WAL_UNKNOWN)
			break;
		count++;
	}
	return count;
}

static void queue_next(struct wal_ahead *a, const struct catalog_wal *row)
{
	_cleanup(free) struct catalog_wal *rows = mem_array(WAL_AHEAD, sizeof(*rows));
	size_t count = find_next_rows(a->w, row, rows), i = 0;

	pthread_mutex_lock(&a->lock);
	drop_idle(a, clock_mono_ms() - KEPT_MS);
	while (i < count && queue_content(a, &rows[i]))
		i++;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

/* Opening. */

struct content_waiter {
	struct wal_ahead *a;
	bool is_cancelled; /* lock */
};

static void cancel_content_waiter(void *arg)
{
	struct content_waiter *waiter = arg;

	pthread_mutex_lock(&waiter->a->lock);
	waiter->is_cancelled = true;
	pthread_cond_broadcast(&waiter->a->changed);
	pthread_mutex_unlock(&waiter->a->lock);
}

/* With the lock. 0: it is ready; TRY_YOURSELF; -ECANCELED. The caller has a reference. */
static int wait_for_content(struct wal_ahead *a, const struct wal_content *c, struct cancel *cancel)
{
	struct content_waiter waiter = {.a = a};
	struct cancel_hook hook = {.wake = cancel_content_waiter, .arg = &waiter};
	int r = 0;

	pthread_mutex_unlock(&a->lock);
	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&a->lock);
	while ((c->state == CONTENT_QUEUED || c->state == CONTENT_LOADING) && !waiter.is_cancelled &&
	       !a->ended)
		pthread_cond_wait(&a->changed, &a->lock);
	if (c->state != CONTENT_READY)
		r = c->state == CONTENT_FAILED ? TRY_YOURSELF : -ECANCELED;
	pthread_mutex_unlock(&a->lock);
	cancel_remove_hook(cancel, &hook);
	pthread_mutex_lock(&a->lock);
	return r;
}

/* With the lock. One that is being fetched stays for whoever comes next. */
static void drop_ref(struct wal_ahead *a, struct wal_content *c)
{
	c->refs--;
	c->used_ms = clock_mono_ms();
	if (c->refs == 0 && (c->state == CONTENT_READY || c->state == CONTENT_FAILED)) {
		strike_content(a, c);
		free_content(c);
	}
}

/* On the caller's thread, and nobody else's memory is in the way. With the lock. */
static int load_now(struct wal_ahead *a, struct wal_content *c, struct cancel *cancel, struct error *err)
{
	struct error why = {0};
	int r;

	c->state = CONTENT_LOADING;
	drop_idle(a, buffers_of(a) > pool_buffers(a->w->options.pool) / 2 ? INT64_MAX : 0);
	pthread_mutex_unlock(&a->lock);
	r = load_content(c, cancel, cancel, &why);
	pthread_mutex_lock(&a->lock);
	settle_content(a, c, r, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* With the lock. */
static int get_content(struct wal_ahead *a, const struct catalog_wal *row, struct cancel *cancel,
                       struct wal_content **ret, struct error *err)
{
	int r;

	do {
		struct wal_content *c = find_content(a, row->id);
		bool is_mine = !c || c->state == CONTENT_QUEUED;

		/* Somebody else is about to be told; what is tried now is another attempt. */
		if (c && c->state == CONTENT_FAILED) {
			c->row.id = OF_NOBODY;
			c = NULL;
			is_mine = true;
		}
		if (!c)
			c = add_wal_content(a, row, CONTENT_QUEUED);
		c->refs++;
		r = is_mine ? load_now(a, c, cancel, err) : wait_for_content(a, c, cancel);
		if (r == 0)
			*ret = c;
		else
			drop_ref(a, c);
	} while (r == TRY_YOURSELF);
	return r;
}

int wal_open(struct wal *w, const struct catalog_wal *row, struct cancel *cancel, struct wal_content **ret,
             struct error *err)
{
	struct wal_ahead *a = w->ahead;
	int r;

	wal_note_reading(w, row->job, row->name);
	pthread_mutex_lock(&a->lock);
	r = get_content(a, row, cancel, ret, err);
	pthread_mutex_unlock(&a->lock);
	/* Nobody tells who only reads what the writer has removed. */
	if (r == -ENOENT && w->options.conf->role == CONF_READER)
		(void)catalog_wal_end_removal(w->options.repository->catalog, row, 1, NULL, NULL);
	if (r == -ENOENT)
		return error_set(
		        err, ERROR_NOT_FOUND, EIO,
		        "the store has the object %s no more, which was archived: a recovery cannot go past it. Make a new base backup",
		        row->key);
	if (r == 0)
		queue_next(a, row);
	return r;
}

uint64_t wal_content_bytes(const struct wal_content *c)
{
	return c->pages.bytes;
}

int wal_content_read(const struct wal_content *c, uint64_t at, size_t len, struct iovec *iov, int max)
{
	int count = 0;

	if (at >= c->pages.bytes)
		return 0;
	if (len > c->pages.bytes - at)
		len = (size_t)(c->pages.bytes - at);
	while (len > 0 && count < max) {
		size_t from = (size_t)(at % POOL_BUFFER_BYTES), n = POOL_BUFFER_BYTES - from;

		n = n < len ? n : len;
		iov[count++] = (struct iovec){
		        .iov_base = (char *)c->pages.buffers[at / POOL_BUFFER_BYTES] + from, .iov_len = n};
		at += n;
		len -= n;
	}
	return count;
}

struct wal_content *wal_content_of_tail(struct wal *w, const struct wal_tail_loading *loaded)
{
	struct wal_content *c = mem_alloc(sizeof(*c));

	c->w = w;
	c->pages = loaded->pages;
	c->own_pool = loaded->pool;
	return c;
}

struct wal_content *wal_content_close(struct wal *w, struct wal_content *c)
{
	if (c && c->own_pool) {
		struct pool *own_pool = c->own_pool;

		free_content(c);
		pool_free(own_pool);
	} else if (c) {
		pthread_mutex_lock(&w->ahead->lock);
		drop_ref(w->ahead, c);
		pthread_cond_broadcast(&w->ahead->changed);
		pthread_mutex_unlock(&w->ahead->lock);
	}
	return NULL;
}
