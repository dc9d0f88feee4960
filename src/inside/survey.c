// SPDX-License-Identifier: Apache-2.0
/* Reading all of a member once: to find where it can be entered, and what was not counted when the backup was made. */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/rows.h>

#include <errno.h>

#define SURVEY_STEP_BYTES                                                                                    \
	((size_t)64 << 10) /* what comes before something that is damaged is told, as far as that */

struct survey {
	struct inside_stream stream;
	struct inside_found found;
	char *buf;
	int (*take)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
	bool taker_failed;
};

static void cleanup_survey(struct survey *s)
{
	inside_stream_finish(&s->stream);
	cleanup_inside_found(&s->found);
	free(s->stream.in);
	free(s->buf);
}

static int read_to_end(struct survey *s, struct cancel *cancel, struct error *err)
{
	ssize_t n;
	int r = 0;

	do {
		n = inside_stream_read(&s->stream, s->buf, SURVEY_STEP_BYTES, cancel, err);
		if (n > 0 && s->take)
			r = s->take(s->arg, s->buf, (size_t)n, err);
		s->taker_failed = r < 0;
	} while (r == 0 && n == (ssize_t)SURVEY_STEP_BYTES);
	return n < 0 ? (int)n : r;
}

static int survey_once(struct survey *s, const struct inside_member *m, bool finds, struct cancel *cancel,
                       struct error *err)
{
	struct inside_member whole = *m;
	int r;

	whole.points = NULL;
	s->stream.found = finds ? &s->found : NULL;
	s->stream.may_enter = false;
	r = inside_stream_enter(&s->stream, &whole, 0, err);
	return r < 0 ? r : read_to_end(s, cancel, err);
}

int inside_survey_member(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                         int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                         void (*again)(void *arg), struct inside_surveyed *ret, struct error *err)
{
	_cleanup(survey) struct survey s = {
	        .stream = {.dump = d, .in = mem_alloc(INSIDE_HAVE_BYTES), .in_cap = INSIDE_HAVE_BYTES},
	        .buf = mem_alloc(INSIDE_HAVE_BYTES),
	        .take = take,
	        .arg = arg,
	};
	struct error why = {0};
	int r = survey_once(&s, m, true, cancel, &why);

	/* What looked like the begin of a segment goes back to what came before: it was not keepfs that has written it. */
	if (r == -EBADMSG && s.stream.may_enter && !s.taker_failed) {
		s.found.count = s.found.check_left = 0;
		if (again)
			again(arg);
		r = survey_once(&s, m, false, cancel, &why);
	}
	if (r < 0) {
		if (err)
			*err = why;
		return inside_blame(d, r, err);
	}
	*ret = (struct inside_surveyed){.points = inside_found_take(&s.found), .bytes = s.stream.raw_at};
	inside_known_put(d, m->key, ret);
	return 0;
}

int inside_learn_member(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                        uint64_t *ret_bytes, struct error *err)
{
	_cleanup(inside_surveyed) struct inside_surveyed x = {0};
	int r = 0;

	if (!inside_kept_member(d, m, &x)) {
		r = inside_survey_member(d, m, cancel, NULL, NULL, NULL, &x, err);
		if (r == 0)
			inside_keep_member(d, m, &x);
	}
	if (r == 0)
		*ret_bytes = x.bytes;
	return r;
}

int inside_read_stored(struct inside_dump *d, uint64_t begin, uint64_t end, struct cancel *cancel,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err)
{
	_cleanup(survey) struct survey s = {
	        .stream = {.dump = d, .in = mem_alloc(INSIDE_HAVE_BYTES), .in_cap = INSIDE_HAVE_BYTES},
	        .buf = mem_alloc(INSIDE_HAVE_BYTES),
	        .take = take,
	        .arg = arg,
	};
	const struct inside_member m = {.file_ino = d->ino, .begin = begin, .end = end};
	int r = inside_stream_enter(&s.stream, &m, 0, err);

	return r < 0 ? r : read_to_end(&s, cancel, err);
}

/* Rows. */

static int count_rows(void *arg, const void *data, size_t len, struct error *err)
{
	rows_scan_feed(arg, data, len);
	return 0;
}

static void count_again(void *arg)
{
	struct rows dropped = {0};

	rows_scan_end(arg, &dropped);
}

static int survey_rows(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                       struct rows *ret, struct error *err)
{
	_cleanup(inside_surveyed) struct inside_surveyed x = {0};
	struct rows_scan *scan = rows_scan_new();
	int r = inside_survey_member(d, m, cancel, count_rows, scan, count_again, &x, err);

	if (r == 0 && (!rows_scan_end(scan, &x.rows) || x.bytes != x.rows.bytes + INSIDE_END_BYTES))
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "the rows of a table are cut off");
	rows_scan_free(scan);
	if (r < 0)
		return r;
	x.has_rows = true;
	inside_keep_member(d, m, &x);
	*ret = x.rows;
	return 0;
}

static bool has_kept_rows(struct inside_dump *d, const struct inside_member *m, struct rows *ret)
{
	_cleanup(inside_surveyed) struct inside_surveyed x = {0};
	bool has = inside_kept_member(d, m, &x) && x.has_rows;

	if (has)
		*ret = x.rows;
	return has;
}

/* One thread does it; those who waited for that find it done. */
static int count_table(struct inside_dump *d, struct inside_entry *e, const struct inside_member *m,
                       struct cancel *cancel, struct error *err)
{
	struct rows rows = {0};
	bool counted;
	int r;

	pthread_mutex_lock(&d->lock);
	counted = e->has_counts;
	pthread_mutex_unlock(&d->lock);
	r = counted || has_kept_rows(d, m, &rows) ? 0 : survey_rows(d, m, cancel, &rows, err);
	if (r < 0 || counted)
		return r;
	pthread_mutex_lock(&d->lock);
	e->expected = rows;
	e->has_counts = e->has_hash = true;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

int inside_survey_table(struct inside_dump *d, uint32_t number, struct cancel *cancel, struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {0};
	int r = inside_member_of_table(d, number, cancel, &m, err);

	if (r == 0)
		r = inside_once_begin(d, &d->surveying, cancel, err);
	if (r < 0)
		return r;
	r = count_table(d, inside_entry_of(d, number), &m, cancel, err);
	inside_once_end(d, &d->surveying);
	return r;
}
