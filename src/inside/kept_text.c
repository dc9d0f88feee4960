// SPDX-License-Identifier: Apache-2.0
/*
 * The layout of a plain dump, as it is kept on the disk: which tables it has and where, and all of its text that is not rows. It is made of records, each
 * with a kind and a length; the last one says how much there must have been. Who does not know a kind reads the dump instead.
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

#define PIECE_BYTES     ((size_t)64 << 10)
#define TABLE_BYTES     32 /* of numbers, in front of its texts */
#define TEXTS_OF_TABLE  4
#define TEXTS_MAX_BYTES ((uint32_t)64 << 20)

enum record_kind { /* files have these; never changed */
	           RECORD_TABLE = 1,
	           RECORD_SETTINGS = 2,
	           RECORD_TEXT = 3,
	           RECORD_END = 4,
};

static void begin_kept_record(struct kept_writer *w, enum record_kind kind, size_t bytes)
{
	kept_put_u32(w, (uint32_t)kind);
	kept_put_u32(w, (uint32_t)bytes);
}

/* Writing. */

static bool put_kept_table(struct kept_writer *w, const struct inside_toc *t, const struct inside_entry *e)
{
	_cleanup(free) char *texts = mem_alloc(e->texts_bytes + 1);

	if (spool_get(t->texts, texts, e->texts_bytes, e->texts_at, NULL) < 0)
		return false;
	begin_kept_record(w, RECORD_TABLE, TABLE_BYTES + e->texts_bytes);
	kept_put_u64(w, e->offset);
	inside_kept_put_rows(w, &e->expected);
	kept_put(w, texts, e->texts_bytes);
	return true;
}

static bool put_kept_schema(struct kept_writer *w, const struct spool *schema)
{
	_cleanup(free) char *piece = mem_alloc(PIECE_BYTES);
	uint64_t at = 0;
	ssize_t n;

	while ((n = spool_read(schema, piece, PIECE_BYTES, at)) > 0) {
		begin_kept_record(w, RECORD_TEXT, (size_t)n);
		kept_put(w, piece, (size_t)n);
		at += (uint64_t)n;
	}
	return n == 0;
}

static bool put_kept_layout(struct kept_writer *w, const struct inside_dump *d, uint64_t bytes)
{
	const struct inside_toc *t = &d->toc;
	bool whole = true;

	for (size_t i = 0; whole && i < t->count; i++)
		whole = put_kept_table(w, t, &t->entries[i]);
	begin_kept_record(w, RECORD_SETTINGS, t->settings.len);
	kept_put(w, str_text(&t->settings), t->settings.len);
	whole = whole && put_kept_schema(w, d->schema);
	begin_kept_record(w, RECORD_END, 3 * sizeof(uint64_t));
	kept_put_u64(w, bytes);
	kept_put_u64(w, t->count);
	kept_put_u64(w, spool_size(d->schema));
	return whole;
}

void inside_keep_text(struct inside_dump *d, uint64_t bytes)
{
	struct kept_name name;
	struct kept_writer w;

	if (!inside_kept_name(d, KEPT_TEXT, 0, d->ino, &name) || !inside_kept_begin(d, &name, &w))
		return;
	if (put_kept_layout(&w, d, bytes))
		inside_kept_end(d, &w);
	else
		kept_end(&w, false);
}

/* Reading. */

struct text_reading {
	struct inside_dump *dump;
	struct kept_reader *r;
	uint64_t rows_end; /* of the last table */
	bool ended;
};

static bool are_texts(const char *texts, uint32_t len)
{
	unsigned ends = 0;

	for (uint32_t i = 0; i < len; i++)
		ends += texts[i] == '\0';
	return ends == TEXTS_OF_TABLE && texts[len - 1] == '\0';
}

static void add_kept_table(struct inside_toc *t, const struct inside_entry *e)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->entries = mem_resize(t->entries, t->cap, sizeof(*t->entries));
	}
	t->entries[t->count++] = *e;
}

static bool get_kept_table(struct text_reading *x, uint32_t bytes)
{
	struct inside_toc *t = &x->dump->toc;
	struct inside_entry e = {.dump_id = (int)t->count + 1,
	                         .has_counts = true,
	                         .has_hash = true,
	                         .texts_at = spool_size(t->texts),
	                         .texts_bytes = bytes - TABLE_BYTES};
	_cleanup(free) char *texts = NULL;

	if (bytes <= TABLE_BYTES || e.texts_bytes > TEXTS_MAX_BYTES)
		return false;
	texts = mem_alloc(e.texts_bytes);
	e.offset = kept_get_u64(x->r);
	inside_kept_get_rows(x->r, &e.expected);
	if (!kept_get(x->r, texts, e.texts_bytes) || !are_texts(texts, e.texts_bytes) ||
	    e.offset < x->rows_end || e.offset + e.expected.bytes < e.offset)
		return false;
	x->rows_end = e.offset + e.expected.bytes;
	add_kept_table(t, &e);
	return spool_put(t->texts, texts, e.texts_bytes, NULL) == 0;
}

static bool get_kept_piece(struct text_reading *x, uint32_t bytes, bool is_setting)
{
	_cleanup(free) char *text = NULL;

	if (bytes > TEXTS_MAX_BYTES)
		return false;
	text = mem_alloc(bytes + 1);
	if (!kept_get(x->r, text, bytes))
		return false;
	if (is_setting)
		str_append_bytes(&x->dump->toc.settings, text, bytes);
	return is_setting || spool_put(x->dump->schema, text, bytes, NULL) == 0;
}

static bool get_kept_end(struct text_reading *x)
{
	uint64_t bytes = kept_get_u64(x->r), tables = kept_get_u64(x->r), text = kept_get_u64(x->r);

	x->ended = true;
	return x->rows_end <= bytes && tables == x->dump->toc.count && text == spool_size(x->dump->schema);
}

static bool get_kept_record(struct text_reading *x)
{
	uint32_t kind = kept_get_u32(x->r), bytes = kept_get_u32(x->r);

	if (bytes > kept_left(x->r))
		return false;
	switch (kind) {
	case RECORD_TABLE:
		return get_kept_table(x, bytes);
	case RECORD_SETTINGS:
	case RECORD_TEXT:
		return get_kept_piece(x, bytes, kind == RECORD_SETTINGS);
	case RECORD_END:
		return bytes == 3 * sizeof(uint64_t) && get_kept_end(x);
	default:
		return false;
	}
}

bool inside_has_kept_text(const struct inside *in, uint64_t artifact_ino, int64_t finished_at_us)
{
	struct kept_name name = {
	        .dump_ino = artifact_ino, .finished_at_us = finished_at_us, .kind = KEPT_TEXT};
	bool has = kept_exists(in->kept, &name);

	name.kind = KEPT_MEMBER;
	name.key = INSIDE_KEY_TEXT;
	return has && kept_exists(in->kept, &name);
}

bool inside_kept_text(struct inside_dump *d)
{
	struct kept_reader r;
	struct text_reading x = {.dump = d, .r = &r};
	struct kept_name name;
	bool sound = true;

	if (!inside_kept_name(d, KEPT_TEXT, 0, d->ino, &name) || !kept_open(d->in->kept, &name, &r))
		return false;
	while (sound && !x.ended)
		sound = get_kept_record(&x);
	return kept_close(&r, sound);
}
