// SPDX-License-Identifier: Apache-2.0
/*
 * Archives unpacked, and held against what is there. Each test has a directory of its own: src/ is archived by GNU tar as a.tar, and
 * out/ is what it is unpacked into. What keepfs itself archives, and that it comes back, is in test_files.c.
 */
#include "unpack_fixture.h"

#include <keepfs/files/tree_path.h>

/* Comparing. */

static void what_differs_is_told(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR "cp -a src out");
	compares(f, "=a =b =d/c =d/hard =l =p");
	assert_true(f->found.is_there && !f->found.is_empty);
	assert_int_equal(f->found.bytes + f->found.needed_bytes + f->found.needed_files, 0);
	/* The same size and time, one byte: only reading tells. */
	sh(f,
	   "printf 'onE\\n' >out/a; touch -r src/a out/a; chmod 600 out/b; rm out/l; ln -s b out/l; rm out/p; mkdir out/p; "
	   "cp -p out/d/hard out/d/x; rm out/d/hard; mv out/d/x out/d/hard; chmod 700 out/d; rmdir out/gone; "
	   "mkdir -p out/new/below; touch out/new/below/file out/n");
	compares(f, "!a:content !b:mode dd:mode =d/c !d/hard:hard link !l:link #p:kind ?n ?new");
	assert_int_equal(f->found.new_directories, 1);
	assert_string_equal(str_text(&f->found.names[FILES_DIFFERENT].first),
	                    "a (content), b (mode), d/hard (hard link), l (link)");
	sh(f,
	   "rm -r out; cp -a src out; echo longer >>out/a; touch out/b; rm out/d/c; mkdir out/d/c; rm -r out/gone; ln -s d out/gone");
	compares(f, "!a:size !b:time #d/c:kind !d/hard:hard link !gone:kind =l =p");
}

static void comparing_writes_nothing(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR "cp -a src out; touch out/a; find out -printf '%p %i %s %T@ %C@\\n' >before");
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	sh(f, "find out -printf '%p %i %s %T@ %C@\\n' | cmp - before; rm -r out");
	compares(f, "+a +b +d/c +d/hard +l +p");
	assert_false(f->found.is_there);
	assert_true(f->found.is_empty);
	assert_int_equal(f->found.new_directories, 2);
	assert_int_equal(f->found.bytes, 4 + 4 + 6);
	/* Each file, link and directory; a further name needs none. */
	assert_int_equal(f->found.needed_files, 7);
	assert_true(f->found.needed_bytes >= 3 * 4096);
	sh(f, "test ! -e out");
}

static void owners_and_attributes_differ(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	sh(f,
	   "mkdir src; touch src/a src/b src/c; setfattr -n user.k -v 1 src/b; setfacl -m u:4711:r src/c; " TAR
	   "cp -a src out; "
	   "chown 4711 out/a; setfattr -n user.k -v 2 out/b; setfacl -b out/c; chmod 644 out/c");
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	assert_string_equal(str_text(&f->told), "!a:owner !b:attributes !c:attributes");
	f->options.overwrite = true;
	extracts(f);
	compares(f, "=a =b =c");
}

/* Extracting. */

static void a_new_directory_is_made(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME "chmod 2750 src/d; chmod 711 src; touch -d 2019-01-01 src/d src/gone src; " TAR);
	compares(f, "+a +b +d/c +d/hard +l +p");
	extracts(f);
	assert_int_equal(f->outcome.files, 6);
	assert_int_equal(f->outcome.directories, 2);
	assert_int_equal(f->outcome.replaced + f->outcome.left_out + f->outcome.partly, 0);
	sh(f,
	   "rsync -aHAXni --checksum --delete --modify-window=-1 src/ out/ >diff; cat diff >&2; test ! -s diff");
	/* Once more there is nothing to do. */
	compares(f, "=a =b =d/c =d/hard =l =p");
	extracts(f);
	assert_int_equal(f->outcome.files + f->outcome.directories, 0);
}

static void nothing_is_overwritten(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR "mkdir out; echo mine >out/b");
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	assert_int_equal(count(f, FILES_DIFFERENT), 1);
	says(f, extract(f), -EEXIST, ERROR_CONFLICT, "b has come into");
	sh(f, "test $(cat out/b) = mine; test -z \"$(find out -name '.keepfs-restore-*')\"");
}

static void what_came_since_is_not_overwritten(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR);
	compares(f, "+a +b +d/c +d/hard +l +p");
	sh(f, "mkdir out; echo mine >out/b");
	says(f, extract(f), -EEXIST, ERROR_CONFLICT, "b has come into");
	sh(f, "test $(cat out/b) = mine; test $(cat out/a) = one");
}

static void what_differs_is_replaced_when_asked(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR
	   "cp -a src out; echo mine >out/b; chmod 700 out/d; rm out/l; echo file >out/l; rm -r out/gone; ln -s d out/gone; "
	   "echo stays >out/only; stat -c %i out/a out/d/c >before");
	f->options.overwrite = true;
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	extracts(f);
	assert_int_equal(f->outcome.replaced, 3);
	/* What is equal stays the very file, and what the archive does not have stays. */
	sh(f,
	   "stat -c %i out/a out/d/c | cmp - before; test $(cat out/only) = stays; rm out/only; "
	   "rsync -aHAXni --checksum --delete --omit-dir-times --modify-window=-1 src/ out/ >diff; cat diff >&2; test ! -s diff");
}

static void a_directory_is_never_replaced(void **state)
{
	struct fixture *f = *state;

	sh(f, SOME TAR "mkdir -p out/b; touch out/b/mine");
	f->options.overwrite = true;
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	assert_int_equal(count(f, FILES_IN_THE_WAY), 1);
	says(f, extract(f), -EEXIST, ERROR_CONFLICT, "b has come into");
	sh(f, "test -e out/b/mine");
}

static void holes_stay_holes(void **state)
{
	struct fixture *f = *state;

	sh(f,
	   "mkdir src; truncate -s 1G src/a; printf x | dd of=src/a bs=1 seek=500000000 conv=notrunc 2>/dev/null; "
	   "tar --format=pax --sparse --sort=name -C src -cf a.tar .");
	compares(f, "+a");
	assert_true(f->found.needed_bytes < 1 << 20);
	extracts(f);
	sh(f, "cmp src/a out/a; test $(stat -c %b out/a) -lt 2048");
	compares(f, "=a");
}

/* Some of it. */

#define PHOTOS                                                                                               \
	"mkdir -p src/2024/may src/2024/empty src/2025; touch src/2024/may/{1.jpg,2.jpg,3.txt} src/2025/{4.jpg,5.txt}; chmod 750 src/2024; "

static void chosen(struct fixture *f, char *choice, const char *listing)
{
	char *paths[] = {choice, NULL};
	_cleanup(free) char *check = mem_printf(
	        "test \"$(cd out; find . -mindepth 1 -printf '%%P ' | tr ' ' '\\n' | sort | tr '\\n' ' ')\" = '%s '",
	        listing);

	f->options.paths = paths;
	if (compare(f) < 0 || extract(f) < 0)
		fail_msg("%s: %s", choice, f->err.message);
	assert_int_equal(f->outcome.files, count(f, FILES_ADDED));
	assert_int_equal(f->outcome.directories, f->found.new_directories);
	sh(f, check);
	/* Whatever else is there counts only within what was chosen. */
	sh(f, "touch out/elsewhere");
	if (compare(f) < 0)
		fail_msg("%s", f->err.message);
	assert_int_equal(count(f, FILES_ADDED) + count(f, FILES_ONLY_HERE) + f->found.new_directories, 0);
	sh(f, "rm -rf out");
	f->options.paths = NULL;
}

static void some_of_it_is_chosen(void **state)
{
	struct fixture *f = *state;
	char *paths[] = {"2024/may", NULL};

	sh(f, PHOTOS TAR);
	chosen(f, "2024/may", "2024 2024/may 2024/may/1.jpg 2024/may/2.jpg 2024/may/3.txt");
	chosen(f, "2024/may/2.jpg", "2024 2024/may 2024/may/2.jpg");
	chosen(f, "2024/empty", "2024 2024/empty");
	/* By a pattern: directories only where something is in them. */
	chosen(f, "*.txt", "2024 2024/may 2024/may/3.txt 2025 2025/5.txt");
	chosen(f, "2024/**/[12].jpg", "2024 2024/may 2024/may/1.jpg 2024/may/2.jpg");
	chosen(f, "202?/may", "2024 2024/may 2024/may/1.jpg 2024/may/2.jpg 2024/may/3.txt");
	/* A directory that was made has what it had. */
	f->options.paths = paths;
	if (compare(f) < 0 || extract(f) < 0)
		fail_msg("%s", f->err.message);
	sh(f,
	   "test $(stat -c %a out/2024) = 750; mkdir out/2024/may/more; touch out/2024/may/more/x out/2024/other");
	compares(f, "=2024/may/1.jpg =2024/may/2.jpg =2024/may/3.txt ?2024/may/more");
}

static void what_is_not_there_cannot_be_chosen(void **state)
{
	struct fixture *f = *state;
	char *paths[] = {"2024", "2026", NULL}, *patterns[] = {"*.jpg", "*.png", NULL};

	sh(f, PHOTOS TAR);
	f->options.paths = paths;
	says(f, compare(f), -ENOENT, ERROR_USAGE, "chosen by 2026");
	f->options.paths = patterns;
	says(f, compare(f), -ENOENT, ERROR_USAGE, "chosen by *.png");
	sh(f, "test ! -e out");
}

static void a_further_name_needs_the_first(void **state)
{
	struct fixture *f = *state;
	char *paths[] = {"d/hard", NULL}, *both[] = {"d/hard", "d/c", NULL};

	sh(f, SOME TAR);
	f->options.paths = paths;
	says(f, compare(f), -EINVAL, ERROR_USAGE, "hard link) of d/c, which was not chosen");
	f->options.paths = both;
	compares(f, "+d/c +d/hard");
	extracts(f);
	sh(f, "test out/d/c -ef out/d/hard");
}

static void what_stands_above_the_chosen_stays(void **state)
{
	struct fixture *f = *state;
	char *paths[] = {"2024/may/1.jpg", NULL};

	sh(f, PHOTOS TAR "mkdir out elsewhere; ln -s ../elsewhere out/2024");
	f->options.paths = paths;
	f->options.overwrite = true;
	compares(f, "#2024:kind +2024/may/1.jpg");
	says(f, extract(f), -EEXIST, ERROR_CONFLICT, "2024 has come");
	sh(f, "test -L out/2024; test -z \"$(ls elsewhere)\"");
}

/* Paths. */

static void paths_in_normal_form(void **state)
{
	static const struct {
		const char *path, *normal; /* NULL: it leads out */
	} cases[] = {{"a/b", "a/b"}, {"./a//b/", "a/b"}, {".", ""},      {"", ""},
	             {"./", ""},     {"/a", NULL},       {"..", NULL},   {"a/../b", NULL},
	             {"a/..", NULL}, {"...", "..."},     {"..a", "..a"}, {"./..", NULL}};
	_cleanup(str) struct str normal = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = tree_path_normal(cases[i].path, &normal);

		assert_int_equal(r, cases[i].normal ? 0 : -EINVAL);
		if (cases[i].normal)
			assert_string_equal(str_text(&normal), cases[i].normal);
	}
}

static void paths_that_are_chosen(void **state)
{
	char *choices[] = {"a/b", "*.jpg", "/x*/y", NULL};

	assert_true(tree_path_is_chosen("a/b", true, choices));
	assert_true(tree_path_is_chosen("a/b/c", false, choices));
	assert_false(tree_path_is_chosen("a/bc", false, choices));
	assert_false(tree_path_is_chosen("a", true, choices));
	assert_false(tree_path_is_chosen("", true, choices));
	assert_true(tree_path_is_chosen("q/1.jpg", false, choices));
	assert_true(tree_path_is_chosen("q/1.jpg/below", false, choices));
	assert_true(tree_path_is_chosen("x1/y/z", false, choices));
	assert_false(tree_path_is_chosen("q/x1/y", false, choices));
	assert_true(tree_path_is_chosen("anything", false, NULL));
	assert_true(tree_path_may_lead_to("anything", choices));
	choices[1] = NULL;
	assert_true(tree_path_may_lead_to("a", choices));
	assert_false(tree_path_may_lead_to("b", choices));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_differs_is_told, setup, teardown),
	        cmocka_unit_test_setup_teardown(comparing_writes_nothing, setup, teardown),
	        cmocka_unit_test_setup_teardown(owners_and_attributes_differ, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_new_directory_is_made, setup, teardown),
	        cmocka_unit_test_setup_teardown(nothing_is_overwritten, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_came_since_is_not_overwritten, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_differs_is_replaced_when_asked, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_directory_is_never_replaced, setup, teardown),
	        cmocka_unit_test_setup_teardown(holes_stay_holes, setup, teardown),
	        cmocka_unit_test_setup_teardown(some_of_it_is_chosen, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_not_there_cannot_be_chosen, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_further_name_needs_the_first, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_stands_above_the_chosen_stays, setup, teardown),
	        cmocka_unit_test(paths_in_normal_form),
	        cmocka_unit_test(paths_that_are_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
