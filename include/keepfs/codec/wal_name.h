// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Places in the write-ahead log of a PostgreSQL cluster, and the names of the files that hold it.
 *
 * A place is an LSN: a number of bytes since the log began, written as its two halves in hex, "3/7A000028". The log is cut into
 * segments, all of one size that was chosen when the cluster was made. A file's name has the timeline, which gets a new number whenever a
 * server leaves recovery, and the place where the file begins: "0000000200000003000000F4" is of timeline 2; its second eight digits are
 * the upper half of the LSN, the last eight count segments within the 4 GiB that this half stands for. So which LSN a name means depends
 * on the size of segments, and @segment_bytes is one that wal_segment_bytes_valid() takes wherever it is an argument.
 *
 * Four kinds of files reach an archive:
 *	0000000200000003000000F4                    a segment
 *	0000000200000003000000F4.partial            what a promoted server had of the segment in which the old timeline ended
 *	00000003.history                            what timeline 3 came from (codec/wal_history.h)
 *	0000000200000003000000F4.00000028.backup    where a base backup began: a text that describes it
 *
 * Source: access/xlog_internal.h of PostgreSQL 13 to 18. All of this is pure; any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#define WAL_SEGMENT_BYTES_MIN (UINT32_C(1) << 20) /* of initdb --wal-segsize */
#define WAL_SEGMENT_BYTES_MAX (UINT32_C(1) << 30)

#define WAL_NAME_BYTES 41 /* of the longest name, with NUL */
#define WAL_LSN_BYTES  18 /* of an LSN as a text, with NUL */

enum wal_name_kind {
	WAL_NAME_SEGMENT,
	WAL_NAME_PARTIAL,
	WAL_NAME_HISTORY,
	WAL_NAME_BACKUP /* a "backup history file" */
};

struct wal_name {
	enum wal_name_kind kind;
	uint32_t timeline; /* from 1 */
	uint32_t log;      /* the upper half of the LSN; 0 of a history */
	uint32_t segment;  /* within that half; 0 of a history */
	uint32_t offset;   /* of a backup: where in the segment it began; 0 of others */
};

/** wal_segment_bytes_valid() - a power of two from 1 MiB to 1 GiB. */
bool wal_segment_bytes_valid(uint64_t bytes);

/**
 * wal_name_parse() - what a name says
 *
 * Return: 0; -EINVAL: no file of the log has this name. Digits are upper case, as PostgreSQL writes them, timeline 0 and the very first segment
 * never exist, and there is a size of segments that
 * the numbers are possible with: wal_name_fits() tells whether a given one is.
 */
int wal_name_parse(const char *text, struct wal_name *ret);
/** wal_name_format() - the inverse. */
void wal_name_format(const struct wal_name *name, char ret[static WAL_NAME_BYTES]);
/** wal_name_fits() - can there be such a file where segments have @segment_bytes? */
bool wal_name_fits(const struct wal_name *name, uint32_t segment_bytes);

/** wal_name_lsn() - where the file's segment begins; of a backup where the backup began; 0 of a history. @name fits. */
uint64_t wal_name_lsn(const struct wal_name *name, uint32_t segment_bytes);
/** wal_name_of_lsn() - the segment that has the byte at @lsn. */
struct wal_name wal_name_of_lsn(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes);
/** wal_name_of_end() - the segment that has the last byte before @lsn: the one that is needed to read up to there. @lsn is not 0. */
struct wal_name wal_name_of_end(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes);

/** wal_name_next() - the segment behind that of @name, on the same timeline. -ERANGE: there can be none; -EINVAL: @name is a history. */
int wal_name_next(const struct wal_name *name, uint32_t segment_bytes, struct wal_name *ret);
/** wal_name_previous() - the same for the one before. */
int wal_name_previous(const struct wal_name *name, uint32_t segment_bytes, struct wal_name *ret);

/**
 * wal_name_compare_place() - which of two segments comes first in the log, whatever their timelines: below, equal to or above 0
 *
 * Two segments of different timelines that compare equal overlap: at most the begin of both, up to where the newer timeline left the other,
 * is the same. Histories have no place; they come first.
 */
int wal_name_compare_place(const struct wal_name *a, const struct wal_name *b);
/** wal_name_compare() - a total order: by timeline, its history first, then by place, kind and offset. So do the names themselves sort, where
 * they are of one kind. */
int wal_name_compare(const struct wal_name *a, const struct wal_name *b);

/** wal_lsn_parse() - "3/7A000028", in either case, with or without zeros in front. -EINVAL: it is none. */
int wal_lsn_parse(const char *text, uint64_t *ret);
/** wal_lsn_format() - as PostgreSQL writes it, "3/7A000028"; returns @ret. */
const char *wal_lsn_format(uint64_t lsn, char ret[static WAL_LSN_BYTES]);
