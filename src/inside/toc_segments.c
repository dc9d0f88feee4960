// SPDX-License-Identifier: Apache-2.0
/* The segment index of a dump: where the data of each table can be entered. */
#include <keepfs/inside/toc.h>

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>

/* Of large objects there may be twice as many records as of tables. */
#define INDEX_PLAIN_BYTES (SEGMENT_INDEX_HEAD_BYTES + 3 * SEGMENT_INDEX_MAX * SEGMENT_INDEX_RECORD_BYTES)
/* Encrypted it is longer by a header, and by a tag for each cell. */
#define INDEX_MAX_BYTES (INDEX_PLAIN_BYTES + INDEX_PLAIN_BYTES / 1024 + AGE_HEAD_MAX_BYTES)

static int keep_index(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int read_index(struct backup *b, const struct manifest_object *object, struct segment_index *ret,
                      struct error *err)
{
	_cleanup(str) struct str data = {0};
	int r = object->stored_bytes > INDEX_MAX_BYTES
	                ? error_set(err, ERROR_CORRUPT, EBADMSG, "the segment index is too long")
	                : backup_read_object(b, object, keep_index, &data, err);

	return r < 0 ? r : segment_index_decode((const uint8_t *)data.data, data.len, ret, err);
}

/* Whose records are whose. */

struct known_entry {
	int dump_id;
	size_t at;
};

static int by_dump_id(const void *a, const void *b)
{
	const struct known_entry *one = a, *other = b;

	return (one->dump_id > other->dump_id) - (one->dump_id < other->dump_id);
}

static struct known_entry *sort_entries(const struct inside_toc *t)
{
	struct known_entry *known = mem_array(t->count + 1, sizeof(*known));

	for (size_t i = 0; i < t->count; i++)
		known[i] = (struct known_entry){.dump_id = t->entries[i].dump_id, .at = i};
	if (t->count > 0)
		qsort(known, t->count, sizeof(*known), by_dump_id);
	return known;
}

static struct inside_entry *entry_of_record(const struct inside_toc *t, const struct known_entry *known,
                                            uint32_t dump_id)
{
	const struct known_entry key = {.dump_id = (int)dump_id},
	                         *found = t->count > 0
	                                          ? bsearch(&key, known, t->count, sizeof(*known), by_dump_id)
	                                          : NULL;

	return found ? &t->entries[found->at] : NULL;
}

/* One after the other, within the entry's block, and as many bytes as were counted, with those behind the rows. */
static bool agrees(const struct inside_toc *t, const struct inside_entry *e, bool counts_later)
{
	const struct segment_record *first = &t->segments.items[e->record],
	                            *last = first + e->record_count - 1;

	for (const struct segment_record *one = first; one < last; one++)
		if (one[1].offset <= one->offset)
			return false;
	if (t->has_offsets && (first->offset < e->offset || last->offset >= e->end))
		return false;
	return e->has_counts ? e->raw_bytes == e->expected.bytes + INSIDE_END_BYTES
	                     : counts_later && e->raw_bytes > INSIDE_END_BYTES;
}

static void forget_records(struct inside_entry *e)
{
	e->record = e->record_count = 0;
	e->raw_bytes = 0;
}

/* The records from @i on that are of one entry; returns the first that is not. */
static size_t assign_run(struct inside_toc *t, const struct known_entry *known, size_t i, bool counts_later)
{
	const struct segment_record *items = t->segments.items;
	struct inside_entry *e = entry_of_record(t, known, items[i].entry);
	size_t first = i;
	uint64_t raw = 0;

	for (; i < t->segments.count && items[i].entry == items[first].entry; i++)
		raw += items[i].raw_bytes;
	if (!e || e->blobs)
		return i;
	/* Twice there cannot be any of it. */
	e->raw_bytes = e->record_count > 0 ? 0 : raw;
	e->record = first;
	e->record_count = i - first;
	if (!agrees(t, e, counts_later))
		forget_records(e);
	return i;
}

void inside_toc_assign_segments(struct inside_toc *t, bool counts_later)
{
	_cleanup(free) struct known_entry *known = sort_entries(t);

	for (size_t i = 0; i < t->segments.count;)
		i = assign_run(t, known, i, counts_later);
}

int inside_segments_read(struct backup *b, struct segment_index *ret, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	const struct manifest_object *object;
	int r = backup_read_manifest(b, &m, err);

	if (r < 0)
		return r;
	object = manifest_object_of_role(&m, MANIFEST_ROLE_SEGMENTS);
	return object && sealed_is_known(object) ? read_index(b, object, ret, err) : 0;
}

int inside_toc_load_segments(struct inside_toc *t, struct backup *b, bool counts_later, struct error *err)
{
	int r = inside_segments_read(b, &t->segments, err);

	if (r == 0)
		inside_toc_assign_segments(t, counts_later);
	return r;
}
