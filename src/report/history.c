// SPDX-License-Identifier: Apache-2.0
/* The history's texts: a line for each run. CSV is that of RFC 4180: lines end in CR LF; a field that holds a
 * comma, a quote or a line end is quoted. */
#include "line.h"
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/run.h>
#include <keepfs/report/status.h>

#define ROWS_SHOWN_MAX 10000 /* when all are kept: a text is made while somebody waits for its size */

uint64_t report_rows_shown(int64_t keep)
{
	return keep ? (uint64_t)keep + (uint64_t)keep / 10 : ROWS_SHOWN_MAX;
}

struct history_text {
	struct spool *out;
	uint64_t left; /* runs */
};

static int write_runs(const struct report_sources *from,
                      bool (*row)(void *arg, const struct catalog_run *run), struct spool *out)
{
	struct history_text text = {.out = out, .left = report_rows_shown(from->conf->history_keep)};
	int r = runs_each(from->catalog, NULL, row, &text);

	return r < 0 ? r : spool_error(out);
}

static bool goes_on(struct history_text *text)
{
	return --text->left > 0 && spool_error(text->out) == 0;
}

static void write_header(struct spool *out)
{
	for (size_t i = 0; i < run_field_count; i++)
		spool_appendf(out, "%s%s", i ? "," : "", run_fields[i].name);
	spool_append(out, "\r\n", 2);
}

static bool write_csv_line(void *arg, const struct catalog_run *run)
{
	struct history_text *text = arg;
	_cleanup(str) struct str line = {0};

	for (size_t i = 0; i < run_field_count; i++) {
		_cleanup(str) struct str field = {0}, shown = {0};

		run_field_append(&run_fields[i], run, &field);
		str_append_visible(&shown, str_text(&field));
		if (i)
			str_append_char(&line, ',');
		str_append_csv(&line, str_text(&shown));
	}
	str_append(&line, "\r\n");
	spool_append(text->out, str_text(&line), line.len);
	return goes_on(text);
}

int report_history_csv(const struct report_sources *from, struct spool *out)
{
	write_header(out);
	return write_runs(from, write_csv_line, out);
}

struct json *run_object(const struct catalog_run *run)
{
	struct json *j = json_object_new();

	for (size_t i = 0; i < run_field_count; i++)
		run_field_set(&run_fields[i], run, j);
	return j;
}

void report_run_json(const struct catalog_run *run, struct spool *out)
{
	line_json(out, run_object(run));
}

static bool write_json_line(void *arg, const struct catalog_run *run)
{
	struct history_text *text = arg;

	report_run_json(run, text->out);
	return goes_on(text);
}

int report_history_jsonl(const struct report_sources *from, struct spool *out)
{
	return write_runs(from, write_json_line, out);
}
