// SPDX-License-Identifier: Apache-2.0
/*
 * Header and table of contents as they were read, patched in place: nothing is taken apart and written anew,
 * so whatever a later pg_dump puts there stays as it is. Only for the directory format, whose entries have
 * another length, the bytes between the patched places are copied.
 */
#include "pg_archive_int.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive_head.h>

#include <assert.h>
#include <string.h>

#define FORMAT_AT        10 /* behind signature, version and two sizes */
#define FORMAT_DIRECTORY 3
#define METHOD_MINOR     15 /* from here on a byte says how data is compressed, before it was a level */
#define LEVEL_DEFAULT    (-1)
#define STATE_NOT_SET    1
#define STATE_SET        2

struct pg_archive_head {
	uint8_t *bytes;
	size_t len;
	struct pg_archive_facts facts;
};

struct pg_archive_head *pg_archive_head_new(uint8_t *bytes, const struct pg_archive_facts *facts)
{
	struct pg_archive_head *h = mem_alloc(sizeof(*h));

	h->bytes = bytes;
	h->len = (size_t)facts->toc_end;
	h->facts = *facts;
	return h;
}

struct pg_archive_head *pg_archive_head_free(struct pg_archive_head *h)
{
	if (!h)
		return NULL;
	free(h->bytes);
	free(h);
	return NULL;
}

static enum pg_archive_compression method_of(const struct compression *c)
{
	static const enum pg_archive_compression methods[] = {
	        [COMPRESSION_NONE] = PG_ARCHIVE_NONE,
	        [COMPRESSION_GZIP] = PG_ARCHIVE_GZIP,
	        [COMPRESSION_ZSTD] = PG_ARCHIVE_ZSTD,
	};

	return methods[c->method];
}

void pg_archive_head_set_compression(struct pg_archive_head *h, const struct compression *c)
{
	enum pg_archive_compression method = method_of(c);
	uint8_t *at = h->bytes + h->facts.compression_at;

	if (h->facts.version_minor >= METHOD_MINOR) {
		*at = (uint8_t)method;
		return;
	}
	assert(method != PG_ARCHIVE_ZSTD);
	pg_archive_put_int(at, method == PG_ARCHIVE_NONE ? 0 : LEVEL_DEFAULT);
}

void pg_archive_head_set_offset(struct pg_archive_head *h, uint64_t place_at, uint64_t offset)
{
	uint8_t *at = h->bytes + place_at;
	bool fits = h->facts.offset_bytes >= sizeof(offset) || offset >> (8 * h->facts.offset_bytes) == 0;

	assert(place_at + 1 + h->facts.offset_bytes <= h->len);
	*at++ = fits ? STATE_SET : STATE_NOT_SET;
	for (unsigned i = 0; i < h->facts.offset_bytes; i++)
		at[i] = (uint8_t)((fits ? offset : 0) >> (8 * i));
}

const uint8_t *pg_archive_head_bytes(const struct pg_archive_head *h, size_t *ret_len)
{
	*ret_len = h->len;
	return h->bytes;
}

struct conversion { /* to a directory's */
	const struct pg_archive_head *head;
	const char *(*file_name)(void *arg, uint64_t place_at);
	void *arg;
	struct str out;
	uint64_t copied; /* of the head's bytes */
};

static void copy_until(struct conversion *c, uint64_t end)
{
	str_append_bytes(&c->out, c->head->bytes + c->copied, (size_t)(end - c->copied));
	c->copied = end;
}

/* An empty name, not a NULL: pg_restore takes its length without looking. */
static int convert_entry(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct conversion *c = arg;
	const char *name = c->file_name(c->arg, entry->place_at);
	uint8_t length[PG_ARCHIVE_INT_BYTES];

	copy_until(c, entry->place_at);
	c->copied += 1 + c->head->facts.offset_bytes;
	pg_archive_put_int(length, name ? (int)strlen(name) : 0);
	str_append_bytes(&c->out, length, sizeof(length));
	str_append(&c->out, name ? name : "");
	return 0;
}

uint8_t *pg_archive_head_to_directory(const struct pg_archive_head *h,
                                      const char *(*file_name)(void *arg, uint64_t place_at), void *arg,
                                      size_t *ret_len)
{
	struct conversion c = {.head = h, .file_name = file_name, .arg = arg};
	const struct pg_archive_events events = {.entry = convert_entry, .arg = &c};
	struct pg_archive_scan *scan = pg_archive_scan_new(&events);
	int r = pg_archive_scan_feed(scan, h->bytes, h->len, NULL);

	pg_archive_scan_free(scan);
	if (r < 0) {
		str_finish(&c.out);
		return NULL;
	}
	copy_until(&c, h->len);
	*ret_len = c.out.len;
	c.out.data[FORMAT_AT] = FORMAT_DIRECTORY;
	return (uint8_t *)str_take(&c.out);
}
