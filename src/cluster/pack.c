// SPDX-License-Identifier: Apache-2.0
/*
 * A tar on its way into packs: cut into frames, which are compressed by several threads, and come out in their order on the thread that puts them in. How long a frame becomes is known then, and so late
 * by what is being compressed: a pack is a little longer than it was to become.
 */
#include "cluster_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/seekable.h>
#include <keepfs/stream/ordered.h>

#define MARK_FRAME 0
#define MARK_PACK  1
/* Of a pack; so its table has room for all that are under way when it has become long enough. */
#define FRAMES_AT_MOST (SEEKABLE_FRAMES_MAX / 2)

struct cluster_packer {
	struct cluster_packer_options options;
	struct packs *packs;
	struct press *press;
	/* What goes in. */
	int64_t number;            /* of the pack that the next byte is in */
	uint64_t place;            /* in it */
	size_t frames;             /* of it, that have ended */
	size_t filled;             /* of the next one */
	uint64_t most, most_plain; /* of the pack */
	/* What comes out. */
	struct str entries; /* of the table of the pack that is filled */
	uint64_t out_plain; /* of it */
	uint64_t stored;    /* of all packs */
};

void cluster_runs_clear(struct cluster_runs *runs)
{
	runs->count = 0;
	runs->bytes = 0;
}

void cluster_runs_finish(struct cluster_runs *runs)
{
	free(runs->items);
	*runs = (struct cluster_runs){0};
}

static void add_to_runs(struct cluster_runs *runs, int64_t pack, uint64_t place, uint64_t bytes)
{
	struct cluster_run *last = runs->count > 0 ? &runs->items[runs->count - 1] : NULL;

	if (last && last->pack == pack && pack > 0 && last->place + last->bytes == place) {
		last->bytes += bytes;
	} else {
		/* Room for a power of two, from which it has never to be told. */
		if ((runs->count & (runs->count - 1)) == 0)
			runs->items = mem_resize(runs->items, runs->count ? 2 * runs->count : 1,
			                         sizeof(*runs->items));
		runs->items[runs->count++] =
		        (struct cluster_run){.pack = pack, .at = runs->bytes, .bytes = bytes, .place = place};
	}
	runs->bytes += bytes;
}

void cluster_runs_add_older(struct cluster_runs *runs, const char *older, uint64_t place, uint64_t bytes)
{
	struct cluster_run *last = runs->count > 0 ? &runs->items[runs->count - 1] : NULL;

	if (last && last->older == older && last->place + last->bytes == place) {
		last->bytes += bytes;
		runs->bytes += bytes;
		return;
	}
	/* No pack has the number 0, so it is not taken for one of the run's own. */
	add_to_runs(runs, 0, place, bytes);
	runs->items[runs->count - 1].older = older;
}

static int end_cluster_pack(struct cluster_packer *p, struct error *err)
{
	_cleanup(str) struct str table = {0};
	struct pack *pack = packs_filled(p->packs);
	struct manifest *made;
	int r;

	if (!pack)
		return 0;
	seekable_table_append(&table, &p->entries);
	r = pack_put(pack, table.data, table.len, err);
	if (r < 0)
		return r;
	made = pack_manifest(pack);
	manifest_set_fact(made, "format", "tar.zst");
	manifest_set_fact_int(made, "plain_bytes", (int64_t)p->out_plain);
	p->stored += pack_bytes(pack);
	p->out_plain = 0;
	str_clear(&p->entries);
	return packs_publish(p->packs, err);
}

static int take_cluster_frame(void *arg, const struct segment *s, const void *data, struct error *err)
{
	struct cluster_packer *p = arg;
	int r = packs_open(p->packs, err);

	if (r == 0)
		r = pack_put(packs_filled(p->packs), data, s->bytes, err);
	seekable_entry_append(&p->entries, (uint32_t)s->bytes, (uint32_t)s->raw_bytes);
	p->out_plain += s->raw_bytes;
	return r;
}

static int take_cluster_mark(void *arg, int what, uint64_t value, struct error *err)
{
	(void)value;
	return what == MARK_PACK ? end_cluster_pack(arg, err) : 0;
}

int cluster_packer_new(const struct cluster_packer_options *options, struct cluster_packer **ret,
                       struct error *err)
{
	_cleanup(cluster_packer) struct cluster_packer *p = mem_alloc(sizeof(*p));
	const struct make_context *ctx = options->packs->ctx;
	const struct press_options press = {
	        .compression = options->compression,
	        .threads = make_press_threads(ctx),
	        .pool = ctx->pool,
	        .cancel = options->packs->order->cancel,
	        .out = {.segment = take_cluster_frame, .mark = take_cluster_mark, .arg = p}};
	int r;

	p->options = *options;
	p->options.packs = NULL;
	p->number = 1;
	p->most = options->pack_bytes;
	p->most_plain = options->pack_plain_bytes;
	p->packs = packs_new(options->packs);
	r = packs_find_directory(p->packs, err);
	if (r == 0)
		r = press_new(&press, &p->press, err);
	if (r == 0)
		*ret = take_ptr(&p);
	return r;
}

struct cluster_packer *cluster_packer_free(struct cluster_packer *p)
{
	if (!p)
		return NULL;
	press_free(p->press);
	packs_free(p->packs);
	str_finish(&p->entries);
	free(p);
	return NULL;
}

static int end_cluster_frame(struct cluster_packer *p, struct error *err)
{
	if (p->filled == 0)
		return 0;
	p->filled = 0;
	p->frames++;
	return press_mark(p->press, MARK_FRAME, 0, err);
}

static bool is_cluster_pack_full(const struct cluster_packer *p)
{
	const struct pack *pack = packs_filled(p->packs);

	return p->place >= p->most_plain || p->frames >= FRAMES_AT_MOST ||
	       (pack && packs_number(p->packs) == p->number && pack_bytes(pack) >= p->most);
}

static int begin_next_pack(struct cluster_packer *p, struct error *err)
{
	int r = end_cluster_frame(p, err);

	if (r == 0)
		r = press_mark(p->press, MARK_PACK, 0, err);
	p->number++;
	p->place = 0;
	p->frames = 0;
	return r;
}

/* Between frames. */
static int end_pack_if_full(struct cluster_packer *p, struct error *err)
{
	return p->filled == 0 && p->place > 0 && is_cluster_pack_full(p) ? begin_next_pack(p, err) : 0;
}

int cluster_packer_put(struct cluster_packer *p, const void *data, size_t len, struct cluster_runs *runs,
                       struct error *err)
{
	const char *at = data;

	while (len > 0) {
		size_t room = SEEKABLE_FRAME_BYTES - p->filled, part = len < room ? len : room;
		int r = end_pack_if_full(p, err);

		if (r == 0)
			r = press_write(p->press, at, part, err);
		if (r < 0)
			return r;
		if (runs)
			add_to_runs(runs, p->number, p->place, part);
		p->filled += part;
		p->place += part;
		at += part;
		len -= part;
		r = p->filled == SEEKABLE_FRAME_BYTES ? end_cluster_frame(p, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static uint64_t larger_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

int cluster_packer_begin_file(struct cluster_packer *p, uint64_t bytes, struct error *err)
{
	p->most = larger_of(p->options.pack_bytes, bytes / CLUSTER_RUNS_MAX);
	p->most_plain = larger_of(p->options.pack_plain_bytes, bytes / CLUSTER_RUNS_MAX);
	return bytes >= SEEKABLE_FRAME_BYTES ? end_cluster_frame(p, err) : 0;
}

int cluster_packer_finish(struct cluster_packer *p, struct error *err)
{
	int r = end_cluster_frame(p, err);

	if (r == 0)
		r = press_finish(p->press, err);
	if (r == 0)
		r = end_cluster_pack(p, err);
	/* Those who read back what was sent may need its memory. */
	p->press = press_free(p->press);
	return r < 0 ? r : packs_finish(p->packs, err);
}

char *cluster_packer_name(const struct cluster_packer *p, int64_t number)
{
	return packs_name(p->packs, number);
}

uint64_t cluster_packer_count(const struct cluster_packer *p)
{
	return packs_count(p->packs);
}

uint64_t cluster_packer_stored(const struct cluster_packer *p)
{
	return p->stored;
}
