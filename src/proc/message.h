// SPDX-License-Identifier: Apache-2.0
#pragma once
/** message_of_end() - fill @err with how @program ended (a status of waitpid()) and the last lines of
 * @stderr_text; of a statement that pg_dump shows behind its reason only the begin. */
#include <keepfs/base/error.h>

void message_of_end(const char *program, int wait_status, const char *stderr_text, struct error *err);
