// SPDX-License-Identifier: Apache-2.0
/* Copies of the catalog in a store: when one is made, which stay, and how a host that has lost its catalog gets it back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../src/copies/copies_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/codec/audit_chain.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/copies.h>
#include <keepfs/records.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

#define DAY_US   (24 * 3600 * US_PER_S)
#define DEADLINE 30000 /* ms: for what another thread does */

static _Atomic int64_t now_us;

static int64_t tell_now(void)
{
	return now_us;
}

struct copying {
	struct fixture *f;
	struct conf conf;
	struct store *store;
	struct pool *pool;
	struct copies_context ctx;
};

/* The store again, now with calls that fail by @spec. */
static void open_faulty(struct copying *m, const char *spec)
{
	_cleanup(free) char *root = file_path(m->f, "store");

	m->store = store_free(m->store);
	assert_int_equal(store_dir_new(root, &m->store, NULL), 0);
	assert_int_equal(store_fault_new(m->store, spec, &m->store, NULL), 0);
	m->ctx.store = m->store;
}

static int begin_copying(void **state)
{
	struct copying *m = mem_alloc(sizeof(*m));
	void *fixture = NULL;

	assert_int_equal(set_up(&fixture), 0);
	m->f = fixture;
	m->conf.catalog_copies = 3;
	m->conf.state_dir = m->f->directory;
	m->conf.store.url = "dir:/srv/store";
	m->pool = pool_new(64 << 20);
	m->ctx = (struct copies_context){
	        .conf = &m->conf, .catalog = m->f->catalog, .pool = m->pool, .now_us = tell_now};
	open_faulty(m, "");
	assert_int_equal(catalog_set_store_url(m->f->catalog, m->conf.store.url, NULL), 0);
	now_us = AT_US;
	*state = m;
	return 0;
}

static int end_copying(void **state)
{
	struct copying *m = *state;
	void *fixture = m->f;

	store_free(m->store);
	pool_free(m->pool);
	free(m);
	return tear_down(&fixture);
}

static void change_catalog(struct copying *m, int64_t pid)
{
	const struct catalog_audit entry = {
	        .at_us = AT_US + pid, .pid = pid, .action = "read", .result = "ok"};

	assert_int_equal(catalog_add_audit(m->f->catalog, &entry, NULL), 0);
}

static void make_copy_now(struct copying *m)
{
	struct error err = {0};

	if (copies_make(&m->ctx, NULL, &err) < 0)
		fail_msg("%s", err.message);
}

static struct copy_list list_of(struct copying *m)
{
	struct copy_list list = {0};

	assert_int_equal(copy_list_get(m->store, NULL, &list, NULL), 0);
	return list;
}

/* "20261120T020000Z 20261121T020000Z ": the times of all copies in the store, oldest first. */
static void assert_copies(struct copying *m, const char *want)
{
	_cleanup(copy_list) struct copy_list list = list_of(m);
	_cleanup(str) struct str found = {0};

	for (size_t i = 0; i < list.count; i++) {
		char at[CLOCK_NAME_BYTES];

		str_appendf(&found, "%s ", clock_format_name(list.items[i].at_us, at));
	}
	assert_string_equal(str_text(&found), want);
}

/* Heap. */
static char *newest_key(struct copying *m)
{
	_cleanup(copy_list) struct copy_list list = list_of(m);

	assert_true(list.count > 0);
	return copy_key(&list.items[list.count - 1]);
}

/* Names. */

static void a_name_is_read_as_it_was_written(void **state)
{
	struct copy_name name = {.at_us = AT_US, .hash = "0123456789abcdef"}, read;
	_cleanup(free) char *key = copy_key(&name);
	static const char *const others[] = {
	        "catalog/",
	        "catalog/20261120T020000Z",
	        "catalog/20261120T020000Z-0123456789abcdef.sqlite.zst.tmp",
	        "catalog/20261120T020000Z-0123456789abcde.sqlite.zst",
	        "catalog/20261120T020000Z-0123456789ABCDEF.sqlite.zst",
	        "catalog/20261320T020000Z-0123456789abcdef.sqlite.zst",
	        "catalog/20261120T020000Z_0123456789abcdef.sqlite.zst",
	        "records/20261120T020000Z-0123456789abcdef.sqlite.zst",
	        "catalog/manifests/backups/full/20261120T020000Z.dump.json",
	};

	assert_string_equal(key, "catalog/20261120T020000Z-0123456789abcdef.sqlite.zst");
	assert_true(copy_name_parse(key, &read));
	assert_int_equal(read.at_us, AT_US);
	assert_string_equal(read.hash, name.hash);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(copy_name_parse(others[i], &read));
}

/* Making. */

static void a_copy_is_made_when_something_has_changed(void **state)
{
	struct copying *m = *state;
	struct catalog_copy_state copy;
	_cleanup(free) char *key = NULL;

	make_copy_now(m);
	assert_copies(m, "20261120T020000Z ");
	now_us += DAY_US;
	make_copy_now(m);
	assert_copies(m, "20261120T020000Z ");
	/* It was found to be as good as a new one. */
	assert_int_equal(catalog_copy_state(m->f->catalog, &copy), 0);
	assert_int_equal(copy.current_us, AT_US + DAY_US);
	change_catalog(m, 1);
	make_copy_now(m);
	assert_copies(m, "20261120T020000Z 20261121T020000Z ");
	key = newest_key(m);
	assert_int_equal(catalog_copy_state(m->f->catalog, &copy), 0);
	assert_string_equal(copy.key, key);
}

static void of_each_day_the_last_stays(void **state)
{
	struct copying *m = *state;
	static const char foreign[] = "catalog/README";

	assert_int_equal(store_put_bytes(m->store, NULL, foreign, "x", 1, NULL, NULL), 0);
	for (int i = 0; i < 4; i++) {
		change_catalog(m, i);
		make_copy_now(m);
		now_us += 3600 * US_PER_S;
	}
	assert_copies(m, "20261120T050000Z ");
	for (int i = 0; i < 4; i++) {
		now_us = AT_US + (i + 1) * DAY_US;
		change_catalog(m, i);
		make_copy_now(m);
	}
	assert_copies(m, "20261122T020000Z 20261123T020000Z 20261124T020000Z ");
	/* What is none is left alone. */
	assert_int_equal(store_head(m->store, NULL, foreign, &(struct store_object){0}, NULL), 0);
}

static void the_last_by_name_was_made_last(void **state)
{
	struct copying *m = *state;

	now_us = AT_US + 300 * DAY_US;
	make_copy_now(m);
	now_us = AT_US; /* the clock was set right */
	change_catalog(m, 1);
	make_copy_now(m);
	assert_copies(m, "20270916T020001Z ");
}

static void without_copies_nothing_is_done(void **state)
{
	struct copying *m = *state;
	struct catalog_copy_state copy;

	m->conf.catalog_copies = 0;
	make_copy_now(m);
	assert_copies(m, "");
	assert_int_equal(catalog_copy_state(m->f->catalog, &copy), -ENOENT);
}

static void assert_fails(struct copying *m, const char *faults, int want)
{
	struct catalog_copy_state copy;
	struct error err = {0};

	open_faulty(m, faults);
	assert_int_equal(copies_make(&m->ctx, NULL, &err), want);
	assert_true(err.message[0] != '\0');
	assert_int_equal(catalog_copy_state(m->f->catalog, &copy), 0);
	assert_string_equal(copy.failure, err.message);
	open_faulty(m, "");
}

static void a_store_that_fails_leaves_nothing(void **state)
{
	struct copying *m = *state;
	struct catalog_copy_state copy;

	assert_int_equal(catalog_copy_begin(m->f->catalog, AT_US, NULL), 0);
	assert_fails(m, "list:1:unavailable", -EAGAIN);
	assert_copies(m, "");
	assert_fails(m, "put:1:eio", -EIO);
	assert_copies(m, "");
	/* What comes back is not what was sent: it would be the newest. */
	assert_fails(m, "get:1+:corrupt", -EBADMSG);
	assert_copies(m, "");
	make_copy_now(m);
	assert_copies(m, "20261120T020000Z ");
	assert_int_equal(catalog_copy_state(m->f->catalog, &copy), 0);
	assert_string_equal(copy.failure, "");
}

static void what_was_not_read_back_is_no_copy(void **state)
{
	struct copying *m = *state;
	struct catalog_copy_state copy;

	assert_int_equal(catalog_copy_begin(m->f->catalog, AT_US, NULL), 0);
	assert_fails(m, "get:1:unavailable", -EAGAIN);
	/* The store holds one of the same content by now. */
	assert_fails(m, "get:1:unavailable", -EAGAIN);
	make_copy_now(m);
	assert_int_equal(catalog_copy_state(m->f->catalog, &copy), 0);
	assert_string_equal(copy.failure, "");
}

static void a_removal_that_is_refused_is_no_failure(void **state)
{
	struct copying *m = *state;

	make_copy_now(m);
	open_faulty(m, "remove:1+:eio");
	change_catalog(m, 1);
	now_us += 3600 * US_PER_S;
	make_copy_now(m);
	assert_copies(m, "20261120T020000Z 20261120T030000Z ");
	open_faulty(m, "");
	now_us += 3600 * US_PER_S;
	make_copy_now(m);
	assert_copies(m, "20261120T030000Z ");
}

static void uploads_that_a_crash_left_are_aborted(void **state)
{
	struct copying *m = *state;
	struct store_upload *upload = NULL;
	struct store_upload_info *left = NULL;
	struct store_part part;
	const struct iovec iov = {(void *)"bytes", 5};
	size_t count = 9;

	assert_int_equal(store_upload_begin(m->store, NULL, "catalog/x", &upload, NULL), 0);
	assert_int_equal(store_upload_part(upload, NULL, 1, &iov, 1, &part, NULL), 0);
	store_upload_free(upload);
	make_copy_now(m);
	assert_int_equal(store_upload_list(m->store, NULL, "catalog/", &left, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_upload_list_free(left, count);
}

/* The thread. */

static void wait_for_copies(struct copying *m, const char *want)
{
	int64_t until_ms = clock_mono_ms() + DEADLINE;

	for (;;) {
		_cleanup(copy_list) struct copy_list list = list_of(m);
		_cleanup(str) struct str found = {0};

		for (size_t i = 0; i < list.count; i++) {
			char at[CLOCK_NAME_BYTES];

			str_appendf(&found, "%s ", clock_format_name(list.items[i].at_us, at));
		}
		if (strcmp(str_text(&found), want) == 0)
			return;
		if (clock_mono_ms() > until_ms)
			fail_msg("%s instead of %s", str_text(&found), want);
		cancel_sleep_ms(NULL, 1);
	}
}

/* Until what the catalog knows of its copy says that it is current as of @at_us. */
static void wait_until_current(struct copying *m, int64_t at_us)
{
	struct catalog_copy_state copy = {0};
	int64_t until_ms = clock_mono_ms() + DEADLINE;

	while (catalog_copy_state(m->f->catalog, &copy) < 0 || !copy.key[0] || copy.current_us != at_us) {
		if (clock_mono_ms() > until_ms)
			fail_msg("current as of %lld: '%s'", (long long)copy.current_us, copy.failure);
		cancel_sleep_ms(NULL, 1);
	}
}

static void wait_for_failure(struct copying *m)
{
	struct catalog_copy_state copy = {0};
	int64_t until_ms = clock_mono_ms() + DEADLINE;

	while (catalog_copy_state(m->f->catalog, &copy) < 0 || !copy.failure[0]) {
		assert_true(clock_mono_ms() < until_ms);
		cancel_sleep_ms(NULL, 1);
	}
}

static void wait_for_first(struct copying *m)
{
	int64_t until_ms = clock_mono_ms() + DEADLINE;
	size_t count = 0;

	while (count == 0) {
		_cleanup(copy_list) struct copy_list list = list_of(m);

		count = list.count;
		assert_true(clock_mono_ms() < until_ms);
		cancel_sleep_ms(NULL, 1);
	}
}

static const struct copies_pace quick = {.first = 1, .longest = 4}, slow = {.first = 60000, .longest = 60000};

static struct copies *start_thread(struct copying *m, const struct copies_pace *pace)
{
	struct copies *c = NULL;

	assert_int_equal(copies_start(&m->ctx, pace, &c, NULL), 0);
	return c;
}

/* The clock moves by hand: the thread is told to look at it. */
static void a_copy_a_day(void **state)
{
	struct copying *m = *state;
	struct copies *c = start_thread(m, &slow);

	now_us += 61 * US_PER_S;
	copies_look(c);
	wait_until_current(m, AT_US + 61 * US_PER_S);
	assert_copies(m, "20261120T020101Z ");
	change_catalog(m, 1);
	now_us += DAY_US - US_PER_S;
	copies_look(c);
	assert_copies(m, "20261120T020101Z ");
	now_us += US_PER_S;
	copies_look(c);
	wait_until_current(m, AT_US + 61 * US_PER_S + DAY_US);
	assert_copies(m, "20261120T020101Z 20261121T020101Z ");
	/* Nothing has changed: that is noted, and no other one made. */
	now_us += DAY_US;
	copies_look(c);
	wait_until_current(m, AT_US + 61 * US_PER_S + 2 * DAY_US);
	assert_copies(m, "20261120T020101Z 20261121T020101Z ");
	copies_free(c);
}

static void a_day_is_counted_over_restarts(void **state)
{
	struct copying *m = *state;
	struct copies *c;

	make_copy_now(m);
	change_catalog(m, 1);
	now_us += DAY_US / 2;
	copies_free(start_thread(m, &slow));
	assert_copies(m, "20261120T020000Z ");
	/* It was off when the next was due, which is not put off. */
	now_us += DAY_US;
	c = start_thread(m, &slow);
	wait_for_copies(m, "20261120T020000Z 20261121T140000Z ");
	copies_free(c);
}

static void what_must_not_wait_is_copied_soon(void **state)
{
	struct copying *m = *state;
	struct copies *c;

	make_copy_now(m);
	c = start_thread(m, &slow);
	change_catalog(m, 1);
	copies_soon(c);
	now_us += 59 * US_PER_S;
	copies_soon(c); /* does not put it off */
	copies_look(c);
	assert_copies(m, "20261120T020000Z ");
	now_us += 2 * US_PER_S;
	copies_look(c);
	wait_for_copies(m, "20261120T020101Z ");
	copies_free(c);
	copies_soon(NULL);
}

static void a_store_that_fails_is_tried_again(void **state)
{
	struct copying *m = *state;
	struct copies *c;

	open_faulty(m, "put:1:unavailable,put:2:unavailable,put:3:unavailable");
	m->ctx.now_us = NULL; /* the clock of the wall */
	c = start_thread(m, &quick);
	wait_for_failure(m);
	wait_for_first(m);
	copies_free(c);
}

static void the_end_copies_what_has_changed(void **state)
{
	struct copying *m = *state;
	struct copies *c = start_thread(m, &slow);

	copies_last(c, m->store);
	assert_copies(m, "20261120T020000Z ");
	copies_free(c);

	change_catalog(m, 1);
	now_us += 5 * US_PER_S;
	c = start_thread(m, &slow);
	change_catalog(m, 2);
	copies_last(c, m->store);
	assert_copies(m, "20261120T020005Z ");
	copies_free(c);
	/* Nothing has, and there is no thread. */
	now_us += 5 * US_PER_S;
	m->conf.catalog_copies = 0;
	change_catalog(m, 3);
	c = start_thread(m, &slow);
	copies_last(c, m->store);
	copies_free(c);
	copies_last(NULL, m->store);
	assert_copies(m, "20261120T020005Z ");
}

/* The way back. */

static void append_problem(void *arg, const char *text)
{
	str_appendf(arg, "%s\n", text);
}

/* On a host that has lost its catalog; *@ret_key: of the copy that was used. */
static int restore_from(struct copying *m, bool moved, struct str *problems, char **ret_key,
                        struct error *err)
{
	struct copies_restore restore = {.conf = &m->conf,
	                                 .store = m->store,
	                                 .moved = moved,
	                                 .problem = append_problem,
	                                 .arg = problems};
	_cleanup(free) char *left = file_path(m->f, "catalog-copy.tmp"),
	                    *catalog = file_path(m->f, "catalog.db");
	int r;

	m->f->catalog = catalog_free(m->f->catalog);
	assert_int_equal(unlink(catalog), 0);
	assert_int_equal(catalog_open(m->f->directory, &m->f->catalog, NULL), 0);
	assert_int_equal(catalog_is_new(m->f->catalog), 1);
	m->f->catalog = catalog_free(m->f->catalog);
	r = copies_restore(&restore, err);
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(catalog_open(m->f->directory, &m->f->catalog, NULL), 0);
	m->ctx.catalog = m->f->catalog;
	*ret_key = restore.key;
	return r;
}

static void append_pid(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%lld ", (long long)entry->pid);
}

static void assert_audit(struct copying *m, const char *want)
{
	_cleanup(str) struct str pids = {0};

	assert_int_equal(catalog_audits(m->f->catalog, 0, append_pid, &pids), 0);
	assert_string_equal(str_text(&pids), want);
}

static void make_two_copies(struct copying *m)
{
	change_catalog(m, 1);
	make_copy_now(m);
	now_us += DAY_US;
	change_catalog(m, 2);
	make_copy_now(m);
	change_catalog(m, 3);
}

static void the_newest_copy_comes_back(void **state)
{
	struct copying *m = *state;
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *key = NULL, *newest = NULL;

	make_two_copies(m);
	newest = newest_key(m);
	assert_int_equal(restore_from(m, false, &problems, &key, NULL), 0);
	assert_string_equal(key, newest);
	assert_string_equal(str_text(&problems), "");
	assert_audit(m, "2 1 ");
	assert_int_equal(catalog_is_restored(m->f->catalog), 1);
}

static void nothing_comes_back_where_there_is_no_copy(void **state)
{
	struct copying *m = *state;
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *key = NULL;

	assert_int_equal(restore_from(m, false, &problems, &key, NULL), 0);
	assert_null(key);
	assert_int_equal(catalog_is_new(m->f->catalog), 1);
}

/* Byte @offset of the newest copy is another one; -1: its last bytes are missing. */
static void spoil_newest(struct copying *m, long offset)
{
	_cleanup(free) char *key = newest_key(m), *data = NULL;
	size_t len = 0;

	assert_int_equal(store_get_all(m->store, NULL, key, 1 << 24, &data, &len, NULL), 0);
	if (offset >= 0)
		data[offset] = (char)(data[offset] ^ 0x20);
	else
		len -= 9;
	assert_int_equal(store_put_bytes(m->store, NULL, key, data, len, NULL, NULL), 0);
}

static void a_damaged_copy_gives_way_to_the_one_before(void **state)
{
	struct copying *m = *state;
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *newest = NULL, *key = NULL;

	make_two_copies(m);
	newest = newest_key(m);
	spoil_newest(m, -1);
	assert_int_equal(restore_from(m, false, &problems, &key, NULL), 0);
	assert_non_null(strstr(str_text(&problems), newest));
	assert_non_null(strstr(str_text(&problems), "is not used: it cannot be decompressed"));
	assert_string_not_equal(key, newest);
	assert_audit(m, "1 ");
}

/* As another zstd might pack other bytes: what is in it is sound, and not what its name says. */
static void a_copy_of_another_name_is_damaged(void **state)
{
	struct copying *m = *state;
	const struct copy_name name = {.at_us = AT_US + 9 * DAY_US, .hash = "0123456789abcdef"};
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *newest = NULL, *key = NULL, *other = copy_key(&name), *data = NULL;
	size_t len = 0;

	make_two_copies(m);
	newest = newest_key(m);
	assert_int_equal(store_get_all(m->store, NULL, newest, 1 << 24, &data, &len, NULL), 0);
	assert_int_equal(store_put_bytes(m->store, NULL, other, data, len, NULL, NULL), 0);
	assert_int_equal(restore_from(m, false, &problems, &key, NULL), 0);
	assert_non_null(
	        strstr(str_text(&problems), "it is damaged: the SHA-256 of the file in it begins with "));
	assert_string_equal(key, newest);
	assert_audit(m, "2 1 ");
}

static void when_all_are_damaged_nothing_comes_back(void **state)
{
	struct copying *m = *state;
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *key = NULL;

	change_catalog(m, 1);
	make_copy_now(m);
	spoil_newest(m, 0);
	assert_int_equal(restore_from(m, false, &problems, &key, NULL), 0);
	assert_null(key);
	assert_true(problems.len > 0);
	assert_int_equal(catalog_is_new(m->f->catalog), 1);
}

static void a_store_that_does_not_answer_is_no_damage(void **state)
{
	struct copying *m = *state;
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *key = NULL;
	struct error err = {0};

	make_two_copies(m);
	open_faulty(m, "get:1:unavailable");
	assert_int_equal(restore_from(m, false, &problems, &key, &err), -EAGAIN);
	assert_null(key);
	assert_string_equal(str_text(&problems), "");
	assert_int_equal(catalog_is_new(m->f->catalog), 1);
}

static void the_copy_of_another_store_is_not_taken_over(void **state)
{
	struct copying *m = *state;
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *key = NULL;
	struct error err = {0};

	make_two_copies(m);
	m->conf.store.url = "s3://elsewhere/prefix";
	assert_int_equal(restore_from(m, false, &problems, &key, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_non_null(
	        strstr(err.message, "of the catalog of dir:/srv/store, and [store] url is s3://elsewhere"));
	assert_non_null(strstr(err.message, "--moved"));
	assert_null(key);
	assert_int_equal(catalog_is_new(m->f->catalog), 1);
	assert_int_equal(restore_from(m, true, &problems, &key, NULL), 0);
	assert_non_null(key);
	assert_audit(m, "2 1 ");
}

/* Records. */

static void refuse_problem(void *arg, const char *text)
{
	fail_msg("%s", text);
}

static void add_run_of(struct copying *m, const char *job)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(m->f->catalog, run_of(job, "cron"), &id, NULL), 0);
	assert_int_equal(catalog_finish_run(m->f->catalog, id, RUN_FAILED, "no", NULL), 0);
}

/* More runs than stay of a job. */
static void add_old_runs(struct copying *m)
{
	for (int i = 0; i < RECORDS_RUNS_OF_JOB + 20; i++)
		add_run_of(m, "full");
}

static void what_has_moved_since_is_not_there_twice(void **state)
{
	struct copying *m = *state;
	struct records_context records = {.conf = &m->conf, .store = m->store, .now_us = tell_now};
	struct records_moved moved = {.problem = refuse_problem};
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *key = NULL;
	struct catalog_run run;
	struct catalog_audit_head head;
	int64_t first = 0, last = 0;

	for (int i = 1; i <= 6; i++)
		change_catalog(m, i);
	add_old_runs(m);
	make_copy_now(m);
	m->conf.audit_keep = 2;
	m->conf.history_keep = 5;
	change_catalog(m, 7);
	records.catalog = m->f->catalog;
	assert_int_equal(records_move(&records, NULL, NULL), 0);
	assert_audit(m, "7 6 ");

	assert_int_equal(restore_from(m, false, &problems, &key, NULL), 0);
	assert_audit(m, "6 5 4 3 2 1 ");
	records.catalog = m->f->catalog;
	assert_int_equal(records_drop_moved(&records, &moved, NULL, NULL), 0);
	assert_audit(m, "6 ");
	assert_int_equal(catalog_audit_span(m->f->catalog, &first, &last), 0);
	assert_int_equal(first, 6);
	assert_int_equal(catalog_run(m->f->catalog, 20, &run), -ENOENT);
	assert_int_equal(catalog_run(m->f->catalog, 21, &run), 0);
	/* Once more is the same. */
	assert_int_equal(records_drop_moved(&records, &moved, NULL, NULL), 0);
	assert_audit(m, "6 ");
	assert_int_equal(records_continue_audit(&records, NULL, NULL), 0);
	assert_int_equal(catalog_audit_head(m->f->catalog, &head), 0);
	assert_int_equal(head.number, 6);
}

static void see_chained_line(void *arg, const char *source, const char *line, size_t len)
{
	audit_chain_feed(arg, line, len);
}

static void refuse_finding(void *arg, const char *text)
{
	fail_msg("%s", text);
}

static void assert_chain(const struct records_context *records, int64_t lines)
{
	_cleanup(audit_chain) struct audit_chain *chain = audit_chain_new(refuse_finding, NULL);
	struct records_reading io = {.ctx = records, .line = see_chained_line, .arg = chain};
	struct audit_chain_result result;

	assert_int_equal(records_read_audit(&io, NULL), 0);
	audit_chain_end(chain, &result);
	assert_int_equal(result.lines, lines);
	assert_true(result.whole);
}

/* Lines 1 to 7 are in records, the copy is older: what comes next is line 8, and names line 7. */
static void the_audit_goes_on_from_records(void **state)
{
	struct copying *m = *state;
	struct records_context records = {.conf = &m->conf, .store = m->store, .now_us = tell_now};
	struct records_moved moved = {.problem = refuse_problem};
	_cleanup(str) struct str problems = {0};
	_cleanup(free) char *key = NULL;

	change_catalog(m, 1);
	make_copy_now(m);
	for (int i = 2; i <= 8; i++)
		change_catalog(m, i);
	m->conf.audit_keep = 1;
	records.catalog = m->f->catalog;
	assert_int_equal(records_move(&records, NULL, NULL), 0);
	assert_audit(m, "8 ");
	assert_chain(&records, 8);
	assert_int_equal(restore_from(m, false, &problems, &key, NULL), 0);
	records.catalog = m->f->catalog;
	assert_int_equal(records_drop_moved(&records, &moved, NULL, NULL), 0);
	assert_audit(m, "");
	assert_int_equal(records_continue_audit(&records, NULL, NULL), 0);
	change_catalog(m, 8);
	assert_chain(&records, 8);
}

static void a_record_that_cannot_be_read_is_named(void **state)
{
	struct copying *m = *state;
	_cleanup(str) struct str problems = {0};
	struct records_context records = {
	        .conf = &m->conf, .catalog = m->f->catalog, .store = m->store, .now_us = tell_now};
	struct records_moved moved = {.problem = append_problem, .arg = &problems};
	static const char audit[] = "records/audit/20261120T020000Z-000000000001-0123456789abcdef.jsonl.gz";
	static const char history[] = "records/history/other";

	change_catalog(m, 1);
	assert_int_equal(store_put_bytes(m->store, NULL, audit, "no gzip", 7, NULL, NULL), 0);
	assert_int_equal(store_put_bytes(m->store, NULL, history, "no gzip", 7, NULL, NULL), 0);
	assert_int_equal(records_drop_moved(&records, &moved, NULL, NULL), 0);
	assert_non_null(strstr(str_text(&problems), audit));
	assert_non_null(strstr(str_text(&problems), "records/history/other cannot be read"));
	assert_audit(m, "1 ");
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_copying, end_copying)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_name_is_read_as_it_was_written),
	        TEST(a_copy_is_made_when_something_has_changed),
	        TEST(of_each_day_the_last_stays),
	        TEST(the_last_by_name_was_made_last),
	        TEST(without_copies_nothing_is_done),
	        TEST(a_store_that_fails_leaves_nothing),
	        TEST(what_was_not_read_back_is_no_copy),
	        TEST(a_removal_that_is_refused_is_no_failure),
	        TEST(uploads_that_a_crash_left_are_aborted),
	        TEST(a_copy_a_day),
	        TEST(a_day_is_counted_over_restarts),
	        TEST(what_must_not_wait_is_copied_soon),
	        TEST(a_store_that_fails_is_tried_again),
	        TEST(the_end_copies_what_has_changed),
	        TEST(the_newest_copy_comes_back),
	        TEST(nothing_comes_back_where_there_is_no_copy),
	        TEST(a_damaged_copy_gives_way_to_the_one_before),
	        TEST(a_copy_of_another_name_is_damaged),
	        TEST(when_all_are_damaged_nothing_comes_back),
	        TEST(a_store_that_does_not_answer_is_no_damage),
	        TEST(the_copy_of_another_store_is_not_taken_over),
	        TEST(what_has_moved_since_is_not_there_twice),
	        TEST(a_record_that_cannot_be_read_is_named),
	        TEST(the_audit_goes_on_from_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
