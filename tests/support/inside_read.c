// SPDX-License-Identifier: Apache-2.0
/*
 * inside_read STATE_DIR STORE_DIR BACKUP COMMAND - looks into a dump as the mount does, and writes what it finds to standard output:
 *   tables        a line for each: number, rows, bytes, schema, table, columns, with tabs
 *   rows NUMBER   all of them
 *   ranges NUMBER, blob-ranges OID   for each line "OFFSET LENGTH" of standard input those bytes
 *   blobs         a line for each: oid, bytes
 *   toc, schema
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/codec/name.h>
#include <keepfs/inside.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POOL_MIB    64
#define RANGE_MAX   ((size_t)4 << 20)
#define LINE_BYTES  100
#define PIECE_BYTES 65536

struct looker {
	struct inside_dump *dump;
	struct conf conf;
};

static int write_out(void *arg, const void *data, size_t len, struct error *err)
{
	return fwrite(data, 1, len, stdout) == len ? 0 : error_system(err, EIO, "standard output");
}

static int show_tables(struct inside_dump *d, struct error *err)
{
	for (uint32_t i = 1; i <= inside_tables(d); i++) {
		_cleanup(inside_table) struct inside_table t = {0};
		int r = inside_measure(d, i, NULL, &t, err);

		if (r < 0)
			return r;
		printf("%u\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\n", i, t.rows, t.bytes, t.schema, t.table,
		       t.columns);
	}
	return 0;
}

static int show_blobs(struct inside_dump *d, struct error *err)
{
	uint32_t count = 0;
	int r = inside_blobs(d, NULL, &count, err);

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		struct inside_blob blob;

		r = inside_blob(d, i, NULL, &blob, err);
		if (r == 0)
			r = inside_find_blob(d, blob.oid, NULL, &blob, err);
		if (r == 0)
			printf("%u\t%" PRIu64 "\n", blob.oid, blob.bytes);
	}
	return r;
}

static int show_ranges(struct inside_dump *d, uint32_t number, bool blob, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(RANGE_MAX);
	char line[LINE_BYTES];

	while (fgets(line, sizeof(line), stdin)) {
		char *end;
		uint64_t offset = strtoull(line, &end, 10);
		size_t len = strtoull(end, NULL, 10);
		ssize_t n = blob ? inside_blob_pread(d, number, NULL, buf, len, offset, err)
		                 : inside_pread(d, number, NULL, buf, len, offset, err);

		if (n < 0)
			return (int)n;
		fwrite(buf, 1, (size_t)n, stdout);
	}
	return 0;
}

static int show_text(struct looker *l, bool schema, struct error *err)
{
	_cleanup(spool) struct spool *text = spool_new(l->conf.state_dir);
	char piece[PIECE_BYTES];
	uint64_t at = 0;
	ssize_t n;
	int r = schema ? inside_write_schema(l->dump, NULL, text, err)
	               : inside_write_toc(l->dump, NULL, text, err);

	while (r == 0 && (n = spool_read(text, piece, sizeof(piece), at)) > 0) {
		fwrite(piece, 1, (size_t)n, stdout);
		at += (uint64_t)n;
	}
	return r;
}

static int look(struct looker *l, char **words, struct error *err)
{
	uint32_t number = words[1] ? (uint32_t)strtoul(words[1], NULL, 10) : 0;

	if (str_equal(words[0], "tables"))
		return show_tables(l->dump, err);
	if (str_equal(words[0], "rows"))
		return inside_read_rows(l->dump, number, NULL, write_out, NULL, err);
	if (str_equal(words[0], "ranges"))
		return show_ranges(l->dump, number, false, err);
	if (str_equal(words[0], "blob-ranges"))
		return show_ranges(l->dump, number, true, err);
	if (str_equal(words[0], "blobs"))
		return show_blobs(l->dump, err);
	return show_text(l, str_equal(words[0], "schema"), err);
}

int main(int argc, char **argv)
{
	struct pool *pool = pool_new((uint64_t)POOL_MIB << 20);
	struct looker l = {0};
	struct reader_metrics metrics = {0};
	struct reader_options reader_options = {.pool = pool,
	                                        .buffers = POOL_MIB / 2,
	                                        .threads = 4,
	                                        .ahead_bytes = 16 << 20,
	                                        .metrics = &metrics};
	struct repository repo = {0};
	struct make_context ctx = {.conf = &l.conf, .repository = &repo, .pool = pool};
	struct inside_options options = {.ctx = &ctx};
	struct inside *in = NULL;
	struct error err = {0};
	int r;

	if (argc < 5)
		return 2;
	l.conf.state_dir = argv[1];
	r = store_dir_new(argv[2], &repo.store, &err);
	if (r == 0)
		r = catalog_open(argv[1], &repo.catalog, &err);
	reader_options.store = repo.store;
	if (r == 0)
		r = reader_new(&reader_options, &options.reader, &err);
	if (r == 0)
		r = inside_new(&options, &in, &err);
	if (r == 0)
		r = inside_open(in, ino_of_artifact(argv[3]), NULL, &l.dump, &err);
	if (r == 0)
		r = look(&l, argv + 4, &err);
	if (r < 0)
		fprintf(stderr, "%s\n", err.message);
	inside_close(l.dump);
	inside_free(in);
	reader_free(options.reader);
	catalog_free(repo.catalog);
	store_free(repo.store);
	pool_free(pool);
	return r < 0;
}
