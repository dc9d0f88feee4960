// SPDX-License-Identifier: Apache-2.0
/* Is the directory of a job there, and may keepfs read it? */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 64 /* of an item of the probe */

void files_check(const struct conf_job *job, const struct make_findings *findings)
{
	char name[NAME_BYTES];
	int fd = open(job->files.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);

	snprintf(name, sizeof(name), "files %s", job->name);
	if (fd < 0) {
		make_found(
		        findings, false, name,
		        "%s cannot be read: %s; make it readable for the user that keepfs runs as, or correct path in [files %s]",
		        job->files.path, strerror(errno), job->name);
		return;
	}
	close(fd);
	make_found(findings, true, name, "%s is there and can be read%s", job->files.path,
	           geteuid() == 0 ? "" : ", as far as the rights of this user go");
}
