// SPDX-License-Identifier: Apache-2.0
/*
 * The layout of a plain dump, as it is kept on the disk: which tables and large objects it has and where, and all of its text that is neither. It is made of records, each
 * with a kind and a length; the first one says who found it, and the last one how much there must have been. Who does not know a kind reads the dump instead.
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

#define PIECE_BYTES     ((size_t)64 << 10)
#define TABLE_BYTES     32 /* of numbers, in front of its texts */
#define TEXTS_OF_TABLE  4
#define TEXTS_MAX_BYTES ((uint32_t)64 << 20)

/* Of the scanner: text_scan.c, lo_calls.c, and the lexer of codec. It grows by one whenever they find anything else in any text than they did before:
 * what was kept of a text until then is found anew. */
#define SCANNER_FORM 1U

enum record_kind { /* files have these; never changed */
	           RECORD_TABLE = 1,
	           RECORD_SETTINGS = 2,
	           RECORD_TEXT = 3,
	           RECORD_END = 4,
	           RECORD_BLOB = 5,
	           RECORD_ODD = 6,
	           RECORD_SCANNER = 7,
};

#define BLOB_BYTES (2 * sizeof(uint32_t)) /* in front of its runs */
#define RUN_BYTES  (2 * sizeof(uint64_t) + 2 * sizeof(uint32_t))
#define END_BYTES  (4 * sizeof(uint64_t))

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

static void put_kept_run(void *arg, const struct inside_text_run *run)
{
	struct kept_writer *w = arg;

	kept_put_u64(w, run->digits_at);
	kept_put_u64(w, run->bytes);
	kept_put_u32(w, run->piece);
	kept_put_u32(w, run->stride);
}

static uint64_t count_blobs_of_text(const struct inside_text_blobs *b)
{
	return spool_size(b->objects) / sizeof(struct inside_text_blob);
}

static bool put_kept_blobs(struct kept_writer *w, const struct inside_text_blobs *b)
{
	bool whole = true;

	if (b->odd) {
		begin_kept_record(w, RECORD_ODD, strlen(b->odd) + 1);
		kept_put(w, b->odd, strlen(b->odd) + 1);
	}
	for (uint64_t i = 0; whole && i < count_blobs_of_text(b); i++) {
		struct inside_text_blob blob;

		if (spool_get(b->objects, &blob, sizeof(blob), i * sizeof(blob), NULL) < 0 ||
		    blob.runs > UINT32_MAX / RUN_BYTES - 1)
			return false;
		begin_kept_record(w, RECORD_BLOB, BLOB_BYTES + (size_t)blob.runs * RUN_BYTES);
		kept_put_u32(w, blob.oid);
		kept_put_u32(w, (uint32_t)blob.runs);
		whole = inside_text_blobs_each_run(b, &blob, put_kept_run, w) == 0;
	}
	return whole;
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

	begin_kept_record(w, RECORD_SCANNER, sizeof(uint32_t));
	kept_put_u32(w, SCANNER_FORM);
	for (size_t i = 0; whole && i < t->count; i++)
		whole = put_kept_table(w, t, &t->entries[i]);
	begin_kept_record(w, RECORD_SETTINGS, t->settings.len);
	kept_put(w, str_text(&t->settings), t->settings.len);
	whole = whole && put_kept_schema(w, d->schema);
	whole = whole && put_kept_blobs(w, &d->text_blobs);
	begin_kept_record(w, RECORD_END, END_BYTES);
	kept_put_u64(w, bytes);
	kept_put_u64(w, t->count);
	kept_put_u64(w, spool_size(d->schema));
	kept_put_u64(w, count_blobs_of_text(&d->text_blobs));
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
	uint64_t rows_end;   /* of the last table */
	uint64_t digits_end; /* of the last large object that was told */
	uint64_t bytes;      /* that the text has */
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

/* Where its last digit is lies within what can be counted. */
static bool end_of_run(const struct inside_text_run *run, uint64_t *ret)
{
	uint64_t pieces = run->piece > 0 ? (run->bytes + run->piece - 1) / run->piece : 0, skipped, last;

	if (pieces == 0 || (pieces > 1 && run->stride < 2 * (uint64_t)run->piece) ||
	    __builtin_mul_overflow(pieces - 1, (uint64_t)run->stride, &skipped))
		return false;
	last = run->bytes - (pieces - 1) * run->piece;
	return !__builtin_add_overflow(run->digits_at, skipped, ret) &&
	       !__builtin_add_overflow(*ret, 2 * last, ret);
}

static bool get_kept_run(struct text_reading *x)
{
	struct inside_text_run run = {.digits_at = kept_get_u64(x->r)};
	uint64_t end;

	run.bytes = kept_get_u64(x->r);
	run.piece = kept_get_u32(x->r);
	run.stride = kept_get_u32(x->r);
	if (run.digits_at < x->digits_end || !end_of_run(&run, &end))
		return false;
	x->digits_end = end;
	return inside_text_blobs_add_run(&x->dump->text_blobs, &run, NULL) == 0;
}

static bool get_kept_blob(struct text_reading *x, uint32_t bytes)
{
	struct inside_text_blobs *b = &x->dump->text_blobs;
	uint32_t oid = kept_get_u32(x->r), runs = kept_get_u32(x->r);
	bool sound = oid > 0 && bytes == BLOB_BYTES + (uint64_t)runs * RUN_BYTES &&
	             inside_text_blobs_add(b, oid, NULL) == 0;

	for (uint32_t i = 0; sound && i < runs; i++)
		sound = get_kept_run(x);
	return sound && inside_text_blobs_end_one(b, NULL) == 0;
}

static bool get_kept_odd(struct text_reading *x, uint32_t bytes)
{
	struct inside_text_blobs *b = &x->dump->text_blobs;

	if (bytes == 0 || bytes > TEXTS_MAX_BYTES || b->kept_odd)
		return false;
	b->kept_odd = mem_alloc(bytes);
	b->odd = b->kept_odd;
	return kept_get(x->r, b->kept_odd, bytes) && strnlen(b->kept_odd, bytes) == bytes - 1;
}

static bool get_kept_end(struct text_reading *x)
{
	uint64_t bytes = kept_get_u64(x->r), tables = kept_get_u64(x->r), text = kept_get_u64(x->r),
	         blobs = kept_get_u64(x->r);

	x->ended = true;
	return bytes == x->bytes && x->rows_end <= bytes && x->digits_end <= bytes &&
	       tables == x->dump->toc.count && text == spool_size(x->dump->schema) &&
	       blobs == count_blobs_of_text(&x->dump->text_blobs);
}

static bool is_of_this_scanner(struct kept_reader *r)
{
	bool is = kept_get_u32(r) == RECORD_SCANNER;

	is = kept_get_u32(r) == sizeof(uint32_t) && is;
	return kept_get_u32(r) == SCANNER_FORM && is;
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
		return bytes == END_BYTES && get_kept_end(x);
	case RECORD_BLOB:
		return get_kept_blob(x, bytes);
	case RECORD_ODD:
		return get_kept_odd(x, bytes);
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

bool inside_kept_text(struct inside_dump *d, uint64_t bytes)
{
	struct kept_reader r;
	struct text_reading x = {.dump = d, .r = &r, .bytes = bytes};
	struct kept_name name;
	bool sound;

	if (!inside_kept_name(d, KEPT_TEXT, 0, d->ino, &name) || !kept_open(d->in->kept, &name, &r))
		return false;
	sound = is_of_this_scanner(&r);
	while (sound && !x.ended)
		sound = get_kept_record(&x);
	return kept_close(&r, sound);
}
