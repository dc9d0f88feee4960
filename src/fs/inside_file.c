// SPDX-License-Identifier: Apache-2.0
/*
 * Reading tables and large objects of a dump. A file is opened and read by workers, since both may wait for the store; the kernel's
 * threads only queue. Of one open file one request at a time is answered, in the order of offsets: the kernel reads
 * ahead with several at once, which come in any order, and the library reads on at no cost where the last
 * read has ended. So one reader is one stream, and several readers share the workers.
 *
 * A failure is EIO with the reason in status/last-error, ESTALE when the dump was removed, never zeros. Who read what is
 * noted when the file is closed.
 */
#include "handle.h"
#include "inside.h"
#include "inside_csv.h"
#include "later.h"
#include "lookers.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/inside.h>

#include <errno.h>
#include <stdio.h>

struct range {
	struct later later;
	struct inside_file *file; /* a reference */
	size_t len;
	uint64_t offset;
	pid_t owner;
	struct range *next; /* file->lock */
};

struct inside_file {
	struct handle base;
	atomic_uint refs; /* the kernel's, and of each range */
	struct node node;
	struct inside_dump *dump;
	struct inside_csv *csv; /* NULL: the file is no CSV; whoever has at_work */
	char *path;
	uint64_t bytes;              /* how long it is */
	struct catalog_audit reader; /* who opened it */
	pthread_mutex_t lock;
	struct range *waiting, *at_work;         /* lock: by offset; the one that a worker has */
	uint64_t position;                       /* lock: where the last one ended */
	uint64_t requests, read_bytes, failures; /* lock */
};

static void note_rows_reading(void *arg)
{
	struct inside_file *f = arg;
	char detail[160];

	if (f->requests == 0 && f->failures == 0)
		str_copy(detail, sizeof(detail), "no request: what was read came from the kernel's cache");
	else
		snprintf(detail, sizeof(detail), "%llu of %llu bytes in %llu requests, %llu failed",
		         (unsigned long long)f->read_bytes, (unsigned long long)f->bytes,
		         (unsigned long long)f->requests, (unsigned long long)f->failures);
	audit(f->base.fs, &f->reader, "read", f->path, f->failures ? -EIO : 0, detail);
	inside_csv_free(f->csv);
	inside_close(f->dump);
	pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f);
}

/* The workers have gone when the mount has: then it is noted here. */
static void unref_file(struct inside_file *f)
{
	struct fs *fs = f->base.fs;

	if (atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	if (fs->workers)
		workers_add(fs->workers, note_rows_reading, f);
	else
		note_rows_reading(f);
}

/* The next one from where the last has ended; behind the last of all it begins again at the first. */
static struct range *take_next_range(struct inside_file *f)
{
	struct range **at = &f->waiting, *range;

	while (*at && (*at)->offset < f->position)
		at = &(*at)->next;
	if (!*at)
		at = &f->waiting;
	range = *at;
	if (range)
		*at = range->next;
	f->at_work = range;
	return range;
}

static void put_range(struct inside_file *f, struct range *range)
{
	struct range **at = &f->waiting;

	while (*at && (*at)->offset < range->offset)
		at = &(*at)->next;
	range->next = *at;
	*at = range;
}

static bool was_removed(const struct inside_file *f)
{
	uint64_t ino;

	return catalog_inside_artifact(f->base.fs->ctx.repository->catalog, inside_number_of(&f->node),
	                               &ino) == -ENOENT;
}

static ssize_t read_inside(struct inside_file *f, struct cancel *cancel, void *buf, size_t len,
                           uint64_t offset, struct error *err)
{
	if (was_removed(f))
		return -ESTALE;
	if (inside_kind_of(&f->node) == INSIDE_BLOB)
		return inside_blob_pread(f->dump, inside_part_of(&f->node), cancel, buf, len, offset, err);
	if (f->csv)
		return inside_csv_pread(f->csv, cancel, buf, len, offset, err);
	return inside_pread(f->dump, inside_part_of(&f->node), cancel, buf, len, offset, err);
}

/* All that was asked for, up to the end of the file: the kernel takes what is missing for zeros. */
static ssize_t read_whole_range(struct range *range, char *buf, struct error *err)
{
	struct inside_file *f = range->file;
	uint64_t left = range->offset < f->bytes ? f->bytes - range->offset : 0;
	size_t len = left < range->len ? (size_t)left : range->len;
	ssize_t n = len ? read_inside(f, &range->later.cancel, buf, len, range->offset, err) : 0;

	if (n >= 0 && (size_t)n < len)
		return error_set(err, ERROR_CORRUPT, EIO,
		                 "its rows end at byte %llu, and %llu were counted when the dump was made",
		                 (unsigned long long)(range->offset + (uint64_t)n),
		                 (unsigned long long)f->bytes);
	return n;
}

/* From where reading begins to what is asked for it is far, or nobody has found out yet where that may be. */
static bool is_long_range(const struct range *range)
{
	const struct inside_file *f = range->file;

	if (range->offset >= f->bytes)
		return false;
	if (inside_kind_of(&f->node) == INSIDE_BLOB)
		return inside_blob_pread_is_long(f->dump, inside_part_of(&f->node), range->offset);
	if (f->csv)
		return inside_csv_pread_is_long(f->csv, range->offset);
	return inside_pread_is_long(f->dump, inside_part_of(&f->node), range->offset);
}

static void answer_range(struct range *range)
{
	struct inside_file *f = range->file;
	_cleanup(free) char *buf = mem_alloc(range->len + 1);
	struct error err = {0};
	ssize_t n = read_whole_range(range, buf, &err);
	int failure = n < 0 ? inside_failed(f->base.fs, &f->node, mem_strdup(f->path), (int)n, &err) : 0;

	pthread_mutex_lock(&f->lock);
	if (n >= 0) {
		f->position = range->offset + (uint64_t)n;
		f->requests++;
		f->read_bytes += (uint64_t)n;
	} else if (n != -ECANCELED) {
		f->failures++;
	}
	pthread_mutex_unlock(&f->lock);
	if (!later_claim(&range->later))
		return;
	if (n < 0)
		fuse_reply_err(range->later.pending.req, failure == -ECANCELED ? EINTR : -failure);
	else
		fuse_reply_buf(range->later.pending.req, buf, (size_t)n);
}

static void work_on_file(void *arg);

/* The one that is at work: it ends. */
static void work_on_range(void *arg)
{
	struct inside_file *f = arg;
	struct range *range;
	bool more;

	pthread_mutex_lock(&f->lock);
	range = f->at_work;
	pthread_mutex_unlock(&f->lock);
	answer_range(range);
	pthread_mutex_lock(&f->lock);
	f->at_work = NULL;
	more = f->waiting;
	if (more)
		f->at_work = f->waiting;
	pthread_mutex_unlock(&f->lock);
	if (more)
		lookers_add(f->base.fs->inside_readers, f->node.entry.ino, work_on_file, f);
	later_end(&range->later);
	free(range);
	unref_file(f);
}

/* One of a file, so that others have their turn. */
static void work_on_file(void *arg)
{
	struct inside_file *f = arg;
	struct range *range;

	pthread_mutex_lock(&f->lock);
	range = take_next_range(f);
	pthread_mutex_unlock(&f->lock);
	if (is_long_range(range))
		lookers_add(f->base.fs->long_lookers, f->node.entry.ino, work_on_range, f);
	else
		work_on_range(f);
}

static void begin_read(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct inside_file *f = (struct inside_file *)h;
	struct range *range = mem_alloc(sizeof(*range));
	bool idle;

	range->file = f;
	range->len = size;
	range->offset = (uint64_t)off;
	range->owner = fuse_req_ctx(req)->pid;
	atomic_fetch_add(&f->refs, 1);
	if (!later_begin(&range->later, h->fs, req)) {
		free(range);
		unref_file(f);
		return;
	}
	pthread_mutex_lock(&f->lock);
	idle = !f->at_work;
	if (idle)
		f->at_work = range;
	put_range(f, range);
	pthread_mutex_unlock(&f->lock);
	if (idle)
		lookers_add(h->fs->inside_readers, f->node.entry.ino, work_on_file, f);
}

/* The caller has closed a descriptor: nobody else waits for what was read ahead for it that would not ask again. */
static void give_up_ranges(fuse_req_t req, struct handle *h, uint64_t owner)
{
	struct inside_file *f = (struct inside_file *)h;
	pid_t pid = fuse_req_ctx(req)->pid;

	/* 0: of another PID namespace, where all have this number. */
	pthread_mutex_lock(&f->lock);
	for (struct range *range = f->waiting; pid != 0 && range; range = range->next)
		if (range->owner == pid)
			later_give_up(&range->later);
	if (pid != 0 && f->at_work && f->at_work->owner == pid)
		later_give_up(&f->at_work->later);
	pthread_mutex_unlock(&f->lock);
	fuse_reply_err(req, 0);
}

static void release_inside_file(struct handle *h)
{
	unref_file((struct inside_file *)h);
}

static const struct handle_ops ops = {
        .lasting = true, .read = begin_read, .flush = give_up_ranges, .release = release_inside_file};

struct opening {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit reader;
};

/* Its name and its size are asked for while somebody waits for the open: a failure is his then. */
static int fill_file(struct fs *fs, struct opening *o, struct inside_file *f)
{
	_cleanup(free) char *path = NULL;
	struct error err = {0};
	int r = inside_dump_of(fs, &o->node, &f->dump, &err);

	if (r == INSIDE_UNKNOWN)
		r = inside_failed(fs, &o->node, node_path(fs, &o->node), -EIO, &err);
	if (r < 0)
		return r;
	path = node_path(fs, &o->node);
	r = inside_bytes(fs, &o->node, f->dump, &f->bytes, &err);
	if (r == 0 && inside_kind_of(&o->node) == INSIDE_CSV)
		r = inside_csv_new(f->dump, inside_part_of(&o->node), INSIDE_CSV_BLOCK_BYTES, &f->csv, &err);
	if (r == 0 && f->csv)
		inside_csv_take_kept(f->csv);
	if (r < 0)
		return inside_failed(fs, &o->node, take_ptr(&path), r, &err);
	if (!path)
		return -ESTALE;
	f->path = take_ptr(&path);
	return 0;
}

static int make_inside_file(struct fs *fs, struct opening *o, struct inside_file **ret)
{
	struct inside_file *f = mem_alloc(sizeof(*f));
	int r = fill_file(fs, o, f);

	if (r < 0) {
		inside_csv_free(f->csv);
		inside_close(f->dump);
		free(f);
		return r;
	}
	f->node = o->node;
	f->node.cancel = NULL;
	f->node.in_haste = false;
	f->reader = o->reader;
	atomic_init(&f->refs, 1);
	pthread_mutex_init(&f->lock, NULL);
	*ret = f;
	return 0;
}

static void open_inside_file(void *arg)
{
	struct opening *o = arg;
	struct fs *fs = o->later.fs;
	struct inside_file *f = NULL;
	int r = make_inside_file(fs, o, &f);

	if (r == -EAGAIN && o->node.in_haste) {
		o->node.in_haste = false;
		lookers_add(fs->long_lookers, o->node.entry.ino, open_inside_file, o);
		return;
	}
	if (f)
		handle_init(&f->base, fs, &ops, f->node.ino);
	if (!later_claim(&o->later)) {
		if (f)
			handle_free(&f->base);
	} else if (r < 0) {
		fuse_reply_err(o->later.pending.req, r == -ECANCELED ? EINTR : -r);
	} else {
		reply_open(o->later.pending.req, &f->base, &o->fi);
	}
	later_end(&o->later);
	free(o);
}

int inside_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                     struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct opening *o = mem_alloc(sizeof(*o));

	o->node = *node;
	o->node.cancel = &o->later.cancel;
	o->node.in_haste = true;
	o->fi = *fi;
	caller_of(req, &o->reader);
	if (later_begin(&o->later, fs, req))
		lookers_add(fs->lookers, node->entry.ino, open_inside_file, o);
	else
		free(o);
	return OPENED_LATER;
}
