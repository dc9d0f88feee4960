/*
 * Reading a backup, or one of its further files: each request is handed to the reader and answered by its
 * callback, so that no FUSE thread waits for the store. A failure is EIO with the reason in
 * status/last-error: never zeros, never a short answer in mid-file.
 */
#include "internal.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <errno.h>

struct read_request {
	struct reader_request request;
	struct pending pending;
	struct fs *fs;
	uint64_t ino;
};

int artifact_file_open(struct fs *fs, const struct node *node, struct handle **ret_handle, struct error *err)
{
	_cleanup(extents) struct extents extents = {0};
	_cleanup(free) char *path = catalog_path(fs->ctx.catalog, node->ino);
	struct handle *h;
	int r;

	if (!path)
		return -ENOENT;
	r = catalog_extents(fs->ctx.catalog, node->ino, &extents);
	if (r < 0)
		return error_set(
		        err, ERROR_INTERNAL, -r,
		        "the catalog holds no checksums for %s: stop the mount and run 'keepfs rebuild'",
		        path);
	h = handle_new(fs, HANDLE_ARTIFACT, node->ino);
	r = reader_open(fs->ctx.reader, node->ino, path, &extents, &h->file, err);
	if (r < 0) {
		handle_free(h);
		return r;
	}
	*ret_handle = h;
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

static void note_failure(struct read_request *rr, int result, const struct error *err)
{
	_cleanup(free) char *path = catalog_path(rr->fs->ctx.catalog, rr->ino);
	const char *message = err && err->message[0] ? err->message : "the read failed";

	report_trouble(rr->fs->ctx.troubles, path, -result, message);
	if (err && (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND))
		note_damage(rr, path, message);
	log_error("read of %s failed: %s", path ? path : "a removed backup", message);
}

static void read_done(struct reader_request *request, int result, const struct iovec *iov, int count,
                      const struct error *err)
{
	struct read_request *rr = (struct read_request *)request;

	if (result < 0 && result != -ECANCELED)
		note_failure(rr, result, err);
	if (pending_claim(&rr->pending)) {
		if (result < 0)
			fuse_reply_err(rr->pending.req, EIO);
		else
			fuse_reply_iov(rr->pending.req, iov, count);
	}
	free(rr);
}

void artifact_file_read(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct read_request *rr = mem_alloc(sizeof(*rr));

	rr->request = (struct reader_request){.offset = (uint64_t)off, .len = size, .done = read_done};
	rr->fs = fs_of(req);
	rr->ino = h->ino;
	pending_init(&rr->pending, req);
	reader_read(h->file, &rr->request);
}
