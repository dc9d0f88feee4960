// SPDX-License-Identifier: Apache-2.0
/*
 * Priorities are set from outside, on the group of a child that runs already: posix_spawn() has no word for
 * them, and code of ours between fork and exec would run in a copy of a process with many threads. Both calls
 * reach what the child has started meanwhile, and whatever it starts later inherits them. A child that ended
 * already is no failure.
 */
#include "priority.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define LOWEST_LEVEL 7 /* of best effort: 0 to 7 */

static void warn(const struct proc_options *options, const char *what, int errnum)
{
	_cleanup(free) char *line = mem_printf("warning: cannot lower the %s of %s: %s", what,
	                                       options->argv[0], strerror(errnum));

	if (errnum == ESRCH)
		return;
	if (options->on_stderr_line)
		options->on_stderr_line(options->arg, line);
	else
		log_warning("%s", line);
}

static int io_priority(int ionice)
{
	return ionice == PROC_IONICE_IDLE ? IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)
	                                  : IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, LOWEST_LEVEL);
}

void priority_lower(pid_t pid, const struct proc_options *options)
{
	int io = io_priority(options->ionice);

	/* Never a higher one than it has from us. */
	if (options->nice > getpriority(PRIO_PGRP, (id_t)pid) &&
	    setpriority(PRIO_PGRP, (id_t)pid, options->nice) < 0)
		warn(options, "priority", errno);
	if (options->ionice != PROC_IONICE_NONE && syscall(SYS_ioprio_set, IOPRIO_WHO_PGRP, pid, io) < 0)
		warn(options, "I/O priority", errno);
}

void proc_lower_thread(int nice, int ionice)
{
	/* Of this thread alone: that is what Linux takes "process 0" for. */
	if (nice > 0 && setpriority(PRIO_PROCESS, 0, nice) < 0)
		log_warning("cannot lower the priority of a thread: %s", strerror(errno));
	if (ionice != PROC_IONICE_NONE &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, io_priority(ionice)) < 0)
		log_warning("cannot lower the I/O priority of a thread: %s", strerror(errno));
}
