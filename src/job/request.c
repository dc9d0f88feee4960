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
	conf_job_free(r->job);
	free(r->note);
	free(r->options);
	*r = (struct request){0};
}

/* A note is shown in logs and in the history, on terminals too. */
static bool is_line(const char *text)
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
static int take_note(const struct jobs_order *order, struct request *r, struct error *err)
{
	const char *note = order->note;

	if (!note || !*note)
		return 0;
	if (strlen(note) > JOBS_NOTE_MAX_BYTES)
		return error_set(err, ERROR_USAGE, EINVAL, "note: has %zu bytes; allowed: at most %d",
		                 strlen(note), JOBS_NOTE_MAX_BYTES);
	if (!is_line(note))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "note: must be UTF-8 text without control characters");
	r->note = mem_strdup(note);
	return 0;
}

static void write_options(const struct jobs_order *order, struct request *r)
{
	struct str text = {0};

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

int request_init(const struct jobs_order *order, struct request *ret, struct error *err)
{
	_cleanup(request) struct request request = {0};
	int r = conf_job_override(order->job, order->keys, order->values, order->key_count, &request.job,
	                          &request.partial, err);

	if (r == 0)
		r = take_note(order, &request, err);
	if (r < 0)
		return r;
	write_options(order, &request);
	*ret = request;
	request = (struct request){0};
	return 0;
}
