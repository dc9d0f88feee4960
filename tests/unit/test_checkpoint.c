// SPDX-License-Identifier: Apache-2.0
/* Checkpoints: made when something has changed, signed, read back; and what is wrong with them is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/checkpoint.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

#define DAY_US CHECKPOINT_INTERVAL_US

static int64_t now_us;

static int64_t tell_checkpoint_time(void)
{
	return now_us;
}

struct checking {
	struct fixture *f;
	struct store *store;
	struct checkpoint_context ctx;
	struct str seen, problems;
};

static int begin_checkpoints(void **state)
{
	struct checking *k = mem_alloc(sizeof(*k));
	_cleanup(free) char *root = NULL;
	void *fixture = NULL;

	assert_int_equal(set_up(&fixture), 0);
	k->f = fixture;
	root = file_path(k->f, "store");
	assert_int_equal(store_dir_new(root, &k->store, NULL), 0);
	k->ctx = (struct checkpoint_context){
	        .catalog = k->f->catalog, .store = k->store, .now_us = tell_checkpoint_time};
	now_us = AT_US;
	*state = k;
	return 0;
}

static int end_checkpoints(void **state)
{
	struct checking *k = *state;
	void *fixture = k->f;

	store_free(k->store);
	str_finish(&k->seen);
	str_finish(&k->problems);
	free(k);
	return tear_down(&fixture);
}

static void add_line(struct checking *k)
{
	const struct catalog_audit entry = {
	        .at_us = AT_US, .command = "rm", .action = "remove", .result = "ok"};

	assert_int_equal(catalog_add_audit(k->f->catalog, &entry, NULL), 0);
}

static void see_checkpoint(void *arg, const char *key, const struct checkpoint *c)
{
	struct checking *k = arg;

	str_appendf(&k->seen, "%s %lld;", key, (long long)c->audit.number);
}

static void see_checkpoint_problem(void *arg, const char *text)
{
	struct checking *k = arg;

	str_appendf(&k->problems, "%s;", text);
}

static void assert_read(struct checking *k, const char *seen, const char *problems)
{
	const struct checkpoint_reading io = {.store = k->store,
	                                      .signing = k->ctx.signing,
	                                      .each = see_checkpoint,
	                                      .problem = see_checkpoint_problem,
	                                      .arg = k};

	str_clear(&k->seen);
	str_clear(&k->problems);
	assert_int_equal(checkpoint_read(&io, NULL), 0);
	assert_string_equal(str_text(&k->seen), seen);
	assert_string_equal(str_text(&k->problems), problems);
}

#define FIRST  "checkpoints/20261120T020000Z-000000000001.json"
#define SECOND "checkpoints/20261121T020000Z-000000000002.json"
#define THIRD  "checkpoints/20261123T020000Z-000000000003.json"

static void make_three(struct checking *k)
{
	add_line(k);
	assert_true(checkpoint_is_due(&k->ctx));
	assert_int_equal(checkpoint_make(&k->ctx, NULL, NULL), 0);
	assert_false(checkpoint_is_due(&k->ctx));
	now_us += DAY_US;
	assert_true(checkpoint_is_due(&k->ctx));
	add_line(k);
	assert_int_equal(checkpoint_make(&k->ctx, NULL, NULL), 0);
	/* A day without anything. */
	now_us += DAY_US;
	assert_int_equal(checkpoint_make(&k->ctx, NULL, NULL), 1);
	assert_false(checkpoint_is_due(&k->ctx));
	now_us += DAY_US;
	add_line(k);
	assert_int_equal(checkpoint_make(&k->ctx, NULL, NULL), 0);
}

static void one_is_made_each_day(void **state)
{
	struct checking *k = *state;

	make_three(k);
	assert_read(k, FIRST " 1;" SECOND " 2;" THIRD " 3;", "");
	/* A clock that was set back is no reason to wait for years. */
	now_us -= 400 * DAY_US;
	assert_true(checkpoint_is_due(&k->ctx));
}

static void one_that_is_missing_is_told(void **state)
{
	struct checking *k = *state;

	make_three(k);
	assert_int_equal(store_remove(k->store, NULL, SECOND, NULL), 0);
	assert_read(k, FIRST " 1;" THIRD " 3;", SECOND " is missing, which the one after it names;");
}

static void one_that_was_exchanged_is_told(void **state)
{
	struct checking *k = *state;
	_cleanup(free) char *text = NULL;
	size_t len;

	make_three(k);
	assert_int_equal(store_get_all(k->store, NULL, SECOND, 65536, &text, &len, NULL), 0);
	strstr(text, "\"number\": 2")[strlen("\"number\": ")] = '9';
	assert_int_equal(store_put_bytes(k->store, NULL, SECOND, text, len, NULL, NULL), 0);
	assert_read(k, FIRST " 1;" SECOND " 9;" THIRD " 3;",
	            SECOND " is another one than the one after it names;");
}

static void nothing_is_overwritten(void **state)
{
	struct checking *k = *state;
	struct error err = {0};

	add_line(k);
	assert_int_equal(store_put_bytes(k->store, NULL, FIRST, "x", 1, NULL, NULL), 0);
	assert_int_equal(checkpoint_make(&k->ctx, NULL, &err), -EEXIST);
	assert_non_null(strstr(err.message, FIRST " is there already"));
	assert_true(checkpoint_is_due(&k->ctx));
}

static void what_is_no_checkpoint_is_refused(void **state)
{
	static const char *const texts[] = {
	        "",
	        "x",
	        "{}",
	        "{\"format\":\"keepfs-checkpoint\"}",
	        "{\"format\":\"keepfs-checkpoint\",\"version\":0}",
	        "{\"format\":\"keepfs-checkpoint\",\"version\":1,\"at\":\"x\"}",
	        "{\"format\":\"keepfs-checkpoint\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\"}",
	        "{\"format\":\"keepfs-checkpoint\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"audit\":{\"number\":-1}}",
	        "{\"format\":\"keepfs-checkpoint\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\",\"audit\":{\"number\":1,\"sha256\":\"12\"}}",
	};
	struct checkpoint c = {0};
	struct error err;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		err = (struct error){0};
		assert_int_equal(checkpoint_decode("there", texts[i], strlen(texts[i]), &c, &err), -EBADMSG);
		assert_true(str_starts(err.message, "there: "));
	}
	assert_int_equal(
	        checkpoint_decode("there", "{\"format\":\"keepfs-checkpoint\",\"version\":2}", 42, &c, &err),
	        -ENOTSUP);
}

#define CHECKPOINT_TEST(name) cmocka_unit_test_setup_teardown(name, begin_checkpoints, end_checkpoints)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CHECKPOINT_TEST(one_is_made_each_day),
	        CHECKPOINT_TEST(one_that_is_missing_is_told),
	        CHECKPOINT_TEST(one_that_was_exchanged_is_told),
	        CHECKPOINT_TEST(nothing_is_overwritten),
	        cmocka_unit_test(what_is_no_checkpoint_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
