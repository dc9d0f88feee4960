// SPDX-License-Identifier: Apache-2.0
#include <keepfs/files/packed_tar.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>

#define PACK_PIECE_BYTES 65536

struct packed_tar {
	struct archive *archive;
	struct spool *out;
	int64_t modified_at_us;
};

static la_ssize_t write_tar_bytes(struct archive *a, void *arg, const void *data, size_t len)
{
	const struct packed_tar *t = arg;
	int r = spool_put(t->out, data, len, NULL);

	if (r < 0) {
		archive_set_error(a, -r, "it cannot be kept");
		return -1;
	}
	return (la_ssize_t)len;
}

static int packing_failed(struct packed_tar *t, const char *name, struct error *err)
{
	int failure = archive_errno(t->archive);

	return error_system(err, failure ? failure : EIO, "%s cannot be packed", name);
}

int packed_tar_new(struct spool *out, int64_t modified_at_us, struct packed_tar **ret, struct error *err)
{
	_cleanup(packed_tar) struct packed_tar *t = mem_alloc(sizeof(*t));

	t->out = out;
	t->modified_at_us = modified_at_us;
	t->archive = archive_write_new();
	if (!t->archive)
		return error_system(err, ENOMEM, "no archive can be made");
	if (archive_write_set_format_pax_restricted(t->archive) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(t->archive, 1) != ARCHIVE_OK ||
	    archive_write_open(t->archive, t, NULL, write_tar_bytes, NULL) != ARCHIVE_OK)
		return packing_failed(t, "the archive", err);
	*ret = take_ptr(&t);
	return 0;
}

struct packed_tar *packed_tar_free(struct packed_tar *t)
{
	if (!t)
		return NULL;
	if (t->archive)
		archive_write_free(t->archive);
	free(t);
	return NULL;
}

static int write_tar_content(struct packed_tar *t, const char *name, const struct spool *content,
                             struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(PACK_PIECE_BYTES);
	uint64_t at = 0;
	ssize_t n;

	while ((n = spool_read(content, buf, PACK_PIECE_BYTES, at)) > 0) {
		if (archive_write_data(t->archive, buf, (size_t)n) != n)
			return packing_failed(t, name, err);
		at += (uint64_t)n;
	}
	return n < 0 ? error_system(err, (int)-n, "%s cannot be read again", name) : 0;
}

int packed_tar_add(struct packed_tar *t, const char *name, const struct spool *content, struct error *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	if (!entry)
		return error_system(err, ENOMEM, "%s cannot be packed", name);
	archive_entry_set_pathname_utf8(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0600);
	archive_entry_set_size(entry, (la_int64_t)spool_size(content));
	archive_entry_set_mtime(entry, t->modified_at_us / US_PER_S, 0);
	r = archive_write_header(t->archive, entry) == ARCHIVE_OK ? write_tar_content(t, name, content, err)
	                                                          : packing_failed(t, name, err);
	archive_entry_free(entry);
	return r;
}

int packed_tar_end(struct packed_tar *t, struct error *err)
{
	if (archive_write_close(t->archive) != ARCHIVE_OK)
		return packing_failed(t, "the archive", err);
	return 0;
}
