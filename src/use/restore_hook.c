// SPDX-License-Identifier: Apache-2.0
#include "restore_hook.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/proc.h>

#include <stdlib.h>
#include <unistd.h>

#define HOOK_MS 600000

/* Whoever may write into a control file may not run commands as the daemon: but the daemon's own user, and root, can do so anyway. */
bool restore_may_command(const struct make_order *order)
{
	const char *by = order->triggered_by;
	long uid = str_starts(by, "uid ") ? strtol(by + 4, NULL, 10) : (long)geteuid();

	return uid == 0 || uid == (long)geteuid();
}

static void say_hook_line(void *arg, const char *line)
{
	make_say(((const struct restore_hook *)arg)->order, "hook: %s", line);
}

int restore_hook_run(const struct restore_hook *hook, const char *name, const char *command,
                     const char *state, struct cancel *cancel, struct error *err)
{
	const char *const argv[] = {"/bin/sh", "-c", command, NULL};
	_cleanup(free) char *target = mem_printf("%s=%s", hook->variable, hook->target),
	                    *backup = mem_printf("KEEPFS_BACKUP=%s", hook->backup),
	                    *result = mem_printf("KEEPFS_STATE=%s", state),
	                    *run = mem_printf("KEEPFS_RUN=%lld", (long long)hook->order->run_id),
	                    *job = mem_printf("KEEPFS_JOB=%s", str_or_empty(hook->job)),
	                    *problem = mem_printf("KEEPFS_ERROR=%s", str_or_empty(hook->problem));
	const char *const env[] = {target,
	                           backup,
	                           result,
	                           run,
	                           hook->job ? job : NULL,
	                           hook->job && hook->problem ? problem : NULL,
	                           NULL};
	const struct proc_options options = {.argv = argv,
	                                     .env = PROC_ENV_HOOK,
	                                     .extra_env = env,
	                                     .on_stderr_line = say_hook_line,
	                                     .arg = (void *)hook,
	                                     .cancel = cancel,
	                                     .timeout_ms = hook->timeout_ms ? hook->timeout_ms : HOOK_MS,
	                                     .output_to_lines = true};
	_cleanup(proc) struct proc *p = NULL;
	int r;

	if (!command || !*command)
		return 0;
	make_say(hook->order, "%s: %s", name, command);
	r = proc_start(&options, &p, err);
	if (r == 0)
		r = proc_wait(p, err);
	if (r < 0)
		error_prefix(err, "%s", name);
	return r;
}
