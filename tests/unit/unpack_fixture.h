// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What tests of unpacking share: src/ is archived by GNU tar as a.tar, and out/ is what it is unpacked into, in a directory of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unpack_test.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGE FILES_STAGE_PREFIX "7"

struct fixture {
	char dir[64];
	char *out, *tar;
	struct cancel cancel;
	struct files_unpack_options options;
	struct files_comparison found;
	struct files_outcome outcome;
	struct str warned, told;
	struct error err;
};

static inline void take_warning(void *arg, const char *line)
{
	struct fixture *f = arg;

	str_appendf(&f->warned, "%s\n", line);
}

static inline void take_name(void *arg, enum files_difference what, const char *path, const char *why)
{
	static const char marks[FILES_DIFFERENCES + 1] = "+=!d?#";
	struct fixture *f = arg;

	str_appendf(&f->told, "%s%c%s%s%s", f->told.len > 0 ? " " : "", marks[what], path, why ? ":" : "",
	            str_or_empty(why));
}

static inline int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	str_copy(f->dir, sizeof(f->dir), "/tmp/keepfs-unpack-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->out = mem_printf("%s/out", f->dir);
	f->tar = mem_printf("%s/a.tar", f->dir);
	cancel_init(&f->cancel);
	f->options = (struct files_unpack_options){.directory = f->out,
	                                           .stage = STAGE,
	                                           .cancel = &f->cancel,
	                                           .warn = take_warning,
	                                           .found = take_name,
	                                           .arg = f};
	*state = f;
	return chmod(f->dir, 0755);
}

static inline int run(struct fixture *f, const char *script)
{
	_cleanup(free) char *path = mem_printf("%s/script", f->dir);
	_cleanup(free) char *command = mem_printf("cd %s && bash -eu -o pipefail script", f->dir);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(script, file);
	fclose(file);
	return system(command);
}

static inline void sh(struct fixture *f, const char *script)
{
	if (run(f, script) != 0)
		fail_msg("failed: %s", script);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command = mem_printf("umount -l %s/out 2>/dev/null; rm -rf %s", f->dir, f->dir);
	int r = system(command);

	cancel_finish(&f->cancel);
	files_comparison_finish(&f->found);
	str_finish(&f->warned);
	str_finish(&f->told);
	free(f->out);
	free(f->tar);
	free(f);
	return r;
}

/* As keepfs writes them: each directory before what is in it, "./" in front. */
#define TAR "tar --format=pax --sort=name --xattrs --acls -C src -cf a.tar . ; "

static inline int compare(struct fixture *f)
{
	files_comparison_finish(&f->found);
	f->found = (struct files_comparison){0};
	str_clear(&f->told);
	f->err = (struct error){0};
	return compare_file_with(&f->options, f->tar, &f->found, &f->err);
}

static inline int extract(struct fixture *f)
{
	str_clear(&f->warned);
	f->err = (struct error){0};
	return extract_file_to(&f->options, f->tar, &f->found, &f->outcome, &f->err);
}

static inline void compares(struct fixture *f, const char *told)
{
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	assert_string_equal(str_text(&f->told), told);
}

static inline void extracts(struct fixture *f)
{
	if (extract(f) < 0)
		fail_msg("%s", f->err.message);
	sh(f, "test -z \"$(find out -name '.keepfs-restore-*')\"");
}

static inline void says(const struct fixture *f, int r, int expected, enum error_class class,
                        const char *what)
{
	if (r != expected || f->err.class != class || !strstr(f->err.message, what))
		fail_msg("%d class %d: %s", r, f->err.class, f->err.message);
}

static inline uint64_t count(const struct fixture *f, enum files_difference what)
{
	return f->found.names[what].count;
}

#define SOME                                                                                                 \
	"mkdir -p src/d src/gone; echo one >src/a; echo two >src/b; echo three >src/d/c; ln -s a src/l; "    \
	"ln src/d/c src/d/hard; mkfifo src/p; touch -d '2020-01-02 03:04:05.123456789' src/a src/b src/d/c; "
