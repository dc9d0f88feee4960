// SPDX-License-Identifier: Apache-2.0
/*
 * Large objects. Their sizes are not known, and asking costs about as much as reading a small one; so the
 * first bytes of many are read in one question, and an object that is longer than that is then read on by
 * itself. Both are bounded: PIECE_BYTES each for BATCH_OBJECTS, or one MORE_BYTES.
 */
#include "session.h"

#include <keepfs/base/str.h>
#include <keepfs/pg/snapshot.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define PIECE_BYTES   16384
#define BATCH_OBJECTS 256
#define MORE_BYTES    (4 << 20)
#define FETCH_ROWS    10000

/* Listing. */

struct listing {
	int (*take)(void *arg, uint32_t oid, struct error *err);
	void *arg;
	size_t taken;
};

static int take_oid(void *arg, const struct pg_row *row, struct error *err)
{
	struct listing *l = arg;

	l->taken++;
	return l->take(l->arg, (uint32_t)strtoul(row->values[0], NULL, 10), err);
}

int pg_large_objects(struct pg_session *s, int (*take)(void *arg, uint32_t oid, struct error *err), void *arg,
                     struct error *err)
{
	_cleanup(str) struct str fetch = {0};
	int r = pg_session_run(s,
	                       "DECLARE keepfs_large_objects NO SCROLL CURSOR FOR "
	                       "SELECT oid FROM pg_catalog.pg_largeobject_metadata ORDER BY oid",
	                       err);

	str_appendf(&fetch, "FETCH %d FROM keepfs_large_objects", FETCH_ROWS);
	while (r == 0) {
		struct listing listing = {.take = take, .arg = arg};

		r = pg_session_rows(s, str_text(&fetch), take_oid, &listing, err);
		if (listing.taken < FETCH_ROWS)
			break;
	}
	return r < 0 ? r : pg_session_run(s, "CLOSE keepfs_large_objects", err);
}

/* Reading. */

struct reading {
	struct pg_session *s;
	const struct pg_large_object_sink *sink;
	const uint32_t *oids; /* of the present question */
	size_t count, taken;
};

static int take_blob_piece(void *arg, const struct pg_row *row, struct error *err)
{
	const struct pg_large_object_sink *sink = ((const struct reading *)arg)->sink;

	return row->lengths[0] > 0 ? sink->data(sink->arg, row->values[0], (size_t)row->lengths[0], err) : 0;
}

/* As take_piece(), and remember how much it was. */
struct more {
	struct reading *reading;
	int len;
};

static int take_more(void *arg, const struct pg_row *row, struct error *err)
{
	struct more *more = arg;

	more->len = row->lengths[0];
	return take_blob_piece(more->reading, row, err);
}

static int read_on(struct reading *reading, uint32_t oid, struct error *err)
{
	struct more more = {.reading = reading, .len = MORE_BYTES};
	int r = 0;

	for (uint64_t at = PIECE_BYTES; r == 0 && more.len == MORE_BYTES; at += MORE_BYTES) {
		_cleanup(str) struct str sql = {0};

		str_appendf(&sql, "SELECT pg_catalog.lo_get(%u, %llu, %d)", oid, (unsigned long long)at,
		            MORE_BYTES);
		r = pg_session_rows_binary(reading->s, str_text(&sql), take_more, &more, err);
	}
	return r;
}

static int take_large_object(void *arg, const struct pg_row *row, struct error *err)
{
	struct reading *reading = arg;
	const struct pg_large_object_sink *sink = reading->sink;
	const struct pg_row piece = {.columns = 1, .values = row->values + 1, .lengths = row->lengths + 1};
	uint32_t oid = 0;
	int r;

	if (row->lengths[0] == (int)sizeof(oid))
		memcpy(&oid, row->values[0], sizeof(oid));
	oid = ntohl(oid);
	if (reading->taken == reading->count || oid != reading->oids[reading->taken])
		return error_set(err, ERROR_INTERNAL, EPROTO,
		                 "PostgreSQL gives large objects in another order");
	reading->taken++;
	r = sink->begin(sink->arg, oid, err);
	if (r >= 0)
		r = take_blob_piece(reading, &piece, err);
	if (r >= 0 && piece.lengths[0] == PIECE_BYTES)
		r = read_on(reading, oid, err);
	return r < 0 ? r : sink->end(sink->arg, err);
}

static int read_batch(struct reading *reading, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r;

	str_appendf(&sql, "SELECT o.oid, pg_catalog.lo_get(o.oid, 0, %d) FROM pg_catalog.unnest('{",
	            PIECE_BYTES);
	for (size_t i = 0; i < reading->count; i++)
		str_appendf(&sql, "%s%u", i > 0 ? "," : "", reading->oids[i]);
	str_append(&sql, "}'::oid[]) WITH ORDINALITY o(oid, n) ORDER BY o.n");
	r = pg_session_rows_binary(reading->s, str_text(&sql), take_large_object, reading, err);
	if (r == 0 && reading->taken < reading->count)
		r = error_set(err, ERROR_INTERNAL, EPROTO, "PostgreSQL leaves out large objects");
	return r;
}

int pg_large_objects_read(struct pg_session *s, const uint32_t *oids, size_t count,
                          const struct pg_large_object_sink *sink, struct error *err)
{
	int r = 0;

	for (size_t done = 0; done < count && r == 0; done += BATCH_OBJECTS) {
		size_t left = count - done;
		struct reading reading = {.s = s,
		                          .sink = sink,
		                          .oids = oids + done,
		                          .count = left < BATCH_OBJECTS ? left : BATCH_OBJECTS};

		r = read_batch(&reading, err);
	}
	return r;
}
