// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_OTHER_FD  3
#define WANTED_FILES    4096
#define NEEDED_FILES    128 /* catalog, mount, log, texts, open files of readers */
#define NEEDED_BY_A_RUN 16  /* its child's pipes, its upload's connections */

/* Else the first file or connection to be opened would be taken for standard output or standard error. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); /* not O_CLOEXEC, as standard descriptors are */
	while (fd >= 0 && fd < FIRST_OTHER_FD);
	if (fd >= 0)
		close(fd);
}

/* Whoever ignores SIGCHLD starts us with it ignored, and then the kernel throws away how our children ended. */
static void hear_signals(void)
{
	sigset_t none;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What others may do is left as it is: hooks make files, too. */
static void let_owner_use_files(void)
{
	mode_t mask = umask(077);

	umask(mask & ~(mode_t)S_IRWXU);
}

/*
 * A core would hold credentials and bytes of backups. The process is made undumpable: the kernel neither writes a core nor feeds one to a
 * program (core_pattern with a '|'), whatever the limits are by then, and no other process of the same user, such as a hook, can read its memory or
 * its environment (ptrace, gcore, /proc/PID/mem). What that takes away: where keepfs is not root its files in /proc belong to root, so strace, gdb and
 * lsof need root for it. It keeps what it needs itself: /proc/self/fd, which a process may always use, and files that everybody can read. Children get
 * their own state with exec, and LeakSanitizer, which reads its own process by ptrace, makes that dumpable for as long.
 *
 * The limit stands beside it for a kernel that does not let us: 0 keeps from a file, but not from a program; 1 keeps from both.
 */
static void forbid_cores(void)
{
	struct rlimit limit;

	(void)prctl(PR_SET_DUMPABLE, 0);
	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	limit.rlim_cur = 1;
	(void)setrlimit(RLIMIT_CORE, &limit);
}

static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= WANTED_FILES)
		return;
	limit.rlim_cur = limit.rlim_max < WANTED_FILES ? limit.rlim_max : WANTED_FILES;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

void process_prepare(void)
{
	fill_standard_fds();
	hear_signals();
	let_owner_use_files();
	forbid_cores();
	allow_files();
}

int process_check_files(const struct conf *conf, struct error *err)
{
	rlim_t needed =
	        NEEDED_FILES + (rlim_t)conf->read.connections + NEEDED_BY_A_RUN * (rlim_t)conf->parallel_runs;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EMFILE,
	        "this process may have %llu files open at once, and needs %llu: raise the limit (LimitNOFILE= in the unit, ulimit -Hn in a shell)",
	        (unsigned long long)limit.rlim_cur, (unsigned long long)needed);
}

void process_close_inherited(void)
{
	(void)close_range(FIRST_OTHER_FD, UINT_MAX, 0);
}

bool process_is_init(void)
{
	return getpid() == 1;
}
