// SPDX-License-Identifier: Apache-2.0
/* keepfs schedule: show status/schedule, or write to control/schedule. */
#include "client.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/json.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int set_switch(const char *mountpoint, const struct cli_options *options)
{
	_cleanup(str) struct str command = {0}, answer = {0};
	const char *why;
	int r;

	for (int i = 0; i < options->argc; i++)
		command_line_append(&command, options->argv[i]);
	r = client_command(mountpoint, "control/schedule", str_text(&command), &answer);
	if (r == 0) {
		cli_put(stdout, str_text(&answer));
		return CLI_DONE;
	}
	why = answer.len ? str_text(&answer) : strerrordesc_np(-r);
	fputs("keepfs: ", stderr);
	cli_put(stderr, why);
	fputs(str_ends(why, "\n") ? "" : "\n", stderr);
	return r == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

static void print_row_of_table(const char *line)
{
	cli_put_line(stdout, line);
	fputc('\n', stdout);
}

/* The first line, and those that begin with the job's name. */
static bool print_rows(struct str *table, const char *job)
{
	char *rest = table->data, *line;
	bool is_first = true, found = !job;

	while (rest && (line = strsep(&rest, "\n"))) {
		bool is_job = job && strcspn(line, " ") == strlen(job) && str_starts(line, job);

		if (*line && (is_first || !job || is_job))
			print_row_of_table(line);
		found |= is_job && !is_first;
		is_first = false;
	}
	return found;
}

static bool print_objects(const struct str *text, const char *job)
{
	_cleanup(json) struct json *all = json_parse(str_text(text), text->len, NULL);
	const struct json *list = all ? json_get(all, "schedules") : NULL;
	_cleanup(json) struct json *chosen = json_array_new();
	_cleanup(str) struct str out = {0};

	for (size_t i = 0; i < json_count(list); i++)
		if (str_equal(json_get_string(json_item(list, i), "job"), job))
			json_append(chosen, json_clone(json_item(list, i)));
	if (json_count(chosen) == 0)
		return false;
	json_set(all, "schedules", take_ptr(&chosen));
	json_write(all, 2, &out);
	puts(str_text(&out));
	return true;
}

static int show(const char *mountpoint, const struct cli_options *options)
{
	const char *job = options->argc > 0 ? options->argv[0] : NULL;
	_cleanup(str) struct str text = {0};
	int r = client_read(mountpoint, options->json ? "status/schedule.json" : "status/schedule", &text);
	bool found;

	if (r < 0) {
		fprintf(stderr, "keepfs: the schedules cannot be read: %s\n", strerrordesc_np(-r));
		return CLI_FAILED;
	}
	if (options->json && !job) {
		fputs(str_text(&text), stdout);
		return CLI_DONE;
	}
	found = options->json ? print_objects(&text, job) : print_rows(&text, job);
	return found ? CLI_DONE : cli_usage("there is no job '%s'; 'keepfs schedule' lists them", job);
}

int cmd_schedule(const struct cli_options *options)
{
	_cleanup(free) char *mountpoint = NULL;
	int status;

	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	if (options->argc > 1 ||
	    (options->argc == 1 && (str_equal(options->argv[0], "on") || str_equal(options->argv[0], "off"))))
		return set_switch(mountpoint, options);
	return show(mountpoint, options);
}
