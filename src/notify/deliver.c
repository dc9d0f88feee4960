// SPDX-License-Identifier: Apache-2.0
/* A message to its receiver, by its kind. */
#include "deliver.h"
#include "target.h"

#include <keepfs/base/mem.h>
#include <keepfs/net/mail.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAIL_CONNECT_MS INT64_C(15000)
#define MAIL_MS         INT64_C(60000)
#define VARIABLE_MAX    ((size_t)64 << 10)

/* Mail. */

static int mail_password(const struct conf_mail *mail, struct cancel *cancel, struct secret_text *ret,
                         struct error *err)
{
	const struct secret_use use = {.what = "[mail] password", .open_file = true};
	int r = secret_get(&mail->password, &use, cancel, ret, err);

	return r < 0 ? r : 0;
}

static char *mail_sender(const struct conf_mail *mail)
{
	char host[256];

	return *mail->from ? mem_strdup(mail->from) : mem_printf("keepfs@%s", host_name(host));
}

int mail_hand_over(const struct conf_mail *mail, const char *to, const char *text, struct cancel *cancel,
                   struct delivery_result *ret, struct error *err)
{
	_cleanup(free) char *from = mail_sender(mail);
	_cleanup(secret_text) struct secret_text password = {0};
	struct net_mail one = {
	        .server = mail->server,
	        .clear_text = mail->tls == CONF_TLS_NONE,
	        .user = mail->user,
	        .ca_file = mail->ca_file,
	        .from = from,
	        .to = to,
	        .message = text,
	        .connect_timeout_ms = MAIL_CONNECT_MS,
	        .timeout_ms = MAIL_MS,
	        .cancel = cancel,
	};
	int r = mail_password(mail, cancel, &password, err);

	if (r < 0)
		return r;
	one.password = str_or_empty(password.data);
	r = net_send_mail(&one, err);
	ret->refused = r == -EPERM && !(secret_is_printed(&mail->password) && secret_forget(&mail->password));
	return r;
}

static int deliver_mail(const struct conf *conf, const struct receiver *r, const struct message *m,
                        int64_t at_us, struct cancel *cancel, struct delivery_result *ret, struct error *err)
{
	_cleanup(free) char *from = mail_sender(&conf->mail), *text = mail_make(m, from, r->to, at_us);

	return mail_hand_over(&conf->mail, r->to, text, cancel, ret, err);
}

/* Webhooks. */

static int fill_body(const struct conf_webhook *w, const char *url, const struct message *m, struct str *out,
                     bool *ret_json, struct error *err)
{
	_cleanup(free) char *text = NULL, *base = NULL;
	_cleanup(free) struct template_value *values = template_values_of(m, w->to, url, &base);
	_cleanup(json) struct json *parsed = NULL, *filled = NULL;
	int r = template_load(w->template_name, &text, err);

	if (r < 0)
		return r;
	*ret_json = *w->template_name != '/' || str_ends(w->template_name, ".json");
	if (!*ret_json)
		return template_fill(text, values, out, err);
	parsed = json_parse(text, strlen(text), err);
	if (!parsed) {
		error_prefix(err, "the template %s is no JSON", w->template_name);
		return -EINVAL;
	}
	filled = template_fill_json(parsed, values, err);
	if (!filled) {
		error_prefix(err, "the template %s", w->template_name);
		return -EINVAL;
	}
	json_write(filled, 0, out);
	return 0;
}

static int webhook_body(const struct conf_webhook *w, const char *url, const struct message *m,
                        struct str *out, bool *ret_json, struct error *err)
{
	*ret_json = true;
	if (*w->template_name)
		return fill_body(w, url, m, out, ret_json, err);
	json_write(m->json, 0, out);
	return 0;
}

static int send_webhook(const struct conf_webhook *w, const struct target *target, char *const *headers,
                        const struct message *m, struct cancel *cancel, struct delivery_result *ret,
                        struct error *err)
{
	static const char *const methods[] = {
	        [CONF_METHOD_POST] = "POST", [CONF_METHOD_PUT] = "PUT", [CONF_METHOD_GET] = "GET"};
	_cleanup(str) struct str body = {0};
	bool is_json = true;
	int r = w->method == CONF_METHOD_GET ? 0 : webhook_body(w, target->url.data, m, &body, &is_json, err);
	const struct http_message h = {
	        .method = methods[w->method],
	        .url = target->url.data,
	        .body = w->method == CONF_METHOD_GET ? NULL : str_text(&body),
	        .content_type = is_json ? "application/json" : "text/plain; charset=utf-8",
	        .headers = headers,
	        .ca_file = w->ca_file,
	};

	return r < 0 ? r : http_send(&h, cancel, ret, err);
}

static int deliver_webhook(const struct conf_webhook *w, const struct message *m, struct cancel *cancel,
                           struct delivery_result *ret, struct error *err)
{
	_cleanup(free) char *section = mem_printf("[webhook %s]", w->name);
	const struct target_conf conf = {section, &w->url, &w->more_headers, w->headers};
	_cleanup(target) struct target target = {0};
	int r = target_open(&conf, cancel, &target, err);

	if (r < 0)
		return r;
	r = send_webhook(w, &target, target_headers(&target, &conf), m, cancel, ret, err);
	if (r < 0 && target_asks_anew(&conf, err))
		ret->refused = false;
	return r;
}

int webhook_probe(const struct conf_webhook *w, const struct message *m, struct error *err)
{
	_cleanup(free) char *section = mem_printf("[webhook %s]", w->name);
	const struct target_conf conf = {section, &w->url, &w->more_headers, w->headers};
	_cleanup(target) struct target target = {0};
	_cleanup(str) struct str body = {0};
	bool is_json = true;
	int r = target_open(&conf, NULL, &target, err);

	return r < 0 ? r : webhook_body(w, target.url.data, m, &body, &is_json, err);
}

/* Heartbeats. */

/* What the template says of this beat; NULL with 0: nothing is sent. */
static int beat_request(const struct conf_heartbeat *h, const char *url, const struct message *m,
                        struct json **ret, struct error *err)
{
	_cleanup(free) char *text = NULL, *base = NULL;
	_cleanup(free) struct template_value *values = template_values_of(m, NULL, url, &base);
	_cleanup(json) struct json *parsed = NULL;
	const struct json *request;
	int r = template_load(h->template_name, &text, err);

	if (r < 0)
		return r;
	parsed = json_parse(text, strlen(text), err);
	if (!parsed) {
		error_prefix(err, "the template %s is no JSON", h->template_name);
		return -EINVAL;
	}
	request = json_get(parsed, m->beat);
	*ret = NULL;
	if (!request)
		return 0;
	*ret = template_fill_json(request, values, err);
	if (*ret && json_get_string(*ret, "url"))
		return 0;
	if (*ret)
		error_set(err, ERROR_USAGE, EINVAL, "has no url for %s", m->beat);
	*ret = json_free(*ret);
	error_prefix(err, "the template %s", h->template_name);
	return -EINVAL;
}

static struct target_conf beat_target(const struct conf_heartbeat *h, const char *section)
{
	return (struct target_conf){section, &h->url, &h->more_headers, h->headers};
}

int heartbeat_probe(const struct conf_heartbeat *h, const struct message *m, struct error *err)
{
	_cleanup(free) char *section = mem_printf("[heartbeat %s]", h->name);
	const struct target_conf conf = beat_target(h, section);
	_cleanup(target) struct target target = {0};
	_cleanup(json) struct json *request = NULL;
	int r = target_open(&conf, NULL, &target, err);

	return r < 0 ? r : beat_request(h, target.url.data, m, &request, err);
}

static int send_beat(const struct conf_heartbeat *h, const char *url, char *const *headers,
                     const struct message *m, struct cancel *cancel, struct delivery_result *ret,
                     struct error *err)
{
	_cleanup(json) struct json *request = NULL;
	int r = beat_request(h, url, m, &request, err);
	struct http_message http = {
	        .content_type = "text/plain; charset=utf-8", .headers = headers, .ca_file = h->ca_file};

	if (r < 0 || !request)
		return r;
	http.method = json_get_string(request, "method");
	if (!http.method)
		http.method = "GET";
	http.url = json_get_string(request, "url");
	http.body = json_get_string(request, "body");
	return http_send(&http, cancel, ret, err);
}

static int heartbeat_send(const struct conf_heartbeat *h, const struct message *m, struct cancel *cancel,
                          struct delivery_result *ret, struct error *err)
{
	_cleanup(free) char *section = mem_printf("[heartbeat %s]", h->name);
	const struct target_conf conf = beat_target(h, section);
	_cleanup(target) struct target target = {0};
	int r = target_open(&conf, cancel, &target, err);

	if (r < 0)
		return r;
	r = send_beat(h, target.url.data, target_headers(&target, &conf), m, cancel, ret, err);
	if (r < 0 && target_asks_anew(&conf, err))
		ret->refused = false;
	return r;
}

/* Commands. */

struct environment {
	char *items[16]; /* NULL-terminated */
	size_t count;
};

static void add_variable(struct environment *e, const char *name, const char *value)
{
	char *cut = mem_alloc(VARIABLE_MAX);

	str_cut(cut, VARIABLE_MAX, str_or_empty(value));
	e->items[e->count++] = mem_printf("KEEPFS_%s=%s", name, cut);
	free(cut);
}

static void cleanup_environment(struct environment *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->items[i]);
}

static void fill_environment(struct environment *e, const struct conf *conf, const struct message *m)
{
	char count[24];

	snprintf(count, sizeof(count), "%zu", m->count);
	add_variable(e, "EVENT", m->event);
	add_variable(e, "LEVEL", m->level);
	add_variable(e, "SUBJECT", m->subject);
	add_variable(e, "TEXT", m->text);
	add_variable(e, "JOB", m->job);
	add_variable(e, "DATABASE", m->database);
	add_variable(e, "RUN", m->run);
	add_variable(e, "SINCE", m->since);
	add_variable(e, "COUNT", count);
	add_variable(e, "HOST", json_get_string(m->json, "host"));
	add_variable(e, "CONFIG", conf->path);
}

static int deliver_command(const struct conf *conf, const struct conf_command *c, const struct message *m,
                           struct cancel *cancel, struct error *err)
{
	const char *const argv[] = {"/bin/sh", "-c", c->command, NULL};
	_cleanup(environment) struct environment env = {0};
	_cleanup(str) struct str json = {0};
	_cleanup(proc) struct proc *p = NULL;
	struct proc_options options = {
	        .argv = argv,
	        .env = PROC_ENV_HELPER,
	        .extra_env = (const char *const *)env.items,
	        .cancel = cancel,
	        .timeout_ms = c->timeout_ms,
	        .output_to_lines = true,
	};
	int r;

	fill_environment(&env, conf, m);
	json_write(m->json, 0, &json);
	str_append_char(&json, '\n');
	options.input = str_text(&json);
	options.input_bytes = json.len;
	r = proc_start(&options, &p, err);
	return r < 0 ? r : proc_wait(p, err);
}

int deliver(const struct conf *conf, const struct receiver *r, const struct message *m, int64_t at_us,
            struct cancel *cancel, struct delivery_result *ret, struct error *err)
{
	switch (r->kind) {
	case RECEIVER_MAIL:
		return deliver_mail(conf, r, m, at_us, cancel, ret, err);
	case RECEIVER_WEBHOOK:
		return deliver_webhook(r->webhook, m, cancel, ret, err);
	case RECEIVER_COMMAND:
		return deliver_command(conf, r->command, m, cancel, err);
	default:
		return heartbeat_send(r->heartbeat, m, cancel, ret, err);
	}
}
