// SPDX-License-Identifier: Apache-2.0
#include "suspects.h"

#include <keepfs/policy/redaction.h>

#include <string.h>

/* Behind what began at @at: the quote that closes it, or what ends an element without quotes. */
static const char *end_of_part(const char *at, const char *end, bool is_quoted)
{
	for (; at < end; at++) {
		if (is_quoted && *at == '\\' && at + 1 < end)
			at++;
		else if (*at == '"' || (!is_quoted && memchr(",{}", *at, 3)))
			break;
	}
	return at;
}

/* The strings and keys within json; of an array all elements. */
static const char *suspicion_within(const char *at, const char *end, bool is_array)
{
	const char *why = NULL;

	while (at < end && !why) {
		bool is_quoted = *at == '"';
		const char *part = at + is_quoted, *behind;

		if (!is_quoted && (!is_array || memchr(",{}", *at, 3))) {
			at++;
			continue;
		}
		behind = end_of_part(part, end, is_quoted);
		if (behind - part >= SUSPICIOUS_MIN_BYTES)
			why = redaction_value_suspicion(part, (size_t)(behind - part));
		at = behind + (is_quoted && behind < end);
	}
	return why;
}

/* A composite value as text: quotes and backslashes may stand before quotes and backslashes, so each word is looked at by itself. */
static const char *suspicion_of_words(const char *at, const char *end)
{
	static const char between[] = ",{}()\"\\";
	const char *why = NULL;

	while (at < end && !why) {
		const char *part = at;

		while (at < end && !memchr(between, *at, sizeof(between) - 1))
			at++;
		if (at - part >= SUSPICIOUS_MIN_BYTES)
			why = redaction_value_suspicion(part, (size_t)(at - part));
		at++;
	}
	return why;
}

static const char *suspicion_of_decoded(enum suspect_form form, const char *text, size_t len)
{
	switch (form) {
	case SUSPECT_WORDS:
		return suspicion_of_words(text, text + len);
	case SUSPECT_ARRAY:
	case SUSPECT_JSON:
		return suspicion_within(text, text + len, form == SUSPECT_ARRAY);
	default:
		return redaction_value_suspicion(text, len);
	}
}

const char *suspicion_of_field(enum suspect_form form, const struct copy_field *field, struct str *scratch)
{
	if (field->is_null || field->len < SUSPICIOUS_MIN_BYTES)
		return NULL;
	if (!memchr(field->text, '\\', field->len))
		return suspicion_of_decoded(form, field->text, field->len);
	str_clear(scratch);
	str_append_bytes(scratch, field->text, field->len);
	scratch->len = copy_field_decode(field, scratch->data);
	return suspicion_of_decoded(form, scratch->data, scratch->len);
}
