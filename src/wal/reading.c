// SPDX-License-Identifier: Apache-2.0
/*
 * Where servers are reading. One in recovery asks for one segment after the other, and nobody says which base it began with; so what lies at or behind the earliest segment that was opened lately stays, whatever the rules say. For each
 * archive that is remembered of two stretches of time: the one that goes on, and the one before.
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <stdlib.h>

#define STRETCH_MS (30 * 60 * 1000)

struct wal_reading {
	char job[CATALOG_WAL_JOB_BYTES];
	int64_t began_ms; /* of the stretch that goes on */
	struct wal_name now, before;
	bool has_now, has_before;
	struct wal_reading *next;
};

/* With the lock. */
static struct wal_reading *find_reading(const struct wal *w, const char *job)
{
	struct wal_reading *r = w->readings;

	while (r && !str_equal(r->job, job))
		r = r->next;
	return r;
}

static void turn_reading(struct wal_reading *r, int64_t now_ms)
{
	if (now_ms - r->began_ms < STRETCH_MS)
		return;
	r->before = r->now;
	r->has_before = r->has_now && now_ms - r->began_ms < 2 * STRETCH_MS;
	r->has_now = false;
	r->began_ms = now_ms;
}

void wal_note_reading(struct wal *w, const char *job, const char *name)
{
	struct wal_reading *r;
	struct wal_name parsed;

	if (wal_name_parse(name, &parsed) < 0 || parsed.kind != WAL_NAME_SEGMENT)
		return;
	pthread_mutex_lock(&w->lock);
	r = find_reading(w, job);
	if (!r) {
		r = mem_alloc(sizeof(*r));
		str_copy(r->job, sizeof(r->job), job);
		r->began_ms = clock_mono_ms();
		r->next = w->readings;
		w->readings = r;
	}
	turn_reading(r, clock_mono_ms());
	if (!r->has_now || wal_name_compare_place(&parsed, &r->now) < 0)
		r->now = parsed;
	r->has_now = true;
	pthread_mutex_unlock(&w->lock);
}

bool wal_reading_from(struct wal *w, const char *job, struct wal_name *ret)
{
	struct wal_reading *r;
	bool found;

	pthread_mutex_lock(&w->lock);
	r = find_reading(w, job);
	if (r)
		turn_reading(r, clock_mono_ms());
	found = r && (r->has_now || r->has_before);
	if (found)
		*ret = r->has_before && (!r->has_now || wal_name_compare_place(&r->before, &r->now) < 0)
		               ? r->before
		               : r->now;
	pthread_mutex_unlock(&w->lock);
	return found;
}

void wal_forget_readings(struct wal *w)
{
	while (w->readings) {
		struct wal_reading *r = w->readings;

		w->readings = r->next;
		free(r);
	}
}
