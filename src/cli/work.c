// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include "client.h"
#include "run.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/command_line.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "2026-11-20T02:00:00Z text", without the time. */
static void print_log_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	const struct work *work = arg;

	cli_put_line(stdout, line);
	putchar('\n');
	if (work->line)
		work->line(line);
}

static void print_log_of_mount(const struct work *work, const char *mountpoint, int64_t run_id)
{
	_cleanup(free) char *path = mem_printf("%s/jobs/%lld/log", mountpoint, (long long)run_id);
	_cleanup(free) char *line = NULL;
	FILE *f = fopen(path, "re");
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		const char *text = strchr(line, ' ');

		print_log_line((void *)work, 0, 0, text ? text + 1 : line);
	}
	if (f)
		fclose(f);
}

struct work_here {
	const struct work *work;
	const struct cli_options *options;
};

static void print_log_and_result(void *arg, const struct engine *engine, const struct catalog_run *run)
{
	const struct work_here *here = arg;

	catalog_run_log(engine->catalog, run->id, 0, print_log_line, (void *)here->work);
	run_print_result((void *)here->options, engine, run);
}

static int work_by_mount(const struct cli_options *options, const struct work *work, const char *mountpoint)
{
	_cleanup(str) struct str command = {0}, answer = {0};
	int64_t run_id;
	int r, status;

	for (int i = 0; i < options->argc; i++)
		command_line_append(&command, client_within_mount(mountpoint, options->argv[i]));
	r = client_command(mountpoint, work->file, str_text(&command), &answer);
	if (r < 0)
		return client_refused(r, &answer);
	run_id = strtoll(str_text(&answer), NULL, 10);
	status = client_watch(mountpoint, run_id,
	                      options->json     ? CLIENT_SHOW_NOTHING
	                      : work->shows_log ? CLIENT_SHOW_STATES
	                                        : CLIENT_SHOW_ALL);
	if (work->shows_log && !options->json)
		print_log_of_mount(work, mountpoint, run_id);
	if (options->json && client_print_run_json(mountpoint, run_id) != CLI_DONE)
		return CLI_FAILED;
	return status;
}

static int work_here(const struct cli_options *options, const struct work *work, const struct conf *conf)
{
	const struct work_here here = {.work = work, .options = options};
	bool shows_log = work->shows_log && !options->json;
	const struct run_request request = {
	        .work = work->kind,
	        .argc = options->argc,
	        .argv = options->argv,
	        .command = work->kind->name,
	        .quiet = options->json,
	        .ended = shows_log ? print_log_and_result : run_print_result,
	        .arg = shows_log ? (void *)&here : (void *)options,
	};
	struct catalog_run result = {0};
	struct error err = {0};

	if (run_to_end(conf, &request, &result, &err) < 0)
		return cli_fail(&err);
	return result.state == RUN_COMPLETED ? CLI_DONE : CLI_FAILED;
}

/* Whoever names a mount means that one. */
int work_to_end(const struct cli_options *options, const struct work *work)
{
	const char *named = getenv("KEEPFS_MOUNT");
	_cleanup(free) char *mountpoint = NULL, *file = NULL;
	_cleanup(conf) struct conf conf = {0};
	int status;

	if (options->mountpoint || (named && *named)) {
		status = client_find(options, &mountpoint);
		return status == CLI_DONE ? work_by_mount(options, work, mountpoint) : status;
	}
	status = cli_load_conf(options, &conf);
	if (status != CLI_DONE)
		return status;
	file = mem_printf("%s/%s", conf.mountpoint, work->file);
	if (access(file, F_OK) == 0)
		return work_by_mount(options, work, conf.mountpoint);
	return work_here(options, work, &conf);
}

int work_with_words(const struct cli_options *options, const struct work *work, const char *const *words,
                    size_t count)
{
	_cleanup(free) char **argv = mem_array((size_t)options->argc + count + 1, sizeof(*argv));
	struct cli_options more = *options;

	memcpy(argv, options->argv, (size_t)options->argc * sizeof(*argv));
	more.argv = argv;
	for (size_t i = 0; i < count; i++)
		if (words[i])
			argv[more.argc++] = (char *)words[i];
	return work_to_end(&more, work);
}
