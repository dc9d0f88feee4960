// SPDX-License-Identifier: Apache-2.0
/*
 * Child processes. Each child has one thread here, its keeper, and only the keeper signals and reaps it: so a
 * signal can never reach a process that got the same number later. The keeper sleeps in one poll() on the
 * child's pidfd, on its standard error, and on an eventfd through which a cancel or proc_free() wakes it.
 *
 * Nothing outlives its child: when the leader has ended, whatever is left of its process group is killed
 * before the leader is reaped (until then its number, which is the group's, cannot be used again). Nothing
 * outlives the daemon either, without any help of a handler: after a kill -9 both pipes break, and a child
 * that writes gets SIGPIPE, which has its default action again.
 */
#include "children.h"
#include "env.h"
#include "message.h"
#include "priority.h"
#include "tail.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define KILL_AFTER_MS      5000
#define STDOUT_PIPE_BYTES  (1 << 20)
#define CAPTURE_MAX_BYTES  ((size_t)1 << 20)
#define CHILD_FIRST_OWN_FD 3
#define READ_STDERR_BYTES  4096

struct proc {
	char *program;
	struct child child;
	int pidfd;
	int stdin_fd; /* with input_pipe, until its end; else -1 */
	int stdout_fd;
	int stderr_fd;
	int wake_fd;
	pthread_t keeper;
	bool keeper_runs; /* not joined yet */
	struct cancel *cancel;
	struct cancel_hook hook;
	int64_t timeout_ms;   /* 0: none */
	struct tail tail;     /* the keeper's; after the join everybody's */
	int wait_status;      /* likewise */
	int wait_errnum;      /* likewise; not 0: how it ended is not known */
	bool timed_out;       /* likewise */
	atomic_bool stopping; /* a cancel or proc_free() asked for the end */
	atomic_bool unheard;  /* proc_free(): what it says of its end is told to nobody */
};

static void ask_to_stop(void *arg)
{
	struct proc *p = arg;
	uint64_t one = 1;

	atomic_store(&p->stopping, true);
	(void)!write(p->wake_fd, &one, sizeof(one));
}

static void mute_when_unheard(struct proc *p)
{
	if (atomic_load(&p->unheard))
		p->tail.on_line = NULL;
}

/* false: the pipe's other end is closed, nothing more will come. */
static bool read_stderr(struct proc *p)
{
	char piece[READ_STDERR_BYTES];
	ssize_t n = read(p->stderr_fd, piece, sizeof(piece));

	if (n > 0)
		tail_add(&p->tail, piece, (size_t)n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void drain_stderr(struct proc *p)
{
	struct pollfd ready = {.fd = p->stderr_fd, .events = POLLIN};

	while (poll(&ready, 1, 0) > 0 && read_stderr(p))
		;
}

/* What is in the pipe now, and no more: a child that never stops talking must not keep us from ending it. */
static void read_what_was_said(struct proc *p)
{
	int unread = 0;

	if (ioctl(p->stderr_fd, FIONREAD, &unread) < 0)
		return;
	for (; unread > 0 && read_stderr(p); unread -= READ_STDERR_BYTES)
		;
}

static void reap(struct proc *p)
{
	kill(-p->child.pid, SIGKILL);
	drain_stderr(p);
	while (waitpid(p->child.pid, &p->wait_status, 0) < 0) {
		if (errno == EINTR)
			continue;
		p->wait_errnum = errno;
		break;
	}
	children_reaped(&p->child);
	tail_end(&p->tail);
}

/* When the keeper has to do something without being woken; 0: never. */
struct deadlines {
	int64_t term_at_ms;
	int64_t kill_at_ms;
};

static int next_deadline_ms(const struct deadlines *d)
{
	int64_t at_ms = d->kill_at_ms ? d->kill_at_ms : d->term_at_ms;
	int64_t left_ms = at_ms - clock_mono_ms();

	if (at_ms == 0)
		return -1;
	return left_ms <= 0 ? 0 : left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static void ask_child_to_end(const struct proc *p, struct deadlines *d)
{
	kill(-p->child.pid, SIGTERM);
	d->term_at_ms = 0;
	d->kill_at_ms = clock_mono_ms() + KILL_AFTER_MS;
}

/* poll() slept as long as it might. */
static void meet_deadline(struct proc *p, struct deadlines *d)
{
	int64_t now_ms = clock_mono_ms();

	if (d->kill_at_ms && now_ms >= d->kill_at_ms) {
		kill(-p->child.pid, SIGKILL);
		d->kill_at_ms = 0;
	} else if (d->term_at_ms && now_ms >= d->term_at_ms) {
		p->timed_out = true;
		ask_child_to_end(p, d);
	}
}

static void *keep_stderr(void *arg)
{
	struct proc *p = arg;
	struct pollfd fds[] = {
	        {.fd = p->pidfd, .events = POLLIN},
	        {.fd = p->stderr_fd, .events = POLLIN},
	        {.fd = p->wake_fd, .events = POLLIN},
	};
	struct deadlines d = {.term_at_ms = p->timeout_ms > 0 ? clock_mono_ms() + p->timeout_ms : 0};

	while (!fds[0].revents) {
		int n = poll(fds, ARRAY_SIZE(fds), next_deadline_ms(&d));

		/* A child that always has something to say must not keep us from it. */
		meet_deadline(p, &d);
		if (n <= 0)
			continue;
		if (fds[1].revents && !read_stderr(p))
			fds[1].fd = -1;
		if (fds[2].revents) {
			/* It was no answer to being ended. */
			read_what_was_said(p);
			mute_when_unheard(p);
			if (!p->timed_out)
				ask_child_to_end(p, &d);
			fds[2].fd = -1;
		}
	}
	reap(p);
	return NULL;
}

static int prepare_spawn(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr, int stdin_fd,
                         int stdout_fd, int stderr_fd)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setpgroup(attr, 0);
	posix_spawnattr_setflags(attr,
	                         POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = stdin_fd < 0 ? posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
	                 : posix_spawn_file_actions_adddup2(actions, stdin_fd, STDIN_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, stdout_fd, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, stderr_fd, STDERR_FILENO);
	/* Whatever a library left open without O_CLOEXEC stays here. */
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FIRST_OWN_FD);
	return r;
}

/* A pipe whose ends are none of the standard descriptors, so that dup2() in the child cannot overwrite
 * one. */
static int open_pipe(int *ret_read, int *ret_write)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		int high = fcntl(ends[i], F_DUPFD_CLOEXEC, CHILD_FIRST_OWN_FD);
		int r = -errno;

		if (high < 0) {
			close(ends[0]);
			close(ends[1]);
			return r;
		}
		close(ends[i]);
		ends[i] = high;
	}
	*ret_read = ends[0];
	*ret_write = ends[1];
	return 0;
}

/* A file in memory: unlike a pipe, whoever fills it never waits for the child. -1 without input. */
static int open_input(const struct proc_options *options, int *ret_fd)
{
	int fd, high, r;

	*ret_fd = -1;
	if (!options->input)
		return 0;
	fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	high = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FIRST_OWN_FD);
	r = high < 0 ? -errno : fd_pwrite_all(high, options->input, options->input_bytes, 0);
	close(fd);
	if (r < 0 && high >= 0)
		close(high);
	if (r == 0)
		*ret_fd = high;
	return r;
}

static int spawn(struct proc *p, const struct proc_options *options, int stdout_fd, int stderr_fd)
{
	_cleanup(free) char **env = env_merge(options->env, options->extra_env);
	_cleanup(fd) int stdin_fd = -1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r = options->input_pipe ? open_pipe(&stdin_fd, &p->stdin_fd) : open_input(options, &stdin_fd);

	if (r < 0)
		return r;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	r = prepare_spawn(&actions, &attr, stdin_fd, stdout_fd, stderr_fd);
	if (r == 0)
		r = children_spawn(&p->child, p->program, &actions, &attr, (char *const *)options->argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int open_descriptors(struct proc *p, bool output_to_lines, int *ret_stdout, int *ret_stderr)
{
	int r;

	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake_fd < 0)
		return -errno;
	r = open_pipe(&p->stderr_fd, ret_stderr);
	if (r < 0 || output_to_lines)
		return r;
	r = open_pipe(&p->stdout_fd, ret_stdout);
	if (r < 0)
		return r;
	/* A larger pipe saves context switches; the system may refuse it to a user who has many. */
	(void)fcntl(p->stdout_fd, F_SETPIPE_SZ, STDOUT_PIPE_BYTES);
	return 0;
}

/* From here on the child runs: either a keeper has it, or it is killed and reaped at once. */
static int start_keeper(struct proc *p)
{
	int r = 0;

	p->pidfd = pidfd_open(p->child.pid, 0);
	if (p->pidfd < 0)
		r = -errno;
	if (r == 0)
		r = thread_start(&p->keeper, "proc", keep_stderr, p);
	if (r < 0)
		reap(p);
	p->keeper_runs = r == 0;
	return r;
}

int proc_start(const struct proc_options *options, struct proc **ret_proc, struct error *err)
{
	_cleanup(proc) struct proc *p = mem_alloc(sizeof(*p));
	_cleanup(fd) int stdout_fd = -1;
	_cleanup(fd) int stderr_fd = -1;
	int r;

	p->pidfd = p->stdin_fd = p->stdout_fd = p->stderr_fd = p->wake_fd = -1;
	p->program = mem_strdup(options->argv[0]);
	p->tail.on_line = options->on_stderr_line;
	p->tail.arg = options->arg;
	p->timeout_ms = options->timeout_ms;
	if (cancel_is_set(options->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled before %s was started",
		                 p->program);
	r = open_descriptors(p, options->output_to_lines, &stdout_fd, &stderr_fd);
	if (r == 0)
		r = spawn(p, options, options->output_to_lines ? stderr_fd : stdout_fd, stderr_fd);
	if (r == 0)
		priority_lower(p->child.pid, options);
	if (r == 0)
		r = start_keeper(p);
	if (r < 0)
		return error_system(err, -r, "cannot start %s", p->program);
	p->cancel = options->cancel;
	p->hook = (struct cancel_hook){.wake = ask_to_stop, .arg = p};
	cancel_add_hook(p->cancel, &p->hook);
	*ret_proc = take_ptr(&p);
	return 0;
}

int proc_stdout(const struct proc *p)
{
	return p->stdout_fd;
}

int proc_write(struct proc *p, const void *data, size_t len, struct error *err)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(p->stdin_fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_system(err, errno, "%s reads no further", p->program);
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

void proc_end_input(struct proc *p)
{
	if (p->stdin_fd >= 0)
		close(take_fd(&p->stdin_fd));
}

static void join_reader(struct proc *p)
{
	if (!p->keeper_runs)
		return;
	pthread_join(p->keeper, NULL);
	p->keeper_runs = false;
	cancel_remove_hook(p->cancel, &p->hook);
}

/* @err says how the child ended, after this: that we asked for it. */
static int ended_by_us(const struct proc *p, struct error *err)
{
	_cleanup(free) char *how = mem_strdup(err ? err->message : "");

	if (p->timed_out)
		return error_set(err, ERROR_TIMEOUT, ETIMEDOUT, "it took longer than %g s: %s",
		                 (double)p->timeout_ms / 1000, how);
	return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled: %s", how);
}

int proc_wait(struct proc *p, struct error *err)
{
	join_reader(p);
	if (p->wait_errnum)
		return error_system(err, p->wait_errnum, "it is not known how %s ended", p->program);
	if (!p->timed_out && WIFEXITED(p->wait_status) && WEXITSTATUS(p->wait_status) == 0)
		return 0;
	message_of_end(p->program, p->wait_status, proc_stderr(p), err);
	return p->timed_out || atomic_load(&p->stopping) ? ended_by_us(p, err) : -EIO;
}

const char *proc_stderr(const struct proc *p)
{
	return str_text(&p->tail.text);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

struct proc *proc_free(struct proc *p)
{
	if (!p)
		return NULL;
	atomic_store(&p->unheard, true);
	/* First the pipe, so that a child that sleeps in write() wakes. */
	close_fd(p->stdout_fd);
	if (p->keeper_runs)
		ask_to_stop(p);
	join_reader(p);
	/* Not before it has ended: it would take what it has for all. */
	proc_end_input(p);
	close_fd(p->stderr_fd);
	close_fd(p->wake_fd);
	close_fd(p->pidfd);
	tail_finish(&p->tail);
	free(p->program);
	free(p);
	return NULL;
}

static int read_output(struct proc *p, struct str *out, struct error *err)
{
	size_t start = out->len;
	char piece[4096];

	for (;;) {
		ssize_t n = read(p->stdout_fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_system(err, errno, "cannot read what %s writes", p->program);
		if (n == 0)
			return 0;
		if (out->len - start + (size_t)n > CAPTURE_MAX_BYTES)
			return error_set(err, ERROR_INTERNAL, EFBIG, "%s writes more than %zu bytes",
			                 p->program, CAPTURE_MAX_BYTES);
		str_append_bytes(out, piece, (size_t)n);
	}
}

int proc_capture(const char *const *argv, int64_t timeout_ms, struct str *out, struct error *err)
{
	struct proc_options options = {.argv = argv, .timeout_ms = timeout_ms};
	_cleanup(proc) struct proc *p = NULL;
	int r;

	r = proc_start(&options, &p, err);
	if (r == 0)
		r = read_output(p, out, err);
	if (r == 0)
		r = proc_wait(p, err);
	return r;
}
