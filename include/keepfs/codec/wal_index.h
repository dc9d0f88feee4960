// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is known of one segment of the write-ahead log, as one line of JSON: so that a time can be turned into a place of the log, and
 * whoever asks what can be recovered need not read the log again. Its format is in docs/formats.md, "The index of a WAL segment", and a promise.
 *
 *	wal_index_start()    a segment begins
 *	wal_index_add()      for each record that wal_scan_feed() tells
 *	wal_index_close()    the segment was read; bytes and sha256 are the caller's to fill in
 *	wal_index_encode(), wal_index_decode()
 *
 * A record belongs to the segment in which it ends, since it takes that one to replay it. So those that span two are told only where both are read by
 * one scan, one behind the other. Memory: lists of at most WAL_INDEX_LIST_MAX items. Pure; each belongs to one thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/wal_scan.h>

/** WAL_INDEX_VERSION - what is written, and read. */
#define WAL_INDEX_VERSION 1
/** WAL_INDEX_LIST_MAX - items of a list; what there is besides is counted in left_out. */
#define WAL_INDEX_LIST_MAX 256
/** WAL_INDEX_LINE_BYTES - a longer line is refused. */
#define WAL_INDEX_LINE_BYTES ((size_t)512 << 10)

enum wal_index_writes { WAL_WRITES_UNKNOWN, WAL_WRITES_ON, WAL_WRITES_OFF };

struct wal_index_commit {
	uint64_t lsn; /* 0: there is none */
	uint32_t xid;
	int64_t at_us;
};

struct wal_index_point {
	uint64_t lsn;
	int64_t at_us;
	char name
	        [WAL_RESTORE_POINT_BYTES]; /* what is no UTF-8 in it is U+FFFD when it was read from a line, and may be cut */
};

struct wal_index_checkpoint {
	uint64_t lsn, redo;
	int64_t at_us;
	bool is_shutdown;
};

struct wal_index_timeline { /* the log is that of another timeline from here on */
	uint64_t lsn;
	uint32_t from, to;
};

struct wal_index {
	struct wal_name name; /* of a segment, or a partial one */
	uint64_t system_id;
	unsigned version;              /* of PostgreSQL */
	uint64_t bytes;                /* of the file */
	char sha256[SHA256_HEX_BYTES]; /* of these, in hex; "": not known */
	uint64_t meant_bytes;          /* wal_scan_meant_bytes() */
	/* As in struct wal_scan_state: */
	uint64_t first_record, end, open_record;
	uint32_t timeline;
	uint64_t commits, aborts;
	struct wal_index_commit first_commit, last_commit; /* in the order of the log */
	/* The latest time of a commit or an abort; 0: there is none. Times need not grow with places: recovery to a time stops before the first one that
	 * is later, so it gets beyond this segment when, and only when, none of the segments before it and this one has a later one. */
	int64_t latest_us;
	/* The last number of a transaction that ended, as numbers follow each other (they begin again): so one whose number comes behind it had not ended. 0: there is none. */
	uint32_t highest_xid;
	struct wal_index_point *points;
	size_t point_count;
	struct wal_index_checkpoint *checkpoints;
	size_t checkpoint_count;
	struct wal_index_timeline *timelines;
	size_t timeline_count;
	uint64_t left_out;
	enum wal_index_writes full_page_writes; /* off, when they were at any place that says it */
};

void wal_index_finish(struct wal_index *x);
static inline void cleanup_wal_index(struct wal_index *x)
{
	wal_index_finish(x);
}

/** wal_index_start() - replaces @x. */
void wal_index_start(struct wal_index *x, const struct wal_name *name);
void wal_index_add(struct wal_index *x, const struct wal_record *r);
/** wal_index_close() - what the scan knows now that all bytes of the segment were fed. */
void wal_index_close(struct wal_index *x, const struct wal_scan *s);

/** wal_index_encode() - append the line, with its end. */
void wal_index_encode(const struct wal_index *x, struct str *out);
/** wal_index_decode() - from a line, with or without its end; replaces @x. -EBADMSG: it is none, and the message says why; -ENOTSUP: of a newer version. */
int wal_index_decode(const char *line, size_t len, struct wal_index *x, struct error *err);
