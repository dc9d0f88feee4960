/*
 * PostgreSQL's custom archive as a stream. The file is a sequence of fields; a table says for each of them
 * what kind it is and in which versions it exists. The machine gathers one field at a time, from pieces of
 * any size, and then `took` decides which field comes next: that is all of the control flow there is.
 *
 * Text is passed over without being kept, but for the three facts of the header; chunks of data are passed
 * over by their length. What is kept grows with the number of entries that have data: 8 bytes for each, made
 * only when the entry was really read, so a lying count costs nothing.
 */
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
#define FORMAT_CUSTOM      1
#define BLOCK_DATA         1
#define BLOCK_BLOBS        3
#define OFFSET_NOT_SET     1
#define OFFSET_NO_DATA     3
#define TEXT_MAX_BYTES     (INT64_C(1) << 30)
#define ENTRIES_MAX        100000000
#define SCRATCH_BYTES      8
#define COMPRESSIONS_KNOWN 4 /* none, gzip, lz4, zstd */

enum state {
	MAGIC,
	VERSION_MAJOR,
	VERSION_MINOR,
	VERSION_REV,
	INT_SIZE,
	OFFSET_SIZE,
	FORMAT,
	COMPRESSION_LEVEL,
	COMPRESSION_METHOD,
	DATE_SECOND,
	DATE_MINUTE,
	DATE_HOUR,
	DATE_DAY,
	DATE_MONTH,
	DATE_YEAR,
	DATE_DST,
	DATABASE,
	SERVER_VERSION,
	TOOL_VERSION,
	TOC_COUNT,
	DUMP_ID,
	HAD_DUMPER,
	TABLE_OID,
	OID,
	TAG,
	DESC,
	SECTION,
	DEFN,
	DROP_STMT,
	COPY_STMT,
	NAMESPACE,
	TABLESPACE,
	TABLE_AM,
	REL_KIND,
	OWNER,
	WITH_OIDS,
	DEPENDENCY, /* repeats until a NULL */
	DATA_STATE,
	DATA_OFFSET,
	BLOCK_TYPE, /* the only place where an archive may end */
	BLOCK_ID,
	BLOB_OID,
	CHUNK /* repeats until an empty one */
};

enum kind { BYTES, INTEGER, TEXT };

static const struct field {
	const char *name;
	enum kind kind;
	size_t bytes;               /* BYTES: how many; 0: as the header says */
	unsigned from_minor, below; /* versions that have it; 0: no limit */
} fields[] = {
        [MAGIC] = {"signature", BYTES, 5, 0, 0},
        [VERSION_MAJOR] = {"major version", BYTES, 1, 0, 0},
        [VERSION_MINOR] = {"minor version", BYTES, 1, 0, 0},
        [VERSION_REV] = {"revision", BYTES, 1, 0, 0},
        [INT_SIZE] = {"size of integers", BYTES, 1, 0, 0},
        [OFFSET_SIZE] = {"size of offsets", BYTES, 1, 0, 0},
        [FORMAT] = {"format", BYTES, 1, 0, 0},
        [COMPRESSION_LEVEL] = {"compression level", INTEGER, 0, 0, 15},
        [COMPRESSION_METHOD] = {"compression method", BYTES, 1, 15, 0},
        [DATE_SECOND] = {"date", INTEGER, 0, 0, 0},
        [DATE_MINUTE] = {"date", INTEGER, 0, 0, 0},
        [DATE_HOUR] = {"date", INTEGER, 0, 0, 0},
        [DATE_DAY] = {"date", INTEGER, 0, 0, 0},
        [DATE_MONTH] = {"date", INTEGER, 0, 0, 0},
        [DATE_YEAR] = {"date", INTEGER, 0, 0, 0},
        [DATE_DST] = {"date", INTEGER, 0, 0, 0},
        [DATABASE] = {"database", TEXT, 0, 0, 0},
        [SERVER_VERSION] = {"server version", TEXT, 0, 0, 0},
        [TOOL_VERSION] = {"pg_dump version", TEXT, 0, 0, 0},
        [TOC_COUNT] = {"number of entries", INTEGER, 0, 0, 0},
        [DUMP_ID] = {"entry's number", INTEGER, 0, 0, 0},
        [HAD_DUMPER] = {"entry's data flag", INTEGER, 0, 0, 0},
        [TABLE_OID] = {"entry's catalog", TEXT, 0, 0, 0},
        [OID] = {"entry's oid", TEXT, 0, 0, 0},
        [TAG] = {"entry's tag", TEXT, 0, 0, 0},
        [DESC] = {"entry's kind", TEXT, 0, 0, 0},
        [SECTION] = {"entry's section", INTEGER, 0, 0, 0},
        [DEFN] = {"entry's definition", TEXT, 0, 0, 0},
        [DROP_STMT] = {"entry's drop statement", TEXT, 0, 0, 0},
        [COPY_STMT] = {"entry's copy statement", TEXT, 0, 0, 0},
        [NAMESPACE] = {"entry's schema", TEXT, 0, 0, 0},
        [TABLESPACE] = {"entry's tablespace", TEXT, 0, 0, 0},
        [TABLE_AM] = {"entry's access method", TEXT, 0, 14, 0},
        [REL_KIND] = {"entry's relation kind", INTEGER, 0, 16, 0},
        [OWNER] = {"entry's owner", TEXT, 0, 0, 0},
        [WITH_OIDS] = {"entry's oids flag", TEXT, 0, 0, 0},
        [DEPENDENCY] = {"entry's dependency", TEXT, 0, 0, 0},
        [DATA_STATE] = {"entry's offset state", BYTES, 1, 0, 0},
        [DATA_OFFSET] = {"entry's offset", BYTES, 0, 0, 0},
        [BLOCK_TYPE] = {"data block's type", BYTES, 1, 0, 0},
        [BLOCK_ID] = {"data block's number", INTEGER, 0, 0, 0},
        [BLOB_OID] = {"large object's oid", INTEGER, 0, 0, 0},
        [CHUNK] = {"length of data", INTEGER, 0, 0, 0},
};

struct data_entry {
	int id;
	bool seen; /* its block was */
};

struct pg_archive_scan {
	struct pg_archive_facts facts;
	enum state state;
	uint64_t offset;                /* of the next byte */
	uint8_t scratch[SCRATCH_BYTES]; /* what there is of the field */
	size_t gathered;
	uint64_t skip; /* bytes of text or chunk to pass over */
	char *capture; /* where the first of these go; NULL: nowhere */
	size_t capture_bytes;
	size_t offset_bytes;
	uint64_t entries_left; /* of the table of contents, behind the current one */
	int dump_id;           /* of the current entry */
	bool had_dumper;
	bool in_blobs; /* in a block of large objects */
	struct data_entry *entries;
	size_t entry_count;
	size_t entry_cap;
	int failed; /* negative errno, for ever */
	struct error failure;
};

struct pg_archive_scan *pg_archive_scan_new(void)
{
	return mem_alloc(sizeof(struct pg_archive_scan));
}

struct pg_archive_scan *pg_archive_scan_free(struct pg_archive_scan *scan)
{
	if (!scan)
		return NULL;
	free(scan->entries);
	free(scan);
	return NULL;
}

const struct pg_archive_facts *pg_archive_scan_facts(const struct pg_archive_scan *scan)
{
	return &scan->facts;
}

static int bad(struct pg_archive_scan *s, const char *what, long long value)
{
	return error_set(&s->failure, ERROR_CORRUPT, EBADMSG,
	                 "no sound PostgreSQL archive: %s is %lld, before offset %llu: %s",
	                 fields[s->state].name, value, (unsigned long long)s->offset, what);
}

static int unknown_version(struct pg_archive_scan *s)
{
	return error_set(&s->failure, ERROR_USAGE, ENOTSUP,
	                 "the archive has format version %u.%u; known are 1.%d to 1.%d. Use a pg_dump that "
	                 "writes one of these, or a newer keepfs",
	                 s->facts.version_major, s->facts.version_minor, OLDEST_MINOR, NEWEST_MINOR);
}

static void go(struct pg_archive_scan *s, enum state next)
{
	/* The versions are known by the time a field depends on one. */
	while ((fields[next].from_minor && s->facts.version_minor < fields[next].from_minor) ||
	       (fields[next].below && s->facts.version_minor >= fields[next].below))
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
	return 0;
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
	return 0;
}

/* An empty chunk ends a table's block, or one large object of a block of them. */
static int took_chunk(struct pg_archive_scan *s, int length)
{
	if (length < 0)
		return bad(s, "a length cannot be negative", length);
	s->skip = (uint64_t)length;
	s->capture_bytes = 0;
	if (length == 0)
		go(s, s->in_blobs ? BLOB_OID : BLOCK_TYPE);
	return 0;
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
		s->offset_bytes = value;
		break;
	case FORMAT:
		if (value != FORMAT_CUSTOM)
			return bad(s, "only the custom format (1) is read here", value);
		break;
	default: /* COMPRESSION_METHOD */
		if (value >= COMPRESSIONS_KNOWN)
			return bad(s, "this method is not known", value);
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
	go(s, DATA_OFFSET);
	return 0;
}

static int took_block_type(struct pg_archive_scan *s, uint8_t value)
{
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
		return next_entry(s);
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
		go(s, value == 0 ? BLOCK_TYPE : CHUNK);
		return 0;
	case CHUNK:
		return took_chunk(s, value);
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

static void capture_into(struct pg_archive_scan *s, char *text, size_t text_bytes)
{
	s->capture = text;
	s->capture_bytes = text_bytes - 1;
}

/* @length of the text that follows; -1 stands for NULL. */
static int took_text_length(struct pg_archive_scan *s, int length)
{
	if (length < -1 || length > TEXT_MAX_BYTES)
		return bad(s, "its length cannot be", length);
	s->skip = length > 0 ? (uint64_t)length : 0;
	if (s->state == DATABASE)
		capture_into(s, s->facts.database, sizeof(s->facts.database));
	else if (s->state == SERVER_VERSION)
		capture_into(s, s->facts.server_version, sizeof(s->facts.server_version));
	else if (s->state == TOOL_VERSION)
		capture_into(s, s->facts.tool_version, sizeof(s->facts.tool_version));
	else
		s->capture_bytes = 0;
	if (s->state != DEPENDENCY || length < 0)
		go(s, s->state + 1);
	return 0;
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

static size_t wanted(const struct pg_archive_scan *s)
{
	if (fields[s->state].kind != BYTES)
		return 1 + INT_BYTES;
	return fields[s->state].bytes ? fields[s->state].bytes : s->offset_bytes;
}

static size_t pass_over(struct pg_archive_scan *s, const uint8_t *data, size_t len)
{
	size_t n = len < s->skip ? len : (size_t)s->skip;
	size_t keep = n < s->capture_bytes ? n : s->capture_bytes;

	if (keep > 0) {
		memcpy(s->capture, data, keep);
		s->capture += keep;
		s->capture_bytes -= keep;
	}
	s->skip -= n;
	return n;
}

static size_t gather(struct pg_archive_scan *s, const uint8_t *data, size_t len)
{
	size_t missing = wanted(s) - s->gathered;
	size_t n = len < missing ? len : missing;

	memcpy(s->scratch + s->gathered, data, n);
	s->gathered += n;
	return n;
}

static int fail(struct pg_archive_scan *s, int r, struct error *err)
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
		return fail(s, s->failed, err);
	while (len > 0) {
		size_t n = s->skip > 0 ? pass_over(s, p, len) : gather(s, p, len);

		p += n;
		len -= n;
		s->offset += n;
		if (s->skip > 0 || s->gathered == 0 || s->gathered < wanted(s))
			continue;
		s->gathered = 0;
		int r = fields[s->state].kind == BYTES ? took_bytes(s) : took_number(s);

		if (r < 0)
			return fail(s, r, err);
	}
	return 0;
}

int pg_archive_scan_end(struct pg_archive_scan *s, struct error *err)
{
	int r = 0;

	if (s->failed)
		return fail(s, s->failed, err);
	if (s->offset == 0)
		r = error_set(&s->failure, ERROR_CORRUPT, EBADMSG, "the archive is empty: not a byte came");
	else if (s->state != BLOCK_TYPE || s->gathered > 0 || s->skip > 0)
		r = error_set(&s->failure, ERROR_CORRUPT, EBADMSG,
		              "the archive is cut off at offset %llu, before or in: %s",
		              (unsigned long long)s->offset, fields[s->state].name);
	else if (s->facts.data_blocks < s->facts.data_entries)
		r = error_set(
		        &s->failure, ERROR_CORRUPT, EBADMSG,
		        "the archive is cut off: it should hold the data of %llu entries and holds %llu",
		        (unsigned long long)s->facts.data_entries, (unsigned long long)s->facts.data_blocks);
	return r < 0 ? fail(s, r, err) : 0;
}
