// SPDX-License-Identifier: Apache-2.0
#pragma once
/** env_merge() - this process's environment with @extra ("NAME=value", NULL-terminated, or NULL) in place of
 * variables of the same name. The array is heap, its strings are borrowed. */
char **env_merge(const char *const *extra);
