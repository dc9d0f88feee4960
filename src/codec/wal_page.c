// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/wal_page.h>

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/cleanup.h>

#define FIRST_IS_CONTINUED   0x0001
#define LONG_HEADER          0x0002
#define MAY_BE_REMOVED       0x0004 /* of no interest here */
#define FIRST_IS_OVERWRITING 0x0008
#define ALL_FLAGS            0x000F

struct stored_wal_header {
	uint16_t magic; /* little-endian, as all numbers */
	uint16_t flags;
	uint32_t timeline;
	uint64_t lsn;
	uint32_t rest_bytes;
	uint32_t padding;
};

struct stored_long_wal_header {
	struct stored_wal_header page;
	uint64_t system_id;
	uint32_t segment_bytes;
	uint32_t page_bytes;
};

static_assert(sizeof(struct stored_wal_header) == WAL_PAGE_HEADER_BYTES, "PostgreSQL's SizeOfXLogShortPHD");
static_assert(sizeof(struct stored_long_wal_header) == WAL_LONG_PAGE_HEADER_BYTES,
              "PostgreSQL's SizeOfXLogLongPHD");

static const struct known_magic {
	uint16_t magic;
	unsigned version;
} magics[] = {{0xD106, 13}, {0xD10D, 14}, {0xD110, 15}, {0xD113, 16}, {0xD116, 17}, {0xD118, 18}};

unsigned wal_version_of_magic(uint16_t magic)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (magics[i].magic == magic)
			return magics[i].version;
	return 0;
}

uint16_t wal_magic_of_version(unsigned version)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (magics[i].version == version)
			return magics[i].magic;
	return 0;
}

static bool is_all_zeros(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != 0)
			return false;
	return true;
}

static bool looks_like_magic(uint16_t magic)
{
	return magic >> 8 == 0xD0 || magic >> 8 == 0xD1;
}

/* Why the first two bytes are not what one of the known versions writes. */
static int refuse_magic(const uint8_t *data, uint16_t magic, struct error *err)
{
	if (is_all_zeros(data, WAL_PAGE_HEADER_BYTES))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "it begins with zeros: it is a file that the server has set aside and not written yet");
	if (looks_like_magic(magic))
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "it is WAL of a version of PostgreSQL that this keepfs does not know (its pages begin with %04X); it knows 13 to 18",
		        magic);
	if (looks_like_magic((uint16_t)(magic << 8 | magic >> 8)))
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "it is WAL of a big-endian processor; keepfs reads that of little-endian ones alone");
	return error_set(err, ERROR_CORRUPT, EBADMSG, "it is no WAL, it begins with %02X %02X", data[0],
	                 data[1]);
}

static int check_fields(const struct wal_page_header *h, struct error *err)
{
	if (h->timeline == 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "it has a page of timeline 0, which does not exist");
	if (!h->is_long)
		return 0;
	if (!wal_segment_bytes_valid(h->segment_bytes))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "it says that segments have %" PRIu32
		                 " bytes; a power of two from 1 MiB to 1 GiB was expected",
		                 h->segment_bytes);
	if (h->page_bytes < WAL_PAGE_BYTES_MIN || h->page_bytes > WAL_PAGE_BYTES_MAX ||
	    (h->page_bytes & (h->page_bytes - 1)) != 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "it says that pages have %" PRIu32
		                 " bytes; a power of two from 1 to 64 KiB was expected",
		                 h->page_bytes);
	return 0;
}

static int refuse_short(size_t len, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "it ends after %zu bytes, within the header of a page",
	                 len);
}

int wal_page_header_decode(const void *data, size_t len, struct wal_page_header *ret, struct error *err)
{
	struct stored_long_wal_header stored = {0};
	struct wal_page_header h;
	unsigned flags;
	int r;

	if (len < WAL_PAGE_HEADER_BYTES)
		return refuse_short(len, err);
	memcpy(&stored, data, WAL_PAGE_HEADER_BYTES);
	flags = le16toh(stored.page.flags);
	h = (struct wal_page_header){.version = wal_version_of_magic(le16toh(stored.page.magic)),
	                             .timeline = le32toh(stored.page.timeline),
	                             .lsn = le64toh(stored.page.lsn),
	                             .rest_bytes = le32toh(stored.page.rest_bytes),
	                             .is_continued = flags & FIRST_IS_CONTINUED,
	                             .is_overwriting = flags & FIRST_IS_OVERWRITING,
	                             .is_long = flags & LONG_HEADER};
	if (h.version == 0)
		return refuse_magic(data, le16toh(stored.page.magic), err);
	if (flags & ~(unsigned)ALL_FLAGS)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it has a page with unknown flags (%04X)",
		                 flags);
	if (h.is_long) {
		if (len < sizeof(stored))
			return refuse_short(len, err);
		memcpy(&stored, data, sizeof(stored));
		h.system_id = le64toh(stored.system_id);
		h.segment_bytes = le32toh(stored.segment_bytes);
		h.page_bytes = le32toh(stored.page_bytes);
	}
	r = check_fields(&h, err);
	if (r < 0)
		return r;
	*ret = h;
	return 0;
}

/* Is it the place of the log that the name stands for? */
static int check_wal_place(const struct wal_page_header *h, const struct wal_name *name, struct error *err)
{
	char lsn[WAL_LSN_BYTES], named[WAL_LSN_BYTES], other[WAL_NAME_BYTES];
	struct wal_name is;

	if (!wal_name_fits(name, h->segment_bytes))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it has segments of %" PRIu32
		        " MiB, with which no file has this name: it is of another cluster, or was renamed",
		        h->segment_bytes >> 20);
	if (h->lsn == wal_name_lsn(name, h->segment_bytes))
		return 0;
	is = wal_name_of_lsn(h->timeline, h->lsn, h->segment_bytes);
	wal_name_format(&is, other);
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "it is not what it is named: it begins with %s, of %s, where %s was expected. It is an old file that the server has renamed to use it again, and not written yet, or somebody renamed it",
	        wal_lsn_format(h->lsn, lsn), other,
	        wal_lsn_format(wal_name_lsn(name, h->segment_bytes), named));
}

/* Is it of the cluster that it should be of? */
static int check_cluster(const struct wal_page_header *h, const struct wal_first_page_expected *expected,
                         struct error *err)
{
	if (expected->system_id && h->system_id != expected->system_id)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "it is of another cluster: its system identifier is %" PRIu64
		                 ", not %" PRIu64
		                 ". Give that server an archive of its own (archive_command)",
		                 h->system_id, expected->system_id);
	if (expected->segment_bytes && h->segment_bytes != expected->segment_bytes)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "it has segments of %" PRIu32 " MiB; those of this cluster had %" PRIu32
		                 " MiB until now. After pg_resetwal --wal-segsize an archive begins anew",
		                 h->segment_bytes >> 20, expected->segment_bytes >> 20);
	return 0;
}

static int check_first_page(const void *data, size_t len, const struct wal_name *name,
                            const struct wal_first_page_expected *expected, struct wal_page_header *ret,
                            struct error *err)
{
	int r = wal_page_header_decode(data, len, ret, err);

	if (r < 0)
		return r;
	if (!ret->is_long)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "it begins with a page from the middle of a segment: its begin is missing");
	r = check_cluster(ret, expected, err);
	if (r == 0)
		r = check_wal_place(ret, name, err);
	if (r < 0)
		return r;
	if (ret->timeline > name->timeline)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it is of timeline %" PRIu32 ", and named as one of timeline %" PRIu32
		        ": somebody renamed it, or two servers that were promoted write to one archive",
		        ret->timeline, name->timeline);
	return 0;
}

int wal_first_page_check(const void *data, size_t len, const struct wal_name *name,
                         const struct wal_first_page_expected *expected, struct wal_page_header *ret,
                         struct error *err)
{
	static const struct wal_first_page_expected nothing = {0};
	struct wal_page_header header;
	char text[WAL_NAME_BYTES];
	int r = check_first_page(data, len, name, expected ? expected : &nothing, &header, err);

	if (r < 0) {
		wal_name_format(name, text);
		error_prefix(err, "%s", text);
		return r;
	}
	if (ret)
		*ret = header;
	return 0;
}
