// SPDX-License-Identifier: Apache-2.0
/* The ground floor: errors, strings, time, cancel tokens, the buffer pool, spools, workers. */
#include <keepfs/base/cancel.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>
#include <keepfs/base/pool.h>
#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void error_keeps_what_it_is_told(void **state)
{
	struct error err = {0};

	assert_int_equal(error_set(&err, ERROR_DENIED, EACCES, "no %s", "key"), -EACCES);
	assert_string_equal(err.message, "no key");
	error_prefix(&err, "store %d", 1);
	assert_string_equal(err.message, "store 1: no key");
	/* Arguments may come from the old message. */
	error_set(&err, ERROR_USAGE, EINVAL, "again: %s", err.message);
	assert_string_equal(err.message, "again: store 1: no key");
	assert_int_equal(error_system(&err, ENOSPC, "writing"), -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_int_equal(error_set(NULL, ERROR_USAGE, EINVAL, "nobody listens"), -EINVAL);
	error_prefix(NULL, "nothing");
}

static void error_cuts_what_is_too_long(void **state)
{
	struct error err = {0};
	char text[4096];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&err, ERROR_INTERNAL, EIO, "%s", text);
	error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

static void str_grows_and_is_text(void **state)
{
	_cleanup(str) struct str s = {0};

	assert_string_equal(str_text(&s), "");
	for (int i = 0; i < 1000; i++)
		str_appendf(&s, "%d,", i);
	assert_true(str_starts(s.data, "0,1,2,"));
	assert_true(str_ends(s.data, ",999,"));
	assert_int_equal(s.len, strlen(s.data));
	free(str_take(&s));
	assert_string_equal(str_text(&s), "");
	assert_false(str_ends("a", "aa"));
	assert_true(str_equal(NULL, NULL));
	assert_false(str_equal(NULL, ""));
}

#define FFFD "\xef\xbf\xbd"

/* What others wrote is shown on terminals. */
static void what_a_terminal_obeys_is_not_shown(void **state)
{
	static const struct {
		const char *text, *visible, *line;
	} cases[] = {
	        {"", "", ""},
	        {"Gr\xc3\xbc\xc3\x9f"
	         "e \xe2\x82\xac \xf0\x9f\x90\x98",
	         "Gr\xc3\xbc\xc3\x9f"
	         "e \xe2\x82\xac \xf0\x9f\x90\x98",
	         "Gr\xc3\xbc\xc3\x9f"
	         "e \xe2\x82\xac \xf0\x9f\x90\x98"},
	        {"a\nb\tc\r\n", "a\nb\tc\r\n", "a | b c"},
	        {"\x1b[31mred", FFFD "[31mred", FFFD "[31mred"},
	        {"\x07\x08\x7f", FFFD FFFD FFFD, FFFD FFFD FFFD},
	        {"\xc2\x9b"
	         "31m",
	         FFFD "31m", FFFD "31m"},
	        {"\xc2\xa0", "\xc2\xa0", "\xc2\xa0"},
	        /* The direction of text, and line ends of Unicode. */
	        {"\xe2\x80\xaegpj.exe", FFFD "gpj.exe", FFFD "gpj.exe"},
	        {"\xe2\x80\x8f\xd8\x9c\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\xa8", FFFD FFFD FFFD FFFD FFFD,
	         FFFD FFFD FFFD FFFD FFFD},
	        /* No UTF-8, and what is cut off. */
	        {"\xff\xfe", FFFD FFFD, FFFD FFFD},
	        {"a\xe2\x82", "a" FFFD FFFD, "a" FFFD FFFD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(str) struct str visible = {0}, line = {0};

		str_append_visible(&visible, cases[i].text);
		assert_string_equal(str_text(&visible), cases[i].visible);
		str_append_line(&line, cases[i].text);
		assert_string_equal(str_text(&line), cases[i].line);
	}
}

static void characters_of_utf8_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
	        {"", 1},
	        {"a", 1},
	        {"\x7f", 1},
	        {"\xc3\xa4x", 2},
	        {"\xe2\x82\xac", 3},
	        {"\xed\x9f\xbf", 3},
	        {"\xf0\x9f\x98\x80", 4},
	        {"\xf4\x8f\xbf\xbf", 4},
	        /* A continuation alone, cut, overlong, a surrogate, beyond the last one. */
	        {"\xa4", 0},
	        {"\xc3", 0},
	        {"\xe2\x82", 0},
	        {"\xf0\x9f\x98", 0},
	        {"\xc1\x81", 0},
	        {"\xe0\x9f\xbf", 0},
	        {"\xf0\x8f\xbf\xbf", 0},
	        {"\xed\xa0\x80", 0},
	        {"\xf4\x90\x80\x80", 0},
	        {"\xf5\x80\x80\x80", 0},
	        {"\xff", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(str_utf8_char(cases[i].text), cases[i].len);
}

static void a_word_reaches_a_shell_as_it_is(void **state)
{
	static const struct {
		const char *word, *shown;
	} cases[] = {
	        {"plain-word_1.2/x:y@z,%=+", "plain-word_1.2/x:y@z,%=+"},
	        {"", "''"},
	        {"two words", "'two words'"},
	        {"don't $HOME `x` \\", "'don'\\''t $HOME `x` \\'"},
	        {"~user", "'~user'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(str) struct str s = {0};

		str_append_shell_word(&s, cases[i].word);
		assert_string_equal(str_text(&s), cases[i].shown);
	}
}

static void csv_is_quoted_where_it_must(void **state)
{
	_cleanup(str) struct str s = {0};

	str_append_csv(&s, "plain text");
	str_append_csv(&s, "");
	str_append_csv(&s, "|a,b|");
	str_append_csv(&s, "a \"b\"");
	str_append_csv(&s, "\n");
	str_append_csv(&s, "\r");
	assert_string_equal(str_text(&s), "plain text\"|a,b|\"\"a \"\"b\"\"\"\"\n\"\"\r\"");
}

static void bytes_are_written_for_people(void **state)
{
	char buf[16];

	assert_string_equal(str_format_bytes(buf, sizeof(buf), 0), "0 B");
	assert_string_equal(str_format_bytes(buf, sizeof(buf), 1023), "1023 B");
	assert_string_equal(str_format_bytes(buf, sizeof(buf), 1536), "1.5 KiB");
	assert_string_equal(str_format_bytes(buf, sizeof(buf), UINT64_MAX), "16.0 EiB");
}

static void time_survives_a_round_trip(void **state)
{
	char name[CLOCK_NAME_BYTES], iso[CLOCK_ISO_BYTES];
	int64_t at_us = INT64_C(1795140000) * US_PER_S, back;

	assert_string_equal(clock_format_name(at_us, name), "20261120T020000Z");
	assert_int_equal(clock_parse_name(name, &back), 0);
	assert_int_equal(back, at_us);
	assert_string_equal(clock_format_iso(at_us, iso), "2026-11-20T02:00:00Z");
	assert_int_equal(clock_parse_iso(iso, &back), 0);
	assert_int_equal(back, at_us);
	assert_int_equal(clock_parse_iso("2026-11-20T02:00:00.25Z", &back), 0);
	assert_int_equal(back, at_us + 250000);
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const names[] = {"",
	                                    "20261120T020000",
	                                    "20261120T020000z",
	                                    "20261131T020000Z",
	                                    "20260230T000000Z",
	                                    "20261120T240000Z",
	                                    "2026112xT020000Z",
	                                    "-0261120T020000Z"};
	static const char *const isos[] = {"",
	                                   "2026-11-20",
	                                   "2026-11-20 02:00:00Z",
	                                   "2026-11-20T02:00:60Z",
	                                   "2026-11-20T02:00:00.Z",
	                                   "2026-11-20T02:00:00+01:00",
	                                   "2026-11-20T02:00:00Zx"};
	int64_t at_us = 42;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(clock_parse_name(names[i], &at_us), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(isos); i++)
		assert_int_equal(clock_parse_iso(isos[i], &at_us), -EINVAL);
	assert_int_equal(at_us, 42);
}

static void count_wake(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void cancel_wakes_hooks_once(void **state)
{
	struct cancel cancel;
	atomic_int early = 0, late = 0, gone = 0;
	struct cancel_hook hooks[] = {{count_wake, &early}, {count_wake, &late}, {count_wake, &gone}};

	cancel_init(&cancel);
	assert_false(cancel_is_set(NULL));
	assert_false(cancel_is_set(&cancel));
	assert_false(cancel_sleep_ms(&cancel, 1));
	cancel_add_hook(&cancel, &hooks[0]);
	cancel_add_hook(&cancel, &hooks[2]);
	cancel_remove_hook(&cancel, &hooks[2]);
	cancel_set(&cancel);
	cancel_set(&cancel);
	cancel_add_hook(&cancel, &hooks[1]);
	assert_int_equal(early, 1);
	assert_int_equal(late, 1);
	assert_int_equal(gone, 0);
	assert_true(cancel_sleep_ms(&cancel, 60000));
	cancel_remove_hook(&cancel, &hooks[0]);
	cancel_remove_hook(&cancel, &hooks[1]);
	cancel_finish(&cancel);
}

static void cancel_makes_a_descriptor_readable(void **state)
{
	struct cancel_fd early, late, never;
	struct pollfd fds[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	struct cancel cancel;

	cancel_init(&cancel);
	assert_int_equal(cancel_fd_open(&early, &cancel), 0);
	assert_int_equal(cancel_fd_open(&never, NULL), 0);
	fds[0].fd = early.fd;
	assert_int_equal(poll(fds, 1, 0), 0);
	cancel_set(&cancel);
	assert_int_equal(cancel_fd_open(&late, &cancel), 0);
	fds[1].fd = late.fd;
	fds[2].fd = never.fd;
	assert_int_equal(poll(fds, 3, 0), 2);
	assert_int_equal(fds[2].revents, 0);
	cancel_fd_close(&early);
	cancel_fd_close(&late);
	cancel_fd_close(&never);
	cancel_finish(&cancel);
}

struct reserving {
	struct pool *pool;
	size_t count;
	struct cancel *cancel;
	int result;
};

static void *reserve_in_thread(void *arg)
{
	struct reserving *r = arg;

	r->result = pool_reserve(r->pool, r->count, r->cancel);
	return NULL;
}

static void pool_gives_only_what_it_has(void **state)
{
	struct pool *pool = pool_new(4 * POOL_BUFFER_BYTES);
	void *buffers[4];

	assert_int_equal(pool_buffers(pool), 4);
	assert_int_equal(pool_reserve(pool, 5, NULL), -ENOSPC);
	assert_int_equal(pool_reserve(pool, 3, NULL), 0);
	assert_false(pool_try_reserve(pool, 2));
	assert_true(pool_try_reserve(pool, 1));
	for (int i = 0; i < 4; i++) {
		buffers[i] = pool_take(pool);
		memset(buffers[i], i, POOL_BUFFER_BYTES);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(((unsigned char *)buffers[i])[POOL_BUFFER_BYTES - 1], i);
		pool_give(pool, buffers[i]);
	}
	pool_unreserve(pool, 4);
	pool_free(pool);
	assert_null(pool_free(NULL));
}

static void a_waiting_reservation_is_granted_or_cancelled(void **state)
{
	struct pool *pool = pool_new(4 * POOL_BUFFER_BYTES);
	struct cancel cancel;
	struct reserving large = {.pool = pool, .count = 4},
	                 given_up = {.pool = pool, .count = 1, .cancel = &cancel};
	pthread_t threads[2];

	cancel_init(&cancel);
	assert_int_equal(pool_reserve(pool, 1, NULL), 0);
	assert_int_equal(thread_start(&threads[0], "large", reserve_in_thread, &large), 0);
	/* Once the large one waits, nobody overtakes it, though there is room. */
	while (pool_try_reserve(pool, 1))
		pool_unreserve(pool, 1);
	assert_int_equal(thread_start(&threads[1], "given up", reserve_in_thread, &given_up), 0);
	cancel_set(&cancel);
	pthread_join(threads[1], NULL);
	assert_int_equal(given_up.result, -ECANCELED);
	pool_unreserve(pool, 1);
	pthread_join(threads[0], NULL);
	assert_int_equal(large.result, 0);
	pool_unreserve(pool, 4);
	pool_free(pool);
	cancel_finish(&cancel);
}

static void a_branch_has_its_own(void **state)
{
	struct pool *pool = pool_new(8 * POOL_BUFFER_BYTES), *branch;
	void *buffers[3];

	assert_true(pool_try_reserve(pool, 2));
	assert_null(pool_branch(pool, 7, 0));
	assert_null(pool_branch(pool, 3, 4));
	branch = pool_branch(pool, 3, 3);
	assert_non_null(branch);
	assert_int_equal(pool_buffers(branch), 3);
	/* What was to stay free is; and whoever takes all of that takes nothing of the branch. */
	assert_true(pool_try_reserve(pool, 3));
	assert_false(pool_try_reserve(pool, 1));
	assert_int_equal(pool_reserve(branch, 4, NULL), -ENOSPC);
	assert_int_equal(pool_reserve(branch, 3, NULL), 0);
	for (int i = 0; i < 3; i++)
		buffers[i] = memset(pool_take(branch), i, POOL_BUFFER_BYTES);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(((unsigned char *)buffers[i])[0], i);
		pool_give(branch, buffers[i]);
	}
	pool_unreserve(branch, 3);
	pool_free(branch);
	assert_true(pool_try_reserve(pool, 3));
	assert_false(pool_try_reserve(pool, 1));
	pool_unreserve(pool, 8);
	pool_free(pool);
}

static size_t resident_pages(const void *memory, size_t bytes)
{
	size_t pages = bytes / (size_t)sysconf(_SC_PAGESIZE), count = 0;
	unsigned char *resident = mem_alloc(pages);

	assert_int_equal(mincore((void *)memory, bytes, resident), 0);
	for (size_t i = 0; i < pages; i++)
		count += resident[i] & 1;
	free(resident);
	return count;
}

static void pool_gives_memory_back(void **state)
{
	struct pool *pool = pool_new(24 * POOL_BUFFER_BYTES);
	size_t pages = POOL_BUFFER_BYTES / (size_t)sysconf(_SC_PAGESIZE), left = 0;
	void *buffers[24];

	assert_true(pool_try_reserve(pool, 24));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 24; i++)
			buffers[i] = memset(pool_take(pool), 1, POOL_BUFFER_BYTES);
		for (int i = 0; i < 24; i++)
			pool_give(pool, buffers[i]);
		left = 0;
		for (int i = 0; i < 24; i++)
			left += resident_pages(buffers[i], POOL_BUFFER_BYTES);
		/* A few stay for who takes one now and then: those that are taken next. */
		assert_in_range(left, pages, 8 * pages);
	}
	buffers[0] = pool_take(pool);
	assert_int_equal(resident_pages(buffers[0], POOL_BUFFER_BYTES), pages);
	pool_give(pool, buffers[0]);
	pool_unreserve(pool, 24);
	pool_free(pool);
}

static void spool_holds_more_than_memory(void **state)
{
	char directory[] = "/tmp/keepfs-spool-XXXXXX";
	char line[64], back[64];
	struct spool *spool;
	uint64_t size = 0;

	assert_non_null(mkdtemp(directory));
	spool = spool_new(directory);
	for (int i = 0; i < 20000; i++) {
		snprintf(line, sizeof(line), "line %08d of the text\n", i);
		spool_append(spool, line, strlen(line));
		size += strlen(line);
	}
	assert_int_equal(spool_error(spool), 0);
	assert_true(size > SPOOL_MEMORY_BYTES);
	assert_int_equal(spool_size(spool), size);
	for (int i = 0; i < 20000; i++) {
		snprintf(line, sizeof(line), "line %08d of the text\n", i);
		assert_int_equal(spool_read(spool, back, strlen(line), (uint64_t)i * strlen(line)),
		                 strlen(line));
		assert_memory_equal(back, line, strlen(line));
	}
	assert_int_equal(spool_read(spool, back, sizeof(back), size), 0);
	assert_int_equal(spool_read(spool, back, sizeof(back), size - 3), 3);
	spool_free(spool);
	assert_int_equal(rmdir(directory), 0);
}

static void spool_tells_that_it_could_not_write(void **state)
{
	struct spool *spool = spool_new("/nonexistent");
	char piece[4096];

	memset(piece, 'x', sizeof(piece));
	for (size_t written = 0; written <= SPOOL_MEMORY_BYTES; written += sizeof(piece))
		spool_append(spool, piece, sizeof(piece));
	assert_int_equal(spool_error(spool), -ENOENT);
	spool_free(spool);
}

static void workers_run_everything_before_they_end(void **state)
{
	struct workers *workers = workers_new("test", 3);
	atomic_int count = 0;

	for (int i = 0; i < 1000; i++)
		workers_add(workers, count_wake, &count);
	workers_free(workers);
	assert_int_equal(count, 1000);
}

static void directories_are_made_and_files_read(void **state)
{
	char directory[] = "/tmp/keepfs-fd-XXXXXX";
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *deep = NULL;
	struct stat st;

	assert_non_null(mkdtemp(directory));
	deep = mem_printf("%s/a/b", directory);
	assert_int_equal(fd_make_dirs(deep, 0700), 0);
	assert_int_equal(fd_make_dirs(deep, 0700), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(fd_read_file(deep, 10, &text), -EISDIR);
	assert_int_equal(fd_read_file("/proc/self/status", 10, &text), -EFBIG);
	str_clear(&text);
	assert_int_equal(fd_read_file("/proc/self/comm", 64, &text), 0);
	assert_true(str_ends(str_text(&text), "\n"));
	assert_int_equal(rmdir(deep), 0);
	deep[strlen(deep) - 2] = '\0';
	assert_int_equal(rmdir(deep), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void no_link_of_another_user_leads_to_our_files(void **state)
{
	char directory[] = "/tmp/keepfs-base-XXXXXX", real[64], link[64];
	struct error err = {0};
	int fd;

	assert_non_null(mkdtemp(directory));
	snprintf(real, sizeof(real), "%s/real", directory);
	snprintf(link, sizeof(link), "%s/link", directory);
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink(real, link), 0);
	fd = own_directory_open(link, "state directory", "name another", &err);
	assert_true(fd >= 0);
	close(fd);
	if (geteuid() == 0) {
		assert_int_equal(lchown(link, 65534, 65534), 0);
		assert_int_equal(own_directory_open(link, "state directory", "name another", &err), -EPERM);
		assert_non_null(
		        strstr(err.message, "another user has made the link that is the state directory"));
	}
	assert_int_equal(unlink(link), 0);
	assert_int_equal(own_directory_open(link, "state directory", "name another", &err), -ENOENT);
	assert_int_equal(rmdir(real), 0);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(error_keeps_what_it_is_told),
	        cmocka_unit_test(error_cuts_what_is_too_long),
	        cmocka_unit_test(no_link_of_another_user_leads_to_our_files),
	        cmocka_unit_test(str_grows_and_is_text),
	        cmocka_unit_test(what_a_terminal_obeys_is_not_shown),
	        cmocka_unit_test(characters_of_utf8_are_told_apart),
	        cmocka_unit_test(a_word_reaches_a_shell_as_it_is),
	        cmocka_unit_test(csv_is_quoted_where_it_must),
	        cmocka_unit_test(bytes_are_written_for_people),
	        cmocka_unit_test(time_survives_a_round_trip),
	        cmocka_unit_test(what_is_no_time_is_refused),
	        cmocka_unit_test(cancel_wakes_hooks_once),
	        cmocka_unit_test(cancel_makes_a_descriptor_readable),
	        cmocka_unit_test(pool_gives_only_what_it_has),
	        cmocka_unit_test(pool_gives_memory_back),
	        cmocka_unit_test(a_waiting_reservation_is_granted_or_cancelled),
	        cmocka_unit_test(a_branch_has_its_own),
	        cmocka_unit_test(spool_holds_more_than_memory),
	        cmocka_unit_test(spool_tells_that_it_could_not_write),
	        cmocka_unit_test(workers_run_everything_before_they_end),
	        cmocka_unit_test(directories_are_made_and_files_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
