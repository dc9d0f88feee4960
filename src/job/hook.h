// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Commands of the operator around a run. Private to this room. */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <stdint.h>

struct hook {
	const char *name;       /* "pre_hook": in front of its lines in the log, and in its error */
	const char *command;    /* for /bin/sh -c */
	const char *const *env; /* "NAME=value" on top of what PROC_ENV_HOOK says; NULL-terminated, or NULL */
	int64_t timeout_ms;     /* 0: none */
	struct cancel *cancel;
	void (*log)(void *arg,
	            const char *line); /* what it writes, line by line; a thread of its own. NULL */
	void *log_arg;
};

/**
 * hook_run() - run it to its end
 * Its standard output and standard error both go to the log. Whatever it left running in its process group is
 * killed: what shall stay must leave the group (setsid).
 * Return: 0 for exit status 0; -ECANCELED; -ETIMEDOUT; else negative with @err: its exit status and last
 * words.
 */
int hook_run(const struct hook *hook, struct error *err);
