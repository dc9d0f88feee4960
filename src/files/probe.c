// SPDX-License-Identifier: Apache-2.0
/* Is the directory of a job there, and may keepfs read it? */
#include "job.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 64 /* of an item of the probe */

void files_check(const struct make_context *ctx, const struct conf_job *job,
                 const struct make_findings *findings)
{
	char name[NAME_BYTES];
	int fd = open(job->files.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);

	snprintf(name, sizeof(name), "files %s", job->name);
	if (fd < 0) {
		_cleanup(str) struct str fix = {0};
		int errnum = errno;

		str_appendf(&fix, "setfacl -R -m u:%lld:rX,d:u:%lld:rX ", (long long)geteuid(),
		            (long long)geteuid());
		str_append_shell_word(&fix, job->files.path);

		make_found_mendable(
		        findings, name, errnum == EACCES ? str_text(&fix) : NULL,
		        "%s cannot be read: %s; make it readable for the user that keepfs runs as, or correct path in [files %s]",
		        job->files.path, strerror(errnum), job->name);
		return;
	}
	close(fd);
	make_found(findings, true, name, "%s is there and can be read%s", job->files.path,
	           geteuid() == 0 ? "" : ", as far as the rights of this user go");
}
