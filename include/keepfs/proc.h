// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Child processes. A child is: posix_spawn'ed, with its own process group, a clean signal mask and default
 * handlers, its standard input /dev/null or what it is given, its standard output a pipe that the caller reads, its standard
 * error collected (the first and the last part of it, bounded). Life cycle: proc_start, read proc_stdout() to
 * its end, proc_wait; proc_free ends what still runs: SIGTERM to the group, SIGKILL after 5 s; what it says
 * to that is told to nobody, what it said before is. What is left of the group when the child has ended is killed. When this
 * process dies, even by kill -9, both pipes break, and a child that writes dies of SIGPIPE; one that waits
 * for something else stays until it writes.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc;

enum proc_ionice {                   /* of the child's reads and writes, ioprio_set(2) */
	           PROC_IONICE_NONE, /* as ours */
	           PROC_IONICE_LOW,  /* best effort, the lowest of its levels */
	           PROC_IONICE_IDLE  /* only while nobody else wants the disk */
};

/** enum proc_env - what of this process's environment a child gets. None gets the credentials of the store, which
 * delete backups, nor connection strings, which may hold passwords. */
enum proc_env {
	PROC_ENV_POSTGRES, /* for programs of PostgreSQL: what these may need, and nothing else */
	PROC_ENV_HOOK,     /* for programs of the administrator: all the rest */
	PROC_ENV_HELPER, /* the same for those that have nothing to do with a database: no PGPASSWORD either */
	PROC_ENV_SERVER /* for a server that runs what others have written: no PG*, nothing of what leads to other servers */
};

struct proc_options {
	const char *const *argv; /* argv[0] is a path; NULL-terminated */
	enum proc_env env;
	const char *const *extra_env; /* "NAME=value" on top of that; NULL-terminated, or NULL */
	void (*on_stderr_line)(void *arg,
	                       const char *line); /* a thread of proc's own; NULL: only collected */
	void *arg;
	struct cancel *cancel; /* when set: SIGTERM to the group, SIGKILL after 5 s; NULL */
	/* Set for the child's whole group as soon as it runs, since posix_spawn() cannot: its first
	 * instructions run without. A failure is a warning line to on_stderr_line, or the log. */
	int nice; /* 0 to 19 */
	enum proc_ionice ionice;
	int64_t timeout_ms; /* then it is ended as by @cancel; 0: none */
	const void *input;  /* what it finds at its standard input: borrowed for the call; NULL: /dev/null */
	size_t input_bytes;
	bool input_pipe; /* its standard input is a pipe that the caller writes: proc_write(), proc_end_input(); @input is NULL */
	/* its standard output goes where its standard error goes, in the order it is written; proc_stdout()
	 * is -1 then */
	bool output_to_lines;
};

int proc_start(const struct proc_options *options, struct proc **ret_proc, struct error *err);
/** proc_stdout() - the reading end; it stays @p's. -1 with output_to_lines. */
int proc_stdout(const struct proc *p);
/**
 * proc_write() - give it the next bytes of its standard input, with input_pipe; blocks until it has read enough of them
 * SIGPIPE must be blocked or ignored, as it is in threads of thread_start(). Return: 0; -EPIPE: it reads no more (why, proc_wait()
 * tells); another negative errno.
 */
int proc_write(struct proc *p, const void *data, size_t len, struct error *err);
/** proc_end_input() - that was all: it finds the end of its standard input. One that proc_free() ends does not find it before; one that
 * outlives this process does. */
void proc_end_input(struct proc *p);
/**
 * proc_wait() - until the child has ended and its standard error was read
 * Return: 0 for exit status 0; else -EIO (-ECANCELED; -ETIMEDOUT after timeout_ms) with @err: how it ended
 * and the end of what it wrote to standard error. -ECHILD: nobody knows how it ended, since somebody has had this
 * process ignore SIGCHLD; that is never a success.
 */
int proc_wait(struct proc *p, struct error *err);
/** proc_stderr() - what it wrote, the first and the last 32 KiB with a mark between; valid after proc_wait().
 * Borrowed. */
const char *proc_stderr(const struct proc *p);
struct proc *proc_free(struct proc *p);
DEFINE_CLEANUP(proc, struct proc *, proc_free)
/** proc_capture() - run a short command to its end and append its standard output (at most 1 MiB) to @out; -ETIMEDOUT
 * when it takes longer than @timeout_ms, since nothing else ends it. */
int proc_capture(const char *const *argv, int64_t timeout_ms, struct str *out, struct error *err);

/** proc_reap_strangers() - take the status of children that have ended and are nobody's: the init of a container is
 * given all that lost their parents. To be called at each SIGCHLD. Children of proc_start() are left to their keepers. */
void proc_reap_strangers(void);

/** proc_lower_thread() - have the calling thread give way as a child with these options would (proc_options); for threads
 * that do what a program would do else. What cannot be lowered is said in the log. */
void proc_lower_thread(int nice, int ionice);
