// SPDX-License-Identifier: Apache-2.0
/* The history's texts: a line for each run. CSV is that of RFC 4180: lines end in CR LF; a field that holds a
 * comma, a quote or a line end is quoted. */
#include "line.h"
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/run.h>
#include <keepfs/report/status.h>

static void write_header(struct spool *out)
{
	for (size_t i = 0; i < run_field_count; i++)
		spool_appendf(out, "%s%s", i ? "," : "", run_fields[i].name);
	spool_append(out, "\r\n", 2);
}

static bool write_csv_line(void *arg, const struct catalog_run *run)
{
	_cleanup(str) struct str line = {0};

	for (size_t i = 0; i < run_field_count; i++) {
		_cleanup(str) struct str field = {0};

		run_field_append(&run_fields[i], run, &field);
		if (i)
			str_append_char(&line, ',');
		str_append_csv(&line, str_text(&field));
	}
	str_append(&line, "\r\n");
	spool_append(arg, str_text(&line), line.len);
	return spool_error(arg) == 0;
}

int report_history_csv(const struct report_sources *from, struct spool *out)
{
	int r;

	write_header(out);
	r = runs_each(from->catalog, NULL, write_csv_line, out);
	return r < 0 ? r : spool_error(out);
}

void report_run_json(const struct catalog_run *run, struct spool *out)
{
	struct json *j = json_object_new();

	for (size_t i = 0; i < run_field_count; i++)
		run_field_set(&run_fields[i], run, j);
	line_json(out, j);
}

static bool write_json_line(void *arg, const struct catalog_run *run)
{
	report_run_json(run, arg);
	return spool_error(arg) == 0;
}

int report_history_jsonl(const struct report_sources *from, struct spool *out)
{
	int r = runs_each(from->catalog, NULL, write_json_line, out);

	return r < 0 ? r : spool_error(out);
}
