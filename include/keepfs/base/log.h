// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The log: lines on standard error, in a file, or both. On standard error under systemd (JOURNAL_STREAM) each
 * carries its priority as `<N>`, elsewhere a UTC time and a level. Any thread; a line is written with one
 * write(2). Never log a secret.
 */
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/** log_set_level() - lines above @level are dropped; LOG_LEVEL_INFO at start. */
void log_set_level(enum log_level level);
/** log_to_file() - from now on lines go to @fd, and only with @standard_error there too. @fd stays open. */
void log_to_file(int fd, bool standard_error);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
