// SPDX-License-Identifier: Apache-2.0
/* Children: their output, their words, their end, and that none is left. */
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct proc *start_shell(const char *script, struct cancel *cancel)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	struct proc_options options = {.argv = argv, .cancel = cancel};
	struct error err = {0};
	struct proc *p = NULL;

	assert_int_equal(proc_start(&options, &p, &err), 0);
	return p;
}

static void read_all(struct proc *p, struct str *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(proc_stdout(p), piece, sizeof(piece))) > 0)
		str_append_bytes(out, piece, (size_t)n);
	assert_int_equal(n, 0);
}

static void expect_no_child(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_output_and_success(void **state)
{
	_cleanup(proc) struct proc *p = start_shell("cat; echo out; echo err >&2", NULL);
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	read_all(p, &out);
	assert_int_equal(proc_wait(p, &err), 0);
	assert_string_equal(str_text(&out), "out\n");
	assert_string_equal(proc_stderr(p), "err\n");
	assert_int_equal(proc_wait(p, &err), 0);
	expect_no_child();
}

static void test_exit_status(void **state)
{
	_cleanup(proc) struct proc *p =
	        start_shell("printf 'first\\n\\tmore\\nlast\\twords\\n\\n' >&2; exit 3", NULL);
	struct error err = {0};

	assert_int_equal(proc_wait(p, &err), -EIO);
	assert_string_equal(err.message, "sh ended with exit status 3: first; more; last words");
}

static void test_killed(void **state)
{
	_cleanup(proc) struct proc *p = start_shell("kill -9 $$", NULL);
	struct error err = {0};

	assert_int_equal(proc_wait(p, &err), -EIO);
	assert_string_equal(err.message, "sh was killed by signal 9 (Killed)");
}

static void test_no_such_program(void **state)
{
	const char *const argv[] = {"/nonexistent/program", NULL};
	struct proc_options options = {.argv = argv};
	struct error err = {0};
	struct proc *p = NULL;

	assert_int_equal(proc_start(&options, &p, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/program"));
	assert_null(p);
	expect_no_child();
}

static void test_environment(void **state)
{
	const char *const argv[] = {"/bin/sh", "-c", "echo $KEEPFS_A $KEEPFS_B $KEEPFS_AB", NULL};
	const char *const extra[] = {"KEEPFS_A=new", "KEEPFS_B=b", NULL};
	struct proc_options options = {.argv = argv, .extra_env = extra};
	_cleanup(str) struct str out = {0};
	_cleanup(proc) struct proc *p = NULL;

	setenv("KEEPFS_A", "old", 1);
	setenv("KEEPFS_AB", "kept", 1);
	assert_int_equal(proc_start(&options, &p, NULL), 0);
	read_all(p, &out);
	assert_string_equal(str_text(&out), "new b kept\n");
	assert_string_equal(getenv("KEEPFS_A"), "old");
	unsetenv("KEEPFS_A");
	unsetenv("KEEPFS_AB");
}

/* Nothing of ours reaches the child: descriptors, blocked or ignored signals, our process group. */
static void test_clean_start(void **state)
{
	_cleanup(str) struct str out = {0};
	_cleanup(proc) struct proc *p = NULL;
	unsigned long long blocked, ignored;
	int descriptors, group, pid;
	struct error err = {0};
	sigset_t all, before;
	int leak = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */

	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	p = start_shell("grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l; "
	                "cut -d' ' -f5 /proc/$$/stat; echo $$",
	                NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	read_all(p, &out);
	assert_int_equal(proc_wait(p, &err), 0);
	close(leak);
	/* The C library itself ignores its two internal signals (32 and 33) in what it spawns. */
	assert_int_equal(sscanf(str_text(&out), "SigBlk: %llx SigIgn: %llx %d %d %d", &blocked, &ignored,
	                        &descriptors, &group, &pid),
	                 5);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & 0x7fffffff, 0);
	assert_int_equal(descriptors, 4); /* 0, 1, 2 and the directory that ls reads */
	assert_int_equal(group, pid);
}

struct lines {
	struct str text;
	int count;
};

static void add_line(void *arg, const char *line)
{
	struct lines *lines = arg;

	str_appendf(&lines->text, "[%s]", line);
	lines->count++;
}

static void test_lines(void **state)
{
	const char *const argv[] = {"/bin/sh", "-c", "printf 'one\\n\\ntw' >&2; printf 'o\\r\\nthree' >&2",
	                            NULL};
	struct lines lines = {0};
	struct proc_options options = {.argv = argv, .on_stderr_line = add_line, .arg = &lines};
	_cleanup(proc) struct proc *p = NULL;

	assert_int_equal(proc_start(&options, &p, NULL), 0);
	assert_int_equal(proc_wait(p, NULL), 0);
	assert_string_equal(str_text(&lines.text), "[one][two][three]");
	str_finish(&lines.text);
}

static void test_long_words(void **state)
{
	_cleanup(proc) struct proc *p =
	        start_shell("echo begin >&2; i=0; while [ $i -lt 3000 ]; do "
	                    "echo \"line $i of some length, to fill the memory\" >&2; "
	                    "i=$((i+1)); done; echo end >&2; exit 1",
	                    NULL);
	struct error err = {0};
	const char *text;

	assert_int_equal(proc_wait(p, &err), -EIO);
	text = proc_stderr(p);
	assert_true(strlen(text) <= 65 * 1024);
	assert_true(str_starts(text, "begin\nline 0 "));
	assert_true(str_ends(text, "line 2999 of some length, to fill the memory\nend\n"));
	assert_non_null(strstr(text, "bytes left out"));
	assert_true(str_ends(err.message, "line 2999 of some length, to fill the memory; end"));
	assert_true(strlen(err.message) < 1200);
}

/* What comes before a statement that names thousands of tables is what matters. */
static void test_long_line(void **state)
{
	_cleanup(proc) struct proc *p =
	        start_shell("echo 'error: no room' >&2; printf '\\tdetail: it was:' >&2; i=0; "
	                    "while [ $i -lt 9000 ]; do printf ' täble' >&2; i=$((i+1)); done; exit 1",
	                    NULL);
	struct error err = {0};

	assert_int_equal(proc_wait(p, &err), -EIO);
	assert_non_null(strstr(err.message, "status 1: error: no room; detail: it was: täble täble"));
	assert_true(str_ends(err.message, "…"));
	assert_true(strlen(err.message) < 1200);
	for (const char *at = err.message; *at; at += str_utf8_char(at))
		assert_int_not_equal(str_utf8_char(at), 0);
}

/* A grandchild that holds standard error open neither keeps proc_wait() nor stays. */
static void test_grandchild(void **state)
{
	_cleanup(proc) struct proc *p = start_shell("sleep 600 & echo $! ; echo word >&2", NULL);
	char number[16] = "";
	int64_t from_ms = clock_mono_ms();
	pid_t grandchild;

	assert_true(read(proc_stdout(p), number, sizeof(number) - 1) > 0);
	grandchild = (pid_t)strtol(number, NULL, 10);
	assert_true(grandchild > 1);
	assert_int_equal(proc_wait(p, NULL), 0);
	assert_string_equal(proc_stderr(p), "word\n");
	assert_true(clock_mono_ms() - from_ms < 60000);
	/* Its new parent reaps it in its own time; it runs no more. */
	for (;;) {
		_cleanup(free) char *path = mem_printf("/proc/%d/stat", (int)grandchild);
		FILE *f = fopen(path, "re");
		char letter = 'Z';

		if (f) {
			if (fscanf(f, "%*d %*s %c", &letter) != 1)
				letter = 'Z';
			fclose(f);
		}
		if (letter == 'Z' || letter == 'X')
			break;
		sched_yield();
	}
}

static void *set_cancel(void *arg)
{
	cancel_set(arg);
	return NULL;
}

static void test_cancel(void **state)
{
	_cleanup(str) struct str out = {0};
	struct proc *p;
	struct cancel cancel;
	struct error err = {0};
	pthread_t thread;

	cancel_init(&cancel);
	p = start_shell("echo ready; exec sleep 600", &cancel);
	assert_int_equal(thread_start(&thread, "test", set_cancel, &cancel), 0);
	read_all(p, &out);
	assert_int_equal(proc_wait(p, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	pthread_join(thread, NULL);
	proc_free(p);
	cancel_finish(&cancel);
	expect_no_child();
}

static void test_cancelled_before(void **state)
{
	const char *const argv[] = {"/bin/true", NULL};
	struct cancel cancel;
	struct proc_options options = {.argv = argv, .cancel = &cancel};
	struct proc *p = NULL;

	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(proc_start(&options, &p, NULL), -ECANCELED);
	assert_null(p);
	cancel_finish(&cancel);
}

/* Its words to that are nobody's business: it was done with. */
static void test_free_ends_the_child(void **state)
{
	const char *const argv[] = {
	        "/bin/sh", "-c",
	        "trap 'echo ended >&2; printf so >&2; exit 0' TERM; sleep 600 & echo ready; wait", NULL};
	struct lines lines = {0};
	struct proc_options options = {.argv = argv, .on_stderr_line = add_line, .arg = &lines};
	struct proc *p = NULL;
	char piece[16];

	assert_int_equal(proc_start(&options, &p, NULL), 0);
	assert_true(read(proc_stdout(p), piece, sizeof(piece)) > 0);
	assert_null(proc_free(p));
	assert_null(proc_free(NULL));
	assert_int_equal(lines.count, 0);
	expect_no_child();
}

/* However late it is read: whoever frees a child may want to know what it has warned of until then. */
static void test_what_was_said_before_is_told(void **state)
{
	static const char *const argv[] = {
	        "/bin/sh", "-c", "seq 5000 >&2; echo ready; trap 'seq 10 >&2; exit 0' TERM; sleep 600 & wait",
	        NULL};

	for (int i = 0; i < 10; i++) {
		struct lines lines = {0};
		struct proc_options options = {.argv = argv, .on_stderr_line = add_line, .arg = &lines};
		struct proc *p = NULL;
		char piece[16];

		assert_int_equal(proc_start(&options, &p, NULL), 0);
		assert_true(read(proc_stdout(p), piece, sizeof(piece)) > 0);
		proc_free(p);
		assert_int_equal(lines.count, 5000);
		str_finish(&lines.text);
	}
	expect_no_child();
}

/* A child that does not read, and one that writes more than the pipe holds, end when nobody reads. */
static void test_free_while_it_writes(void **state)
{
	struct proc *p = start_shell("exec cat /dev/zero", NULL);
	char piece[16];

	assert_true(read(proc_stdout(p), piece, sizeof(piece)) > 0);
	proc_free(p);
	expect_no_child();
}

static void test_capture(void **state)
{
	const char *const good[] = {"/bin/echo", "hello", NULL};
	const char *const bad[] = {"/bin/sh", "-c", "echo no >&2; exit 2", NULL};
	const char *const endless[] = {"/bin/cat", "/dev/zero", NULL};
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(proc_capture(good, &out, &err), 0);
	assert_string_equal(str_text(&out), "hello\n");
	assert_int_equal(proc_capture(bad, &out, &err), -EIO);
	assert_string_equal(err.message, "sh ended with exit status 2: no");
	assert_int_equal(proc_capture(endless, &out, &err), -EFBIG);
	expect_no_child();
}

static void test_silent_failure(void **state)
{
	_cleanup(proc) struct proc *p = start_shell("exit 7", NULL);
	struct error err = {0};

	assert_int_equal(proc_wait(p, &err), -EIO);
	assert_string_equal(err.message, "sh ended with exit status 7 and said nothing");
}

static void collect(void *arg, const char *line)
{
	str_appendf(arg, "%s\n", line);
}

/* The group is told its priorities while it runs already: a child waits until it sees them. */
static void test_priority(void **state)
{
	const char *const argv[] = {
	        "/bin/sh",
	        "-c",
	        "until [ \"$(nice)\" -ge 7 ] && [ \"$(ionice)\" = \"$1\" ]; do :; done; nice; ionice",
	        "sh",
	        NULL,
	        NULL};
	static const struct {
		enum proc_ionice ionice;
		const char *told;
	} kinds[] = {{PROC_IONICE_LOW, "best-effort: prio 7"}, {PROC_IONICE_IDLE, "idle"}};
	int own_nice = getpriority(PRIO_PROCESS, 0);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *own[ARRAY_SIZE(argv)];
		_cleanup(str) struct str out = {0};
		_cleanup(free) char *expected =
		        mem_printf("%d\n%s\n", own_nice > 7 ? own_nice : 7, kinds[i].told);
		_cleanup(proc) struct proc *p = NULL;
		struct proc_options options = {
		        .argv = own, .nice = 7, .ionice = kinds[i].ionice, .timeout_ms = 60000};

		memcpy(own, argv, sizeof(own));
		own[4] = kinds[i].told;
		assert_int_equal(proc_start(&options, &p, NULL), 0);
		read_all(p, &out);
		assert_int_equal(proc_wait(p, NULL), 0);
		assert_string_equal(str_text(&out), expected);
	}
}

static void test_timeout(void **state)
{
	const char *const stubborn[] = {"/bin/sh", "-c",
	                                "trap 'echo late >&2; exit 0' TERM; echo ready; "
	                                "while :; do sleep 0.01; done",
	                                NULL};
	const char *const quick[] = {"/bin/sh", "-c", "echo quick", NULL};
	struct proc_options options = {.argv = stubborn, .timeout_ms = 200};
	_cleanup(str) struct str out = {0};
	struct error err = {0};
	struct proc *p = NULL;

	/* An end with status 0 is none in time. */
	assert_int_equal(proc_start(&options, &p, NULL), 0);
	read_all(p, &out);
	assert_int_equal(proc_wait(p, &err), -ETIMEDOUT);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	assert_true(str_starts(err.message, "it took longer than 0.2 s: sh ended with exit status 0: "));
	assert_true(str_ends(err.message, "late"));
	proc_free(p);
	options = (struct proc_options){.argv = quick, .timeout_ms = INT64_C(1) << 60};
	assert_int_equal(proc_start(&options, &p, NULL), 0);
	assert_int_equal(proc_wait(p, &err), 0);
	proc_free(p);
	expect_no_child();
}

static void test_output_to_lines(void **state)
{
	const char *const argv[] = {"/bin/sh", "-c", "echo a; echo b >&2; echo c; exit 1", NULL};
	_cleanup(str) struct str said = {0};
	struct proc_options options = {
	        .argv = argv, .on_stderr_line = collect, .arg = &said, .output_to_lines = true};
	_cleanup(proc) struct proc *p = NULL;
	struct error err = {0};

	assert_int_equal(proc_start(&options, &p, NULL), 0);
	assert_int_equal(proc_stdout(p), -1);
	assert_int_equal(proc_wait(p, &err), -EIO);
	assert_string_equal(str_text(&said), "a\nb\nc\n");
	assert_string_equal(proc_stderr(p), "a\nb\nc\n");
	assert_string_equal(err.message, "sh ended with exit status 1: a; b; c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_output_and_success),
	        cmocka_unit_test(test_exit_status),
	        cmocka_unit_test(test_killed),
	        cmocka_unit_test(test_silent_failure),
	        cmocka_unit_test(test_no_such_program),
	        cmocka_unit_test(test_environment),
	        cmocka_unit_test(test_clean_start),
	        cmocka_unit_test(test_lines),
	        cmocka_unit_test(test_long_words),
	        cmocka_unit_test(test_long_line),
	        cmocka_unit_test(test_grandchild),
	        cmocka_unit_test(test_cancel),
	        cmocka_unit_test(test_cancelled_before),
	        cmocka_unit_test(test_free_ends_the_child),
	        cmocka_unit_test(test_what_was_said_before_is_told),
	        cmocka_unit_test(test_free_while_it_writes),
	        cmocka_unit_test(test_capture),
	        cmocka_unit_test(test_priority),
	        cmocka_unit_test(test_timeout),
	        cmocka_unit_test(test_output_to_lines),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
