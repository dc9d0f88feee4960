// SPDX-License-Identifier: Apache-2.0
/* A throw-away server: made, reached by nobody else, within its budget, and gone afterwards, also when its maker was killed. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/restored.h>
#include <keepfs/base/scratch_place.h>
#include <keepfs/pg/scratch.h>

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/keepfs-test-scratch-XXXXXX";

static struct pg_scratch_options options(void)
{
	return (struct pg_scratch_options){.directory = directory,
	                                   .user = "nobody",
	                                   .bindir = getenv("KEEPFS_TEST_PG_BINDIR"),
	                                   .version_num = 100000,
	                                   .memory_bytes = (uint64_t)256 << 20,
	                                   .connections = 4,
	                                   .disk_bytes = (uint64_t)1 << 40};
}

/* What is there but the lock of the directory. */
static unsigned count_left(void)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	unsigned count = 0;

	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.' && strcmp(entry->d_name, "lock") != 0;
	if (dir)
		closedir(dir);
	return count;
}

static struct pg_scratch *make(const struct pg_scratch_options *o)
{
	struct pg_scratch *s = NULL;
	struct error err = {0};

	if (pg_scratch_new(o, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static char *ask(struct pg_scratch *s, const char *sql)
{
	struct error err = {0};
	char *value = NULL;

	if (pg_restored_ask(pg_scratch_conninfo(s), "postgres", sql, 10000, pg_scratch_cancel(s), &value,
	                    &err) < 0)
		fail_msg("%s", err.message);
	return value;
}

static void assert_value(struct pg_scratch *s, const char *sql, const char *expected)
{
	_cleanup(free) char *value = ask(s, sql);

	assert_string_equal(value ? value : "(null)", expected);
}

static void say(void *arg, const char *line)
{
	str_appendf(arg, "%s\n", line);
}

static void it_is_made_and_removed(void **state)
{
	const struct pg_scratch_options o = options();
	struct pg_scratch *s = make(&o), *second = NULL;
	struct error err = {0};

	assert_int_equal(pg_scratch_new(&o, &second, &err), -EBUSY);
	assert_non_null(strstr(err.message, "another drill is under way on this host"));
	assert_value(s, "SHOW listen_addresses", "");
	assert_value(s, "SHOW fsync", "off");
	assert_value(s, "SHOW max_connections", "12");
	assert_value(s, "SELECT count(*) FROM pg_roles WHERE rolname = 'postgres'", "0");
	assert_true(pg_scratch_peak_bytes(s) > 1 << 20);
	assert_int_equal(pg_scratch_failure(s, &err), 0);
	/* What lives is left alone. */
	assert_int_equal(scratch_place_clear(directory, &err), 0);
	assert_value(s, "SELECT 1", "1");
	pg_scratch_free(s);
	assert_int_equal(count_left(), 0);
}

static void globals_are_restored_and_tablespaces_are_placed(void **state)
{
	static const char sql[] =
	        "--\n-- roles; none\n\\restrict abc\nSET client_encoding = 'UTF8';\nCREATE ROLE postgres;\n"
	        "ALTER ROLE postgres WITH NOSUPERUSER LOGIN PASSWORD 'x;''y';\nCREATE ROLE \"a;b\";\n"
	        "GRANT \"a;b\" TO postgres;\nCREATE ROLE postgres PASSWORD 'secret';\n"
	        "CREATE TABLESPACE \"fast LOCATION '\" OWNER postgres LOCATION '/srv/none';\n";
	const struct pg_scratch_options o = options();
	struct pg_scratch *s = make(&o);
	struct pg_globals *g = NULL;
	_cleanup(str) struct str said = {0};
	struct error err = {0};
	unsigned failed = 0;

	assert_int_equal(pg_globals_new(s, say, &said, &g, &err), 0);
	for (size_t i = 0; i < strlen(sql); i++)
		if (pg_globals_feed(g, sql + i, 1, &err) < 0)
			fail_msg("%s", err.message);
	assert_int_equal(pg_globals_end(g, &failed, &err), 0);
	pg_globals_free(g);
	assert_int_equal(failed, 1);
	assert_non_null(strstr(str_text(&said), "already exists"));
	assert_null(strstr(str_text(&said), "secret"));
	assert_value(s, "SELECT count(*) FROM pg_roles WHERE rolname IN ('postgres', 'a;b')", "2");
	assert_value(
	        s,
	        "SELECT pg_tablespace_location(oid) LIKE '%/tablespace-1' FROM pg_tablespace WHERE spcname LIKE 'fast%'",
	        "t");
	pg_scratch_free(s);
	assert_int_equal(count_left(), 0);
}

static void too_much_disk_ends_it(void **state)
{
	struct pg_scratch_options o = options();
	struct pg_scratch *s;
	struct error err = {0};
	char *value = NULL;

	o.disk_bytes = (uint64_t)80 << 20;
	s = make(&o);
	assert_true(
	        pg_restored_ask(
	                pg_scratch_conninfo(s), "postgres",
	                "CREATE TABLE t AS SELECT repeat(md5(g::text), 50) FROM generate_series(1, 100000000) g",
	                100000, pg_scratch_cancel(s), &value, &err) < 0);
	assert_int_equal(pg_scratch_failure(s, &err), -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_non_null(strstr(err.message, "more than the 80.0 MiB that it may have"));
	pg_scratch_free(s);
	assert_int_equal(count_left(), 0);
}

static void a_cancel_ends_it(void **state)
{
	struct pg_scratch_options o = options();
	struct pg_scratch *s = NULL;
	struct cancel cancel;
	struct error err = {0};

	cancel_init(&cancel);
	cancel_set(&cancel);
	o.cancel = &cancel;
	assert_int_equal(pg_scratch_new(&o, &s, &err), -ECANCELED);
	assert_int_equal(count_left(), 0);
	cancel_finish(&cancel);
}

static void programs_that_are_missing(void **state)
{
	struct pg_scratch_options o = options();
	struct pg_scratch *s = NULL;
	struct error err = {0};

	o.version_num = 990000;
	assert_int_equal(pg_scratch_new(&o, &s, &err), -ENOENT);
	assert_non_null(strstr(err.message, "no initdb for a server of version 99"));
	assert_non_null(strstr(err.message,
	                       "Install postgresql-99, or name the directory of the programs: drill_bindir"));
	assert_int_equal(count_left(), 0);
}

static void a_killed_maker_leaves_nothing_behind(void **state)
{
	const struct pg_scratch_options o = options();
	struct error err = {0};
	int out[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		struct pg_scratch *s = make(&o);

		(void)!write(out[1], pg_scratch_conninfo(s), 1);
		for (;;)
			pause();
	}
	close(out[1]);
	assert_int_equal(read(out[0], &byte, 1), 1);
	assert_int_equal(scratch_place_clear(directory, &err), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(count_left() > 0);
	if (scratch_place_clear(directory, &err) != 1)
		fail_msg("%s", err.message);
	assert_int_equal(count_left(), 0);
	assert_int_equal(scratch_place_clear(directory, &err), 0);
	assert_int_equal(scratch_place_clear("/tmp/keepfs-no-such-directory", &err), 0);
	close(out[0]);
}

/* A process of that user, or of ours, which has its working directory there. */
static pid_t stand_in(const char *path, uid_t uid)
{
	int told[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGQUIT, SIG_DFL);
		if (chdir(path) == 0 && (uid == geteuid() || setresuid(uid, uid, uid) == 0))
			(void)!(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && write(told[1], "x", 1) == 1);
		close(told[1]);
		for (;;)
			pause();
	}
	close(told[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	close(told[0]);
	return pid;
}

static void its_processes_are_ended_and_no_others(void **state)
{
	struct pg_scratch_options o = options();
	_cleanup(free) char *link = mem_printf("%s-link", directory), *within = mem_printf("%s/deep", link);
	_cleanup(free) char *data = NULL;
	struct pg_scratch *s;
	struct stat st;
	pid_t theirs, ours;
	int status;

	assert_int_equal(symlink(directory, link), 0);
	o.directory = within;
	s = make(&o);
	data = ask(s, "SHOW data_directory");
	assert_int_equal(stat(data, &st), 0);
	theirs = stand_in(data, st.st_uid);
	ours = st.st_uid == geteuid() ? 0 : stand_in(data, geteuid());
	pg_scratch_free(s);
	assert_int_equal(waitpid(theirs, &status, 0), theirs);
	assert_int_equal(WTERMSIG(status), SIGQUIT);
	if (ours) {
		assert_int_equal(waitpid(ours, &status, WNOHANG), 0);
		kill(ours, SIGKILL);
		assert_int_equal(waitpid(ours, &status, 0), ours);
	}
	assert_int_equal(unlink(link), 0);
	scratch_place_clear(within, NULL);
}

/* Its socket then lies elsewhere, and is found all the same. */
static void a_long_path(void **state)
{
	struct pg_scratch_options o = options();
	_cleanup(free) char *deep = mem_printf("%s/%0100d", directory, 0);
	struct pg_scratch *s;
	_cleanup(free) char *sockets = NULL;
	struct stat st;

	o.directory = deep;
	s = make(&o);
	sockets = ask(s, "SHOW unix_socket_directories");
	assert_int_equal(stat(sockets, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	pg_scratch_free(s);
	assert_int_equal(stat(sockets, &st), -1);
}

static int set_up(void **state)
{
	return !mkdtemp(directory) || chmod(directory, 0711);
}

static int tear_down(void **state)
{
	_cleanup(free) char *command = mem_printf("rm -rf %s", directory);

	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_is_made_and_removed),
	        cmocka_unit_test(globals_are_restored_and_tablespaces_are_placed),
	        cmocka_unit_test(too_much_disk_ends_it),
	        cmocka_unit_test(a_cancel_ends_it),
	        cmocka_unit_test(programs_that_are_missing),
	        cmocka_unit_test(a_killed_maker_leaves_nothing_behind),
	        cmocka_unit_test(its_processes_are_ended_and_no_others),
	        cmocka_unit_test(a_long_path),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
