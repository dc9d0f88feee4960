// SPDX-License-Identifier: Apache-2.0
/* A dump that is SQL text is read once when it is opened: so its tables and large objects are found, what is in them is counted, and where the text can be entered. */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

#define SETTING "SET client_encoding = "

struct loading_text {
	struct inside_dump *dump;
	struct inside_text_scan *scan;
};

static int put_entry_text(struct spool *s, const char *text, struct error *err)
{
	return spool_put(s, text, strlen(text) + 1, err);
}

static int add_table_of_text(void *arg, const struct inside_text_table *table, struct error *err)
{
	struct inside_toc *t = &((struct loading_text *)arg)->dump->toc;
	struct inside_entry *e;
	int r;

	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->entries = mem_resize(t->entries, t->cap, sizeof(*t->entries));
	}
	e = &t->entries[t->count++];
	*e = (struct inside_entry){.dump_id = (int)t->count,
	                           .offset = table->raw_from,
	                           .expected = table->rows,
	                           .has_counts = true,
	                           .has_hash = true,
	                           .texts_at = spool_size(t->texts)};
	r = put_entry_text(t->texts, table->schema, err);
	if (r == 0)
		r = put_entry_text(t->texts, table->table, err);
	if (r == 0)
		r = put_entry_text(t->texts, table->copy_stmt, err);
	if (r == 0)
		r = put_entry_text(t->texts, "", err);
	e->texts_bytes = (uint32_t)(spool_size(t->texts) - e->texts_at);
	return r;
}

static int keep_other_text(void *arg, const void *data, size_t len, struct error *err)
{
	struct inside_dump *d = ((struct loading_text *)arg)->dump;

	if (d->toc.settings.len == 0 && len > sizeof(SETTING) &&
	    memcmp(data, SETTING, sizeof(SETTING) - 1) == 0)
		str_append_bytes(&d->toc.settings, data, len);
	return spool_put(d->schema, data, len, err);
}

static struct inside_text_blobs *blobs_of(void *arg)
{
	return &((struct loading_text *)arg)->dump->text_blobs;
}

static int add_blob_of_text(void *arg, uint32_t oid, struct error *err)
{
	return inside_text_blobs_add(blobs_of(arg), oid, err);
}

static int add_piece_of_blob(void *arg, uint64_t digits_at, size_t bytes, struct error *err)
{
	return inside_text_blobs_add_piece(blobs_of(arg), digits_at, bytes, err);
}

static int end_blob_of_text(void *arg, struct error *err)
{
	return inside_text_blobs_end_one(blobs_of(arg), err);
}

static const struct inside_text_events text_events = {.table = add_table_of_text,
                                                      .other = keep_other_text,
                                                      .blob = add_blob_of_text,
                                                      .blob_piece = add_piece_of_blob,
                                                      .blob_end = end_blob_of_text};

static void begin_tables_of_text(struct inside_dump *d)
{
	inside_toc_finish(&d->toc);
	d->toc = (struct inside_toc){.texts = spool_new(d->ctx.conf->state_dir)};
	spool_free(d->schema);
	d->schema = spool_new(d->ctx.conf->state_dir);
	inside_text_blobs_begin(&d->text_blobs, d->ctx.conf->state_dir);
}

static void begin_text(void *arg)
{
	struct loading_text *l = arg;
	struct inside_text_events events = text_events;

	events.arg = l;
	begin_tables_of_text(l->dump);
	inside_text_scan_free(l->scan);
	l->scan = inside_text_scan_new(&events);
}

static int scan_text(void *arg, const void *data, size_t len, struct error *err)
{
	return inside_text_scan_feed(((struct loading_text *)arg)->scan, data, len, err);
}

static int survey_text(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                       struct inside_surveyed *ret, struct error *err)
{
	struct loading_text l = {.dump = d};
	int r;

	begin_text(&l);
	r = inside_survey_member(d, m, cancel, scan_text, &l, begin_text, ret, err);
	if (r == 0)
		r = inside_text_scan_end(l.scan, err);
	d->text_blobs.odd = inside_text_scan_odd(l.scan);
	inside_text_scan_free(l.scan);
	if (r < 0)
		return r;
	if (inside_keep_member(d, m, ret))
		inside_keep_text(d, ret->bytes);
	return 0;
}

static bool take_kept_text(struct inside_dump *d, const struct inside_member *m, struct inside_surveyed *ret)
{
	begin_tables_of_text(d);
	if (!inside_kept_member(d, m, ret))
		return false;
	if (inside_kept_text(d, ret->bytes))
		return true;
	ret->points = inside_points_unref(ret->points);
	return false;
}

int inside_text_load(struct inside_dump *d, struct cancel *cancel, struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {0};
	_cleanup(inside_surveyed) struct inside_surveyed x = {0};
	int r = inside_member_of_text(d, &m, err);

	if (r == 0 && !take_kept_text(d, &m, &x))
		r = survey_text(d, &m, cancel, &x, err);
	if (r < 0)
		return r;
	d->text_points = take_ptr(&x.points);
	d->text_is_kept = x.is_kept;
	return 0;
}
