// SPDX-License-Identifier: Apache-2.0
/* Several facts as one message: a subject, and lines of text. What others wrote (notes, names, errors) is made visible: no
 * control character of theirs comes through, and none can begin a line that looks like another's. */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <config.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUBJECT_BYTES 200
#define TITLES_SHOWN  4

void batch_add(struct batch *b, const struct catalog_notice *n)
{
	struct json *facts = json_parse(n->facts, strlen(n->facts), NULL);

	if (b->count == 0) {
		b->kind = n->kind;
		b->first_at_us = n->at_us;
	}
	b->ids = mem_resize(b->ids, b->count + 1, sizeof(*b->ids));
	b->facts = mem_resize(b->facts, b->count + 1, sizeof(struct json *));
	b->ids[b->count] = n->id;
	b->facts[b->count++] = facts ? facts : json_object_new();
}

void batch_finish(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		json_free(b->facts[i]);
	free(b->facts);
	free(b->ids);
	*b = (struct batch){0};
}

static const char *fact(const struct json *j, const char *key)
{
	return str_or_empty(json_get_string(j, key));
}

static char *fact_time(const struct json *j, const char *key)
{
	int64_t at_us = 0;
	char buf[32];

	json_get_time(j, key, &at_us);
	return mem_strdup(tell_time(at_us, buf));
}

/* Lines of others, each behind two blanks. */
static void append_quoted_lines(struct str *out, const char *text)
{
	_cleanup(str) struct str shown = {0};

	str_append_visible(&shown, text);
	for (const char *line = str_text(&shown); *line;) {
		size_t len = strcspn(line, "\n");

		str_append(out, "  ");
		str_append_bytes(out, line, len);
		str_append_char(out, '\n');
		line += len + (line[len] == '\n');
	}
}

static void append_section(struct str *out, const char *head, const char *text)
{
	if (!*text)
		return;
	str_appendf(out, "%s:\n", head);
	append_quoted_lines(out, text);
	str_append_char(out, '\n');
}

static void append_run(struct str *out, const struct json *j)
{
	const struct json *lines = json_get(j, "log");
	int64_t run = 0;

	if (!json_get_int(j, "run", &run))
		return;
	str_appendf(out, "Run %" PRId64 ", triggered by ", run);
	str_append_line(out, fact(j, "triggered_by"));
	if (*fact(j, "note")) {
		str_append(out, ", note: ");
		str_append_line(out, fact(j, "note"));
	}
	str_append(out, ".\n\n");
	if (json_count(lines) == 0)
		return;
	str_append(out, "The end of its log:\n");
	for (size_t i = 0; i < json_count(lines); i++) {
		str_append(out, "  ");
		str_append_line(out, str_or_empty(json_text(json_item(lines, i))));
		str_append_char(out, '\n');
	}
	str_append_char(out, '\n');
}

static void append_notice(struct str *out, const struct json *j)
{
	_cleanup(free) char *since = fact_time(j, "since"), *began = fact_time(j, "began");

	str_append_line(out, fact(j, "title"));
	str_append_char(out, '\n');
	if (*fact(j, "database")) {
		str_append(out, "Database: ");
		str_append_line(out, fact(j, "database"));
		str_append_char(out, '\n');
	}
	if (*since)
		str_appendf(out, "Since: %s\n", since);
	if (*began)
		str_appendf(out, "It had begun: %s\n", began);
	str_append_char(out, '\n');
	append_section(out, "What is so", fact(j, "text"));
	append_section(out, "What to do", fact(j, "what_to_do"));
	append_run(out, j);
}

/* What could not be told. */
static void append_untold(struct str *out, const struct batch *b)
{
	char from[32], to[32];

	if (b->dropped > 0)
		str_appendf(out,
		            "%" PRIu64 " earlier notices, of %s to %s, are not here: too many waited.\n\n",
		            b->dropped, tell_time(b->dropped_from_us, from), tell_time(b->dropped_to_us, to));
	if (b->given_up > 0)
		str_appendf(out,
		            "%" PRIu64
		            " earlier notices were refused, and are not here: the daemon's log has them.\n\n",
		            b->given_up);
}

static void append_foot(struct str *out, const struct conf *conf)
{
	char host[256];

	str_appendf(out, "-- \nkeepfs %s on %s, %s\n", KEEPFS_VERSION, host_name(host),
	            str_or_empty(conf->store.url));
	if (conf->mountpoint)
		str_appendf(out, "Health: %s/status/health\n", conf->mountpoint);
}

/* "job full failed" becomes "full, shop: failed since 2026-11-20 02:00 UTC" in a subject. */
static void append_subject_of_one(struct str *out, const struct json *j)
{
	_cleanup(free) char *since = fact_time(j, "since");
	const char *job = fact(j, "job"), *title = fact(j, "title"), *database = fact(j, "database");
	_cleanup(free) char *prefix = mem_printf("job %s", job);
	bool named = *job && str_starts(title, prefix);

	if (*job)
		str_append_line(out, job);
	if (*job && *database) {
		str_append(out, ", ");
		str_append_line(out, database);
	}
	if (*job)
		str_append(out, ": ");
	title += named ? strlen(prefix) + strspn(title + strlen(prefix), ": ") : 0;
	str_append_line(out, title);
	if (*since && !str_equal(fact(j, "event"), "test"))
		str_appendf(out, " (since %s)", since);
}

static void append_subject_of_many(struct str *out, const struct batch *b)
{
	str_appendf(out, "%zu notices: ", b->count);
	for (size_t i = 0; i < b->count && i < TITLES_SHOWN; i++) {
		str_append(out, i > 0 ? "; " : "");
		str_append_line(out, fact(b->facts[i], "title"));
	}
	if (b->count > TITLES_SHOWN)
		str_append(out, "; …");
}

static char *make_subject(const struct batch *b)
{
	_cleanup(str) struct str out = {0};
	char host[256], *cut = mem_alloc(SUBJECT_BYTES);

	str_appendf(&out, "keepfs %s: ", host_name(host));
	if (b->count == 1)
		append_subject_of_one(&out, b->facts[0]);
	else
		append_subject_of_many(&out, b);
	str_cut(cut, SUBJECT_BYTES, str_text(&out));
	return cut;
}

static char *make_text(const struct batch *b, const struct conf *conf)
{
	struct str out = {0};

	for (size_t i = 0; i < b->count; i++) {
		if (b->count > 1)
			str_appendf(&out, "%zu of %zu: ", i + 1, b->count);
		if (b->kind == NOTICE_DIGEST)
			str_append(&out, fact(b->facts[i], "text"));
		else
			append_notice(&out, b->facts[i]);
	}
	append_untold(&out, b);
	append_foot(&out, conf);
	return str_take(&out);
}

static int level_of(const struct json *facts)
{
	const char *level = fact(facts, "level");

	return *level ? (int)health_level_of(level) : REPORT_OK;
}

/* The worst is what the message is. */
static const struct json *worst_of(const struct batch *b)
{
	const struct json *worst = b->facts[0];

	for (size_t i = 1; i < b->count; i++)
		if (level_of(b->facts[i]) > level_of(worst))
			worst = b->facts[i];
	return worst;
}

static struct json *make_json(const struct batch *b, const struct message *m)
{
	struct json *j = json_object_new(), *events = json_array_new();
	char host[256];

	json_set_string(j, "id", m->id);
	json_set_string(j, "event", m->event);
	json_set_string(j, "level", m->level);
	json_set_string(j, "subject", m->subject);
	json_set_string(j, "text", m->text);
	json_set_string(j, "host", host_name(host));
	json_set_string(j, "version", KEEPFS_VERSION);
	json_set_int(j, "dropped", (int64_t)b->dropped);
	json_set_int(j, "refused", (int64_t)b->given_up);
	for (size_t i = 0; i < b->count; i++)
		json_append(events, json_clone(b->facts[i]));
	json_set(j, "events", events);
	return j;
}

static char *log_text(const struct json *j)
{
	const struct json *lines = json_get(j, "log");
	struct str out = {0};

	for (size_t i = 0; i < json_count(lines); i++) {
		str_append_line(&out, str_or_empty(json_text(json_item(lines, i))));
		str_append_char(&out, '\n');
	}
	return str_take(&out);
}

/* What only a heartbeat has. 1: it failed; 2: it was cancelled. */
static void fill_beat(const struct json *j, struct message *m)
{
	int64_t milliseconds = 0;
	const char *state = fact(j, "state");

	json_get_int(j, "milliseconds", &milliseconds);
	m->beat = mem_strdup(fact(j, "beat"));
	m->state = mem_strdup(state);
	m->error = mem_strdup(fact(j, "error"));
	m->log = log_text(j);
	m->exit_code = mem_strdup(str_equal(state, "failed")      ? "1"
	                          : str_equal(state, "cancelled") ? "2"
	                                                          : "0");
	m->seconds = mem_printf("%" PRId64 ".%03d", milliseconds / 1000, (int)(milliseconds % 1000));
	m->milliseconds = mem_printf("%" PRId64, milliseconds);
}

void message_make(const struct batch *b, const struct conf *conf, struct message *ret)
{
	const struct json *worst = worst_of(b);
	int64_t run = 0;

	*ret = (struct message){.count = b->count, .level_number = level_of(worst)};
	ret->id = mem_printf("%" PRId64 ".%" PRId64 "-%" PRId64, b->first_at_us, b->ids[0],
	                     b->ids[b->count - 1]);
	ret->event = mem_strdup(b->count > 1 ? "several" : fact(worst, "event"));
	ret->level = health_level_name((enum report_health)ret->level_number);
	ret->subject = make_subject(b);
	ret->text = make_text(b, conf);
	ret->job = mem_strdup(fact(worst, "job"));
	ret->database = mem_strdup(fact(worst, "database"));
	ret->since = fact_time(worst, "since");
	ret->at = fact_time(worst, "at");
	ret->what_to_do = mem_strdup(fact(worst, "what_to_do"));
	ret->run = json_get_int(worst, "run", &run) ? mem_printf("%" PRId64, run) : mem_strdup("");
	fill_beat(worst, ret);
	ret->json = make_json(b, ret);
}

void message_finish(struct message *m)
{
	char *const texts[] = {m->id,    m->event,      m->subject,   m->text,    m->job,         m->database,
	                       m->since, m->what_to_do, m->at,        m->run,     m->beat,        m->state,
	                       m->error, m->log,        m->exit_code, m->seconds, m->milliseconds};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	json_free(m->json);
	*m = (struct message){0};
}
