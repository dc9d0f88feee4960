// SPDX-License-Identifier: Apache-2.0
#include "content.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/files/tar_check.h>

#include <errno.h>
#include <string.h>

#define TAIL_BYTES 1024

#define DATABASE_END "\n-- PostgreSQL database dump complete\n"
#define CLUSTER_END  "\n-- PostgreSQL database cluster dump complete\n"
#define BEFORE_END   (sizeof(CLUSTER_END) - 2) /* of what is cut in two, at most so much is in either piece */

struct inbox_content {
	const struct inbox_look *look;
	struct decompressor *decompressor; /* NULL: it is not compressed as a whole */
	struct archive_counts *counts;     /* of an archive */
	bool is_unknown;                   /* it has a version that is not known here */
	struct tar_check tar;
	uint64_t entries;
	char tail[TAIL_BYTES]; /* of a text: its last bytes */
	size_t tail_bytes;
	bool has_cluster_end; /* of a text of pg_dumpall: its last line has passed by */
};

static void keep_incoming_tail(struct inbox_content *c, const char *data, size_t len)
{
	size_t keep;

	if (len >= TAIL_BYTES) {
		memcpy(c->tail, data + len - TAIL_BYTES, TAIL_BYTES);
		c->tail_bytes = TAIL_BYTES;
		return;
	}
	keep = c->tail_bytes + len > TAIL_BYTES ? TAIL_BYTES - len : c->tail_bytes;
	memmove(c->tail, c->tail + c->tail_bytes - keep, keep);
	memcpy(c->tail + keep, data, len);
	c->tail_bytes = keep + len;
}

static size_t least_bytes(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Before the piece is in the tail. */
static void look_for_cluster_end(struct inbox_content *c, const char *data, size_t len)
{
	char joint[2 * BEFORE_END];
	size_t before = least_bytes(c->tail_bytes, BEFORE_END), behind = least_bytes(len, BEFORE_END);

	if (!c->look->is_cluster || c->has_cluster_end)
		return;
	memcpy(joint, c->tail + c->tail_bytes - before, before);
	memcpy(joint + before, data, behind);
	c->has_cluster_end = memmem(joint, before + behind, CLUSTER_END, strlen(CLUSTER_END)) ||
	                     memmem(data, len, CLUSTER_END, strlen(CLUSTER_END));
}

/* What is not known is kept as it is. */
static int feed_archive(struct inbox_content *c, const void *data, size_t len, struct error *err)
{
	struct error why = {0};
	int r = c->is_unknown ? 0 : archive_counts_feed(c->counts, data, len, &why);

	if (r == -ENOTSUP) {
		c->is_unknown = true;
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static int feed_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct inbox_content *c = arg;

	switch (c->look->shape) {
	case INBOX_ARCHIVE:
		return feed_archive(c, data, len, err);
	case INBOX_TAR:
		return tar_check_write(&c->tar, data, len, err);
	case INBOX_SQL:
		look_for_cluster_end(c, data, len);
		keep_incoming_tail(c, data, len);
		return 0;
	default:
		return 0;
	}
}

struct inbox_content *inbox_content_new(const struct inbox_look *look, const char *directory)
{
	struct inbox_content *c = mem_alloc(sizeof(*c));
	const struct decompressor_out out = {.write = feed_plain, .arg = c};

	c->look = look;
	if (look->method != COMPRESSION_NONE)
		c->decompressor = decompressor_new(look->method, &out);
	if (look->shape == INBOX_ARCHIVE)
		c->counts = archive_counts_new(directory);
	tar_check_init(&c->tar);
	return c;
}

struct inbox_content *inbox_content_free(struct inbox_content *c)
{
	if (!c)
		return NULL;
	decompressor_free(c->decompressor);
	archive_counts_free(c->counts);
	free(c);
	return NULL;
}

int inbox_content_feed(struct inbox_content *c, const void *data, size_t len, struct error *err)
{
	return c->decompressor ? decompressor_write(c->decompressor, data, len, err)
	                       : feed_plain(c, data, len, err);
}

static bool has_in_tail(const struct inbox_content *c, const char *text)
{
	return memmem(c->tail, c->tail_bytes, text, strlen(text)) != NULL;
}

/* A newer pg_dump writes a line behind it ("\unrestrict …"). */
static int end_incoming_text(const struct inbox_content *c, struct error *err)
{
	bool ends = has_in_tail(c, DATABASE_END) || has_in_tail(c, CLUSTER_END);

	/* That of pg_dumpall has an end of each database in it; behind its own some have put texts of pg_dump. */
	if (ends && c->look->is_cluster && !c->has_cluster_end)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the text ends behind a database, without the end that pg_dumpall writes: it is cut off");
	if (ends)
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the text has not the end that pg_dump writes: it is cut off");
}

int inbox_content_end(struct inbox_content *c, struct error *err)
{
	int r = c->decompressor ? decompressor_finish(c->decompressor, err) : 0;

	if (r < 0)
		return r;
	switch (c->look->shape) {
	case INBOX_ARCHIVE:
		return c->is_unknown ? 0 : archive_counts_end(c->counts, err);
	case INBOX_TAR:
		return tar_check_finish(&c->tar, &c->entries, err);
	case INBOX_SQL:
		return end_incoming_text(c, err);
	default:
		return 0;
	}
}

bool inbox_content_has_end(const struct inbox_content *c)
{
	return c->decompressor || (c->look->shape != INBOX_OTHER && !c->is_unknown);
}

const struct archive_counts *inbox_content_counts(const struct inbox_content *c)
{
	return c->decompressor || c->is_unknown ? NULL : c->counts;
}

uint64_t inbox_content_entries(const struct inbox_content *c)
{
	return c->entries;
}
