// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as the beginning of a file that comes in, and as its name. Whatever it is taken for, its backup has a name that an artifact may have, and a time that a calendar has; and the check of its
 * content ends, by taking it or by saying why not.
 */
#include "fuzz.h"

#include "../../src/inbox/content.h"
#include "../../src/inbox/looks.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/codec/name.h>
#include <keepfs/inbox.h>

#include <string.h>

#define PIECE 1000 /* so that what is looked at lies on both sides of a border */

static void check_time(const char *name)
{
	int64_t local_s = 0;
	bool is_utc = false;

	if (inbox_time_in_name(name, &local_s, &is_utc))
		fuzz_must(local_s >= zone_local_midnight(1996, 1, 1) &&
		                  local_s < zone_local_midnight(2200, 1, 1),
		          "a time in a name is one of a dump", name);
}

static void check_names(const char *name)
{
	_cleanup(free) char *plain = inbox_plain_name(name);

	fuzz_must(strlen(plain) <= strlen(name), "a plain name is no longer one", plain);
	if (!inbox_name_is_temporary(name))
		fuzz_must(str_equal(plain, name), "the last name of a file is itself", plain);
	check_time(name);
}

static void check_look(const struct inbox_look *look)
{
	_cleanup(free) char *name = mem_printf("20261120T020000Z%s", look->suffix);

	fuzz_must(name_is_safe(name) && name_sequence(name) >= 0, "a suffix makes a name", look->suffix);
	fuzz_must(!look->has_time || look->local_s >= 0, "a time is behind 1970", NULL);
	fuzz_must(strlen(look->database) < sizeof(look->database), "a database has a name that ends", NULL);
}

static int feed_in_pieces(struct inbox_content *content, const uint8_t *data, size_t size, struct error *err)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += PIECE)
		r = inbox_content_feed(content, data + at, size - at < PIECE ? size - at : PIECE, err);
	return r == 0 ? inbox_content_end(content, err) : r;
}

static void check_content(const struct inbox_look *look, const uint8_t *data, size_t size)
{
	struct inbox_content *content = inbox_content_new(look, "/tmp");
	struct error err = {0};
	int r = feed_in_pieces(content, data, size, &err);

	if (r < 0)
		fuzz_must_refuse(r, &err);
	else if (look->shape == INBOX_OTHER && look->method == COMPRESSION_NONE)
		fuzz_must(!inbox_content_has_end(content), "what is not known has no end", NULL);
	inbox_content_free(content);
}

/* The first line is the name, the rest the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *line = memchr(data, '\n', size);
	size_t len = line ? (size_t)(line - data) : 0;
	_cleanup(free) char *name = fuzz_text(data, len);
	const uint8_t *file = line ? line + 1 : data;
	size_t bytes = size - (size_t)(file - data);
	struct inbox_look look;

	check_names(name);
	inbox_look_at(file, bytes < INBOX_HEAD_BYTES ? bytes : INBOX_HEAD_BYTES, name, &look);
	check_look(&look);
	check_content(&look, file, bytes);
	return 0;
}
