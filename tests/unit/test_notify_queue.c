// SPDX-License-Identifier: Apache-2.0
/* What becomes of what waits: when it is sent, again, or given up; with a clock and receivers of the test's own. */
#include "notify_test.h"

static void back_off(void **state)
{
	static const int64_t want_s[] = {30, 60, 120, 240, 480, 960, 1920, 3600, 3600};

	for (size_t i = 0; i < ARRAY_SIZE(want_s); i++)
		assert_int_equal(backoff_ms((int64_t)i + 1), want_s[i] * 1000);
	assert_int_equal(backoff_ms(INT64_MAX), 3600000);
	assert_int_equal(backoff_ms(0), 30000);
}

static void a_day_without_a_receiver(void **state)
{
	struct notices *n = *state;
	int64_t end_us;
	char id[64];

	begin_well(n);
	fake.answer = -ECONNREFUSED;
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.asked, 1);
	str_copy(id, sizeof(id), fake.id);
	end_us = now_us + 24 * HOUR_US;
	while (n->round.next_due_us <= end_us) {
		assert_true(n->round.next_due_us > now_us);
		now_us = n->round.next_due_us;
		turn(n);
	}
	assert_true(fake.asked > 24 && fake.asked < 36);
	assert_int_equal(fake.taken, 0);
	assert_int_equal(state_of(n).attempts, fake.asked);
	/* Its own failure is not told to itself. */
	assert_int_equal(state_of(n).waiting, 1);
	good_run(n, 2);
	look(n);
	fake.answer = 0;
	now_us = end_us + HOUR_US;
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_int_equal(fake.count, 2);
	assert_memory_equal(fake.id, id, strcspn(id, "-"));
	assert_int_equal(state_of(n).waiting, 0);
	assert_int_equal(state_of(n).attempts, 0);
	assert_int_equal(n->round.next_due_us, INT64_MAX);
}

/* A process that begins, and a reload, try at once. */
static void a_restart_tries_again(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	fake.answer = -ECONNREFUSED;
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	turn(n);
	assert_int_equal(fake.asked, 1);
	begin(n);
	round_send(&n->round, NULL);
	assert_int_equal(fake.asked, 2);
	fake.answer = 0;
	begin(n);
	round_send(&n->round, NULL);
	assert_int_equal(fake.taken, 1);
}

static void what_the_receiver_asks_for(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	fake.answer = -EIO;
	fake.result.retry_after_ms = 600000;
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(n->round.next_due_us, now_us + 600 * SECOND_US);
}

static void a_clock_that_was_set_back(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	fake.answer = -EIO;
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	now_us -= 24 * HOUR_US;
	fake.answer = 0;
	round_send(&n->round, NULL);
	assert_int_equal(fake.taken, 1);
}

static void events_are_gathered(void **state)
{
	struct notices *n = *state;
	int64_t begun_us;

	n->f->conf.mail.gather_ms = 300000;
	n->f->conf.job_count = 2;
	begin(n);
	begin_well(n);
	begun_us = now_us;
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.asked, 0);
	assert_int_equal(n->round.next_due_us, begun_us + 300 * SECOND_US);
	now_us += 299 * SECOND_US;
	add_run(n->f, "tenants", RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.asked, 0);
	now_us += SECOND_US;
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_int_equal(fake.count, 2);
	/* A process that ends does not wait. */
	good_run(n, 2);
	look(n);
	n->round.flush = true;
	round_send(&n->round, NULL);
	assert_int_equal(fake.taken, 2);
}

static void what_is_refused_is_given_up_and_told(void **state)
{
	struct notices *n = *state;
	_cleanup(health) struct health h = {0};
	bool told = false;

	begin_well(n);
	fake.answer = -EPERM;
	fake.result.refused = true;
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	turn(n);
	now_us += 24 * HOUR_US;
	turn(n);
	assert_int_equal(fake.asked, 1);
	assert_int_equal(state_of(n).waiting, 0);
	assert_int_equal(state_of(n).given_up, 1);
	health_gather(&n->f->sources, &h);
	for (size_t i = 0; i < h.count; i++)
		told |= strcmp(h.items[i].check, "notices") == 0 &&
		        strstr(h.items[i].text, "were refused for good");
	assert_true(told);
	fake.answer = 0;
	fake.result.refused = false;
	good_run(n, 2);
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_non_null(strstr(fake.text, "1 earlier notices were refused"));
	assert_int_equal(state_of(n).given_up, 0);
}

/* Two addresses: what one refuses the other has, and learns of. */
static void receivers_are_apart(void **state)
{
	struct notices *n = *state;

	n->f->conf.mail.to = both;
	begin(n);
	begin_well(n);
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.taken, 2);
	/* One leaves: what waits for it is forgotten. */
	fake.answer = -EIO;
	good_run(n, 2);
	turn(n);
	n->f->conf.mail.to = ops;
	begin(n);
	fake.answer = 0;
	round_send(&n->round, NULL);
	assert_int_equal(fake.taken, 3);
	assert_string_equal(fake.receiver, "mail ops@example.com");
}

static void the_queue_is_bounded(void **state)
{
	struct notices *n = *state;
	static struct catalog_notice many[NOTIFY_WAITING_MAX + 20];
	const struct catalog_news news = {
	        .notices = many, .notice_count = ARRAY_SIZE(many), .waiting_max = NOTIFY_WAITING_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct catalog_notice){.kind = NOTICE_EVENT,
		                                  .receiver = "mail ops@example.com",
		                                  .job = "",
		                                  .facts = "{\"title\":\"x\"}",
		                                  .at_us = AT_US + (int64_t)i * SECOND_US};
	assert_int_equal(catalog_add_news(n->f->catalog, &news, NULL), 0);
	assert_int_equal(state_of(n).waiting, NOTIFY_WAITING_MAX);
	assert_int_equal(state_of(n).dropped, 20);
	assert_int_equal(state_of(n).dropped_from_us, AT_US);
	assert_int_equal(state_of(n).dropped_to_us, AT_US + 19 * SECOND_US);
	n->round.flush = true;
	round_send(&n->round, NULL);
	assert_int_equal(fake.events, NOTIFY_WAITING_MAX);
	assert_int_equal(fake.taken, NOTIFY_WAITING_MAX / 50);
	assert_int_equal(state_of(n).dropped, 0);
}

/* Who is stopped leaves it all for later, and it counts as no failure. */
static void stopped(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	add_run(n->f, "full", RUN_FAILED, "no space");
	look(n);
	cancel_set(&n->cancel);
	round_send(&n->round, NULL);
	assert_int_equal(fake.asked, 0);
	assert_int_equal(state_of(n).attempts, 0);
	assert_int_equal(state_of(n).waiting, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(back_off),
	        NOTICES_TEST(a_day_without_a_receiver),
	        NOTICES_TEST(a_restart_tries_again),
	        NOTICES_TEST(what_the_receiver_asks_for),
	        NOTICES_TEST(a_clock_that_was_set_back),
	        NOTICES_TEST(events_are_gathered),
	        NOTICES_TEST(what_is_refused_is_given_up_and_told),
	        NOTICES_TEST(receivers_are_apart),
	        NOTICES_TEST(the_queue_is_bounded),
	        NOTICES_TEST(stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
