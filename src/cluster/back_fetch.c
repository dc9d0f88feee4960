// SPDX-License-Identifier: Apache-2.0
/*
 * Packs, several at once: each is read from its begin to its end, decompressed, and what is wanted of it is written where it belongs. Runs come sorted by their packs, so a thread takes those of the next pack; one pack is
 * never read twice.
 */
#include "back_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct wanted_run {
	struct run_record *record; /* heap */
	struct refill_file *file;  /* NULL: it was not begun */
	uint32_t crc;
	bool is_done;
};

struct fetching {
	struct cluster_back *b;
	struct refill_files files;
	pthread_mutex_t lock; /* of what follows */
	struct sorter *runs;
	struct run_record *ahead; /* of the next pack */
	bool at_end;
	int r;
	struct error err;
	atomic_bool is_ending;
};

struct pack_reading {
	struct fetching *f;
	struct wanted_run *runs;
	size_t count, first; /* all before the first are done */
	uint64_t at;         /* of the plain bytes of the pack */
	struct decompressor *decompressor;
};

/* Which runs are of the next pack. */

static void free_wanted_runs(struct pack_reading *p)
{
	for (size_t i = 0; i < p->count; i++) {
		refill_file_drop(p->runs[i].is_done ? NULL : p->runs[i].file, p->runs[i].record);
		free(p->runs[i].record);
	}
	free(p->runs);
}

static void add_wanted_run(struct pack_reading *p, struct run_record *record)
{
	/* In steps of powers of two. */
	if ((p->count & (p->count - 1)) == 0)
		p->runs = mem_resize(p->runs, p->count > 0 ? p->count * 2 : 1, sizeof(*p->runs));
	p->runs[p->count++] = (struct wanted_run){.record = record};
}

/* With the lock. */
static int next_run(struct fetching *f, struct run_record **ret, struct error *err)
{
	const void *record;
	int r = f->at_end ? 0 : sorter_next(f->runs, &record, err);

	*ret = NULL;
	f->at_end |= r == 0;
	if (r > 0) {
		size_t len = sizeof(struct run_record) + strlen(path_of_run(record)) + 1;

		*ret = mem_resize(NULL, len, 1);
		memcpy(*ret, record, len);
	}
	return r < 0 ? r : 0;
}

/* With the lock. No runs: that were all. */
static int take_runs_of_pack(struct fetching *f, struct pack_reading *p, struct error *err)
{
	int r = f->ahead ? 0 : next_run(f, &f->ahead, err);

	while (r == 0 && f->ahead && (p->count == 0 || str_equal(f->ahead->pack, p->runs[0].record->pack))) {
		add_wanted_run(p, take_ptr(&f->ahead));
		r = next_run(f, &f->ahead, err);
	}
	return r;
}

static void note_fetch_failure(struct fetching *f, int r, const struct error *why)
{
	pthread_mutex_lock(&f->lock);
	/* Those that end because of another say only that. */
	if (f->r == 0 || (f->r == -ECANCELED && r != -ECANCELED)) {
		f->r = r;
		f->err = *why;
	}
	atomic_store(&f->is_ending, true);
	pthread_mutex_unlock(&f->lock);
}

/* Writing. */

static int write_wanted(struct pack_reading *p, struct wanted_run *w, const char *data, size_t len,
                        struct error *err)
{
	const struct run_record *run = w->record;
	uint64_t begin = run->place > p->at ? run->place : p->at, end = run->place + run->bytes;
	size_t n = (size_t)((end < p->at + len ? end : p->at + len) - begin);
	const char *from = data + (begin - p->at);
	int r = w->file ? 0 : refill_file_open(&p->f->files, run, &w->file, err);

	if (r == 0)
		r = refill_file_write(w->file, run, from, n, run->at + (begin - run->place), err);
	if (r < 0)
		return r;
	w->crc = crc32c(w->crc, from, n);
	if (begin + n < end)
		return 0;
	w->is_done = true;
	return refill_file_close(&p->f->files, w->file, run, w->crc, err);
}

static int place_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct pack_reading *p = arg;
	int r = 0;

	if (atomic_load(&p->f->is_ending))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	for (size_t i = p->first; r == 0 && i < p->count; i++) {
		const struct run_record *run = p->runs[i].record;

		if (run->place >= p->at + len)
			break;
		if (!p->runs[i].is_done)
			r = write_wanted(p, &p->runs[i], data, len, err);
	}
	while (p->first < p->count && p->runs[p->first].is_done)
		p->first++;
	p->at += len;
	if (p->f->b->options.order->progress)
		atomic_fetch_add(&p->f->b->options.order->progress->read_bytes, len);
	return r;
}

static int feed_pack(void *arg, const void *data, size_t len, struct error *err)
{
	return decompressor_write(((struct pack_reading *)arg)->decompressor, data, len, err);
}

/* Reading. */

/* Of a copy that is read by itself the catalog has no packs: what lies beside them in its store tells of them. */
static int read_pack_manifest(const struct cluster_back *b, const char *path, struct manifest *m,
                              struct manifest_object *ret, struct error *err)
{
	const struct cluster_back_options *o = &b->options;
	size_t number;
	int r;

	manifest_finish(m);
	*m = (struct manifest){0};
	r = artifact_read_manifest_anywhere(o->ctx->repository, path, o->order->cancel, m, err);
	if (r < 0)
		return r;
	number = m->file_count == 1 ? m->files[0].object : MANIFEST_NO_OBJECT;
	if (number == MANIFEST_NO_OBJECT)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "its manifest is not that of a pack");
	*ret = m->objects[number];
	m->objects[number] = (struct manifest_object){0};
	return 0;
}

static int find_object_of_pack(const struct cluster_back *b, const char *path, struct manifest *m,
                               struct manifest_object *ret, struct error *err)
{
	struct catalog *catalog = b->options.ctx->repository->catalog;
	uint64_t ino = ino_of_artifact(path);
	int r = catalog_manifest(catalog, ino, m);

	if (r == 0)
		r = catalog_object(catalog, ino, ret);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	return r == -ENOENT ? read_pack_manifest(b, path, m, ret, err) : 0;
}

/* What it has is asked for by several bases: the next one does not build on it, and health tells of it. */
static void mark_damaged_pack(const struct cluster_back *b, const char *path, const struct error *why)
{
	struct error ignored = {0};

	if (why->damage)
		(void)catalog_mark_damaged(b->options.ctx->repository->catalog, ino_of_artifact(path),
		                           why->message, &ignored);
}

/* Whatever is wrong is wrong with the file whose bytes would have come next. */
static void name_file(const struct pack_reading *p, const char *path, struct error *err)
{
	if (err->class == ERROR_CORRUPT && p->first < p->count)
		error_prefix(err, "%s cannot be had from the pack %s", path_of_run(p->runs[p->first].record),
		             path);
}

static int read_pack(struct pack_reading *p, const char *path, struct error *err)
{
	const struct cluster_back *b = p->f->b;
	const struct decompressor_out out = {.write = place_plain, .arg = p};
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(manifest_object) struct manifest_object object = {0};
	int r = find_object_of_pack(b, path, &m, &object, err);

	p->decompressor = decompressor_new(COMPRESSION_ZSTD, &out);
	if (r == 0)
		r = refill_read_object(b, path, m.encrypted_to, &object, feed_pack, p, err);
	if (r == 0)
		r = decompressor_finish(p->decompressor, err);
	decompressor_free(p->decompressor);
	if (r == 0 && p->first < p->count)
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "the pack ends before");
	return r;
}

static void fetch_pack(struct pack_reading *p)
{
	const struct cluster_back *b = p->f->b;
	_cleanup(free) char *path = mem_printf(TREE_PACKS "/%s/%s%s", b->job, p->runs[0].record->pack,
	                                       listing_pack_suffix(LISTING_BASE));
	struct error why = {0};
	int r = read_pack(p, path, &why);

	if (r == 0)
		return;
	mark_damaged_pack(b, path, &why);
	name_file(p, path, &why);
	note_fetch_failure(p->f, r, &why);
}

static void *fetch_packs(void *arg)
{
	struct fetching *f = arg;
	bool is_over = false;

	while (!is_over) {
		struct pack_reading p = {.f = f};
		struct error why = {0};
		int r = 0;

		pthread_mutex_lock(&f->lock);
		if (!atomic_load(&f->is_ending))
			r = take_runs_of_pack(f, &p, &why);
		pthread_mutex_unlock(&f->lock);
		if (r < 0)
			note_fetch_failure(f, r, &why);
		else if (p.count > 0)
			fetch_pack(&p);
		is_over = p.count == 0 || r < 0;
		free_wanted_runs(&p);
	}
	return NULL;
}

static void end_fetching(void *arg)
{
	atomic_store(&((struct fetching *)arg)->is_ending, true);
}

int refill_fetch(struct cluster_back *b, struct sorter *runs, struct error *err)
{
	struct fetching f = {.b = b, .runs = runs};
	struct cancel_hook hook = {.wake = end_fetching, .arg = &f};
	pthread_t threads[CLUSTER_BACK_JOBS_MAX];
	unsigned started = 0;

	refill_files_init(&f.files, b);
	pthread_mutex_init(&f.lock, NULL);
	cancel_add_hook(b->options.order->cancel, &hook);
	while (started + 1 < b->options.jobs &&
	       thread_start(&threads[started], "packs", fetch_packs, &f) == 0)
		started++;
	fetch_packs(&f);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	cancel_remove_hook(b->options.order->cancel, &hook);
	if (f.r == 0 && cancel_is_set(b->options.order->cancel))
		f.r = error_set(&f.err, ERROR_CANCELLED, ECANCELED, "cancelled");
	free(f.ahead);
	pthread_mutex_destroy(&f.lock);
	refill_files_finish(&f.files);
	if (f.r < 0 && err)
		*err = f.err;
	return f.r;
}
