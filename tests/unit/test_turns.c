// SPDX-License-Identifier: Apache-2.0
/* Turns: order, budget, and every way to end. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)
/* What turns that are not the first leave free, and more than a small item costs. */
#define SPARE_BYTES (MIB + 64)

/* What comes out, as text: "<data>" or "(what:value)". */

struct record {
	struct str text;
	unsigned fail_after; /* items; 0: never */
	unsigned items;
};

static int count_item(struct record *rec, struct error *err)
{
	if (rec->fail_after && ++rec->items == rec->fail_after)
		return error_set(err, ERROR_NO_SPACE, ENOSPC, "the consumer fails");
	return 0;
}

static int record_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	struct record *rec = arg;

	assert_int_equal(s->check, s->raw_bytes + 1); /* it comes as it was given */
	str_append_bytes(&rec->text, data, s->bytes);
	return count_item(rec, err);
}

static int record_mark(void *arg, int what, uint64_t value, struct error *err)
{
	struct record *rec = arg;

	str_appendf(&rec->text, "(%d:%llu)", what, (unsigned long long)value);
	return count_item(rec, err);
}

static struct ordered_out out_of(struct record *rec)
{
	return (struct ordered_out){.segment = record_segment, .mark = record_mark, .arg = rec};
}

static int give(struct turn *turn, const void *data, size_t len, struct error *err)
{
	const struct segment s = {.raw_bytes = len * 2, .bytes = len, .check = (uint32_t)len * 2 + 1};

	return turn_segment(turn, &s, data, err);
}

static int give_text(struct turn *turn, const char *text, struct error *err)
{
	return give(turn, text, strlen(text), err);
}

static void expect_delivered(struct turns *t, const char *text)
{
	struct record rec = {0};
	struct ordered_out out = out_of(&rec);
	struct error err = {0};

	if (turns_deliver(t, &out, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(str_text(&rec.text), text);
	str_finish(&rec.text);
}

static void test_order_is_that_of_the_beginnings(void **state)
{
	struct turns *t = turns_new(4 * MIB, NULL);
	struct turn *a = turns_begin(t), *b = turns_begin(t), *c = turns_begin(t), *d = turns_begin(t);

	assert_int_equal(give_text(d, "d", NULL), 0);
	turn_end(d);
	assert_int_equal(give_text(b, "b1 ", NULL), 0);
	assert_int_equal(turn_mark(a, 1, UINT64_MAX, NULL), 0);
	assert_int_equal(turn_mark(b, -2, 7, NULL), 0);
	assert_int_equal(give_text(a, " a1 ", NULL), 0);
	turn_end(c);
	assert_int_equal(give_text(b, " b2 ", NULL), 0);
	assert_int_equal(give_text(a, "a2 ", NULL), 0);
	turn_end(b);
	assert_int_equal(turn_mark(a, 0, 0, NULL), 0);
	turn_end(a);
	turns_close(t);
	expect_delivered(t, "(1:18446744073709551615) a1 a2 (0:0)b1 (-2:7) b2 d");
	turns_free(t);
}

static void test_no_turns(void **state)
{
	struct turns *t = turns_new(0, NULL);

	turns_close(t);
	expect_delivered(t, "");
	turns_free(t);
	t = turns_new(0, NULL);
	turn_end(turns_begin(t));
	turn_end(turns_begin(t));
	turns_close(t);
	expect_delivered(t, "");
	turns_free(t);
	assert_null(turns_free(NULL));
}

/* Makers at random against what one alone would have made. */

#define JOBS 300

struct factory {
	struct turns *turns;
	pthread_mutex_t lock;
	unsigned next; /* lock */
	size_t max_bytes;
};

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* What job @n makes: into @turn, or as the text that comes out. */
static void make(unsigned n, size_t max_bytes, struct turn *turn, struct str *text)
{
	_cleanup(free) char *data = mem_alloc(max_bytes);
	uint32_t x = n;

	for (unsigned left = next_random(&x) % 12; left > 0; left--) {
		size_t len = 1 + next_random(&x) % max_bytes;
		int what = (int)(next_random(&x) % 3);

		memset(data, 'a' + (int)(next_random(&x) % 26), len);
		if (turn)
			assert_int_equal(what ? give(turn, data, len, NULL) : turn_mark(turn, 5, n, NULL), 0);
		else if (what)
			str_append_bytes(text, data, len);
		else
			str_appendf(text, "(5:%u)", n);
	}
}

static void *maker_main(void *arg)
{
	struct factory *f = arg;

	for (;;) {
		struct turn *turn = NULL;
		unsigned n;

		pthread_mutex_lock(&f->lock);
		n = f->next++;
		if (n < JOBS)
			turn = turns_begin(f->turns);
		else if (n == JOBS)
			turns_close(f->turns);
		pthread_mutex_unlock(&f->lock);
		if (!turn)
			return NULL;
		make(n, f->max_bytes, turn, NULL);
		turn_end(turn);
	}
}

static void expect_same_as_serial(uint64_t budget, unsigned makers, size_t max_bytes)
{
	struct factory f = {.turns = turns_new(budget, NULL), .max_bytes = max_bytes};
	_cleanup(str) struct str expected = {0};
	pthread_t threads[8];

	for (unsigned n = 0; n < JOBS; n++)
		make(n, max_bytes, NULL, &expected);
	pthread_mutex_init(&f.lock, NULL);
	for (unsigned i = 0; i < makers; i++)
		assert_int_equal(thread_start(&threads[i], "maker", maker_main, &f), 0);
	expect_delivered(f.turns, str_text(&expected));
	for (unsigned i = 0; i < makers; i++)
		pthread_join(threads[i], NULL);
	turns_free(f.turns);
	pthread_mutex_destroy(&f.lock);
}

static void test_same_as_serial(void **state)
{
	static const uint64_t budgets[] = {0, 1, 1000, SPARE_BYTES + 500, SPARE_BYTES + 50000, 64 * MIB};

	for (size_t i = 0; i < ARRAY_SIZE(budgets); i++) {
		expect_same_as_serial(budgets[i], 1, 300);
		expect_same_as_serial(budgets[i], 3, 300);
		expect_same_as_serial(budgets[i], 8, 3000);
	}
}

/* A maker on its own thread that gives one segment after the other until it fails. */

struct endless {
	struct turns *turns;
	struct turn *turn;
	size_t len;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned given; /* lock */
	int r;
	struct error err;
	pthread_t thread;
};

static void *endless_main(void *arg)
{
	struct endless *e = arg;
	_cleanup(free) char *data = mem_alloc(e->len);

	while ((e->r = give(e->turn, data, e->len, &e->err)) == 0) {
		pthread_mutex_lock(&e->lock);
		e->given++;
		pthread_cond_signal(&e->changed);
		pthread_mutex_unlock(&e->lock);
	}
	turn_end(e->turn);
	return NULL;
}

static void endless_begin(struct endless *e, struct turns *t, size_t len)
{
	*e = (struct endless){.turns = t, .turn = turns_begin(t), .len = len};
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->changed, NULL);
	assert_int_equal(thread_start(&e->thread, "endless", endless_main, e), 0);
}

static void endless_wait(struct endless *e, unsigned given)
{
	pthread_mutex_lock(&e->lock);
	while (e->given < given)
		pthread_cond_wait(&e->changed, &e->lock);
	pthread_mutex_unlock(&e->lock);
}

static void endless_end(struct endless *e, int r)
{
	pthread_join(e->thread, NULL);
	assert_int_equal(e->r, r);
	assert_true(e->err.message[0] != '\0');
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
}

/* With nobody taking, what is kept never exceeds the budget: neither of the first turn, nor of the others,
 * which leave room for one more segment of it. */
static void test_budget(void **state)
{
	struct error failure = {.message = "a maker fails"};
	struct turns *t = turns_new(2 * MIB + 200, NULL);
	struct endless first, second, third;

	endless_begin(&first, t, 1000);
	endless_wait(&first, 1);
	endless_begin(&second, t, 100000);
	endless_begin(&third, t, 100000);
	endless_wait(&first, 900); /* what the others leave */
	turns_fail(t, -EIO, &failure);
	endless_end(&first, -EIO);
	endless_end(&second, -EIO);
	endless_end(&third, -EIO);
	assert_string_equal(second.err.message, "a maker fails");
	assert_true((uint64_t)first.given * 1000 + (uint64_t)(second.given + third.given) * 100000 <=
	            2 * MIB + 200);
	turns_free(t);
}

static void test_others_leave_room(void **state)
{
	struct error failure = {.message = "a maker fails"};
	struct turns *t = turns_new(SPARE_BYTES + 10000, NULL);
	struct turn *first = turns_begin(t);
	_cleanup(free) char *large = mem_alloc(MIB);
	struct endless second;

	endless_begin(&second, t, 1000);
	endless_wait(&second, 8);
	assert_int_equal(give(first, large, MIB, NULL), 0); /* the largest there is: at once */
	turns_fail(t, -EIO, &failure);
	turn_end(first);
	endless_end(&second, -EIO);
	assert_true(second.given <= 9);
	turns_free(t);
}

static void *deliver_nothing_main(void *arg)
{
	struct record rec = {0};
	struct ordered_out out = out_of(&rec);
	struct error err = {0};
	int r = turns_deliver(arg, &out, &err);

	str_finish(&rec.text);
	return (void *)(intptr_t)(err.class == ERROR_CANCELLED ? r : 0);
}

/* The consumer waits for the first turn, the second for memory; the third asks afterwards. */
static void test_cancel(void **state)
{
	struct turn *first, *third;
	struct endless second;
	struct cancel cancel;
	struct error err = {0};
	pthread_t consumer;
	struct turns *t;
	void *r;

	cancel_init(&cancel);
	t = turns_new(SPARE_BYTES + 5000, &cancel);
	first = turns_begin(t);
	endless_begin(&second, t, 100);
	assert_int_equal(thread_start(&consumer, "consumer", deliver_nothing_main, t), 0);
	endless_wait(&second, 10);
	cancel_set(&cancel);
	pthread_join(consumer, &r);
	assert_int_equal((intptr_t)r, -ECANCELED);
	endless_end(&second, -ECANCELED);
	third = turns_begin(t);
	assert_int_equal(turn_mark(third, 0, 0, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_int_equal(give_text(first, "x", NULL), -ECANCELED);
	turn_end(third);
	turn_end(first);
	turns_close(t);
	turns_free(t);
	t = turns_new(0, &cancel); /* from the beginning */
	turns_close(t);
	assert_int_equal((intptr_t)deliver_nothing_main(t), -ECANCELED);
	turns_free(t);
	cancel_finish(&cancel);
}

static void test_consumers_failure(void **state)
{
	struct turns *t = turns_new(SPARE_BYTES + 5000, NULL);
	struct record rec = {.fail_after = 20};
	struct ordered_out out = out_of(&rec);
	struct endless first, second;
	struct error err = {0};

	endless_begin(&first, t, 1000);
	endless_begin(&second, t, 1000);
	assert_int_equal(turns_deliver(t, &out, &err), -ENOSPC);
	assert_string_equal(err.message, "the consumer fails");
	assert_int_equal(rec.text.len, 20 * 1000);
	endless_end(&first, -ENOSPC);
	endless_end(&second, -ENOSPC);
	assert_string_equal(second.err.message, "the consumer fails");
	assert_int_equal(turns_deliver(t, &out, NULL), -ENOSPC);
	turns_free(t);
	str_finish(&rec.text);
}

static void *fail_main(void *arg)
{
	struct error err = {.class = ERROR_DENIED, .message = "may not read"}, later = {.message = "later"};

	turns_fail(arg, -EACCES, &err);
	turns_fail(arg, -EIO, &later);
	return NULL;
}

static void test_makers_failure_decides_once(void **state)
{
	struct turns *t = turns_new(SPARE_BYTES, NULL);
	struct turn *first = turns_begin(t);
	struct record rec = {0};
	struct ordered_out out = out_of(&rec);
	struct error err = {0};
	pthread_t thread;

	assert_int_equal(thread_start(&thread, "test", fail_main, t), 0);
	assert_int_equal(turns_deliver(t, &out, &err), -EACCES);
	assert_string_equal(err.message, "may not read");
	assert_int_equal(err.class, ERROR_DENIED);
	pthread_join(thread, NULL);
	assert_int_equal(turn_mark(first, 1, 1, &err), -EACCES);
	turn_end(first);
	turns_free(t);
	str_finish(&rec.text);
}

/* Turns that were never handed out are freed, with and without an end. */
static void test_freed_unfinished(void **state)
{
	struct turns *t = turns_new(4 * MIB, NULL);
	struct turn *first = turns_begin(t), *second = turns_begin(t);

	assert_int_equal(give_text(first, "x", NULL), 0);
	assert_int_equal(turn_mark(second, 1, 1, NULL), 0);
	assert_int_equal(give_text(second, "y", NULL), 0);
	turn_end(second);
	turns_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_order_is_that_of_the_beginnings),
	        cmocka_unit_test(test_no_turns),
	        cmocka_unit_test(test_same_as_serial),
	        cmocka_unit_test(test_budget),
	        cmocka_unit_test(test_others_leave_room),
	        cmocka_unit_test(test_cancel),
	        cmocka_unit_test(test_consumers_failure),
	        cmocka_unit_test(test_makers_failure_decides_once),
	        cmocka_unit_test(test_freed_unfinished),
	};

	return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
