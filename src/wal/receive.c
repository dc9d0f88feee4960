// SPDX-License-Identifier: Apache-2.0
/*
 * A stream. Its thread sleeps in one place, until there is a message, a worker is done, or something is due: a report, a piece of a tail, the end of patience with a server that says nothing. What the server is told to be durable
 * is so: the begin of the stream, since all before it is in the archive, and from there on what the workers have stored, without a hole.
 *
 * A server that shuts down waits until all that it has sent was reported as durable; it asks for a reply then, and the tail is made at once. When it is gone, what it has sent is stored before anything else is done.
 */
#include "receive.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define SILENT_MS                                                                                            \
	30000 /* and three intervals at least: a server that says nothing for so long, and was asked, is gone */

/* What is told of it. */

static void tell_stream_progress(struct receiving *s)
{
	struct receiver *r = s->r;

	pthread_mutex_lock(&r->lock);
	r->state.timeline = s->timeline;
	r->state.server_lsn = s->server_lsn > s->position ? s->server_lsn : s->position;
	r->state.received_lsn = s->position;
	r->state.durable_lsn = s->segments.durable;
	if (s->segments.durable >= s->position)
		r->mark_lsn = 0;
	else if (!r->mark_lsn || s->segments.durable >= r->mark_lsn) {
		r->mark_lsn = s->position;
		r->mark_ms = clock_mono_ms();
	}
	pthread_mutex_unlock(&r->lock);
}

/* Messages. */

/* False: there is no room now. */
static bool take_some(struct receiving *s)
{
	struct pg_stream_message *m = &s->rest;
	size_t room, len;

	if (!s->open)
		s->open = gathering_open(&s->segments, s->timeline, s->position, s->branch_lsn);
	if (!s->open)
		return false;
	room = (size_t)(s->segment_bytes - s->open->raw.bytes);
	len = m->len < room ? m->len : room;
	gathering_append(&s->segments, s->open, m->data, len);
	m->data += len;
	m->lsn += len;
	m->len -= len;
	s->position += len;
	if (len == room)
		s->open = NULL;
	if (!s->unsaved_ms || !s->open)
		s->unsaved_ms = s->open ? clock_mono_ms() : 0;
	return true;
}

static int take_data(struct receiving *s, struct error *err)
{
	if (s->rest.lsn != s->position)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server goes on at %llX, and %llX was to come: the stream is begun anew",
		                 (unsigned long long)s->rest.lsn, (unsigned long long)s->position);
	while (s->rest.len > 0 && take_some(s))
		;
	return 0;
}

static int take_message(struct receiving *s, struct error *err)
{
	int r;

	s->heard_ms = clock_mono_ms();
	s->asked = false;
	if (s->rest.server_lsn > s->server_lsn)
		s->server_lsn = s->rest.server_lsn;
	if (s->rest.kind == PG_STREAM_KEEPALIVE) {
		s->is_in_haste |= s->rest.wants_reply;
		if (s->rest.wants_reply)
			s->report_at_ms = 0;
		return 0;
	}
	r = take_data(s, err);
	gathering_spool(&s->segments);
	return r;
}

/* What is due. */

static int report_durable(struct receiving *s, struct error *err)
{
	int64_t now_ms = clock_mono_ms();
	bool is_new = s->segments.durable != s->reported;
	int r;

	if (!is_new && now_ms < s->report_at_ms)
		return 0;
	/* It need not say anything by itself as long as it is told that somebody is there. */
	r = pg_stream_report(s->pg, s->segments.durable, !is_new && !s->asked, err);
	s->asked |= !is_new;
	s->reported = s->segments.durable;
	s->report_at_ms = now_ms + s->interval_ms;
	return r;
}

static int64_t tail_at_ms(const struct receiving *s)
{
	int64_t after_ms = s->is_in_haste ? 0 : s->r->settings.tail_ms;

	return s->open && s->unsaved_ms ? s->unsaved_ms + after_ms : INT64_MAX;
}

/* Return: when it is to be looked at again; INT64_MAX: when something has happened. */
static int64_t tail_if_due(struct receiving *s)
{
	int64_t at_ms = tail_at_ms(s);

	if (at_ms == INT64_MAX || clock_mono_ms() < at_ms)
		return at_ms;
	if (!gathering_can_tail(&s->segments, s->open))
		return INT64_MAX;
	gathering_tail(&s->segments, s->open);
	s->unsaved_ms = 0;
	s->is_in_haste = false;
	return INT64_MAX;
}

/* What has come while the last piece was made waits from now on. */
static void note_unsaved(struct receiving *s)
{
	bool is_unsaved;

	if (!s->open || s->unsaved_ms)
		return;
	pthread_mutex_lock(&s->r->lock);
	is_unsaved = !s->open->is_tailing && s->open->raw.bytes > s->open->tail_end;
	pthread_mutex_unlock(&s->r->lock);
	if (is_unsaved)
		s->unsaved_ms = clock_mono_ms();
}

static int64_t silent_until_ms(const struct receiving *s)
{
	int64_t ms = 3 * s->interval_ms;

	return s->heard_ms + (ms > SILENT_MS ? ms : SILENT_MS);
}

static int fail_silent(struct error *err)
{
	return error_set(err, ERROR_TIMEOUT, ETIMEDOUT,
	                 "the server has said nothing for %d s, though it was asked: the connection is dead",
	                 SILENT_MS / 1000);
}

static void clear_wake(const struct receiver *r)
{
	uint64_t count;

	(void)!read(r->wake_fd, &count, sizeof(count));
}

/* Bytes that there is no room for are kept, and nothing more is read. */
static bool is_full(const struct receiving *s)
{
	return s->rest.kind == PG_STREAM_DATA && s->rest.len > 0;
}

static int look_around_stream(struct receiving *s, int64_t *ret_until_ms, struct error *err)
{
	int64_t tail_ms, until_ms;
	bool stored;
	int r = gathering_settle(&s->segments, &stored, err);

	if (r == 0 && is_full(s))
		r = take_data(s, err);
	if (r < 0)
		return r;
	note_unsaved(s);
	gathering_spool(&s->segments);
	tail_ms = tail_if_due(s);
	tell_stream_progress(s);
	r = report_durable(s, err);
	until_ms = s->report_at_ms < tail_ms ? s->report_at_ms : tail_ms;
	if (is_full(s))
		s->heard_ms = clock_mono_ms();
	else if (clock_mono_ms() >= silent_until_ms(s))
		return fail_silent(err);
	*ret_until_ms = until_ms < silent_until_ms(s) ? until_ms : silent_until_ms(s);
	return r;
}

static int stream_timeline(struct receiving *s, struct error *err)
{
	/* What came first was not looked at. */
	int r = s->has_first ? take_message(s, err) : 0;

	s->has_first = false;
	while (r == 0 && !s->is_over) {
		struct pg_stream_wait wait = {.wake_fd = s->r->wake_fd};

		r = look_around_stream(s, &wait.until_ms, err);
		if (r < 0)
			break;
		wait.only_writes = is_full(s);
		r = pg_stream_next(s->pg, &wait, &s->rest, err);
		if (r == PG_STREAM_MESSAGE)
			r = take_message(s, err);
		else if (r == PG_STREAM_OVER)
			s->is_over = true;
		if (r == PG_STREAM_NOTHING)
			clear_wake(s->r);
		r = r < 0 ? r : 0;
	}
	return r;
}

int receiving_end_timeline(struct receiving *s, struct error *err)
{
	int r = pg_stream_end(s->pg, &s->next_timeline, &s->next_lsn, err);

	s->is_ended = r == 0;
	return r;
}

int receiving_start(struct receiving *s, struct error *err)
{
	int r = pg_stream_start(s->pg, s->r->settings.slot, s->position, s->timeline, &s->is_over, err);

	s->is_ended = s->has_first = false;
	s->rest = (struct pg_stream_message){0};
	s->heard_ms = s->report_at_ms = clock_mono_ms();
	s->asked = false;
	return r;
}

/* The log goes on with another timeline, from the begin of the segment in which it has left this one; what has come of that segment under its old name stays a tail until it is there under the new one. */
static int follow_timeline(struct receiving *s, struct error *err)
{
	char place[WAL_LSN_BYTES];
	int r;

	gathering_flush(&s->segments, s->open);
	log_info("[cluster %s]: timeline %u ended at %s, and the log goes on with timeline %u",
	         s->r->settings.job, s->timeline, wal_lsn_format(s->next_lsn, place), s->next_timeline);
	gathering_drop_open(&s->segments, s->open);
	s->open = NULL;
	s->unsaved_ms = 0;
	r = receiving_begin_timeline(s, s->next_timeline, s->next_lsn, err);
	if (r == 0)
		r = receiving_start(s, err);
	if (r == 0)
		s->segments.durable = s->position;
	return r;
}

static int stream_on(struct receiving *s, struct error *err)
{
	int r = 0;

	s->segments.durable = s->position;
	receiver_phase(s->r, WAL_RECEIVER_STREAMING);
	while (r == 0) {
		if (!s->is_over)
			r = stream_timeline(s, err);
		if (r == 0 && !s->is_ended)
			r = receiving_end_timeline(s, err);
		if (r < 0 || s->next_timeline == 0)
			break;
		r = follow_timeline(s, err);
	}
	gathering_flush(&s->segments, s->open);
	tell_stream_progress(s);
	return r;
}

static void tell_stream_begin(const struct receiving *s)
{
	char place[WAL_LSN_BYTES];

	log_info("[cluster %s]: its WAL is streamed from %s on, timeline %u, by the slot %s",
	         s->r->settings.job, wal_lsn_format(s->position, place), s->timeline, s->r->settings.slot);
}

int receiving_run(struct receiver *r, struct error *err)
{
	struct receiving s = {.r = r};
	int result = receiving_begin(&s, err);

	if (result == 0) {
		tell_stream_begin(&s);
		result = stream_on(&s, err);
	}
	/* The server is let go first: another one may wait for the slot. */
	pg_replication_free(s.pg);
	if (s.has_segments)
		gathering_finish(&s.segments);
	return result;
}
