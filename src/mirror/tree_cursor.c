// SPDX-License-Identifier: Apache-2.0
/* The frames of a listing, and going from line to line in them. See tree_private.h. */
#include "tree_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <string.h>

int tree_damaged(struct error *err, const char *what)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the listing is damaged: %s", what);
}

void tree_frame_unref(struct tree_frame *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	free(f->text);
	free(f->starts);
	free(f);
}

static struct tree_frame *ref_frame(struct tree_frame *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

static struct tree_frame *find_kept_frame(struct mirror_tree *t, size_t number)
{
	struct tree_frame *found = NULL;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; !found && i < TREE_FRAMES && t->frames[i]; i++) {
		if (t->frames[i]->number != number)
			continue;
		found = t->frames[i];
		memmove(&t->frames[1], &t->frames[0], i * sizeof(found));
		t->frames[0] = found;
		ref_frame(found);
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

static void keep_frame(struct mirror_tree *t, struct tree_frame *f)
{
	struct tree_frame *out;

	pthread_mutex_lock(&t->lock);
	out = t->frames[TREE_FRAMES - 1];
	memmove(&t->frames[1], &t->frames[0], (TREE_FRAMES - 1) * sizeof(f));
	t->frames[0] = ref_frame(f);
	pthread_mutex_unlock(&t->lock);
	tree_frame_unref(out);
}

static int cut_into_lines(struct tree_frame *f, const struct listing_frame *of, struct error *err)
{
	const char *at = f->text, *end = f->text + of->raw;

	f->starts = mem_array(of->lines + 1, sizeof(*f->starts));
	while (at < end && f->count < of->lines) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (!stop)
			break;
		f->starts[f->count++] = (uint32_t)(at - f->text);
		at = stop + 1;
	}
	f->starts[f->count] = (uint32_t)of->raw;
	return at == end && f->count == of->lines ? 0 : tree_damaged(err, "a frame has other lines");
}

static int unpack_tree_frame(struct tree_frame *f, const struct listing_frame *of, const char *packed,
                             struct error *err)
{
	_cleanup(unpacker) struct unpacker *unpacker = unpacker_new(COMPRESSION_ZSTD);
	size_t len = 0;
	int r;

	f->text = mem_alloc(of->raw);
	r = unpacker_run(unpacker, packed, of->bytes, f->text, of->raw, &len, err);
	if (r < 0)
		return err && err->class == ERROR_CORRUPT ? r
		                                          : tree_damaged(err, "a frame cannot be unpacked");
	return len == of->raw ? cut_into_lines(f, of, err)
	                      : tree_damaged(err, "a frame is not as the index says");
}

static int read_frame_of_tree(struct tree_cursor *c, size_t number, struct tree_frame **ret,
                              struct error *err)
{
	struct mirror_tree *t = c->tree;
	const struct listing_frame *of = &t->index.frames[number];
	_cleanup(free) char *packed = mem_alloc(of->bytes);
	struct tree_frame *f;
	int r = t->source.read(t->source.arg, c->cancel, of->at, packed, of->bytes, err);

	if (r < 0)
		return r;
	f = mem_alloc(sizeof(*f));
	atomic_init(&f->refs, 1);
	f->number = number;
	r = unpack_tree_frame(f, of, packed, err);
	if (r < 0) {
		tree_frame_unref(f);
		return r;
	}
	keep_frame(t, f);
	*ret = f;
	return 0;
}

static int load_cursor_frame(struct tree_cursor *c, struct error *err)
{
	if (c->frame && c->frame->number == c->number)
		return 0;
	tree_frame_unref(c->frame);
	c->frame = find_kept_frame(c->tree, c->number);
	return c->frame ? 0 : read_frame_of_tree(c, c->number, &c->frame, err);
}

static void forget_peeked(struct tree_cursor *c)
{
	listing_entry_finish(&c->entry);
	c->has_entry = false;
}

void tree_cursor_finish(struct tree_cursor *c)
{
	forget_peeked(c);
	tree_frame_unref(c->frame);
	c->frame = NULL;
}

static int decode_line(const struct tree_frame *f, uint32_t line, struct listing_entry *ret,
                       struct error *err)
{
	return listing_entry_decode(f->text + f->starts[line], f->starts[line + 1] - f->starts[line], ret,
	                            err);
}

/* 1: the line that comes is in the frame; 0: there is none. */
static int go_to_line(struct tree_cursor *c, struct error *err)
{
	int r = 0;

	if (cancel_is_set(c->cancel))
		return -ECANCELED;
	if (c->number < c->tree->index.count && !c->has_entry)
		r = load_cursor_frame(c, err);
	if (r == 0 && !c->has_entry && c->number < c->tree->index.count && c->line == c->frame->count) {
		c->number++;
		c->line = 0;
		r = c->number < c->tree->index.count ? load_cursor_frame(c, err) : 0;
	}
	return r < 0 ? r : c->number < c->tree->index.count;
}

static int key_of_line(const struct tree_frame *f, uint32_t line, struct str *ret, struct error *err)
{
	return listing_line_key(f->text + f->starts[line], f->starts[line + 1] - f->starts[line], ret, err);
}

int cursor_peek_key(struct tree_cursor *c, struct str *ret, struct error *err)
{
	int r = go_to_line(c, err);

	if (r <= 0)
		return r;
	r = key_of_line(c->frame, c->line, ret, err);
	return r < 0 ? r : 1;
}

int cursor_peek(struct tree_cursor *c, const struct listing_entry **ret, struct error *err)
{
	int r = go_to_line(c, err);

	if (r <= 0)
		return r;
	r = 0;
	if (!c->has_entry)
		r = decode_line(c->frame, c->line, &c->entry, err);
	if (r < 0)
		return r;
	c->has_entry = true;
	*ret = &c->entry;
	return 1;
}

uint64_t cursor_place(const struct tree_cursor *c)
{
	return c->tree->places[c->number] + (uint64_t)c->frame->starts[c->line] * c->tree->places_of_byte;
}

void cursor_step(struct tree_cursor *c)
{
	forget_peeked(c);
	c->line++;
}

int cursor_take(struct tree_cursor *c, struct listing_entry *ret, uint64_t *ret_place, struct error *err)
{
	const struct listing_entry *e;
	int r = cursor_peek(c, &e, err);

	if (r != 1)
		return r;
	*ret_place = cursor_place(c);
	*ret = c->entry;
	c->entry = (struct listing_entry){0};
	cursor_step(c);
	return 1;
}

/* The last frame that begins with @key or before it. */
static size_t frame_with_key(const struct listing_index *x, const char *key)
{
	size_t low = 0, high = x->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(x->frames[middle].first, key) <= 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int cursor_seek(struct tree_cursor *c, const char *key, struct error *err)
{
	uint32_t low = 0, high;
	int r;

	forget_peeked(c);
	c->number = c->tree->index.count > 0 ? frame_with_key(&c->tree->index, key) : 0;
	c->line = 0;
	if (c->tree->index.count == 0)
		return 0;
	r = load_cursor_frame(c, err);
	high = r == 0 ? c->frame->count : 0;
	while (r == 0 && low < high) {
		_cleanup(str) struct str at = {0};
		uint32_t middle = low + (high - low) / 2;

		r = key_of_line(c->frame, middle, &at, err);
		if (r == 0 && strcmp(str_text(&at), key) < 0)
			low = middle + 1;
		else if (r == 0)
			high = middle;
	}
	c->line = low;
	return r;
}

static size_t frame_with_place(const struct mirror_tree *t, uint64_t place)
{
	size_t low = 0, high = t->index.count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (t->places[middle] <= place)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int cursor_seek_place(struct tree_cursor *c, uint64_t place, struct error *err)
{
	const struct mirror_tree *t = c->tree;
	uint32_t low = 0, high, at;
	int r;

	forget_peeked(c);
	if (t->index.count == 0 || place < t->places[0] || place >= t->places[t->index.count])
		return 0;
	c->number = frame_with_place(t, place);
	c->line = 0;
	r = load_cursor_frame(c, err);
	if (r < 0)
		return r;
	at = (uint32_t)((place - t->places[c->number]) / t->places_of_byte);
	high = c->frame->count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (c->frame->starts[middle] <= at)
			low = middle;
		else
			high = middle;
	}
	c->line = low;
	return 1;
}
