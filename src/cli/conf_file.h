// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Writing a new file of the configuration: whole or not at all, and for nobody else to read. */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>

/** conf_file_path() - heap: where a new file belongs when nobody said so (@named NULL): the system's for root, else the user's. */
char *conf_file_path(const char *named);
/** conf_file_write() - @text as a new file of mode 0600, with the directories above it; durable when it returns 0. One that is
 * there is replaced in one step with @force, else it is -EEXIST. */
int conf_file_write(const char *path, const struct str *text, bool force, struct error *err);
