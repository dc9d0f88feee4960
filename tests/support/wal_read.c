// SPDX-License-Identifier: Apache-2.0
/*
 * wal_read PIECE_BYTES FILE… - reads segments of the write-ahead log one behind the other, in pieces of that size, and writes a line for
 * each record, with blanks: where it begins and ends and where the one before begins, timeline, resource manager, info, bytes, bytes of images, xid,
 * kind, microseconds, transaction, redo, the timeline before, name. Behind each file: "file", meant bytes, why the records end, in words.
 */
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/wal_scan.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const kinds[] = {"other",        "commit",     "abort",      "point", "checkpoint",
                                    "recovery_end", "full_pages", "backup_end", "switch"};

static int show_record(void *arg, const struct wal_record *r, struct error *err)
{
	char lsn[WAL_LSN_BYTES], end[WAL_LSN_BYTES], previous[WAL_LSN_BYTES], redo[WAL_LSN_BYTES];

	printf("%s %s %s %" PRIu32 " %u %u %" PRIu32 " %" PRIu32 " %" PRIu32 " %s%s %" PRId64 " %" PRIu32
	       " %s %" PRIu32 " %s\n",
	       wal_lsn_format(r->lsn, lsn), wal_lsn_format(r->end, end),
	       wal_lsn_format(r->previous, previous), r->timeline, r->manager, r->info, r->bytes,
	       r->image_bytes, r->xid, kinds[r->kind], r->full_page_writes || r->is_prepared ? "+" : "",
	       r->at_us, r->transaction, wal_lsn_format(r->redo, redo), r->old_timeline, r->name);
	return 0;
}

static int read_pieces(struct wal_scan *s, int fd, size_t piece_bytes, struct error *err)
{
	_cleanup(free) uint8_t *piece = mem_alloc(piece_bytes);
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(fd, piece, piece_bytes)) > 0)
		r = wal_scan_feed(s, piece, (size_t)n, err);
	return r;
}

static int read_segment(struct wal_scan *s, const char *path, size_t piece_bytes, struct error *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct wal_name name;
	int r;

	if (fd < 0)
		return error_system(err, errno, "%s", path);
	if (wal_name_parse(slash ? slash + 1 : path, &name) < 0)
		return error_set(err, ERROR_USAGE, EINVAL, "%s has no name of a segment", path);
	wal_scan_begin(s, &name);
	r = read_pieces(s, fd, piece_bytes, err);
	printf("file %" PRIu64 " %d %s\n", wal_scan_meant_bytes(s), (int)wal_scan_state(s)->why,
	       wal_scan_state(s)->message);
	return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
	const struct wal_scan_options options = {.record = show_record};
	_cleanup(wal_scan) struct wal_scan *s = wal_scan_new(&options);
	struct error err = {0};

	for (int i = 2; i < argc; i++) {
		if (read_segment(s, argv[i], strtoul(argv[1], NULL, 10), &err) < 0) {
			fprintf(stderr, "%s\n", err.message);
			return 1;
		}
	}
	return 0;
}
