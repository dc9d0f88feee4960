// SPDX-License-Identifier: Apache-2.0
/* Who made a request, for the audit and the history. */
#include "fs_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/catalog/audit.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void caller_of(fuse_req_t req, struct catalog_audit *ret_audit)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	_cleanup(str) struct str command = {0};
	char path[64];

	*ret_audit = (struct catalog_audit){.at_us = clock_now_us(), .uid = ctx->uid, .pid = ctx->pid};
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)ctx->pid);
	/* A caller in another PID namespace, or one that was killed, has no name here. */
	if (fd_read_file(path, sizeof(ret_audit->command), &command) < 0)
		str_append(&command, "?");
	str_copy(ret_audit->command, sizeof(ret_audit->command), str_text(&command));
	ret_audit->command[strcspn(ret_audit->command, "\n")] = '\0';
	/* A process may call itself anything; histories are shown on terminals. */
	for (char *p = ret_audit->command; *p; p++) {
		if (!isprint((unsigned char)*p))
			*p = '?';
	}
}

int audit(struct fs *fs, struct catalog_audit *entry, const char *action, const char *object, int result,
          const char *detail)
{
	struct error err = {0};
	int r;

	str_copy(entry->action, sizeof(entry->action), action);
	str_copy(entry->object, sizeof(entry->object), object);
	str_copy(entry->result, sizeof(entry->result),
	         result == 0        ? "ok"
	         : result == -EPERM ? "denied"
	                            : "failed");
	str_copy(entry->detail, sizeof(entry->detail), detail);
	entry->detail[strcspn(entry->detail, "\n")] = '\0';
	r = catalog_add_audit(fs->ctx.repository->catalog, entry, &err);
	if (r == 0)
		records_look(fs->ctx.records);
	else
		log_error("audit: %s %s by uid %lld (%s) could not be written: %s", action, object,
		          (long long)entry->uid, entry->command, err.message);
	return r;
}
