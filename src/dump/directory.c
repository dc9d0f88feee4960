// SPDX-License-Identifier: Apache-2.0
/*
 * The files of a directory as pg_dump -Fd makes them, each an object of its own below the artifact's path.
 * What a store takes its time for is to complete an object, so that is done by a few threads while the next
 * file is written: thousands of small tables do not wait for each other. The first failure decides.
 *
 * Whether the name is still ours is not asked for each of them, but once in a while: a second keepfs that
 * writes to the same place has published its own, and would lose all files that have the same names.
 *
 * toc.dat comes last but for SHA256SUMS, the digest of all the others, whose own digest is the artifact's.
 */
#include "output.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FINISHED_AT_ONCE 3
#define NAME_BYTES       64
#define CHECK_EVERY_MS   1000

struct directory {
	struct output output;
	struct workers *workers;
	/* The file that is being written. */
	char name[NAME_BYTES];
	struct segment_file file;
	size_t opened;       /* files */
	struct spool *blobs; /* large objects of the present block: lines of blobs.toc; NULL: none yet */
	/* The entry whose file toc.dat was not asked for yet; the name of the last one that it was. */
	size_t next;
	char entry_name[NAME_BYTES];
	/* Files that are being completed. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int64_t checked_ms;   /* lock: when the name was found free */
	unsigned pending;     /* lock */
	int failed;           /* lock */
	struct error failure; /* lock */
};

struct completion {
	struct directory *directory;
	struct stream_object *object;
	char name[NAME_BYTES];
};

static bool compressed(const struct directory *dir)
{
	return dir->output.dump->compression.method == COMPRESSION_GZIP;
}

/* Until at most @most files are being completed. */
static int wait_for_files(struct directory *dir, unsigned most, struct error *err)
{
	int r;

	pthread_mutex_lock(&dir->lock);
	while (dir->pending > most)
		pthread_cond_wait(&dir->changed, &dir->lock);
	r = dir->failed;
	if (r < 0 && err)
		*err = dir->failure;
	pthread_mutex_unlock(&dir->lock);
	return r;
}

static int check_free(struct directory *dir, struct error *err)
{
	int64_t now_ms = clock_mono_ms();
	bool due;
	int r;

	pthread_mutex_lock(&dir->lock);
	due = dir->checked_ms == 0 || now_ms - dir->checked_ms >= CHECK_EVERY_MS;
	r = dir->failed;
	pthread_mutex_unlock(&dir->lock);
	if (r < 0 || !due)
		return r;
	r = draft_check_free(dir->output.dump->draft, err);
	pthread_mutex_lock(&dir->lock);
	if (r == 0)
		dir->checked_ms = now_ms;
	pthread_mutex_unlock(&dir->lock);
	return r;
}

static void complete(void *arg)
{
	struct completion *c = arg;
	struct directory *dir = c->directory;
	struct stream_facts facts = {0};
	struct error err = {0};
	int r = check_free(dir, &err);

	if (r == 0)
		r = stream_object_finish(c->object, NULL, &facts, &err);
	stream_object_free(c->object);
	pthread_mutex_lock(&dir->lock);
	if (r == 0) {
		draft_enter(dir->output.dump->draft, c->name, &facts);
	} else if (!dir->failed) {
		dir->failed = r;
		dir->failure = err;
	}
	dir->pending--;
	pthread_cond_signal(&dir->changed);
	pthread_mutex_unlock(&dir->lock);
	free(c);
}

static int open_data_file(struct directory *dir, const char *name, struct error *err)
{
	int r = wait_for_files(dir, FINISHED_AT_ONCE, err);

	if (r < 0)
		return r;
	/* Those of the draft itself are few. */
	if (dir->opened++ == MANIFEST_FILES_MAX - MANIFEST_BESIDE_MAX)
		return error_set(
		        err, ERROR_USAGE, EFBIG,
		        "a backup that is a directory has a file for each table and each large object, and no more than %d: use format = custom",
		        MANIFEST_FILES_MAX);
	str_copy(dir->name, sizeof(dir->name), name);
	return draft_open(dir->output.dump->draft, name, 0, &dir->file.object, err);
}

static void close_file(struct directory *dir)
{
	struct completion *c = mem_alloc(sizeof(*c));

	c->directory = dir;
	c->object = take_ptr(&dir->file.object);
	str_copy(c->name, sizeof(c->name), dir->name);
	pthread_mutex_lock(&dir->lock);
	dir->pending++;
	pthread_mutex_unlock(&dir->lock);
	workers_add(dir->workers, complete, c);
}

static int write_file(void *arg, const void *data, size_t len, struct error *err)
{
	return stream_object_write(((struct directory *)arg)->file.object, data, len, err);
}

/* Data: compressed as the dump is. */
static int open_data(struct directory *dir, const char *name, struct error *err)
{
	char full[NAME_BYTES];
	int r;

	snprintf(full, sizeof(full), "%s%s", name, compressed(dir) ? ".gz" : "");
	r = open_data_file(dir, full, err);
	return r < 0 ? r : segment_file_begin(&dir->file, dir->file.object, compressed(dir), err);
}

static int close_data(struct directory *dir, struct error *err)
{
	int r = segment_file_end(&dir->file, err);

	if (r == 0)
		close_file(dir);
	return r;
}

static int directory_begin(struct output *o, struct error *err)
{
	struct directory *dir = (struct directory *)o;

	dir->workers = workers_new("files", FINISHED_AT_ONCE);
	return dir->workers ? 0
	                    : error_set(err, ERROR_INTERNAL, EAGAIN, "cannot start a thread for the upload");
}

static int directory_segment(struct output *o, const struct segment *s, const void *data, struct error *err)
{
	struct directory *dir = (struct directory *)o;

	return segment_file_add(&dir->file, s, data, err);
}

static uint64_t directory_offset(const struct output *o)
{
	return ((const struct directory *)o)->file.bytes;
}

/* As toc.dat names it: up to version 1.15 there is one list of large objects, later one for each group. */
static void data_name(const struct content *content, char name[static NAME_BYTES])
{
	if (!content->blobs)
		snprintf(name, NAME_BYTES, "%d.dat", content->dump_id);
	else if (content->listed)
		snprintf(name, NAME_BYTES, "blobs_%d.toc", content->dump_id);
	else
		snprintf(name, NAME_BYTES, "blobs.toc");
}

static int begin_data_file(struct directory *dir, uint64_t dump_id, struct error *err)
{
	char name[NAME_BYTES];
	int r = output_block(&dir->output, dump_id, err);

	if (r < 0 || dir->output.content->blobs)
		return r;
	data_name(dir->output.content, name);
	return open_data(dir, name, err);
}

static int begin_blob_file(struct directory *dir, uint64_t oid, struct error *err)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "blob_%" PRIu64 ".dat", oid);
	if (!dir->blobs)
		dir->blobs = spool_new(dir->output.dump->ctx->conf->state_dir);
	spool_appendf(dir->blobs, "%" PRIu64 " %s\n", oid, name);
	return open_data(dir, name, err);
}

/* What the spool could not keep is told by the first put. */
static int write_blob_lines(struct directory *dir, struct error *err)
{
	uint64_t size = dir->blobs ? spool_size(dir->blobs) : 0;
	char piece[4096];
	int r = dir->blobs ? spool_put(dir->blobs, "", 0, err) : 0;

	for (uint64_t at = 0, n; r == 0 && at < size; at += n) {
		n = size - at < sizeof(piece) ? size - at : sizeof(piece);
		r = spool_get(dir->blobs, piece, (size_t)n, at, err);
		if (r == 0)
			r = write_file(dir, piece, (size_t)n, err);
	}
	dir->blobs = spool_free(dir->blobs);
	return r;
}

static int end_data_file(struct directory *dir, struct error *err)
{
	char name[NAME_BYTES];
	int r;

	if (!dir->output.content->blobs)
		return close_data(dir, err);
	data_name(dir->output.content, name);
	r = open_data_file(dir, name, err);
	if (r == 0)
		r = write_blob_lines(dir, err);
	if (r == 0)
		close_file(dir);
	return r;
}

static int directory_mark(struct output *o, enum mark what, uint64_t value, struct error *err)
{
	struct directory *dir = (struct directory *)o;
	int r;

	switch (what) {
	case MARK_BLOCK:
		return begin_data_file(dir, value, err);
	case MARK_BLOB:
		return begin_blob_file(dir, value, err);
	case MARK_BLOB_END:
		return close_data(dir, err);
	default:
		r = end_data_file(dir, err);
		output_block_end(o);
		return r;
	}
}

/* Both go through the table of contents in its order. */
static const char *name_of_entry(void *arg, uint64_t place_at)
{
	struct directory *dir = arg;
	const struct contents *c = dir->output.contents;

	if (dir->next == c->count || c->items[dir->next].place_at != place_at)
		return NULL;
	data_name(&c->items[dir->next++], dir->entry_name);
	return dir->entry_name;
}

static int directory_finish(struct output *o, struct error *err)
{
	struct directory *dir = (struct directory *)o;
	const struct pg_archive_head_options head = {.compression = o->dump->compression,
	                                             .directory = true,
	                                             .file_name = name_of_entry,
	                                             .emit = write_file,
	                                             .arg = dir};
	int r = open_data_file(dir, "toc.dat", err);

	if (r == 0)
		r = toc_write(&o->toc, &head, err);
	if (r == 0)
		close_file(dir);
	return r < 0 ? r : wait_for_files(dir, 0, err);
}

static void directory_free(struct output *o)
{
	struct directory *dir = (struct directory *)o;

	workers_free(dir->workers);
	stream_object_free(dir->file.object);
	spool_free(dir->blobs);
	pthread_cond_destroy(&dir->changed);
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}

static const struct output_ops directory_ops = {
        .begin = directory_begin,
        .segment = directory_segment,
        .offset = directory_offset,
        .mark = directory_mark,
        .finish = directory_finish,
        .free = directory_free,
};

struct output *directory_new(void)
{
	struct directory *dir = mem_alloc(sizeof(*dir));

	dir->output.ops = &directory_ops;
	pthread_mutex_init(&dir->lock, NULL);
	pthread_cond_init(&dir->changed, NULL);
	return &dir->output;
}
