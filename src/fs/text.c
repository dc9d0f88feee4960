// SPDX-License-Identifier: Apache-2.0
/*
 * Texts. The cache holds the newest text of a few files, keyed by inode and
 * by a generation: a number that changes when the text could. Making a text happens outside the lock; of two
 * threads that make the same one, the later is kept. A text never changes once it was made: it is read
 * without a lock.
 */
#include "text.h"

#include "fs_private.h"
#include "made_file.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>

#include <errno.h>
#include <string.h>

#define CACHED_TEXTS 32

struct text {
	atomic_uint refs;
	uint64_t ino;
	uint64_t generation;
	int64_t position; /* of what can be followed */
	int64_t made_at_us;
	struct spool *spool;
};

struct texts {
	pthread_mutex_t lock;
	struct text *cached[CACHED_TEXTS]; /* lock: most recently used first */
};

struct texts *texts_new(void)
{
	struct texts *t = mem_alloc(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	return t;
}

struct texts *texts_free(struct texts *t)
{
	if (!t)
		return NULL;
	for (unsigned i = 0; i < CACHED_TEXTS; i++)
		text_unref(t->cached[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

void text_unref(struct text *text)
{
	if (!text || atomic_fetch_sub(&text->refs, 1) != 1)
		return;
	spool_free(text->spool);
	free(text);
}

/* A reference to the cached text of @ino when it is of @generation (any, when GENERATION_NEVER); moves it to
 * the front. */
static struct text *find_text(struct texts *t, uint64_t ino, uint64_t generation)
{
	struct text *found = NULL;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < CACHED_TEXTS && t->cached[i]; i++) {
		struct text *text = t->cached[i];

		if (text->ino != ino)
			continue;
		if (generation != GENERATION_NEVER && text->generation != generation)
			break;
		memmove(&t->cached[1], &t->cached[0], i * sizeof(struct text *));
		t->cached[0] = text;
		atomic_fetch_add(&text->refs, 1);
		found = text;
		break;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

/* Put @text at the front, in place of an older text of the same file or of the least recently used one. */
static void keep_text(struct texts *t, struct text *text)
{
	unsigned at = 0;
	struct text *out;

	pthread_mutex_lock(&t->lock);
	while (at < CACHED_TEXTS - 1 && t->cached[at] && t->cached[at]->ino != text->ino)
		at++;
	out = t->cached[at];
	memmove(&t->cached[1], &t->cached[0], at * sizeof(struct text *));
	t->cached[0] = text;
	atomic_fetch_add(&text->refs, 1);
	pthread_mutex_unlock(&t->lock);
	text_unref(out);
}

uint64_t text_by_catalog(struct fs *fs, const struct node *node)
{
	/* Both only grow, so that their sum is another when either is. */
	uint64_t reloads = fs->ctx.live ? conf_live_generation(fs->ctx.live) : 0;

	return catalog_rest_generation(fs->ctx.repository->catalog) + reloads + 1;
}

uint64_t text_by_audit(struct fs *fs, const struct node *node)
{
	return catalog_audit_generation(fs->ctx.repository->catalog) + 1;
}

uint64_t text_constant(struct fs *fs, const struct node *node)
{
	return 1;
}

uint64_t text_never_kept(struct fs *fs, const struct node *node)
{
	return GENERATION_NEVER;
}

static struct text *text_new(struct fs *fs, uint64_t ino, uint64_t generation)
{
	struct text *text = mem_alloc(sizeof(*text));

	atomic_init(&text->refs, 1);
	text->ino = ino;
	text->generation = generation;
	text->made_at_us = clock_now_us();
	text->spool = spool_new(fs->ctx.conf->state_dir);
	return text;
}

static int make_node_text(struct fs *fs, const struct node *node, struct text *text)
{
	const struct made_file *file = node->file;
	struct report_sources sources;
	const struct conf *conf;
	int r;

	text->position = REPORT_WHOLE;
	if (file->follow)
		return file->follow(fs, node, &text->position, text->spool);
	if (file->write)
		return file->write(fs, node, text->spool);
	conf = fs_conf_ref(fs);
	sources = status_sources(fs, conf);
	r = file->report(&sources, text->spool);
	fs_conf_unref(fs, conf);
	return r;
}

int text_open(struct fs *fs, const struct node *node, struct text **ret_text)
{
	/* Read before the text is made: a change in between makes it look old, never new. */
	uint64_t generation = node->file->generation(fs, node);
	_cleanup(text) struct text *text = NULL;
	int r;

	if (generation != GENERATION_NEVER)
		text = find_text(fs->texts, node->ino, generation);
	/* A text that is not whole is an error, never a shorter file. */
	if (!text) {
		text = text_new(fs, node->ino, generation);
		r = make_node_text(fs, node, text);
		if (r < 0)
			return r;
		keep_text(fs->texts, text);
	}
	*ret_text = take_ptr(&text);
	return 0;
}

ssize_t text_read(const struct text *text, void *buf, size_t len, uint64_t offset)
{
	return spool_read(text->spool, buf, len, offset);
}

uint64_t text_bytes(const struct text *text)
{
	return spool_size(text->spool);
}

int64_t text_position(const struct text *text)
{
	return text->position;
}

uint64_t text_generation(const struct text *text)
{
	return text->generation;
}

struct text *text_ref(struct text *text)
{
	atomic_fetch_add(&text->refs, 1);
	return text;
}

int text_now(struct fs *fs, const struct node *node, struct text **ret_text)
{
	struct text *text;

	if (!node->file->is_costly && node->file->generation(fs, node) != GENERATION_NEVER)
		return text_open(fs, node, ret_text);
	text = find_text(fs->texts, node->ino, GENERATION_NEVER);
	if (!text)
		return -ENOENT;
	*ret_text = text;
	return 0;
}

struct text *text_with(struct fs *fs, uint64_t ino, const char *content)
{
	struct text *text = text_new(fs, ino, GENERATION_NEVER);

	spool_append(text->spool, content, strlen(content));
	return text;
}

struct text *text_blank(struct fs *fs, uint64_t ino, struct spool **ret_spool)
{
	struct text *text = text_new(fs, ino, GENERATION_NEVER);

	*ret_spool = text->spool;
	return text;
}

void text_keep(struct fs *fs, struct text *text)
{
	keep_text(fs->texts, text);
}

int64_t text_made_at_us(const struct text *text)
{
	return text->made_at_us;
}

void text_set_answer(struct fs *fs, uint64_t ino, const char *answer)
{
	struct text *text = text_with(fs, ino, answer);

	keep_text(fs->texts, text);
	text_unref(text);
}

struct text *text_answer(struct fs *fs, uint64_t ino)
{
	return find_text(fs->texts, ino, GENERATION_NEVER);
}

/* The nodes of texts. */

int text_file_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(text) struct text *text = NULL;
	/* A text that is made anew at each open (live progress, metrics): its size is that of the last open,
	 * which is what fstat is asked for. */
	int r = text_now(fs, node, &text);

	st->st_mode |= fs->ctx.conf->file_mode & 0444;
	if (r == -ENOENT && node->file->is_costly)
		return 0;
	if (r == -ENOENT)
		r = text_open(fs, node, &text);
	if (r < 0)
		return r;
	st->st_size = (off_t)text_bytes(text);
	*mtime_us = text->made_at_us;
	return 0;
}

int text_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                   struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct text *text;
	int r = text_open(fs, node, &text);

	if (r == 0)
		*ret_handle = text_handle_new(fs, node, text, NULL);
	return r;
}

const struct node_class class_text = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .stat = text_file_stat,
        .open = text_file_open,
};
