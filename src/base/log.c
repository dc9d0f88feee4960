/* The log: one write(2) a line, so that lines of several threads never mix. */
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/str.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

static const char *level_name(enum log_level level)
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

void log_line(enum log_level level, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	char now[CLOCK_ISO_BYTES];
	size_t start;
	va_list args;

	if ((int)level > atomic_load(&max_level))
		return;
	if (getenv("JOURNAL_STREAM"))
		str_appendf(&line, "<%d>", (int)level);
	else
		str_appendf(&line, "%s %s: ", clock_format_iso(clock_now_us(), now), level_name(level));
	start = line.len;
	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	/* Remote texts may hold line ends; one event stays one line. */
	for (char *p = line.data + start; *p; p++) {
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	}
	str_append_char(&line, '\n');
	(void)!write(STDERR_FILENO, line.data, line.len);
}
