// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * backup_manifest, written as PostgreSQL writes it (https://www.postgresql.org/docs/current/backup-manifest-format.html), file by file: for pg_verifybackup, and for a server from
 * 17 on, which takes it as what an earlier backup had (UPLOAD_MANIFEST). Memory: what was written since the caller emptied @out. Pure; one thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stdint.h>

/** struct base_manifest_range - WAL that the backup needs */
struct base_manifest_range {
	uint32_t timeline;
	uint64_t start_lsn, end_lsn;
};
/** struct base_manifest_written - a file of it. @has_crc32c: false: nothing is said of its content, as a server allows it and pg_verifybackup takes it, too. */
struct base_manifest_written {
	const char *path; /* any bytes but NUL; such as are no UTF-8 are written as hexadecimal digits */
	uint64_t bytes;
	int64_t modified_us;
	bool has_crc32c;
	uint32_t crc32c;
};

struct base_manifest_writer;
/** base_manifest_writer_new() - @system_id: of the cluster, in version 2 of the format, which servers from 17 on write and want; 0: version 1. Its lines are appended to @out, the caller's,
 * which may be emptied between calls, and must outlive the writer. */
struct base_manifest_writer *base_manifest_writer_new(uint64_t system_id, struct str *out);
struct base_manifest_writer *
base_manifest_writer_free(struct base_manifest_writer *w); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(base_manifest_writer, struct base_manifest_writer *, base_manifest_writer_free)
/** base_manifest_writer_add() - the next file. */
void base_manifest_writer_add(struct base_manifest_writer *w, const struct base_manifest_written *f);
/** base_manifest_writer_end() - those were all: the WAL, and the checksum of it all. */
void base_manifest_writer_end(struct base_manifest_writer *w, const struct base_manifest_range *range);
