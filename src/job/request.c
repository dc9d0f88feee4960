// SPDX-License-Identifier: Apache-2.0
/* From an order to a job that can be run. What can be wrong with an order is found here, while whoever gave it still
 * waits for an answer. */
#include "request.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

void request_finish(struct request *r)
{
	free(r->name);
	conf_job_free(r->job);
	command_line_finish(&r->line);
	free(r->note);
	free(r->hold);
	free(r->database);
	free(r->class);
	for (size_t i = 0; r->except_classes && r->except_classes[i]; i++)
		free(r->except_classes[i]);
	free(r->except_classes);
	free(r->options);
	*r = (struct request){0};
}

/* It is shown in logs and in the history, on terminals too. */
bool request_is_line(const char *text)
{
	for (size_t n; *text; text += n) {
		n = str_utf8_char(text);
		if (n == 0 || (unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
		if (n == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0)
			return false;
	}
	return true;
}

/* An empty one is none. */
static int take_own_text(const char *key, const char *text, char **ret, struct error *err)
{
	if (!text || !*text)
		return 0;
	if (strlen(text) > JOBS_NOTE_MAX_BYTES)
		return error_set(err, ERROR_USAGE, EINVAL, "%s: has %zu bytes; allowed: at most %d", key,
		                 strlen(text), JOBS_NOTE_MAX_BYTES);
	if (!request_is_line(text))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s: must be UTF-8 text without control characters", key);
	*ret = mem_strdup(text);
	return 0;
}

static const char *note_of(const struct jobs_order *order)
{
	return order->is_final && !*str_or_empty(order->note) ? "final" : order->note;
}

static void write_option(struct str *out, const char *key, const char *value)
{
	_cleanup(free) char *pair = value ? mem_printf("%s=%s", key, value) : NULL;

	if (pair)
		command_line_append(out, pair);
}

static void write_options(const struct jobs_order *order, struct request *r)
{
	struct str text = {0};

	write_option(&text, order->job->kind == CONF_JOB_EXPORT ? "tenant" : "database", order->database);
	write_option(&text, "class", order->class);
	write_option(&text, "final", order->is_final && !order->then_delete ? "yes" : NULL);
	write_option(&text, "then-delete", order->then_delete);
	for (size_t i = 0; i < order->key_count; i++) {
		_cleanup(str) struct str pair = {0};

		str_appendf(&pair, "%s=", order->keys[i]);
		conf_job_format(r->job, order->keys[i], &pair);
		command_line_append(&text, str_text(&pair));
	}
	if (text.len > 0)
		r->options = str_take(&text);
	str_finish(&text);
}

struct make_wanted request_wanted(const struct request *r)
{
	return (struct make_wanted){.line = r->work ? &r->line : NULL,
	                            .database = r->database,
	                            .class = r->class,
	                            .except_classes = r->except_classes,
	                            .may_be_none = r->may_be_none,
	                            .is_final = r->is_final};
}

enum make_lane request_lane(const struct request *r)
{
	return r->work ? r->work->lane(&r->line) : MAKE_LANE_BACKUP;
}

/* Copied: a reload may replace the configuration before the run begins. */
static char **classes_with_schedules(const struct conf *conf)
{
	char **names = mem_array(conf->class_count + 1, sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < conf->class_count; i++)
		if (conf_class_has_schedule(conf, conf->classes[i].name))
			names[count++] = mem_strdup(conf->classes[i].name);
	names[count] = NULL;
	return names;
}

static int init_work(const struct jobs_order *order, struct request *ret, struct error *err)
{
	_cleanup(request) struct request request = {.work = order->work,
	                                            .name = mem_strdup(order->work_name)};
	int r = command_line_parse(order->work_text, &request.line, err);

	if (r == 0)
		r = take_own_text("note", order->note, &request.note, err);
	if (r < 0)
		return r;
	request.options = mem_strdup(order->work_text);
	*ret = request;
	request = (struct request){0};
	return 0;
}

/* What is deleted was read back before, and is all that the job exports. */
static int prepare_deletion(struct request *r, struct error *err)
{
	if (r->partial)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "then-delete: only after an export of all that the job exports; leave out the keys that choose less");
	r->then_delete = true;
	r->job->verify = CONF_VERIFY_READBACK;
	return 0;
}

static int init_job(const struct conf *conf, const struct jobs_order *order, struct request *ret,
                    struct error *err)
{
	_cleanup(request) struct request request = {.name = mem_strdup(order->job->name)};
	int r = conf_job_override(order->job, order->keys, order->values, order->key_count, &request.job,
	                          &request.partial, err);

	if (r == 0)
		r = take_own_text("note", note_of(order), &request.note, err);
	if (r == 0)
		r = take_own_text("hold", order->hold, &request.hold, err);
	if (r < 0)
		return r;
	if (order->then_delete)
		r = prepare_deletion(&request, err);
	if (r < 0)
		return r;
	request.keep_ms = order->keep_ms;
	request.database = mem_strdup(order->database);
	request.class = mem_strdup(order->class);
	request.is_final = order->is_final;
	request.may_be_none = order->class && conf_find_class(conf, order->class);
	if (order->own_schedule)
		request.except_classes = classes_with_schedules(conf);
	request.is_due = order->due;
	write_options(order, &request);
	*ret = request;
	request = (struct request){0};
	return 0;
}

int request_init(const struct conf *conf, const struct jobs_order *order, struct request *ret,
                 struct error *err)
{
	return order->work ? init_work(order, ret, err) : init_job(conf, order, ret, err);
}
