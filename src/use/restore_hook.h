// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Commands around a restore: what stops and starts whatever uses the place that is restored. */
#include <keepfs/make.h>

struct restore_hook {                   /* borrowed */
	const struct make_order *order; /* who is told */
	const char *backup;             /* path */
	const char *variable, *target;  /* "KEEPFS_DATABASE" and "shop": what is restored over */
	const char *job;                /* KEEPFS_JOB; NULL: none */
	const char *problem;            /* KEEPFS_ERROR; NULL: none */
	int64_t timeout_ms;             /* 0: 10 minutes */
};

/** restore_may_command() - may whoever has ordered it do what the user of keepfs may, as running commands is? */
bool restore_may_command(const struct make_order *order);
/** restore_hook_run() - @name: "pre_hook", for messages; @command NULL: nothing to do; @state: KEEPFS_STATE; @cancel NULL:
 * it is to run in any case. Blocks for timeout_ms at most. */
int restore_hook_run(const struct restore_hook *hook, const char *name, const char *command,
                     const char *state, struct cancel *cancel, struct error *err);
