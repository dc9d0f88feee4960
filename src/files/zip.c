// SPDX-License-Identifier: Apache-2.0
/*
 * libarchive writes and reads. It knows that a name is UTF-8 by the locale of the thread alone, so it gets one of UTF-8 for as long as it is at work. It is never told that
 * something could not be written: from then on it would not free what it has. What it still gives is dropped instead.
 */
#include "feed.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/files/zip.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 65536

struct zip_writer {
	struct zip_options options;
	struct archive *archive;
	struct archive_entry *entry;
	locale_t utf8;
	struct zip_size size;
	struct error *err; /* of the present call */
	int result;        /* the first failure of write(), or it is given up: nothing more is written */
};

static la_ssize_t write_zip_bytes(struct archive *archive, void *arg, const void *data, size_t len)
{
	struct zip_writer *w = arg;

	if (w->result == 0)
		w->result = w->options.write(w->options.arg, data, len, w->err);
	w->size.archive_bytes += len;
	return (la_ssize_t)len;
}

static locale_t enter_zip(struct zip_writer *w, struct error *err)
{
	w->err = err;
	return w->utf8 ? uselocale(w->utf8) : (locale_t)0;
}

static int leave_zip(struct zip_writer *w, locale_t before, int status)
{
	struct error *err = w->err;

	if (before)
		uselocale(before);
	w->err = NULL;
	if (w->result < 0)
		return w->result;
	if (status >= ARCHIVE_WARN)
		return 0;
	return error_set(err, ERROR_INTERNAL, EIO, "a ZIP archive cannot be written: %s",
	                 str_or_empty(archive_error_string(w->archive)));
}

static int set_up_zip(struct zip_writer *w)
{
	char level[2] = {(char)('0' + w->options.level), '\0'};
	int status = archive_write_set_format_zip(w->archive);

	if (status == ARCHIVE_OK)
		status = archive_write_set_format_option(w->archive, "zip", "compression", "deflate");
	if (status == ARCHIVE_OK)
		status = archive_write_set_format_option(w->archive, "zip", "compression-level", level);
	if (status == ARCHIVE_OK)
		status = archive_write_set_bytes_per_block(w->archive, BLOCK_BYTES);
	if (status == ARCHIVE_OK)
		status = archive_write_set_bytes_in_last_block(w->archive, 1);
	return status == ARCHIVE_OK ? archive_write_open(w->archive, w, NULL, write_zip_bytes, NULL) : status;
}

int zip_writer_new(const struct zip_options *options, struct zip_writer **ret, struct error *err)
{
	struct zip_writer *w = mem_alloc(sizeof(*w));
	locale_t before;
	int r;

	w->options = *options;
	w->archive = archive_write_new();
	w->entry = archive_entry_new();
	w->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	before = enter_zip(w, err);
	r = leave_zip(w, before, set_up_zip(w));
	if (r < 0)
		zip_writer_free(w);
	else
		*ret = w;
	return r;
}

/* Freeing writes the end of what was not ended. */
struct zip_writer *zip_writer_free(struct zip_writer *w)
{
	if (!w)
		return NULL;
	w->result = -ECANCELED;
	archive_write_free(w->archive);
	archive_entry_free(w->entry);
	if (w->utf8)
		freelocale(w->utf8);
	free(w);
	return NULL;
}

int zip_writer_entry(struct zip_writer *w, const char *name, struct error *err)
{
	locale_t before = enter_zip(w, err);

	archive_entry_clear(w->entry);
	archive_entry_set_pathname(w->entry, name);
	archive_entry_set_filetype(w->entry, AE_IFREG);
	archive_entry_set_perm(w->entry, 0644);
	archive_entry_set_mtime(w->entry, (time_t)(w->options.modified_at_us / 1000000), 0);
	w->size.entries++;
	return leave_zip(w, before, archive_write_header(w->archive, w->entry));
}

int zip_writer_write(struct zip_writer *w, const void *data, size_t len, struct error *err)
{
	const char *p = data, *end = p + len;
	locale_t before = enter_zip(w, err);
	la_ssize_t n = 0;

	for (; p < end && n >= 0; p += n) {
		n = archive_write_data(w->archive, p, (size_t)(end - p));
		if (n == 0)
			n = ARCHIVE_FATAL;
	}
	w->size.bytes += len;
	return leave_zip(w, before, n < 0 ? (int)n : ARCHIVE_OK);
}

int zip_writer_end(struct zip_writer *w, struct error *err)
{
	locale_t before = enter_zip(w, err);

	return leave_zip(w, before, archive_write_close(w->archive));
}

struct zip_size zip_writer_size(const struct zip_writer *w)
{
	return w->size;
}

/* Reading back. */

struct zip_check {
	struct feed feed;
	pthread_t thread;
	bool is_running;
	struct zip_size expected, found; /* found.archive_bytes: of the one who gives, else of the thread */
	char problem[200];               /* of the thread; "" */
};

static la_ssize_t read_zip_feed(struct archive *archive, void *arg, const void **ret)
{
	ssize_t n = feed_next(&((struct zip_check *)arg)->feed, ret);

	if (n < 0)
		archive_set_error(archive, ECANCELED, "given up");
	return n < 0 ? ARCHIVE_FATAL : n;
}

static int unpack_zip_entry(struct zip_check *c, struct archive *archive)
{
	char buf[16384];
	la_ssize_t n;

	c->found.entries++;
	while ((n = archive_read_data(archive, buf, sizeof(buf))) > 0)
		c->found.bytes += (uint64_t)n;
	return n < 0 ? (int)n : ARCHIVE_OK;
}

static void unpack_zip(struct zip_check *c, struct archive *archive)
{
	struct archive_entry *entry;
	int status = archive_read_support_format_zip_streamable(archive);

	if (status == ARCHIVE_OK)
		status = archive_read_open(archive, c, NULL, read_zip_feed, NULL);
	while (status == ARCHIVE_OK) {
		status = archive_read_next_header(archive, &entry);
		if (status == ARCHIVE_OK)
			status = unpack_zip_entry(c, archive);
	}
	if (status != ARCHIVE_EOF)
		str_copy(c->problem, sizeof(c->problem), str_or_empty(archive_error_string(archive)));
}

static void *zip_check_thread(void *arg)
{
	struct zip_check *c = arg;
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	struct archive *archive = archive_read_new();

	if (utf8)
		uselocale(utf8);
	unpack_zip(c, archive);
	archive_read_free(archive);
	if (utf8) {
		uselocale(LC_GLOBAL_LOCALE);
		freelocale(utf8);
	}
	feed_close(&c->feed);
	return NULL;
}

int zip_check_new(const struct zip_size *size, struct zip_check **ret, struct error *err)
{
	struct zip_check *c = mem_alloc(sizeof(*c));
	int r;

	c->expected = *size;
	feed_init(&c->feed);
	r = thread_start(&c->thread, "zip-check", zip_check_thread, c);
	c->is_running = r == 0;
	if (r < 0) {
		zip_check_free(c);
		return error_system(err, -r, "a thread for reading back cannot be started");
	}
	*ret = c;
	return 0;
}

static void stop_zip_check(struct zip_check *c, bool given_up)
{
	if (!c->is_running)
		return;
	feed_end(&c->feed, given_up);
	pthread_join(c->thread, NULL);
	c->is_running = false;
}

struct zip_check *zip_check_free(struct zip_check *c)
{
	if (!c)
		return NULL;
	stop_zip_check(c, true);
	feed_finish(&c->feed);
	free(c);
	return NULL;
}

int zip_check_write(struct zip_check *c, const void *data, size_t len, struct error *err)
{
	c->found.archive_bytes += len;
	feed_put(&c->feed, data, len);
	return 0;
}

int zip_check_end(struct zip_check *c, struct error *err)
{
	stop_zip_check(c, false);
	if (*c->problem)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the ZIP archive is damaged: %s", c->problem);
	if (memcmp(&c->found, &c->expected, sizeof(c->found)) == 0)
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the ZIP archive is not whole: %" PRIu64 " files with %" PRIu64
	                 " bytes were written, and %" PRIu64 " files with %" PRIu64 " bytes are there",
	                 c->expected.entries, c->expected.bytes, c->found.entries, c->found.bytes);
}
