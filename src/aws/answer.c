// SPDX-License-Identifier: Apache-2.0
/* Credentials as JSON, in which containers, instances and programs give them alike but for a few names. */
#include "source.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "+02:30" in minutes; false when @text is no such offset. */
static bool parse_offset(const char *text, int64_t *ret_minutes)
{
	const char *digits = "0123456789";

	if (strlen(text) != 6 || !strchr("+-", text[0]) || strspn(text + 1, digits) != 2 || text[3] != ':' ||
	    strspn(text + 4, digits) != 2)
		return false;
	*ret_minutes = strtol(text + 1, NULL, 10) * 60 + strtol(text + 4, NULL, 10);
	if (text[0] == '-')
		*ret_minutes = -*ret_minutes;
	return true;
}

int aws_time_parse(const char *text, int64_t *ret_at_us)
{
	size_t len = strlen(text);
	_cleanup(free) char *utc = NULL;
	int64_t minutes, at_us;
	int r;

	if (len <= 6 || !parse_offset(text + len - 6, &minutes))
		return clock_parse_iso(text, ret_at_us);
	utc = mem_printf("%.*sZ", (int)(len - 6), text);
	r = clock_parse_iso(utc, &at_us);
	if (r == 0)
		*ret_at_us = at_us - minutes * 60 * US_PER_S;
	return r;
}

/* An error says why in its own words, as {"Code": …, "Message": …}, in small letters too. */
static void append_words(const struct json *j, struct str *out)
{
	static const char *const names[] = {"Code", "code", "Message", "message"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *word = json_get_string(j, names[i]);

		if (word)
			str_appendf(out, "%s%.200s", out->len ? ": " : ", and says ", word);
	}
}

static bool has_marker(const struct json *j, const struct aws_answer_names *names)
{
	const struct json *marker = names->marker ? json_get(j, names->marker) : NULL;
	_cleanup(str) struct str text = {0};

	if (!marker)
		return !names->must_have_marker;
	return json_scalar_text(marker, &text) && str_equal(str_text(&text), names->expected);
}

static int missing(const struct json *j, const struct aws_answer_names *names, const char *what,
                   struct error *err)
{
	_cleanup(str) struct str words = {0};

	append_words(j, &words);
	return aws_fail(err, "%s gives no credentials: its answer has no %s%s", names->what, what,
	                str_text(&words));
}

static int take_fields(const struct json *j, const struct aws_answer_names *names,
                       struct aws_credentials *ret, struct error *err)
{
	const char *expiration = json_get_string(j, "Expiration");

	aws_set(&ret->access_key, json_get_string(j, "AccessKeyId"));
	aws_set(&ret->secret_key, json_get_string(j, "SecretAccessKey"));
	aws_set(&ret->session_token, json_get_string(j, names->token));
	ret->renewable = true;
	if (!ret->access_key)
		return missing(j, names, "AccessKeyId", err);
	if (!ret->secret_key)
		return missing(j, names, "SecretAccessKey", err);
	if (expiration && *expiration && aws_time_parse(expiration, &ret->expires_at_us) < 0)
		return aws_fail(err, "%s gives credentials with an Expiration that is no time: %.60s",
		                names->what, expiration);
	return 0;
}

int aws_answer_parse(const char *text, size_t len, const struct aws_answer_names *names,
                     struct aws_credentials *ret, struct error *err)
{
	_cleanup(json) struct json *j = json_parse(text, len, NULL);
	_cleanup(free) char *marker = NULL;

	if (!j || !json_is_object_value(j))
		return aws_fail(err, "%s gives no credentials: its answer is no JSON object", names->what);
	if (has_marker(j, names))
		return take_fields(j, names, ret, err);
	marker = mem_printf("\"%s\": %s", names->marker, names->expected);
	return missing(j, names, marker, err);
}
