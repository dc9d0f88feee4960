// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Ordering a run of a job from a mount. */
#include "cli.h"

/** trigger_send() - write @command to control/trigger, and say what came of it, as the options want it said; with @wait once the run has
 * ended. Returns an exit status. */
int trigger_send(const struct cli_options *options, const char *mountpoint, const char *command, bool wait);
