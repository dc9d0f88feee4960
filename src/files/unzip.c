// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/files/unzip.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)128 << 10)

struct unzip {
	int fd;
	off_t at, end;
	struct cancel *cancel;
	struct archive *archive;
	locale_t utf8; /* in which libarchive gives names of entries as they are */
	char *name;
	char piece[PIECE_BYTES];
};

/* libarchive reads. */

static la_ssize_t read_zip_file(struct archive *archive, void *arg, const void **ret)
{
	struct unzip *u = arg;
	ssize_t n;

	if (cancel_is_set(u->cancel)) {
		archive_set_error(archive, ECANCELED, "given up");
		return ARCHIVE_FATAL;
	}
	do
		n = pread(u->fd, u->piece, sizeof(u->piece), u->at);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(archive, errno, "the file cannot be read");
		return ARCHIVE_FATAL;
	}
	u->at += n;
	*ret = u->piece;
	return n;
}

static la_int64_t seek_zip_file(struct archive *archive, void *arg, la_int64_t offset, int whence)
{
	struct unzip *u = arg;
	la_int64_t from = whence == SEEK_CUR ? u->at : whence == SEEK_END ? u->end : 0;

	if (offset < -from || offset > u->end - from) {
		archive_set_error(archive, EINVAL, "something is said to be where the file is not");
		return ARCHIVE_FATAL;
	}
	u->at = from + offset;
	return u->at;
}

static la_int64_t skip_zip_file(struct archive *archive, void *arg, la_int64_t bytes)
{
	struct unzip *u = arg;
	la_int64_t left = u->end - u->at, skipped = bytes < left ? bytes : left;

	u->at += skipped;
	return skipped;
}

/* Opening. */

static int refuse_zip(struct unzip *u, struct error *err)
{
	const char *why = archive_error_string(u->archive);

	if (cancel_is_set(u->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the ZIP archive cannot be read: %s",
	                 why ? why : "it is no such archive, or it is not whole");
}

static int open_zip(struct unzip *u, struct error *err)
{
	u->archive = archive_read_new();
	if (!u->archive)
		return error_system(err, ENOMEM, "an archive cannot be read");
	/* By its list alone: what reads along a stream would take an archive that is cut. */
	if (archive_read_support_format_zip_seekable(u->archive) == ARCHIVE_OK &&
	    archive_read_set_seek_callback(u->archive, seek_zip_file) == ARCHIVE_OK &&
	    archive_read_set_skip_callback(u->archive, skip_zip_file) == ARCHIVE_OK &&
	    archive_read_set_read_callback(u->archive, read_zip_file) == ARCHIVE_OK &&
	    archive_read_set_callback_data(u->archive, u) == ARCHIVE_OK &&
	    archive_read_open1(u->archive) == ARCHIVE_OK)
		return 0;
	return refuse_zip(u, err);
}

int unzip_new(int fd, struct cancel *cancel, struct unzip **ret, struct error *err)
{
	_cleanup(unzip) struct unzip *u = mem_alloc(sizeof(*u));
	struct stat st;
	int r;

	u->fd = fd;
	u->cancel = cancel;
	if (fstat(fd, &st) < 0)
		return error_system(err, errno, "the file cannot be read");
	u->end = st.st_size;
	u->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	r = open_zip(u, err);
	if (r == 0)
		*ret = take_ptr(&u);
	return r;
}

struct unzip *unzip_free(struct unzip *u)
{
	if (!u)
		return NULL;
	if (u->archive)
		archive_read_free(u->archive);
	if (u->utf8)
		freelocale(u->utf8);
	free(u->name);
	free(u);
	return NULL;
}

/* Entries. */

static int next_header(struct unzip *u, struct archive_entry **ret)
{
	locale_t before = u->utf8 ? uselocale(u->utf8) : (locale_t)0;
	int status = archive_read_next_header(u->archive, ret);

	if (status == ARCHIVE_OK || status == ARCHIVE_WARN) {
		free(u->name);
		u->name = mem_strdup(archive_entry_pathname_utf8(*ret));
	}
	if (u->utf8)
		uselocale(before);
	return status;
}

int unzip_next(struct unzip *u, const char **ret_name, struct error *err)
{
	struct archive_entry *entry;
	int status;

	do {
		status = next_header(u, &entry);
		if (status == ARCHIVE_EOF)
			return 0;
		if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
			return refuse_zip(u, err);
	} while (archive_entry_filetype(entry) != AE_IFREG);
	if (!u->name)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the name of an entry is not UTF-8");
	*ret_name = u->name;
	return 1;
}

ssize_t unzip_read(struct unzip *u, void *buf, size_t len, struct error *err)
{
	la_ssize_t n = archive_read_data(u->archive, buf, len);

	if (n >= 0)
		return n;
	refuse_zip(u, err);
	if (!cancel_is_set(u->cancel))
		error_prefix(err, "%s", u->name);
	return cancel_is_set(u->cancel) ? -ECANCELED : -EBADMSG;
}
