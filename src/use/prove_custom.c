// SPDX-License-Identifier: Apache-2.0
/*
 * The structure of pg_dump's custom format: one pass over one file. Each entry with data is decompressed to its end, and its rows are
 * counted and hashed again; the counts that were made while the backup was made come in the same order.
 *
 * What keepfs writes is cut into segments, each a chunk of the archive, and these are decompressed and counted on several threads. Of an
 * archive that somebody else has made that fails; it is read once more then, as one stream after the other.
 */
#include "prove.h"
#include "prove_segments.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/pg_archive.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

struct archive_proof {
	struct backup *backup;
	struct pg_archive_scan *scan;
	struct expected expected;
	enum pg_archive_compression compression; /* once the table of contents was read */
	struct segment_proof proof;              /* its counting is used for streams, too */
	bool is_stream;                          /* one stream after the other */
	struct decompressor
	        *decompressor; /* of the stream that is read; NULL: none, or it is not compressed */
	/* Segments. */
	bool is_rows;      /* the block that is read */
	bool has_segments; /* of the member that is read: a table, or a large object */
};

static void cleanup_archive_proof(struct archive_proof *p)
{
	pg_archive_scan_free(p->scan);
	expected_finish(&p->expected);
	rows_scan_free(p->proof.counting.rows);
	decompressor_free(p->decompressor);
	unpack_free(p->proof.unpack);
}

/* One stream after the other. */

static void begin_stream(struct archive_proof *p)
{
	const struct decompressor_out out = {.write = counting_write, .arg = &p->proof.counting};

	p->decompressor = decompressor_free(p->decompressor);
	if (p->compression == PG_ARCHIVE_GZIP)
		p->decompressor = decompressor_new_zlib(&out);
	else if (p->compression == PG_ARCHIVE_ZSTD)
		p->decompressor = decompressor_new(COMPRESSION_ZSTD, &out);
}

static int write_stream(struct archive_proof *p, const void *data, size_t len, struct error *err)
{
	return p->decompressor ? decompressor_write(p->decompressor, data, len, err)
	                       : counting_write(&p->proof.counting, data, len, err);
}

/* Segments. */

static int open_archive_segments(struct archive_proof *p, struct error *err)
{
	enum compression_method method = p->compression == PG_ARCHIVE_GZIP   ? COMPRESSION_GZIP
	                                 : p->compression == PG_ARCHIVE_ZSTD ? COMPRESSION_ZSTD
	                                                                     : COMPRESSION_NONE;

	return segment_proof_open(&p->proof, p->backup, method,
	                          method == COMPRESSION_GZIP ? SEGMENT_CHECK_ADLER32 : SEGMENT_CHECK_NONE,
	                          err);
}

static int begin_member(struct archive_proof *p, struct error *err)
{
	p->has_segments = false;
	return unpack_mark(p->proof.unpack, PROOF_MARK_MEMBER, 0, err);
}

/* The chunk that was gathered is a segment: another one follows, or it is no zlib stream, which has an end of its own. */
static int end_gathered_segment(struct archive_proof *p, struct error *err)
{
	size_t len;

	unpack_gathered(p->proof.unpack, &len);
	if (len == 0)
		return 0;
	if (p->compression == PG_ARCHIVE_GZIP && !p->has_segments)
		unpack_drop(p->proof.unpack, len < ZLIB_HEAD_BYTES ? len : ZLIB_HEAD_BYTES);
	p->has_segments = true;
	return unpack_end(p->proof.unpack, err);
}

/* The last chunk of a zlib stream: an empty last block and the checksum, in front of it the head when there was nothing else. */
static int take_zlib_end(struct archive_proof *p, uint32_t *ret_adler32, struct error *err)
{
	size_t len, head = p->has_segments ? 0 : ZLIB_HEAD_BYTES;
	const uint8_t *data = unpack_gathered(p->proof.unpack, &len);

	if (len != head + ZLIB_TAIL_BYTES)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the end of a stream is none that keepfs writes");
	memcpy(ret_adler32, data + len - sizeof(*ret_adler32), sizeof(*ret_adler32));
	*ret_adler32 = be32toh(*ret_adler32);
	unpack_drop(p->proof.unpack, len);
	return unpack_end(p->proof.unpack, err);
}

static int end_member(struct archive_proof *p, struct error *err)
{
	uint32_t adler32 = 0;
	int r = p->compression == PG_ARCHIVE_GZIP ? take_zlib_end(p, &adler32, err)
	                                          : end_gathered_segment(p, err);

	return r < 0 ? r : unpack_mark(p->proof.unpack, PROOF_MARK_MEMBER_END, adler32, err);
}

/* What the archive tells. */

static int prove_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	struct archive_proof *p = arg;

	p->compression = facts->compression;
	if (facts->compression == PG_ARCHIVE_LZ4)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "data that is compressed by lz4 is not read here");
	return p->is_stream ? 0 : open_archive_segments(p, err);
}

static int prove_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	struct archive_proof *p = arg;
	int r;

	if (p->is_stream) {
		p->proof.counting.blobs = blobs;
		if (!blobs)
			begin_stream(p);
		return 0;
	}
	p->is_rows = !blobs;
	r = unpack_mark(p->proof.unpack, blobs ? PROOF_MARK_BLOBS : PROOF_MARK_ROWS, 0, err);
	return r < 0 || blobs ? r : begin_member(p, err);
}

static int prove_blob(void *arg, uint32_t oid, struct error *err)
{
	struct archive_proof *p = arg;
	int r;

	if (p->is_stream) {
		p->proof.counting.found.count++;
		begin_stream(p);
		return 0;
	}
	r = unpack_mark(p->proof.unpack, PROOF_MARK_BLOB, 0, err);
	return r < 0 ? r : begin_member(p, err);
}

static int prove_chunk(void *arg, size_t len, struct error *err)
{
	struct archive_proof *p = arg;

	return p->is_stream ? 0 : end_gathered_segment(p, err);
}

static int prove_data(void *arg, const void *data, size_t len, struct error *err)
{
	struct archive_proof *p = arg;

	return p->is_stream ? write_stream(p, data, len, err) : unpack_write(p->proof.unpack, data, len, err);
}

static int prove_blob_end(void *arg, struct error *err)
{
	struct archive_proof *p = arg;

	if (!p->is_stream)
		return end_member(p, err);
	return p->decompressor ? decompressor_finish(p->decompressor, err) : 0;
}

static int prove_block_end(void *arg, struct error *err)
{
	struct archive_proof *p = arg;
	bool has_member = !p->is_stream ? p->is_rows : !p->proof.counting.blobs;
	int r = has_member ? prove_blob_end(p, err) : 0;

	if (r < 0)
		return r;
	return p->is_stream ? counting_end(&p->proof.counting, &p->expected, err)
	                    : unpack_mark(p->proof.unpack, PROOF_MARK_ENTRY_END, 0, err);
}

static int scan_archive(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int read_archive(struct archive_proof *p, struct error *err)
{
	const struct pg_archive_events events = {
	        .toc_end = prove_toc_end,
	        .block = prove_block,
	        .blob = prove_blob,
	        .chunk = prove_chunk,
	        .data = prove_data,
	        .blob_end = prove_blob_end,
	        .block_end = prove_block_end,
	        .arg = p,
	};
	struct backup_out out;
	struct catalog_entry own;
	int r = backup_own(p->backup, &own);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	p->scan = pg_archive_scan_new(&events);
	out = (struct backup_out){.write = scan_archive, .arg = p->scan};
	r = backup_read(p->backup, &own, &out, err);
	if (r == 0)
		r = pg_archive_scan_end(p->scan, err);
	if (r == 0 && p->proof.unpack)
		r = unpack_finish(p->proof.unpack, err);
	return r < 0 ? r : expected_check_end(&p->expected, err);
}

/* @ret_again: it is perhaps none that keepfs has made. */
static int prove_once(struct backup *b, bool is_stream, bool *ret_again, struct error *err)
{
	_cleanup(archive_proof) struct archive_proof p = {
	        .backup = b, .proof.counting.rows = rows_scan_new(), .is_stream = is_stream};
	int r = expected_load(&p.expected, b, err);

	p.proof.expected = &p.expected;
	if (r == 0)
		r = read_archive(&p, err);
	*ret_again = r == -EBADMSG && p.proof.unpack && !p.proof.is_wrong;
	return r;
}

int prove_custom(struct backup *b, struct error *err)
{
	struct error why = {0};
	bool again;
	int r = prove_once(b, false, &again, &why);

	if (r < 0 && again)
		r = prove_once(b, true, &again, &why);
	/* Of a version that is not known here: its bytes are read as those of any file. */
	if (r == -ENOTSUP) {
		backup_unread(b);
		return 1;
	}
	if (r < 0 && err)
		*err = why;
	return r < 0 ? r : 0;
}
