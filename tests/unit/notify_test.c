// SPDX-License-Identifier: Apache-2.0
#include "notify_test.h"

int64_t now_us;

static int64_t tell_time_now(void)
{
	return now_us;
}

struct fake_receivers fake;

static int fake_deliver(const struct conf *conf, const struct receiver *r, const struct message *m,
                        int64_t at_us, struct cancel *cancel, struct delivery_result *ret, struct error *err)
{
	fake.asked++;
	str_copy(fake.receiver, sizeof(fake.receiver), r->name);
	str_copy(fake.event, sizeof(fake.event), m->beat && *m->beat ? m->beat : m->event);
	str_copy(fake.text, sizeof(fake.text), m->text);
	str_copy(fake.subject, sizeof(fake.subject), m->subject);
	str_copy(fake.id, sizeof(fake.id), m->id);
	fake.count = m->count;
	*ret = fake.result;
	if (fake.answer < 0)
		return error_set(err, ERROR_UNAVAILABLE, -fake.answer, "the receiver does not answer");
	fake.taken++;
	fake.events += m->count;
	return 0;
}

char *nobody[] = {NULL};
char *ops[] = {(char *)"ops@example.com", NULL};
char *both[] = {(char *)"ops@example.com", (char *)"dba@example.com", NULL};

void begin(struct notices *n)
{
	receivers_finish(&n->round.receivers);
	n->round = (struct round){.options = &n->options, .conf = &n->f->conf, .cancel = &n->cancel};
	receivers_of(&n->f->conf, &n->round.receivers);
	assert_int_equal(round_settle(&n->round, NULL), 0);
}

int set_up_notices(void **state)
{
	struct notices *n = mem_alloc(sizeof(*n));
	void *fixture = NULL;

	assert_int_equal(set_up(&fixture), 0);
	n->f = fixture;
	n->f->conf.mail = (struct conf_mail){.to = ops,
	                                     .from = (char *)"",
	                                     .server = (char *)"smtp://h",
	                                     .events = CONF_EVENTS_ALL,
	                                     .digest = (char *)"disabled"};
	n->options = (struct notify_options){
	        .ctx = {.conf = &n->f->conf, .catalog = n->f->catalog, .now_us = tell_time_now},
	        .deliver = fake_deliver};
	cancel_init(&n->cancel);
	memset(&fake, 0, sizeof(fake));
	now_us = clock_now_us();
	begin(n);
	*state = n;
	return 0;
}

int tear_down_notices(void **state)
{
	struct notices *n = *state;
	void *fixture = n->f;

	receivers_finish(&n->round.receivers);
	cancel_finish(&n->cancel);
	free(n);
	return tear_down(&fixture);
}

void look(struct notices *n)
{
	struct error err = {0};

	if (round_look(&n->round, &err) < 0)
		fail_msg("%s", err.message);
}

void turn(struct notices *n)
{
	look(n);
	round_send(&n->round, NULL);
}

static void find_waiting(void *arg, const struct catalog_receiver *r)
{
	*(struct catalog_receiver *)arg = *r;
	((struct catalog_receiver *)arg)->name = NULL;
}

struct catalog_receiver state_of(struct notices *n)
{
	struct catalog_receiver r = {0};

	assert_int_equal(catalog_receivers(n->f->catalog, find_waiting, &r), 0);
	return r;
}

void good_run(struct notices *n, int64_t second)
{
	int64_t id = add_run(n->f, "full", RUN_RUNNING, NULL);

	add_artifact(n->f, "full", second, id, 1000);
	assert_int_equal(catalog_finish_run(n->f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
}

void begin_well(struct notices *n)
{
	good_run(n, 1);
	turn(n);
	assert_int_equal(fake.asked, 0);
}
