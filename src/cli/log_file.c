// SPDX-License-Identifier: Apache-2.0
#include "log_file.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct log_file {
	char *state_dir;
	int fd; /* the same number for ever: other threads write to it */
};

int log_file_open(const char *state_dir, struct log_file **ret, struct error *err)
{
	int fd = catalog_log_open(state_dir, err);

	if (fd < 0)
		return fd;
	*ret = mem_alloc(sizeof(**ret));
	**ret = (struct log_file){mem_strdup(state_dir), fd};
	return 0;
}

void log_file_free(struct log_file *log)
{
	if (!log)
		return;
	close(log->fd);
	free(log->state_dir);
	free(log);
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
	struct error err = {0};

	if (!log)
		return;
	fd = catalog_log_open(log->state_dir, &err);
	if (fd < 0) {
		log_warning("the log goes on in the old file: %s", err.message);
		return;
	}
	/* In one step each: no line of another thread finds it closed. */
	dup3(fd, log->fd, O_CLOEXEC);
	dup2(fd, STDERR_FILENO);
}
