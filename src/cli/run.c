// SPDX-License-Identifier: Apache-2.0
/* keepfs run: one backup without a mount, for cron or a container's job. Ctrl-C, or the end of the terminal, cancels it
 * cleanly. */
#include "cli.h"

#include "engine.h"
#include "process.h"
#include "progress.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#define RECORDS_DEADLINE_MS 30000

struct run {
	struct engine engine;
	struct jobs *jobs;
	int changed_fd;
	int signal_fd;
};

static void wake_follower(void *arg, int64_t run_id)
{
	struct run *run = arg;
	uint64_t one = 1;

	(void)!write(run->changed_fd, &one, sizeof(one));
}

/* Shows the run until it has ended; a signal asks it to stop, and its end is waited for all the same. */
static int follow(struct run *run, int64_t id, bool quiet, struct catalog_run *ret, struct error *err)
{
	struct pollfd fds[] = {{.fd = run->changed_fd, .events = POLLIN},
	                       {.fd = run->signal_fd, .events = POLLIN}};
	struct progress progress;
	int r;

	progress_init(&progress);
	while ((r = catalog_run(run->engine.catalog, id, ret)) == 0) {
		struct report_progress figures;
		struct signalfd_siginfo info;
		uint64_t count;

		jobs_progress(run->jobs, id, &figures);
		if (!quiet)
			progress_show(&progress, id, run_state_name(ret->state), &figures);
		if (ret->state != RUN_PENDING && ret->state != RUN_RUNNING)
			break;
		while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
			;
		if (fds[0].revents & POLLIN)
			(void)!read(run->changed_fd, &count, sizeof(count));
		if (!(fds[1].revents & POLLIN) || read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo == SIGCHLD)
			proc_reap_strangers();
		else
			jobs_cancel(run->jobs, id, NULL);
	}
	progress_end(&progress);
	return r < 0 ? error_system(err, -r, "run %lld cannot be read from the catalog", (long long)id) : 0;
}

static int run_job(const struct cli_options *options, struct run *run, const char *by,
                   struct catalog_run *ret, struct error *err)
{
	const struct jobs_events events = {.run_changed = wake_follower, .arg = run};
	_cleanup(jobs_order) struct jobs_order order = {0};
	_cleanup(str) struct str command = {0};
	int r = jobs_new(&run->engine.make, &events, &run->jobs, err);

	for (int i = 0; i < options->argc; i++)
		command_line_append(&command, options->argv[i]);
	if (r == 0)
		r = jobs_order_parse(run->engine.conf, str_text(&command), &order, err);
	if (r == 0)
		r = jobs_submit(run->jobs, &order, by, ret, err);
	if (r == 0)
		r = follow(run, ret->id, options->json, ret, err);
	run->jobs = jobs_free(run->jobs);
	return r;
}

/* What has grown old moves into the store, as far as that answers soon; else the next run tries it. */
static void move_records(const struct run *run)
{
	const struct records_context ctx = engine_records(&run->engine);
	const struct store_call call = {.deadline_ms = clock_mono_ms() + RECORDS_DEADLINE_MS};
	struct error err = {0};

	if (records_move(&ctx, &call, &err) < 0)
		log_warning("old lines of the audit and old runs stay in the catalog for now: %s",
		            err.message);
}

static void print_result(const struct cli_options *options, const struct run *run,
                         const struct catalog_run *result)
{
	_cleanup(spool) struct spool *out = spool_new(run->engine.conf->state_dir);
	char buf[4096];
	uint64_t offset = 0;
	ssize_t n;

	if (options->json)
		report_run_json(result, out);
	else
		report_run_status(run->engine.catalog, result, out);
	while ((n = spool_read(out, buf, sizeof(buf), offset)) > 0) {
		fwrite(buf, 1, (size_t)n, stdout);
		offset += (uint64_t)n;
	}
}

/* What nohup, or the shell that started it in the background, has it ignore stays ignored. */
static void catch_signals(struct run *run)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	sigset_t signals;

	sigemptyset(&signals);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct sigaction before;

		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaddset(&signals, numbers[i]);
	}
	if (process_is_init())
		sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	run->changed_fd = eventfd(0, EFD_CLOEXEC);
}

int cmd_run(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	_cleanup(free) char *by = mem_printf("uid %lld (keepfs run)", (long long)getuid());
	struct run run = {.engine = {.lock_fd = -1}};
	struct catalog_run result = {0};
	struct error err = {0};
	int r;

	if (options->argc < 1)
		return cli_usage("run needs the name of a job, or 'now'");
	for (int i = 1; i < options->argc; i++) {
		if (!strchr(options->argv[i], '='))
			return cli_usage("run takes one job, and key=value pairs: '%s' is neither",
			                 options->argv[i]);
	}
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	/* The progress and the result tell what the log would: of that only what is wrong, unless more than
	 * the default was asked for. */
	if (conf.log_level == LOG_LEVEL_INFO)
		log_set_level(LOG_LEVEL_WARNING);
	catch_signals(&run);
	r = engine_open(&conf, &run.engine, &err);
	if (r == 0) {
		r = run_job(options, &run, by, &result, &err);
		if (r == 0)
			print_result(options, &run, &result);
		move_records(&run);
		engine_close(&run.engine);
	}
	close(run.signal_fd);
	close(run.changed_fd);
	if (r < 0)
		return cli_fail(&err);
	return result.state == RUN_COMPLETED ? CLI_DONE : CLI_FAILED;
}
