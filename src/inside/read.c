// SPDX-License-Identifier: Apache-2.0
/* All rows of a table, in order. */
#include "inside_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct reading {
	struct inside_stream stream;
	char *buf;
	size_t held; /* at its begin: what may be the end of the rows */
	uint64_t given;
	int (*take)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
	bool taker_failed;
};

static void cleanup_reading(struct reading *x)
{
	inside_stream_finish(&x->stream);
	free(x->stream.in);
	free(x->buf);
}

static int give_rows(struct reading *x, const char *data, size_t len, struct error *err)
{
	int r = len > 0 ? x->take(x->arg, data, len, err) : 0;

	x->given += len;
	x->taker_failed = r < 0;
	return r;
}

/* The end mark is not theirs: as many bytes as it has are held back until more came. */
static int read_marked(struct reading *x, struct cancel *cancel, struct error *err)
{
	ssize_t n;

	do {
		size_t room = INSIDE_HAVE_BYTES - x->held, all;
		int r;

		n = inside_stream_read(&x->stream, x->buf + x->held, room, cancel, err);
		if (n < 0)
			return (int)n;
		all = x->held + (size_t)n;
		if (all < INSIDE_END_BYTES && (size_t)n < room)
			break;
		r = give_rows(x, x->buf, all - INSIDE_END_BYTES, err);
		if (r < 0)
			return r;
		memmove(x->buf, x->buf + all - INSIDE_END_BYTES, INSIDE_END_BYTES);
		x->held = INSIDE_END_BYTES;
		if ((size_t)n < room)
			break;
	} while (true);
	if (x->held == INSIDE_END_BYTES && memcmp(x->buf, "\\.\n\n\n", INSIDE_END_BYTES) == 0)
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the rows of a table are cut off");
}

/* So many bytes, from where the range begins. */
static int read_rows_range(struct reading *x, const struct inside_member *m, struct cancel *cancel,
                           struct error *err)
{
	uint64_t end = m->raw_from + m->bytes;
	int r = 0;

	while (r == 0 && x->stream.raw_at < end) {
		uint64_t at = x->stream.raw_at, left = end - at;
		size_t want = left < INSIDE_HAVE_BYTES ? (size_t)left : INSIDE_HAVE_BYTES, skip = 0;
		ssize_t n = inside_stream_read(&x->stream, x->buf, want, cancel, err);

		if (n < 0)
			return (int)n;
		if (at < m->raw_from)
			skip = m->raw_from - at < (size_t)n ? (size_t)(m->raw_from - at) : (size_t)n;
		r = give_rows(x, x->buf + skip, (size_t)n - skip, err);
		if (r == 0 && (size_t)n < want)
			break;
	}
	return r;
}

static int check_given(const struct reading *x, const struct inside_member *m, struct error *err)
{
	if (m->bytes == INSIDE_NOT_KNOWN || x->given == m->bytes)
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the rows of a table have %" PRIu64 " bytes, and %" PRIu64 " were counted", x->given,
	                 m->bytes);
}

static int read_rows_of_member(struct reading *x, const struct inside_member *m, struct cancel *cancel,
                               struct error *err)
{
	int r = inside_stream_enter(&x->stream, m, m->raw_from, err);

	if (r == 0)
		r = m->has_end_mark ? read_marked(x, cancel, err) : read_rows_range(x, m, cancel, err);
	return r < 0 ? r : check_given(x, m, err);
}

int inside_read_rows(struct inside_dump *d, uint32_t number, struct cancel *cancel,
                     int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                     struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {0};
	_cleanup(reading) struct reading x = {
	        .stream = {.dump = d, .in = mem_alloc(INSIDE_HAVE_BYTES), .in_cap = INSIDE_HAVE_BYTES},
	        .buf = mem_alloc(INSIDE_HAVE_BYTES),
	        .take = take,
	        .arg = arg,
	};
	struct error why = {0};
	int r = inside_member_of_table(d, number, cancel, &m, &why);

	if (r == 0)
		r = read_rows_of_member(&x, &m, cancel, &why);
	if (r == -EBADMSG && m.is_kept && !why.damage && x.given == 0) {
		bool entered = inside_points_find(m.points, m.raw_from);

		inside_do_without_kept(d, &m);
		/* From its beginning it was read already. */
		if (entered) {
			x.held = 0;
			why = (struct error){0};
			r = read_rows_of_member(&x, &m, cancel, &why);
		}
	}
	if (r < 0 && err)
		*err = why;
	return r < 0 && !x.taker_failed ? inside_blame(d, r, err) : r;
}
