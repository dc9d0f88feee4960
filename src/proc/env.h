// SPDX-License-Identifier: Apache-2.0
#pragma once
/** env_merge() - of this process's environment what @which says, with @extra ("NAME=value", NULL-terminated, or
 * NULL) in place of variables of the same name. The array is heap, its strings are borrowed. */
#include <keepfs/proc.h>

char **env_merge(enum proc_env which, const char *const *extra);
