// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as the header and table of contents of an archive. When the scan takes them, they
 * can be patched without another byte changing, say the same afterwards, and become a directory's
 * table of contents of a known length. When they are no such thing, or no longer, that is found out.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive_head.h>

#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 256
#define STATE_SET  2
#define ZSTD_MINOR 15
#define INT_BYTES  5
#define FORMAT_AT  10 /* in the header: docs/formats.md */
#define DIRECTORY  3
#define OFFSET     UINT64_C(0x0102030405060708)

struct table {
	struct pg_archive_facts facts;
	uint64_t places[PLACES_MAX]; /* of the entries with data */
	size_t place_count;
	size_t count;       /* of all entries */
	struct str entries; /* one line for each */
};

static int on_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct table *t = arg;

	str_appendf(&t->entries, "%d %d %s %s %s %s %s %llu\n", e->dump_id, e->has_data, e->tag, e->desc,
	            e->namespace, e->copy_stmt, e->defn, (unsigned long long)e->place_at);
	t->count++;
	if (e->has_data && t->place_count < PLACES_MAX)
		t->places[t->place_count++] = e->place_at;
	return 0;
}

static int on_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	struct table *t = arg;

	t->facts = *facts;
	return 0;
}

/* False when @data does not begin with a whole table of contents. */
static bool read_table(const uint8_t *data, size_t size, struct table *t)
{
	const struct pg_archive_events events = {.entry = on_entry, .toc_end = on_toc_end, .arg = t};
	struct pg_archive_scan *scan = pg_archive_scan_new(&events);
	struct error err = {0};
	int r = pg_archive_scan_feed(scan, data, size, &err);

	pg_archive_scan_free(scan);
	if (r < 0)
		fuzz_must_refuse(r, &err);
	return t->facts.toc_end > 0;
}

struct made {
	const struct table *table;
	struct str out;
};

static uint64_t offset_for(void *arg, uint64_t place_at)
{
	const struct table *t = ((struct made *)arg)->table;

	for (size_t i = 0; i < t->place_count; i++)
		if (place_at == t->places[i])
			return OFFSET >> (8 * (8 - t->facts.offset_bytes));
	return 0;
}

static const char *name_for(void *arg, uint64_t place_at)
{
	const struct table *t = ((struct made *)arg)->table;

	return t->place_count > 0 && place_at == t->places[0] ? "3456.dat" : NULL;
}

static int append(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(&((struct made *)arg)->out, data, len);
	return 0;
}

/* In two pieces, which end anywhere. */
static int make_head(const uint8_t *data, struct made *made, bool directory, const struct compression *c,
                     struct error *err)
{
	const struct pg_archive_head_options options = {.facts = made->table->facts,
	                                                .compression = *c,
	                                                .directory = directory,
	                                                .offset = offset_for,
	                                                .file_name = name_for,
	                                                .emit = append,
	                                                .arg = made};
	_cleanup(pg_archive_head) struct pg_archive_head *h = pg_archive_head_new(&options);
	size_t len = (size_t)options.facts.toc_end, first = data[len - 1] % len;
	int r = pg_archive_head_feed(h, data, first, err);

	return r < 0 ? r : pg_archive_head_feed(h, data + first, len - first, err);
}

static void check_patched(const uint8_t *data, const struct table *t)
{
	struct compression c = {t->facts.version_minor >= ZSTD_MINOR ? COMPRESSION_ZSTD : COMPRESSION_GZIP,
	                        1};
	struct made made = {.table = t};
	struct table again = {0};
	const uint8_t *bytes;

	fuzz_must(make_head(data, &made, false, &c, NULL) == 0, "a head passes", NULL);
	bytes = (const uint8_t *)made.out.data;
	fuzz_must(made.out.len == t->facts.toc_end, "a patched head keeps its size", NULL);
	fuzz_must(read_table(bytes, made.out.len, &again), "a patched head is one", NULL);
	fuzz_must(str_equal(str_text(&again.entries), str_text(&t->entries)), "it has the same entries",
	          str_text(&again.entries));
	fuzz_must(again.facts.compression ==
	                  (c.method == COMPRESSION_ZSTD ? PG_ARCHIVE_ZSTD : PG_ARCHIVE_GZIP),
	          "it says how data is compressed", NULL);
	for (size_t i = 0; i < t->place_count; i++)
		fuzz_must(bytes[t->places[i]] == STATE_SET, "an offset is set", NULL);
	str_finish(&again.entries);
	str_finish(&made.out);
}

static void check_directory(const uint8_t *data, struct table *t)
{
	const struct compression none = {0};
	struct made made = {.table = t};
	size_t name_bytes = t->place_count ? strlen("3456.dat") : 0;

	fuzz_must(make_head(data, &made, true, &none, NULL) == 0, "a table of contents can be a directory's",
	          NULL);
	fuzz_must(made.out.len + t->count * (1 + t->facts.offset_bytes) ==
	                  t->facts.toc_end + t->count * INT_BYTES + name_bytes,
	          "a name is in the place of each offset", NULL);
	fuzz_must(made.out.data[FORMAT_AT] == DIRECTORY, "it says that it is a directory's", NULL);
	str_finish(&made.out);
}

/* What was whole and is no longer: nothing is promised but an end. */
static void check_damaged(const uint8_t *data, struct table *t)
{
	_cleanup(free) uint8_t *damaged = mem_alloc((size_t)t->facts.toc_end);
	const struct compression none = {0};
	struct made made = {.table = t};
	struct error err = {0};

	memcpy(damaged, data, (size_t)t->facts.toc_end);
	damaged[t->facts.toc_end / 2] ^= 0x81;
	make_head(damaged, &made, true, &none, &err);
	str_finish(&made.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct table t = {0};

	if (read_table(data, size, &t)) {
		check_patched(data, &t);
		check_directory(data, &t);
		check_damaged(data, &t);
	}
	str_finish(&t.entries);
	return 0;
}
