// SPDX-License-Identifier: Apache-2.0
/* Any bytes at all, as a tar that a server sends, as a backup_manifest, and as an incremental file: what they say is the same however the bytes are cut into pieces, and names lead nowhere else. */
#include "fuzz.h"

#include <keepfs/base/str.h>
#include <keepfs/codec/base_manifest.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/incremental.h>
#include <keepfs/codec/tar_stream.h>

#include <inttypes.h>
#include <string.h>

static int note_tar_member(void *arg, const struct tar_stream_member *m, struct error *err)
{
	fuzz_must(m->name[0] && m->name[0] != '/' && strcmp(m->name, "..") != 0 &&
	                  !str_starts(m->name, "../") && !strstr(m->name, "/../"),
	          "a name that stays below", m->name);
	str_appendf(arg, "%s %" PRIu64 "[", m->name, m->bytes);
	return 0;
}

static int note_tar_data(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int note_tar_end(void *arg, struct error *err)
{
	str_append_char(arg, ']');
	return 0;
}

static int try_tar(const uint8_t *data, size_t size, size_t piece, struct str *said)
{
	struct tar_stream t = {.to = {note_tar_member, note_tar_data, note_tar_end, said}};
	struct error err = {0};
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = tar_stream_feed(&t, data + at, size - at < piece ? size - at : piece, &err);
	if (r == 0)
		r = tar_stream_end(&t, &err);
	if (r != 0)
		fuzz_must_refuse(r, &err);
	return r;
}

static int note_manifest_file(void *arg, const struct base_manifest_file *f, struct error *err)
{
	fuzz_must(*f->path, "a file has a path", NULL);
	str_appendf(arg, "%s %" PRIu64 " %x\n", f->path, f->bytes, f->crc32c);
	return 0;
}

static int try_base_manifest(const uint8_t *data, size_t size, size_t piece, struct str *said)
{
	const struct base_manifest_to to = {note_manifest_file, said};
	_cleanup(base_manifest) struct base_manifest *m = base_manifest_new(&to);
	struct error err = {0};
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = base_manifest_feed(m, data + at, size - at < piece ? size - at : piece, &err);
	if (r == 0)
		r = base_manifest_end(m, &err);
	if (r != 0)
		fuzz_must_refuse(r, &err);
	return r;
}

static int note_incremental_head(void *arg, const struct incremental_head *h, struct error *err)
{
	for (uint32_t i = 0; i < h->count; i++)
		fuzz_must(h->pages[i] < h->total_pages && (i == 0 || h->pages[i - 1] < h->pages[i]),
		          "numbers that ascend, within the file", NULL);
	fuzz_must(h->truncation_pages <= h->total_pages, "a length that is not above the whole", NULL);
	str_appendf(arg, "%" PRIu32 " %" PRIu32, h->count, h->total_pages);
	return 0;
}

static int note_incremental_page(void *arg, uint32_t number, const void *data, struct error *err)
{
	str_appendf(arg, " %" PRIu32 ":%08" PRIx32, number, crc32c(0, data, INCREMENTAL_PAGE_BYTES));
	return 0;
}

static int try_incremental(const uint8_t *data, size_t size, size_t piece, struct str *said)
{
	const struct incremental_to to = {note_incremental_head, note_incremental_page, said};
	_cleanup(incremental_reader) struct incremental_reader *reader = incremental_reader_new(&to);
	struct error err = {0};
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = incremental_reader_feed(reader, data + at, size - at < piece ? size - at : piece, &err);
	if (r == 0)
		r = incremental_reader_end(reader, &err);
	if (r != 0)
		fuzz_must_refuse(r, &err);
	return r;
}

static void try_both_ways(int (*try)(const uint8_t *, size_t, size_t, struct str *), const uint8_t *data,
                          size_t size)
{
	_cleanup(str) struct str whole = {0}, pieces = {0};

	fuzz_must(try(data, size, size + 1, &whole) == try(data, size, 61, &pieces),
	          "the same result in pieces", NULL);
	fuzz_must(strcmp(str_text(&whole), str_text(&pieces)) == 0, "the same said in pieces",
	          str_text(&whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_both_ways(try_tar, data, size);
	try_both_ways(try_base_manifest, data, size);
	try_both_ways(try_incremental, data, size);
	return 0;
}
