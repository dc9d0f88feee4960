// SPDX-License-Identifier: Apache-2.0
/*
 * Open texts. What was read stays as it is; two things happen behind it, so that a text can be followed as a file on
 * any disk:
 *
 * - A file to which lines are added goes on where its text ended: whoever reads at the end gets what has come since.
 *   fstat(2) does not say for which open it asks, and is told the size of the text of now. That is the size that this
 *   open file has come to, since what is added here is what the text of now is longer by, wherever it has it.
 * - Whoever goes back to the beginning and finds that the file has become shorter reads it anew, as after a rotation.
 *   `tail -f` goes back when it sees that; for a file that is rewritten it shows all of it then.
 *
 * What was added is in memory, bounded: what was read of it is forgotten when it is much.
 */
#include "fs_private.h"
#include "made_file.h"
#include "text.h"
#include "watch.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define ADDED_KEPT_BYTES ((size_t)256 << 10)

struct text_handle {
	struct handle base;
	const struct made_file *file; /* NULL: a text that is nobody else's */
	struct watch *watch;          /* NULL: always ready */
	pthread_mutex_t lock;
	bool was_read;       /* lock */
	struct text *text;   /* lock */
	uint64_t generation; /* lock; when it was last found that nothing more has come */
	int64_t position;    /* lock; behind which line the file ends */
	struct str added;    /* lock; behind the text, from added_at on */
	uint64_t added_at;   /* lock; offset in the file */
};

/* With the lock, or before anybody else has the handle. */
static void take_new_text(struct text_handle *th, struct text *text)
{
	th->text = text;
	th->generation = text_generation(text);
	if (th->file && th->file->has_pages)
		th->generation = ~th->generation; /* nobody has looked behind it */
	th->position = text_position(text);
	th->added_at = text_bytes(text);
	str_clear(&th->added);
}

static uint64_t opened_bytes(struct handle *h)
{
	struct text_handle *th = (struct text_handle *)h;
	uint64_t bytes;

	pthread_mutex_lock(&th->lock);
	bytes = th->added_at + th->added.len;
	pthread_mutex_unlock(&th->lock);
	return bytes;
}

/* With the lock. What is before @read_to was read. */
static void forget_what_was_read(struct text_handle *th, uint64_t read_to)
{
	size_t len = read_to > th->added_at ? (size_t)(read_to - th->added_at) : 0;

	if (th->added.len <= ADDED_KEPT_BYTES || len == 0)
		return;
	if (len > th->added.len)
		len = th->added.len;
	memmove(th->added.data, th->added.data + len, th->added.len - len);
	th->added.len -= len;
	th->added.data[th->added.len] = '\0';
	th->added_at += len;
}

static int append_spool(const struct spool *from, struct str *out)
{
	char piece[4096];
	uint64_t offset = 0;
	ssize_t n;

	while ((n = spool_read(from, piece, sizeof(piece), offset)) > 0) {
		str_append_bytes(out, piece, (size_t)n);
		offset += (uint64_t)n;
	}
	return (int)n;
}

/* What came behind @position; moves it. */
static int make_more(struct text_handle *th, const struct node *node, int64_t *position, struct str *ret)
{
	_cleanup(spool) struct spool *out = spool_new(th->base.fs->ctx.conf->state_dir);
	int r = th->file->follow(th->base.fs, node, position, out);

	return r < 0 ? r : append_spool(out, ret);
}

/* Somebody reads at the end, which is at @end: is there more by now? That it cannot be told is no failure of a read of
 * what there is; the next one asks again. */
static void look_for_more(struct text_handle *th, const struct node *node, uint64_t end)
{
	_cleanup(str) struct str more = {0};
	/* Read before the lines are: a change in between is looked for once too often. */
	uint64_t generation = th->file->generation(th->base.fs, node);
	int64_t from, position;
	bool known;

	pthread_mutex_lock(&th->lock);
	known = th->generation == generation;
	from = position = th->position;
	pthread_mutex_unlock(&th->lock);
	if (known || make_more(th, node, &position, &more) < 0)
		return;
	pthread_mutex_lock(&th->lock);
	/* Unless another read was quicker. */
	if (th->position == from) {
		forget_what_was_read(th, end);
		str_append_bytes(&th->added, str_text(&more), more.len);
		th->position = position;
		if (!more.len)
			th->generation = generation;
	}
	pthread_mutex_unlock(&th->lock);
}

static void read_anew_when_shorter(struct text_handle *th, const struct node *node)
{
	_cleanup(text) struct text *text = NULL;

	if (text_now(th->base.fs, node, &text) < 0)
		return;
	pthread_mutex_lock(&th->lock);
	if (text_bytes(text) < th->added_at + th->added.len) {
		struct text *before = th->text;

		take_new_text(th, take_ptr(&text));
		text = before;
	}
	pthread_mutex_unlock(&th->lock);
}

static void bring_up_to_date(struct text_handle *th, size_t size, uint64_t off)
{
	uint64_t end = opened_bytes(&th->base);
	bool again, behind = th->file->follow && off + size > end;
	struct node node;

	pthread_mutex_lock(&th->lock);
	again = th->was_read && off == 0;
	th->was_read = true;
	pthread_mutex_unlock(&th->lock);
	if ((!again && !behind) || node_load(th->base.fs, th->base.ino, &node) < 0)
		return;
	if (again)
		read_anew_when_shorter(th, &node);
	if (behind)
		look_for_more(th, &node, off < end ? off : end);
}

/* With the lock. From what was added; -ESTALE: it was read before, and is forgotten. */
static ssize_t read_added(const struct text_handle *th, char *buf, size_t size, uint64_t off)
{
	uint64_t from;

	if (off < th->added_at)
		return -ESTALE;
	from = off - th->added_at;
	if (from >= th->added.len)
		return 0;
	if (size > th->added.len - from)
		size = th->added.len - from;
	memcpy(buf, th->added.data + from, size);
	return (ssize_t)size;
}

static ssize_t read_followed(struct text_handle *th, char *buf, size_t size, uint64_t off)
{
	_cleanup(text) struct text *text = NULL;
	ssize_t n = 0, more;

	pthread_mutex_lock(&th->lock);
	text = text_ref(th->text);
	pthread_mutex_unlock(&th->lock);
	if (off < text_bytes(text))
		n = text_read(text, buf, size, off);
	if (n < 0 || (size_t)n == size)
		return n;
	pthread_mutex_lock(&th->lock);
	more = text == th->text ? read_added(th, buf + n, size - (size_t)n, off + (uint64_t)n) : 0;
	pthread_mutex_unlock(&th->lock);
	if (more < 0)
		return n > 0 ? n : more;
	return n + more;
}

static void read_text_bytes(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct text_handle *th = (struct text_handle *)h;
	_cleanup(free) char *buf = mem_alloc(size);
	ssize_t n;

	if (th->file)
		bring_up_to_date(th, size, (uint64_t)off);
	n = read_followed(th, buf, size, (uint64_t)off);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void poll_run(fuse_req_t req, struct handle *h, struct fuse_pollhandle *ph)
{
	watch_poll(req, ((struct text_handle *)h)->watch, ph);
}

static void release_text(struct handle *h)
{
	struct text_handle *th = (struct text_handle *)h;

	if (th->watch)
		watch_free(th->watch);
	text_unref(th->text);
	str_finish(&th->added);
	pthread_mutex_destroy(&th->lock);
	free(th);
}

struct handle *text_handle_new(struct fs *fs, const struct node *node, struct text *text, struct watch *watch)
{
	static const struct handle_ops ops = {
	        .read = read_text_bytes, .bytes = opened_bytes, .release = release_text};
	static const struct handle_ops watched_ops = {
	        .read = read_text_bytes, .poll = poll_run, .bytes = opened_bytes, .release = release_text};
	struct text_handle *th = mem_alloc(sizeof(*th));

	pthread_mutex_init(&th->lock, NULL);
	th->file = node->file;
	th->watch = watch;
	take_new_text(th, text);
	handle_init(&th->base, fs, watch ? &watched_ops : &ops, node->ino);
	return &th->base;
}
