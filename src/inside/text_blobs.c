// SPDX-License-Identifier: Apache-2.0
/*
 * The large objects of a text: where the digits of each of them are. pg_dump writes pieces of one length, so mostly a single run tells of all of them, and
 * a text of very many or very large objects costs some 70 bytes of the state directory for each.
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define STEP_BYTES ((size_t)32 << 10) /* that are decoded at once */

/* Noting. */

void inside_text_blobs_begin(struct inside_text_blobs *b, const char *state_dir)
{
	inside_text_blobs_finish(b);
	*b = (struct inside_text_blobs){.objects = spool_new(state_dir), .runs = spool_new(state_dir)};
}

void inside_text_blobs_finish(struct inside_text_blobs *b)
{
	spool_free(b->objects);
	spool_free(b->runs);
	free(b->kept_odd);
	*b = (struct inside_text_blobs){0};
}

static uint64_t runs_so_far(const struct inside_text_blobs *b)
{
	return spool_size(b->runs) / sizeof(struct inside_text_run);
}

int inside_text_blobs_add(struct inside_text_blobs *b, uint32_t oid, struct error *err)
{
	b->blob = (struct inside_text_blob){.oid = oid, .run = runs_so_far(b)};
	b->last = (struct inside_text_run){0};
	return 0;
}

/* All pieces of the run have one length, but that the last may be shorter, and one distance. */
static bool run_goes_on(struct inside_text_run *run, uint64_t digits_at, size_t bytes)
{
	uint64_t pieces;

	if (run->bytes == 0 || run->bytes % run->piece != 0 || bytes > run->piece)
		return false;
	pieces = run->bytes / run->piece;
	if (pieces == 1 && digits_at - run->digits_at <= UINT32_MAX)
		run->stride = (uint32_t)(digits_at - run->digits_at);
	return run->stride > 0 && digits_at == run->digits_at + pieces * run->stride;
}

static int put_run(struct inside_text_blobs *b, struct error *err)
{
	if (b->last.bytes == 0)
		return 0;
	b->blob.runs++;
	return spool_put(b->runs, &b->last, sizeof(b->last), err);
}

int inside_text_blobs_add_piece(struct inside_text_blobs *b, uint64_t digits_at, size_t bytes,
                                struct error *err)
{
	int r = 0;

	if (run_goes_on(&b->last, digits_at, bytes)) {
		b->last.bytes += bytes;
	} else {
		r = put_run(b, err);
		b->last = (struct inside_text_run){.digits_at = digits_at,
		                                   .at = b->blob.bytes,
		                                   .bytes = bytes,
		                                   .piece = (uint32_t)bytes};
	}
	b->blob.bytes += bytes;
	return r;
}

int inside_text_blobs_add_run(struct inside_text_blobs *b, const struct inside_text_run *run,
                              struct error *err)
{
	int r = put_run(b, err);

	b->last = *run;
	b->last.at = b->blob.bytes;
	b->blob.bytes += run->bytes;
	return r;
}

int inside_text_blobs_end_one(struct inside_text_blobs *b, struct error *err)
{
	int r = put_run(b, err);

	return r < 0 ? r : spool_put(b->objects, &b->blob, sizeof(b->blob), err);
}

static int get_blob_run(const struct inside_text_blobs *b, uint64_t number, struct inside_text_run *ret,
                        struct error *err)
{
	return spool_get(b->runs, ret, sizeof(*ret), number * sizeof(*ret), err);
}

int inside_text_blobs_each_run(const struct inside_text_blobs *b, const struct inside_text_blob *blob,
                               void (*each)(void *arg, const struct inside_text_run *run), void *arg)
{
	struct inside_text_run run;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < blob->runs; i++) {
		r = get_blob_run(b, blob->run + i, &run, NULL);
		if (r == 0)
			each(arg, &run);
	}
	return r;
}

int inside_text_blobs_count(const struct inside_text_blobs *b, uint64_t *ret, struct error *err)
{
	if (b->odd)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the large objects of this text cannot be shown: %s; psql restores it as it is",
		        b->odd);
	*ret = spool_size(b->objects) / sizeof(struct inside_text_blob);
	return 0;
}

/* Reading. */

/* The last one that begins at or before it. */
static int find_blob_run(const struct inside_text_blobs *b, const struct inside_text_blob *blob,
                         uint64_t offset, struct inside_text_run *ret, struct error *err)
{
	uint64_t low = blob->run, high = blob->run + blob->runs;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		int r = get_blob_run(b, middle, ret, err);

		if (r < 0)
			return r;
		if (ret->at <= offset)
			low = middle;
		else
			high = middle;
	}
	return get_blob_run(b, low, ret, err);
}

static int decode_digits(const char *digits, size_t bytes, uint8_t *to, struct error *err)
{
	for (size_t i = 0; i < bytes; i++) {
		uint8_t high = 0, low = 0;

		if (!lo_digit_value(digits[2 * i], &high) || !lo_digit_value(digits[2 * i + 1], &low))
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "the bytes of a large object are not where they were found");
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

/* As far as one piece of it goes. */
struct stretch {
	uint64_t digits_at;
	size_t bytes;
};

static struct stretch stretch_of(const struct inside_text_run *run, uint64_t offset, size_t len)
{
	uint64_t within = offset - run->at, piece = within / run->piece, skipped = within % run->piece;
	uint64_t left = run->piece - skipped;

	if (left > run->bytes - within)
		left = run->bytes - within;
	if (left > STEP_BYTES)
		left = STEP_BYTES;
	return (struct stretch){.digits_at = run->digits_at + piece * run->stride + 2 * skipped,
	                        .bytes = left < len ? (size_t)left : len};
}

static int member_of_all(const struct inside_dump *d, struct inside_member *m, struct error *err)
{
	int r = inside_member_of_text(d, m, err);

	m->key = INSIDE_KEY_TEXT_BLOBS;
	m->points = r == 0 ? inside_points_ref(d->text_points) : NULL;
	m->surveyed = true;
	m->is_kept = d->text_is_kept;
	return r;
}

bool inside_text_blob_is_far(struct inside_dump *d, const struct inside_text_blob *blob, uint64_t offset)
{
	_cleanup(inside_member) struct inside_member m = {0};
	struct inside_text_run run;

	return offset < blob->bytes && member_of_all(d, &m, NULL) == 0 &&
	       find_blob_run(&d->text_blobs, blob, offset, &run, NULL) == 0 &&
	       inside_seat_read_is_long(d, &m, stretch_of(&run, offset, 1).digits_at);
}

int inside_text_blob_pread(struct inside_dump *d, const struct inside_text_blob *blob, struct cancel *cancel,
                           void *buf, size_t len, uint64_t offset, struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {0};
	_cleanup(free) char *digits = mem_alloc(2 * STEP_BYTES);
	struct inside_text_run run = {0};
	uint8_t *to = buf;
	int r = member_of_all(d, &m, err);

	while (r == 0 && len > 0) {
		struct stretch s;
		ssize_t n;

		if (offset >= run.at + run.bytes)
			r = find_blob_run(&d->text_blobs, blob, offset, &run, err);
		if (r < 0)
			break;
		s = stretch_of(&run, offset, len);
		n = inside_seat_read(d, &m, cancel, digits, 2 * s.bytes, s.digits_at, err);
		r = n < 0 ? (int)n : decode_digits(digits, s.bytes, to, err);
		if (n >= 0 && r < 0 && m.is_kept)
			inside_do_without_kept(d, &m);
		to += s.bytes;
		offset += s.bytes;
		len -= s.bytes;
	}
	return r;
}
