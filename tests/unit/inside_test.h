// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of looking into dumps share: a repository with one dump in it, of any format, compression and completeness, and what its tables and large
 * objects really hold; cmocka's headers come before. */
#include "../support/archive_build.h"
#include "../support/manifests.h"
#include "../support/tree.h"
#include "catalog_test.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/pg_archive_head.h>
#include <keepfs/codec/rows.h>
#include <keepfs/codec/segments.h>
#include <keepfs/inside.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define ROWS_END     "\\.\n\n\n"
#define TABLES       4
#define BLOBS        3
#define BLOBS_ENTRY  50 /* dump id */
#define FIRST_ENTRY  10
#define PIECE_BYTES  ((size_t)300000) /* raw, of a segment */
#define EXTENT_BYTES ((size_t)64 << 10)

enum bench_format { BENCH_CUSTOM, BENCH_DIRECTORY, BENCH_TEXT };

struct bench_shape {
	enum bench_format format;
	enum compression_method method;
	bool no_index, no_counts, no_offsets;
	int64_t later_s;        /* it was finished so much later */
	int minor, compression; /* that the archive says it has; 0: what it has */
	bool text_blobs;        /* a text: it has large objects */
	bool odd_blobs;         /* and one of them is not as pg_dump writes it */
	bool twice;             /* a text: the rows of "small" come once more, at its end */
	bool foreign;           /* as pg_dump compresses: nothing can be entered but from its beginning */
	size_t damage_at; /* in the object of the archive, the text or the file of "big": this byte is another one in the store; 0: none */
};

struct bench_data {
	const char *schema, *table, *columns, *statement;
	struct str rows;
};

struct bench {
	char directory[64];
	char *state_dir, *path;
	struct store *store;
	struct catalog *catalog;
	struct repository repo;
	struct pool *pool;
	struct reader_metrics metrics;
	struct reader *reader;
	struct conf conf;
	struct make_context ctx;
	struct inside *in;
	struct bench_shape shape;
	struct bench_data tables[TABLES];
	uint32_t oids[BLOBS];
	struct str blobs[BLOBS];
	struct manifest m;
	struct segment_index index;
	size_t big_at; /* where "big" is in the archive */
};

/* What there is. */

static inline void fill_rows(struct str *rows, size_t bytes, unsigned seed)
{
	uint64_t x = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;

	for (unsigned i = 1; rows->len < bytes; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		str_appendf(rows, "%u\t%llx\t\\N\tx\\\\.y %llu\n", i, (unsigned long long)x,
		            (unsigned long long)(x % 1000));
		if (i % 1000 == 0)
			str_append(rows, "\\N\t\\.no end\n");
	}
}

static inline void fill_bench(struct bench *b)
{
	static const struct bench_data tables[TABLES] = {
	        {"public", "small", "(id, a, b, c)", "COPY public.small (id, a, b, c) FROM stdin;\n", {0}},
	        {"public", "empty", "(id)", "COPY public.empty (id) FROM stdin;\n", {0}},
	        {"odd \"schema\"",
	         "big",
	         "(id, \"a b\", b, c)",
	         "COPY \"odd \"\"schema\"\"\".big (id, \"a b\", b, c) FROM stdin;\n",
	         {0}},
	        {"public", "after", "(id)", "COPY public.after (id) FROM stdin;\n", {0}},
	};

	memcpy(b->tables, tables, sizeof(tables));
	fill_rows(&b->tables[0].rows, 400, 1);
	fill_rows(&b->tables[2].rows, 6000000, 2);
	fill_rows(&b->tables[3].rows, 20000, 3);
	b->oids[0] = 16400;
	fill_rows(&b->blobs[0], 1500000, 4);
	b->oids[1] = 16401;
	b->oids[2] = 4000000000U;
	fill_rows(&b->blobs[2], 5000, 5);
}

/* Compressing. */

struct segments { /* of one member, told one after the other */
	struct bench *bench;
	enum compression_method method;
	void (*segment)(void *arg, const struct segment *s, const void *data);
	void *arg;
};

static inline void cut_segments(const struct segments *x, enum segment_check check, const struct str *raw)
{
	const struct compression c = {x->method, 1};
	_cleanup(compressor) struct compressor *compressor = compressor_new(&c, check);
	_cleanup(free) char *out = mem_alloc(compressor_bound(&c, PIECE_BYTES));
	size_t n;

	for (size_t at = 0; at < raw->len; at += n) {
		struct segment s;

		n = raw->len - at < PIECE_BYTES ? raw->len - at : PIECE_BYTES;
		assert_int_equal(compressor_run(compressor, raw->data + at, n, out,
		                                compressor_bound(&c, PIECE_BYTES), &s, NULL),
		                 0);
		x->segment(x->arg, &s, out);
	}
}

static inline void note_record(struct bench *b, uint32_t entry, uint32_t oid, uint64_t offset,
                               const struct segment *s)
{
	const struct segment_record record = {.entry = entry,
	                                      .oid = oid,
	                                      .offset = offset,
	                                      .raw_bytes = (uint32_t)s->raw_bytes,
	                                      .lines = s->lines};

	segment_index_add(&b->index, &record, SEGMENT_INDEX_MAX);
}

/* One stream over all of it. @window_bits: as of deflateInit2(). */
static inline void compress_whole(enum compression_method method, int window_bits, const struct str *raw,
                                  struct str *out)
{
	size_t bound = raw->len + raw->len / 2 + 1000;
	_cleanup(free) uint8_t *to = mem_alloc(bound);
	z_stream z = {.next_in = (uint8_t *)raw->data,
	              .avail_in = (uInt)raw->len,
	              .next_out = to,
	              .avail_out = (uInt)bound};

	if (method == COMPRESSION_NONE) {
		str_append_bytes(out, str_text(raw), raw->len);
		return;
	}
	if (method == COMPRESSION_ZSTD) {
		str_append_bytes(out, to, ZSTD_compress(to, bound, str_text(raw), raw->len, 1));
		return;
	}
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	str_append_bytes(out, to, z.total_out);
	deflateEnd(&z);
}

/* The custom format. */

struct custom {
	struct bench *bench;
	struct pg_archive_writer *writer;
	uint32_t entry, oid;
};

static inline int emit_to_str(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static inline void write_custom_segment(void *arg, const struct segment *s, const void *data)
{
	struct custom *c = arg;

	note_record(c->bench, c->entry, c->oid, pg_archive_writer_offset(c->writer), s);
	assert_int_equal(pg_archive_writer_segment(c->writer, s, data, NULL), 0);
}

static inline void write_custom_member(struct custom *c, const struct str *raw, bool rows)
{
	const struct segments x = {
	        .method = c->bench->shape.method, .segment = write_custom_segment, .arg = c};
	_cleanup(str) struct str all = {0};

	str_append_bytes(&all, str_text(raw), raw->len);
	str_append(&all, rows ? ROWS_END : "");
	cut_segments(&x, SEGMENT_CHECK_ADLER32, &all);
}

static inline void put_int(struct str *out, uint32_t value)
{
	archive_put_int(out, (int64_t)(int32_t)value);
}

/* In chunks of 4096 bytes, as pg_dump does. */
static inline void put_foreign(struct bench *b, const struct str *raw, bool rows, struct str *out)
{
	_cleanup(str) struct str all = {0};
	_cleanup(str) struct str stored = {0};

	str_append_bytes(&all, str_text(raw), raw->len);
	str_append(&all, rows ? ROWS_END : "");
	compress_whole(b->shape.method, 15, &all, &stored);
	for (size_t at = 0; at < stored.len; at += 4096) {
		size_t n = stored.len - at < 4096 ? stored.len - at : 4096;

		archive_put_int(out, (int64_t)n);
		str_append_bytes(out, stored.data + at, n);
	}
	archive_put_int(out, 0);
}

static inline void put_toc_entry(struct bench *b, struct str *out, int id, const char *desc,
                                 const char *schema, const char *name, const char *statement,
                                 const char *defn, uint64_t offset)
{
	bool has_data = defn == NULL;

	archive_put_int(out, id);
	archive_put_int(out, has_data);
	archive_put_text(out, "0");
	archive_put_text(out, "16384");
	archive_put_text(out, name);
	archive_put_text(out, desc);
	archive_put_int(out, has_data ? 3 : 2);
	archive_put_text(out, str_or_empty(defn));
	archive_put_text(out, "");
	archive_put_text(out, statement);
	archive_put_text(out, schema);
	archive_put_text(out, "");
	archive_put_text(out, "heap");
	archive_put_text(out, "owner");
	archive_put_text(out, "false");
	archive_put_text(out, NULL);
	if (b->shape.format == BENCH_DIRECTORY) {
		_cleanup(free) char *file =
		        id == BLOBS_ENTRY ? mem_strdup("blobs.toc") : mem_printf("%d.dat", id);

		archive_put_text(out, has_data ? file : "");
		return;
	}
	str_append_char(out, (char)(!has_data ? 3 : b->shape.no_offsets ? 1 : 2));
	for (int i = 0; i < 8; i++)
		str_append_char(out, (char)(has_data && !b->shape.no_offsets ? offset >> (8 * i) & 0xff : 0));
}

static inline void put_bench_toc(struct bench *b, struct str *out, const uint64_t offsets[static TABLES + 1])
{
	int compression = b->shape.method == COMPRESSION_ZSTD ? 3 : b->shape.method == COMPRESSION_GZIP;
	const struct archive_shape shape = {
	        .major = 1,
	        .minor = b->shape.minor ? b->shape.minor : 15,
	        .int_size = 4,
	        .offset_size = 8,
	        .format = b->shape.format == BENCH_DIRECTORY ? 3 : 1,
	        .compression = b->shape.compression ? b->shape.compression : compression,
	        .entries = TABLES + 2,
	};

	archive_put_head(out, &shape);
	put_toc_entry(b, out, 1, "ENCODING", "", "ENCODING", "", "SET client_encoding = 'LATIN1';\n", 0);
	for (int i = 0; i < TABLES; i++)
		put_toc_entry(b, out, FIRST_ENTRY + i, "TABLE DATA", b->tables[i].schema, b->tables[i].table,
		              b->tables[i].statement, NULL, offsets[i]);
	put_toc_entry(b, out, BLOBS_ENTRY, "BLOBS", "", "BLOBS", "", NULL, offsets[TABLES]);
}

static inline void put_custom_foreign(struct bench *b, struct str *out, uint64_t offsets[static TABLES + 1])
{
	for (int i = 0; i < TABLES; i++) {
		offsets[i] = out->len;
		archive_put_block(out, 1, FIRST_ENTRY + i);
		put_foreign(b, &b->tables[i].rows, true, out);
	}
	offsets[TABLES] = out->len;
	archive_put_block(out, 3, BLOBS_ENTRY);
	for (int i = 0; i < BLOBS; i++) {
		put_int(out, b->oids[i]);
		put_foreign(b, &b->blobs[i], false, out);
	}
	archive_put_int(out, 0);
}

static inline void put_custom_blocks(struct bench *b, struct str *out, uint64_t offsets[static TABLES + 1])
{
	const struct pg_archive_writer_options options = {
	        .compression = {b->shape.method, 1}, .begin = out->len, .emit = emit_to_str, .arg = out};
	struct custom c = {.bench = b, .writer = pg_archive_writer_new(&options)};

	for (int i = 0; i < TABLES; i++) {
		c.entry = (uint32_t)(FIRST_ENTRY + i);
		offsets[i] = pg_archive_writer_offset(c.writer);
		assert_int_equal(pg_archive_writer_block(c.writer, FIRST_ENTRY + i, false, NULL), 0);
		write_custom_member(&c, &b->tables[i].rows, true);
		assert_int_equal(pg_archive_writer_block_end(c.writer, NULL), 0);
	}
	c.entry = BLOBS_ENTRY;
	offsets[TABLES] = pg_archive_writer_offset(c.writer);
	assert_int_equal(pg_archive_writer_block(c.writer, BLOBS_ENTRY, true, NULL), 0);
	for (int i = 0; i < BLOBS; i++) {
		c.oid = b->oids[i];
		assert_int_equal(pg_archive_writer_blob(c.writer, b->oids[i], NULL), 0);
		write_custom_member(&c, &b->blobs[i], false);
		assert_int_equal(pg_archive_writer_blob_end(c.writer, NULL), 0);
	}
	assert_int_equal(pg_archive_writer_block_end(c.writer, NULL), 0);
	pg_archive_writer_free(c.writer);
}

static inline void put_custom(struct bench *b, struct str *out)
{
	uint64_t offsets[TABLES + 1] = {0};
	_cleanup(str) struct str toc = {0};

	put_bench_toc(b, out, offsets);
	if (b->shape.foreign)
		put_custom_foreign(b, out, offsets);
	else
		put_custom_blocks(b, out, offsets);
	put_bench_toc(b, &toc, offsets);
	memcpy(out->data, toc.data, toc.len);
	b->big_at = (size_t)offsets[2];
}

/* Files of segments. */

struct segment_text {
	struct bench *bench;
	struct str *out;
	uint32_t entry, oid, check;
	uint64_t raw_bytes;
};

static inline void write_file_segment(void *arg, const struct segment *s, const void *data)
{
	struct segment_text *f = arg;

	if (f->entry)
		note_record(f->bench, f->entry, f->oid, f->out->len, s);
	f->check = segment_check_join(SEGMENT_CHECK_CRC32, f->check, s->check, s->raw_bytes);
	f->raw_bytes += s->raw_bytes;
	str_append_bytes(f->out, data, s->bytes);
}

static inline void put_segment_file(struct bench *b, const struct str *raw, uint32_t entry, uint32_t oid,
                                    struct str *out)
{
	struct segment_text f = {.bench = b, .out = out, .entry = entry, .oid = oid};
	const struct segments x = {.method = b->shape.method, .segment = write_file_segment, .arg = &f};
	uint8_t frame[GZIP_HEAD_BYTES];

	if (b->shape.foreign) {
		compress_whole(b->shape.method, 31, raw, out);
		return;
	}
	f.check = segment_check_empty(SEGMENT_CHECK_CRC32);
	gzip_head(frame);
	if (b->shape.method == COMPRESSION_GZIP)
		str_append_bytes(out, frame, sizeof(frame));
	cut_segments(&x, SEGMENT_CHECK_CRC32, raw);
	gzip_tail(f.check, f.raw_bytes, frame);
	if (b->shape.method == COMPRESSION_GZIP)
		str_append_bytes(out, frame, sizeof(frame));
	if (raw->len == 0 && b->shape.method == COMPRESSION_ZSTD)
		compress_whole(COMPRESSION_ZSTD, 0, raw, out);
}

/* The store. */

static inline size_t put_bench_object(struct bench *b, const char *key, const struct str *data,
                                      size_t damage_at)
{
	size_t index = manifest_add_object(&b->m, key);
	struct manifest_object *o = &b->m.objects[index];
	_cleanup(free) char *bytes = mem_alloc(data->len + 1);
	uint8_t digest[SHA256_BYTES];

	o->stored_bytes = data->len;
	sha256_once(str_text(data), data->len, digest);
	hex_encode(digest, sizeof(digest), o->stored_sha256);
	for (size_t at = 0; at < data->len; at += EXTENT_BYTES) {
		size_t n = data->len - at < EXTENT_BYTES ? data->len - at : EXTENT_BYTES;

		extents_append(&o->extents, (uint32_t)n, crc32c(0, data->data + at, n));
	}
	memcpy(bytes, str_text(data), data->len);
	if (damage_at)
		bytes[damage_at] ^= 1;
	assert_int_equal(store_put_bytes(b->store, NULL, key, bytes, data->len, NULL, NULL), 0);
	return index;
}

static inline void put_bench_file(struct bench *b, const char *name, const struct str *data, size_t damage_at)
{
	struct manifest_file *f = manifest_add_file(&b->m, name);
	_cleanup(free) char *key = manifest_file_path(&b->m, f);
	size_t index = put_bench_object(b, key, data, damage_at);

	f = &b->m.files[b->m.file_count - 1];
	f->object = index;
	f->size_bytes = data->len;
	str_copy(f->sha256, sizeof(f->sha256), b->m.objects[index].stored_sha256);
}

static inline const char *ending_of(const struct bench *b)
{
	return b->shape.method == COMPRESSION_GZIP   ? ".gz"
	       : b->shape.method == COMPRESSION_ZSTD ? ".zst"
	                                             : "";
}

static inline void count_bench_rows(const struct str *rows, struct rows *ret)
{
	struct rows_scan *scan = rows_scan_new();

	rows_scan_feed(scan, str_text(rows), rows->len);
	assert_true(rows_scan_end(scan, ret));
	rows_scan_free(scan);
}

static inline void put_bench_csv(struct bench *b)
{
	_cleanup(str) struct str csv = {0};
	unsigned long long blobs = 0;

	str_append(&csv, "schema,table,rows,bytes,hash\n");
	for (int i = 0; i < TABLES; i++) {
		struct rows rows = {0};

		count_bench_rows(&b->tables[i].rows, &rows);
		str_append_csv(&csv, b->tables[i].schema);
		str_appendf(&csv, ",%s,%llu,%llu,%016llx\n", b->tables[i].table,
		            (unsigned long long)rows.count, (unsigned long long)rows.bytes,
		            (unsigned long long)rows.hash);
	}
	for (int i = 0; i < BLOBS; i++)
		blobs += b->blobs[i].len;
	str_appendf(&csv, "pg_catalog,pg_largeobject,%d,%llu,\n", BLOBS, blobs);
	put_bench_file(b, b->shape.format == BENCH_DIRECTORY ? "tables.csv" : "20261120T020000Z.tables.csv",
	               &csv, 0);
}

static inline void put_directory(struct bench *b)
{
	const uint64_t offsets[TABLES + 1] = {0};
	_cleanup(str) struct str toc = {0};
	_cleanup(str) struct str list = {0};

	put_bench_toc(b, &toc, offsets);
	put_bench_file(b, "toc.dat", &toc, 0);
	for (int i = 0; i < TABLES; i++) {
		_cleanup(free) char *name = mem_printf("%d.dat%s", FIRST_ENTRY + i, ending_of(b));
		_cleanup(str) struct str raw = {0};
		_cleanup(str) struct str stored = {0};

		str_append_bytes(&raw, str_text(&b->tables[i].rows), b->tables[i].rows.len);
		str_append(&raw, ROWS_END);
		put_segment_file(b, &raw, (uint32_t)(FIRST_ENTRY + i), 0, &stored);
		put_bench_file(b, name, &stored, i == 2 ? b->shape.damage_at : 0);
	}
	for (int i = 0; i < BLOBS; i++) {
		_cleanup(free) char *name = mem_printf("blob_%u.dat%s", b->oids[i], ending_of(b));
		_cleanup(str) struct str stored = {0};

		put_segment_file(b, &b->blobs[i], BLOBS_ENTRY, b->oids[i], &stored);
		put_bench_file(b, name, &stored, 0);
		str_appendf(&list, "%u blob_%u.dat\n", b->oids[i], b->oids[i]);
	}
	put_bench_file(b, "blobs.toc", &list, 0);
}

/* pg_dump writes 16 KiB in a call. */
static inline void put_blob_calls(uint32_t oid, const struct str *bytes, struct str *out)
{
	str_appendf(out, "SELECT pg_catalog.lo_open('%u', 131072);\n", oid);
	for (size_t at = 0; at < bytes->len; at += 16384) {
		size_t n = bytes->len - at < 16384 ? bytes->len - at : 16384;
		_cleanup(free) char *digits = mem_alloc(2 * n + 1);

		hex_encode((const uint8_t *)bytes->data + at, n, digits);
		str_appendf(out, "SELECT pg_catalog.lowrite(0, '\\x%s');\n", digits);
	}
	str_append(out, "SELECT pg_catalog.lo_close(0);\n\n");
}

static inline void put_blobs_of_text(struct bench *b, struct str *out)
{
	str_append(out, "--\n-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n\nBEGIN;\n\n");
	for (int i = 0; i < BLOBS; i++)
		put_blob_calls(b->oids[i], &b->blobs[i], out);
	if (b->shape.odd_blobs)
		str_append(out, "SELECT pg_catalog.lo_open('x', 1);\n");
	str_append(out, "COMMIT;\n\n");
}

static inline void put_text_of_bench(struct bench *b, struct str *out)
{
	str_append(out, "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'LATIN1';\n\n"
	                "--\n-- Name: f(); Type: FUNCTION; Schema: public; Owner: app\n--\n\n"
	                "CREATE FUNCTION f() AS $$\nCOPY public.small (id) FROM stdin;\n$$;\n\n");
	for (int i = 0; i < TABLES + b->shape.twice; i++) {
		const struct bench_data *t = &b->tables[i % TABLES];

		str_appendf(out,
		            "--\n-- Data for Name: %s; Type: TABLE DATA; Schema: %s; Owner: app\n--\n\n%s",
		            t->table, t->schema, t->statement);
		str_append_bytes(out, str_text(&t->rows), t->rows.len);
		str_append(out, ROWS_END);
	}
	if (b->shape.text_blobs)
		put_blobs_of_text(b, out);
	str_append(out, "--\n-- PostgreSQL database dump complete\n--\n\n");
}

static inline void put_text_dump(struct bench *b)
{
	_cleanup(str) struct str raw = {0};
	_cleanup(str) struct str stored = {0};

	put_text_of_bench(b, &raw);
	put_segment_file(b, &raw, 0, 0, &stored);
	put_bench_file(b, strrchr(b->path, '/') + 1, &stored, b->shape.damage_at);
	b->m.size_bytes = stored.len;
	str_copy(b->m.sha256, sizeof(b->m.sha256), b->m.objects[0].stored_sha256);
}

static inline void put_custom_dump(struct bench *b)
{
	_cleanup(str) struct str archive = {0};

	put_custom(b, &archive);
	put_bench_file(b, strrchr(b->path, '/') + 1, &archive,
	               b->shape.damage_at ? b->big_at + b->shape.damage_at : 0);
	b->m.size_bytes = archive.len;
	str_copy(b->m.sha256, sizeof(b->m.sha256), b->m.objects[0].stored_sha256);
}

static inline void put_bench_index(struct bench *b)
{
	_cleanup(free) char *key = manifest_index_key(b->path);
	_cleanup(str) struct str data = {0};
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len, index;

	encoded = segment_index_encode(&b->index, &len);
	str_append_bytes(&data, encoded, len);
	index = put_bench_object(b, key, &data, 0);
	b->m.objects[index].role = mem_strdup(MANIFEST_ROLE_SEGMENTS);
}

static inline void publish_bench(struct bench *b)
{
	static const char *const suffixes[] = {".dump", "", ".sql"};
	_cleanup(free) char *suffix = mem_printf("%s%s", suffixes[b->shape.format],
	                                         b->shape.format == BENCH_TEXT ? ending_of(b) : "");
	const struct artifact_name name = {
	        .directory = "backups/full", .suffix = suffix, .at_us = INT64_C(1795140000) * US_PER_S};
	struct error err = {0};

	assert_int_equal(artifact_reserve(&b->repo, &name, 1, &b->path, NULL), 0);
	manifest_describe(&b->m, b->path, 1, "shop");
	b->m.started_at_us = name.at_us;
	b->m.finished_at_us = name.at_us + (1 + b->shape.later_s) * US_PER_S;
	b->m.is_directory = b->shape.format == BENCH_DIRECTORY;
	if (b->shape.format == BENCH_CUSTOM)
		put_custom_dump(b);
	else if (b->shape.format == BENCH_DIRECTORY)
		put_directory(b);
	else
		put_text_dump(b);
	if (b->shape.format != BENCH_TEXT && !b->shape.no_counts)
		put_bench_csv(b);
	if (b->shape.format != BENCH_TEXT && !b->shape.no_index && !b->shape.foreign)
		put_bench_index(b);
	manifest_seal(&b->m);
	if (artifact_publish(&b->repo, &b->m, NULL, &err) != 0)
		fail_msg("%s", err.message);
}

static inline void open_bench(struct bench *b, const struct bench_shape *shape)
{
	_cleanup(free) char *root = NULL;

	*b = (struct bench){.shape = *shape};
	snprintf(b->directory, sizeof(b->directory), "%s/keepfs-inside-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(b->directory));
	root = mem_printf("%s/objects", b->directory);
	b->state_dir = mem_printf("%s/state", b->directory);
	assert_int_equal(store_dir_new(root, &b->store, NULL), 0);
	assert_int_equal(catalog_open(b->state_dir, &b->catalog, NULL), 0);
	b->repo = (struct repository){.store = b->store, .catalog = b->catalog};
	b->pool = pool_new((uint64_t)32 << 20);
	assert_int_equal(reader_new(&(struct reader_options){.store = b->store,
	                                                     .pool = b->pool,
	                                                     .buffers = 16,
	                                                     .threads = 2,
	                                                     .ahead_bytes = (uint64_t)4 << 20,
	                                                     .metrics = &b->metrics},
	                            &b->reader, NULL),
	                 0);
	b->conf.state_dir = b->state_dir;
	b->ctx = (struct make_context){.conf = &b->conf, .repository = &b->repo, .pool = b->pool};
	assert_int_equal(
	        inside_new(&(struct inside_options){.ctx = &b->ctx, .reader = b->reader}, &b->in, NULL), 0);
	fill_bench(b);
	publish_bench(b);
}

static inline void close_bench(struct bench *b)
{
	inside_free(b->in);
	reader_free(b->reader);
	pool_free(b->pool);
	catalog_free(b->catalog);
	store_free(b->store);
	remove_tree(b->directory);
	manifest_finish(&b->m);
	segment_index_finish(&b->index);
	for (int i = 0; i < TABLES; i++)
		str_finish(&b->tables[i].rows);
	for (int i = 0; i < BLOBS; i++)
		str_finish(&b->blobs[i]);
	free(b->state_dir);
	free(b->path);
}
static inline void cleanup_bench(struct bench *b)
{
	close_bench(b);
}

static inline struct inside_dump *open_dump_of(struct bench *b)
{
	struct inside_dump *d = NULL;
	struct error err = {0};

	if (inside_open(b->in, ino_of_artifact(b->path), NULL, &d, &err) < 0)
		fail_msg("%s", err.message);
	return d;
}

/* How it looks. */

static inline int append_rows(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static inline void check_all_rows(struct inside_dump *d, uint32_t number, const struct str *rows)
{
	_cleanup(str) struct str found = {0};
	struct error err = {0};

	if (inside_read_rows(d, number, NULL, append_rows, &found, &err) < 0)
		fail_msg("table %u: %s", number, err.message);
	assert_int_equal(found.len, rows->len);
	assert_true(memcmp(str_text(&found), str_text(rows), rows->len) == 0);
}
