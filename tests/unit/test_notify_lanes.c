// SPDX-License-Identifier: Apache-2.0
/* The threads: a receiver that does not answer holds up nobody, neither another one nor who ends the process. */
#include "notify_test.h"

#include <pthread.h>

#define LONG_MS   INT64_C(600000)
#define PROMPT_MS INT64_C(60000)
#define SOON_MS   INT64_C(20000) /* before another attempt would be due */

/* What threads of the daemon did. Those named "dead" do not answer until somebody lets them, or the process ends. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool freed; /* lock: as all below */
	int answer; /* of the dead, once they are freed */
	size_t hanging;
	size_t count;
	struct {
		char receiver[64], what[32];
	} told[200]; /* by whom it was taken */
} office = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_dead(const struct receiver *r)
{
	return strstr(r->name, "dead");
}

/* As a real one would: until there is an answer, or @cancel is set. */
static int hang(struct cancel *cancel)
{
	int answer;

	pthread_mutex_lock(&office.lock);
	office.hanging++;
	pthread_cond_broadcast(&office.changed);
	while (!office.freed && !cancel_is_set(cancel))
		clock_cond_wait_ms(&office.changed, &office.lock, 20);
	answer = office.freed ? office.answer : -ECANCELED;
	office.hanging--;
	pthread_mutex_unlock(&office.lock);
	return answer;
}

static void note_taken(const struct receiver *r, const struct message *m)
{
	pthread_mutex_lock(&office.lock);
	assert_true(office.count < ARRAY_SIZE(office.told));
	str_copy(office.told[office.count].receiver, sizeof(office.told[0].receiver), r->name);
	str_copy(office.told[office.count++].what, sizeof(office.told[0].what),
	         *m->beat ? m->beat : m->event);
	pthread_cond_broadcast(&office.changed);
	pthread_mutex_unlock(&office.lock);
}

static int deliver_to_office(const struct conf *conf, const struct receiver *r, const struct message *m,
                             int64_t at_us, struct cancel *cancel, struct delivery_result *ret,
                             struct error *err)
{
	int answer;

	answer = is_dead(r) ? hang(cancel) : 0;
	if (answer < 0)
		return error_set(err, ERROR_TIMEOUT, -answer, "no answer in time");
	note_taken(r, m);
	return 0;
}

static size_t count_told(const char *receiver, const char *what)
{
	size_t found = 0;

	for (size_t i = 0; i < office.count; i++)
		found += strcmp(office.told[i].receiver, receiver) == 0 &&
		         (!what || strcmp(office.told[i].what, what) == 0);
	return found;
}

static void wait_until_told(const char *receiver, const char *what)
{
	int64_t until_ms = clock_mono_ms() + PROMPT_MS;

	pthread_mutex_lock(&office.lock);
	while (count_told(receiver, what) == 0 && clock_mono_ms() < until_ms)
		clock_cond_wait_ms(&office.changed, &office.lock, until_ms - clock_mono_ms());
	if (count_told(receiver, what) == 0)
		fail_msg("%s was not told of %s", receiver, what);
	pthread_mutex_unlock(&office.lock);
}

static void wait_until_hanging(size_t count)
{
	int64_t until_ms = clock_mono_ms() + PROMPT_MS;

	pthread_mutex_lock(&office.lock);
	while (office.hanging < count && clock_mono_ms() < until_ms)
		clock_cond_wait_ms(&office.changed, &office.lock, until_ms - clock_mono_ms());
	assert_int_equal(office.hanging, count);
	pthread_mutex_unlock(&office.lock);
}

static void free_the_dead(int answer)
{
	pthread_mutex_lock(&office.lock);
	office.freed = true;
	office.answer = answer;
	pthread_cond_broadcast(&office.changed);
	pthread_mutex_unlock(&office.lock);
}

static struct conf_webhook webhooks[] = {
        {.name = (char *)"dead", .events = CONF_EVENTS_ALL, .digest = (char *)"disabled"},
        {.name = (char *)"chat", .events = CONF_EVENTS_ALL, .digest = (char *)"disabled"},
};
static struct conf_command commands[] = {
        {.name = (char *)"dead", .events = CONF_EVENTS_ALL, .digest = (char *)"disabled"},
};
static struct conf_heartbeat heartbeats[] = {
        {.name = (char *)"dead", .jobs = nobody, .url = {.value = (char *)"https://h"}, .headers = nobody},
        {.name = (char *)"hc", .jobs = nobody, .url = {.value = (char *)"https://h"}, .headers = nobody},
};

static int set_up_office(void **state)
{
	struct notices *n;
	int r = set_up_notices(state);

	n = *state;
	n->f->conf.webhooks = webhooks;
	n->f->conf.webhook_count = ARRAY_SIZE(webhooks);
	n->f->conf.commands = commands;
	n->f->conf.command_count = ARRAY_SIZE(commands);
	n->f->conf.heartbeats = heartbeats;
	n->f->conf.heartbeat_count = ARRAY_SIZE(heartbeats);
	n->options.ctx.now_us = NULL;
	n->options.deliver = deliver_to_office;
	clock_cond_init(&office.changed);
	office.freed = false;
	office.hanging = office.count = 0;
	good_run(n, 1);
	return r;
}

static int tear_down_office(void **state)
{
	pthread_cond_destroy(&office.changed);
	return tear_down_notices(state);
}

#define OFFICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_office, tear_down_office)

static struct notify *start(struct notices *n)
{
	struct notify *notify = NULL;
	struct error err = {0};

	if (notify_start(&n->options, &notify, &err) < 0)
		fail_msg("%s", err.message);
	return notify;
}

static void find_dead_chat(void *arg, const struct catalog_receiver *r)
{
	if (strcmp(r->name, "webhook dead") == 0)
		*(struct catalog_receiver *)arg = (struct catalog_receiver){
		        .waiting = r->waiting, .attempts = r->attempts, .due_us = r->due_us};
}

static struct catalog_receiver dead_chat(struct notices *n)
{
	struct catalog_receiver r = {0};

	assert_int_equal(catalog_receivers(n->f->catalog, find_dead_chat, &r), 0);
	return r;
}

static void the_dead_hold_up_nobody(void **state)
{
	struct notices *n = *state;
	struct notify *notify = start(n);
	int64_t id, began_ms;

	add_run(n->f, "full", RUN_FAILED, "no space");
	notify_look(notify);
	wait_until_hanging(3); /* webhook, command, heartbeat */
	wait_until_told("mail ops@example.com", "failed");
	wait_until_told("webhook chat", "failed");
	wait_until_told("heartbeat hc", "failure");
	id = add_run(n->f, "full", RUN_RUNNING, NULL);
	notify_look(notify);
	wait_until_told("heartbeat hc", "start");
	add_artifact(n->f, "full", 2, id, 1000);
	assert_int_equal(catalog_finish_run(n->f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	notify_look(notify);
	wait_until_told("heartbeat hc", "success");
	wait_until_told("webhook chat", "recovered");
	wait_until_hanging(3); /* all that time */
	began_ms = clock_mono_ms();
	notify_free(notify);
	assert_true(clock_mono_ms() - began_ms < PROMPT_MS);
	assert_int_equal(office.hanging, 0);
	/* Who was not let finish has failed nobody, and is told by the next process. */
	assert_int_equal(dead_chat(n).waiting, 2);
	assert_int_equal(dead_chat(n).attempts, 0);
}

static void who_ends_waits_for_the_living(void **state)
{
	struct notices *n = *state;
	struct notify *notify;

	n->f->conf.mail.gather_ms = LONG_MS;
	notify = start(n);
	add_run(n->f, "full", RUN_FAILED, "no space");
	notify_flush(notify, 2000);
	wait_until_told("mail ops@example.com", "failed");
	wait_until_told("webhook chat", "failed");
	wait_until_told("heartbeat hc", "failure");
	wait_until_hanging(3);
	notify_free(notify);
}

/* And not for longer than that: what fails is left to the next process. */
static void who_ends_does_not_wait_for_another_attempt(void **state)
{
	struct notices *n = *state;
	struct notify *notify = start(n);
	int64_t began_ms = clock_mono_ms();

	free_the_dead(-ETIMEDOUT);
	add_run(n->f, "full", RUN_FAILED, "no space");
	notify_flush(notify, LONG_MS);
	assert_true(clock_mono_ms() - began_ms < PROMPT_MS);
	assert_int_equal(count_told("webhook chat", "failed"), 1);
	assert_int_equal(dead_chat(n).attempts, 1);
	notify_free(notify);
}

/* One server has all addresses: it is asked for one after the other. */
static void addresses_take_turns(void **state)
{
	static char *dead[] = {(char *)"ops@dead.example", (char *)"dba@dead.example", NULL};
	struct notices *n = *state;
	struct notify *notify;

	n->f->conf.mail.to = dead;
	notify = start(n);
	add_run(n->f, "full", RUN_FAILED, "no space");
	notify_look(notify);
	wait_until_hanging(4);
	add_run(n->f, "full", RUN_RUNNING, NULL);
	notify_look(notify);
	wait_until_told("heartbeat hc", "start");
	wait_until_hanging(4);
	free_the_dead(0);
	wait_until_told("mail ops@dead.example", "failed");
	wait_until_told("mail dba@dead.example", "failed");
	notify_free(notify);
}

/* What failed by the old configuration does not make the new one wait. */
static void another_configuration_meanwhile(void **state)
{
	struct notices *n = *state;
	struct notify *notify = start(n);

	add_run(n->f, "full", RUN_FAILED, "no space");
	notify_look(notify);
	wait_until_hanging(3);
	notify_reloaded(notify);
	/* The thread has read it when it tells this. */
	add_run(n->f, "full", RUN_RUNNING, NULL);
	notify_look(notify);
	wait_until_told("heartbeat hc", "start");
	free_the_dead(-ETIMEDOUT);
	for (int64_t until_ms = clock_mono_ms() + SOON_MS; dead_chat(n).attempts < 2;) {
		assert_true(clock_mono_ms() < until_ms);
		sched_yield();
	}
	notify_free(notify);
	/* Once: it is no reason to forget about waiting. */
	assert_true(dead_chat(n).attempts < 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        OFFICE_TEST(the_dead_hold_up_nobody),
	        OFFICE_TEST(who_ends_waits_for_the_living),
	        OFFICE_TEST(who_ends_does_not_wait_for_another_attempt),
	        OFFICE_TEST(addresses_take_turns),
	        OFFICE_TEST(another_configuration_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
