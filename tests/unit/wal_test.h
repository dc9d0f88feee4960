// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the tests of the scan share: a scan that writes down what it is told. */
#include "../support/wal_build.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEGMENT (UINT32_C(1) << 20)

struct told {
	struct str lines; /* of each record: place, end, timeline, manager, bytes, kind, transaction, time */
	struct wal_record last;
	size_t count;
	int fail_at; /* the record whose number this is makes it fail */
};

static inline void cleanup_told(struct told *t)
{
	str_finish(&t->lines);
}

static inline int tell(void *arg, const struct wal_record *r, struct error *err)
{
	struct told *t = arg;

	str_appendf(&t->lines,
	            "%" PRIx64 " %" PRIx64 " %" PRIu32 " %u %" PRIu32 " %d %" PRIu32 " %" PRId64 "\n", r->lsn,
	            r->end, r->timeline, r->manager, r->bytes, r->kind, r->transaction, r->at_us);
	t->last = *r;
	t->count++;
	return t->fail_at && (size_t)t->fail_at == t->count ? error_set(err, ERROR_INTERNAL, 5, "no more")
	                                                    : 0;
}

static inline struct wal_scan *scan_for(struct told *t)
{
	return wal_scan_new(&(struct wal_scan_options){.record = tell, .arg = t});
}

/* All segments that were built, and the begin of the last one, in pieces. */
static inline int scan_pieces(struct wal_scan *s, const struct wal_build *w, size_t piece, struct error *err)
{
	int r = 0;

	for (size_t at = 0; at < w->out.len && r == 0;) {
		size_t in_segment = w->segment_bytes - at % w->segment_bytes,
		       len = piece < in_segment ? piece : in_segment;
		struct wal_name name = wal_build_name(w, at / w->segment_bytes);

		if (at % w->segment_bytes == 0)
			wal_scan_begin(s, &name);
		if (len > w->out.len - at)
			len = w->out.len - at;
		r = wal_scan_feed(s, w->out.data + at, len, err);
		at += len;
	}
	return r;
}

static inline struct wal_scan *scan_all(const struct wal_build *w, struct told *t)
{
	struct wal_scan *s = scan_for(t);
	struct error err = {0};

	if (scan_pieces(s, w, SIZE_MAX, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}
