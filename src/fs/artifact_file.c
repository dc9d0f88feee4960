// SPDX-License-Identifier: Apache-2.0
/*
 * Reading a backup, or one of its further files: each request is handed to the reader and answered by its
 * callback, so that no FUSE thread waits for the store. A failure is EIO (ESTALE: another object has taken
 * its place) with the reason in status/last-error: never zeros, never a short answer in mid-file.
 *
 * Who read what is noted when the file is closed, by a worker: that waits for the catalog's disk.
 */
#include "fs_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <stdio.h>

#define CHECKED_LONG_AGO_US (30 * 24 * 3600 * US_PER_S)

struct artifact_file {
	struct fs *fs;
	uint64_t ino;
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
	return catalog_manifest(fs->ctx.catalog, ino, &m) == 0 &&
	       clock_now_us() - m.verified_at_us > CHECKED_LONG_AGO_US;
}

int artifact_file_open(fuse_req_t req, const struct node *node, struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	_cleanup(extents) struct extents extents = {0};
	_cleanup(free) char *path = catalog_path(fs->ctx.catalog, node->ino);
	char sha256[SHA256_HEX_BYTES] = "";
	struct artifact_file *f;
	struct reader_what what = {.ino = node->ino, .key = path, .extents = &extents, .sha256 = sha256};
	int r;

	if (!path)
		return -ENOENT;
	r = catalog_extents(fs->ctx.catalog, node->ino, &extents);
	if (r == 0)
		r = catalog_file_sha256(fs->ctx.catalog, node->ino, sha256);
	if (r < 0)
		return error_set(
		        err, ERROR_INTERNAL, -r,
		        "the catalog holds no checksums for %s: stop the mount and run 'keepfs rebuild'",
		        path);
	what.whole = check_whole(fs, node->ino);
	f = mem_alloc(sizeof(*f));
	*f = (struct artifact_file){.fs = fs, .ino = node->ino, .size_bytes = extents.total_bytes};
	caller_of(req, &f->reader);
	r = reader_open(fs->ctx.reader, &what, &f->file, err);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret_handle = handle_new(fs, HANDLE_ARTIFACT, node->ino);
	(*ret_handle)->artifact = f;
	return 0;
}

/* The store answered, and what it holds is not the backup. */
static void note_damage(struct read_request *rr, const char *path, const char *message)
{
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = -1, .pid = -1, .command = "keepfs"};
	struct error err = {0};
	int r;

	if (!path || catalog_is_damaged(rr->fs->ctx.catalog, rr->ino))
		return;
	r = catalog_mark_damaged(rr->fs->ctx.catalog, rr->ino, message, &err);
	if (r < 0)
		log_error("%s could not be marked as damaged: %s", path, err.message);
	audit(rr->fs, &entry, "damaged", path, r, r < 0 ? err.message : message);
}

static void note_failure(struct read_request *rr, int r, const struct error *err)
{
	_cleanup(free) char *path = catalog_path(rr->fs->ctx.catalog, rr->ino);
	const char *message = err && err->message[0] ? err->message : "the read failed";

	report_trouble(rr->fs->ctx.troubles, path, -r, message);
	if (err && (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND))
		note_damage(rr, path, message);
	log_error("read of %s failed: %s", path ? path : "a removed backup", message);
}

static void read_done(struct reader_request *request, int r, const struct iovec *iov, int count,
                      const struct error *err)
{
	struct read_request *rr = (struct read_request *)request;

	if (r < 0 && r != -ECANCELED)
		note_failure(rr, r, err);
	if (pending_claim(&rr->pending)) {
		if (r < 0)
			fuse_reply_err(rr->pending.req, r == -ESTALE ? ESTALE : EIO);
		else
			fuse_reply_iov(rr->pending.req, iov, count);
	}
	free(rr);
}

void artifact_file_read(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct fs *fs = fs_of(req);
	struct reader_file *file = h->artifact->file;
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
	                 &(struct pending_work){.give_up = reader_cancel, .file = file, .tag = tag}))
		reader_read(file, &rr->request);
	else
		free(rr);
}

void artifact_file_flush(fuse_req_t req, struct handle *h)
{
	pid_t pid = fuse_req_ctx(req)->pid;

	/* 0: of another PID namespace, where all have this number. */
	if (pid != 0)
		reader_cancel_owner(h->artifact->file, (uint64_t)pid);
}

static void note_reading(void *arg)
{
	struct artifact_file *f = arg;
	const struct reader_file_stats *s = &f->stats;
	_cleanup(free) char *path = catalog_path(f->fs->ctx.catalog, f->ino);
	struct error err = {0};
	char detail[160];

	if (s->verified_at_us &&
	    catalog_set_verified(f->fs->ctx.catalog, f->ino, s->verified_at_us, &err) < 0)
		log_warning("that %s was read whole and is right could not be noted: %s", path, err.message);
	/* What the kernel's cache had was read, too, but not from here. */
	if (s->requests == 0 && s->failures == 0)
		str_copy(detail, sizeof(detail), "no request: what was read came from the kernel's cache");
	else
		snprintf(detail, sizeof(detail), "%llu of %llu bytes in %llu requests, %llu failed%s",
		         (unsigned long long)s->bytes, (unsigned long long)f->size_bytes,
		         (unsigned long long)s->requests, (unsigned long long)s->failures,
		         s->whole ? "; the SHA-256 of the whole is right" : "");
	audit(f->fs, &f->reader, "read", path ? path : "a removed backup", s->failures ? -EIO : 0, detail);
	free(f);
}

void artifact_file_close(struct fs *fs, struct artifact_file *f)
{
	if (!f)
		return;
	reader_close(f->file, &f->stats);
	if (fs->workers)
		workers_add(fs->workers, note_reading, f);
	else
		note_reading(f);
}
