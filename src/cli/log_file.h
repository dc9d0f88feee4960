// SPDX-License-Identifier: Apache-2.0
#pragma once
/* keepfs.log, the log of a daemon in the background: standard error, too, once the mount serves. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>

struct log_file;

/** log_file_open() - keepfs.log in @state_dir, which is made when it is missing. */
int log_file_open(const char *state_dir, struct log_file **ret, struct error *err);
/** log_file_free() - close it: nothing is written to it any more. NULL is allowed. */
void log_file_free(struct log_file *log);
DEFINE_CLEANUP(log_file, struct log_file *, log_file_free)
/** log_file_begin() - from now on the log is on standard error and in the file. */
void log_file_begin(struct log_file *log);
/** log_file_alone() - from now on it is in the file alone, and so is what else is written to standard error. */
void log_file_alone(struct log_file *log);
/** log_file_reopen() - go on in the file that has the name now, as after a rotation. When that cannot be opened, the
 * old one stays, and gets a line about it. NULL is allowed: there is no file. */
void log_file_reopen(struct log_file *log);
