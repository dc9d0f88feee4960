// SPDX-License-Identifier: Apache-2.0
#include "restore_cut.h"

#include <keepfs/base/mem.h>

#include <string.h>

#define PIECE_BYTES     ((uint64_t)4 << 20) /* smaller ones are put together */
#define PARTS_EACH      4U /* of the share of one connection: so that the last one ends soon after the others */
#define CONNECTIONS_MAX 64U
#define UNEVEN          8U /* an eighth more than its share is even enough */

static uint64_t bytes_of(const struct inside_toc *t, size_t i)
{
	const struct inside_entry *e = &t->entries[i];

	if (t->has_offsets)
		return e->end - e->offset;
	return e->expected.bytes > 0 ? e->expected.bytes : e->raw_bytes;
}

static void add_table_or_blobs(struct restore_pieces *p, const struct inside_toc *t, size_t i, bool one_piece)
{
	struct restore_piece *last = p->count > 0 ? &p->items[p->count - 1] : NULL;
	uint64_t bytes = bytes_of(t, i);

	if (last && last->last + 1 == i && (one_piece || last->bytes + bytes <= PIECE_BYTES)) {
		last->last = i;
		last->bytes += bytes;
		return;
	}
	p->items[p->count++] = (struct restore_piece){.first = i, .last = i, .bytes = bytes};
}

static int larger_first(const void *a, const void *b)
{
	const struct restore_piece *one = a, *other = b;

	if (one->bytes != other->bytes)
		return one->bytes < other->bytes ? 1 : -1;
	return (one->first > other->first) - (one->first < other->first);
}

/* Parts. */

static bool may_be_cut(const struct inside_toc *t, const struct restore_piece *p)
{
	const struct inside_entry *e = &t->entries[p->first];

	return p->parts == 0 && p->first == p->last && e->own_table && e->record_count > 1 &&
	       p->bytes >= 2 * PIECE_BYTES;
}

/* As the connections would take them: the piece that is to be cut, so that none has much more than its share; count: there is none. */
static size_t find_uneven(const struct inside_toc *t, const struct restore_pieces *p, unsigned jobs,
                          uint64_t total)
{
	uint64_t loads[CONNECTIONS_MAX] = {0};
	size_t largest[CONNECTIONS_MAX];
	unsigned most = 0;

	for (unsigned j = 0; j < jobs; j++)
		largest[j] = p->count;
	for (size_t i = 0; i < p->count; i++) {
		unsigned least = 0;

		for (unsigned j = 1; j < jobs; j++)
			if (loads[j] < loads[least])
				least = j;
		loads[least] += p->items[i].bytes;
		if (largest[least] == p->count && may_be_cut(t, &p->items[i]))
			largest[least] = i;
	}
	for (unsigned j = 1; j < jobs; j++)
		if (loads[j] > loads[most])
			most = j;
	return loads[most] > total / jobs + total / jobs / UNEVEN ? largest[most] : p->count;
}

/* The end mark of the rows must not be divided: the last part begins before the last row has ended. */
static bool may_begin(const struct inside_entry *e, uint64_t raw)
{
	return raw + INSIDE_END_BYTES < e->raw_bytes;
}

/* What each part weighs, and of how many it is one. */
static void weigh_parts(const struct restore_piece *whole, uint64_t raw_bytes, struct restore_piece *parts,
                        unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		parts[i].part = i;
		parts[i].parts = count;
		parts[i].bytes =
		        (uint64_t)((double)whole->bytes * (double)parts[i].raw_bytes / (double)raw_bytes);
	}
}

/* The piece at @at goes, its parts are added. */
static void cut_piece(const struct inside_toc *t, struct restore_pieces *p, size_t at, uint64_t part_bytes)
{
	const struct restore_piece whole = p->items[at];
	const struct inside_entry *e = &t->entries[whole.first];
	uint64_t raw_part = (uint64_t)((double)e->raw_bytes * (double)part_bytes / (double)whole.bytes),
	         raw = 0;
	struct restore_piece *part;
	size_t begin = p->count - 1;

	p->items = mem_resize(p->items, p->count + e->record_count, sizeof(*p->items));
	p->items[at] = p->items[begin];
	part = &p->items[begin];
	*part = (struct restore_piece){.first = whole.first, .last = whole.first, .from = e->record};
	for (size_t i = e->record; i < e->record + e->record_count; i++) {
		if (part->raw_bytes >= raw_part && may_begin(e, raw)) {
			part->to = i;
			part++;
			*part = (struct restore_piece){.first = whole.first, .last = whole.first, .from = i};
		}
		part->raw_bytes += t->segments.items[i].raw_bytes;
		raw += t->segments.items[i].raw_bytes;
	}
	part->to = e->record + e->record_count;
	p->count = (size_t)(part - p->items) + 1;
	weigh_parts(&whole, e->raw_bytes, &p->items[begin], (unsigned)(p->count - begin));
}

static void cut_uneven(const struct inside_toc *t, unsigned jobs, struct restore_pieces *p)
{
	uint64_t total = 0, part_bytes;

	for (size_t i = 0; i < p->count; i++)
		total += p->items[i].bytes;
	part_bytes = total / jobs / PARTS_EACH;
	if (part_bytes < PIECE_BYTES)
		part_bytes = PIECE_BYTES;
	/* Each time a table that was whole is not any more; what is worth it are some for each connection. */
	for (unsigned i = 0; i < 2 * jobs; i++) {
		size_t at = find_uneven(t, p, jobs, total);

		if (at == p->count)
			return;
		cut_piece(t, p, at, part_bytes);
		p->tables_in_parts++;
		qsort(p->items, p->count, sizeof(*p->items), larger_first);
	}
}

unsigned restore_cut(const struct inside_toc *t, unsigned jobs, struct restore_pieces *ret)
{
	bool custom = t->facts.format == PG_ARCHIVE_CUSTOM;

	*ret = (struct restore_pieces){.items = mem_array(t->count + 1, sizeof(*ret->items))};
	if (jobs > CONNECTIONS_MAX)
		jobs = CONNECTIONS_MAX;
	if (custom && !t->has_offsets) {
		if (t->count > 0)
			ret->items[ret->count++] = (struct restore_piece){.first = 0, .last = t->count - 1};
		return 1;
	}
	for (size_t i = 0; i < t->count; i++)
		if (t->entries[i].wanted)
			add_table_or_blobs(ret, t, i, jobs == 1 && custom);
	if (jobs > 1 && ret->count > 0)
		qsort(ret->items, ret->count, sizeof(*ret->items), larger_first);
	if (jobs > 1)
		cut_uneven(t, jobs, ret);
	return ret->count < jobs ? (unsigned)ret->count : jobs;
}

/* Which bytes of a part are its own. */

/* Behind the first end of a line, if that is before the part's end; else it has no row. NULL: it did not come yet, or never will. */
static const char *find_first_row(struct restore_window *w, uint64_t base, const char *data, size_t len)
{
	const char *feed = memchr(data, '\n', len);
	uint64_t at = base + (feed ? (uint64_t)(feed - data) : len);

	w->over = at >= w->end;
	w->begun = feed && !w->over;
	return w->begun ? feed + 1 : NULL;
}

size_t restore_window_take(struct restore_window *w, const char *data, size_t len, const char **ret)
{
	const char *from = data, *end = data + len, *search, *feed;
	uint64_t base = w->at;

	w->at += len;
	if (w->over || len == 0)
		return 0;
	if (!w->begun)
		from = find_first_row(w, base, data, len);
	if (!from)
		return 0;
	*ret = from;
	if (w->at <= w->end)
		return (size_t)(end - from);
	search = w->end > base ? data + (w->end - base) : data;
	feed = memchr(search, '\n', (size_t)(end - search));
	w->over = feed != NULL;
	return (size_t)((feed ? feed + 1 : end) - from);
}
