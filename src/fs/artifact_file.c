// SPDX-License-Identifier: Apache-2.0
/*
 * Reading a backup, or one of its further files: each request is handed to the reader and answered by its
 * callback, so that no FUSE thread waits for the store. A failure is EIO (ESTALE: another object has taken
 * its place) with the reason in status/last-error: never zeros, never a short answer in mid-file.
 *
 * Who read what is noted when the file is closed, by a worker: that waits for the catalog's disk.
 */
#include "copies.h"
#include "handle.h"
#include "later.h"
#include "lookers.h"
#include "mirrored.h"
#include "sealed.h"

#include <keepfs/artifact/class.h>
#include <keepfs/artifact/sealed.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHECKED_LONG_AGO_US (30 * 24 * 3600 * US_PER_S)

struct artifact_file {
	struct handle base;
	uint64_t size_bytes;
	struct reader_file *file;
	uint64_t artifact_ino;
	struct catalog_audit reader; /* who opened it */
	struct reader_file_stats stats;
	char *path;  /* of a part of an object; NULL: it is all of it, and the catalog knows its path */
	uint64_t at; /* of a part: where it begins */
};

struct read_request {
	struct reader_request request;
	struct pending pending;
	struct fs *fs;
	uint64_t ino;
	char *path; /* of a part; NULL: the catalog's */
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

	(void)artifact_note_frozen(fs->ctx.repository, ino, err);
	report_trouble(fs->ctx.troubles, path, -r, message);
	if (damage)
		note_damage(fs, ino, message);
	log_error("read of %s failed: %s", path ? path : "a removed backup", message);
}

static char *path_of_read(struct fs *fs, uint64_t ino)
{
	return copies_have(ino) ? copies_path_of(fs, ino) : catalog_path(fs->ctx.repository->catalog, ino);
}

static void read_done(struct reader_request *request, int r, const struct iovec *iov, int count,
                      const struct error *err)
{
	struct read_request *rr = (struct read_request *)request;

	if (r < 0 && r != -ECANCELED) {
		_cleanup(free) char *path = rr->path ? mem_strdup(rr->path) : path_of_read(rr->fs, rr->ino);
		bool damage = err && (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND);

		if (copies_have(rr->ino))
			copies_failed(rr->fs, rr->ino, r, damage, err);
		else
			note_read_failure(rr->fs, rr->ino, path, r, damage, err);
		/* When it was made again it is another object. It is not closed here, since the reader waits for its callback. */
		if (rr->path)
			kept_packs_doubt(rr->fs->kept_packs, rr->ino);
	}
	if (pending_claim(&rr->pending)) {
		if (r < 0)
			fuse_reply_err(rr->pending.req, r == -ESTALE ? ESTALE : EIO);
		else
			fuse_reply_iov(rr->pending.req, iov, count);
	}
	free(rr->path);
	free(rr);
}

static void give_up_read(void *file, uint64_t tag)
{
	reader_cancel(file, tag);
}

static void read_range(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct fs *fs = h->fs;
	struct artifact_file *f = (struct artifact_file *)h;
	struct reader_file *file = f->file;
	struct read_request *rr;
	uint64_t tag;

	/* The reader sees to it of whole objects. */
	if (f->path && (uint64_t)off >= f->size_bytes) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (f->path && size > f->size_bytes - (uint64_t)off)
		size = (size_t)(f->size_bytes - (uint64_t)off);
	rr = mem_alloc(sizeof(*rr));
	tag = atomic_fetch_add(&fs->read_tag, 1) + 1;
	rr->request = (struct reader_request){.offset = f->at + (uint64_t)off,
	                                      .len = size,
	                                      .tag = tag,
	                                      .owner = (uint64_t)fuse_req_ctx(req)->pid,
	                                      .done = read_done};
	rr->fs = fs;
	rr->ino = f->path ? f->artifact_ino : h->ino;
	rr->path = f->path ? mem_strdup(f->path) : NULL;
	if (pending_init(&rr->pending, req,
	                 &(struct pending_work){.give_up = give_up_read, .arg = file, .tag = tag})) {
		reader_read(file, &rr->request);
	} else {
		free(rr->path);
		free(rr);
	}
}

/* The caller has closed a descriptor: nobody else waits for what was read ahead for it that would not ask
 * again. Without this what it had asked for would go on until the store's deadline, since a release comes
 * only when all is answered. */
static void give_up_reads(fuse_req_t req, struct handle *h, uint64_t owner)
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
	_cleanup(free) char *path = f->path ? mem_strdup(f->path) : path_of_read(f->base.fs, f->base.ino);
	struct error err = {0};
	char detail[160];

	if (s->verified_at_us && !f->path && !copies_have(f->base.ino) &&
	    catalog_set_verified(f->base.fs->ctx.repository->catalog, f->base.ino, s->verified_at_us, &err) <
	            0)
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
	free(f->path);
	free(f);
}

/* The workers have gone when the mount has: then it is noted here. */
static void release_artifact_file(struct handle *h)
{
	struct artifact_file *f = (struct artifact_file *)h;

	reader_close(f->file, &f->stats);
	artifact_open_end(h->fs->ctx.repository, f->artifact_ino);
	if (h->fs->workers)
		workers_add(h->fs->workers, note_reading, f);
	else
		note_reading(f);
}

static const struct handle_ops ops = {
        .lasting = true, .read = read_range, .flush = give_up_reads, .release = release_artifact_file};

/* Opening. What is decrypted needs the keys that the beginning of the object holds: where these are not known yet, a worker asks the
 * store for them. */

struct opening_file {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit reader;
};

struct stored_file {                   /* of a node */
	char sha256[SHA256_HEX_BYTES]; /* of what is read */
	struct manifest_object object;
	struct manifest manifest; /* without files and objects */
	struct store *store;
	bool is_decrypted;            /* what is read is not what is stored */
	struct repository *opened_in; /* artifact_open_end() is to be called; NULL: not */
	uint64_t artifact_ino;
};

static void cleanup_stored_file(struct stored_file *s)
{
	if (s->opened_in)
		artifact_open_end(s->opened_in, s->artifact_ino);
	manifest_object_finish(&s->object);
	manifest_finish(&s->manifest);
	store_free(s->store);
}

static int find_stored_file(struct fs *fs, const struct node *node, const char *path, struct stored_file *ret,
                            struct error *err)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	int r;

	ret->opened_in = fs->ctx.repository;
	ret->artifact_ino = node->entry.artifact_ino;
	artifact_open_begin(ret->opened_in, ret->artifact_ino);
	r = catalog_object(catalog, node->ino, &ret->object);
	if (r == 0)
		r = catalog_file_sha256(catalog, node->ino, ret->sha256);
	if (r == -ENOENT || (r == 0 && !sealed_is_known(&ret->object)))
		return sealed_refuse_unknown(&ret->object, path, err);
	if (r < 0)
		return error_set(
		        err, ERROR_INTERNAL, -r,
		        "the catalog holds no checksums for %s: stop the mount and run 'keepfs rebuild'",
		        path);
	ret->is_decrypted = ret->object.cipher && !sealed_is_shown(fs, node);
	if (ret->object.cipher && !ret->is_decrypted)
		memcpy(ret->sha256, ret->object.stored_sha256, sizeof(ret->sha256));
	if (ret->is_decrypted)
		(void)catalog_manifest(catalog, node->ino, &ret->manifest);
	return repository_reading_store_of_ino(fs->ctx.repository, node->ino, &ret->store, err);
}

/* Of a pack in copies/: its manifest is asked of its store. */
static int find_copied_pack(struct fs *fs, uint64_t ino, const char *path, struct cancel *cancel,
                            struct stored_file *ret, struct error *err)
{
	struct manifest *m = &ret->manifest;
	struct manifest_object *object;
	int r = mirrored_pack_copy(fs, ino, cancel, m, &ret->store, err);

	if (r < 0)
		return r;
	object = &m->objects[m->files[0].object];
	if (!sealed_is_known(object))
		return sealed_refuse_unknown(object, path, err);
	memcpy(ret->sha256, m->files[0].sha256, sizeof(ret->sha256));
	ret->object = *object;
	*object = (struct manifest_object){0};
	ret->is_decrypted = ret->object.cipher != NULL;
	return 0;
}

static struct sealed_object sealed_of(struct fs *fs, const struct stored_file *s, const char *path,
                                      struct cancel *cancel)
{
	return (struct sealed_object){.repo = fs->ctx.repository,
	                              .store = s->store,
	                              .object = &s->object,
	                              .what = path,
	                              .encrypted_to = s->manifest.encrypted_to,
	                              .cancel = cancel};
}

static int open_handle(struct fs *fs, const struct node *node, const struct reader_what *what,
                       const struct artifact_part *part, const struct catalog_audit *reader,
                       struct handle **ret_handle, struct error *err)
{
	struct artifact_file *f = mem_alloc(sizeof(*f));
	int r;

	f->size_bytes = part ? part->bytes : node->entry.size_bytes;
	f->reader = *reader;
	r = reader_open(fs->ctx.reader, what, &f->file, err);
	if (r < 0) {
		free(f);
		return r;
	}
	f->path = part ? mem_strdup(part->path) : NULL;
	f->at = part ? part->at : 0;
	/* The caller has it open, too, until this is done. */
	f->artifact_ino = part ? part->artifact_ino : node->entry.artifact_ino;
	artifact_open_begin(fs->ctx.repository, f->artifact_ino);
	handle_init(&f->base, fs, &ops, node->ino);
	*ret_handle = &f->base;
	return 0;
}

int artifact_handle_open(struct fs *fs, const struct node *node, const struct reader_what *what,
                         const struct catalog_audit *reader, struct handle **ret_handle, struct error *err)
{
	return open_handle(fs, node, what, NULL, reader, ret_handle, err);
}

int artifact_part_open(struct fs *fs, const struct node *node, const struct reader_what *what,
                       const struct artifact_part *part, const struct catalog_audit *reader,
                       struct handle **ret_handle, struct error *err)
{
	return open_handle(fs, node, what, part, reader, ret_handle, err);
}

/* @layout is consumed. */
static int open_stored_file(struct fs *fs, const struct node *node, struct stored_file *s,
                            struct reader_layout *layout, const struct catalog_audit *reader,
                            struct handle **ret_handle, struct error *err)
{
	const struct reader_what what = {.store = take_ptr(&s->store),
	                                 .ino = node->ino,
	                                 .key = s->object.key,
	                                 .extents = &s->object.extents,
	                                 .sha256 = s->sha256,
	                                 .whole = check_whole(fs, node->ino),
	                                 .layout = layout,
	                                 .stored_sha256 = s->object.stored_sha256};

	return artifact_handle_open(fs, node, &what, reader, ret_handle, err);
}

static int open_decrypted(struct opening_file *o, const char *path, struct handle **ret_handle,
                          struct error *err)
{
	struct fs *fs = o->later.fs;
	_cleanup(stored_file) struct stored_file s = {0};
	struct sealed_object sealed;
	struct reader_layout *layout = NULL;
	int r = find_stored_file(fs, &o->node, path, &s, err);

	if (r < 0)
		return r;
	sealed = sealed_of(fs, &s, path, &o->later.cancel);
	r = sealed_layout(&sealed, &layout, err);
	return r < 0 ? r : open_stored_file(fs, &o->node, &s, layout, &o->reader, ret_handle, err);
}

static void note_refused_opening(struct fs *fs, const struct node *node, const char *path, int r,
                                 const struct error *err)
{
	(void)artifact_note_frozen(fs->ctx.repository, node->ino, err);
	report_trouble(fs->ctx.troubles, path, -r, err->message);
}

/* What this host cannot decrypt is no damage of the backup. */
static void note_open_failure(struct fs *fs, const struct node *node, const char *path, int r,
                              const struct error *err)
{
	if (r == -ECANCELED)
		return;
	if (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND)
		note_read_failure(fs, node->ino, path, r, true, err);
	else
		note_refused_opening(fs, node, path, r, err);
}

static int errno_of_open(int r)
{
	if (r == -ECANCELED)
		return EINTR;
	return r == -ENOKEY || r == -EKEYREJECTED || r == -ENOTSUP || r == -ENOENT ? -r : EIO;
}

static void open_file_later(void *arg)
{
	struct opening_file *o = arg;
	struct fs *fs = o->later.fs;
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, o->node.ino);
	struct handle *h = NULL;
	struct error err = {0};
	int r = path ? open_decrypted(o, path, &h, &err) : -ENOENT;

	if (path && r < 0)
		note_open_failure(fs, &o->node, path, r, &err);
	if (!later_claim(&o->later)) {
		if (h)
			handle_free(h);
	} else if (r < 0) {
		fuse_reply_err(o->later.pending.req, errno_of_open(r));
	} else {
		reply_open(o->later.pending.req, h, &o->fi);
	}
	later_end(&o->later);
	free(o);
}

static int begin_opening(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct opening_file *o = mem_alloc(sizeof(*o));

	o->node = *node;
	o->fi = *fi;
	caller_of(req, &o->reader);
	if (later_begin(&o->later, fs, req))
		lookers_add(fs->lookers, node->entry.ino, open_file_later, o);
	else
		free(o);
	return OPENED_LATER;
}

int artifact_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                       struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, node->ino);
	_cleanup(stored_file) struct stored_file s = {0};
	struct catalog_audit reader;
	int r;

	if (!path)
		return -ENOENT;
	r = find_stored_file(fs, node, path, &s, err);
	if (r < 0)
		return r;
	if (s.is_decrypted)
		return begin_opening(req, node, fi);
	caller_of(req, &reader);
	return open_stored_file(fs, node, &s, NULL, &reader, ret_handle, err);
}

/* Members of packs. The reader lets go of an object's blocks when it is closed, and one block has many members: so each of the last packs is open once more, and nothing reads
 * that. */

#define KEPT_PACKS 8

struct kept_pack {
	uint64_t ino; /* 0: there is none */
	struct reader_file *file;
	bool is_doubted; /* what was read of it failed */
};

struct kept_packs {
	pthread_mutex_t lock;
	struct kept_pack packs[KEPT_PACKS]; /* lock: most recently used first */
};

struct kept_packs *kept_packs_new(void)
{
	struct kept_packs *k = mem_alloc(sizeof(*k));

	pthread_mutex_init(&k->lock, NULL);
	return k;
}

struct kept_packs *kept_packs_free(struct kept_packs *k)
{
	if (!k)
		return NULL;
	for (size_t i = 0; i < KEPT_PACKS; i++)
		if (k->packs[i].ino)
			reader_close(k->packs[i].file, NULL);
	pthread_mutex_destroy(&k->lock);
	free(k);
	return NULL;
}

static void forget_kept_packs(struct kept_packs *k, uint64_t ino, bool only_doubted)
{
	struct reader_file *found[KEPT_PACKS];
	size_t count = 0;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < KEPT_PACKS; i++) {
		if (k->packs[i].ino != ino || (only_doubted && !k->packs[i].is_doubted))
			continue;
		found[count++] = k->packs[i].file;
		k->packs[i] = (struct kept_pack){0};
	}
	pthread_mutex_unlock(&k->lock);
	while (count > 0)
		reader_close(found[--count], NULL);
}

void kept_packs_forget(struct kept_packs *k, uint64_t ino)
{
	forget_kept_packs(k, ino, false);
}

void kept_packs_doubt(struct kept_packs *k, uint64_t ino)
{
	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < KEPT_PACKS; i++)
		if (k->packs[i].ino == ino)
			k->packs[i].is_doubted = true;
	pthread_mutex_unlock(&k->lock);
}

/* Is it there? Then it is the last one to go. */
static bool touch_pack(struct kept_packs *k, uint64_t ino)
{
	bool found = false;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; !found && i < KEPT_PACKS; i++) {
		struct kept_pack pack = k->packs[i];

		if (pack.ino != ino)
			continue;
		memmove(&k->packs[1], &k->packs[0], i * sizeof(pack));
		k->packs[0] = pack;
		found = true;
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

static void keep_pack(struct kept_packs *k, uint64_t ino, struct reader_file *file)
{
	struct kept_pack out;

	pthread_mutex_lock(&k->lock);
	out = k->packs[KEPT_PACKS - 1];
	memmove(&k->packs[1], &k->packs[0], (KEPT_PACKS - 1) * sizeof(out));
	k->packs[0] = (struct kept_pack){.ino = ino, .file = file};
	pthread_mutex_unlock(&k->lock);
	if (out.ino)
		reader_close(out.file, NULL);
}

/* For reader_open(); @s is what it is about, and must be there until then. */
static int find_pack(struct fs *fs, const struct catalog_entry *pack, const char *pack_path,
                     struct cancel *cancel, struct stored_file *s, struct reader_what *ret, struct error *err)
{
	/* What is read of it is never what is stored. */
	struct node node = {.ino = pack->ino, .class = &class_artifact, .entry = *pack};
	struct reader_layout *layout = NULL;
	struct sealed_object sealed;
	int r;

	node.entry.is_sealed = false;
	r = copies_have(pack->ino) ? find_copied_pack(fs, pack->ino, pack_path, cancel, s, err)
	                           : find_stored_file(fs, &node, pack_path, s, err);
	if (r < 0)
		return r;
	sealed = sealed_of(fs, s, pack_path, cancel);
	r = sealed_layout(&sealed, &layout, err);
	if (r < 0)
		return r;
	*ret = (struct reader_what){.store = take_ptr(&s->store),
	                            .ino = pack->ino,
	                            .key = s->object.key,
	                            .extents = &s->object.extents,
	                            .sha256 = s->sha256,
	                            .layout = layout,
	                            .stored_sha256 = s->object.stored_sha256};
	return 0;
}

static void keep_pack_open(struct fs *fs, const struct catalog_entry *pack, const char *pack_path,
                           struct cancel *cancel)
{
	_cleanup(stored_file) struct stored_file s = {0};
	struct reader_file *file;
	struct reader_what what;

	if (touch_pack(fs->kept_packs, pack->ino))
		return;
	if (find_pack(fs, pack, pack_path, cancel, &s, &what, NULL) == 0 &&
	    reader_open(fs->ctx.reader, &what, &file, NULL) == 0)
		keep_pack(fs->kept_packs, pack->ino, file);
}

int artifact_pack_open(struct fs *fs, const struct node *node, const struct catalog_entry *pack,
                       const char *pack_path, const struct artifact_part *part,
                       const struct catalog_audit *reader, struct handle **ret_handle, struct error *err)
{
	_cleanup(stored_file) struct stored_file s = {0};
	struct reader_what what;
	int r;

	forget_kept_packs(fs->kept_packs, pack->ino, true);
	r = find_pack(fs, pack, pack_path, node->cancel, &s, &what, err);
	if (r < 0)
		return r;
	what.is_part = true;
	r = open_handle(fs, node, &what, part, reader, ret_handle, err);
	if (r == 0)
		keep_pack_open(fs, pack, pack_path, node->cancel);
	return r;
}

int artifact_pack_file(struct fs *fs, const struct catalog_entry *pack, const char *pack_path,
                       struct cancel *cancel, struct reader_file **ret, uint64_t *ret_bytes,
                       struct error *err)
{
	_cleanup(stored_file) struct stored_file s = {0};
	struct reader_what what;
	int r = find_pack(fs, pack, pack_path, cancel, &s, &what, err);

	if (r < 0)
		return r;
	*ret_bytes = what.layout ? cells_plain_bytes(&what.layout->cells, what.extents->total_bytes)
	                         : what.extents->total_bytes;
	return reader_open(fs->ctx.reader, &what, ret, err);
}
