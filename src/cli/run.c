// SPDX-License-Identifier: Apache-2.0
/* keepfs run: one backup without a mount, for cron or a container's job. Ctrl-C, or the end of the terminal, cancels it
 * cleanly. */
#include "cli.h"

#include "engine.h"
#include "process.h"
#include "progress.h"
#include "run.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/notify.h>
#include <keepfs/proc.h>
#include <keepfs/use.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#define RECORDS_DEADLINE_MS 30000
#define NOTICES_DEADLINE_MS 60000

struct run {
	struct engine engine;
	struct jobs *jobs;
	struct notify *notify; /* NULL: nobody is told */
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

/* A mount does that for what is written to it. */
static void audit_work(const struct run *run, const struct make_kind *work, const char *command, int r,
                       const struct error *err)
{
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = getuid(), .pid = getpid()};
	struct error own = {0};

	str_copy(entry.command, sizeof(entry.command), "keepfs");
	str_copy(entry.action, sizeof(entry.action), work->name);
	str_cut(entry.object, sizeof(entry.object),
	        use_has_password(command) ? "a command with a password" : command);
	str_copy(entry.result, sizeof(entry.result), r < 0 ? "failed" : "ok");
	str_cut(entry.detail, sizeof(entry.detail), r < 0 ? err->message : "");
	if (catalog_add_audit(run->engine.catalog, &entry, &own) < 0)
		log_error("what was ordered could not be written to the audit: %s", own.message);
}

static int submit_work(struct run *run, const struct run_request *request, const char *command,
                       const char *by, struct catalog_run *ret, struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct error why = {0};
	int r = use_has_password(command)
	                ? error_set(
	                          &why, ERROR_USAGE, EINVAL,
	                          "a command must not hold a password, since everybody can read the history: let it be in ~/.pgpass or a service file of the user of keepfs")
	                : jobs_order_parse_work(request->work, command, &order, &why);

	if (r == 0)
		r = jobs_submit(run->jobs, &order, by, ret, &why);
	audit_work(run, request->work, command, r, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int submit_job(struct run *run, const char *command, const char *by, struct catalog_run *ret,
                      struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	int r = jobs_order_parse(run->engine.conf, command, &order, err);

	return r < 0 ? r : jobs_submit(run->jobs, &order, by, ret, err);
}

static int run_job(const struct run_request *request, struct run *run, struct catalog_run *ret,
                   struct error *err)
{
	const struct jobs_events events = {.run_changed = wake_follower, .arg = run};
	_cleanup(free) char *by = mem_printf("uid %lld (keepfs %s)", (long long)getuid(), request->command);
	_cleanup(str) struct str command = {0};
	int r = jobs_new(&run->engine.make, &events, &run->jobs, err);

	for (int i = 0; i < request->argc; i++)
		command_line_append(&command, request->argv[i]);
	if (r == 0)
		r = request->work ? submit_work(run, request, str_text(&command), by, ret, err)
		                  : submit_job(run, str_text(&command), by, ret, err);
	if (r == 0)
		r = follow(run, ret->id, request->quiet, ret, err);
	run->jobs = jobs_free(run->jobs);
	return r;
}

/* Before the run begins. A backup is made all the same when nobody can be told of it. */
static void begin_notices(struct run *run)
{
	const struct notify_context context = {.conf = run->engine.conf, .catalog = run->engine.catalog};
	struct error err = {0};

	if (notify_new(&context, &run->notify, &err) < 0)
		log_error("nobody is told of this run: %s", err.message);
}

/* What cannot be sent soon waits for the next run, or for a mount. */
static void end_notices(struct run *run)
{
	notify_flush(run->notify, NOTICES_DEADLINE_MS);
	run->notify = notify_free(run->notify);
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

void run_print_result(void *arg, const struct engine *engine, const struct catalog_run *result)
{
	const struct cli_options *options = arg;
	_cleanup(spool) struct spool *out = spool_new(engine->conf->state_dir);
	char buf[4096];
	uint64_t offset = 0;
	ssize_t n;

	if (options->json)
		report_run_json(result, out);
	else
		report_run_status(engine->catalog, result, NULL, out);
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

int run_to_end(const struct conf *conf, const struct run_request *request, struct catalog_run *ret,
               struct error *err)
{
	struct run run = {.engine = {.lock_fd = -1}};
	int r;

	/* The progress and the result tell what the log would: of that only what is wrong, unless more than
	 * the default was asked for. */
	if (conf->log_level == LOG_LEVEL_INFO)
		log_set_level(LOG_LEVEL_WARNING);
	if (!request->work && conf->role == CONF_READER)
		return error_set(
		        err, ERROR_USAGE, EROFS,
		        "[keepfs] role = reader: this keepfs makes no backups; run it on the host of the writer");
	catch_signals(&run);
	r = engine_open(conf, &run.engine, err);
	if (r == 0) {
		begin_notices(&run);
		r = run_job(request, &run, ret, err);
		if (r == 0) {
			request->ended(request->arg, &run.engine, ret);
			notify_run_ended(run.notify, ret->id);
		}
		end_notices(&run);
		move_records(&run);
		engine_checkpoint(&run.engine);
		engine_copy_catalog(&run.engine);
		engine_close(&run.engine);
	}
	close(run.signal_fd);
	close(run.changed_fd);
	return r;
}

int cmd_run(const struct cli_options *options)
{
	const struct run_request request = {
	        .argc = options->argc,
	        .argv = options->argv,
	        .command = "run",
	        .quiet = options->json,
	        .ended = run_print_result,
	        .arg = (void *)options,
	};
	_cleanup(conf) struct conf conf = {0};
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
	if (run_to_end(&conf, &request, &result, &err) < 0)
		return cli_fail(&err);
	return result.state == RUN_COMPLETED ? CLI_DONE : CLI_FAILED;
}
