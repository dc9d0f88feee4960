// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The listing of a mirror, or of a base: JSON lines, one for each object of a bucket, or for each file and directory of a cluster, in the order of the
 * bytes of their keys, compressed as zstd frames of at most LISTING_FRAME_LINES lines each, so that any zstd reads the whole, and whoever has the index
 * reads only the frame that he needs (docs/formats.md, "The listing of a mirror", "The listing of a base"). The list of members of a pack of a mirror is
 * the same format without an index.
 *
 *   listing_writer_new(), …_add(), …_finish()    writing; the index comes at the end
 *   listing_index_decode(), listing_reader_…()   reading by the index: from a key on
 *   listing_scan_…()                             reading all of it, as its bytes come
 *
 * Memory: some 100 bytes and a key for each frame, and two frames. Pure; each belongs to one thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/json.h>
#include <stdint.h>

/** LISTING_VERSION - what is written, and read. */
#define LISTING_VERSION 1
/** LISTING_FRAME_LINES - of a frame, at most; LISTING_FRAME_BYTES - of its lines; LISTING_LINE_BYTES - of a line. A frame may have fewer of either. */
#define LISTING_FRAME_LINES 1024
#define LISTING_FRAME_BYTES ((size_t)1 << 20)
#define LISTING_LINE_BYTES  ((size_t)768 << 10)
/** MANIFEST_ROLE_LISTING, …_INDEX, …_MEMBERS - the roles of the objects that hold these. */
#define MANIFEST_ROLE_LISTING       "listing"
#define MANIFEST_ROLE_LISTING_INDEX "listing-index"
#define MANIFEST_ROLE_MEMBERS       "members"

/** LISTING_KIND_MIRROR, LISTING_KIND_BASE - the kinds of artifacts, and of parts of bundles, that have a listing. */
#define LISTING_KIND_MIRROR "mirror"
#define LISTING_KIND_BASE   "base"
/** listing_is_kind() - is that one of them? NULL is none. */
bool listing_is_kind(const char *kind);

/** enum listing_format - what its lines say: of a mirror an object, a stretch of one pack; of a base a file of a cluster, in runs, or a directory. */
enum listing_format { LISTING_MIRROR, LISTING_BASE };
/** listing_pack_suffix() - of the path of its packs, which are packs/JOB/DIRECTORY/NUMBER and that: ".tar", ".tar.zst". */
const char *listing_pack_suffix(enum listing_format format);

/** struct listing_head - the first line; all heap. */
struct listing_head {
	enum listing_format format;
	char *job;    /* whose packs its objects are in: packs/JOB/ */
	char *source; /* "s3://documents/prefix"; of a base which cluster it is, in words */
	int64_t taken_at_us;
};
void listing_head_finish(struct listing_head *h);
static inline void cleanup_listing_head(struct listing_head *h)
{
	listing_head_finish(h);
}

/** struct listing_run - bytes [at, at + bytes) of a file of a base: at @place of what the pack is when it is decompressed. */
struct listing_run {
	uint64_t at, bytes;
	char *pack; /* "20261120T020000Z/00001": packs/JOB/20261120T020000Z/00001.tar.zst; NULL: these bytes are zeros */
	uint64_t place;
};

/** LISTING_CRC32C_BYTES - with NUL: eight lower-case digits, the number as "%08x" writes it. (A backup_manifest of PostgreSQL has the same bytes the other way round.) */
#define LISTING_CRC32C_BYTES 9

/** struct listing_entry - an object, or a file or directory of a cluster; all heap. What belongs to the other format is empty. */
struct listing_entry {
	enum listing_format format;
	char *key; /* as the source has it; the line has its shown name. Of a directory without '/' at its end */
	uint64_t bytes;
	int64_t modified_us;
	/* Of a base. Runs are in order, and cover [0, bytes) exactly; a directory has none. */
	bool is_directory;
	unsigned mode;                     /* the bits 07777 */
	char crc32c[LISTING_CRC32C_BYTES]; /* of all bytes of a file; "": not known */
	struct listing_run *runs;
	size_t run_count;
	uint64_t
	        sums_at; /* of its first page, in the page sums of the base (keepfs/codec/page_sums.h); 0: it has none */
	/* Of a mirror. */
	char *etag;
	char *version_id; /* NULL: the source keeps no versions */
	char *type;       /* NULL: not known */
	struct json *
	        meta; /* an object of strings, by the names of headers: "x-amz-meta-owner", "content-encoding"; NULL: none */
	char sha256[SHA256_HEX_BYTES];
	char *pack;  /* "20261120T020000Z/00001": packs/JOB/20261120T020000Z/00001.tar */
	uint64_t at; /* in it, of its first byte */
};
void listing_entry_finish(struct listing_entry *e);
static inline void cleanup_listing_entry(struct listing_entry *e)
{
	listing_entry_finish(e);
}

/** listing_entry_encode() - append its line, with a line end. */
void listing_entry_encode(const struct listing_entry *e, struct str *out);
/** listing_entry_decode() - from a line, with or without its end. @ret held nothing. -EBADMSG (ERROR_CORRUPT): it is no such line; the message says what is wrong. */
int listing_entry_decode(const char *line, size_t len, struct listing_entry *ret, struct error *err);
/** listing_line_key() - the key alone, of a line as listing_entry_encode() makes it, into @ret; what is behind it is not looked at. -EBADMSG: it is no such line. */
int listing_line_key(const char *line, size_t len, struct str *ret, struct error *err);
/** listing_pack_split() - "20261120T020000Z/00001" into the name of its directory and its number; false: it is no such name. */
bool listing_pack_split(const char *pack, char ret_directory[static 17], int64_t *ret_number);

/** listing_append_sum() - a line of a SHA256SUMS, of a file with that shown name, as sha256sum writes it and reads it. */
void listing_append_sum(struct str *out, const char *sha256, const char *name);

/** struct listing_out - whom the bytes of a listing are given; a negative return ends it with that and @err. */
struct listing_out {
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};
struct listing_writer;
/** listing_writer_new() - nothing is written yet. @out: copied; @head: only used here. */
struct listing_writer *listing_writer_new(const struct listing_head *head, const struct listing_out *out);
struct listing_writer *listing_writer_free(struct listing_writer *w); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(listing_writer, struct listing_writer *, listing_writer_free)
/** listing_writer_add() - the next object, of the format of the head. -EINVAL: its key is not behind the one before; -E2BIG: its line would be longer than LISTING_LINE_BYTES; what the
 * listing_out said. */
int listing_writer_add(struct listing_writer *w, const struct listing_entry *e, struct error *err);
/** listing_writer_add_line() - the same of an object whose line was made already, by listing_entry_encode(). */
int listing_writer_add_line(struct listing_writer *w, const struct listing_entry *e, const struct str *line,
                            struct error *err);
/** listing_writer_finish() - the last line; appends the index to @ret_index, NULL: nobody wants it. */
int listing_writer_finish(struct listing_writer *w, struct str *ret_index, struct error *err);
/** listing_writer_count(), listing_writer_bytes() - of the objects so far; the directories of a base are counted, too. */
uint64_t listing_writer_count(const struct listing_writer *w);
uint64_t listing_writer_bytes(const struct listing_writer *w);

struct listing_frame {
	char *first;       /* the key of its first object */
	uint64_t at;       /* in the listing, before it is encrypted */
	size_t bytes, raw; /* compressed, and its lines */
	uint32_t lines;
};
struct listing_index {
	enum listing_format format;
	struct listing_frame *frames;
	size_t count;
	uint64_t listing_bytes;
	uint64_t objects, bytes; /* of the listing: how many, and of them all */
};
void listing_index_finish(struct listing_index *x);
static inline void cleanup_listing_index(struct listing_index *x)
{
	listing_index_finish(x);
}
/** listing_index_decode() - @ret held nothing. -EBADMSG: it is damaged, -ENOTSUP: a newer keepfs has written it. */
int listing_index_decode(const char *text, size_t len, struct listing_index *ret, struct error *err);

/** struct listing_source - where the bytes of a listing are; read() fills all of @buf. */
struct listing_source {
	int (*read)(void *arg, uint64_t at, void *buf, size_t len, struct error *err);
	void *arg;
};
struct listing_reader;
/** listing_reader_new() - before the first object. Both are borrowed. */
struct listing_reader *listing_reader_new(const struct listing_index *index,
                                          const struct listing_source *source);
struct listing_reader *listing_reader_free(struct listing_reader *r); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(listing_reader, struct listing_reader *, listing_reader_free)
/** listing_reader_seek() - before the first object whose key is @key or behind it. Reads one frame at most. */
int listing_reader_seek(struct listing_reader *r, const char *key, struct error *err);
/** listing_reader_next() - 1: @ret, which held nothing, is the next object; 0: there are no more. -EBADMSG: the listing is damaged. */
int listing_reader_next(struct listing_reader *r, struct listing_entry *ret, struct error *err);
/** listing_reader_find() - 1: @ret is the object @key; 0: there is none. The next is the one behind it. */
int listing_reader_find(struct listing_reader *r, const char *key, struct listing_entry *ret,
                        struct error *err);

/** struct listing_scan_to - who is told of what a listing has; a negative return ends it. */
struct listing_scan_to {
	int (*head)(void *arg, const struct listing_head *head, struct error *err); /* NULL allowed */
	/* @e is finished behind the call; what is taken from it is set to NULL. */
	int (*entry)(void *arg, struct listing_entry *e, struct error *err);
	void *arg;
};
struct listing_scan;
struct listing_scan *listing_scan_new(const struct listing_scan_to *to); /* copied */
struct listing_scan *listing_scan_free(struct listing_scan *s);          /* NULL allowed; returns NULL */
DEFINE_CLEANUP(listing_scan, struct listing_scan *, listing_scan_free)
/** listing_scan_feed() - the next bytes of the object. -EBADMSG: it is no listing; -ENOTSUP: of a newer keepfs. */
int listing_scan_feed(struct listing_scan *s, const void *data, size_t len, struct error *err);
/** listing_scan_end() - that was all. -EBADMSG: it was cut off, or has another number of objects than its last line says. */
int listing_scan_end(struct listing_scan *s, struct error *err);
