// SPDX-License-Identifier: Apache-2.0
#include "whole.h"

#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static uint64_t count_line_ends(const char *data, size_t len)
{
	const char *end = data + len;
	uint64_t lines = 0;

	while ((data = memchr(data, '\n', (size_t)(end - data)))) {
		lines++;
		data++;
	}
	return lines;
}

static void keep_last(struct whole *w, const char *data, size_t len)
{
	size_t kept = sizeof(w->last);

	if (len >= kept) {
		memcpy(w->last, data + len - kept, kept);
		w->last_len = kept;
		return;
	}
	if (w->last_len + len > kept) {
		size_t gone = w->last_len + len - kept;

		memmove(w->last, w->last + gone, w->last_len - gone);
		w->last_len -= gone;
	}
	memcpy(w->last + w->last_len, data, len);
	w->last_len += len;
}

static int take_unpacked(void *arg, const void *data, size_t len, struct error *err)
{
	struct whole *w = arg;

	w->found_bytes += len;
	w->found_lines += count_line_ends(data, len);
	keep_last(w, data, len);
	return 0;
}

static int feed_whole(void *arg, const void *data, size_t len, struct error *err)
{
	return decompressor_write(((struct whole *)arg)->decompressor, data, len, err);
}

static bool ends_as_written(const struct whole *w)
{
	size_t len = strlen(w->end);

	return len <= w->last_len && memcmp(w->last + w->last_len - len, w->end, len) == 0;
}

static int end_whole(void *arg, struct error *err)
{
	const struct whole *w = arg;
	int r = decompressor_finish(w->decompressor, err);

	if (r < 0)
		return r;
	if (w->found_bytes == w->bytes && w->found_lines == w->lines && ends_as_written(w))
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the export is not whole: %" PRIu64 " lines with %" PRIu64
	                 " bytes were written, and %" PRIu64 " lines with %" PRIu64 " bytes are there",
	                 w->lines, w->bytes, w->found_lines, w->found_bytes);
}

void whole_init_text(struct whole *w, uint64_t bytes, uint64_t lines, const char *end)
{
	*w = (struct whole){.bytes = bytes, .lines = lines};
	str_copy(w->end, sizeof(w->end), end);
	w->decompressor = decompressor_new(COMPRESSION_GZIP,
	                                   &(struct decompressor_out){.write = take_unpacked, .arg = w});
}

void whole_init(struct whole *w, const struct document *d)
{
	_cleanup(str) struct str end = {0};

	document_append_end(&end, d->rows);
	whole_init_text(w, d->bytes, d->lines, str_text(&end));
}

void whole_finish(struct whole *w)
{
	decompressor_free(w->decompressor);
}

struct draft_check whole_check(struct whole *w)
{
	return (struct draft_check){.feed = feed_whole, .end = end_whole, .arg = w};
}
