// SPDX-License-Identifier: Apache-2.0
/* The log: one write(2) a line, so that lines of several threads never mix. */
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/str.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int max_level = LOG_LEVEL_INFO;
static atomic_int file_fd = -1;
static atomic_bool on_standard_error = true;

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

void log_to_file(int fd, bool standard_error)
{
	atomic_store(&file_fd, fd);
	atomic_store(&on_standard_error, standard_error);
}

static const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	default:
		return "debug";
	}
}

static void write_line(int fd, const char *prefix, const char *text)
{
	_cleanup(str) struct str line = {0};

	str_append(&line, prefix);
	str_append_visible(&line, text);
	str_append_char(&line, '\n');
	/* Remote texts may hold line ends; one event stays one line. */
	for (size_t i = 0; i + 1 < line.len; i++) {
		if (line.data[i] == '\n' || line.data[i] == '\r')
			line.data[i] = ' ';
	}
	(void)!write(fd, line.data, line.len);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	char now[CLOCK_ISO_BYTES], dated[CLOCK_ISO_BYTES + 16], priority[8];
	int fd = atomic_load(&file_fd);
	va_list args;

	if ((int)level > atomic_load(&max_level))
		return;
	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	snprintf(dated, sizeof(dated), "%s %s: ", clock_format_iso(clock_now_us(), now),
	         log_level_name(level));
	snprintf(priority, sizeof(priority), "<%d>", (int)level);
	if (atomic_load(&on_standard_error))
		write_line(STDERR_FILENO, getenv("JOURNAL_STREAM") ? priority : dated, str_text(&text));
	if (fd >= 0)
		write_line(fd, dated, str_text(&text));
}
