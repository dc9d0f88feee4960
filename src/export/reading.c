// SPDX-License-Identifier: Apache-2.0
/*
 * Who waits for whom: the thread that calls reading_run() waits for the reader whose unit comes next, and for the store. That reader waits for the
 * server, and when the budget of the turns is full, for that thread. The other readers wait for the server, and when the budget is full, for those whose units come
 * before theirs. Units are taken in the order in which they come out, so the next one always belongs to a reader that is at work.
 */
#include "reading.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define READER_BYTES        ((uint64_t)16 << 20) /* for less no further connection is opened */
#define TURNS_BUFFERS_LEAST 2U
#define LOCK_WAIT_MS                                                                                         \
	1 /* whoever waits for an exclusive lock waits for the first reader, so it would be for ever */
#define READ_WAIT_MS 60000

struct reader {
	struct reading *reading;
	struct pg_session *session; /* of the first one the lane's */
	struct squeeze squeeze;
	struct reading_piece piece;
	pthread_t thread;
	bool has_thread;
};

struct reading {
	struct exporting *exporting;
	const struct read_units *units;
	struct turns *turns;
	struct reader *readers;
	unsigned count;
	struct cancel stop; /* of all further readers: the lane's was set, or all is read */
	struct cancel_hook outer;
	pthread_mutex_t lock;
	size_t next; /* lock: of the units */
	/* Of the thread that writes. */
	struct rows *table; /* that is being written */
	struct export_table about;
	size_t decision;
	enum reading_mark kind; /* of the next segment */
	uint64_t rows;
};

struct rows_order reading_order(const struct exporting *e)
{
	return (struct rows_order){
	        .format = e->format,
	        .decided = e->decided,
	        .tenant = e->tenant,
	        .conf = e->conf,
	        .key = e->has_key ? e->key : NULL,
	};
}

/* Readers. */

static int take_read_rows(void *arg, const char *bytes, size_t len, uint64_t rows, struct error *err)
{
	return reading_piece_take(&((struct reader *)arg)->piece, bytes, len, rows, err);
}

static int pace_read_rows(void *arg, uint64_t bytes, struct error *err)
{
	struct draft *draft = ((struct reader *)arg)->reading->exporting->draft;

	return draft ? draft_pace(draft, bytes, err) : 0;
}

static bool is_known_suspect(const struct exporting *e, const char *column)
{
	for (size_t i = 0; i < e->suspect_count; i++)
		if (strcmp(e->suspects[i].column, column) == 0)
			return true;
	return false;
}

/* Each range of a table has its first one. */
static void suspect(void *arg, const char *column, const char *why)
{
	struct reading *all = ((struct reader *)arg)->reading;
	struct exporting *e = all->exporting;

	pthread_mutex_lock(&all->lock);
	if (!is_known_suspect(e, column)) {
		e->suspects = mem_resize(e->suspects, e->suspect_count + 1, sizeof(*e->suspects));
		e->suspects[e->suspect_count++] = (struct export_suspect){mem_strdup(column), why};
	}
	pthread_mutex_unlock(&all->lock);
}

static int read_unit(struct reader *reader, const struct read_unit *unit, struct error *err)
{
	const struct rows_order order = reading_order(reader->reading->exporting);
	const struct rows_out out = {
	        .take = take_read_rows, .pace = pace_read_rows, .suspect = suspect, .arg = reader};
	_cleanup(rows) struct rows *t = rows_new(&order, unit->decision);
	struct turn *turn = reader->piece.turn;
	int r = unit->is_first ? turn_mark(turn, READING_TABLE, unit->decision, err) : 0;

	rows_range(t, unit->from_page, unit->to_page);
	if (r == 0)
		r = rows_read(t, reader->session, &out, err);
	if (r == 0)
		r = reading_piece_end(&reader->piece, err);
	return r == 0 && unit->is_last ? turn_mark(turn, READING_TABLE_END, 0, err) : r;
}

/* NULL: none is left. */
static const struct read_unit *take_unit(struct reader *reader)
{
	struct reading *all = reader->reading;
	const struct read_unit *unit = NULL;

	reader->squeeze.len = 0;
	reader->piece = (struct reading_piece){
	        .squeeze = &reader->squeeze,
	        .passes = export_writer_passes(all->exporting->format),
	};
	pthread_mutex_lock(&all->lock);
	if (all->next < all->units->count) {
		unit = &all->units->items[all->next++];
		reader->piece.turn = turns_begin(all->turns);
		if (all->next == all->units->count)
			turns_close(all->turns);
	}
	pthread_mutex_unlock(&all->lock);
	return unit;
}

static void read_units(struct reader *reader)
{
	const struct read_unit *unit;
	struct error err = {0};
	int r = 0;

	while (r == 0 && (unit = take_unit(reader))) {
		r = read_unit(reader, unit, &err);
		if (r < 0)
			turns_fail(reader->reading->turns, r, &err);
		turn_end(reader->piece.turn);
	}
}

static void lower_reader(const struct reader *reader)
{
	const struct conf_job *job = reader->reading->exporting->order->job;

	proc_lower_thread((int)job->nice, job->ionice);
}

/* Readers have threads of their own, so that they alone give way to others. */
static void *first_reader_main(void *arg)
{
	lower_reader(arg);
	read_units(arg);
	return NULL;
}

static int join_snapshot(struct reader *reader, struct error *err)
{
	const struct exporting *e = reader->reading->exporting;
	const struct decided *d = e->decided;
	int r = pg_session_open(e->conf->database, e->database, "keepfs export", &reader->reading->stop,
	                        &reader->session, err);

	if (r == 0)
		r = pg_tenant_join(reader->session, e->snapshot, err);
	if (r == 0)
		r = pg_tenant_lock(reader->session, d->lockable, d->lockable_count, LOCK_WAIT_MS, err);
	/* Conditions may lead over tables that are not exported, and so not locked yet. */
	if (r == 0)
		r = pg_tenant_limit_waits(reader->session, READ_WAIT_MS, err);
	return r < 0 ? r : exporting_enter(e, reader->session, err);
}

/* Once for all tenants of a run. */
static void tell_alone(const struct exporting *e, const struct error *why)
{
	struct export_shared *shared = e->shared;
	bool is_told;

	pthread_mutex_lock(&shared->lock);
	is_told = shared->is_alone_told;
	shared->is_alone_told = true;
	pthread_mutex_unlock(&shared->lock);
	if (!is_told)
		make_say(
		        e->order,
		        "no further connection could join the snapshot, so that fewer read large tenants: %s",
		        why->message);
}

static void *further_reader_main(void *arg)
{
	struct reader *reader = arg;
	struct exporting *e = reader->reading->exporting;
	struct error why = {0};

	lower_reader(reader);
	if (join_snapshot(reader, &why) == 0)
		read_units(reader);
	else if (!cancel_is_set(&reader->reading->stop))
		tell_alone(e, &why);
	reader->session = pg_session_free(reader->session);
	return NULL;
}

/* The thread that writes. */

static int begin_read_table(struct reading *all, size_t decision, struct error *err)
{
	const struct rows_order order = reading_order(all->exporting);

	all->decision = decision;
	all->table = rows_new(&order, decision);
	all->about = rows_table(all->table);
	return export_writer_table(all->exporting->writer, &all->about, err);
}

static int end_read_table(struct reading *all, struct error *err)
{
	struct exporting *e = all->exporting;
	int r = export_writer_table_end(e->writer, err);

	all->table = rows_free(all->table);
	e->seen[all->decision] = e->writer->table_rows;
	return r;
}

static int take_reading_mark(void *arg, int what, uint64_t value, struct error *err)
{
	struct reading *all = arg;

	if (what == READING_TABLE)
		return begin_read_table(all, value, err);
	if (what == READING_TABLE_END)
		return end_read_table(all, err);
	all->kind = (enum reading_mark)what;
	all->rows = value;
	return 0;
}

static int take_reading_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	struct reading *all = arg;
	struct exporting *e = all->exporting;
	int r;

	if (all->kind == READING_RAW)
		return export_writer_take_rows(e->writer, data, s->bytes, all->rows, err);
	r = export_writer_pass_rows(e->writer, s->raw_bytes, all->rows, err);
	return r < 0 ? r : exporting_put_segment(e, s, data, err);
}

/* All. */

static unsigned readers_wanted(const struct exporting *e, const struct read_units *units)
{
	size_t room = e->feeding_buffers / SQUEEZE_BUFFERS - 1;
	uint64_t wanted = units->bytes / READER_BYTES;

	if (units->is_alone || wanted == 0 || units->count < 2)
		return 1;
	room = room > TURNS_BUFFERS_LEAST / SQUEEZE_BUFFERS ? room - TURNS_BUFFERS_LEAST / SQUEEZE_BUFFERS
	                                                    : 1;
	if (wanted > room)
		wanted = room;
	return wanted < units->count ? (unsigned)wanted : (unsigned)units->count;
}

static int start_reader(struct reader *reader, void *(*run)(void *arg), struct error *err)
{
	int r = thread_start(&reader->thread, "export-read", run, reader);

	reader->has_thread = r == 0;
	return r < 0 ? error_system(err, -r, "a thread for reading cannot be started") : 0;
}

static int start_readers(struct reading *all, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < all->count; i++) {
		struct reader *reader = &all->readers[i];

		reader->reading = all;
		squeeze_init(&reader->squeeze, all->exporting->ctx->pool, &all->exporting->compression);
		r = start_reader(reader, i == 0 ? first_reader_main : further_reader_main, err);
	}
	return r;
}

static void join_readers(struct reading *all)
{
	for (unsigned i = 0; i < all->count; i++) {
		if (all->readers[i].has_thread)
			pthread_join(all->readers[i].thread, NULL);
		squeeze_finish(&all->readers[i].squeeze);
	}
}

static int deliver_units(struct reading *all, struct error *err)
{
	const struct ordered_out out = {
	        .segment = take_reading_segment, .mark = take_reading_mark, .arg = all};
	int r;

	if (all->units->count == 0)
		turns_close(all->turns);
	all->readers[0].session = all->exporting->lane->session;
	r = start_readers(all, err);
	/* Those that were started may wait for a turn that nobody takes. */
	if (r < 0)
		turns_fail(all->turns, r, err);
	else
		r = turns_deliver(all->turns, &out, err);
	/* A server that does not answer would have them wait for as long as it likes; and who has not joined yet need not any more. */
	if (r < 0)
		cancel_set(&all->exporting->lane->cancel);
	cancel_set(&all->stop);
	join_readers(all);
	return r;
}

static void stop_further_readers(void *arg)
{
	cancel_set(&((struct reading *)arg)->stop);
}

int reading_run(struct exporting *e, const struct read_units *units, struct error *err)
{
	struct reading all = {.exporting = e, .units = units};
	unsigned wanted = readers_wanted(e, units), further = export_shared_more(e->shared, wanted - 1);
	size_t budget;
	int r;

	all.count = 1 + further;
	budget = e->feeding_buffers - SQUEEZE_BUFFERS * (1 + all.count);
	all.readers = mem_array(all.count, sizeof(*all.readers));
	pthread_mutex_init(&all.lock, NULL);
	cancel_init(&all.stop);
	all.outer = (struct cancel_hook){.wake = stop_further_readers, .arg = &all};
	cancel_add_hook(&e->lane->cancel, &all.outer);
	all.turns = turns_new(budget * POOL_BUFFER_BYTES, &e->lane->cancel);
	if (further > 0)
		make_say(e->order, "%s: %zu parts are read over %u connections", e->tenant->slug,
		         units->count, all.count);
	r = deliver_units(&all, err);
	turns_free(all.turns);
	rows_free(all.table);
	cancel_remove_hook(&e->lane->cancel, &all.outer);
	cancel_finish(&all.stop);
	pthread_mutex_destroy(&all.lock);
	free(all.readers);
	export_shared_less(e->shared, further);
	return r;
}
