// SPDX-License-Identifier: Apache-2.0
/*
 * Loading. What is loaded at once is decided in restore_cut.c. With one connection, or without known offsets, the whole archive is one piece,
 * read once from its beginning to its end.
 *
 * Each loader has a session and a scan of the archive's format of its own; the scan is fed with the table of contents first, and then with
 * one piece after the other, each of which begins and ends between two blocks. Of a table that several load, each has a part of the rows
 * (restore_part.c); what they have counted is added up, and held against the whole.
 */
#include "restore_data.h"

#include "restore_cut.h"
#include "restore_load.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <pthread.h>

struct loading {
	struct restore_data *data;
	struct cancel stop; /* ours: set by the caller's, and when a loader has failed */
	struct cancel_hook outer_hook;
	struct restore_pieces pieces;
	pthread_mutex_t lock;
	size_t next;             /* lock */
	int result;              /* lock: of the first failure */
	struct error failure;    /* lock */
	struct load_totals sums; /* lock */
	struct part_sums *parts; /* lock: of each entry that is loaded in parts; the first of a list */
};

struct part_sums { /* of an entry */
	size_t entry;
	unsigned loaded; /* parts */
	struct rows found;
	struct part_sums *next;
};

static void note_load_failure(struct loading *l, int r, const struct error *err)
{
	pthread_mutex_lock(&l->lock);
	if (l->result == 0) {
		l->result = r;
		l->failure = *err;
	}
	pthread_mutex_unlock(&l->lock);
	cancel_set(&l->stop);
}

static bool take_piece(struct loading *l, struct restore_piece *ret)
{
	bool there;

	pthread_mutex_lock(&l->lock);
	there = l->result == 0 && l->next < l->pieces.count;
	if (there)
		*ret = l->pieces.items[l->next++];
	pthread_mutex_unlock(&l->lock);
	return there;
}

static struct part_sums *sums_of(struct loading *l, size_t entry)
{
	struct part_sums *s = l->parts;

	while (s && s->entry != entry)
		s = s->next;
	if (s)
		return s;
	s = mem_alloc(sizeof(*s));
	s->entry = entry;
	s->next = l->parts;
	return l->parts = s;
}

/* Whoever has loaded the last part holds all of them against what was counted. */
static int load_part(struct loading *l, struct loader *loader, const struct restore_piece *piece,
                     struct error *err)
{
	struct rows found = {0};
	struct part_sums *sums;
	bool all;
	int r = loader_load_part(loader, piece, &found, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&l->lock);
	sums = sums_of(l, piece->first);
	sums->found.count += found.count;
	sums->found.bytes += found.bytes;
	sums->found.hash += found.hash;
	all = ++sums->loaded == piece->parts;
	found = sums->found;
	pthread_mutex_unlock(&l->lock);
	return all ? loader_check_parts(loader, piece->first, &found, err) : 0;
}

static void free_sums(struct loading *l)
{
	while (l->parts) {
		struct part_sums *next = l->parts->next;

		free(l->parts);
		l->parts = next;
	}
}

static void load_pieces(void *arg)
{
	struct loading *l = arg;
	const struct load_options options = {.data = l->data, .cancel = &l->stop};
	_cleanup(loader) struct loader *loader = NULL;
	struct error err = {0};
	struct restore_piece piece;
	int r = loader_new(&options, &loader, &err);

	while (r == 0 && take_piece(l, &piece))
		r = piece.parts > 0 ? load_part(l, loader, &piece, &err)
		                    : loader_load(loader, piece.first, piece.last, &err);
	if (r < 0)
		note_load_failure(l, r, &err);
	pthread_mutex_lock(&l->lock);
	if (loader)
		loader_add_totals(loader, &l->sums);
	pthread_mutex_unlock(&l->lock);
}

static int load_with_threads(struct loading *l, unsigned count, struct error *err)
{
	struct workers *workers = workers_new("restore", count);

	if (!workers)
		return error_set(err, ERROR_INTERNAL, EAGAIN, "threads that load data cannot be started");
	for (unsigned i = 0; i < count; i++)
		workers_add(workers, load_pieces, l);
	workers_free(workers);
	if (l->result < 0 && err)
		*err = l->failure;
	return l->result;
}

static void stop_loading(void *arg)
{
	cancel_set(&((struct loading *)arg)->stop);
}

int restore_data(struct restore_data *d, struct error *err)
{
	struct loading l = {.data = d};
	unsigned count = restore_cut(d->toc, d->jobs, &l.pieces);
	int r = 0;

	pthread_mutex_init(&l.lock, NULL);
	cancel_init(&l.stop);
	l.outer_hook = (struct cancel_hook){.wake = stop_loading, .arg = &l};
	cancel_add_hook(d->options->cancel, &l.outer_hook);
	if (count > 0)
		r = load_with_threads(&l, count, err);
	cancel_remove_hook(d->options->cancel, &l.outer_hook);
	cancel_finish(&l.stop);
	pthread_mutex_destroy(&l.lock);
	free_sums(&l);
	free(l.pieces.items);
	d->connections = count;
	d->tables_in_parts = l.pieces.tables_in_parts;
	d->rows = l.sums.rows;
	d->bytes = l.sums.bytes;
	d->errors = l.sums.errors;
	return r;
}
