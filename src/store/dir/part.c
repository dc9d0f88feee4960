// SPDX-License-Identifier: Apache-2.0
/*
 * Parts, written so that completing an upload copies nothing. The file "body" becomes the object. A part has
 * a slot in it, its final place, as soon as all parts before it are known by number and length; it is known
 * when it was announced, or from the beginning of its call, so parts that are sent at the same time in
 * ascending order all have theirs.
 *
 * A part that comes before its turn goes to a file of its own and is copied into its slot at the end; the
 * ones after it find their slots again. So does a part that is sent a second time: what the first call wrote
 * must stay whole until the second has succeeded. Numbers that begin after 1, or leave gaps, never have
 * slots. What was announced and came in another length, or never, makes the body useless: see complete.c.
 *
 * Nothing here is synced part by part: only the handle's process could complete the upload, and completing
 * syncs the whole. The disk is only asked to begin writing early.
 */
#include "upload.h"

#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define PARTS_AT_FIRST 16u

void dir_upload_part_file(char ret[static UPLOAD_FILE_BYTES], unsigned number, uint64_t generation)
{
	snprintf(ret, UPLOAD_FILE_BYTES, "part.%u.%llu", number, (unsigned long long)generation);
}

void dir_upload_part_etag(char ret[static STORE_ETAG_BYTES], unsigned number, const struct dir_part *part)
{
	snprintf(ret, STORE_ETAG_BYTES, "%u-%llu-%llx", number, (unsigned long long)part->generation,
	         (unsigned long long)part->bytes);
}

/* With the lock. */
static struct dir_part *part_at(struct dir_upload *up, unsigned number)
{
	while (number >= up->part_cap) {
		unsigned cap = up->part_cap ? 2 * up->part_cap : PARTS_AT_FIRST;

		up->parts = mem_resize(up->parts, cap, sizeof(*up->parts));
		memset(up->parts + up->part_cap, 0, (cap - up->part_cap) * sizeof(*up->parts));
		up->part_cap = cap;
	}
	return &up->parts[number];
}

/* With the lock. */
static void give_slots(struct dir_upload *up)
{
	for (;;) {
		struct dir_part *next = part_at(up, up->frontier + 1);

		if (!next->known)
			return;
		next->slot_given = true;
		next->slot_offset = up->body_bytes;
		up->body_bytes += next->slot_bytes;
		up->frontier++;
	}
}

/* With the lock. */
static void learn_part_bytes(struct dir_upload *up, unsigned number, uint64_t bytes)
{
	struct dir_part *part = part_at(up, number);

	if (part->known)
		return;
	part->known = true;
	part->slot_bytes = bytes;
	give_slots(up);
}

void dir_upload_announce(struct store_upload *base, unsigned number, uint64_t bytes)
{
	struct dir_upload *up = dir_upload_of(base);

	pthread_mutex_lock(&up->lock);
	learn_part_bytes(up, number, bytes);
	pthread_mutex_unlock(&up->lock);
}

struct plan {
	uint64_t generation;
	bool in_slot;
	uint64_t offset;
};

static int plan_part(struct dir_upload *up, unsigned number, uint64_t bytes, struct plan *ret)
{
	struct dir_part *part;

	pthread_mutex_lock(&up->lock);
	if (up->closed) {
		pthread_mutex_unlock(&up->lock);
		return -ENOENT;
	}
	up->running++;
	learn_part_bytes(up, number, bytes);
	part = part_at(up, number);
	*ret = (struct plan){.generation = ++up->generation, .offset = part->slot_offset};
	ret->in_slot = part->slot_given && !part->slot_used && part->slot_bytes == bytes;
	if (ret->in_slot)
		part->slot_used = true;
	pthread_mutex_unlock(&up->lock);
	return 0;
}

static int write_slot(struct dir_upload *up, const struct store_call *call, const struct plan *plan,
                      const struct iovec *iov, int count)
{
	struct stat st;
	int r = dir_write_iov(up->body_fd, plan->offset, iov, count, call);

	if (r < 0)
		return r;
	/* Aborted by another handle or process? By name, since not every file system counts links. */
	if (fstatat(up->dir_fd, UPLOAD_BODY, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	/* A hint: the sync at the end then finds little to do. */
	sync_file_range(up->body_fd, (off_t)plan->offset, (off_t)iov_bytes(iov, count),
	                SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int write_part_file(struct dir_upload *up, const struct store_call *call, const char *name,
                           const struct iovec *iov, int count)
{
	_cleanup(fd) int fd = openat(up->dir_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = dir_write_iov(fd, 0, iov, count, call);
	if (r < 0)
		unlinkat(up->dir_fd, name, 0);
	return r;
}

/* Record how it went. @ret_old: the file of the part that this one replaces, or "". */
static void record_part_end(struct dir_upload *up, unsigned number, const struct plan *plan, uint64_t bytes,
                            bool ok, struct store_part *ret, char ret_old[static UPLOAD_FILE_BYTES])
{
	struct dir_part *part;

	ret_old[0] = '\0';
	pthread_mutex_lock(&up->lock);
	part = part_at(up, number);
	up->running--;
	if (ok) {
		if (part->done && !part->in_slot)
			dir_upload_part_file(ret_old, number, part->generation);
		part->done = true;
		part->in_slot = plan->in_slot;
		part->bytes = bytes;
		part->generation = plan->generation;
		*ret = (struct store_part){.number = number, .bytes = bytes};
		dir_upload_part_etag(ret->etag, number, part);
	} else if (plan->in_slot) {
		part->slot_used = false;
	}
	pthread_mutex_unlock(&up->lock);
}

int dir_upload_part(struct store_upload *base, const struct store_call *call, unsigned number,
                    const struct iovec *iov, int count, struct store_part *ret, struct error *err)
{
	struct dir_upload *up = dir_upload_of(base);
	char name[UPLOAD_FILE_BYTES], old[UPLOAD_FILE_BYTES];
	uint64_t bytes = iov_bytes(iov, count);
	struct store_part part;
	struct plan plan;
	int r;

	r = plan_part(up, number, bytes, &plan);
	if (r < 0)
		return dir_upload_error(up, r, err, "add a part to");
	dir_upload_part_file(name, number, plan.generation);
	r = plan.in_slot ? write_slot(up, call, &plan, iov, count)
	                 : write_part_file(up, call, name, iov, count);
	record_part_end(up, number, &plan, bytes, r == 0, &part, old);
	if (old[0])
		unlinkat(up->dir_fd, old, 0);
	if (r < 0)
		return dir_upload_error(up, r, err, "add a part to");
	*ret = part;
	return 0;
}
