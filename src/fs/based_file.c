// SPDX-License-Identifier: Apache-2.0
/*
 * Reading files of bases. See based.h. A failure is EIO with the reason in status/last-error, never zeros, and never a short answer in mid-file; the pack that is to blame is marked. Who read what is noted when
 * the file is closed.
 */
#include "based.h"
#include "handle.h"
#include "later.h"
#include "lookers.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/codec/name.h>
#include <keepfs/make.h>
#include <keepfs/mirror/runs.h>

#include <errno.h>
#include <stdio.h>

#define BASED_BUFFERS 24 /* of the pool, but no more than */
#define BASED_SHARE   8  /* of what is there for others, one of so many */

struct based_files {
	pthread_mutex_t lock;
	struct runs_reader *runs; /* lock; NULL: nobody has read yet */
	struct pool *own;         /* lock: where the pool of all had nothing to give */
};

struct based_file {
	struct handle base;
	atomic_uint refs; /* the kernel's, and of each read */
	uint64_t artifact_ino;
	struct listing_entry entry;
	char *job, *path;
	struct mirrored_copy *copy; /* NULL: it is not in copies/ */
	struct catalog_audit reader;
	atomic_ullong requests, read_bytes, failures;
	pthread_mutex_t lock;
	struct based_read *reads; /* lock: that were not answered yet */
};

struct based_read {
	struct later later;
	struct based_file *file; /* a reference */
	size_t len;
	uint64_t offset;
	pid_t owner;
	struct based_read *prev, *next; /* file->lock */
};

/* What reads. */

static int open_pack_of_base(void *arg, struct reader *reader, const struct runs_pack *pack,
                             struct cancel *cancel, struct runs_object *ret, struct error *err)
{
	struct fs *fs = arg;
	uint64_t ino = pack->store ? copy_tree_ino(pack->store, pack->path) : ino_of_artifact(pack->path);
	struct catalog_entry row;
	int r = mirrored_entry(fs, ino, &row);

	(void)reader;
	if (r == -ENOENT)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "it has bytes of the file, and is not there any more");
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	/* An object that another one takes the place of stays until it is closed. */
	if (!pack->store)
		artifact_open_begin(fs->ctx.repository, ino);
	r = artifact_pack_file(fs, &row, pack->path, cancel, &ret->file, &ret->bytes, err);
	if (r < 0 && !pack->store)
		artifact_open_end(fs->ctx.repository, ino);
	return r;
}

static void close_pack_of_base(void *arg, const struct runs_pack *pack)
{
	struct fs *fs = arg;

	if (!pack->store)
		artifact_open_end(fs->ctx.repository, ino_of_artifact(pack->path));
}

struct based_files *based_files_new(void)
{
	struct based_files *b = mem_alloc(sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	return b;
}

struct based_files *based_files_free(struct based_files *b)
{
	if (!b)
		return NULL;
	runs_reader_free(b->runs);
	pool_free(b->own);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return NULL;
}

static struct pool *own_pool_of_runs(struct based_files *b)
{
	if (!b->own)
		b->own = pool_new((uint64_t)RUNS_BUFFERS_MIN * POOL_BUFFER_BYTES);
	return b->own;
}

/* A small share of what runs have, too; where that is too little, as much as is needed at least, beside it. */
static struct pool *pool_of_runs(struct fs *fs, struct based_files *b, size_t *ret_buffers)
{
	struct pool *pool = fs->ctx.make ? fs->ctx.make->pool : NULL;
	size_t buffers = pool ? pool_shared(pool) / BASED_SHARE : 0;

	*ret_buffers = buffers < BASED_BUFFERS ? buffers : BASED_BUFFERS;
	if (buffers >= RUNS_BUFFERS_MIN)
		return pool;
	*ret_buffers = RUNS_BUFFERS_MIN;
	return own_pool_of_runs(b);
}

/* With the lock. */
static int make_runs_of_fs(struct fs *fs, struct based_files *b, struct error *err)
{
	struct runs_options options = {
	        .reader = fs->ctx.reader,
	        .packs = {.open = open_pack_of_base, .close = close_pack_of_base, .arg = fs},
	        .ahead_bytes = fs->ctx.conf->read.ahead_bytes};
	int r;

	options.pool = pool_of_runs(fs, b, &options.buffers);
	if (!options.pool)
		return error_system(err, ENOMEM, "memory for reading bases cannot be had");
	options.threads = (unsigned)(options.buffers / (2 * RUNS_THREAD_BUFFERS));
	r = runs_reader_new(&options, &b->runs, err);
	/* Others have all of it just now. */
	if (r == -ENOSPC && own_pool_of_runs(b)) {
		options.pool = b->own;
		options.buffers = RUNS_BUFFERS_MIN;
		options.threads = 1;
		r = runs_reader_new(&options, &b->runs, err);
	}
	return r;
}

static int runs_of_fs(struct fs *fs, struct runs_reader **ret, struct error *err)
{
	struct based_files *b = fs->based;
	int r;

	pthread_mutex_lock(&b->lock);
	r = b->runs ? 0 : make_runs_of_fs(fs, b, err);
	*ret = b->runs;
	pthread_mutex_unlock(&b->lock);
	return r;
}

void based_files_forget(struct based_files *b, const char *pack_path)
{
	const struct runs_pack pack = {.path = pack_path};
	struct runs_reader *runs;

	pthread_mutex_lock(&b->lock);
	runs = b->runs;
	pthread_mutex_unlock(&b->lock);
	if (runs)
		runs_reader_forget(runs, &pack);
}

/* Files. */

static void note_based_reading(void *arg)
{
	struct based_file *f = arg;
	char detail[160];

	if (f->requests == 0 && f->failures == 0)
		str_copy(detail, sizeof(detail), "no request: what was read came from the kernel's cache");
	else
		snprintf(detail, sizeof(detail), "%llu of %llu bytes in %llu requests, %llu failed",
		         (unsigned long long)f->read_bytes, (unsigned long long)f->entry.bytes,
		         (unsigned long long)f->requests, (unsigned long long)f->failures);
	audit(f->base.fs, &f->reader, "read", f->path, f->failures ? -EIO : 0, detail);
	listing_entry_finish(&f->entry);
	pthread_mutex_destroy(&f->lock);
	free(f->copy);
	free(f->job);
	free(f->path);
	free(f);
}

/* The workers have gone when the mount has: then it is noted here. */
static void unref_based_file(struct based_file *f)
{
	struct fs *fs = f->base.fs;

	if (atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	if (fs->workers)
		workers_add(fs->workers, note_based_reading, f);
	else
		note_based_reading(f);
}

static int read_based_range(struct based_read *read, char *buf, size_t len, const char **ret_pack,
                            struct error *err)
{
	struct based_file *f = read->file;
	const struct runs_read what = {.store = f->copy ? f->copy->store : 0,
	                               .job = f->job,
	                               .entry = &f->entry,
	                               .at = read->offset,
	                               .len = len,
	                               .buf = buf,
	                               .cancel = &read->later.cancel};
	struct runs_reader *runs;
	int r = runs_of_fs(f->base.fs, &runs, err);

	return r < 0 ? r : runs_reader_read(runs, &what, ret_pack, err);
}

static int based_read_failed(struct based_read *read, const char *pack, int r, const struct error *err)
{
	struct based_file *f = read->file;
	_cleanup(free) char *pack_path = pack ? runs_reader_pack_path(f->job, pack) : NULL;

	if (r == -ECANCELED)
		return r;
	atomic_fetch_add(&f->failures, 1);
	if (pack_path)
		return mirrored_pack_failed(f->base.fs, f->copy, pack_path, f->path, r, err);
	report_trouble(f->base.fs->ctx.troubles, f->path, -r, err->message);
	return -EIO;
}

static void add_based_read(struct based_read *read)
{
	struct based_file *f = read->file;

	pthread_mutex_lock(&f->lock);
	read->next = f->reads;
	if (f->reads)
		f->reads->prev = read;
	f->reads = read;
	pthread_mutex_unlock(&f->lock);
}

static void end_based_read(struct based_read *read)
{
	struct based_file *f = read->file;

	pthread_mutex_lock(&f->lock);
	*(read->prev ? &read->prev->next : &f->reads) = read->next;
	if (read->next)
		read->next->prev = read->prev;
	pthread_mutex_unlock(&f->lock);
	later_end(&read->later);
	free(read);
	unref_based_file(f);
}

static void answer_based_read(void *arg)
{
	struct based_read *read = arg;
	struct based_file *f = read->file;
	uint64_t left = read->offset < f->entry.bytes ? f->entry.bytes - read->offset : 0;
	size_t len = left < read->len ? (size_t)left : read->len;
	_cleanup(free) char *buf = mem_resize(NULL, len + 1, 1);
	const char *pack = NULL;
	struct error err = {0};
	int r = len > 0 ? read_based_range(read, buf, len, &pack, &err) : 0;

	if (r < 0) {
		r = based_read_failed(read, pack, r, &err);
	} else {
		atomic_fetch_add(&f->requests, 1);
		atomic_fetch_add(&f->read_bytes, len);
	}
	if (later_claim(&read->later)) {
		if (r < 0)
			fuse_reply_err(read->later.pending.req, r == -ECANCELED ? EINTR : -r);
		else
			fuse_reply_buf(read->later.pending.req, buf, len);
	}
	end_based_read(read);
}

static void begin_based_read(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct based_read *read = mem_alloc(sizeof(*read));
	struct based_file *f = (struct based_file *)h;

	read->file = f;
	read->len = size;
	read->offset = (uint64_t)off;
	read->owner = fuse_req_ctx(req)->pid;
	atomic_fetch_add(&f->refs, 1);
	if (later_begin(&read->later, h->fs, req)) {
		add_based_read(read);
		lookers_add(h->fs->base_readers, f->artifact_ino, answer_based_read, read);
	} else {
		free(read);
		unref_based_file(f);
	}
}

/* The caller has closed a descriptor: nobody else waits for what was read ahead for it that would not ask again. */
static void give_up_based_reads(fuse_req_t req, struct handle *h, uint64_t owner)
{
	struct based_file *f = (struct based_file *)h;
	pid_t pid = fuse_req_ctx(req)->pid;

	/* 0: of another PID namespace, where all have this number. */
	pthread_mutex_lock(&f->lock);
	for (struct based_read *read = f->reads; pid != 0 && read; read = read->next)
		if (read->owner == pid)
			later_give_up(&read->later);
	pthread_mutex_unlock(&f->lock);
	fuse_reply_err(req, 0);
}

static void release_based_file(struct handle *h)
{
	unref_based_file((struct based_file *)h);
}

static const struct handle_ops based_ops = {.lasting = true,
                                            .read = begin_based_read,
                                            .flush = give_up_based_reads,
                                            .release = release_based_file};

int based_file_new(struct fs *fs, const struct node *node, const struct mirrored *m,
                   const struct mirrored_tree *tree, struct mirror_item *item,
                   const struct catalog_audit *reader, struct handle **ret)
{
	struct based_file *f = mem_alloc(sizeof(*f));

	atomic_init(&f->refs, 1);
	pthread_mutex_init(&f->lock, NULL);
	f->artifact_ino = node->entry.ino;
	f->entry = item->entry;
	item->entry = (struct listing_entry){0};
	f->job = mem_strdup(tree->job);
	f->path = mirrored_path(m, tree, item->path);
	f->copy = mirrored_copy_of(fs, node->entry.ino);
	f->reader = *reader;
	handle_init(&f->base, fs, &based_ops, node->ino);
	*ret = &f->base;
	return 0;
}
