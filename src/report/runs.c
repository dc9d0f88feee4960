// SPDX-License-Identifier: Apache-2.0
/* The history's texts. It is read in pages, newest first; a run that ends meanwhile is told as it was or as
 * it is, never twice, because a page ends at a run's number. */
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define PAGE_RUNS 64

int runs_each(struct catalog *c, const char *job, bool (*row)(void *arg, const struct catalog_run *run),
              void *arg)
{
	_cleanup(free) struct catalog_run *page = mem_array(PAGE_RUNS, sizeof(*page));
	int64_t before = 0;

	for (;;) {
		ssize_t count = catalog_runs(c, job, before, page, PAGE_RUNS);

		if (count <= 0)
			return (int)count;
		for (ssize_t i = 0; i < count; i++)
			if (!row(arg, &page[i]))
				return 0;
		before = page[count - 1].id;
	}
}

bool run_is_live(const struct catalog_run *run)
{
	return run->state == RUN_PENDING || run->state == RUN_RUNNING;
}

double run_seconds(const struct catalog_run *run)
{
	if (!run->started_at_us || !run->finished_at_us)
		return -1;
	return (double)(run->finished_at_us - run->started_at_us) / (double)US_PER_S;
}

void spool_json(struct spool *out, struct json *j)
{
	_cleanup(json) struct json *owned = j;
	_cleanup(str) struct str line = {0};

	json_write(owned, 0, &line);
	str_append_char(&line, '\n');
	spool_append(out, str_text(&line), line.len);
}

void append_flat(struct str *out, const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			str_append(out, " | ");
		else if (!iscntrl((unsigned char)text[i]))
			str_append_char(out, text[i]);
		else
			str_append_char(out, ' ');
	}
}

const char *format_time(int64_t at_us, const char *none, char buf[static 32])
{
	if (at_us)
		clock_format_iso(at_us, buf);
	else
		str_copy(buf, 32, none);
	return buf;
}

/* CSV by RFC 4180: lines end in CR LF; a field that holds a comma, a quote or a line end is quoted. */

static void append_csv(struct str *line, const char *text)
{
	if (line->len)
		str_append_char(line, ',');
	str_append_csv(line, text);
}

static bool write_csv_line(void *arg, const struct catalog_run *run)
{
	_cleanup(str) struct str line = {0};
	const int64_t times[] = {run->queued_at_us, run->started_at_us, run->finished_at_us};
	char at[32];

	str_appendf(&line, "%" PRId64, run->id);
	append_csv(&line, run->job);
	append_csv(&line, run->kind);
	append_csv(&line, run_state_name(run->state));
	append_csv(&line, run->triggered_by);
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		append_csv(&line, format_time(times[i], "", at));
	str_append_char(&line, ',');
	if (run_seconds(run) >= 0)
		str_appendf(&line, "%.3f", run_seconds(run));
	str_appendf(&line, ",%" PRIu64, run->size_bytes);
	append_csv(&line, run->sha256);
	str_appendf(&line, ",%" PRIu64 ",%" PRIu64, run->targets, run->targets_failed);
	append_csv(&line, run->error);
	append_csv(&line, run->note);
	append_csv(&line, run->options);
	append_csv(&line, run->warning);
	append_csv(&line, run->damaged);
	str_append(&line, "\r\n");
	spool_append(arg, str_text(&line), line.len);
	return spool_error(arg) == 0;
}

static int result_of(int r, const struct spool *out)
{
	return r < 0 ? r : spool_error(out);
}

int report_history_csv(struct catalog *c, struct spool *out)
{
	static const char header[] =
	        "run,job,kind,state,triggered_by,queued,started,finished,seconds,size_bytes,sha256,targets,targets_failed,error,note,options,warning,damaged\r\n";

	spool_append(out, header, sizeof(header) - 1);
	return result_of(runs_each(c, NULL, write_csv_line, out), out);
}

/* JSON */

static void set_text(struct json *j, const char *key, const char *text)
{
	json_set_string(j, key, *text ? text : NULL);
}

void report_run_json(const struct catalog_run *run, struct spool *out)
{
	struct json *j = json_object_new();

	json_set_int(j, "run", run->id);
	json_set_string(j, "job", run->job);
	json_set_string(j, "kind", run->kind);
	json_set_string(j, "state", run_state_name(run->state));
	json_set_string(j, "triggered_by", run->triggered_by);
	json_set_time(j, "queued", run->queued_at_us);
	json_set_time(j, "started", run->started_at_us);
	json_set_time(j, "finished", run->finished_at_us);
	if (run_seconds(run) >= 0)
		json_set_real(j, "seconds", run_seconds(run));
	else
		json_set_string(j, "seconds", NULL);
	json_set_int(j, "size_bytes", (int64_t)run->size_bytes);
	set_text(j, "sha256", run->sha256);
	json_set_int(j, "targets", (int64_t)run->targets);
	json_set_int(j, "targets_failed", (int64_t)run->targets_failed);
	set_text(j, "error", run->error);
	set_text(j, "note", run->note);
	set_text(j, "options", run->options);
	set_text(j, "warning", run->warning);
	set_text(j, "damaged", run->damaged);
	spool_json(out, j);
}

static bool write_json_line(void *arg, const struct catalog_run *run)
{
	report_run_json(run, arg);
	return spool_error(arg) == 0;
}

int report_history_jsonl(struct catalog *c, struct spool *out)
{
	return result_of(runs_each(c, NULL, write_json_line, out), out);
}
