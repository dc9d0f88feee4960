// SPDX-License-Identifier: Apache-2.0
/* What the keys of the receivers of notices say about each other. */
#include "load.h"

#include "validate.h"

#include <string.h>

static struct conf_ref mail_key(const char *name)
{
	return (struct conf_ref){.section = CONF_SECTION_MAIL, .key = conf_key_find(CONF_SECTION_MAIL, name)};
}

static void check_login(struct conf_loader *l)
{
	const struct conf_mail *m = &l->conf.mail;

	const char *key =
	        *m->password.value ? "password" : conf_secret_key(&m->password, CONF_SECRET_KEYS("password"));
	bool has_password = conf_secret_is_set(&m->password);

	if (has_password && !*m->user)
		conf_contradiction(l, mail_key(key), mail_key("user"), "belongs to a user, but",
		                   "user and password together");
	if (*m->user && !has_password)
		conf_contradiction(l, mail_key("user"), mail_key("password"), "needs its password, but",
		                   "user together with password, password_file or password_command");
	if (*m->user && m->tls == CONF_TLS_NONE)
		conf_contradiction(l, mail_key("tls"), mail_key("user"),
		                   "would send the password as clear text with",
		                   "tls = required, or no user");
}

static void check_mail(struct conf_loader *l)
{
	const struct conf_mail *m = &l->conf.mail;

	if (m->to[0] && !*m->server)
		conf_contradiction(l, mail_key("to"), mail_key("server"),
		                   "needs a server that takes mail, but", "to and server together");
	if (*m->server && !m->to[0])
		conf_contradiction(l, mail_key("server"), mail_key("to"), "is for mail to somebody, but",
		                   "to and server together");
	if (m->tls == CONF_TLS_NONE && str_starts(m->server, "smtps://"))
		conf_contradiction(l, mail_key("tls"), mail_key("server"), "contradicts",
		                   "smtp:// with tls = none");
	check_login(l);
}

static struct conf_ref webhook_key(size_t item, const char *name)
{
	return (struct conf_ref){.section = CONF_SECTION_WEBHOOK,
	                         .item = item,
	                         .key = conf_key_find(CONF_SECTION_WEBHOOK, name)};
}

/* A GET has no body, so there is nothing to be made by a template. */
static void check_webhooks(struct conf_loader *l)
{
	for (size_t i = 0; i < l->conf.webhook_count; i++) {
		const struct conf_webhook *w = &l->conf.webhooks[i];

		if (w->method == CONF_METHOD_GET && *w->template_name)
			conf_contradiction(l, webhook_key(i, "template"), webhook_key(i, "method"),
			                   "makes the body of a request, but there is none with",
			                   "method = post, or no template");
	}
}

static struct conf_ref heartbeat_key(size_t item, const char *name)
{
	return (struct conf_ref){.section = CONF_SECTION_HEARTBEAT,
	                         .item = item,
	                         .key = conf_key_find(CONF_SECTION_HEARTBEAT, name)};
}

static void check_heartbeats(struct conf_loader *l)
{
	for (size_t i = 0; i < l->conf.heartbeat_count; i++) {
		const struct conf_heartbeat *h = &l->conf.heartbeats[i];

		for (size_t k = 0; h->jobs[k]; k++) {
			const struct conf_origin *at = conf_origin_of(&l->conf, heartbeat_key(i, "jobs"));

			if (!conf_find_job(&l->conf, h->jobs[k]))
				conf_problem(
				        l, at->line,
				        "%s: [heartbeat %s] jobs: there is no job %s; allowed: names of jobs, or nothing for all of them",
				        at->text, h->name, h->jobs[k]);
		}
	}
}

void conf_validate_notices(struct conf_loader *l)
{
	check_mail(l);
	check_webhooks(l);
	check_heartbeats(l);
}
