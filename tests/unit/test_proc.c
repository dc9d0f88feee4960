// SPDX-License-Identifier: Apache-2.0
/* Children: their output, their words, their end, and that none is left. */
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
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

/* However much it is, and also when the child does not read it. */
static void test_input(void **state)
{
	const size_t bytes = (size_t)1 << 20;
	_cleanup(free) char *input = mem_alloc(bytes + 1);
	const char *const counts[] = {"/bin/sh", "-c", "wc -c", NULL}, *const ignores[] = {"/bin/true", NULL};
	const char *const *const programs[] = {counts, ignores};

	memset(input, 'x', bytes);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct proc_options options = {
		        .argv = programs[i], .input = input, .input_bytes = bytes};
		_cleanup(str) struct str out = {0};
		_cleanup(proc) struct proc *child = NULL;
		struct error err = {0};

		assert_int_equal(proc_start(&options, &child, &err), 0);
		read_all(child, &out);
		assert_int_equal(proc_wait(child, &err), 0);
		assert_string_equal(str_text(&out), i == 0 ? "1048576\n" : "");
	}
	expect_no_child();
}

/* What is written while it runs, more than a pipe holds; and to one that does not read. */
static void test_input_pipe(void **state)
{
	const char *const counts[] = {"/bin/sh", "-c", "wc -c", NULL}, *const ignores[] = {"/bin/true", NULL};
	const size_t bytes = (size_t)1 << 20;
	_cleanup(free) char *mark = mem_printf("/tmp/keepfs-test-proc-%d", (int)getpid());
	_cleanup(free) char *script = mem_printf("wc -c > /dev/null; touch %s", mark);
	const char *const marks[] = {"/bin/sh", "-c", script, NULL};
	_cleanup(free) char *input = mem_alloc(bytes);
	struct proc_options options = {.argv = counts, .input_pipe = true};
	_cleanup(str) struct str out = {0};
	_cleanup(proc) struct proc *child = NULL, *deaf = NULL, *left = NULL;
	struct error err = {0};

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(proc_start(&options, &child, &err), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(proc_write(child, input, bytes, &err), 0);
	proc_end_input(child);
	read_all(child, &out);
	assert_int_equal(proc_wait(child, &err), 0);
	assert_string_equal(str_text(&out), "3145728\n");
	options.argv = ignores;
	assert_int_equal(proc_start(&options, &deaf, &err), 0);
	assert_int_equal(proc_write(deaf, input, bytes, &err), -EPIPE);
	assert_string_equal(err.message, "/bin/true reads no further: Broken pipe");
	assert_int_equal(proc_wait(deaf, &err), 0);
	/* Who is freed before the end of his input ends, too, and does not take what he has for all. */
	options.argv = marks;
	unlink(mark);
	assert_int_equal(proc_start(&options, &left, &err), 0);
	assert_int_equal(proc_write(left, input, bytes, &err), 0);
	left = proc_free(left);
	assert_int_equal(access(mark, F_OK), -1);
	signal(SIGPIPE, SIG_DFL);
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

static void expect_environment(enum proc_env which, const char *const *extra, const char *expected)
{
	const char *const argv[] = {
	        "/bin/sh", "-c",
	        "env | grep -E '^(KEEPFS|AWS_[APS]|PG[PT]|LC_T|NOTIFY|OTHER)' | LC_ALL=C sort; exit 0", NULL};
	struct proc_options options = {.argv = argv, .env = which, .extra_env = extra};
	_cleanup(str) struct str out = {0};
	_cleanup(proc) struct proc *p = NULL;

	assert_int_equal(proc_start(&options, &p, NULL), 0);
	read_all(p, &out);
	assert_int_equal(proc_wait(p, NULL), 0);
	assert_string_equal(str_text(&out), expected);
}

/* What whoever started the test has of these is not to be taken for what the test planted. */
static void forget_environment(void)
{
	static const char *const prefixes[] = {"KEEPFS", "AWS_", "PG", "LC_T", "NOTIFY", "OTHER"};

	for (char **entry = environ; *entry;) {
		_cleanup(free) char *name = mem_strdup(*entry);
		bool is_seen = false;

		name[strcspn(name, "=")] = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
			is_seen |= strncmp(name, prefixes[i], strlen(prefixes[i])) == 0;
		if (is_seen)
			unsetenv(name); /* what stood behind it moves to its place */
		else
			entry++;
	}
}

/* No child gets a secret of keepfs's; pg_dump gets nothing that is not its own. */
static void test_environment(void **state)
{
	static const char *const set[] = {"KEEPFS_STORE_SECRET_KEY",
	                                  "KEEPFS_STORE_ACCESS_KEY",
	                                  "KEEPFS_STORE_SESSION_TOKEN",
	                                  "KEEPFS_BACKUP_FULL_DATABASE",
	                                  "KEEPFS_BACKUP_A_DATABASE_DATABASE",
	                                  "AWS_SECRET_ACCESS_KEY",
	                                  "AWS_ACCESS_KEY_ID",
	                                  "AWS_SESSION_TOKEN",
	                                  "NOTIFY_SOCKET",
	                                  "KEEPFS_STORE_URL",
	                                  "KEEPFS_MOUNTPOINT",
	                                  "AWS_PROFILE",
	                                  "PGTEST",
	                                  "PGT",
	                                  "LC_TEST",
	                                  "OTHER",
	                                  "KEEPFS_JOB"};
	const char *const extra[] = {"KEEPFS_JOB=full", "PGT=new", NULL};

	forget_environment();
	for (size_t i = 0; i < ARRAY_SIZE(set); i++)
		setenv(set[i], "planted", 1);
	expect_environment(PROC_ENV_POSTGRES, NULL, "LC_TEST=planted\nPGT=planted\nPGTEST=planted\n");
	expect_environment(PROC_ENV_POSTGRES, extra,
	                   "KEEPFS_JOB=full\nLC_TEST=planted\nPGT=new\nPGTEST=planted\n");
	expect_environment(
	        PROC_ENV_HOOK, extra,
	        "AWS_PROFILE=planted\nKEEPFS_JOB=full\nKEEPFS_MOUNTPOINT=planted\n"
	        "KEEPFS_STORE_URL=planted\nLC_TEST=planted\nOTHER=planted\nPGT=new\nPGTEST=planted\n");
	setenv("PGPASSWORD", "planted", 1);
	expect_environment(
	        PROC_ENV_HELPER, NULL,
	        "AWS_PROFILE=planted\nKEEPFS_JOB=planted\nKEEPFS_MOUNTPOINT=planted\n"
	        "KEEPFS_STORE_URL=planted\nLC_TEST=planted\nOTHER=planted\nPGT=planted\nPGTEST=planted\n");
	unsetenv("PGPASSWORD");
	expect_environment(PROC_ENV_SERVER, NULL, "LC_TEST=planted\n");
	assert_string_equal(getenv("PGT"), "planted");
	for (size_t i = 0; i < ARRAY_SIZE(set); i++)
		unsetenv(set[i]);
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

/* pg_dump shows the whole query behind the reason. */
static void test_statement(void **state)
{
	_cleanup(proc) struct proc *p =
	        start_shell("echo 'sh: error: query failed: ERROR:  permission denied for table pg_x' >&2; "
	                    "printf 'sh: detail: Query was: SELECT t.tableoid, t.oid,' >&2; "
	                    "i=0; while [ $i -lt 40 ]; do printf ' täble_%d,\\n' $i >&2; i=$((i+1)); done; "
	                    "echo 'sh: hint: ask somebody' >&2; exit 1",
	                    NULL);
	struct error err = {0};

	assert_int_equal(proc_wait(p, &err), -EIO);
	assert_string_equal(
	        err.message,
	        "sh ended with exit status 1: sh: error: query failed: ERROR:  permission denied for "
	        "table pg_x; sh: detail: Query was: SELECT t.tableoid, t.oid, täble_0,; sh: hint: "
	        "ask somebody");
}

static void test_long_statement(void **state)
{
	_cleanup(proc) struct proc *p = start_shell(
	        "echo 'sh: error: query failed: ERROR:  no' >&2; printf 'sh: detail: Query was: ' >&2; "
	        "i=0; while [ $i -lt 100 ]; do printf 'SELECT ' >&2; i=$((i+1)); done; exit 1",
	        NULL);
	struct error err = {0};

	assert_int_equal(proc_wait(p, &err), -EIO);
	assert_non_null(
	        strstr(err.message,
	               "status 1: sh: error: query failed: ERROR:  no; sh: detail: Query was: SELECT "));
	assert_true(str_ends(err.message, "SELECT SEL…"));
	assert_true(strlen(err.message) < 200);
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

static void test_capture_of_what_does_not_end(void **state)
{
	const char *const argv[] = {"/bin/sh", "-c", "echo 16.4; sleep 600", NULL};
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(proc_capture(argv, 100, &out, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.message, "it took longer than 0.1 s"));
	expect_no_child();
}

static void test_capture(void **state)
{
	const char *const good[] = {"/bin/echo", "hello", NULL};
	const char *const bad[] = {"/bin/sh", "-c", "echo no >&2; exit 2", NULL};
	const char *const endless[] = {"/bin/cat", "/dev/zero", NULL};
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(proc_capture(good, 60000, &out, &err), 0);
	assert_string_equal(str_text(&out), "hello\n");
	assert_int_equal(proc_capture(bad, 60000, &out, &err), -EIO);
	assert_string_equal(err.message, "sh ended with exit status 2: no");
	assert_int_equal(proc_capture(endless, 60000, &out, &err), -EFBIG);
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

/* Where SIGCHLD is ignored the kernel throws the status away: no status is not the status 0. */
static void test_unknown_end(void **state)
{
	_cleanup(proc) struct proc *p = NULL;
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	signal(SIGCHLD, SIG_IGN);
	/* More than a pipe holds: it has a keeper before it ends. */
	p = start_shell("head -c 3000000 /dev/zero; exit 3", NULL);
	read_all(p, &out);
	assert_int_equal(proc_wait(p, &err), -ECHILD);
	signal(SIGCHLD, SIG_DFL);
	assert_string_equal(err.message, "it is not known how /bin/sh ended: No child processes");
}

static void wait_for_no_child(void)
{
	int64_t until_ms = clock_mono_ms() + 60000;

	while (waitid(P_ALL, 0, &(siginfo_t){0}, WNOHANG | WNOWAIT | WEXITED) == 0 || errno != ECHILD) {
		assert_true(clock_mono_ms() < until_ms);
		proc_reap_strangers();
		sched_yield();
	}
}

/* As init of a container, which a subreaper is for what comes from it: what a hook leaves behind, in a group of its
 * own or in the hook's, leaves no zombie; and no child's status is taken from who waits for it. */
static void test_strangers(void **state)
{
	struct error err = {0};

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (int i = 0; i < 20; i++) {
		_cleanup(proc) struct proc *p = start_shell("setsid true & (true &) ; exit 3", NULL);
		_cleanup(proc) struct proc *other = start_shell("setsid sh -c 'exit 5' & exit 0", NULL);

		proc_reap_strangers();
		assert_int_equal(proc_wait(p, &err), -EIO);
		assert_string_equal(err.message, "sh ended with exit status 3 and said nothing");
		assert_int_equal(proc_wait(other, &err), 0);
	}
	wait_for_no_child();
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* A library that forks waits for its child itself: it is in our group. */
static void test_children_of_libraries(void **state)
{
	siginfo_t info = {0};
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(7);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	proc_reap_strangers();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_output_and_success),
	        cmocka_unit_test(test_input),
	        cmocka_unit_test(test_input_pipe),
	        cmocka_unit_test(test_exit_status),
	        cmocka_unit_test(test_killed),
	        cmocka_unit_test(test_silent_failure),
	        cmocka_unit_test(test_no_such_program),
	        cmocka_unit_test(test_environment),
	        cmocka_unit_test(test_clean_start),
	        cmocka_unit_test(test_lines),
	        cmocka_unit_test(test_long_words),
	        cmocka_unit_test(test_long_line),
	        cmocka_unit_test(test_statement),
	        cmocka_unit_test(test_long_statement),
	        cmocka_unit_test(test_grandchild),
	        cmocka_unit_test(test_cancel),
	        cmocka_unit_test(test_cancelled_before),
	        cmocka_unit_test(test_free_ends_the_child),
	        cmocka_unit_test(test_what_was_said_before_is_told),
	        cmocka_unit_test(test_free_while_it_writes),
	        cmocka_unit_test(test_capture),
	        cmocka_unit_test(test_capture_of_what_does_not_end),
	        cmocka_unit_test(test_priority),
	        cmocka_unit_test(test_timeout),
	        cmocka_unit_test(test_output_to_lines),
	        cmocka_unit_test(test_unknown_end),
	        cmocka_unit_test(test_strangers),
	        cmocka_unit_test(test_children_of_libraries),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
