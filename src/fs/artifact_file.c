// SPDX-License-Identifier: Apache-2.0
/*
 * Reading a backup, or one of its further files: each request is handed to the reader and answered by its
 * callback, so that no FUSE thread waits for the store. A failure is EIO (ESTALE: another object has taken
 * its place) with the reason in status/last-error: never zeros, never a short answer in mid-file.
 *
 * Who read what is noted when the file is closed, by a worker: that waits for the catalog's disk.
 */
#include "fs_private.h"
#include "handle.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <stdio.h>

#define CHECKED_LONG_AGO_US (30 * 24 * 3600 * US_PER_S)

struct artifact_file {
	struct handle base;
	uint64_t size_bytes;
	struct reader_file *file;
	struct catalog_audit reader; /* who opened it */
	struct reader_file_stats stats;
};

struct read_request {
	struct reader_request request;
	struct pending pending;
	struct fs *fs;
	uint64_t ino;
};

/* Is the SHA-256 of the whole to be compared, should all of it be read? */
static bool check_whole(struct fs *fs, uint64_t ino)
{
	_cleanup(manifest) struct manifest m = {0};

	if (fs->ctx.conf->read.sha256 != CONF_SHA256_AUTO)
		return fs->ctx.conf->read.sha256 == CONF_SHA256_ALWAYS;
	return catalog_manifest(fs->ctx.repository->catalog, ino, &m) == 0 &&
	       clock_now_us() - m.verified_at_us > CHECKED_LONG_AGO_US;
}

/* The store answered, and what it holds is not the backup. */
static void note_damage(struct fs *fs, uint64_t ino, const char *message)
{
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = -1, .pid = -1, .command = "keepfs"};
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, ino);
	struct error err = {0};
	int r;

	if (!path || catalog_is_damaged(fs->ctx.repository->catalog, ino))
		return;
	r = catalog_mark_damaged(fs->ctx.repository->catalog, ino, message, &err);
	if (r < 0)
		log_error("%s could not be marked as damaged: %s", path, err.message);
	audit(fs, &entry, "damaged", path, r, r < 0 ? err.message : message);
}

void note_read_failure(struct fs *fs, uint64_t ino, const char *path, int r, bool damage,
                       const struct error *err)
{
	const char *message = err && err->message[0] ? err->message : "the read failed";

	report_trouble(fs->ctx.troubles, path, -r, message);
	if (damage)
		note_damage(fs, ino, message);
	log_error("read of %s failed: %s", path ? path : "a removed backup", message);
}

static void read_done(struct reader_request *request, int r, const struct iovec *iov, int count,
                      const struct error *err)
{
	struct read_request *rr = (struct read_request *)request;

	if (r < 0 && r != -ECANCELED) {
		_cleanup(free) char *path = catalog_path(rr->fs->ctx.repository->catalog, rr->ino);

		bool damage = err && (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND);

		note_read_failure(rr->fs, rr->ino, path, r, damage, err);
	}
	if (pending_claim(&rr->pending)) {
		if (r < 0)
			fuse_reply_err(rr->pending.req, r == -ESTALE ? ESTALE : EIO);
		else
			fuse_reply_iov(rr->pending.req, iov, count);
	}
	free(rr);
}

static void give_up_read(void *file, uint64_t tag)
{
	reader_cancel(file, tag);
}

static void read_range(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct fs *fs = h->fs;
	struct reader_file *file = ((struct artifact_file *)h)->file;
	struct read_request *rr = mem_alloc(sizeof(*rr));
	uint64_t tag = atomic_fetch_add(&fs->read_tag, 1) + 1;

	rr->request = (struct reader_request){.offset = (uint64_t)off,
	                                      .len = size,
	                                      .tag = tag,
	                                      .owner = (uint64_t)fuse_req_ctx(req)->pid,
	                                      .done = read_done};
	rr->fs = fs;
	rr->ino = h->ino;
	if (pending_init(&rr->pending, req,
	                 &(struct pending_work){.give_up = give_up_read, .arg = file, .tag = tag}))
		reader_read(file, &rr->request);
	else
		free(rr);
}

/* The caller has closed a descriptor: nobody else waits for what was read ahead for it that would not ask
 * again. Without this what it had asked for would go on until the store's deadline, since a release comes
 * only when all is answered. */
static void give_up_reads(fuse_req_t req, struct handle *h)
{
	pid_t pid = fuse_req_ctx(req)->pid;

	/* 0: of another PID namespace, where all have this number. */
	if (pid != 0)
		reader_cancel_owner(((struct artifact_file *)h)->file, (uint64_t)pid);
	fuse_reply_err(req, 0);
}

static void note_reading(void *arg)
{
	struct artifact_file *f = arg;
	const struct reader_file_stats *s = &f->stats;
	_cleanup(free) char *path = catalog_path(f->base.fs->ctx.repository->catalog, f->base.ino);
	struct error err = {0};
	char detail[160];

	if (s->verified_at_us && catalog_set_verified(f->base.fs->ctx.repository->catalog, f->base.ino,
	                                              s->verified_at_us, &err) < 0)
		log_warning("that %s was read whole and is right could not be noted: %s", path, err.message);
	/* What the kernel's cache had was read, too, but not from here. */
	if (s->requests == 0 && s->failures == 0)
		str_copy(detail, sizeof(detail), "no request: what was read came from the kernel's cache");
	else
		snprintf(detail, sizeof(detail), "%llu of %llu bytes in %llu requests, %llu failed%s",
		         (unsigned long long)s->bytes, (unsigned long long)f->size_bytes,
		         (unsigned long long)s->requests, (unsigned long long)s->failures,
		         s->whole ? "; the SHA-256 of the whole is right" : "");
	audit(f->base.fs, &f->reader, "read", path ? path : "a removed backup", s->failures ? -EIO : 0,
	      detail);
	free(f);
}

/* The workers have gone when the mount has: then it is noted here. */
static void release_artifact_file(struct handle *h)
{
	struct artifact_file *f = (struct artifact_file *)h;

	reader_close(f->file, &f->stats);
	if (h->fs->workers)
		workers_add(h->fs->workers, note_reading, f);
	else
		note_reading(f);
}

static const struct handle_ops ops = {
        .lasting = true, .read = read_range, .flush = give_up_reads, .release = release_artifact_file};

int artifact_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                       struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	_cleanup(manifest_object) struct manifest_object object = {0};
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, node->ino);
	char sha256[SHA256_HEX_BYTES] = "";
	struct artifact_file *f;
	struct reader_what what = {.ino = node->ino, .sha256 = sha256};
	int r;

	if (!path)
		return -ENOENT;
	r = catalog_object(fs->ctx.repository->catalog, node->ino, &object);
	if (r == 0)
		r = catalog_file_sha256(fs->ctx.repository->catalog, node->ino, sha256);
	if (r == -ENOENT || object.cipher)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "%s is kept in a way that this keepfs does not know%s%s: read it with the newer keepfs that made it",
		        path, object.cipher ? ", by the cipher " : "", object.cipher ? object.cipher : "");
	if (r < 0)
		return error_set(
		        err, ERROR_INTERNAL, -r,
		        "the catalog holds no checksums for %s: stop the mount and run 'keepfs rebuild'",
		        path);
	r = repository_reading_store_of_ino(fs->ctx.repository, node->ino, &what.store, err);
	if (r < 0)
		return r;
	what.key = object.key;
	what.extents = &object.extents;
	what.whole = check_whole(fs, node->ino);
	f = mem_alloc(sizeof(*f));
	f->size_bytes = object.extents.total_bytes;
	caller_of(req, &f->reader);
	r = reader_open(fs->ctx.reader, &what, &f->file, err);
	if (r < 0) {
		free(f);
		return r;
	}
	handle_init(&f->base, fs, &ops, node->ino);
	*ret_handle = &f->base;
	return 0;
}
