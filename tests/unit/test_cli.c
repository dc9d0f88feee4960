// SPDX-License-Identifier: Apache-2.0
/* The command line: what is used wrongly says so and does nothing. */
#include "../../src/cli/cli.h"
#include "../../src/cli/progress.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct output {
	int status;
	struct str out, err;
};

static void output_finish(struct output *o)
{
	str_finish(&o->out);
	str_finish(&o->err);
}

/* Runs the words of @line (separated by single spaces) as a command line and keeps what it prints; on @device (NULL:
 * nowhere else) what goes to standard output. */
static struct output run_on(const char *line, const char *device)
{
	_cleanup(free) char *words = mem_printf("keepfs %s", line);
	char *rest = words, *word, *argv[16] = {0};
	FILE *files[] = {stdout, stderr};
	char paths[2][32];
	int saved[2], argc = 0;
	struct output o = {0};

	while ((word = strsep(&rest, " ")) && argc < 15) {
		if (*word)
			argv[argc++] = word;
	}
	for (int i = 0; i < 2; i++) {
		int fd;

		fflush(files[i]);
		saved[i] = dup(i + 1);
		snprintf(paths[i], sizeof(paths[i]), "/tmp/keepfs-cli-XXXXXX");
		fd = mkostemp(paths[i], O_CLOEXEC);
		if (i == 0 && device) {
			close(fd);
			fd = open(device, O_WRONLY | O_CLOEXEC);
		}
		assert_true(fd >= 0);
		dup2(fd, i + 1);
		close(fd);
	}
	o.status = cli_run(argc, argv);
	for (int i = 0; i < 2; i++) {
		fflush(files[i]);
		dup2(saved[i], i + 1);
		close(saved[i]);
		fd_read_file(paths[i], 1 << 20, i == 0 ? &o.out : &o.err);
		unlink(paths[i]);
	}
	return o;
}

static struct output run(const char *line)
{
	return run_on(line, NULL);
}

static void wrong_use_is_told(void **state)
{
	static const struct {
		const char *line;
		const char *says;
	} cases[] = {
	        {"", "no command given"},
	        {"frobnicate", "'frobnicate' is not a command"},
	        {"mount --json", "mount does not take the option --json"},
	        {"mount /a /b", "mount takes one mountpoint"},
	        {"mount -c", "needs a value"},
	        {"check now", "check takes no argument"},
	        {"run", "run needs the name of a job"},
	        {"run a b", "run takes one job, and key=value pairs: 'b' is neither"},
	        {"run a x=1 b", "'b' is neither"},
	        {"trigger", "trigger needs a command"},
	        {"export", "export needs the name of a tenant, or --all"},
	        {"export note=x", "export needs the name of a tenant, or --all"},
	        {"export --all acme", "export takes names of tenants, or --all, but not both"},
	        {"trigger --all now", "trigger does not take the option --all"},
	        {"ack", "ack needs an item of health and a time"},
	        {"watch", "watch needs the number of a run"},
	        {"watch -- -1", "is not the number of a run"},
	        {"watch 1x", "is not the number of a run"},
	        {"watch 99999999999999999999", "is not the number of a run"},
	        {"status now", "status takes no argument"},
	        {"rebuild now", "rebuild takes no argument"},
	        {"init here", "init takes no argument"},
	        {"/only-a-source", "as a mount helper"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct output o = run(cases[i].line);

		if (o.status != CLI_USAGE || !strstr(str_text(&o.err), cases[i].says))
			fail_msg("keepfs %s: status %d, %s", cases[i].line, o.status, str_text(&o.err));
		assert_string_equal(str_text(&o.out), "");
		output_finish(&o);
	}
}

static void help_is_pointed_to(void **state)
{
	static const struct {
		const char *line;
		const char *says;
	} cases[] = {
	        {"", "Try 'keepfs --help'."},
	        {"frobnicate", "'frobnicate' is not a command\nTry 'keepfs --help'."},
	        {"mount /a /b", "Try 'keepfs mount --help'."},
	        {"status --nosuch", "Try 'keepfs status --help'."},
	        {"watch 1x", "Try 'keepfs watch --help'."},
	        {"jobs 1x",
	         "'1x' is not the number of a run; 'keepfs jobs' lists them\nTry 'keepfs jobs --help'."},
	        {"staus", "did you mean 'status'?"},
	        {"triger now", "did you mean 'trigger'?"},
	        {"umount /a", "unmount with umount(8)"},
	        {"list", "ls MOUNTPOINT/backups"},
	        {"ls", "ls MOUNTPOINT/backups"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct output o = run(cases[i].line);

		if (o.status != CLI_USAGE || !strstr(str_text(&o.err), cases[i].says))
			fail_msg("keepfs %s: status %d, %s", cases[i].line, o.status, str_text(&o.err));
		output_finish(&o);
	}
}

static void a_missing_configuration_can_be_made(void **state)
{
	static const char advice[] = "'keepfs init -c /nonexistent/a.conf'";
	struct output missing = run("check -c /nonexistent/a.conf"), unreadable = run("check -c /");

	assert_int_equal(missing.status, CLI_USAGE);
	assert_non_null(strstr(str_text(&missing.err), advice));
	assert_int_equal(unreadable.status, CLI_USAGE);
	assert_null(strstr(str_text(&unreadable.err), "keepfs init"));
	output_finish(&missing);
	output_finish(&unreadable);
}

static void every_command_has_help(void **state)
{
	static const char *const commands[] = {"init", "check", "mount", "run",     "trigger", "status",
	                                       "ack",  "jobs",  "watch", "rebuild", "version", "export"};
	struct output all = run("--help");

	assert_int_equal(all.status, CLI_DONE);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup(free) char *line = mem_printf("%s --help", commands[i]);
		_cleanup(free) char *usage = mem_printf("usage: keepfs %s", commands[i]);
		struct output o = run(line);

		assert_int_equal(o.status, CLI_DONE);
		assert_true(str_starts(str_text(&o.out), usage));
		assert_non_null(strstr(str_text(&all.out), commands[i]));
		output_finish(&o);
	}
	output_finish(&all);
}

static void version_is_told(void **state)
{
	struct output text = run("version"), json = run("version --json"), option = run("--version");

	assert_true(str_starts(str_text(&text.out), "keepfs "));
	assert_string_equal(str_text(&text.out), str_text(&option.out));
	assert_true(str_starts(str_text(&json.out), "{\"version\":\""));
	output_finish(&text);
	output_finish(&json);
	output_finish(&option);
}

static void init_writes_once(void **state)
{
	char directory[] = "/tmp/keepfs-init-XXXXXX";
	_cleanup(free) char *path = NULL, *line = NULL, *again = NULL, *other = NULL;
	struct output o;
	struct stat st;

	assert_non_null(mkdtemp(directory));
	path = mem_printf("%s/keepfs.conf", directory);
	line = mem_printf("init -c %s --store dir:/srv/backups", path);
	again = mem_printf("%s --force", line);
	o = run(line);
	assert_int_equal(o.status, CLI_DONE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	output_finish(&o);
	o = run(line);
	assert_int_equal(o.status, CLI_FAILED);
	assert_non_null(strstr(str_text(&o.err), "--force"));
	output_finish(&o);
	o = run(again);
	assert_int_equal(o.status, CLI_DONE);
	output_finish(&o);
	/* A link is replaced; what it leads to is another's. */
	assert_int_equal(unlink(path), 0);
	other = mem_printf("%s/other", directory);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(symlink("other", path), 0);
	o = run(again);
	assert_int_equal(o.status, CLI_DONE);
	output_finish(&o);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(rmdir(other), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void without_a_mount_it_is_not_reachable(void **state)
{
	static const char *const lines[] = {"status -m /nonexistent", "jobs -m /nonexistent",
	                                    "trigger -m /nonexistent now", "watch -m /nonexistent 1"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct output o = run(lines[i]);

		assert_int_equal(o.status, CLI_UNREACHABLE);
		assert_non_null(strstr(str_text(&o.err), "no keepfs is mounted on /nonexistent"));
		output_finish(&o);
	}
}

/* A mount as its clients see it: plain files. */
struct mount {
	char directory[32];
	char *paths[8]; /* to remove, in this order */
	size_t count;
};

static void mount_put(struct mount *m, const char *path, const char *text)
{
	_cleanup(free) char *full = mem_printf("%s/%s", m->directory, path);
	_cleanup(fd) int fd = -1;

	*strrchr(full, '/') = '\0';
	assert_int_equal(fd_make_dirs(full, 0700), 0);
	full[strlen(full)] = '/';
	fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	m->paths[m->count++] = take_ptr(&full);
}

static void mount_end(struct mount *m)
{
	static const char *const directories[] = {"control", "status", "jobs/17", "jobs", ""};

	for (size_t i = 0; i < m->count; i++) {
		assert_int_equal(unlink(m->paths[i]), 0);
		free(m->paths[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		_cleanup(free) char *full = mem_printf("%s/%s", m->directory, directories[i]);

		rmdir(full);
	}
	assert_int_equal(access(m->directory, F_OK), -1);
}

static struct output run_at(const struct mount *m, const char *line)
{
	_cleanup(free) char *whole = mem_printf("%s -m %s", line, m->directory);

	return run(whole);
}

static void jobs_tell_what_there_is_to_say(void **state)
{
	struct mount m = {"/tmp/keepfs-mount-XXXXXX"};
	struct output o;

	assert_non_null(mkdtemp(m.directory));
	mount_put(&m, "control/README", "");
	mount_put(&m, "status/history.jsonl",
	          "{\"run\":3,\"job\":\"full\",\"state\":\"completed\",\"triggered_by\":\"uid 0 (cron)\","
	          "\"error\":null,\"note\":null,\"warning\":\"no passwords\"}\n"
	          "{\"run\":2,\"job\":\"full\",\"state\":\"failed\",\"triggered_by\":\"uid 0 (cron)\","
	          "\"error\":\"refused\",\"note\":\"why not\",\"warning\":null}\n"
	          "{\"run\":1,\"job\":\"full\",\"state\":\"completed\",\"triggered_by\":\"uid 0 (bash)\","
	          "\"error\":null,\"note\":\"before the release\",\"warning\":null}\n");
	o = run_at(&m, "jobs");
	assert_int_equal(o.status, CLI_DONE);
	assert_non_null(strstr(str_text(&o.out), "  warning: no passwords\n"));
	assert_non_null(strstr(str_text(&o.out), "  refused \"why not\"\n"));
	assert_non_null(strstr(str_text(&o.out), "  uid 0 (bash) \"before the release\"\n"));
	output_finish(&o);
	mount_end(&m);
}

/* A script that keeps the output must see that it has not got it. */
static void output_that_cannot_be_written_fails(void **state)
{
	static const char says[] = "keepfs: the output could not be written: No space left on device\n";
	static const struct {
		const char *line;
		int status;
	} cases[] = {
	        {"--help", CLI_FAILED},         {"jobs --help", CLI_FAILED},
	        {"--version", CLI_FAILED},      {"version", CLI_FAILED},
	        {"version --json", CLI_FAILED}, {"jobs", CLI_FAILED},
	        {"jobs --json", CLI_FAILED},    {"jobs 17", CLI_FAILED},
	        {"status", CLI_UNREACHABLE},    {"status --json", CLI_UNREACHABLE},
	        {"trigger 17", CLI_FAILED},     {"trigger --wait 17", CLI_FAILED},
	        {"watch 17", CLI_FAILED},       {"ack job/full off", CLI_FAILED},
	};
	struct mount m = {"/tmp/keepfs-mount-XXXXXX"};
	struct output o;

	assert_non_null(mkdtemp(m.directory));
	setenv("KEEPFS_MOUNT", m.directory, 1);
	mount_put(&m, "control/README", "");
	mount_put(&m, "control/trigger", "17 pending full\n");
	mount_put(&m, "control/ack", "job full counts again\n");
	mount_put(&m, "status/history.jsonl", "{\"run\":17,\"job\":\"full\",\"state\":\"completed\"}\n");
	mount_put(&m, "status/health", "WARN: look\n");
	mount_put(&m, "jobs/17/progress", "run=17 job=full state=completed size_bytes=1024\n");
	mount_put(&m, "jobs/17/status", "run 17\nstate completed\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		o = run_on(cases[i].line, "/dev/full");
		if (o.status != cases[i].status || !str_ends(str_text(&o.err), says))
			fail_msg("keepfs %s: status %d, %s", cases[i].line, o.status, str_text(&o.err));
		output_finish(&o);
	}
	/* Nothing of it comes with what is printed next. */
	o = run("version");
	assert_int_equal(o.status, CLI_DONE);
	assert_true(str_starts(str_text(&o.out), "keepfs "));
	output_finish(&o);
	unsetenv("KEEPFS_MOUNT");
	mount_end(&m);
}

/* What cron throws away is the success; what it mails is the warning. */
static void a_warning_goes_to_standard_error(void **state)
{
	static const char status[] = "run 17\nstate completed\nseconds 2.500\nsize_bytes 1024\ntargets 1\n"
	                             "error -\nwarning %s\ntarget completed 1024 backups/full/a.dump shop\n";
	static const struct {
		const char *warning;
		const char *err;
	} cases[] = {
	        {"-", ""},
	        {"no passwords", "keepfs: run 17 completed with a warning: no passwords\n"},
	        {"-x", "keepfs: run 17 completed with a warning: -x\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mount m = {"/tmp/keepfs-mount-XXXXXX"};
		struct str text = {0};
		struct output o;

		assert_non_null(mkdtemp(m.directory));
		mount_put(&m, "control/README", "");
		/* The answer is what lies behind the written command, as far as a plain file can tell. */
		mount_put(&m, "control/trigger", "17 pending full\n");
		mount_put(&m, "jobs/17/progress", "run=17 job=full state=completed size_bytes=1024\n");
		str_appendf(&text, status, cases[i].warning);
		mount_put(&m, "jobs/17/status", str_text(&text));
		str_finish(&text);
		o = run_at(&m, "trigger --wait 17");
		assert_int_equal(o.status, CLI_DONE);
		assert_true(str_starts(str_text(&o.out), "run 17 completed: "));
		assert_string_equal(str_text(&o.err), cases[i].err);
		output_finish(&o);
		mount_end(&m);
	}
}

/* What a terminal shows, without the code that clears the line; on the heap. */
static char *drawn(const struct report_progress *figures)
{
	struct progress progress = {.terminal = true};
	FILE *saved = stderr;
	char *text = NULL, *line;
	size_t len;

	stderr = open_memstream(&text, &len);
	assert_non_null(stderr);
	progress_show(&progress, 17, "running", figures);
	fclose(stderr);
	stderr = saved;
	assert_true(str_starts(text, "\r\033[K"));
	line = mem_strdup(text + strlen("\r\033[K"));
	free(text);
	return line;
}

static void a_terminal_shows_the_phase(void **state)
{
	struct report_progress p = {.read_bytes = 50,
	                            .sent_bytes = 40,
	                            .expected_bytes = 100,
	                            .rate_bytes_per_s = 10,
	                            .eta_s = 5};
	_cleanup(free) char *dumping = drawn(&p), *later = NULL, *verifying = NULL, *unknown = NULL;

	assert_string_equal(dumping, "run 17 [############..................] 40% 50 B 10 B/s ETA 00:05");
	p.eta_s = 2 * 3600 + 3 * 60 + 4;
	later = drawn(&p);
	assert_string_equal(later, "run 17 [############..................] 40% 50 B 10 B/s ETA 2:03:04");
	p.verified_bytes = 10;
	p.verifying = true;
	verifying = drawn(&p);
	assert_string_equal(verifying, "run 17 [#######.......................] 25% verifying 10 B");
	p = (struct report_progress){.verifying = true};
	unknown = drawn(&p);
	assert_string_equal(unknown, "run 17 [..............................]  0% verifying 0 B");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(jobs_tell_what_there_is_to_say),
	        cmocka_unit_test(output_that_cannot_be_written_fails),
	        cmocka_unit_test(a_warning_goes_to_standard_error),
	        cmocka_unit_test(a_terminal_shows_the_phase),
	        cmocka_unit_test(wrong_use_is_told),
	        cmocka_unit_test(help_is_pointed_to),
	        cmocka_unit_test(a_missing_configuration_can_be_made),
	        cmocka_unit_test(every_command_has_help),
	        cmocka_unit_test(version_is_told),
	        cmocka_unit_test(init_writes_once),
	        cmocka_unit_test(without_a_mount_it_is_not_reachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
