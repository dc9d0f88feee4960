// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the tests of conf share: a directory with a keepfs.conf, and an environment that is empty but for HOME. cmocka's headers come
 * before. */
#include "../../src/conf/load.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
	char *dir;
	char *file;
	struct conf conf;
	struct str problems;
};

static inline void write_text(const char *path, const char *text, size_t len, mode_t mode)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, len), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static inline int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->dir = mem_strdup("/tmp/keepfs-conf-XXXXXX");
	if (!f->dir || !mkdtemp(f->dir))
		return -1;
	f->file = mem_printf("%s/keepfs.conf", f->dir);
	clearenv();
	setenv("HOME", f->dir, 1);
	*state = f;
	return 0;
}

static inline void reset(struct fixture *f)
{
	conf_finish(&f->conf);
	str_clear(&f->problems);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"keepfs.conf",    "credentials",
	                                    "config",         ".config/keepfs/keepfs.conf",
	                                    ".config/keepfs", ".config"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *path = mem_printf("%s/%s", f->dir, names[i]);

		remove(path);
	}
	conf_finish(&f->conf);
	str_finish(&f->problems);
	if (remove(f->dir) < 0)
		return -1;
	free(f->file);
	free(f->dir);
	free(f);
	return 0;
}

static inline int load_bytes(struct fixture *f, const char *text, size_t len)
{
	reset(f);
	write_text(f->file, text, len, 0600);
	return conf_load(f->file, &f->conf, &f->problems);
}

static inline int load(struct fixture *f, const char *text)
{
	return load_bytes(f, text, strlen(text));
}

/* @text must be refused with exactly one problem, which holds @expected. */
static inline void refuse(struct fixture *f, const char *text, const char *expected)
{
	assert_int_equal(load(f, text), -EINVAL);
	if (!strstr(str_text(&f->problems), expected) ||
	    strchr(str_text(&f->problems), '\n') + 1 != f->problems.data + f->problems.len)
		fail_msg("for:\n%s\nwant one problem with: %s\ngot:\n%s", text, expected,
		         str_text(&f->problems));
}

static inline void accept(struct fixture *f, const char *text)
{
	if (load(f, text) != 0)
		fail_msg("for:\n%s\ngot:\n%s", text, str_text(&f->problems));
}

#define CONF_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The tests clear the environment, in which the runner asks for its format. */
#define RUN_CONF_TESTS(tests)                                                                                \
	(str_equal(getenv("CMOCKA_MESSAGE_OUTPUT"), "TAP") ? cmocka_set_message_output(CM_OUTPUT_TAP)        \
	                                                   : (void)0,                                        \
	 cmocka_run_group_tests(tests, NULL, NULL))
