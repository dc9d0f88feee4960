// SPDX-License-Identifier: Apache-2.0
/*
 * Several connections, one snapshot, one archive. What is hard to know about a schema stays pg_dump's: it is
 * begun with the leader's snapshot, and gives the header and the table of contents, which say what data there
 * is and with which COPY. Then it is ended, and readers take the tables, slice by slice; their slices come
 * out in turn, so that the file is that which pg_dump would have written.
 *
 * A snapshot does not protect from TRUNCATE: a table that is emptied later is empty in it, too. What protects
 * is a lock. So the leader locks every table, and then makes sure that none was emptied or rewritten since
 * the snapshot was taken; it does so again at the end, which shows that it never lost its locks. pg_dump by
 * itself has no such check.
 *
 * Whatever is not as it must be before the first byte of data (a pooler, too few connections, a lock that
 * somebody waits for) means that one connection has to do, unless that would fail, too; later it fails the
 * run. What a snapshot shows and is gone means another snapshot: dump.c tries again.
 *
 * Who waits for whom, while the data is read:
 *
 * - The thread of the run (deliver()) waits for the reader whose turn it is, and for the store: it is the only one
 *   that writes to the output. When the store is slow, what it has not taken yet fills the turns' budget.
 * - The reader whose turn it is waits for the server, and, when the budget is full, for the thread of the run. It
 *   never waits for another reader.
 * - The other readers wait for the server, and, when the budget is full, for those whose turns come before theirs.
 *   They cannot hold up these: has_room() (stream/turns.c) keeps room for the first.
 * - The server waits for a reader that does not read its socket. So a slow store slows the server, and nothing
 *   grows in between.
 *
 * Slices are taken in the order of the turns (next_slice()), so the first turn always belongs to a reader that is
 * at work. There is no circle, and whoever fails or is cancelled wakes all: those who wait for room or for a turn
 * through turns_fail(), those who wait for the server through the token of the readers.
 */
#include "output.h"
#include "table_reader.h"
#include "toc.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <string.h>

#define LOCK_NOT_AVAILABLE "55P03"
#define FIRST_WITH_RANGES  140000

/* What is so whatever the connections are: one alone would be refused the same, after it has waited for the same lock
 * once more. A snapshot that shows what is gone needs another snapshot. */
static bool is_final(int r, const struct error *why)
{
	if (r == -ECANCELED || r == -ENOTSUP || r == -EFBIG || dump_is_outrun(r, why))
		return true;
	if (!str_starts(why->message, "pg_dump "))
		return false;
	return why->class == ERROR_DENIED || strcmp(why->code, LOCK_NOT_AVAILABLE) == 0 ||
	       strstr(why->message, "no matching ");
}

struct leader {
	struct sink sink; /* of pg_dump's output */
	struct dump *dump;
	struct contents *contents;
	struct pg_session *session;
	char *snapshot;
	char *server;            /* its mark */
	struct pg_table *tables; /* one for each of the contents' items */
	struct toc_reader toc;
};

/* Until the table of contents is complete; then the pump is stopped. */
static int leader_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct leader *l = (struct leader *)s;
	int r = toc_reader_feed(&l->toc, data, len, err);

	return r == 0 && l->toc.complete ? -ESHUTDOWN : r;
}

static const struct sink_ops leader_ops = {.write = leader_write};

static int read_toc(struct leader *l, struct proc *p, struct error *err)
{
	int r = stream_pump(proc_stdout(p), &l->sink, l->dump->order->cancel, NULL, err);

	if (l->toc.complete)
		return 0;
	if (r == 0)
		r = child_wait(l->dump, p, err);
	if (r < 0)
		return r;
	return error_set(err, ERROR_CORRUPT, EBADMSG, "pg_dump ended before its table of contents");
}

/* By their own names: the archive's statement may name the root of a partitioned table instead, whose lock
 * protects none of its partitions. */
static int lock_tables(struct leader *l, struct pg_table *tables, size_t count, struct error *err)
{
	int r = pg_tables_name(l->session, tables, count, err);

	for (size_t i = 0; i < count && r == 0; i++)
		r = pg_lock_relation(l->session, tables[i].relation, err);
	return r;
}

static int check_statements(struct leader *l, struct error *err)
{
	for (size_t i = 0; i < l->contents->count; i++) {
		const struct content *content = &l->contents->items[i];
		_cleanup(content_texts) struct content_texts texts = {0};
		_cleanup(free) char *relation = NULL;
		int r = content->blobs ? 0 : contents_texts(l->contents, content, &texts, err);

		if (r < 0)
			return r;
		if (content->blobs)
			continue;
		relation = pg_copy_relation(texts.copy_stmt);
		if (!relation)
			return error_set(err, ERROR_USAGE, EINVAL, "%s.%s is not dumped by COPY",
			                 texts.schema, texts.table);
	}
	return 0;
}

/* Large objects have no table: their places in the array stay empty. */
static int learn_tables(struct leader *l, struct error *err)
{
	size_t count = l->contents->count, known = 0;
	_cleanup(free) struct pg_table *asked = mem_array(count, sizeof(*asked));
	int r;

	l->tables = mem_array(count, sizeof(*l->tables));
	for (size_t i = 0; i < count; i++)
		if (!l->contents->items[i].blobs)
			asked[known++].oid = l->contents->items[i].oid;
	r = lock_tables(l, asked, known, err);
	if (r == 0)
		r = pg_tables_learn(l->session, asked, known, err);
	for (size_t i = 0, at = 0; i < count; i++)
		if (!l->contents->items[i].blobs)
			l->tables[i] = asked[at++];
	return r;
}

static int ask_pg_dump(struct leader *l, struct error *err)
{
	_cleanup(arguments) struct arguments a = {0};
	_cleanup(proc) struct proc *p = NULL;
	int r;

	arguments_add(&a, "--snapshot=%s", l->snapshot);
	arguments_of_archive(l->dump, &a);
	r = child_start(l->dump, l->dump->program, &a, &p, err);
	if (r == 0)
		r = read_toc(l, p, err);
	if (r == 0)
		r = check_statements(l, err);
	return r < 0 ? r : learn_tables(l, err);
}

/* How many readers the server lets in: asked before pg_dump takes the place of one of them for a while. */
static int count_readers(struct leader *l, unsigned wanted, unsigned *ret, struct error *err)
{
	struct pg_server_room room;
	int r = pg_server_room(l->session, &room, err);
	int most;

	if (r < 0)
		return r;
	most = room.free_connections;
	if (room.role_limit >= 0 && room.role_limit < most)
		most = room.role_limit;
	*ret = most < (int)wanted ? (unsigned)(most > 0 ? most : 0) : wanted;
	if (*ret < wanted)
		make_say(l->dump->order, "%d more connections are free at the server, of %u that were wanted",
		         most > 0 ? most : 0, wanted);
	if (*ret < 2)
		return error_set(err, ERROR_UNAVAILABLE, EAGAIN,
		                 "the server has no connection free for another reader");
	return 0;
}

static int prepare_readers(struct leader *l, unsigned wanted, unsigned *ret_readers, struct error *err)
{
	struct dump *d = l->dump;
	int r = pg_session_open(d->conf->database, d->order->target->name, "keepfs", d->order->cancel,
	                        &l->session, err);

	if (r == 0)
		r = pg_snapshot_export(l->session, &l->snapshot, err);
	if (r == 0)
		r = pg_server_mark(l->session, &l->server, err);
	if (r == 0)
		r = count_readers(l, wanted, ret_readers, err);
	if (r == 0)
		r = ask_pg_dump(l, err);
	return r < 0 ? r : pg_tables_check(l->session, l->tables, l->contents->count, err);
}

static int deliver(struct readers *readers, struct turns *turns, struct output *output, struct error *err)
{
	const struct ordered_out out = output_ordered(output);
	int r = turns_deliver(turns, &out, err);

	/* They are waited for in either case, since they use the turns. After a failure they are told to stop first: a
	 * server that does not answer would have them wait for as long as it likes. */
	readers_stop(readers, r < 0);
	return r;
}

static int read_tape(struct leader *l, struct readers *readers, const struct tape *tape,
                     struct output *output, struct error *err)
{
	struct pool *pool = l->dump->ctx->pool;
	size_t buffers = make_turns_buffers(l->dump->ctx);
	struct turns *turns;
	int r = pool_reserve(pool, buffers, l->dump->order->cancel);

	/* All of it at once, and before anybody reads: two runs that had a part each of what they need would wait for
	 * one another. */
	if (r < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for memory");
	turns = turns_new(buffers * POOL_BUFFER_BYTES, l->dump->order->cancel);
	r = output_begin(output, err);
	if (r == 0) {
		r = readers_start(readers, tape, turns, err);
		/* Those that were started may wait for their turn, which nobody takes. */
		if (r < 0)
			turns_fail(turns, r, err);
	}
	if (r == 0)
		r = deliver(readers, turns, output, err);
	readers_stop(readers, true);
	turns_free(turns);
	pool_unreserve(pool, buffers);
	return r;
}

static int read_all_tables(struct leader *l, struct readers *readers, const struct tape *tape,
                           struct error *err)
{
	_cleanup(output) struct output *output = output_new(l->dump, l->contents, toc_reader_take(&l->toc));
	int r = read_tape(l, readers, tape, output, err);

	if (r == 0)
		r = pg_tables_check(l->session, l->tables, l->contents->count, err);
	return r < 0 ? r : output_finish(output, err);
}

static uint64_t total_bytes(const struct leader *l)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < l->contents->count; i++)
		bytes += l->tables[i].total_bytes;
	return bytes;
}

static void say_plan(const struct leader *l, unsigned readers, size_t slices)
{
	const struct dump *d = l->dump;

	make_say(d->order, "reading over %u connections in one snapshot: %zu entries with data, %zu slices",
	         readers, l->contents->count, slices);
	if (d->server.version_num < FIRST_WITH_RANGES)
		make_say(
		        d->order,
		        "a server before PostgreSQL 14 reads no part of a table: each is read whole, over one connection");
}

static int run_readers(struct leader *l, unsigned wanted, struct error *err)
{
	struct tape tape = {0};
	struct readers *readers = NULL;
	unsigned count = 0;
	struct error why = {0};
	int r = prepare_readers(l, wanted, &count, &why);

	if (r == 0)
		r = readers_open(l->dump, l->contents, l->snapshot, l->server, &count, &readers, &why);
	if (r < 0 && !is_final(r, &why))
		r = PARALLEL_NOT_POSSIBLE;
	if (r == 0) {
		tape_cut(&tape, l->contents, l->tables,
		         tape_slice_bytes(total_bytes(l), count,
		                          make_turns_buffers(l->dump->ctx) * POOL_BUFFER_BYTES));
		say_plan(l, count, tape.slice_count);
		r = read_all_tables(l, readers, &tape, &why);
		/* Somebody wants a table for himself, and waits for our lock: as before the first byte. */
		if (r < 0 && strcmp(why.code, LOCK_NOT_AVAILABLE) == 0)
			r = PARALLEL_NOT_POSSIBLE;
	}
	readers_free(readers);
	tape_finish(&tape);
	if (r != 0 && err)
		*err = why;
	return r;
}

int parallel_archive(struct dump *d, struct contents *contents, unsigned connections, struct error *err)
{
	struct leader l = {.sink.ops = &leader_ops, .dump = d, .contents = contents};
	int r;

	toc_reader_init(&l.toc, contents, d->ctx->conf->state_dir, NULL);
	r = run_readers(&l, connections, err);
	pg_session_free(l.session);
	toc_reader_finish(&l.toc);
	free(l.snapshot);
	free(l.server);
	for (size_t i = 0; l.tables && i < contents->count; i++)
		pg_table_finish(&l.tables[i]);
	free(l.tables);
	return r;
}
