// SPDX-License-Identifier: Apache-2.0
/* A hook is a child like any other, but that nobody reads its output: all of it is words for the log. */
#include "hook.h"

#include <keepfs/base/mem.h>
#include <keepfs/proc.h>

static void log_hook_line(void *arg, const char *line)
{
	const struct hook *hook = arg;
	_cleanup(free) char *text = mem_printf("%s: %s", hook->name, line);

	if (hook->log)
		hook->log(hook->log_arg, text);
}

int hook_run(const struct hook *hook, struct error *err)
{
	const char *const argv[] = {"/bin/sh", "-c", hook->command, NULL};
	const struct proc_options options = {
	        .argv = argv,
	        .env = PROC_ENV_HOOK,
	        .extra_env = hook->env,
	        .on_stderr_line = log_hook_line,
	        .arg = (void *)hook,
	        .cancel = hook->cancel,
	        .timeout_ms = hook->timeout_ms,
	        .output_to_lines = true,
	};
	_cleanup(proc) struct proc *p = NULL;
	int r = proc_start(&options, &p, err);

	if (r == 0)
		r = proc_wait(p, err);
	if (r < 0)
		error_prefix(err, "%s", hook->name);
	return r;
}
