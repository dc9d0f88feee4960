// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Reads the records of the write-ahead log, segment after segment, as its bytes pass: what was committed when, restore points, checkpoints,
 * switches of timelines, and where the valid records end.
 *
 * wal_scan_begin() says which segment's bytes come now, wal_scan_feed() takes them, in pieces of any size. When the next segment follows the
 * last one, a record that spans both is read as a whole, whether the new one is of the same timeline or of one that branched off. Else what the
 * segment begins with may be the rest of a record that began before it: it is passed over, and is told by nobody. A record is told once its
 * last byte has come and its checksum is right.
 *
 * Where PostgreSQL's recovery would stop, so does this: at a record without a length (the log was not written further), one that does
 * not point back at the one before it, one whose checksum is wrong, a page that is an old one of another place, a record that does not go on
 * where it should. What lies behind that means nothing, and may be anything.
 *
 * Memory is some KiB, whatever the size of records. Little-endian servers from PostgreSQL 13 to 18 (codec/wal_page.h).
 * Source: access/transam/xlogreader.c, access/xlogrecord.h, access/xact.h and catalog/pg_control.h of these versions. One thread at a time.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/wal_page.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_RECORD_HEADER_BYTES 24
#define WAL_RESTORE_POINT_BYTES 64 /* of a restore point's name, with NUL */

/* Resource managers whose records are looked into; others have other numbers. */
#define WAL_MANAGER_XLOG 0
#define WAL_MANAGER_XACT 1

enum wal_record_kind {
	WAL_RECORD_OTHER,
	WAL_RECORD_COMMIT, /* of a transaction, or of a prepared one */
	WAL_RECORD_ABORT,  /* a recovery to a time may stop before it as before a commit */
	WAL_RECORD_RESTORE_POINT,
	WAL_RECORD_CHECKPOINT,       /* when it begins a timeline, @old_timeline differs */
	WAL_RECORD_RECOVERY_END,     /* a server was promoted: it begins a timeline */
	WAL_RECORD_FULL_PAGE_WRITES, /* full_page_writes was changed; a checkpoint says it, too */
	WAL_RECORD_BACKUP_END,       /* a base backup was over: from here on it is consistent */
	WAL_RECORD_SWITCH            /* the rest of the segment is not used */
};

struct wal_record {
	uint64_t lsn; /* where it begins */
	uint64_t
	        end; /* where the next one begins, but for the header of a page; behind a switch: the end of the segment */
	uint64_t previous;    /* where the one before it began */
	uint32_t timeline;    /* that it is of */
	uint32_t bytes;       /* with its header, without those of pages within it */
	uint32_t image_bytes; /* of which are images of pages ("full page images") */
	uint32_t xid;         /* of who wrote it; 0: nobody who had one */
	uint8_t manager, info;

	enum wal_record_kind kind;
	int64_t at_us; /* of those that have a time, since 1970; of a checkpoint whole seconds; 0 of others */
	uint32_t
	        transaction; /* commit, abort: its xid; of a prepared one that of the transaction, not of who ends it */
	bool is_prepared;      /* commit, abort */
	bool is_shutdown;      /* checkpoint: of a server that was shut down, or was promoted */
	bool full_page_writes; /* checkpoint, full_page_writes: they are on */
	uint64_t redo; /* checkpoint: recovery from it reads from here; end of a backup: where that began */
	uint32_t
	        old_timeline; /* checkpoint, end of recovery: the one before; that of the record when none was begun */
	char name[WAL_RESTORE_POINT_BYTES]; /* restore point: bytes as they are, in whatever encoding */
};

/** enum wal_scan_end - why the valid records end */
enum wal_scan_end {
	WAL_END_NONE,     /* they do not, as far as was read */
	WAL_END_EMPTY,    /* a record of length 0: nothing was written there */
	WAL_END_PAGE,     /* a page that is none, or an old one of another place, version or timeline */
	WAL_END_LENGTH,   /* a length that no record has */
	WAL_END_MANAGER,  /* of a resource manager that the version does not have */
	WAL_END_PREVIOUS, /* it does not point back at the record before it */
	WAL_END_REST, /* it should go on on the next page, and does not; or something goes on that has not begun */
	WAL_END_CHECKSUM,
	WAL_END_CONTENT /* its checksum is right, and its parts are not as long as it says */
};

/** struct wal_scan_state - what is known so far. LSNs are 0 where there is none yet. */
struct wal_scan_state {
	struct wal_page_header
	        first;         /* of the present segment: version, system_id, segment_bytes, page_bytes */
	uint64_t segment_lsn;  /* where the present segment begins */
	uint64_t position;     /* of the next byte; where the records end: why_at */
	uint32_t timeline;     /* that records are of there */
	uint64_t first_record; /* the first valid one that begins in the present segment */
	uint64_t last_record;  /* the last valid one, of all segments that followed each other */
	uint64_t end;          /* of that one, as in struct wal_record: recovery would get this far */
	uint64_t open_record;  /* where one begins whose last byte has not come */
	enum wal_scan_end why;
	uint64_t why_at; /* the record or page that is not valid */
	char message
	        [200]; /* the same in words: "the record at 3/7A000028 has a wrong checksum"; "" where the records do not end */
};

struct wal_scan_options {
	struct wal_first_page_expected expected; /* of each segment */
	/* For each valid record, in order; borrowed until it returns. Negative: the scan ends with this. NULL: nobody asks. */
	int (*record)(void *arg, const struct wal_record *record, struct error *err);
	void *arg;
};

/** WAL_SCAN_ENDED - of wal_scan_feed(): the valid records have ended; the rest of this segment is not looked at. */
#define WAL_SCAN_ENDED 1

struct wal_scan;

struct wal_scan *wal_scan_new(const struct wal_scan_options *options);
/** wal_scan_copy() - another one that goes on where @s is, with @options of its own: several segments may follow one. */
struct wal_scan *wal_scan_copy(const struct wal_scan *s, const struct wal_scan_options *options);
struct wal_scan *wal_scan_free(struct wal_scan *s); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(wal_scan, struct wal_scan *, wal_scan_free)

/** wal_scan_begin() - the bytes of segment @name, or of the partial one, come next. Whether it follows what came before shows its first page. */
void wal_scan_begin(struct wal_scan *s, const struct wal_name *name);
/**
 * wal_scan_feed() - the next bytes of the segment
 *
 * Return: 0; WAL_SCAN_ENDED, then and from then on until the next wal_scan_begin(); as wal_first_page_check(), when the segment is
 * not what its name says; -EBADMSG: there are more bytes than the segment has; what options.record() returned. After a failure only
 * wal_scan_begin() and wal_scan_free() are allowed.
 */
int wal_scan_feed(struct wal_scan *s, const void *data, size_t len, struct error *err);
/** wal_scan_state() - what is known so far. Borrowed, changed by each call. */
const struct wal_scan_state *wal_scan_state(const struct wal_scan *s);
/**
 * wal_scan_meant_bytes() - how many of the bytes that were fed of the present segment mean something
 *
 * Up to where the last valid record ends; all of them, when a record goes on in the next segment, or there may be further ones. What lies
 * behind differs between a server and its standby, or before and after a crash: two files of one name hold the same when they agree in this
 * number, and in so many bytes.
 */
uint64_t wal_scan_meant_bytes(const struct wal_scan *s);
