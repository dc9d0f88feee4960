// SPDX-License-Identifier: Apache-2.0
/* How the result of a comparison is made, on a thread of its own: rows, texts of schemas, or the list of tables. */
#include "comparisons_private.h"

#include <keepfs/base/str.h>

#include <errno.h>

#define MEMORY_PART 16 /* of [keepfs] memory, for each comparison of rows */
#define WORK_PART   (COMPARISONS_KEPT_PART * COMPARISONS_AT_ONCE)

struct filling {
	struct comparison *comparison;
	enum diff_side side;
	struct str text; /* not in the spool yet */
};

static int flush_rows(struct filling *f, struct error *err)
{
	struct comparison *c = f->comparison;
	int r = comparison_make_room(c, f->text.len, err);

	if (r == 0)
		r = spool_put(c->sides[f->side], str_text(&f->text), f->text.len, err);
	str_clear(&f->text);
	return r;
}

static int add_differing_row(void *arg, const void *data, size_t len, bool ends, struct error *err)
{
	struct filling *f = arg;

	str_append_bytes(&f->text, data, len);
	if (ends)
		str_append_char(&f->text, '\n');
	return f->text.len >= COMPARISON_SMALL_BYTES ? flush_rows(f, err) : 0;
}

static int fill_side(struct comparison *c, struct diff_rows *rows, enum diff_side side, struct error *err)
{
	struct filling f = {.comparison = c, .side = side};
	int r = diff_rows_read(rows, side, add_differing_row, &f, err);

	if (r == 0)
		r = flush_rows(&f, err);
	str_finish(&f.text);
	return r;
}

static int fill_with_rows(struct comparison *c, struct diff *d, struct error *err)
{
	_cleanup(diff_looked) struct diff_looked table = {0};
	_cleanup(diff_rows) struct diff_rows *rows = NULL;
	int r = diff_look(d, DIFF_B, c->key.table, &table, err);

	if (r == 0 && !table.table.a)
		r = -ENOENT;
	if (r != 0)
		return r < 0 ? r : -ENOTSUP;
	r = diff_rows_open_found(d, (const uint32_t[]){table.table.a->number, table.table.b->number}, &rows,
	                         err);
	if (r == 0)
		r = fill_side(c, rows, DIFF_A, err);
	return r < 0 ? r : fill_side(c, rows, DIFF_B, err);
}

static int fill_with_schemas(struct comparison *c, struct diff *d, struct error *err)
{
	_cleanup(spool) struct spool *text = spool_new(c->all->fs->ctx.conf->state_dir);
	_cleanup(str) struct str heading = {0};
	int r = diff_schema(d, text, err);

	if (r < 0 || spool_size(text) == 0)
		return r;
	str_append(&heading, "--- ");
	str_append_line(&heading, diff_backup(d, DIFF_A)->path);
	str_append(&heading, "\n+++ ");
	str_append_line(&heading, diff_backup(d, DIFF_B)->path);
	str_append_char(&heading, '\n');
	r = comparison_make_room(c, heading.len + spool_size(text), err);
	if (r == 0)
		r = spool_put(c->sides[DIFF_B], str_text(&heading), heading.len, err);
	for (uint64_t at = 0; r == 0 && at < spool_size(text);) {
		char piece[COMPARISON_SMALL_BYTES];
		uint64_t left = spool_size(text) - at;
		size_t len = left < sizeof(piece) ? (size_t)left : sizeof(piece);

		r = spool_get(text, piece, len, at, err);
		if (r == 0)
			r = spool_put(c->sides[DIFF_B], piece, len, err);
		at += len;
	}
	return r;
}

static int fill_with_tables(struct comparison *c, struct diff *d, struct error *err)
{
	int r = comparison_append_tables(d, c->sides[DIFF_B], err);

	return r < 0 ? r : comparison_make_room(c, spool_size(c->sides[DIFF_B]), err);
}

static void note_read_bytes(void *arg, uint64_t bytes, uint64_t expected_bytes)
{
	struct comparison *c = arg;

	atomic_store(&c->expected_bytes, expected_bytes);
	atomic_fetch_add(&c->read_bytes, bytes);
}

bool comparison_pair_is_there(struct fs *fs, const struct diff_pair_id *id)
{
	struct catalog_entry entry;

	for (int side = 0; side < 2; side++)
		if (catalog_entry_by_ino(fs->ctx.repository->catalog, id->inos[side], &entry) < 0 ||
		    entry.mtime_us != id->finished_at_us[side])
			return false;
	return true;
}

bool comparison_is_stale(const struct comparison *c)
{
	return !comparison_pair_is_there(c->all->fs, &c->key.pair);
}

static int make_comparison_text(struct comparison *c, struct diff *d, struct error *err)
{
	switch (c->key.of) {
	case COMPARISON_OF_TABLES:
		return fill_with_tables(c, d, err);
	case COMPARISON_OF_SCHEMAS:
		return fill_with_schemas(c, d, err);
	default:
		return fill_with_rows(c, d, err);
	}
}

int comparison_make(struct comparison *c, enum diff_side *ret_side, struct error *err)
{
	struct fs *fs = c->all->fs;
	const struct conf *conf = fs->ctx.conf;
	const struct diff_options options = {
	        .inside = fs->ctx.inside,
	        .catalog = fs->ctx.repository->catalog,
	        .state_dir = conf->state_dir,
	        .memory_bytes = conf->memory_bytes / MEMORY_PART,
	        .space_bytes = conf->diff_space_bytes / WORK_PART,
	        .cancel = &c->cancel,
	        .progress = note_read_bytes,
	        .arg = c,
	};
	_cleanup(diff) struct diff *d = NULL;
	int r;

	if (cancel_is_set(&c->cancel))
		return -ECANCELED;
	if (!fs->ctx.inside)
		return error_set(err, ERROR_USAGE, ENOTSUP, "nothing looks into backups here");
	r = diff_open_found(&options, c->key.pair.inos, &d, ret_side, err);
	if (r < 0)
		return r;
	r = make_comparison_text(c, d, err);
	/* What is about none of the two says nothing against the bytes of either. */
	if (!diff_failed_at(d, ret_side))
		err->damage = false;
	/* What was compared may have been others of their names. */
	return comparison_pair_is_there(fs, &c->key.pair) || r == -ECANCELED ? r : -ESTALE;
}
