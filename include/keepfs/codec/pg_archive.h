// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * PostgreSQL's custom archive format (pg_dump -Fc), versions 1.12 to 1.16, read as a stream: header, table of
 * contents, data blocks to the end; and toc.dat of the directory format (pg_dump -Fd), which is the first two. Pure: fed with pieces of any size, it keeps only what it is in the middle
 * of. Source: src/bin/pg_dump/pg_backup_archiver.c (WriteHead, WriteToc), pg_backup_custom.c, pg_backup_directory.c. Layout:
 * docs/formats.md.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_archive_scan;

enum pg_archive_compression {
	PG_ARCHIVE_NONE = 0, /* the values of versions from 1.15 on */
	PG_ARCHIVE_GZIP = 1,
	PG_ARCHIVE_LZ4 = 2,
	PG_ARCHIVE_ZSTD = 3
};

enum pg_archive_format { PG_ARCHIVE_CUSTOM = 1, PG_ARCHIVE_DIRECTORY = 3 }; /* the values of archives */

struct pg_archive_facts {
	enum pg_archive_format format;
	unsigned version_major, version_minor, version_rev;
	enum pg_archive_compression compression;
	uint64_t compression_at; /* offset of that field: an integer up to 1.14, a byte from 1.15 on */
	unsigned offset_bytes;   /* size of an offset in the table of contents: 4 or 8 */
	char database[256];
	char server_version[128];
	char tool_version[128];
	/* When it was begun, by the clock on the wall where pg_dump ran, as struct tm has it: second, minute, hour, day, month from 0, years since 1900, summer time. */
	int date[7];
	uint64_t toc_entries;
	uint64_t toc_end;      /* offset of the first data block: size of header and table of contents */
	uint64_t data_entries; /* entries that must have a data block */
	uint64_t data_blocks;  /* blocks seen */
};

struct pg_archive_entry { /* of the table of contents; the texts are borrowed for the call, "" for NULL */
	int dump_id;
	bool has_data;
	const char *oid;  /* of the table, for TABLE DATA */
	const char *tag;  /* the table's name, for TABLE DATA */
	const char *desc; /* "TABLE DATA", "BLOBS", "BLOB METADATA", … */
	const char *defn;
	const char *copy_stmt; /* "COPY public.t (a, b) FROM stdin;\n" */
	const char *namespace;
	const char *tablespace; /* "" is the database's own */
	const char *owner;      /* a role */
	const char *
	        file_name; /* of the directory format: what holds its data, without ".gz"; "" when it has none */
	const int *dependencies;
	size_t dependency_count;
	uint64_t
	        place_at; /* of the custom format: offset of the state byte before the entry's offset field */
};

/** struct pg_archive_events - what the scan tells while it is fed. Every member may be NULL. A negative
 * return ends the scan with that and the filled @err. */
struct pg_archive_events {
	int (*entry)(void *arg, const struct pg_archive_entry *entry, struct error *err);
	/* In each entry, before its offset field is read: the state byte in front of it is at @place_at, and
	 * everything before that was fed. */
	int (*place)(void *arg, uint64_t place_at, struct error *err);
	int (*toc_end)(void *arg, const struct pg_archive_facts *facts, struct error *err);
	int (*block)(void *arg, int dump_id, bool blobs, struct error *err); /* a data block begins */
	int (*blob)(void *arg, uint32_t oid,
	            struct error *err); /* a large object begins, in a block of them */
	int (*chunk)(void *arg, size_t len,
	             struct error *err); /* so many bytes of data that were written at once */
	int (*data)(void *arg, const void *data, size_t len, struct error *err);
	int (*blob_end)(void *arg, struct error *err);
	int (*block_end)(void *arg, struct error *err);
	void *arg;
};

/** pg_archive_scan_new() - @events is copied; NULL: only check. Texts of entries are kept only when
 * events->entry is set, each at most 64 MiB (longer: -EFBIG), and so are the numbers of what an entry depends on. */
struct pg_archive_scan *pg_archive_scan_new(const struct pg_archive_events *events);
struct pg_archive_scan *pg_archive_scan_free(struct pg_archive_scan *scan);
/**
 * pg_archive_scan_feed() - the next @len bytes
 * Return: 0; -EBADMSG when the bytes are no archive (message with the offset); -ENOTSUP for a version not
 * known here. After a failure every further call returns the same.
 */
int pg_archive_scan_feed(struct pg_archive_scan *scan, const void *data, size_t len, struct error *err);
/**
 * pg_archive_scan_end() - the stream has ended: was the archive whole?
 * Return: 0; -EBADMSG when it ended inside header, table of contents or a block, or an entry with data had no
 * block.
 */
int pg_archive_scan_end(struct pg_archive_scan *scan, struct error *err);
/** pg_archive_scan_offset() - of the next byte: in the events `block` and `blob` of the length of their first chunk. Any time. */
uint64_t pg_archive_scan_offset(const struct pg_archive_scan *scan);
/** pg_archive_scan_facts() - what was learned; complete after pg_archive_scan_end() returned 0. Borrowed. */
const struct pg_archive_facts *pg_archive_scan_facts(const struct pg_archive_scan *scan);
