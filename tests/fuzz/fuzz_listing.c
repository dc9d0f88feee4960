// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a line of a listing, as the index of one, as a listing that is no zstd, and as a shown name. What is refused leaves nothing behind; what is taken is written
 * as something that is taken again.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/shown_name.h>

#include <errno.h>
#include <string.h>

static void try_line(const char *text, size_t size)
{
	_cleanup(listing_entry) struct listing_entry e = {0}, again = {0};
	_cleanup(str) struct str line = {0}, line_again = {0}, key = {0};
	struct error err = {0};
	int r = listing_line_key(text, size, &key, &err);

	if (r != 0)
		fuzz_must_refuse(r, &err);
	err = (struct error){0};
	r = listing_entry_decode(text, size, &e, &err);
	if (r != 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(r == -EBADMSG && !e.key, "a refused line leaves nothing", err.message);
		return;
	}
	listing_entry_encode(&e, &line);
	fuzz_must(listing_entry_decode(line.data, line.len, &again, &err) == 0,
	          "what was taken is taken again", line.data);
	fuzz_must(listing_line_key(line.data, line.len, &key, &err) == 0 &&
	                  strcmp(str_text(&key), again.key) == 0,
	          "its key alone is the same", line.data);
	listing_entry_encode(&again, &line_again);
	fuzz_must(strcmp(line.data, line_again.data) == 0, "the same line", line.data);
}

static void try_index(const char *text, size_t size)
{
	_cleanup(listing_index) struct listing_index x = {0};
	struct error err = {0};
	int r = listing_index_decode(text, size, &x, &err);

	if (r == 0)
		return;
	fuzz_must_refuse(r, &err);
	fuzz_must((r == -EBADMSG || r == -ENOTSUP) && !x.frames, "a refused index leaves nothing",
	          err.message);
}

static void try_name(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);
	_cleanup(str) struct str name = {0}, key = {0}, again = {0};

	if (shown_name_key(text, &key) == 0) {
		shown_name(str_text(&key), key.len, &again);
		fuzz_must(strcmp(str_text(&again), text) == 0, "a key has one name", text);
	}
	str_clear(&key);
	shown_name(text, strlen(text), &name);
	if (strlen(text) > SHOWN_KEY_MAX)
		return;
	fuzz_must(shown_name_key(str_text(&name), &key) == 0, "a name has a key", text);
	fuzz_must(strcmp(str_text(&key), text) == 0, "and that is the key", text);
}

static int pass_entry(void *arg, struct listing_entry *e, struct error *err)
{
	return 0;
}

static void try_scan(const uint8_t *data, size_t size)
{
	const struct listing_scan_to to = {.entry = pass_entry};
	_cleanup(listing_scan) struct listing_scan *s = listing_scan_new(&to);
	struct error err = {0};
	int r = listing_scan_feed(s, data, size, &err);

	if (r == 0)
		r = listing_scan_end(s, &err);
	if (r != 0)
		fuzz_must_refuse(r, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = mem_alloc(size + 1);

	memcpy(text, data, size);
	try_line(text, size);
	try_index(text, size);
	try_name(data, size);
	try_scan(data, size);
	return 0;
}
