// SPDX-License-Identifier: Apache-2.0
/* Which version of the deployment a bundle is of: one line, of a command or a file. */
#include "bundle.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define VERSION_MAX_BYTES  200
#define OUTPUT_MAX_BYTES   ((size_t)64 << 10)
#define VERSION_TIMEOUT_MS INT64_C(60000)
#define MORE_FOR_END_MS    INT64_C(1000)

int bundle_version_line(const char *text, size_t len, char **ret)
{
	const char *end = memchr(text, '\n', len);
	_cleanup(str) struct str line = {0};
	size_t line_len = end ? (size_t)(end - text) : len, begin = 0;

	while (line_len > 0 && (unsigned char)text[line_len - 1] <= ' ')
		line_len--;
	while (begin < line_len && (unsigned char)text[begin] <= ' ')
		begin++;
	for (size_t i = begin; i < line_len; i++)
		str_append_char(&line, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
	if (line.len == 0)
		return -EINVAL;
	*ret = mem_alloc(VERSION_MAX_BYTES + 1);
	str_cut(*ret, VERSION_MAX_BYTES + 1, str_text(&line));
	return 0;
}

/* What it leaves behind may keep its output open: that is not waited for. */
static int read_version_output(const struct proc *p, struct str *out, struct error *err)
{
	struct pollfd ready = {.fd = proc_stdout(p), .events = POLLIN};
	int64_t until_ms = clock_mono_ms() + VERSION_TIMEOUT_MS + MORE_FOR_END_MS;
	char buf[4096];
	ssize_t n;

	do {
		int64_t left_ms = until_ms - clock_mono_ms();
		int count = poll(&ready, 1, left_ms > 0 ? (int)left_ms : 0);

		n = -1;
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return error_set(err, ERROR_TIMEOUT, ETIMEDOUT, "its output has not ended in time");
		n = read(proc_stdout(p), buf, sizeof(buf));
		if (n > 0 && out->len < OUTPUT_MAX_BYTES)
			str_append_bytes(out, buf, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? error_system(err, errno, "its output cannot be read") : 0;
}

static int ask_command(const char *command, struct cancel *cancel, struct str *out, struct error *err)
{
	const struct proc_options options = {
	        .argv = (const char *const[]){"/bin/sh", "-c", command, NULL},
	        .env = PROC_ENV_HELPER,
	        .cancel = cancel,
	        .timeout_ms = VERSION_TIMEOUT_MS,
	};
	_cleanup(proc) struct proc *p = NULL;
	int r = proc_start(&options, &p, err);

	if (r == 0)
		r = read_version_output(p, out, err);
	if (r == 0)
		r = proc_wait(p, err);
	if (r < 0)
		error_prefix(err, "version_command");
	return r;
}

static int read_version_file(const char *path, struct str *out, struct error *err)
{
	int r = fd_read_file(path, OUTPUT_MAX_BYTES, out);

	return r < 0 ? error_system(err, -r, "version_file: %s cannot be read", path) : 0;
}

int bundle_version(const struct conf_job *job, struct cancel *cancel, char **ret, struct error *err)
{
	const char *command = str_or_empty(job->bundle.version_command),
	           *file = str_or_empty(job->bundle.version_file);
	_cleanup(str) struct str text = {0};
	int r;

	*ret = NULL;
	if (!*command && !*file)
		return 0;
	r = *command ? ask_command(command, cancel, &text, err) : read_version_file(file, &text, err);
	if (r < 0)
		return r;
	if (bundle_version_line(str_text(&text), text.len, ret) == 0)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "%s: the first line has no version",
	                 *command ? "version_command" : "version_file");
}
