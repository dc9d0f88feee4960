// SPDX-License-Identifier: Apache-2.0
/* Who is to be told. Each address of mail is a receiver of its own, so that one which is refused keeps nothing from the
 * others, and nobody gets a message twice because somebody else did not get it. */
#include "notify_private.h"

#include <keepfs/base/mem.h>

static struct receiver *add_to_receivers(struct receivers *l, enum receiver_kind kind, char *name)
{
	l->items = mem_resize(l->items, l->count + 1, sizeof(*l->items));
	l->items[l->count] = (struct receiver){.kind = kind, .name = name};
	return &l->items[l->count++];
}

static void add_mail(const struct conf_mail *mail, struct receivers *ret)
{
	for (size_t i = 0; mail->to && mail->to[i]; i++) {
		struct receiver *r = add_to_receivers(ret, RECEIVER_MAIL, mem_printf("mail %s", mail->to[i]));

		r->to = mail->to[i];
		r->events = mail->events;
		r->gather_ms = mail->gather_ms;
		r->digest = mail->digest;
	}
}

static void add_webhook(const struct conf_webhook *w, struct receivers *ret)
{
	struct receiver *r = add_to_receivers(ret, RECEIVER_WEBHOOK, mem_printf("webhook %s", w->name));

	r->webhook = w;
	r->events = w->events;
	r->gather_ms = w->gather_ms;
	r->digest = w->digest;
}

static void add_command(const struct conf_command *c, struct receivers *ret)
{
	struct receiver *r = add_to_receivers(ret, RECEIVER_COMMAND, mem_printf("command %s", c->name));

	r->command = c;
	r->events = c->events;
	r->gather_ms = c->gather_ms;
	r->digest = c->digest;
}

void receivers_of(const struct conf *conf, struct receivers *ret)
{
	*ret = (struct receivers){0};
	add_mail(&conf->mail, ret);
	for (size_t i = 0; i < conf->webhook_count; i++)
		add_webhook(&conf->webhooks[i], ret);
	for (size_t i = 0; i < conf->command_count; i++)
		add_command(&conf->commands[i], ret);
	for (size_t i = 0; i < conf->heartbeat_count; i++) {
		const struct conf_heartbeat *h = &conf->heartbeats[i];

		add_to_receivers(ret, RECEIVER_HEARTBEAT, mem_printf("heartbeat %s", h->name))->heartbeat = h;
	}
}

const char *receiver_lane(const struct receiver *r)
{
	return r->kind == RECEIVER_MAIL ? "mail" : r->name;
}

void receivers_finish(struct receivers *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->items[i].name);
	free(r->items);
	*r = (struct receivers){0};
}
