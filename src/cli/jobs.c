// SPDX-License-Identifier: Apache-2.0
/* keepfs jobs: the history as a table, or one run whole. */
#include "client.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_RUNS 20

static const char *or_dash(const char *text)
{
	return text && *text ? text : "-";
}

/* What there is to say of a run: why it failed, what to look at, or else who wanted it, and what for. */
static void append_remark(const struct json *run, struct str *out)
{
	const char *error = json_get_string(run, "error"), *warning = json_get_string(run, "warning");
	const char *by = json_get_string(run, "triggered_by"), *note = json_get_string(run, "note");

	if (error)
		str_append(out, error);
	else if (warning)
		str_appendf(out, "warning: %s", warning);
	else if (by)
		str_append(out, by);
	if (note)
		str_appendf(out, "%s\"%s\"", out->len ? " " : "", note);
}

static void print_row(const struct json *run)
{
	char size[16] = "-";
	int64_t id = 0, bytes = 0;
	const char *started = json_get_string(run, "started");
	_cleanup(str) struct str remark = {0}, shown = {0};

	append_remark(run, &remark);
	str_append_line(&shown, str_text(&remark));
	json_get_int(run, "run", &id);
	if (json_get_int(run, "size_bytes", &bytes) && bytes > 0)
		str_format_bytes(size, sizeof(size), (unsigned long long)bytes);
	printf("%-5lld %-16s %-10s %-20.19s %10s  %s\n", (long long)id, or_dash(json_get_string(run, "job")),
	       or_dash(json_get_string(run, "state")), or_dash(started), size, or_dash(str_text(&shown)));
}

static void print_table(struct str *history)
{
	char *rest = history->data, *line;
	unsigned rows = 0;

	printf("%-5s %-16s %-10s %-20s %10s  %s\n", "RUN", "JOB", "STATE", "STARTED", "SIZE",
	       "ERROR, WARNING, OR TRIGGERED BY; NOTE");
	while (rest && (line = strsep(&rest, "\n")) && rows < SHOWN_RUNS) {
		_cleanup(json) struct json *run = *line ? json_parse(line, strlen(line), NULL) : NULL;

		if (!run)
			continue;
		print_row(run);
		rows++;
	}
}

static int print_one(const char *mountpoint, const char *word, bool json)
{
	_cleanup(free) char *status_path = mem_printf("jobs/%s/status", word);
	_cleanup(free) char *log_path = mem_printf("jobs/%s/log", word);
	_cleanup(str) struct str text = {0}, log = {0};

	if (client_read(mountpoint, status_path, &text) < 0) {
		fprintf(stderr, "keepfs: there is no run %s\n", word);
		return CLI_USAGE;
	}
	if (!json) {
		if (client_read(mountpoint, log_path, &log) == 0 && log.len)
			str_appendf(&text, "\n%s", str_text(&log));
		fputs(str_text(&text), stdout);
	}
	return CLI_DONE;
}

int cmd_jobs(const struct cli_options *options)
{
	_cleanup(free) char *mountpoint = NULL;
	_cleanup(str) struct str history = {0};
	int status, r;

	if (options->argc > 1)
		return cli_usage("jobs takes one run");
	if (options->argc == 1 && strspn(options->argv[0], "0123456789") != strlen(options->argv[0]))
		return cli_usage("'%s' is not the number of a run; 'keepfs jobs' lists them",
		                 options->argv[0]);
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	if (options->argc == 1) {
		status = print_one(mountpoint, options->argv[0], options->json);
		if (status != CLI_DONE || !options->json)
			return status;
		return client_print_run_json(mountpoint, strtoll(options->argv[0], NULL, 10));
	}
	r = client_read(mountpoint, "status/history.jsonl", &history);
	if (r < 0) {
		fprintf(stderr, "keepfs: the history cannot be read: %s\n", strerrordesc_np(-r));
		return CLI_FAILED;
	}
	if (options->json)
		fputs(str_text(&history), stdout);
	else
		print_table(&history);
	return CLI_DONE;
}
