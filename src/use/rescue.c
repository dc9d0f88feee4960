// SPDX-License-Identifier: Apache-2.0
/*
 * Rescuing: rows that a backup has come back into a table that lives. Everything at the server is one transaction (keepfs/pg/rescue.h), which ends with a
 * commit only when somebody has confirmed it, and only when all rows of the backup's table were read to their end and are those that were counted.
 */
#include "proving.h"
#include "rescue_order.h"
#include "rescue_table.h"
#include "table_names.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/rows.h>
#include <keepfs/pg.h>
#include <keepfs/pg/rescue.h>
#include <keepfs/use.h>
#include <keepfs/use/erasures.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define READING_THREADS 2U

/* So much of a statement is in the run's log. */
#define STATEMENT_HEAD_BYTES ((size_t)160)
#define STATEMENT_TAIL_BYTES ((size_t)120)
#define STATEMENT_MARK_BYTES ((size_t)30) /* which is cut out only where that saves something */

struct rescue {
	const struct make_context *ctx; /* borrowed, as the next two */
	const struct make_order *order;
	const struct rescue_order *wanted;
	struct backup backup;
	struct reader_metrics reading;
	struct reader *reader;
	struct inside *inside;
	struct inside_dump *dump;
	struct inside_table table;
	struct pg_session *session;
	struct pg_rescue *rows;
	struct pg_rescue_order at_server;
	char *living, *shown_server; /* heap */
	char *schema, *named;        /* of the backup's table, in UTF-8: heap */
	struct rows_scan *scan;
};

static void cleanup_rescue(struct rescue *x)
{
	pg_rescue_free(x->rows);
	pg_session_free(x->session);
	cleanup_inside_table(&x->table);
	inside_close(x->dump);
	inside_free(x->inside);
	reader_free(x->reader);
	rows_scan_free(x->scan);
	backup_finish(&x->backup);
	free(x->living);
	free(x->shown_server);
	free(x->schema);
	free(x->named);
}

/* Opening. */

static int open_backup(struct rescue *x, struct error *err)
{
	struct catalog_entry entry;
	int r = words_find_backup(x->ctx->repository->catalog, x->order->target->name, &entry);

	if (r < 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s is not there any more",
		                 x->order->target->name);
	return backup_open(&x->backup, entry.ino, err);
}

/* A run has no part in what the mount reads through. */
static int open_rescued_dump(struct rescue *x, struct error *err)
{
	const struct reader_options reading = {.store = repository_store(x->ctx->repository),
	                                       .pool = x->ctx->pool,
	                                       .buffers = pool_buffers(x->ctx->pool),
	                                       .threads = READING_THREADS,
	                                       .ahead_bytes = PROVING_POOL_BYTES / 2,
	                                       .metrics = &x->reading};
	struct inside_options options = {.ctx = x->ctx, .open_dumps = 1};
	int r = reader_new(&reading, &x->reader, err);

	options.reader = x->reader;
	if (r == 0)
		r = inside_new(&options, &x->inside, err);
	return r < 0 ? r : inside_open(x->inside, x->backup.ino, x->order->cancel, &x->dump, err);
}

static int open_server(struct rescue *x, struct error *err)
{
	const struct manifest *m = &x->backup.m;
	const char *server = words_server(x->ctx->conf, x->wanted->server, m->job, err);
	const char *database = x->wanted->database ? x->wanted->database : manifest_fact(m, "database");

	if (!server)
		return -EINVAL;
	if (!database)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s does not say of which database it is: name the one that lives with database=NAME",
		        x->backup.path);
	x->shown_server = pg_conninfo_with_database(server, database);
	return pg_rescue_open(server, database, x->order->cancel, &x->session, err);
}

static int find_rescued_table(struct rescue *x, struct error *err)
{
	_cleanup(free) char *word = NULL;
	uint32_t number;
	int r = pg_rescue_encode(x->session, x->wanted->table, inside_encoding(x->dump), &word, err);

	if (r == 0)
		r = rescue_find_table(x->dump, word, &number, err);
	return r < 0 ? r : inside_table(x->dump, number, &x->table, err);
}

/* While the rows come nothing else can be asked. */
static int decode_names(struct rescue *x, struct error *err)
{
	const char *encoding = inside_encoding(x->dump);
	int r = pg_rescue_decode(x->session, x->table.schema, encoding, &x->schema, err);

	return r < 0 ? r : pg_rescue_decode(x->session, x->table.table, encoding, &x->named, err);
}

/* Where the '.' between them is not the only one, quotes say which one it is. */
static int name_living(struct rescue *x, struct error *err)
{
	const char *schema = x->table.schema, *table = x->table.table;
	_cleanup(free) char *name = strchr(schema, '.') || strchr(table, '.')
	                                    ? table_names_quote(schema, table)
	                                    : mem_printf("%s.%s", schema, table);

	if (!x->wanted->into)
		return pg_rescue_decode(x->session, name, inside_encoding(x->dump), &x->living, err);
	x->living = mem_strdup(x->wanted->into);
	return 0;
}

/* What was done. */

static bool is_within_character(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* Of a table with many columns it is thousands of bytes: what is done, and to which table, is at its begin, and by what rows are known at its end. */
static void tell_statement(void *arg, const char *sql)
{
	const struct rescue *x = arg;
	_cleanup(free) char *line = mem_strdup(sql);
	size_t len = strlen(line), head = STATEMENT_HEAD_BYTES, tail = STATEMENT_TAIL_BYTES;

	for (char *c = line; (c = strchr(c, '\n'));)
		*c = ' ';
	if (len <= head + tail + STATEMENT_MARK_BYTES) {
		make_say(x->order, "SQL: %s", line);
		return;
	}
	while (is_within_character(line[head]))
		head--;
	while (is_within_character(line[len - tail]))
		tail--;
	make_say(x->order, "SQL: %.*s … (%zu bytes) … %s", (int)head, line, len - head - tail,
	         line + len - tail);
}

static void tell_begin(const struct rescue *x)
{
	const char *left_out = pg_rescue_left_out(x->rows);

	make_say(x->order, "%s.%s of %s is held against %s of %s", x->table.schema, x->table.table,
	         x->backup.path, pg_rescue_relation(x->rows), x->shown_server);
	make_say(x->order, "a row is known by: %s", pg_rescue_key(x->rows));
	if (*left_out)
		make_say(x->order, "columns that only one of both has, and that are left alone: %s",
		         left_out);
	if (x->backup.damage)
		make_warn(
		        x->order,
		        "%s is marked as damaged (%s); of the table that is read all is checked, so what comes of it is right",
		        x->backup.path, x->backup.damage);
}

static void tell_erasures(const struct rescue *x)
{
	const struct conf *conf = make_conf_ref(x->ctx);
	const struct erasures_asked asked = {.conf = conf,
	                                     .repository = x->ctx->repository,
	                                     .cancel = x->order->cancel,
	                                     .m = &x->backup.m};
	_cleanup(str) struct str notice = {0};

	if (erasures_append_notice(&asked, &notice))
		make_warn(x->order, "%s", str_text(&notice));
	make_conf_unref(x->ctx, conf);
}

static void say_left_out(void *arg, const char *line)
{
	make_say(((const struct rescue *)arg)->order, "%s", line);
}

static void warn_left_out(void *arg, const char *line)
{
	make_warn(((const struct rescue *)arg)->order, "%s", line);
}

/* As a restore: without the key, or when the register cannot be read, nothing comes back. */
static int check_erasures(struct rescue *x, struct error *err)
{
	const struct conf *conf = make_conf_ref(x->ctx);
	_cleanup(erasures) struct erasures *e = NULL;
	int r = erasures_load(conf, x->ctx->repository, x->order->cancel, &e, err);

	if (r == 0)
		r = erasures_refuse_database(e, manifest_fact(&x->backup.m, "database"), err);
	make_conf_unref(x->ctx, conf);
	return r;
}

/* Once more: it may have been registered while the rows came. */
static int leave_out_erased(struct rescue *x, struct error *err)
{
	const struct conf *conf = make_conf_ref(x->ctx);
	_cleanup(erasures) struct erasures *e = NULL;
	int r = erasures_load(conf, x->ctx->repository, x->order->cancel, &e, err);

	if (r == 0)
		r = erasures_leave_out(
		        e,
		        &(struct erasures_rescue){.conf = conf,
		                                  .database = manifest_fact(&x->backup.m, "database"),
		                                  .schema = x->schema,
		                                  .table = x->named,
		                                  .rows = x->rows,
		                                  .say = say_left_out,
		                                  .warn = warn_left_out,
		                                  .arg = x},
		        err);
	make_conf_unref(x->ctx, conf);
	return r;
}

static int take_rescued_rows(void *arg, const void *data, size_t len, struct error *err)
{
	struct rescue *x = arg;

	rows_scan_feed(x->scan, data, len);
	if (x->order->progress)
		atomic_fetch_add(&x->order->progress->read_bytes, len);
	return pg_rescue_data(x->rows, data, len, err);
}

/* The rows that were counted when the backup was made, and no others. */
static int check_counted(const struct rescue *x, struct error *err)
{
	const struct inside_table *t = &x->table;
	struct rows found = {0};

	if (!rows_scan_end(x->scan, &found))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the rows of %s.%s are cut off", t->schema,
		                 t->table);
	if ((!t->has_hash || found.hash == t->hash) &&
	    (t->rows == INSIDE_NOT_KNOWN || found.count == t->rows))
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s.%s holds %" PRIu64
	                 " rows that are not those which were counted when the backup was made",
	                 t->schema, t->table, found.count);
}

static int load_rows(struct rescue *x, struct error *err)
{
	int r;

	x->at_server = (struct pg_rescue_order){.table = x->living,
	                                        .encoding = inside_encoding(x->dump),
	                                        .columns = x->table.columns,
	                                        .where = x->wanted->where,
	                                        .by = x->wanted->by,
	                                        .common = x->wanted->common,
	                                        .replace = x->wanted->replace,
	                                        .statement = tell_statement,
	                                        .arg = x};
	r = pg_rescue_begin(x->session, &x->at_server, &x->rows, err);
	if (r < 0)
		return r;
	tell_begin(x);
	tell_erasures(x);
	x->scan = rows_scan_new();
	r = inside_read_rows(x->dump, x->table.number, x->order->cancel, take_rescued_rows, x, err);
	return r < 0 ? r : check_counted(x, err);
}

static void tell_missing_row(void *arg, const char *key)
{
	make_say(((const struct rescue *)arg)->order, "  missing: %s", key);
}

static void tell_differing_row(void *arg, const char *key)
{
	make_say(((const struct rescue *)arg)->order, "  differs: %s", key);
}

static void tell_more(const struct rescue *x, uint64_t count)
{
	if (count > PG_RESCUE_SHOWN)
		make_say(x->order, "  and %" PRIu64 " more", count - PG_RESCUE_SHOWN);
}

static int tell_rescue_counts(struct rescue *x, const struct pg_rescue_counts *n, struct error *err)
{
	int r;

	make_say(x->order, "%" PRIu64 " rows are in the backup", n->rows);
	if (x->wanted->where)
		make_say(x->order, "%" PRIu64 " of them are wanted: where=%s", n->wanted, x->wanted->where);
	make_say(x->order, "%" PRIu64 " of them are missing in %s", n->missing, pg_rescue_relation(x->rows));
	r = pg_rescue_missing(x->rows, tell_missing_row, x, err);
	if (r < 0)
		return r;
	tell_more(x, n->missing);
	make_say(x->order, "%" PRIu64 " are there with other values%s", n->differing,
	         n->differing == 0    ? ""
	         : x->wanted->replace ? ", which become those of the backup"
	                              : ", which stay: replace=yes makes them those of the backup");
	r = pg_rescue_differing(x->rows, tell_differing_row, x, err);
	if (r == 0)
		tell_more(x, n->differing);
	return r;
}

static void tell_sequence(void *arg, const char *sequence, const char *column, const char *sql)
{
	const struct rescue *x = arg;

	make_warn(
	        x->order,
	        "the sequence %s %s behind the values of %s, and is not changed here: a new row would get a number that is taken; set it with: %s",
	        sequence, x->wanted->execute ? "is" : "is, or would be,", column, sql);
}

/* Nothing was to be done: that is as good as having done it. */
static int write_and_commit(struct rescue *x, struct error *err)
{
	uint64_t inserted = 0, replaced = 0;
	int r = pg_rescue_write(x->rows, &inserted, &replaced, err);

	if (r == 0)
		r = pg_rescue_sequences(x->rows, tell_sequence, x, err);
	if (r == 0)
		r = pg_rescue_commit(x->rows, err);
	if (r == 0)
		make_say(x->order, "%" PRIu64 " rows were inserted into %s, and %" PRIu64 " were replaced",
		         inserted, pg_rescue_relation(x->rows), replaced);
	return r;
}

static int tell_rescue_plan(struct rescue *x, struct error *err)
{
	const char *target = x->wanted->into ? x->wanted->into : x->wanted->table;
	int r;

	pg_rescue_plan(x->rows);
	r = pg_rescue_sequences(x->rows, tell_sequence, x, err);
	if (r == 0)
		make_say(
		        x->order,
		        "nothing was changed: this is what would be done; to do it, order it once more with confirm=%s",
		        target);
	return r;
}

static int rescue_rows(struct rescue *x, struct error *err)
{
	struct pg_rescue_counts counts;
	int r = check_erasures(x, err);

	if (r == 0)
		r = open_rescued_dump(x, err);
	if (r == 0)
		r = open_server(x, err);
	if (r == 0)
		r = find_rescued_table(x, err);
	if (r == 0)
		r = decode_names(x, err);
	if (r == 0)
		r = name_living(x, err);
	if (r == 0)
		r = load_rows(x, err);
	if (r == 0)
		r = leave_out_erased(x, err);
	if (r == 0)
		r = pg_rescue_compare(x->rows, &counts, err);
	if (r == 0)
		r = tell_rescue_counts(x, &counts, err);
	if (r < 0)
		return r;
	return x->wanted->execute ? write_and_commit(x, err) : tell_rescue_plan(x, err);
}

/* The work. */

static enum make_lane rescue_lane(const struct command_line *line)
{
	return MAKE_LANE_RESTORE;
}

static int check_is_dump(const struct make_context *ctx, const struct catalog_entry *entry, struct error *err)
{
	_cleanup(backup) struct backup b = {.ctx = ctx};
	int r = backup_open(&b, entry->ino, err);

	if (r < 0 || str_equal(b.m.kind, "dump"))
		return r;
	if (str_equal(b.m.kind, "export"))
		return words_refuse_export(b.path, err);
	return error_set(err, ERROR_USAGE, EINVAL, "%s is no dump of a database: there are no tables in it",
	                 b.path);
}

static int rescue_prepare(const struct make_context *ctx, const struct make_wanted *wanted,
                          struct make_targets *ret, struct error *err)
{
	struct catalog *c = ctx->repository->catalog;
	struct rescue_order order;
	struct catalog_entry entry;
	struct make_target *t;
	int r = rescue_order_read(wanted->line, &order, err);

	if (r == 0)
		r = words_find_to_restore(c, order.backup, &entry, err);
	if (r == 0)
		r = check_is_dump(ctx, &entry, err);
	if (r < 0)
		return r;
	t = make_targets_add(ret);
	t->name = catalog_path(c, entry.ino);
	t->label = mem_strdup(t->name);
	t->directory = mem_strdup(t->name);
	t->stays_ino = entry.artifact_ino;
	return 0;
}

static int say_unchanged(int r, struct error *err)
{
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled, and nothing was changed");
	if (r < 0 && r != -EINPROGRESS)
		error_prefix(err, "nothing was changed");
	return r;
}

static int rescue_with_pool(struct make_context *ctx, const struct make_order *order, struct error *err)
{
	struct rescue_order wanted;
	uint64_t wrong_ino = 0;
	int r = rescue_order_read(order->line, &wanted, err);

	if (r == 0) {
		_cleanup(rescue) struct rescue x = {.ctx = ctx, .order = order, .wanted = &wanted};

		x.backup.ctx = ctx;
		x.backup.cancel = order->cancel;
		r = open_backup(&x, err);
		if (r == 0)
			r = rescue_rows(&x, err);
		if (r < 0 && err->damage)
			wrong_ino = x.backup.ino;
	}
	/* What else it reads has let go of the pool by now. */
	if (wrong_ino)
		proving_again(ctx, order, NULL, wrong_ino);
	return r;
}

static int rescue_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                       struct error *err)
{
	struct make_context own = *ctx;
	struct error why = {0};
	int r;

	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for reading the backup");
	r = say_unchanged(rescue_with_pool(&own, order, &why), &why);
	pool_free(own.pool);
	if (r < 0 && err)
		*err = why;
	return r;
}

const struct make_kind use_rescue = {
        .name = "rescue",
        .targets_name = "backups",
        .tells_state = true,
        .first_word_alone = true,
        .lane = rescue_lane,
        .prepare = rescue_prepare,
        .make = rescue_make,
};
