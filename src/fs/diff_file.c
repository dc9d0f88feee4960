// SPDX-License-Identifier: Apache-2.0
/*
 * The files in the directory of two dumps. Each is the result of a comparison (comparisons.h), which is asked for by whoever wants its size or opens it, and which an open
 * file keeps. So the size is exact before the first byte is read, and a read only takes bytes that are there.
 *
 * The kernel keeps nothing of them: where a row is in several copies, which of these are left is another one each time a comparison is made, so two results of the
 * same tables may have their rows in another order.
 */
#include "diff.h"
#include "handle.h"
#include "inside.h"
#include "later.h"
#include "lookers.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/table_name.h>

#include <errno.h>
#include <stdio.h>

static int key_of_diff_file(struct fs *fs, const struct node *node, struct comparison_key *ret)
{
	*ret = (struct comparison_key){0};
	if (diff_kind_of(node) != DIFF_FIXED) {
		ret->of = COMPARISON_OF_ROWS;
		ret->table = diff_part_of(node);
	} else {
		ret->of = diff_part_of(node) == PART_SUMMARY ? COMPARISON_OF_TABLES : COMPARISON_OF_SCHEMAS;
	}
	return diff_pair_id(fs, node, &ret->pair);
}

static const struct spool *text_of(const struct node *node, const struct comparison *c)
{
	return comparison_text(c, diff_kind_of(node) == DIFF_REMOVED ? DIFF_A : DIFF_B);
}

void node_of_diff_file(struct fs *fs, const struct node *like, enum diff_kind kind, uint32_t part,
                       struct node *ret)
{
	_cleanup(comparison) struct comparison *c = NULL;
	struct comparison_key key;

	*ret = (struct node){.ino = ino_of_diff(diff_number_of(like), kind, part),
	                     .class = &class_diff_file,
	                     .entry = like->entry,
	                     .bytes = INSIDE_NOT_KNOWN,
	                     .cancel = like->cancel,
	                     .in_haste = like->in_haste};
	if (key_of_diff_file(fs, ret, &key) == 0 && comparisons_peek(fs->comparisons, &key, &c) == 0)
		ret->bytes = spool_size(text_of(ret, c));
}

int diff_file_name(struct diff *d, const struct node *node, char ret[static NAME_MAX_BYTES])
{
	_cleanup(inside_table) struct inside_table table = {0};
	bool is_added = diff_kind_of(node) == DIFF_ADDED;
	int r = 0;

	if (diff_kind_of(node) == DIFF_FIXED) {
		str_copy(ret, NAME_MAX_BYTES,
		         diff_part_of(node) == PART_SUMMARY ? SUMMARY_NAME : SCHEMA_DIFF_NAME);
		return 0;
	}
	r = inside_table(diff_backup(d, DIFF_B)->dump, diff_part_of(node), &table, NULL);
	if (r == 0)
		table_name_format(table.schema, table.table, is_added ? ADDED_SUFFIX : REMOVED_SUFFIX, ret);
	return r;
}

/* That of its directory when it is in haste, and to find its name would take long. */
static char *diff_file_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = diff_pair_path(fs, node);
	_cleanup(diff) struct diff *d = NULL;
	char name[NAME_MAX_BYTES];
	int r = 0;

	if (!path)
		return NULL;
	if (diff_kind_of(node) != DIFF_FIXED)
		r = diff_open_pair(fs, node, &d);
	if (r == 0)
		r = diff_file_name(d, node, name);
	return r == 0 ? mem_printf("%s/%s", path, name) : take_ptr(&path);
}

static int result_of(struct fs *fs, const struct node *node, struct comparison_waiter *waiter,
                     struct comparison **ret)
{
	struct comparison_key key = {0};
	/* Who was woken is told by his waiter: the number of the pair may have been forgotten meanwhile. */
	int r = waiter->comparison ? 0 : key_of_diff_file(fs, node, &key);

	return r < 0 ? r : comparisons_get(fs->comparisons, &key, node, waiter, ret);
}

/* A lookup has no waiter. Two of one name wait for one another in the kernel, where no signal ends it: so a lookup does not wait, and tells a size
 * that nobody sees, since the kernel asks for the attributes again before it tells them. */
static int diff_file_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(comparison) struct comparison *c = NULL;
	uint64_t bytes = node->bytes;
	int r = bytes == INSIDE_NOT_KNOWN && node->waiter ? result_of(fs, node, node->waiter, &c) : 0;

	if (r < 0)
		return r;
	if (c)
		bytes = spool_size(text_of(node, c));
	else if (bytes == INSIDE_NOT_KNOWN)
		bytes = 0;
	st->st_mode |= file_permissions(fs, node) & 0444;
	st->st_size = (off_t)bytes;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static bool diff_size_is_known(const struct node *node)
{
	return node->bytes != INSIDE_NOT_KNOWN;
}

/* Open files. */

struct diff_file {
	struct handle base;
	struct comparison *result;
	const struct spool *text; /* of it */
	struct diff_pair_id pair;
	uint64_t bytes;
	char *path;
	struct catalog_audit reader;
	atomic_ullong requests, read_bytes, failures;
};

/* Reading what differs is reading both. */
static void note_diff_reading(void *arg)
{
	struct diff_file *f = arg;
	struct fs *fs = f->base.fs;
	_cleanup(free) char *detail = mem_printf(
	        "compared, as %s: %llu of %llu bytes in %llu requests, %llu failed", f->path,
	        (unsigned long long)atomic_load(&f->read_bytes), (unsigned long long)f->bytes,
	        (unsigned long long)atomic_load(&f->requests), (unsigned long long)atomic_load(&f->failures));

	for (int side = 0; side < 2; side++) {
		_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, f->pair.inos[side]);
		struct catalog_audit reader = f->reader;

		if (side == DIFF_B && f->pair.inos[DIFF_A] == f->pair.inos[DIFF_B])
			break;
		audit(fs, &reader, "read", path ? path : "a removed backup",
		      atomic_load(&f->failures) ? -EIO : 0, detail);
	}
	free(f->path);
	free(f);
}

/* What it kept may go at once. The workers have gone when the mount has: then it is noted here. */
static void release_diff_file(struct handle *h)
{
	struct diff_file *f = (struct diff_file *)h;

	comparison_unref(take_ptr(&f->result));
	if (h->fs->workers)
		workers_add(h->fs->workers, note_diff_reading, f);
	else
		note_diff_reading(f);
}

static ssize_t read_result(struct diff_file *f, char *buf, size_t size, off_t off)
{
	struct error err = {0};
	ssize_t n;

	if (comparison_is_stale(f->result))
		return -ESTALE;
	n = spool_read(f->text, buf, size, (uint64_t)off);
	if (n >= 0)
		return n;
	error_system(&err, (int)-n, "what was compared cannot be read from a file in %s",
	             f->base.fs->ctx.conf->state_dir);
	note_read_failure(f->base.fs, 0, f->path, -EIO, false, &err);
	return -EIO;
}

/* It waits for nothing but the local disk. */
static void read_diff_file(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct diff_file *f = (struct diff_file *)h;
	_cleanup(free) char *buf = mem_alloc(size + 1);
	ssize_t n = read_result(f, buf, size, off);

	if (n < 0) {
		atomic_fetch_add(&f->failures, 1);
		fuse_reply_err(req, (int)-n);
		return;
	}
	atomic_fetch_add(&f->requests, 1);
	atomic_fetch_add(&f->read_bytes, (unsigned long long)n);
	fuse_reply_buf(req, buf, (size_t)n);
}

static uint64_t diff_file_bytes(struct handle *h)
{
	return ((struct diff_file *)h)->bytes;
}

static const struct handle_ops diff_file_ops = {
        .read = read_diff_file, .bytes = diff_file_bytes, .release = release_diff_file};

struct diff_opening {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit reader;
	struct comparison_waiter waiter;
};

static struct handle *make_diff_file(struct diff_opening *o, struct comparison *result)
{
	struct diff_file *f = mem_alloc(sizeof(*f));
	char *path = node_path(o->later.fs, &o->node);

	f->result = result;
	f->text = text_of(&o->node, result);
	f->pair = comparison_key(result)->pair;
	f->bytes = spool_size(f->text);
	f->path = path ? path : mem_strdup("a file of a removed backup");
	f->reader = o->reader;
	handle_init(&f->base, o->later.fs, &diff_file_ops, o->node.ino);
	return &f->base;
}

static void open_diff_file(void *arg)
{
	struct diff_opening *o = arg;
	struct comparison *result = NULL;
	struct handle *h = NULL;
	int r = result_of(o->later.fs, &o->node, &o->waiter, &result);

	if (r == COMPARISON_LATER)
		return;
	if (r == 0)
		h = make_diff_file(o, result);
	if (!later_claim(&o->later)) {
		if (h)
			handle_free(h);
	} else if (r < 0) {
		fuse_reply_err(o->later.pending.req, r == -ECANCELED ? EINTR : -r);
	} else {
		reply_open(o->later.pending.req, h, &o->fi);
	}
	later_end(&o->later);
	free(o);
}

static void open_diff_file_again(void *arg)
{
	struct diff_opening *o = arg;

	lookers_add(o->later.fs->lookers, o->node.entry.ino, open_diff_file, o);
}

static int begin_diff_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                           struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct diff_opening *o = mem_alloc(sizeof(*o));

	o->node = *node;
	o->node.cancel = &o->later.cancel;
	/* The rows are compared on other threads; for its path alone nothing is opened that takes long. */
	o->node.in_haste = true;
	o->waiter = (struct comparison_waiter){
	        .cancel = &o->later.cancel, .wake = open_diff_file_again, .arg = o};
	o->fi = *fi;
	caller_of(req, &o->reader);
	if (later_begin(&o->later, fs, req))
		lookers_add(fs->lookers, node->entry.ino, open_diff_file, o);
	else
		free(o);
	return OPENED_LATER;
}

const struct node_class class_diff_file = {
        .type = S_IFREG,
        .waits = true,
        .stat_is_known = diff_size_is_known,
        .stat = diff_file_stat,
        .path = diff_file_path,
        .open = begin_diff_open,
        .why_kept = diff_why_kept,
};
