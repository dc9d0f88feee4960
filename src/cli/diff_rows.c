// SPDX-License-Identifier: Apache-2.0
/* keepfs diff A B TABLE: the rows that differ, as they are in COPY's text format: "-" before those that are gone, "+" before new ones. */
#include "diff.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/json_bytes.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define HELD_BYTES ((size_t)64 << 10)

struct row_printer {
	enum diff_side side;
	bool json, terminal;
	bool within; /* a row that has begun */
	bool any;
	struct json_bytes bytes;
	struct str text;
};

static const char *change_name(enum diff_side side)
{
	return side == DIFF_A ? "removed" : "added";
}

static void begin_printing(struct row_printer *p)
{
	if (p->within)
		return;
	p->within = true;
	if (p->json)
		str_appendf(&p->text, "%s\n    {\"change\": \"%s\", \"row\": \"", p->any ? "," : "",
		            change_name(p->side));
	else
		str_append_char(&p->text, p->side == DIFF_A ? '-' : '+');
	p->any = true;
}

static void flush_printed(struct row_printer *p)
{
	if (p->terminal && !p->json)
		cli_put(stdout, str_text(&p->text));
	else
		fwrite(str_text(&p->text), 1, p->text.len, stdout);
	str_clear(&p->text);
}

static int print_differing_row(void *arg, const void *data, size_t len, bool ends, struct error *err)
{
	struct row_printer *p = arg;

	begin_printing(p);
	if (p->json)
		json_bytes_append(&p->bytes, data, len, &p->text);
	else
		str_append_bytes(&p->text, data, len);
	if (ends && p->json) {
		json_bytes_end(&p->bytes, &p->text);
		str_append(&p->text, "\"}");
	} else if (ends) {
		str_append_char(&p->text, '\n');
	}
	p->within = !ends;
	if (p->text.len > HELD_BYTES)
		flush_printed(p);
	/* Whoever does not read any more gets no more, and is told of at the end. */
	return ferror(stdout) ? error_set(err, ERROR_INTERNAL, EPIPE, "standard output cannot be written")
	                      : 0;
}

static void open_rows_json(const struct comparison *c, const struct diff_rows *rows)
{
	const struct diff_table *table = diff_rows_table(rows);
	_cleanup(json) struct json *object = comparison_heading(c);
	_cleanup(str) struct str out = {0};

	json_set_string(object, "schema", table->schema);
	json_set_string(object, "table", table->table);
	json_set_string(object, "columns", table->b ? table->b->columns : table->a->columns);
	json_set_string(object, "encoding", inside_encoding(diff_backup(c->diff, DIFF_B)->dump));
	json_set_int(object, "removed", (int64_t)diff_rows_count(rows, DIFF_A));
	json_set_int(object, "added", (int64_t)diff_rows_count(rows, DIFF_B));
	json_write_open(object, &out);
	json_list_open("rows", &out);
	fputs(str_text(&out), stdout);
}

static void close_rows_json(void)
{
	_cleanup(str) struct str out = {0};

	json_list_close(&out);
	json_write_close(&out);
	fputs(str_text(&out), stdout);
}

/* On standard error, so that standard output has nothing but rows. */
static void tell_differing_rows(const struct diff_rows *rows)
{
	const struct diff_table *table = diff_rows_table(rows);
	uint64_t removed = diff_rows_count(rows, DIFF_A), added = diff_rows_count(rows, DIFF_B);
	_cleanup(free) char *name = mem_printf("%s.%s", table->schema, table->table);

	fputs("keepfs: ", stderr);
	cli_put_line(stderr, name);
	if (removed + added == 0)
		fputs(": the rows are the same\n", stderr);
	else
		fprintf(stderr, ": %" PRIu64 " removed, %" PRIu64 " added\n", removed, added);
}

static int print_differing_rows(struct comparison *c, struct diff_rows *rows)
{
	struct row_printer p = {.json = c->json, .terminal = isatty(STDOUT_FILENO)};
	struct error err = {0};
	int r = 0;

	if (c->json)
		open_rows_json(c, rows);
	for (int side = 0; r == 0 && side < 2; side++) {
		p.side = (enum diff_side)side;
		r = diff_rows_read(rows, p.side, print_differing_row, &p, &err);
	}
	flush_printed(&p);
	str_finish(&p.text);
	if (r < 0)
		return ferror(stdout) ? CLI_FAILED : cli_fail(&err);
	if (c->json)
		close_rows_json();
	else
		tell_differing_rows(rows);
	return CLI_DONE;
}

int comparison_print_rows(struct comparison *c, const char *name)
{
	_cleanup(diff_rows) struct diff_rows *rows = NULL;
	struct error err = {0};
	int r;

	r = diff_rows_open(c->diff, name, &rows, &err);
	comparison_audit(c, name, r, &err);
	if (c->shows_progress && atomic_load(&c->shown) > 0)
		fputs("\r                \r", stderr);
	c->shows_progress = false;
	return r < 0 ? cli_fail(&err) : print_differing_rows(c, rows);
}
