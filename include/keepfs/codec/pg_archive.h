#pragma once
/**
 * PostgreSQL's custom archive format (pg_dump -Fc), versions 1.12 to 1.16, read as a stream: header, table of
 * contents, data blocks to the end. Pure: fed with pieces of any size, it keeps only what it is in the middle
 * of. Source: src/bin/pg_dump/pg_backup_archiver.c (WriteHead, WriteToc), pg_backup_custom.c. Layout:
 * docs/formats.md.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_archive_scan;

struct pg_archive_facts {
	unsigned version_major, version_minor, version_rev;
	char database[256];
	char server_version[128];
	char tool_version[128];
	uint64_t toc_entries;
	uint64_t data_entries; /* entries that must have a data block */
	uint64_t data_blocks;  /* blocks seen */
};

struct pg_archive_scan *pg_archive_scan_new(void);
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
/** pg_archive_scan_facts() - what was learned; complete after pg_archive_scan_end() returned 0. Borrowed. */
const struct pg_archive_facts *pg_archive_scan_facts(const struct pg_archive_scan *scan);
