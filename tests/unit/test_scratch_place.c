// SPDX-License-Identifier: Apache-2.0
/* Scratch places: what somebody else has put into them, and what the dead have left. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/scratch_place.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEEP 300

static char directory[64];

static int begin_directory(void **state)
{
	strcpy(directory, "/tmp/keepfs-test-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int end_directory(void **state)
{
	return rmdir(directory);
}

static void make_place(struct scratch_place *ret)
{
	struct error err = {0};

	*ret = (struct scratch_place){.lock_fd = -1, .dir_fd = scratch_open(directory, true, &err)};
	assert_true(ret->dir_fd >= 0);
	assert_int_equal(scratch_place_new(directory, geteuid(), getegid(), ret, &err), 0);
}

static void nobody_else_may_enter(void **state)
{
	struct scratch_place p;
	struct stat st;
	_cleanup(free) char *elsewhere = NULL;

	make_place(&p);
	assert_int_equal(stat(p.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(scratch_place_add_elsewhere(&p, geteuid(), getegid()), 0);
	elsewhere = mem_strdup(p.elsewhere);
	assert_int_equal(stat(elsewhere, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* Its maker lives. */
	assert_int_equal(scratch_place_clear(directory, NULL), 0);
	assert_int_equal(scratch_place_remove(&p, NULL), 0);
	assert_int_equal(access(elsewhere, F_OK), -1);
	scratch_place_finish(&p);
}

/* Deeper than there are descriptors to be held, with what nobody may enter, and links that lead out of it. */
static void all_of_it_is_removed(void **state)
{
	_cleanup(free) char *other = mem_printf("%s/other", directory);
	struct scratch_place p;
	int fd;

	assert_int_equal(mkdir(other, 0700), 0);
	make_place(&p);
	fd = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < DEEP; i++) {
		int below;

		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		assert_int_equal(symlinkat(other, fd, "link"), 0);
		below = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		assert_int_equal(fchmod(fd, i == 0 ? 0700 : 0), 0);
		close(fd);
		fd = below;
	}
	close(fd);
	assert_int_equal(scratch_place_remove(&p, NULL), 0);
	assert_int_equal(access(p.path, F_OK), -1);
	scratch_place_finish(&p);
	assert_int_equal(rmdir(other), 0);
}

static void what_the_dead_have_left_is_found(void **state)
{
	int out[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		struct scratch_place p;

		make_place(&p);
		assert_int_equal(scratch_place_add(&p, "within", geteuid(), getegid()), 0);
		(void)!write(out[1], "", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(out[0], &byte, 1), 1);
	assert_int_equal(scratch_place_clear(directory, NULL), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(scratch_place_clear(directory, NULL), 1);
	assert_int_equal(scratch_place_clear(directory, NULL), 0);
	assert_int_equal(scratch_place_clear("/tmp/keepfs-no-such-directory", NULL), 0);
	close(out[0]);
	close(out[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(nobody_else_may_enter, begin_directory, end_directory),
	        cmocka_unit_test_setup_teardown(all_of_it_is_removed, begin_directory, end_directory),
	        cmocka_unit_test_setup_teardown(what_the_dead_have_left_is_found, begin_directory,
	                                        end_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
