// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of files on their way into packs. Of a file that the base before has, too, a region of 128 KiB is looked at at a time: pages whose sums are the same are where they were, the others are held, and put into the
 * tar as members of their own when there are enough of them, or the file ends. A small file is stored whole, or not at all.
 *
 * Whoever reads a region reads about a frame of each pack that has some of it: what changed of a file between two bases lies side by side. So of a region in too many packs all is stored anew. Runs alone cost little, and those of
 * many pages that changed are many; but a line of the listing has all runs of a file: where a file would have too many of them, regions of many are stored anew, and if that is not enough, the rest of it.
 */
#include "cluster_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/seekable.h>
#include <keepfs/codec/tar_member.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWNER            "postgres" /* as PostgreSQL has it in its tars */
#define REGION_BYTES     SEEKABLE_FRAME_BYTES
#define REGION_PAGES     (REGION_BYTES / PAGE_SUM_PAGE)
#define REGION_PACKS_MAX 4U
#define REGION_RUNS_MAX  4U
#define PIECE_BYTES      ((size_t)1 << 20)
#define SMALL_BYTES      ((uint64_t)32 << 10)
/* No segment of a table is so large, unless PostgreSQL was built with other ones: its line would be too long. */
#define COMPARED_BYTES_MAX ((uint64_t)4 << 30)
#define FILE_RUNS_MAX      20000U

enum pages_way { WAY_AS_IT_IS, WAY_SMALL, WAY_BY_PAGES };

struct page_item {
	uint64_t bytes;
	const char *older; /* its pack; NULL: they are held */
	uint64_t place;
};
struct page_items {
	struct page_item *items;
	size_t count;
	uint64_t held; /* bytes of those that are */
};

struct cluster_pages {
	struct cluster_pages_options options;
	uint64_t stored, older; /* bytes of all files */
	/* The file. */
	struct cluster_member member;
	enum pages_way way;
	struct listing_entry before; /* in the base before */
	size_t before_run;           /* of it: none before that is needed any more */
	uint32_t crc32c;
	uint64_t sums_at;
	uint64_t at; /* of the region */
	size_t filled;
	struct page_items fresh; /* of the region */
	struct page_items items; /* that are no runs yet */
	size_t held_bytes;
	struct cluster_runs runs;
	char *region; /* REGION_BYTES */
	char *held;   /* PIECE_BYTES */
};

int cluster_put_header(struct cluster_packer *packer, const struct cluster_member *member, struct error *err)
{
	const struct tar_member header = {.name = member->name,
	                                  .is_directory = member->entry->is_directory,
	                                  .bytes = member->bytes,
	                                  .modified_us = member->entry->modified_us,
	                                  .mode = member->entry->mode,
	                                  .uid = member->uid,
	                                  .gid = member->gid,
	                                  .owner = OWNER};
	_cleanup(str) struct str headers = {0};
	int r;

	tar_member_append(&headers, &header);
	r = cluster_packer_put(packer, headers.data, headers.len, NULL, err);
	return r < 0 || member->entry->is_directory ? r
	                                            : cluster_packer_begin_file(packer, member->bytes, err);
}

static int put_member_padding(struct cluster_pages *p, uint64_t bytes, struct error *err)
{
	static const char zeros[TAR_BLOCK];

	return cluster_packer_put(p->options.packer, zeros, tar_member_padding(bytes), NULL, err);
}

struct cluster_pages *cluster_pages_new(const struct cluster_pages_options *options)
{
	struct cluster_pages *p = mem_alloc(sizeof(*p));

	p->options = *options;
	p->region = mem_alloc(REGION_BYTES);
	p->held = mem_alloc(PIECE_BYTES);
	return p;
}

struct cluster_pages *cluster_pages_free(struct cluster_pages *p)
{
	if (!p)
		return NULL;
	listing_entry_finish(&p->before);
	cluster_runs_finish(&p->runs);
	free(p->fresh.items);
	free(p->items.items);
	free(p->region);
	free(p->held);
	free(p);
	return NULL;
}

uint64_t cluster_pages_stored(const struct cluster_pages *p, uint64_t *ret_older)
{
	*ret_older = p->older;
	return p->stored;
}

/* Items. */

static void clear_items(struct page_items *all)
{
	all->count = 0;
	all->held = 0;
}

static bool item_follows(const struct page_item *last, const struct page_item *item)
{
	return last->older == item->older && (!item->older || last->place + last->bytes == item->place);
}

static void add_page_item(struct page_items *all, const struct page_item *item)
{
	if (!item->older)
		all->held += item->bytes;
	if (all->count > 0 && item_follows(&all->items[all->count - 1], item)) {
		all->items[all->count - 1].bytes += item->bytes;
		return;
	}
	if ((all->count & (all->count - 1)) == 0)
		all->items = mem_resize(all->items, all->count ? 2 * all->count : 1, sizeof(*all->items));
	all->items[all->count++] = *item;
}

/* A member of all that is held; of a file of which all is, that is the file itself. */
static int put_piece_header(struct cluster_pages *p, struct error *err)
{
	uint64_t at = p->runs.bytes;
	_cleanup(free) char *name = NULL;
	struct cluster_member piece = p->member;

	piece.bytes = p->held_bytes;
	if (p->held_bytes == p->member.entry->bytes)
		return cluster_put_header(p->options.packer, &piece, err);
	for (size_t i = 0; p->items.items[i].older; i++)
		at += p->items.items[i].bytes;
	piece.name = name = mem_printf(CLUSTER_PIECES "%s/%012" PRIu64, p->member.name, at);
	return cluster_put_header(p->options.packer, &piece, err);
}

static int put_item(struct cluster_pages *p, const struct page_item *item, size_t *at, struct error *err)
{
	int r = 0;

	if (item->older) {
		cluster_runs_add_older(&p->runs, item->older, item->place, item->bytes);
		p->older += item->bytes;
		return 0;
	}
	r = cluster_packer_put(p->options.packer, p->held + *at, (size_t)item->bytes, &p->runs, err);
	*at += (size_t)item->bytes;
	p->stored += item->bytes;
	return r;
}

/* All items become runs. */
static int put_items(struct cluster_pages *p, struct error *err)
{
	size_t at = 0;
	int r = p->held_bytes > 0 ? put_piece_header(p, err) : 0;

	for (size_t i = 0; r == 0 && i < p->items.count; i++)
		r = put_item(p, &p->items.items[i], &at, err);
	if (r == 0 && p->held_bytes > 0)
		r = put_member_padding(p, p->held_bytes, err);
	clear_items(&p->items);
	p->held_bytes = 0;
	return r;
}

/* Pages. */

/* Of the page that begins at @at, in a file of @bytes; 0: it has none there. */
static size_t page_length(uint64_t bytes, uint64_t at)
{
	if (at >= bytes)
		return 0;
	return bytes - at < PAGE_SUM_PAGE ? (size_t)(bytes - at) : PAGE_SUM_PAGE;
}

/* Appends where [@at, @at + @len) of the file is in the base before; false: in a pack that is left. */
static bool add_older(struct cluster_pages *p, uint64_t at, size_t len)
{
	const struct listing_entry *before = &p->before;

	while (p->before_run < before->run_count &&
	       before->runs[p->before_run].at + before->runs[p->before_run].bytes <= at)
		p->before_run++;
	for (size_t i = p->before_run; len > 0 && i < before->run_count; i++) {
		const struct listing_run *run = &before->runs[i];
		uint64_t skip = at - run->at;
		size_t part = run->bytes - skip < len ? (size_t)(run->bytes - skip) : len;
		const char *pack = run->pack ? cluster_parent_pack(p->options.parent, run->pack) : NULL;

		if (!pack)
			return false;
		add_page_item(&p->fresh,
		              &(struct page_item){.bytes = part, .older = pack, .place = run->place + skip});
		at += part;
		len -= part;
	}
	return len == 0;
}

/* Of some pages of the region an item, in @fresh, is in the wrong place when one of its runs is in a pack that is left: so they are taken back. */
static void add_compared_page(struct cluster_pages *p, uint64_t at, size_t len, bool is_same)
{
	struct page_items *all = &p->fresh;
	struct page_item last = all->count > 0 ? all->items[all->count - 1] : (struct page_item){0};
	size_t count = all->count;

	if (is_same && add_older(p, at, len))
		return;
	all->count = count;
	if (count > 0)
		all->items[count - 1] = last;
	add_page_item(all, &(struct page_item){.bytes = len});
}

/* The sums of the same pages in the base before: *@ret_count of them. */
static int read_sums_before(struct cluster_pages *p, uint8_t *sums, size_t *ret_count, struct error *err)
{
	uint64_t all = page_sums_bytes(p->before.bytes) / PAGE_SUM_BYTES, first = p->at / PAGE_SUM_PAGE;

	*ret_count = 0;
	if (first >= all)
		return 0;
	*ret_count = all - first < REGION_PAGES ? (size_t)(all - first) : REGION_PAGES;
	return spool_get(p->options.parent->sums, sums, *ret_count * PAGE_SUM_BYTES,
	                 p->before.sums_at + first * PAGE_SUM_BYTES, err);
}

static int compare_pages(struct cluster_pages *p, const uint8_t *sums, struct error *err)
{
	uint8_t before[REGION_PAGES * PAGE_SUM_BYTES];
	size_t known = 0;
	int r = read_sums_before(p, before, &known, err);

	clear_items(&p->fresh);
	for (size_t i = 0; r == 0 && i * PAGE_SUM_PAGE < p->filled; i++) {
		uint64_t at = p->at + i * PAGE_SUM_PAGE;
		size_t len = page_length(p->member.entry->bytes, at);
		bool is_same =
		        i < known && page_length(p->before.bytes, at) == len &&
		        memcmp(before + i * PAGE_SUM_BYTES, sums + i * PAGE_SUM_BYTES, PAGE_SUM_BYTES) == 0;

		add_compared_page(p, at, len, is_same);
	}
	return r;
}

static size_t packs_of_region(const struct cluster_pages *p)
{
	const struct page_item *items = p->fresh.items;
	size_t count = 0;

	for (size_t i = 0; i < p->fresh.count; i++) {
		size_t same = 0;

		while (items[same].older != items[i].older)
			same++;
		count += same == i;
	}
	return count;
}

static bool is_in_too_many_runs(const struct cluster_pages *p)
{
	uint64_t bytes = p->member.entry->bytes, left = (bytes - p->at) / PIECE_BYTES + 1,
	         runs = p->runs.count + p->items.count + p->fresh.count;

	if (packs_of_region(p) > REGION_PACKS_MAX || runs + 2 * left > FILE_RUNS_MAX)
		return true;
	return p->fresh.count > REGION_RUNS_MAX && runs * bytes > FILE_RUNS_MAX * (p->at + p->filled);
}

static void hold_whole_region(struct cluster_pages *p)
{
	clear_items(&p->fresh);
	add_page_item(&p->fresh, &(struct page_item){.bytes = p->filled});
}

static int keep_region(struct cluster_pages *p, struct error *err)
{
	size_t from = 0;
	int r = p->held_bytes + p->fresh.held > PIECE_BYTES ? put_items(p, err) : 0;

	for (size_t i = 0; r == 0 && i < p->fresh.count; i++) {
		const struct page_item *item = &p->fresh.items[i];

		if (!item->older) {
			memcpy(p->held + p->held_bytes, p->region + from, (size_t)item->bytes);
			p->held_bytes += (size_t)item->bytes;
		}
		add_page_item(&p->items, item);
		from += (size_t)item->bytes;
	}
	return r == 0 && p->held_bytes == 0 ? put_items(p, err) : r;
}

static int take_compared_region(struct cluster_pages *p, const uint8_t *sums, struct error *err)
{
	int r = compare_pages(p, sums, err);

	if (r < 0)
		return r;
	if (p->way == WAY_SMALL ? p->fresh.held > 0 || p->before.bytes != p->member.entry->bytes
	                        : is_in_too_many_runs(p))
		hold_whole_region(p);
	return keep_region(p, err);
}

static int sum_region(struct cluster_pages *p, uint8_t *sums, struct error *err)
{
	size_t count = 0;

	if (!p->options.sums)
		return 0;
	for (size_t at = 0; at < p->filled; at += PAGE_SUM_PAGE)
		page_sum(p->options.seed, p->region + at, page_length(p->filled, at),
		         sums + count++ * PAGE_SUM_BYTES);
	return spool_put(p->options.sums, sums, count * PAGE_SUM_BYTES, err);
}

static int take_region(struct cluster_pages *p, struct error *err)
{
	uint8_t sums[REGION_PAGES * PAGE_SUM_BYTES];
	int r = sum_region(p, sums, err);

	if (r == 0 && p->way != WAY_AS_IT_IS)
		r = take_compared_region(p, sums, err);
	else if (r == 0) {
		r = cluster_packer_put(p->options.packer, p->region, p->filled, &p->runs, err);
		p->stored += p->filled;
	}
	p->at += p->filled;
	p->filled = 0;
	return r;
}

/* Files. */

static int choose_way(struct cluster_pages *p, struct error *err)
{
	uint64_t bytes = p->member.entry->bytes;
	int r;

	listing_entry_finish(&p->before);
	p->before = (struct listing_entry){0};
	p->before_run = 0;
	p->way = WAY_AS_IT_IS;
	if (!p->options.sums || bytes == 0 || bytes > COMPARED_BYTES_MAX)
		return 0;
	r = cluster_parent_find(p->options.parent, p->member.name, &p->before, err);
	if (r > 0)
		p->way = bytes <= SMALL_BYTES ? WAY_SMALL : WAY_BY_PAGES;
	return r < 0 ? r : 0;
}

int cluster_pages_begin(struct cluster_pages *p, const struct cluster_member *member, struct error *err)
{
	int r;

	p->member = *member;
	p->crc32c = 0;
	p->at = 0;
	p->sums_at = p->options.sums && member->entry->bytes > 0 ? spool_size(p->options.sums) : 0;
	cluster_runs_clear(&p->runs);
	r = choose_way(p, err);
	return r < 0 || p->way != WAY_AS_IT_IS ? r : cluster_put_header(p->options.packer, member, err);
}

int cluster_pages_put(struct cluster_pages *p, const void *data, size_t len, struct error *err)
{
	const char *from = data;
	int r = 0;

	p->crc32c = crc32c(p->crc32c, data, len);
	while (r == 0 && len > 0) {
		size_t room = REGION_BYTES - p->filled, part = len < room ? len : room;

		memcpy(p->region + p->filled, from, part);
		p->filled += part;
		from += part;
		len -= part;
		r = p->filled == REGION_BYTES ? take_region(p, err) : 0;
	}
	return r;
}

static char *name_pack_of_run(const struct cluster_pages *p, const struct cluster_run *run)
{
	return run->older ? mem_strdup(run->older) : cluster_packer_name(p->options.packer, run->pack);
}

static void list_runs(const struct cluster_pages *p, struct listing_entry *e)
{
	e->runs = p->runs.count > 0 ? mem_array(p->runs.count, sizeof(*e->runs)) : NULL;
	for (size_t i = 0; i < p->runs.count; i++) {
		const struct cluster_run *run = &p->runs.items[i];
		char *pack = name_pack_of_run(p, run);

		used_add(p->options.used, pack, run->bytes);
		e->runs[e->run_count++] = (struct listing_run){
		        .at = run->at, .bytes = run->bytes, .pack = pack, .place = run->place};
	}
}

int cluster_pages_end(struct cluster_pages *p, struct listing_entry *ret, struct error *err)
{
	int r = p->filled > 0 ? take_region(p, err) : 0;

	if (r == 0)
		r = p->way == WAY_AS_IT_IS ? put_member_padding(p, p->member.entry->bytes, err)
		                           : put_items(p, err);
	if (r < 0)
		return r;
	snprintf(ret->crc32c, sizeof(ret->crc32c), "%08" PRIx32, p->crc32c);
	ret->sums_at = p->sums_at;
	list_runs(p, ret);
	return 0;
}
