// SPDX-License-Identifier: Apache-2.0
/*
 * See comparisons.h. A comparison is in the list from when it is asked for until it fails, is given up, or makes room for others. It has a reference of the list, one of
 * the thread that makes it, one of each waiter, and one of each open file.
 *
 * A waiter is woken once, by whoever takes it out of the list of its comparison: the end of that, or the waiter's own token. The hook of that token is set before the
 * waiter is in the list, since everything may be over right after.
 */
#include "comparisons.h"

#include "fs_private.h"
#include "inside.h"
#include "lookers.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/report/troubles.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define AT_ONCE     2 /* of one kind, so that who looks at the tables of two dumps never waits for rows */
#define THREADS     (AT_ONCE * COMPARISON_KINDS)
#define MEMORY_PART 16 /* of [keepfs] memory, for each comparison of rows */
#define KEPT_PART   2  /* of [keepfs] diff_space, for results */
#define WORK_PART   (KEPT_PART * AT_ONCE)
#define SMALL_BYTES ((size_t)16 << 10) /* of a result in memory */
#define KEPT_FILES  64                 /* results that have files */
#define OPEN_FILES  128                /* likewise, while they are open */
#define CLOSING_MS  (10 * 1000)
#define PERCENT     100

struct comparison {
	struct comparisons *all;
	struct comparison_key key;
	unsigned refs;                   /* the lock of all, as what follows */
	struct comparison *next, **link; /* NULL: it is not in the list */
	struct comparison_waiter *waiters;
	bool has_begun, has_ended;
	uint64_t bytes;   /* that count for all */
	char *path;       /* of the file that was asked for first */
	int64_t since_us; /* monotonic: asked for, then begun */
	struct cancel cancel;
	struct spool *sides[2];
	int result; /* once it has ended */
	atomic_uint_least64_t read_bytes, expected_bytes;
};

struct comparisons {
	struct fs *fs;
	struct lookers *threads;
	pthread_mutex_t lock;
	pthread_cond_t changed;   /* a result that was open is not any more; one was given up; the end */
	struct comparison *first; /* lock: what was used last is first */
	uint64_t bytes;           /* lock: of all results */
	bool ended;               /* lock */
};

struct comparisons *comparisons_new(struct fs *fs)
{
	struct comparisons *cs = mem_alloc(sizeof(*cs));

	cs->fs = fs;
	pthread_mutex_init(&cs->lock, NULL);
	clock_cond_init(&cs->changed);
	cs->threads = lookers_new("compare", THREADS, AT_ONCE);
	return cs->threads ? cs : comparisons_free(cs);
}

/* References. */

static void free_comparison(struct comparison *c)
{
	cancel_finish(&c->cancel);
	spool_free(c->sides[DIFF_A]);
	spool_free(c->sides[DIFF_B]);
	free(c->path);
	free(c);
}

/* With the lock: true: the caller frees it, without the lock. */
static bool drop_reference(struct comparison *c)
{
	if (--c->refs == 1)
		pthread_cond_broadcast(&c->all->changed);
	if (c->refs > 0)
		return false;
	c->all->bytes -= c->bytes;
	pthread_cond_broadcast(&c->all->changed);
	return true;
}

void comparison_unref(struct comparison *c)
{
	struct comparisons *cs = c->all;
	bool last;

	pthread_mutex_lock(&cs->lock);
	last = drop_reference(c);
	pthread_mutex_unlock(&cs->lock);
	if (last)
		free_comparison(c);
}

/* With the lock. */
static void strike_comparison(struct comparison *c)
{
	if (!c->link)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
	c->refs--; /* never the last: whoever strikes it out has one */
}

static void put_in_front(struct comparison *c)
{
	struct comparisons *cs = c->all;

	c->next = cs->first;
	c->link = &cs->first;
	if (c->next)
		c->next->link = &c->next;
	cs->first = c;
	c->refs++;
}

/* With the lock. A result that nobody has open, and that was not used for longest; NULL: there is none. It is the caller's. */
static struct comparison *take_oldest_result(struct comparisons *cs)
{
	struct comparison *oldest = NULL;

	for (struct comparison *c = cs->first; c; c = c->next)
		if (c->has_ended && c->refs == 1)
			oldest = c;
	if (oldest) {
		oldest->refs++;
		strike_comparison(oldest);
	}
	return oldest;
}

/* With the lock: a result of that dump, which is the caller's; NULL: there is none in the list. */
static struct comparison *take_result_of_dump(struct comparisons *cs, uint64_t ino)
{
	struct comparison *c = cs->first;

	while (c && !(c->has_ended && (c->key.pair.inos[DIFF_A] == ino || c->key.pair.inos[DIFF_B] == ino)))
		c = c->next;
	if (c) {
		c->refs++;
		strike_comparison(c);
	}
	return c;
}

/* One that is at work finds out at its end that the dump has gone. */
void comparisons_forget(struct comparisons *cs, uint64_t ino)
{
	struct comparison *c;

	do {
		pthread_mutex_lock(&cs->lock);
		c = take_result_of_dump(cs, ino);
		pthread_mutex_unlock(&cs->lock);
		if (c)
			comparison_unref(c);
	} while (c);
}

struct comparisons *comparisons_free(struct comparisons *cs)
{
	struct comparison *c;

	if (!cs)
		return NULL;
	comparisons_end(cs);
	while ((c = take_oldest_result(cs)))
		comparison_unref(c);
	pthread_cond_destroy(&cs->changed);
	pthread_mutex_destroy(&cs->lock);
	free(cs);
	return NULL;
}

void comparisons_end(struct comparisons *cs)
{
	pthread_mutex_lock(&cs->lock);
	cs->ended = true;
	for (struct comparison *c = cs->first; c; c = c->next)
		cancel_set(&c->cancel);
	pthread_cond_broadcast(&cs->changed);
	pthread_mutex_unlock(&cs->lock);
	cs->threads = lookers_free(cs->threads);
}

/* Room. */

static uint64_t kept_bytes_max(const struct comparisons *cs)
{
	return cs->fs->ctx.conf->diff_space_bytes / KEPT_PART;
}

static bool has_file(const struct comparison *c)
{
	return spool_size(c->sides[DIFF_A]) > SMALL_BYTES || spool_size(c->sides[DIFF_B]) > SMALL_BYTES;
}

/* With the lock. */
static bool too_many_are_kept(const struct comparisons *cs)
{
	unsigned count = 0, files = 0;

	for (const struct comparison *c = cs->first; c; c = c->next) {
		count += c->has_ended;
		files += c->has_ended && has_file(c);
	}
	return count > COMPARISONS_KEPT || files > KEPT_FILES;
}

static void keep_no_more_than_allowed(struct comparisons *cs)
{
	struct comparison *c;

	do {
		pthread_mutex_lock(&cs->lock);
		c = too_many_are_kept(cs) ? take_oldest_result(cs) : NULL;
		pthread_mutex_unlock(&cs->lock);
		if (c)
			comparison_unref(c);
	} while (c);
}

static int refuse_result(const struct comparison *c, struct error *err)
{
	char space[16];

	str_format_bytes(space, sizeof(space), kept_bytes_max(c->all));
	if (c->bytes > kept_bytes_max(c->all))
		return error_set(
		        err, ERROR_NO_SPACE, EFBIG,
		        "what differs takes more than the %s that results may take, half of [keepfs] diff_space: raise it, or use 'keepfs diff', which keeps nothing",
		        space);
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "the files of diff/ that are open and this one take more than the %s that results may take, half of [keepfs] diff_space: close some, or raise it",
	        space);
}

/* With the lock: its result gets a file now, and too many that have one are open. Each takes two descriptors, and backups need some, too. */
static bool too_many_are_open(const struct comparison *c, uint64_t bytes)
{
	unsigned open = 0;

	if (c->bytes > SMALL_BYTES || c->bytes + bytes <= SMALL_BYTES)
		return false;
	for (const struct comparison *other = c->all->first; other; other = other->next)
		open += other->has_ended && other->refs > 1 && has_file(other);
	return open >= OPEN_FILES;
}

static int refuse_open_file(struct error *err)
{
	return error_set(
	        err, ERROR_NO_SPACE, ENFILE,
	        "the results of %u comparisons that are more than some KB are open in diff/, and no more may be: close some",
	        OPEN_FILES);
}

/* With the lock, which is given back meanwhile: until something that was open is not any more. The kernel tells of a close some time after it. False: it
 * is in vain. */
static bool wait_for_closing(struct comparison *c, int64_t until_ms)
{
	struct comparisons *cs = c->all;
	int64_t left_ms = until_ms - clock_mono_ms();

	return c->link && !cs->ended && left_ms > 0 && clock_cond_wait_ms(&cs->changed, &cs->lock, left_ms);
}

/* @bytes more of its result: others make room for them. */
static int make_room_for_result(struct comparison *c, uint64_t bytes, struct error *err)
{
	struct comparisons *cs = c->all;
	int64_t until_ms = clock_mono_ms() + CLOSING_MS;
	struct comparison *oldest;
	bool is_last_look = false;
	int r = 0;

	pthread_mutex_lock(&cs->lock);
	if (too_many_are_open(c, bytes))
		r = refuse_open_file(err);
	c->bytes += bytes;
	cs->bytes += bytes;
	while (r == 0 && cs->bytes > kept_bytes_max(cs)) {
		oldest = c->bytes > kept_bytes_max(cs) ? NULL : take_oldest_result(cs);
		if (!oldest) {
			if (is_last_look || c->bytes > kept_bytes_max(cs))
				r = refuse_result(c, err);
			else
				is_last_look = !wait_for_closing(c, until_ms);
			continue;
		}
		pthread_mutex_unlock(&cs->lock);
		comparison_unref(oldest);
		pthread_mutex_lock(&cs->lock);
	}
	pthread_mutex_unlock(&cs->lock);
	return r;
}

/* Making one, on a thread of its own. */

struct filling {
	struct comparison *comparison;
	enum diff_side side;
	struct str text; /* not in the spool yet */
};

static int flush_rows(struct filling *f, struct error *err)
{
	struct comparison *c = f->comparison;
	int r = make_room_for_result(c, f->text.len, err);

	if (r == 0)
		r = spool_put(c->sides[f->side], str_text(&f->text), f->text.len, err);
	str_clear(&f->text);
	return r;
}

static int add_differing_row(void *arg, const void *data, size_t len, bool ends, struct error *err)
{
	struct filling *f = arg;

	str_append_bytes(&f->text, data, len);
	if (ends)
		str_append_char(&f->text, '\n');
	return f->text.len >= SMALL_BYTES ? flush_rows(f, err) : 0;
}

static int fill_side(struct comparison *c, struct diff_rows *rows, enum diff_side side, struct error *err)
{
	struct filling f = {.comparison = c, .side = side};
	int r = diff_rows_read(rows, side, add_differing_row, &f, err);

	if (r == 0)
		r = flush_rows(&f, err);
	str_finish(&f.text);
	return r;
}

static int fill_with_rows(struct comparison *c, struct diff *d, struct error *err)
{
	_cleanup(diff_looked) struct diff_looked table = {0};
	_cleanup(diff_rows) struct diff_rows *rows = NULL;
	int r = diff_look(d, DIFF_B, c->key.table, &table, err);

	if (r == 0 && !table.table.a)
		r = -ENOENT;
	if (r != 0)
		return r < 0 ? r : -ENOTSUP;
	r = diff_rows_open_found(d, (const uint32_t[]){table.table.a->number, table.table.b->number}, &rows,
	                         err);
	if (r == 0)
		r = fill_side(c, rows, DIFF_A, err);
	return r < 0 ? r : fill_side(c, rows, DIFF_B, err);
}

static int fill_with_schemas(struct comparison *c, struct diff *d, struct error *err)
{
	_cleanup(spool) struct spool *text = spool_new(c->all->fs->ctx.conf->state_dir);
	_cleanup(str) struct str heading = {0};
	int r = diff_schema(d, text, err);

	if (r < 0 || spool_size(text) == 0)
		return r;
	str_append(&heading, "--- ");
	str_append_line(&heading, diff_backup(d, DIFF_A)->path);
	str_append(&heading, "\n+++ ");
	str_append_line(&heading, diff_backup(d, DIFF_B)->path);
	str_append_char(&heading, '\n');
	r = make_room_for_result(c, heading.len + spool_size(text), err);
	if (r == 0)
		r = spool_put(c->sides[DIFF_B], str_text(&heading), heading.len, err);
	for (uint64_t at = 0; r == 0 && at < spool_size(text);) {
		char piece[SMALL_BYTES];
		uint64_t left = spool_size(text) - at;
		size_t len = left < sizeof(piece) ? (size_t)left : sizeof(piece);

		r = spool_get(text, piece, len, at, err);
		if (r == 0)
			r = spool_put(c->sides[DIFF_B], piece, len, err);
		at += len;
	}
	return r;
}

static int fill_with_tables(struct comparison *c, struct diff *d, struct error *err)
{
	int r = comparison_append_tables(d, c->sides[DIFF_B], err);

	return r < 0 ? r : make_room_for_result(c, spool_size(c->sides[DIFF_B]), err);
}

static void note_read_bytes(void *arg, uint64_t bytes, uint64_t expected_bytes)
{
	struct comparison *c = arg;

	atomic_store(&c->expected_bytes, expected_bytes);
	atomic_fetch_add(&c->read_bytes, bytes);
}

static bool pair_is_there(struct fs *fs, const struct diff_pair_id *id)
{
	struct catalog_entry entry;

	for (int side = 0; side < 2; side++)
		if (catalog_entry_by_ino(fs->ctx.repository->catalog, id->inos[side], &entry) < 0 ||
		    entry.mtime_us != id->finished_at_us[side])
			return false;
	return true;
}

bool comparison_is_stale(const struct comparison *c)
{
	return !pair_is_there(c->all->fs, &c->key.pair);
}

static int make_comparison_text(struct comparison *c, struct diff *d, struct error *err)
{
	switch (c->key.of) {
	case COMPARISON_OF_TABLES:
		return fill_with_tables(c, d, err);
	case COMPARISON_OF_SCHEMAS:
		return fill_with_schemas(c, d, err);
	default:
		return fill_with_rows(c, d, err);
	}
}

/* *@ret_side: which of the dumps a failure is about, as far as that is known. */
static int make_result(struct comparison *c, enum diff_side *ret_side, struct error *err)
{
	struct fs *fs = c->all->fs;
	const struct conf *conf = fs->ctx.conf;
	const struct diff_options options = {
	        .inside = fs->ctx.inside,
	        .catalog = fs->ctx.repository->catalog,
	        .state_dir = conf->state_dir,
	        .memory_bytes = conf->memory_bytes / MEMORY_PART,
	        .space_bytes = conf->diff_space_bytes / WORK_PART,
	        .cancel = &c->cancel,
	        .progress = note_read_bytes,
	        .arg = c,
	};
	_cleanup(diff) struct diff *d = NULL;
	int r;

	if (cancel_is_set(&c->cancel))
		return -ECANCELED;
	if (!fs->ctx.inside)
		return error_set(err, ERROR_USAGE, ENOTSUP, "nothing looks into backups here");
	r = diff_open_found(&options, c->key.pair.inos, &d, ret_side, err);
	if (r < 0)
		return r;
	r = make_comparison_text(c, d, err);
	/* What is about none of the two says nothing against the bytes of either. */
	if (!diff_failed_at(d, ret_side))
		err->damage = false;
	/* What was compared may have been others of their names. */
	return pair_is_there(fs, &c->key.pair) || r == -ECANCELED ? r : -ESTALE;
}

int comparison_failed(struct fs *fs, const struct diff_pair_id *pair, enum diff_side side, char *path, int r,
                      const struct error *err)
{
	const struct node of_dump = {.entry.ino = pair->inos[side]};
	_cleanup(free) char *owned = path;

	if (r == -ENOSPC || r == -EFBIG || r == -ENFILE) {
		report_trouble(fs->ctx.troubles, path, -r, err->message);
		log_error("%s could not be made: %s", path ? path : "a comparison", err->message);
		return r;
	}
	if (r != -ECANCELED && !pair_is_there(fs, pair))
		return -ESTALE;
	return inside_failed(fs, &of_dump, take_ptr(&owned), r, err);
}

/* With the lock: those that are to be woken now. */
static struct comparison_waiter *take_waiters(struct comparison *c)
{
	struct comparison_waiter *waiters = c->waiters;

	for (struct comparison_waiter *w = waiters; w; w = w->next)
		w->is_linked = false;
	c->waiters = NULL;
	return waiters;
}

static void end_comparison(struct comparison *c, int r)
{
	struct comparisons *cs = c->all;
	struct comparison_waiter *waiters, *next;

	pthread_mutex_lock(&cs->lock);
	c->has_ended = true;
	c->result = r;
	if (r < 0)
		strike_comparison(c);
	waiters = take_waiters(c);
	pthread_mutex_unlock(&cs->lock);
	for (; waiters; waiters = next) {
		next = waiters->next;
		waiters->wake(waiters->arg);
	}
	keep_no_more_than_allowed(cs);
}

static void run_comparison(void *arg)
{
	struct comparison *c = arg;
	struct comparisons *cs = c->all;
	enum diff_side side = DIFF_B;
	struct error err = {0};
	int r;

	pthread_mutex_lock(&cs->lock);
	c->has_begun = true;
	c->since_us = clock_mono_us();
	pthread_mutex_unlock(&cs->lock);
	r = make_result(c, &side, &err);
	if (r < 0)
		r = comparison_failed(cs->fs, &c->key.pair, side, c->path ? mem_strdup(c->path) : NULL, r,
		                      &err);
	end_comparison(c, r);
	comparison_unref(c);
}

/* Asking for one. */

static bool same_key(const struct comparison_key *x, const struct comparison_key *y)
{
	return x->of == y->of && x->table == y->table && diff_pair_id_equal(&x->pair, &y->pair);
}

/* With the lock. What was given up is not in the list any more. */
static struct comparison *find_comparison(struct comparisons *cs, const struct comparison_key *key)
{
	struct comparison *c = cs->first;

	while (c && !same_key(&c->key, key))
		c = c->next;
	return c;
}

/* With the lock: a reference for the caller; it was used last. */
static struct comparison *use_comparison(struct comparison *c)
{
	c->refs++;
	strike_comparison(c);
	put_in_front(c);
	return c;
}

/* With the lock. */
static struct comparison *add_comparison(struct comparisons *cs, const struct comparison_key *key, char *path)
{
	struct comparison *c = mem_alloc(sizeof(*c));
	const char *state_dir = cs->fs->ctx.conf->state_dir;

	c->all = cs;
	c->key = *key;
	c->path = path;
	c->since_us = clock_mono_us();
	cancel_init(&c->cancel);
	for (int side = 0; side < 2; side++)
		c->sides[side] = spool_new_small(state_dir, SMALL_BYTES);
	c->refs = 2; /* the caller's, and the thread's */
	put_in_front(c);
	lookers_add(cs->threads, key->of, run_comparison, c);
	return c;
}

/* The token's lock is held. */
static void give_up_comparison(void *arg)
{
	struct comparison_waiter *w = arg, **at;
	struct comparisons *cs = w->all;
	struct comparison *c = w->comparison;
	bool was_linked, was_last = false;

	pthread_mutex_lock(&cs->lock);
	w->given_up = true;
	was_linked = w->is_linked;
	if (was_linked) {
		for (at = &c->waiters; *at != w; at = &(*at)->next)
			;
		*at = w->next;
		w->is_linked = false;
		was_last = !c->waiters;
	}
	/* From here on whoever wants it makes it anew. */
	if (was_last) {
		strike_comparison(c);
		pthread_cond_broadcast(&cs->changed);
	}
	pthread_mutex_unlock(&cs->lock);
	if (was_last)
		cancel_set(&c->cancel);
	if (was_linked)
		w->wake(w->arg);
}

/* With the lock. */
static void link_waiter(struct comparison *c, struct comparison_waiter *w)
{
	w->comparison = c;
	w->next = c->waiters;
	c->waiters = w;
	w->is_linked = true;
}

/* It was woken. */
static int take_awaited_result(struct comparison_waiter *w, struct comparison **ret)
{
	_cleanup(comparison) struct comparison *c = take_ptr(&w->comparison);
	int r;

	cancel_remove_hook(w->cancel, &w->hook);
	if (w->given_up)
		return -ECANCELED;
	pthread_mutex_lock(&c->all->lock);
	r = c->result;
	pthread_mutex_unlock(&c->all->lock);
	if (r == 0)
		*ret = take_ptr(&c);
	return r;
}

/* Nothing of @w is touched after the lock was given back with it in the list. */
static int wait_for_comparison(struct comparisons *cs, const struct comparison_key *key, char *path,
                               struct comparison_waiter *w, struct comparison **ret)
{
	_cleanup(free) char *unused = path;
	struct comparison *c;
	int r = COMPARISON_LATER;

	w->all = cs;
	w->hook = (struct cancel_hook){.wake = give_up_comparison, .arg = w};
	cancel_add_hook(w->cancel, &w->hook);
	pthread_mutex_lock(&cs->lock);
	if (w->given_up || cs->ended) {
		r = -ECANCELED;
	} else {
		c = find_comparison(cs, key);
		c = c ? use_comparison(c) : add_comparison(cs, key, take_ptr(&unused));
		if (c->has_ended) {
			*ret = c;
			r = 0;
		} else {
			link_waiter(c, w);
		}
	}
	pthread_mutex_unlock(&cs->lock);
	if (r != COMPARISON_LATER)
		cancel_remove_hook(w->cancel, &w->hook);
	return r;
}

int comparisons_peek(struct comparisons *cs, const struct comparison_key *key, struct comparison **ret)
{
	struct comparison *c;
	int r = -EAGAIN;

	pthread_mutex_lock(&cs->lock);
	c = find_comparison(cs, key);
	if (c && c->has_ended) {
		*ret = use_comparison(c);
		r = 0;
	}
	pthread_mutex_unlock(&cs->lock);
	return r;
}

int comparisons_get(struct comparisons *cs, const struct comparison_key *key, const struct node *node,
                    struct comparison_waiter *waiter, struct comparison **ret)
{
	if (waiter->comparison)
		return take_awaited_result(waiter, ret);
	if (comparisons_peek(cs, key, ret) == 0)
		return 0;
	/* Its path may have to be found in a dump: without the lock. */
	return wait_for_comparison(cs, key, node_path(cs->fs, node), waiter, ret);
}

const struct comparison_key *comparison_key(const struct comparison *c)
{
	return &c->key;
}

const struct spool *comparison_text(const struct comparison *c, enum diff_side side)
{
	return c->sides[side];
}

/* status/diffs. */

static unsigned count_waiters(const struct comparison *c)
{
	unsigned count = 0;

	for (const struct comparison_waiter *w = c->waiters; w; w = w->next)
		count++;
	return count;
}

static void append_comparison(const struct comparison *c, struct str *out)
{
	uint64_t done = atomic_load(&c->read_bytes), expected = atomic_load(&c->expected_bytes);
	unsigned waiters = count_waiters(c);
	char read[16];

	str_append(out, c->has_begun ? "comparing" : "waiting");
	if (c->has_begun && expected > 0)
		str_appendf(out, " %u %%",
		            done >= expected ? PERCENT : (unsigned)(done * PERCENT / expected));
	if (c->has_begun)
		str_appendf(out, ", %s read", str_format_bytes(read, sizeof(read), done));
	str_appendf(out,
	            ", for %lld s, %u reader%s: ", (long long)((clock_mono_us() - c->since_us) / US_PER_S),
	            waiters, waiters == 1 ? "" : "s");
	str_append_line(out, str_or_empty(c->path));
	str_append_char(out, '\n');
}

int comparisons_write(struct comparisons *cs, struct spool *out)
{
	_cleanup(str) struct str text = {0};
	char bytes[16], space[16];
	unsigned kept = 0;

	pthread_mutex_lock(&cs->lock);
	for (const struct comparison *c = cs->first; c; c = c->next) {
		if (c->has_ended)
			kept++;
		else
			append_comparison(c, &text);
	}
	str_format_bytes(bytes, sizeof(bytes), cs->bytes);
	pthread_mutex_unlock(&cs->lock);
	str_format_bytes(space, sizeof(space), kept_bytes_max(cs));
	str_appendf(&text, "kept: %u of %u results, %s of %s\n", kept, COMPARISONS_KEPT, bytes, space);
	spool_append(out, str_text(&text), text.len);
	return spool_error(out);
}
