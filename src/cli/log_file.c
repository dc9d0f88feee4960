// SPDX-License-Identifier: Apache-2.0
#include "log_file.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct log_file {
	char *path;
	int fd; /* the same number for ever: other threads write to it */
};

static int open_log(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

int log_file_open(const char *state_dir, struct log_file **ret, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/keepfs.log", state_dir);
	int r = fd_make_dirs(state_dir, 0700);
	int fd = r < 0 ? r : open_log(path);

	if (fd < 0)
		return error_system(err, r < 0 ? -r : errno, "the log %s cannot be written", path);
	*ret = mem_alloc(sizeof(**ret));
	**ret = (struct log_file){take_ptr(&path), fd};
	return 0;
}

void log_file_begin(struct log_file *log)
{
	log_to_file(log->fd, true);
}

void log_file_alone(struct log_file *log)
{
	log_to_file(log->fd, false);
	dup2(log->fd, STDERR_FILENO);
}

void log_file_reopen(struct log_file *log)
{
	_cleanup(fd) int fd = -1;

	if (!log)
		return;
	fd = open_log(log->path);
	if (fd < 0) {
		log_warning("the log %s cannot be opened anew, and goes on in the old file: %s", log->path,
		            strerror(errno));
		return;
	}
	/* In one step each: no line of another thread finds it closed. */
	dup3(fd, log->fd, O_CLOEXEC);
	dup2(fd, STDERR_FILENO);
}
