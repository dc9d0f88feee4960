// SPDX-License-Identifier: Apache-2.0
/* Unpacking where somebody means harm, or something ends it early: nothing comes to lie outside of the directory, and no part of a file in it. */
#include "unpack_fixture.h"

#include <linux/capability.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Hostile archives, and directories. */

static void refuses(struct fixture *f, const char *script, const char *what)
{
	sh(f, "rm -rf src out elsewhere; mkdir src elsewhere");
	sh(f, script);
	says(f, compare(f), -EPERM, ERROR_DENIED, what);
	f->options.overwrite = true;
	says(f, extract(f), -EPERM, ERROR_DENIED, what);
	f->options.overwrite = false;
	sh(f,
	   "test -z \"$(ls elsewhere)\"; test ! -e escaped; test -z \"$(find . -name '.keepfs-restore-*')\"");
}

static void what_leads_out_is_refused(void **state)
{
	struct fixture *f = *state;

	refuses(f, "touch src/escaped; tar -P --transform 's,^,../,' -C src -cf a.tar escaped",
	        "../escaped leads out");
	refuses(f, "touch src/f; tar -P --transform 's,^f,d/../../escaped,' -C src -cf a.tar f", "leads out");
	refuses(f, "touch src/f; tar -P -cf a.tar $PWD/src/f", "leads out of the directory");
	refuses(f,
	        "ln -s ../elsewhere src/d; tar -C src -cf a.tar d; rm src/d; mkdir src/d; touch src/d/f; tar -C src -rf a.tar d/f",
	        "d/f does not follow on the directory");
	refuses(f,
	        "touch src/f; ln src/f src/g; tar -P -C src --transform 's,^f,../escaped,RSh' -cf a.tar f g",
	        "hard link to something outside");
	refuses(f, "mkdir src/d; touch src/d/f; tar -C src -cf a.tar d/f",
	        "d/f does not follow on the directory");
	refuses(f, "touch src/f; tar -P --transform 's,^f$,./.,' -C src -cf a.tar f",
	        "stands where a directory has to be");
}

/* A link to a directory that the archive makes first, and then a directory of that name, through which it would be written. */
static void a_link_of_the_archive_is_not_followed(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "mkdir -p src elsewhere; ln -s ../elsewhere src/d; tar -C src -cf a.tar d; rm src/d; mkdir src/d; touch src/d/f; tar -C src -rf a.tar d");
	f->options.overwrite = true;
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	extracts(f);
	sh(f, "test ! -L out/d; test -e out/d/f; test -z \"$(ls elsewhere)\"");
}

static void a_planted_link_is_not_followed(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR
	   "mkdir out elsewhere; ln -s ../elsewhere out/d; ln -s ../elsewhere/target out/a; echo keep >elsewhere/target");
	compares(f, "!a:kind +b !d:kind +d/c +d/hard +l +p");
	says(f, extract(f), -EEXIST, ERROR_CONFLICT, "a has come into");
	f->options.overwrite = true;
	extracts(f);
	sh(f,
	   "test \"$(ls elsewhere)\" = target; test $(cat elsewhere/target) = keep; test $(cat out/a) = one; test $(cat out/d/c) = three; test ! -L out/d");
	/* The same when it comes between. */
	sh(f, "rm -r out");
	f->options.overwrite = false;
	compares(f, "+a +b +d/c +d/hard +l +p");
	sh(f, "mkdir out; ln -s ../elsewhere out/d");
	says(f, extract(f), -EEXIST, ERROR_CONFLICT, "d has come into");
	sh(f, "test \"$(ls elsewhere)\" = target");
}

static void a_stage_that_somebody_has_planted_is_not_used(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR "mkdir out elsewhere; ln -s ../elsewhere out/" STAGE);
	compares(f, "+a +b +d/c +d/hard +l +p ?" STAGE);
	assert_int_equal(extract(f), -EEXIST);
	sh(f, "test -z \"$(ls elsewhere)\"; test ! -e out/a");
	assert_int_equal(files_stage_clear(f->out, STAGE), -ENOTDIR);
	assert_int_equal(files_stage_clear(f->out, "a"), -EINVAL);
	sh(f, "test -d elsewhere; test -L out/" STAGE);
}

static void what_is_no_archive_is_corrupt(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR "head -c 3000 a.tar >cut; mv cut a.tar");
	says(f, compare(f), -EBADMSG, ERROR_CORRUPT, "the archive cannot be read");
	sh(f, "head -c 100000 /dev/urandom >a.tar");
	says(f, compare(f), -EBADMSG, ERROR_CORRUPT, "the archive cannot be read");
	sh(f, "test ! -e out");
}

static void names_of_any_bytes(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "mkdir src; cd src; touch $'a\\xff' $'line\\nend' $'e\\xcc\\x81' \"$(printf 'n%.0s' {1..250})\"; d=.; for i in {1..30}; do d=$d/$(printf 'd%.0s' {1..200}); done; "
	   "mkdir -p \"$(echo $d | cut -c1-3900)\"; cd ..; " TAR);
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	assert_non_null(strstr(str_text(&f->told), "+a\\377 "));
	extracts(f);
	sh(f, "diff <(cd src; find . -print0 | sort -z | xxd) <(cd out; find . -print0 | sort -z | xxd)");
}

/* What ends it early. */

static void a_full_disk_leaves_no_part_of_a_file(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	sh(f, "mkdir src out; head -c 500000 /dev/urandom >src/a; head -c 3000000 /dev/urandom >src/b; " TAR
	      "mount -t tmpfs -o size=1m none out");
	compares(f, "+a +b");
	assert_true(f->found.needed_bytes >= 3500000);
	says(f, extract(f), -ENOSPC, ERROR_NO_SPACE, "b of ");
	assert_int_equal(f->outcome.files, 1);
	sh(f, "test \"$(ls -A out)\" = a; cmp src/a out/a");
}

/* Everything but the last bytes, so that it waits in the middle of b. */
static struct files_unpack *give_most(struct fixture *f)
{
	_cleanup(free) char *bytes = malloc(3000000);
	_cleanup(fd) int fd = open(f->tar, O_RDONLY | O_CLOEXEC);
	struct files_unpack *u = NULL;

	assert_true(bytes && fd >= 0);
	assert_int_equal(read(fd, bytes, 3000000), 3000000);
	assert_int_equal(files_extract_begin(&f->options, &f->found, &f->outcome, &u, &f->err), 0);
	assert_int_equal(files_unpack_write(u, bytes, 3000000, &f->err), 0);
	return u;
}

static void cancelled_within_a_file(void **state)
{
	struct fixture *f = *state;
	struct files_unpack *u;

	sh(f,
	   "mkdir -m 750 src; mkdir -m 750 src/a; echo x >src/a/b; head -c 9000000 /dev/urandom >src/c; " TAR);
	compares(f, "+a/b +c");
	u = give_most(f);
	cancel_set(&f->cancel);
	/* It ends also when nobody gives any more. */
	assert_null(files_unpack_free(u));
	sh(f, "test \"$(ls -A out)\" = a; test $(cat out/a/b) = x; test $(stat -c %a out/a) = 750");
}

static void killed_within_a_file(void **state)
{
	struct fixture *f = *state;
	int status, ready[2];
	char byte;
	pid_t child;

	sh(f, "mkdir src; echo x >src/a; head -c 9000000 /dev/urandom >src/b; " TAR);
	compares(f, "+a +b");
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		give_most(f);
		/* 3,000,000 bytes are more than can be on their way: b is begun. */
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(ready[0]);
	close(ready[1]);
	/* Nothing of b has its name. */
	sh(f, "test \"$(ls -A out | tr '\\n' ' ')\" = '" STAGE " a '");
	assert_int_equal(files_stage_clear(f->out, STAGE), 0);
	assert_int_equal(files_stage_clear(f->out, STAGE), 0);
	sh(f, "test \"$(ls -A out)\" = a");
	/* And it goes on. */
	compares(f, "=a +b");
	extracts(f);
	sh(f, "cmp src/b out/b");
}

/* Without the rights of root. */

static void in_a_child(struct fixture *f, bool as_nobody, void (*act)(struct fixture *f))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (as_nobody && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(99);
		act(f);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status != 0)
		fail_msg("the child has ended with %d", WEXITSTATUS(status));
}

static void unpack_as_nobody(struct fixture *f)
{
	_cleanup(free) char *a = mem_printf("%s/a", f->out);
	struct stat st;

	if (compare(f) < 0 || extract(f) < 0)
		_exit(1);
	if (f->found.foreign_owners != 3 || f->outcome.left_out != 1 || f->outcome.partly != 1) {
		print_error("%llu foreign owners; %s", (unsigned long long)f->found.foreign_owners,
		            str_text(&f->warned));
		_exit(2);
	}
	if (!strstr(str_text(&f->warned), "1 devices were left out") ||
	    !strstr(str_text(&f->warned), "the first: b: "))
		_exit(3);
	if (stat(a, &st) < 0 || st.st_uid != 65534 || (st.st_mode & 07777) != 0755)
		_exit(4);
	/* What it cannot set it does not find different, either. */
	if (compare(f) < 0 || count(f, FILES_EQUAL) != 2 || count(f, FILES_ADDED) != 1)
		_exit(5);
}

static void without_root_owners_are_told_of(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	sh(f,
	   "mkdir src out; chown 65534:65534 out; touch src/a src/b; chmod 4755 src/a; setfattr -n security.capability -v "
	   "0x0100000200200000000000000000000000000000 src/b; mknod src/dev c 1 3; "
	   "tar --format=pax --sort=name --xattrs --xattrs-include='*' -C src -cf a.tar .");
	in_a_child(f, true, unpack_as_nobody);
}

static void unpack_without_chown(struct fixture *f)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	_cleanup(free) char *a = mem_printf("%s/a", f->out);
	struct stat st;

	if (syscall(SYS_capget, &head, caps) < 0)
		_exit(98);
	caps[0].effective &= ~(1U << CAP_CHOWN);
	if (syscall(SYS_capset, &head, caps) < 0)
		_exit(97);
	if (compare(f) < 0 || extract(f) < 0)
		_exit(1);
	if (f->outcome.partly != 1 || !strstr(str_text(&f->warned), "the first: a: Operation not permitted"))
		_exit(2);
	if (stat(a, &st) < 0 || st.st_uid != 0 || (st.st_mode & 07777) != 0755)
		_exit(3);
}

/* A program that is to run as somebody must not run as root because it could not be given to him. */
static void setuid_stays_away_where_the_owner_does(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	sh(f, "mkdir src; touch src/a; chown 4711 src/a; chmod 6755 src/a; " TAR);
	in_a_child(f, false, unpack_without_chown);
}

static void look_as_nobody(struct fixture *f)
{
	if (compare(f) != -EACCES || !strstr(f->err.message, "out"))
		_exit(1);
	f->options.directory = mem_printf("%s/closed/new", f->dir);
	if (compare(f) != -EACCES || !strstr(f->err.message, "closed/new cannot be restored into"))
		_exit(2);
	f->options.directory = mem_printf("%s/new", f->dir);
	if (compare(f) < 0)
		_exit(3);
	if (extract(f) != -EACCES || !strstr(f->err.message, "new cannot be made"))
		_exit(4);
}

static void a_directory_that_cannot_be_read(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	sh(f, "mkdir src; mkdir -m 700 out closed; touch out/x src/a; " TAR);
	in_a_child(f, true, look_as_nobody);
	f->options.directory = f->tar;
	assert_int_equal(compare(f), -ENOTDIR);
	assert_non_null(strstr(f->err.message, "a.tar cannot be restored into"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_leads_out_is_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_link_of_the_archive_is_not_followed, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_planted_link_is_not_followed, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_stage_that_somebody_has_planted_is_not_used, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(what_is_no_archive_is_corrupt, setup, teardown),
	        cmocka_unit_test_setup_teardown(names_of_any_bytes, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_full_disk_leaves_no_part_of_a_file, setup, teardown),
	        cmocka_unit_test_setup_teardown(cancelled_within_a_file, setup, teardown),
	        cmocka_unit_test_setup_teardown(killed_within_a_file, setup, teardown),
	        cmocka_unit_test_setup_teardown(without_root_owners_are_told_of, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_read, setup, teardown),
	        cmocka_unit_test_setup_teardown(setuid_stays_away_where_the_owner_does, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
