// SPDX-License-Identifier: Apache-2.0
/*
 * PostgreSQL's custom archive as a stream. The file is a sequence of fields; a table (pg_archive_fields.c)
 * says for each of them what kind it is and in which versions it exists. The machine gathers one field at a
 * time, from pieces of any size, and then `took` decides which field comes next: that is all of the control
 * flow there is.
 *
 * Text is passed over without being kept, but for the three facts of the header, and those of one entry when
 * somebody wants to be told of entries; chunks of data are passed on as they come. What is kept grows with
 * the number of entries that have data: 8 bytes for each, made only when the entry was really read, so a
 * lying count costs nothing; and so is a text only as large as what came of it.
 */
#include "pg_archive_fields.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#define OLDEST_MINOR       12
#define NEWEST_MINOR       16
#define INT_BYTES          4 /* and the byte of the sign before them */
#define BLOCK_DATA         1
#define BLOCK_BLOBS        3
#define OFFSET_NOT_SET     1
#define OFFSET_NO_DATA     3
#define TEXT_MAX_BYTES     (INT64_C(1) << 30)
#define KEPT_MAX_BYTES     (64 << 20)
#define REUSED_MAX_BYTES   (1 << 20) /* a larger text is not kept for the next entry to be read into */
#define NUMBER_MAX_BYTES   10        /* of a dependency: digits */
#define ENTRIES_MAX        100000000
#define SCRATCH_BYTES      8
#define COMPRESSIONS_KNOWN 4 /* none, gzip, lz4, zstd */

#define fields pg_archive_fields

struct data_entry {
	int id;
	bool seen; /* its block was */
};

struct pg_archive_scan {
	struct pg_archive_facts facts;
	struct pg_archive_events events;
	enum pg_archive_state state;
	uint64_t offset;                /* of the next byte */
	uint8_t scratch[SCRATCH_BYTES]; /* what there is of the field */
	size_t gathered;
	uint64_t skip;         /* bytes of text or chunk still to come */
	uint64_t passed;       /* and those of this text that came */
	uint64_t entries_left; /* of the table of contents, behind the current one */
	int dump_id;           /* of the current entry */
	bool had_dumper;
	uint64_t place_at;
	struct str texts[TEXTS]; /* of the current entry */
	int *dependencies;
	size_t dependency_count;
	size_t dependency_cap;
	bool in_blobs; /* in a block of large objects */
	struct data_entry *entries;
	size_t entry_count;
	size_t entry_cap;
	int failed; /* negative errno, for ever */
	struct error failure;
};

struct pg_archive_scan *pg_archive_scan_new(const struct pg_archive_events *events)
{
	struct pg_archive_scan *s = mem_alloc(sizeof(*s));

	if (events)
		s->events = *events;
	return s;
}

struct pg_archive_scan *pg_archive_scan_free(struct pg_archive_scan *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < TEXTS; i++)
		str_finish(&s->texts[i]);
	free(s->dependencies);
	free(s->entries);
	free(s);
	return NULL;
}

const struct pg_archive_facts *pg_archive_scan_facts(const struct pg_archive_scan *scan)
{
	return &scan->facts;
}

uint64_t pg_archive_scan_offset(const struct pg_archive_scan *scan)
{
	return scan->offset;
}

static int bad(struct pg_archive_scan *s, const char *what, long long value)
{
	return error_set(&s->failure, ERROR_CORRUPT, EBADMSG,
	                 "no sound PostgreSQL archive: %s is %lld, before offset %llu: %s",
	                 fields[s->state].name, value, (unsigned long long)s->offset, what);
}

static int unknown_version(struct pg_archive_scan *s)
{
	return error_set(
	        &s->failure, ERROR_USAGE, ENOTSUP,
	        "the archive has format version %u.%u; known are 1.%d to 1.%d. Use a pg_dump that writes one of these, or a newer keepfs",
	        s->facts.version_major, s->facts.version_minor, OLDEST_MINOR, NEWEST_MINOR);
}

static void go(struct pg_archive_scan *s, enum pg_archive_state next)
{
	/* The versions are known by the time a field depends on one. */
	while ((fields[next].from_minor && s->facts.version_minor < fields[next].from_minor) ||
	       (fields[next].below && s->facts.version_minor >= fields[next].below) ||
	       (fields[next].format && s->facts.format != (enum pg_archive_format)fields[next].format))
		next++;
	s->state = next;
}

static int by_id(const void *a, const void *b)
{
	const struct data_entry *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void add_data_entry(struct pg_archive_scan *s)
{
	if (s->entry_count == s->entry_cap) {
		s->entry_cap = s->entry_cap ? s->entry_cap * 2 : 64;
		s->entries = mem_resize(s->entries, s->entry_cap, sizeof(*s->entries));
	}
	s->entries[s->entry_count++] = (struct data_entry){.id = s->dump_id};
	s->facts.data_entries++;
}

static int end_toc(struct pg_archive_scan *s)
{
	if (s->entry_count > 0)
		qsort(s->entries, s->entry_count, sizeof(*s->entries), by_id);
	for (size_t i = 1; i < s->entry_count; i++) {
		if (s->entries[i].id == s->entries[i - 1].id)
			return bad(s, "two entries of the table of contents have the same number",
			           s->entries[i].id);
	}
	go(s, BLOCK_TYPE);
	s->facts.toc_end = s->offset;
	return s->events.toc_end ? s->events.toc_end(s->events.arg, &s->facts, &s->failure) : 0;
}

/* The next entry of the table of contents, or what follows the last one. */
static int next_entry(struct pg_archive_scan *s)
{
	if (s->entries_left == 0)
		return end_toc(s);
	s->entries_left--;
	go(s, DUMP_ID);
	return 0;
}

static int tell_entry(struct pg_archive_scan *s)
{
	const struct pg_archive_entry entry = {
	        .dump_id = s->dump_id,
	        .has_data = s->had_dumper,
	        .oid = str_text(&s->texts[TEXT_OID]),
	        .tag = str_text(&s->texts[TEXT_TAG]),
	        .desc = str_text(&s->texts[TEXT_DESC]),
	        .defn = str_text(&s->texts[TEXT_DEFN]),
	        .copy_stmt = str_text(&s->texts[TEXT_COPY_STMT]),
	        .namespace = str_text(&s->texts[TEXT_NAMESPACE]),
	        .tablespace = str_text(&s->texts[TEXT_TABLESPACE]),
	        .owner = str_text(&s->texts[TEXT_OWNER]),
	        .file_name = str_text(&s->texts[TEXT_FILE_NAME]),
	        .dependencies = s->dependencies,
	        .dependency_count = s->dependency_count,
	        .place_at = s->place_at,
	};

	return s->events.entry(s->events.arg, &entry, &s->failure);
}

static void forget_entry(struct pg_archive_scan *s)
{
	for (size_t i = 0; i < TEXTS; i++) {
		if (s->texts[i].cap > REUSED_MAX_BYTES)
			str_finish(&s->texts[i]);
		str_clear(&s->texts[i]);
	}
	s->dependency_count = 0;
}

static int took_entry(struct pg_archive_scan *s)
{
	int r = s->events.entry ? tell_entry(s) : 0;

	forget_entry(s);
	return r < 0 ? r : next_entry(s);
}

static int took_block_id(struct pg_archive_scan *s, int id)
{
	struct data_entry key = {.id = id};
	struct data_entry *entry = NULL;

	if (s->entry_count > 0)
		entry = bsearch(&key, s->entries, s->entry_count, sizeof(*s->entries), by_id);
	if (!entry)
		return bad(s, "no entry with data has this number", id);
	if (entry->seen)
		return bad(s, "this entry had its data before", id);
	entry->seen = true;
	s->facts.data_blocks++;
	go(s, s->in_blobs ? BLOB_OID : CHUNK);
	return s->events.block ? s->events.block(s->events.arg, id, s->in_blobs, &s->failure) : 0;
}

static int scan_end_of_block(struct pg_archive_scan *s)
{
	go(s, BLOCK_TYPE);
	return s->events.block_end ? s->events.block_end(s->events.arg, &s->failure) : 0;
}

static int scan_end_of_blob(struct pg_archive_scan *s)
{
	go(s, BLOB_OID);
	return s->events.blob_end ? s->events.blob_end(s->events.arg, &s->failure) : 0;
}

/* An oid of 0 ends a block of large objects. */
static int took_blob_oid(struct pg_archive_scan *s, int oid)
{
	if (oid == 0)
		return scan_end_of_block(s);
	go(s, CHUNK);
	return s->events.blob ? s->events.blob(s->events.arg, (uint32_t)oid, &s->failure) : 0;
}

/* An empty chunk ends a table's block, or one large object of a block of them. */
static int took_chunk(struct pg_archive_scan *s, int length)
{
	if (length < 0)
		return bad(s, "a length cannot be negative", length);
	if (length == 0)
		return s->in_blobs ? scan_end_of_blob(s) : scan_end_of_block(s);
	s->skip = (uint64_t)length;
	return s->events.chunk ? s->events.chunk(s->events.arg, (size_t)length, &s->failure) : 0;
}

static int took_header_byte(struct pg_archive_scan *s, uint8_t value)
{
	switch (s->state) {
	case VERSION_MAJOR:
		s->facts.version_major = value;
		break;
	case VERSION_MINOR:
		s->facts.version_minor = value;
		if (s->facts.version_major != 1 || value < OLDEST_MINOR || value > NEWEST_MINOR)
			return unknown_version(s);
		break;
	case VERSION_REV:
		s->facts.version_rev = value;
		break;
	case INT_SIZE:
		if (value != INT_BYTES)
			return bad(s, "only 4 is known", value);
		break;
	case OFFSET_SIZE:
		if (value != 4 && value != 8)
			return bad(s, "only 4 and 8 are known", value);
		s->facts.offset_bytes = value;
		break;
	case FORMAT:
		if (value != PG_ARCHIVE_CUSTOM && value != PG_ARCHIVE_DIRECTORY)
			return bad(s, "only the formats custom (1) and directory (3) are read here", value);
		s->facts.format = (enum pg_archive_format)value;
		break;
	default: /* COMPRESSION_METHOD */
		if (value >= COMPRESSIONS_KNOWN)
			return bad(s, "this method is not known", value);
		s->facts.compression = (enum pg_archive_compression)value;
		s->facts.compression_at = s->offset - 1;
	}
	go(s, s->state + 1);
	return 0;
}

static int took_data_state(struct pg_archive_scan *s, uint8_t value)
{
	if (value < OFFSET_NOT_SET || value > OFFSET_NO_DATA || (value == OFFSET_NO_DATA) == s->had_dumper)
		return bad(s, "it contradicts the entry's data flag", value);
	if (s->had_dumper)
		add_data_entry(s);
	s->place_at = s->offset - 1;
	go(s, DATA_OFFSET);
	return 0;
}

static int took_block_type(struct pg_archive_scan *s, uint8_t value)
{
	if (s->facts.format == PG_ARCHIVE_DIRECTORY)
		return bad(s, "the table of contents of a directory ends with its last entry", value);
	if (value != BLOCK_DATA && value != BLOCK_BLOBS)
		return bad(s, "a block is data (1) or large objects (3)", value);
	s->in_blobs = value == BLOCK_BLOBS;
	go(s, BLOCK_ID);
	return 0;
}

static int took_bytes(struct pg_archive_scan *s)
{
	switch (s->state) {
	case MAGIC:
		if (memcmp(s->scratch, "PGDMP", 5) != 0)
			return error_set(&s->failure, ERROR_CORRUPT, EBADMSG,
			                 "no PostgreSQL archive: it does not begin with PGDMP");
		go(s, VERSION_MAJOR);
		return 0;
	case DATA_STATE:
		return took_data_state(s, s->scratch[0]);
	case DATA_OFFSET:
		return took_entry(s);
	case BLOCK_TYPE:
		return took_block_type(s, s->scratch[0]);
	default:
		return took_header_byte(s, s->scratch[0]);
	}
}

/* Return: 0 when @value is one that the current field may have. */
static int check_integer(struct pg_archive_scan *s, int value)
{
	switch (s->state) {
	case COMPRESSION_LEVEL:
		return value < -1 || value > 9 ? bad(s, "only -1 to 9 is known", value) : 0;
	case TOC_COUNT:
		return value < 0 || value > ENTRIES_MAX ? bad(s, "that cannot be", value) : 0;
	case DUMP_ID:
		return value <= 0 ? bad(s, "numbers begin at 1", value) : 0;
	case HAD_DUMPER:
		return value != 0 && value != 1 ? bad(s, "only 0 and 1 are known", value) : 0;
	case SECTION:
		return value < 1 || value > 4 ? bad(s, "only 1 to 4 is known", value) : 0;
	default:
		return 0;
	}
}

static int took_integer(struct pg_archive_scan *s, int value)
{
	int r = check_integer(s, value);

	if (r < 0)
		return r;
	switch (s->state) {
	case TOC_COUNT:
		s->facts.toc_entries = s->entries_left = (uint64_t)value;
		return next_entry(s);
	case BLOCK_ID:
		return took_block_id(s, value);
	case BLOB_OID:
		return took_blob_oid(s, value);
	case CHUNK:
		return took_chunk(s, value);
	case COMPRESSION_LEVEL:
		s->facts.compression = value == 0 ? PG_ARCHIVE_NONE : PG_ARCHIVE_GZIP;
		s->facts.compression_at = s->offset - 1 - INT_BYTES;
		break;
	case DATE_SECOND ... DATE_DST:
		s->facts.date[s->state - DATE_SECOND] = value;
		break;
	case DUMP_ID:
		s->dump_id = value;
		break;
	case HAD_DUMPER:
		s->had_dumper = value == 1;
		break;
	default:
		break;
	}
	go(s, s->state + 1);
	return 0;
}

static int add_dependency(struct pg_archive_scan *s, int id)
{
	if (s->dependency_count == KEPT_MAX_BYTES / sizeof(*s->dependencies))
		return error_set(&s->failure, ERROR_USAGE, EFBIG,
		                 "entry %d of the archive depends on more than %zu others", s->dump_id,
		                 s->dependency_count);
	if (s->dependency_count == s->dependency_cap) {
		s->dependency_cap = s->dependency_cap ? s->dependency_cap * 2 : 16;
		s->dependencies = mem_resize(s->dependencies, s->dependency_cap, sizeof(*s->dependencies));
	}
	s->dependencies[s->dependency_count++] = id;
	return 0;
}

/* The only number that is written as text. */
static int took_dependency(struct pg_archive_scan *s)
{
	struct str *text = &s->texts[TEXT_DEPENDENCY];
	int64_t id = text->len > 0 ? 0 : -1;

	for (size_t i = 0; i < text->len && id >= 0; i++) {
		char c = text->data[i];

		id = c >= '0' && c <= '9' ? id * 10 + (c - '0') : -1;
	}
	if (id < 0 || id > INT_MAX)
		return bad(s, "this is no entry's number", id);
	str_clear(text);
	return s->events.entry ? add_dependency(s, (int)id) : 0;
}

/* The last field of an entry of the directory format, which has neither an offset nor a flag in front of it. */
static int took_file_name(struct pg_archive_scan *s)
{
	if (s->had_dumper)
		add_data_entry(s);
	return took_entry(s);
}

static int took_text(struct pg_archive_scan *s)
{
	if (s->state == DEPENDENCY)
		return took_dependency(s);
	if (s->state == FILE_NAME)
		return took_file_name(s);
	go(s, s->state + 1);
	return 0;
}

static bool is_kept(const struct pg_archive_scan *s)
{
	enum pg_archive_text text = fields[s->state].text;

	return text == TEXT_DEPENDENCY || (text != TEXT_PASSED && s->events.entry);
}

/* @length of the text that follows; -1 stands for NULL. */
static int took_text_length(struct pg_archive_scan *s, int length)
{
	if (length < -1 || length > (s->state == DEPENDENCY ? NUMBER_MAX_BYTES : TEXT_MAX_BYTES))
		return bad(s, "its length cannot be", length);
	if (length > KEPT_MAX_BYTES && is_kept(s))
		return error_set(
		        &s->failure, ERROR_USAGE, EFBIG,
		        "the %s before offset %llu of the archive has %d bytes, more than %d are not read here",
		        fields[s->state].name, (unsigned long long)s->offset, length, KEPT_MAX_BYTES);
	s->passed = 0;
	s->skip = length > 0 ? (uint64_t)length : 0;
	if (length < 0 && s->state == FILE_NAME)
		return took_file_name(s);
	if (length < 0) {
		go(s, s->state + 1);
		return s->state == DATA_STATE && s->events.place
		               ? s->events.place(s->events.arg, s->offset, &s->failure)
		               : 0;
	}
	return length == 0 ? took_text(s) : 0;
}

static int took_number(struct pg_archive_scan *s)
{
	const uint8_t *b = s->scratch;
	int64_t value =
	        (int64_t)((uint32_t)b[1] | (uint32_t)b[2] << 8 | (uint32_t)b[3] << 16 | (uint32_t)b[4] << 24);

	/* An oid above INT_MAX was written as a negative integer. */
	if (b[0] == 1)
		value = -value;
	if (b[0] > 1 || (b[0] == 1 && value == 0) || value < INT_MIN || value > INT_MAX)
		return bad(s, "this is no integer", value);
	return fields[s->state].kind == TEXT ? took_text_length(s, (int)value) : took_integer(s, (int)value);
}

static size_t wanted_bytes(const struct pg_archive_scan *s)
{
	if (fields[s->state].kind != BYTES)
		return 1 + INT_BYTES;
	return fields[s->state].bytes ? fields[s->state].bytes : s->facts.offset_bytes;
}

static void keep_scanned(struct pg_archive_scan *s, const uint8_t *data, size_t len)
{
	const struct pg_archive_field *field = &fields[s->state];

	if (is_kept(s)) {
		str_append_bytes(&s->texts[field->text], data, len);
	} else if (s->passed + 1 < field->fact_bytes) {
		size_t room = field->fact_bytes - 1 - (size_t)s->passed;

		memcpy((char *)&s->facts + field->fact_at + s->passed, data, len < room ? len : room);
	}
	s->passed += len;
}

static int pass_over(struct pg_archive_scan *s, const uint8_t *data, size_t len, size_t *ret_taken)
{
	size_t n = len < s->skip ? len : (size_t)s->skip;

	s->skip -= n;
	s->offset += n;
	*ret_taken = n;
	if (s->state == CHUNK)
		return s->events.data ? s->events.data(s->events.arg, data, n, &s->failure) : 0;
	keep_scanned(s, data, n);
	return s->skip == 0 ? took_text(s) : 0;
}

static int gather_field(struct pg_archive_scan *s, const uint8_t *data, size_t len, size_t *ret_taken)
{
	size_t missing = wanted_bytes(s) - s->gathered;
	size_t n = len < missing ? len : missing;

	memcpy(s->scratch + s->gathered, data, n);
	s->gathered += n;
	s->offset += n;
	*ret_taken = n;
	if (n < missing)
		return 0;
	s->gathered = 0;
	return fields[s->state].kind == BYTES ? took_bytes(s) : took_number(s);
}

static int fail_scan(struct pg_archive_scan *s, int r, struct error *err)
{
	s->failed = r;
	if (err)
		*err = s->failure;
	return r;
}

int pg_archive_scan_feed(struct pg_archive_scan *s, const void *data, size_t len, struct error *err)
{
	const uint8_t *p = data;

	if (s->failed)
		return fail_scan(s, s->failed, err);
	while (len > 0) {
		size_t n = 0;
		int r = s->skip > 0 ? pass_over(s, p, len, &n) : gather_field(s, p, len, &n);

		if (r < 0)
			return fail_scan(s, r, err);
		p += n;
		len -= n;
	}
	return 0;
}

int pg_archive_scan_end(struct pg_archive_scan *s, struct error *err)
{
	int r = 0;

	if (s->failed)
		return fail_scan(s, s->failed, err);
	if (s->offset == 0)
		r = error_set(&s->failure, ERROR_CORRUPT, EBADMSG, "the archive is empty: not a byte came");
	else if (s->state != BLOCK_TYPE || s->gathered > 0 || s->skip > 0)
		r = error_set(&s->failure, ERROR_CORRUPT, EBADMSG,
		              "the archive is cut off at offset %llu, before or in: %s",
		              (unsigned long long)s->offset, fields[s->state].name);
	else if (s->facts.format == PG_ARCHIVE_CUSTOM && s->facts.data_blocks < s->facts.data_entries)
		r = error_set(
		        &s->failure, ERROR_CORRUPT, EBADMSG,
		        "the archive is cut off: it should hold the data of %llu entries and holds %llu",
		        (unsigned long long)s->facts.data_entries, (unsigned long long)s->facts.data_blocks);
	return r < 0 ? fail_scan(s, r, err) : 0;
}
