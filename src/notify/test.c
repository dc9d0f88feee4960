// SPDX-License-Identifier: Apache-2.0
/* Without a catalog: a test that is sent, and a look at whether one could be. */
#include "notify_private.h"

#include "deliver.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

/* "mail" of "mail ops@example.com", "chat" of "webhook chat"; or the whole. */
static bool is_called(const struct receiver *r, const char *name)
{
	const char *blank = strchr(r->name, ' ');

	if (strcmp(r->name, name) == 0)
		return true;
	if (r->kind == RECEIVER_MAIL)
		return strcmp(name, "mail") == 0;
	return blank && strcmp(blank + 1, name) == 0;
}

static int unknown_receiver(const struct receivers *l, const char *name, struct error *err)
{
	_cleanup(str) struct str known = {0};

	for (size_t i = 0; i < l->count; i++)
		str_appendf(&known, "%s%s", i > 0 ? ", " : "", l->items[i].name);
	return error_set(err, ERROR_USAGE, ENOENT, "there is no receiver %s; there are: %s", name,
	                 l->count > 0 ? str_text(&known) : "none");
}

static void make_test_message(const struct conf *conf, bool is_beat, struct message *ret)
{
	int64_t now_us = clock_now_us();
	_cleanup(free) char *facts = facts_of_test(now_us);
	const struct catalog_notice notice = {.id = 1, .at_us = now_us, .facts = facts};
	_cleanup(batch) struct batch b = {0};

	batch_add(&b, &notice);
	if (is_beat)
		json_set_string(b.facts[0], "beat", "success");
	message_make(&b, conf, ret);
}

static void test_one(const struct conf *conf, const struct receiver *r,
                     void (*told)(void *arg, const struct notify_answer *answer), void *arg)
{
	_cleanup(message) struct message m = {0};
	struct delivery_result result = {0};
	struct error err = {0};
	struct notify_answer answer = {.receiver = r->name};

	make_test_message(conf, r->kind == RECEIVER_HEARTBEAT, &m);
	answer.ok = deliver(conf, r, &m, clock_now_us(), NULL, &result, &err) == 0;
	answer.text = answer.ok ? "the test was taken" : err.message;
	told(arg, &answer);
}

int notify_test(const struct conf *conf, const char *name,
                void (*told)(void *arg, const struct notify_answer *answer), void *arg, struct error *err)
{
	_cleanup(receivers) struct receivers l;
	int asked = 0;

	receivers_of(conf, &l);
	for (size_t i = 0; i < l.count; i++) {
		if (name ? !is_called(&l.items[i], name) : l.items[i].kind == RECEIVER_HEARTBEAT)
			continue;
		test_one(conf, &l.items[i], told, arg);
		asked++;
	}
	return name && asked == 0 ? unknown_receiver(&l, name, err) : asked;
}

/* The server of mail: one login, however many addresses there are. */
static void probe_mail(const struct conf *conf, void (*told)(void *arg, const struct notify_answer *answer),
                       void *arg)
{
	struct delivery_result result = {0};
	struct error err = {0};
	struct notify_answer answer = {.receiver = "mail"};
	_cleanup(free) char *fine = NULL;

	if (!conf->mail.to || !conf->mail.to[0])
		return;
	answer.ok = mail_hand_over(&conf->mail, conf->mail.to[0], NULL, NULL, &result, &err) == 0;
	fine = mem_printf("%s answers%s", conf->mail.server,
	                  *conf->mail.user ? ", and lets the user in" : "");
	answer.text = answer.ok ? fine : err.message;
	told(arg, &answer);
}

static int probe_template(const struct receiver *r, const struct message *m, struct error *err)
{
	if (r->kind == RECEIVER_WEBHOOK)
		return webhook_probe(r->webhook, m, err);
	return heartbeat_probe(r->heartbeat, m, err);
}

void notify_probe(const struct conf *conf, void (*told)(void *arg, const struct notify_answer *answer),
                  void *arg)
{
	_cleanup(receivers) struct receivers l;

	receivers_of(conf, &l);
	probe_mail(conf, told, arg);
	for (size_t i = 0; i < l.count; i++) {
		struct notify_answer answer = {.receiver = l.items[i].name};
		_cleanup(message) struct message m = {0};
		struct error err = {0};

		if (l.items[i].kind != RECEIVER_WEBHOOK && l.items[i].kind != RECEIVER_HEARTBEAT)
			continue;
		make_test_message(conf, l.items[i].kind == RECEIVER_HEARTBEAT, &m);
		answer.ok = probe_template(&l.items[i], &m, &err) == 0;
		answer.text = answer.ok ? "its template is sound" : err.message;
		told(arg, &answer);
	}
}
