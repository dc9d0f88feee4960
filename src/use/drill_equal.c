// SPDX-License-Identifier: Apache-2.0
/*
 * Rows of what was restored, counted and hashed as they were when the backup was made, over several connections. The counts and the table of
 * contents name the tables in the same order; whoever is free takes the next one.
 */
#include "drill.h"
#include <keepfs/inside/expected.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/pg/restored.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LARGE_OBJECTS_SCHEMA "pg_catalog"
#define LARGE_OBJECTS_TABLE  "pg_largeobject"

struct comparing {
	struct drill *drill;
	const struct drill_contents *contents;
	struct expected expected;     /* lock */
	uint64_t copies_at;           /* lock */
	struct rows objects;          /* lock: large ones, as counted */
	uint64_t tables, rows, bytes; /* lock */
	pthread_mutex_t lock;
	struct error first; /* lock: failure */
	int result;         /* lock */
};

struct table_line {
	struct expected_line line;
	char *copy_stmt; /* heap; NULL: not told */
};

static void cleanup_table_line(struct table_line *t)
{
	cleanup_expected_line(&t->line);
	free(t->copy_stmt);
}

static bool is_large_objects(const struct expected_line *line)
{
	return str_equal(line->schema, LARGE_OBJECTS_SCHEMA) && str_equal(line->table, LARGE_OBJECTS_TABLE) &&
	       !line->has_hash;
}

/* With the lock. 1: the next one; 0: there is none. */
static int take_table_line(struct comparing *c, struct table_line *ret, struct error *err)
{
	int r = c->result < 0 ? 0 : expected_next(&c->expected, &ret->line, err);

	if (r <= 0)
		return r;
	if (c->contents->known && c->copies_at >= spool_size(c->contents->copies))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "more tables were counted than the table of contents has data of");
	if (c->contents->known)
		ret->copy_stmt = drill_text(c->contents->copies, &c->copies_at, err);
	return c->contents->known && !ret->copy_stmt ? -EIO : 1;
}

static int next_table(struct comparing *c, struct table_line *ret, struct error *err)
{
	int r;

	pthread_mutex_lock(&c->lock);
	r = take_table_line(c, ret, err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int count_restored(void *arg, const void *data, size_t len, struct error *err)
{
	rows_scan_feed(arg, data, len);
	return 0;
}

static void judge_rows(struct drill *d, const struct expected_line *line, const struct rows *found)
{
	const struct rows *counted = &line->rows;

	if (found->count != counted->count || found->bytes != counted->bytes)
		drill_differs(d,
		              "%s.%s holds %" PRIu64 " rows of %" PRIu64 " bytes, and %" PRIu64 " of %" PRIu64
		              " bytes were backed up",
		              line->schema, line->table, found->count, found->bytes, counted->count,
		              counted->bytes);
	else if (line->has_hash && found->hash != counted->hash)
		drill_differs(
		        d, "%s.%s holds the %" PRIu64 " rows that were backed up, but some have other values",
		        line->schema, line->table, found->count);
}

static int compare_table(struct comparing *c, struct pg_session *s, struct rows_scan *scan,
                         const struct table_line *t, struct error *err)
{
	const char *copy_stmt = t->copy_stmt && *t->copy_stmt ? t->copy_stmt : NULL;
	struct rows found = {0};
	int r = pg_restored_table(s, t->line.schema, t->line.table, copy_stmt, count_restored, scan, err);

	if (r == -ENOENT) {
		drill_differs(c->drill, "%s.%s is not there", t->line.schema, t->line.table);
		return 0;
	}
	if (r < 0) {
		error_prefix(err, "%s.%s cannot be read again", t->line.schema, t->line.table);
		return r;
	}
	if (!rows_scan_end(scan, &found))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the rows of %s.%s are cut off", t->line.schema,
		                 t->line.table);
	judge_rows(c->drill, &t->line, &found);
	pthread_mutex_lock(&c->lock);
	c->tables++;
	c->rows += found.count;
	c->bytes += found.bytes;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static void count_large_objects(struct comparing *c, const struct expected_line *line)
{
	pthread_mutex_lock(&c->lock);
	c->objects.count += line->rows.count;
	c->objects.bytes += line->rows.bytes;
	pthread_mutex_unlock(&c->lock);
}

static int compare_tables_of(struct comparing *c, struct pg_session *s, struct rows_scan *scan,
                             struct error *err)
{
	int r = 1;

	while (r > 0) {
		_cleanup(table_line) struct table_line t = {0};

		r = next_table(c, &t, err);
		if (r > 0 && is_large_objects(&t.line)) {
			count_large_objects(c, &t.line);
		} else if (r > 0) {
			int one = compare_table(c, s, scan, &t, err);

			r = one < 0 ? one : 1;
		}
	}
	return r;
}

static void *compare_main(void *arg)
{
	struct comparing *c = arg;
	struct drill *d = c->drill;
	struct rows_scan *scan = rows_scan_new();
	struct pg_session *s = NULL;
	struct error err = {0};
	int r = pg_restored_open(d->server, d->database,
	                         *c->contents->encoding ? c->contents->encoding : NULL, d->cancel, &s, &err);

	if (r == 0)
		r = compare_tables_of(c, s, scan, &err);
	pthread_mutex_lock(&c->lock);
	if (r < 0 && c->result == 0) {
		c->result = r;
		c->first = err;
	}
	pthread_mutex_unlock(&c->lock);
	pg_session_free(s);
	rows_scan_free(scan);
	return NULL;
}

static void compare_by_threads(struct comparing *c)
{
	unsigned count = 0;
	_cleanup(free) pthread_t *threads = mem_array(c->drill->jobs, sizeof(*threads));

	for (unsigned i = 1; i < c->drill->jobs; i++)
		if (thread_start(&threads[count], "drill-compare", compare_main, c) == 0)
			count++;
	compare_main(c);
	while (count > 0)
		pthread_join(threads[--count], NULL);
}

static int compare_large_objects(struct comparing *c, struct error *err)
{
	struct drill *d = c->drill;
	uint64_t count = 0, bytes = 0;
	struct pg_session *s = NULL;
	int r = pg_restored_open(d->server, d->database, NULL, d->cancel, &s, err);

	if (r == 0)
		r = pg_restored_large_objects(s, &count, &bytes, err);
	pg_session_free(s);
	if (r == 0 && (count != c->objects.count || bytes != c->objects.bytes))
		drill_differs(d,
		              "there are %" PRIu64 " large objects of %" PRIu64 " bytes, and %" PRIu64
		              " of %" PRIu64 " bytes were backed up",
		              count, bytes, c->objects.count, c->objects.bytes);
	return r;
}

/* Fewer were counted than the archive has data of: of the rest nobody can say what it should be. */
static int tell_uncounted(struct comparing *c, struct error *err)
{
	_cleanup(free) char *first = NULL;

	if (!c->contents->known || c->copies_at >= spool_size(c->contents->copies))
		return 0;
	first = drill_text(c->contents->copies, &c->copies_at, err);
	if (!first)
		return -EIO;
	drill_differs(
	        c->drill,
	        "fewer tables were counted than the table of contents has data of; the first of the rest: %s",
	        *first ? first : "large objects");
	return 0;
}

int drill_compare_tables(struct drill *d, const struct drill_contents *contents, bool *ret_counted,
                         struct error *err)
{
	struct comparing c = {.drill = d, .contents = contents};
	int r = expected_load(&c.expected, d->backup, err);

	*ret_counted = c.expected.lines != NULL;
	if (r < 0 || !*ret_counted) {
		expected_finish(&c.expected);
		return r;
	}
	pthread_mutex_init(&c.lock, NULL);
	compare_by_threads(&c);
	pthread_mutex_destroy(&c.lock);
	expected_finish(&c.expected);
	d->tables = c.tables;
	d->rows = c.rows;
	d->bytes = c.bytes;
	if (c.result < 0) {
		*err = c.first;
		return c.result;
	}
	r = tell_uncounted(&c, err);
	return r < 0 ? r : compare_large_objects(&c, err);
}

int drill_equal(struct drill *d, bool *ret_provable, struct error *err)
{
	_cleanup(drill_contents) struct drill_contents contents = {0};
	bool counted = false;
	int r = drill_contents_read(d, &contents, err);

	if (r == 0)
		r = drill_compare_tables(d, &contents, &counted, err);
	if (r == 0 && contents.known)
		r = drill_compare_objects(d, &contents, err);
	*ret_provable = counted && contents.known;
	return r;
}
