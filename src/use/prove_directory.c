// SPDX-License-Identifier: Apache-2.0
/*
 * The structure of pg_dump's directory format: toc.dat names the file of each entry, which is decompressed to its end, and its rows are
 * counted and hashed again, in the order of the table of contents, which is that of the counts.
 *
 * Where the segments of a file begin says the index that keepfs keeps beside what it writes; these are decompressed and counted on several
 * threads. What has no index is read as one stream; and what is not right by it, once more.
 */
#include "prove.h"
#include "prove_segments.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/inside/toc.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry_segments { /* of one entry, in the index */
	uint32_t entry;
	size_t first, count;
};

struct directory_proof {
	struct backup *backup;
	struct expected expected;
	struct spool *
	        names; /* "17 3366.dat": the number of each entry with data and its file, each with its NUL, in the order of the
	                        table of contents */
	struct pg_archive_scan *scan;
	struct segment_proof proof; /* its counting is used for streams, too */
	struct segment_index index;
	struct entry_segments *entries; /* by number */
	size_t entry_count;
};

static void cleanup_directory_proof(struct directory_proof *p)
{
	unpack_free(p->proof.unpack);
	expected_finish(&p->expected);
	rows_scan_free(p->proof.counting.rows);
	spool_free(p->names);
	pg_archive_scan_free(p->scan);
	segment_index_finish(&p->index);
	free(p->entries);
}

static int keep_file_name(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct directory_proof *p = arg;
	_cleanup(free) char *name = NULL;

	if (!entry->has_data)
		return 0;
	name = mem_printf("%d %s", entry->dump_id, entry->file_name);
	return spool_put(p->names, name, strlen(name) + 1, err);
}

static int feed_toc(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int read_toc_file(struct directory_proof *p, struct error *err)
{
	const struct pg_archive_events events = {.entry = keep_file_name, .arg = p};
	struct backup_out out;
	struct catalog_entry file;
	int r = backup_find(p->backup, "toc.dat", &file);

	if (r < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it has no toc.dat");
	p->scan = pg_archive_scan_new(&events);
	p->names = spool_new(p->backup->ctx->conf->state_dir);
	out = (struct backup_out){.write = feed_toc, .arg = p->scan};
	r = backup_read(p->backup, &file, &out, err);
	return r < 0 ? r : pg_archive_scan_end(p->scan, err);
}

/* The index. */

static int by_entry(const void *a, const void *b)
{
	const struct entry_segments *one = a, *other = b;

	return (one->entry > other->entry) - (one->entry < other->entry);
}

/* Segments that are one record together cannot be told apart: then all are read as streams. */
static bool has_single_segments(const struct segment_index *x)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->items[i].raw_bytes > SEGMENT_RAW_BYTES)
			return false;
	return true;
}

static void sort_segments(struct directory_proof *p)
{
	const struct segment_record *items = p->index.items;

	p->entries = mem_array(p->index.count + 1, sizeof(*p->entries));
	for (size_t i = 0; i < p->index.count; i++) {
		if (i == 0 || items[i].entry != items[i - 1].entry)
			p->entries[p->entry_count++] =
			        (struct entry_segments){.entry = items[i].entry, .first = i};
		p->entries[p->entry_count - 1].count++;
	}
	qsort(p->entries, p->entry_count, sizeof(*p->entries), by_entry);
}

/* Without it, or when it cannot be read, nothing is wrong with the backup. */
static void load_segments(struct directory_proof *p)
{
	struct error ignored = {0};

	if (inside_segments_read(p->backup, &p->index, &ignored) == 0 && has_single_segments(&p->index))
		sort_segments(p);
}

static const struct entry_segments *segments_of(const struct directory_proof *p, uint32_t entry)
{
	const struct entry_segments key = {.entry = entry};

	return p->entry_count > 0 ? bsearch(&key, p->entries, p->entry_count, sizeof(key), by_entry) : NULL;
}

/* A file of segments. */

struct cutting {
	struct unpack *unpack;
	const struct segment_record *next; /* the first that has not begun yet */
	size_t left;                       /* with that one */
	bool is_open;                      /* a segment has begun */
	uint64_t at;                       /* in the file */
	uint64_t data_end;                 /* here the last segment ends */
	uint8_t tail[GZIP_TAIL_BYTES];
	size_t tail_bytes; /* that came */
};

/* Up to where the bytes are of one thing: the head, a segment, the tail. */
static uint64_t end_of_piece(const struct cutting *c)
{
	return c->left > 0 ? c->next->offset : c->is_open ? c->data_end : UINT64_MAX;
}

static int begin_piece(struct cutting *c, struct error *err)
{
	int r = c->is_open ? unpack_end(c->unpack, err) : 0;

	c->is_open = c->left > 0;
	if (c->is_open) {
		c->next++;
		c->left--;
	}
	return r;
}

static int take_cut(struct cutting *c, const char *data, size_t len, struct error *err)
{
	if (c->is_open)
		return unpack_write(c->unpack, data, len, err);
	/* The head of a gzip file tells nothing. */
	if (c->left > 0)
		return 0;
	if (len > sizeof(c->tail) - c->tail_bytes)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "a file does not end as those that keepfs writes");
	memcpy(c->tail + c->tail_bytes, data, len);
	c->tail_bytes += len;
	return 0;
}

static int cut_file(void *arg, const void *data, size_t len, struct error *err)
{
	struct cutting *c = arg;
	const char *bytes = data;
	int r = 0;

	while (r == 0 && len > 0) {
		uint64_t end = end_of_piece(c);
		size_t n = end > c->at && end - c->at < len ? (size_t)(end - c->at) : len;

		if (end < c->at)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "the segment index is of another file");
		if (end == c->at) {
			r = begin_piece(c, err);
			continue;
		}
		r = take_cut(c, bytes, n, err);
		c->at += n;
		bytes += n;
		len -= n;
	}
	return r;
}

/* Of a gzip file an empty last block, the checksum and the length, which are little-endian; of another one nothing. */
static int end_cutting(struct cutting *c, bool is_gzip, uint64_t *ret_check, struct error *err)
{
	uint64_t check = 0;
	int r = c->is_open && c->at == c->data_end ? begin_piece(c, err) : 0;

	*ret_check = 0;
	if (r == 0 && (c->is_open || c->left > 0 || c->tail_bytes != (is_gzip ? GZIP_TAIL_BYTES : 0)))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "a file ends within its segments");
	if (is_gzip)
		memcpy(&check, c->tail + GZIP_TAIL_BYTES - sizeof(check), sizeof(check));
	*ret_check = le64toh(check);
	return r;
}

static int read_cut_file(struct directory_proof *p, const struct catalog_entry *file,
                         const struct entry_segments *segments, struct error *err)
{
	bool is_gzip = str_ends(file->name, ".gz");
	uint64_t tail = is_gzip ? GZIP_TAIL_BYTES : 0, check = 0;
	struct cutting c = {.unpack = p->proof.unpack,
	                    .next = &p->index.items[segments->first],
	                    .left = segments->count,
	                    .data_end = file->size_bytes > tail ? file->size_bytes - tail : 0};
	const struct backup_out out = {.write = cut_file, .arg = &c};
	int r = backup_read(p->backup, file, &out, err);

	if (r == 0)
		r = end_cutting(&c, is_gzip, &check, err);
	return r < 0 ? r : unpack_mark(p->proof.unpack, PROOF_MARK_MEMBER_END, check, err);
}

/* All files of data are compressed, or none is: so one of them says how. */
static int open_file_segments(struct directory_proof *p, bool is_gzip, struct error *err)
{
	if (p->proof.unpack)
		return 0;
	return segment_proof_open(&p->proof, p->backup, is_gzip ? COMPRESSION_GZIP : COMPRESSION_NONE,
	                          is_gzip ? SEGMENT_CHECK_CRC32 : SEGMENT_CHECK_NONE, err);
}

static int count_segments(struct directory_proof *p, const struct catalog_entry *file,
                          const struct entry_segments *segments, struct error *err)
{
	int r = open_file_segments(p, str_ends(file->name, ".gz"), err);

	if (r == 0)
		r = unpack_mark(p->proof.unpack, PROOF_MARK_ROWS, 0, err);
	if (r == 0)
		r = unpack_mark(p->proof.unpack, PROOF_MARK_MEMBER, 0, err);
	if (r == 0)
		r = read_cut_file(p, file, segments, err);
	return r < 0 ? r : unpack_mark(p->proof.unpack, PROOF_MARK_ENTRY_END, 0, err);
}

/* A file that is one stream. */

static int no_such_file(const char *name, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the table of contents names the file %s, which the backup does not have", name);
}

/* The files of data are compressed where the backup is; lists of large objects never are. */
static int find_data_of(const struct directory_proof *p, const char *name, struct catalog_entry *ret,
                        struct error *err)
{
	_cleanup(free) char *compressed = mem_printf("%s.gz", name);
	int r = backup_find(p->backup, compressed, ret);

	if (r == -ENOENT)
		r = backup_find(p->backup, name, ret);
	if (r == -ENOENT)
		return no_such_file(name, err);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

static int count_stream(struct directory_proof *p, const struct catalog_entry *file, struct error *err)
{
	const struct backup_out out = {.write = counting_write, .arg = &p->proof.counting};

	return backup_read_plain(p->backup, file, &out, err);
}

/* A text of any length in pieces of what ends each; the last one has none. */
static int next_name(const struct spool *names, uint64_t *at, char name[static NAME_MAX_BYTES])
{
	size_t len = 0;
	char buf[NAME_MAX_BYTES];
	ssize_t n = spool_read(names, buf, sizeof(buf), *at);

	if (n <= 0)
		return (int)n;
	while (len < (size_t)n && buf[len] != '\0')
		len++;
	if (len == (size_t)n)
		return -EBADMSG;
	memcpy(name, buf, len);
	name[len] = '\0';
	*at += len + 1;
	return 1;
}

/* @r: next_name()'s. */
static int refuse_names(int r, const char *what, struct error *err)
{
	return r == -EBADMSG ? error_set(err, ERROR_CORRUPT, EBADMSG, "%s", what)
	                     : error_system(err, -r, "what was kept in state_dir meanwhile cannot be read");
}

static int keep_list(void *arg, const void *data, size_t len, struct error *err)
{
	return spool_put(arg, data, len, err);
}

static int count_blob(void *arg, uint32_t oid, const char *name, struct error *err)
{
	struct directory_proof *p = arg;
	struct catalog_entry file;
	int r = find_data_of(p, name, &file, err);

	if (r == 0)
		r = count_stream(p, &file, err);
	p->proof.counting.found.count++;
	return r;
}

static int count_blobs(struct directory_proof *p, const char *name, struct error *err)
{
	_cleanup(spool) struct spool *list = spool_new(p->backup->ctx->conf->state_dir);
	const struct backup_out out = {.write = keep_list, .arg = list};
	const struct backup_blobs blobs = {.each = count_blob, .arg = p};
	struct catalog_entry file;
	int r = backup_find(p->backup, name, &file) < 0 ? no_such_file(name, err) : 0;

	if (r == 0)
		r = backup_read(p->backup, &file, &out, err);
	return r < 0 ? r : backup_each_blob(list, &blobs, err);
}

/* Entries. */

/* It has the counting for itself: what the threads have at hand comes first. */
static int count_alone(struct directory_proof *p, const char *name, const struct catalog_entry *file,
                       struct error *err)
{
	int r = p->proof.unpack ? unpack_finish(p->proof.unpack, err) : 0;

	p->proof.counting.blobs = !file;
	if (r == 0)
		r = file ? count_stream(p, file, err) : count_blobs(p, name, err);
	return r < 0 ? r : counting_end(&p->proof.counting, &p->expected, err);
}

static int count_entry(struct directory_proof *p, uint32_t entry, const char *name, struct error *err)
{
	const struct entry_segments *segments = segments_of(p, entry);
	struct catalog_entry file;
	int r;

	if (str_ends(name, ".toc"))
		return count_alone(p, name, NULL, err);
	r = find_data_of(p, name, &file, err);
	if (r < 0)
		return r;
	return segments ? count_segments(p, &file, segments, err) : count_alone(p, name, &file, err);
}

static int count_entries(struct directory_proof *p, struct error *err)
{
	char line[NAME_MAX_BYTES];
	uint64_t at = 0;
	int r;

	while ((r = next_name(p->names, &at, line)) > 0) {
		char *name;
		uint32_t entry = (uint32_t)strtoul(line, &name, 10);

		r = count_entry(p, entry, name + 1, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return refuse_names(r, "a name in the table of contents is too long", err);
	r = p->proof.unpack ? unpack_finish(p->proof.unpack, err) : 0;
	return r < 0 ? r : expected_check_end(&p->expected, err);
}

/* @ret_again: it is perhaps the index that is wrong. */
static int prove_files(struct backup *b, bool by_segments, bool *ret_again, struct error *err)
{
	_cleanup(directory_proof) struct directory_proof p = {.backup = b,
	                                                      .proof.counting.rows = rows_scan_new()};
	int r = expected_load(&p.expected, b, err);

	p.proof.expected = &p.expected;
	if (r == 0 && by_segments)
		load_segments(&p);
	if (r == 0)
		r = read_toc_file(&p, err);
	if (r == 0)
		r = count_entries(&p, err);
	*ret_again = r == -EBADMSG && p.proof.unpack;
	return r;
}

/* What is wrong comes out later than it was read by several threads: it is looked for once more, and then with the file that it is in. */
int prove_directory(struct backup *b, struct error *err)
{
	struct error why = {0};
	bool again;
	int r = prove_files(b, true, &again, &why);

	if (r < 0 && again)
		r = prove_files(b, false, &again, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}
