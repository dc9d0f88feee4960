// SPDX-License-Identifier: Apache-2.0
/* Who made a request, for the audit and the history. */
#include "fs_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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

#define FLAG_SIGNALED 0x400 /* PF_SIGNALED of the kernel: a signal has ended it */

/* The number behind @label in a file of /proc; 0: it is not there. */
static uint64_t pending_signals(const char *status, const char *label)
{
	const char *at = strstr(status, label);

	return at ? strtoull(at + strlen(label), NULL, 16) : 0;
}

static bool read_proc(pid_t pid, const char *file, char *buf, size_t size)
{
	_cleanup(free) char *path = mem_printf("/proc/%lld/%s", (long long)pid, file);
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return false;
	buf[n] = '\0';
	return true;
}

pid_t process_of(fuse_req_t req)
{
	pid_t thread = fuse_req_ctx(req)->pid;
	const char *at = NULL;
	char text[4096];

	if (thread > 0 && read_proc(thread, "status", text, sizeof(text)))
		at = strstr(text, "\nTgid:");
	return at ? (pid_t)strtol(at + strlen("\nTgid:"), NULL, 10) : 0;
}

/* "4711 (a name) R 1 …": the ninth field has the flags, and the name may hold anything. */
static bool has_flag_signaled(const char *stat)
{
	const char *at = strrchr(stat, ')');

	for (int field = 2; at && field < 9; field++)
		at = strchr(at + 1, ' ');
	return at && strtoull(at, NULL, 10) & FLAG_SIGNALED;
}

bool caller_is_dying(pid_t pid)
{
	const uint64_t killed = UINT64_C(1) << (SIGKILL - 1);
	char text[4096];

	if (pid <= 0)
		return false;
	if (read_proc(pid, "stat", text, sizeof(text)) && has_flag_signaled(text))
		return true;
	/* Whatever signal ends a process, the kernel has SIGKILL pending for each of its threads then. */
	return read_proc(pid, "status", text, sizeof(text)) &&
	       (pending_signals(text, "\nSigPnd:") | pending_signals(text, "\nShdPnd:")) & killed;
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
