// SPDX-License-Identifier: Apache-2.0
/*
 * The text of a plain dump. What pg_dump writes about an object begins with a comment: "-- Data for Name: orders; Type: TABLE DATA; Schema: public;
 * Owner: app", or "-- Name: …" of all that is no data. Whoever may make objects in a database may have any lines he likes in the body of a function, in
 * a comment on a table and the like: so comments and COPY statements are what they seem only where psql would take them for that, outside of quotes and
 * between statements. Rows go up to the line "\.". Source: pg_backup_archiver.c (_printTocEntry), pg_dump.c (dumpTableData_copy).
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_lexer.h>

#include <errno.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)8 << 20) /* what is longer is no statement that has rows */
#define WHAT_TO_DO     "restore this one with psql from the mount"

static const char data_comment[] = "-- Data for ";
static const char name_comment[] = "-- Name: ";
static const char end_of_rows[] = "\\.\n";

struct inside_text_scan {
	struct inside_text_events events;
	uint64_t at;   /* of what comes next */
	bool of_blobs; /* the last comment tells of large objects */
	struct lo_calls calls;
	char *schema; /* that it names; NULL */
	struct sql_lexer lexer;
	struct str line;      /* what there is of the present one; of a COPY statement: of all its lines */
	bool between;         /* it begins outside of quotes, and between statements */
	bool too_long;        /* it was told already, as far as it came */
	bool has_backslashes; /* the encoding has characters with a byte that is a backslash in ASCII */
	bool in_rows;
	bool within_row;
	size_t matched; /* of end_of_rows, at the begin of a line */
	struct str statement;
	uint64_t raw_from;
	struct rows_scan *rows;
};

struct inside_text_scan *inside_text_scan_new(const struct inside_text_events *events)
{
	struct inside_text_scan *s = mem_alloc(sizeof(*s));

	s->events = *events;
	s->calls.events = *events;
	s->between = true;
	sql_lexer_init(&s->lexer);
	s->rows = rows_scan_new();
	return s;
}

struct inside_text_scan *inside_text_scan_free(struct inside_text_scan *s)
{
	if (!s)
		return NULL;
	free(s->schema);
	sql_lexer_finish(&s->lexer);
	str_finish(&s->line);
	str_finish(&s->statement);
	rows_scan_free(s->rows);
	free(s);
	return NULL;
}

/* Lines. */

static bool begins(const struct str *line, const char *text)
{
	size_t len = strlen(text);

	return line->len >= len && memcmp(line->data, text, len) == 0;
}

/* "…; Schema: public; Owner: app" */
static void take_schema(struct inside_text_scan *s)
{
	static const char begin[] = "; Schema: ", end[] = "; Owner: ";
	const char *text = str_text(&s->line), *from = strstr(text, begin), *to = NULL;

	if (from)
		to = strstr(from += sizeof(begin) - 1, end);
	if (to)
		s->schema = mem_printf("%.*s", (int)(to - from), from);
}

static void take_comment(struct inside_text_scan *s)
{
	const char *text = str_text(&s->line);

	bool data = begins(&s->line, data_comment);

	if (!data && !begins(&s->line, name_comment))
		return;
	free(take_ptr(&s->schema));
	s->of_blobs = data && strstr(text, "; Type: BLOBS;");
	if (data)
		take_schema(s);
}

static int tell_other(struct inside_text_scan *s, struct error *err)
{
	/* Calls that write large objects are data. */
	bool told = !s->of_blobs || begins(&s->line, "--");

	return told && s->events.other ? s->events.other(s->events.arg, s->line.data, s->line.len, err) : 0;
}

static int refuse_odd_text(struct error *err, const char *why)
{
	return error_set(err, ERROR_USAGE, ENOTSUP, "%s: " WHAT_TO_DO, why);
}

static bool is_copy_statement(const struct inside_text_scan *s)
{
	static const char copy[] = "COPY ";
	size_t n = sizeof(copy) - 1;

	return s->between && !s->too_long && s->line.len >= n && strncasecmp(s->line.data, copy, n) == 0;
}

/* "SET client_encoding = 'SJIS';" */
static bool has_backslashes_in_characters(const char *line)
{
	static const char *const names[] = {"'SJIS'",  "'BIG5'",    "'GBK'",           "'UHC'",
	                                    "'JOHAB'", "'GB18030'", "'SHIFT_JIS_2004'"};
	bool has = false;

	for (size_t i = 0; !has && i < ARRAY_SIZE(names); i++)
		has = strstr(line, names[i]);
	return has;
}

static void take_setting_of_text(struct inside_text_scan *s)
{
	if (begins(&s->line, "SET standard_conforming_strings = "))
		s->lexer.escape_always = strstr(str_text(&s->line), "off");
	else if (begins(&s->line, "SET client_encoding = "))
		s->has_backslashes = has_backslashes_in_characters(str_text(&s->line));
}

static bool begin_rows_of_text(struct inside_text_scan *s)
{
	_cleanup(inside_copy) struct inside_copy copy = {0};

	if (!inside_copy_parse(s->line.data, s->line.len, &copy))
		return false;
	str_clear(&s->statement);
	str_append_bytes(&s->statement, s->line.data, s->line.len);
	s->in_rows = true;
	s->within_row = false;
	s->matched = 0;
	s->raw_from = s->at;
	return true;
}

static void begin_line(struct inside_text_scan *s)
{
	str_clear(&s->line);
	s->too_long = false;
	s->between = s->lexer.place == SQL_PLACE_TEXT && !s->lexer.in_statement;
}

/* Rows that are not known to be some would be taken for SQL. */
static int end_copy(struct inside_text_scan *s, struct error *err)
{
	if (begin_rows_of_text(s))
		return 0;
	if (strcasestr(str_text(&s->line), "from stdin"))
		return refuse_odd_text(err, "the text has a COPY statement as pg_dump does not write it");
	return tell_other(s, err);
}

/* Comments say what follows, but within a large object there are none. */
static int take_call(struct inside_text_scan *s, struct error *err)
{
	const struct lo_line line = {.text = str_text(&s->line),
	                             .len = s->line.len,
	                             .begin = s->at - s->line.len,
	                             .announced = s->of_blobs,
	                             .escapes = s->lexer.escape_always};

	return s->between && !s->too_long ? lo_calls_take(&s->calls, &line, err) : 0;
}

static int end_line_of_text(struct inside_text_scan *s, struct error *err)
{
	int r;

	if (s->lexer.lost || (s->has_backslashes && s->lexer.behind_high))
		return refuse_odd_text(err, "the quotes of the text cannot be told from its encoding");
	/* A name may have an end of a line in it. */
	if (is_copy_statement(s) && s->lexer.in_statement)
		return 0;
	r = take_call(s, err);
	if (r < 0)
		return r;
	if (is_copy_statement(s)) {
		r = end_copy(s, err);
	} else {
		if (s->between && !s->too_long) {
			take_comment(s);
			take_setting_of_text(s);
		}
		r = tell_other(s, err);
	}
	begin_line(s);
	return r;
}

static int take_line_of_text(struct inside_text_scan *s, const char *data, size_t len, size_t *ret_taken,
                             struct error *err)
{
	const char *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) + 1 : len;
	int r;

	str_append_bytes(&s->line, data, n);
	for (size_t i = 0; i < n; i++)
		sql_lexer_step(&s->lexer, data[i]);
	s->at += n;
	*ret_taken = n;
	if (s->line.len >= LINE_MAX_BYTES && is_copy_statement(s))
		return refuse_odd_text(err, "the text has a COPY statement that is too long");
	if (end)
		return end_line_of_text(s, err);
	if (s->line.len < LINE_MAX_BYTES)
		return 0;
	r = take_call(s, err);
	if (r == 0)
		r = tell_other(s, err);
	s->too_long = true;
	str_clear(&s->line);
	return r;
}

/* Rows. */

static int end_rows_of_text(struct inside_text_scan *s, struct error *err)
{
	_cleanup(inside_copy) struct inside_copy copy = {0};
	struct inside_text_table table = {.copy_stmt = str_text(&s->statement), .raw_from = s->raw_from};
	int r;

	s->in_rows = false;
	inside_copy_parse(s->statement.data, s->statement.len, &copy);
	if (!rows_scan_end(s->rows, &table.rows))
		return refuse_odd_text(err, "the last row of a table has no end of its line");
	table.schema = copy.schema[0] ? copy.schema : str_or_empty(s->schema);
	table.table = copy.table;
	r = s->events.table(s->events.arg, &table, err);
	free(take_ptr(&s->schema));
	return r;
}

/* At the begin of a line: is it the end? What was held for that is given to the rows when it is not. */
static size_t match_end(struct inside_text_scan *s, const char *data, size_t len)
{
	size_t i = 0;

	while (i < len && s->matched < sizeof(end_of_rows) - 1) {
		if (data[i] != end_of_rows[s->matched]) {
			rows_scan_feed(s->rows, end_of_rows, s->matched);
			s->matched = 0;
			s->within_row = true;
			return i;
		}
		s->matched++;
		i++;
	}
	return i;
}

/* The bytes of rows up to where a line begins that may be the end. */
static size_t length_of_rows(struct inside_text_scan *s, const char *data, size_t len)
{
	size_t i = 0;

	do {
		const char *end = memchr(data + i, '\n', len - i);

		s->within_row = !end;
		i = end ? (size_t)(end - data) + 1 : len;
	} while (i < len && data[i] != '\\');
	return i;
}

static int take_rows_of_text(struct inside_text_scan *s, const char *data, size_t len, size_t *ret_taken,
                             struct error *err)
{
	size_t n;

	if (s->within_row || (s->matched == 0 && data[0] != '\\')) {
		n = length_of_rows(s, data, len);
		rows_scan_feed(s->rows, data, n);
	} else {
		n = match_end(s, data, len);
	}
	s->at += n;
	*ret_taken = n;
	return s->matched == sizeof(end_of_rows) - 1 ? end_rows_of_text(s, err) : 0;
}

int inside_text_scan_feed(struct inside_text_scan *s, const void *data, size_t len, struct error *err)
{
	const char *at = data;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = 0;

		r = s->in_rows ? take_rows_of_text(s, at, len, &n, err)
		               : take_line_of_text(s, at, len, &n, err);
		at += n;
		len -= n;
	}
	return r;
}

int inside_text_scan_end(struct inside_text_scan *s, struct error *err)
{
	if (s->in_rows)
		return refuse_odd_text(err, "the text is cut off within the rows of a table");
	if (s->lexer.place != SQL_PLACE_TEXT && s->lexer.place != SQL_PLACE_LINE_COMMENT &&
	    s->lexer.place != SQL_PLACE_META)
		return refuse_odd_text(err, "the text is cut off within quotes or a comment");
	lo_calls_end(&s->calls);
	return s->line.len > 0 ? tell_other(s, err) : 0;
}

const char *inside_text_scan_odd(const struct inside_text_scan *s)
{
	return s->calls.odd;
}
