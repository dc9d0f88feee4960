// SPDX-License-Identifier: Apache-2.0
#pragma once
/** How much of the machine a child may take from others. */
#include <keepfs/proc.h>

/** priority_lower() - as @options say, for the process group of @pid; what could not be set is told there, on
 * this thread. */
void priority_lower(pid_t pid, const struct proc_options *options);
