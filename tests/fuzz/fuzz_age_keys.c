// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all (up to the first NUL), as a text of recipients and as one of identities: it is refused and nothing was added, or what
 * was read says the same when it is written and read again.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>

#include <string.h>

static void must_read_recipients_again(const struct age_recipients *r)
{
	_cleanup(age_recipients) struct age_recipients *again = age_recipients_new();
	_cleanup(str) struct str text = {0};
	size_t count = age_recipients_count(r);

	fuzz_must(count > 0 && count <= AGE_RECIPIENTS_MAX, "there are some", NULL);
	for (size_t i = 0; i < count; i++)
		str_appendf(&text, "%s,", age_recipients_name(r, i));
	fuzz_must(age_recipients_add(again, str_text(&text), NULL) == 0, "they are read again", text.data);
	fuzz_must(age_recipients_count(again) == count, "all of them", text.data);
	for (size_t i = 0; i < count; i++)
		fuzz_must(str_equal(age_recipients_name(again, i), age_recipients_name(r, i)),
		          "they are the same", text.data);
}

static void add_recipients(const char *text)
{
	_cleanup(age_recipients) struct age_recipients *r = age_recipients_new();
	struct error err = {0};
	int res = age_recipients_add(r, text, &err);

	if (res == 0) {
		must_read_recipients_again(r);
		return;
	}
	fuzz_must_refuse(res, &err);
	fuzz_must(age_recipients_count(r) == 0, "what is refused adds nothing", NULL);
}

/* The longest stretch that a message has of a text that may be a secret. */
#define SHOWN_BYTES 30

static void must_keep_secret(const char *text, const struct error *err)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + SHOWN_BYTES <= len; at++) {
		char part[SHOWN_BYTES + 1];

		memcpy(part, text + at, SHOWN_BYTES);
		part[SHOWN_BYTES] = '\0';
		fuzz_must(!strstr(err->message, part), "no identity is in a message", err->message);
	}
}

static void add_identities(const char *text)
{
	_cleanup(age_identities) struct age_identities *i = age_identities_new();
	struct error err = {0};
	int r = age_identities_add(i, text, &err);

	if (r < 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(age_identities_count(i) == 0, "what is refused adds nothing", NULL);
		must_keep_secret(text, &err);
		return;
	}
	fuzz_must(age_identities_count(i) > 0, "there are some", NULL);
	for (size_t n = 0; n < age_identities_count(i); n++)
		add_recipients(age_identities_recipient(i, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);

	add_recipients(text);
	add_identities(text);
	return 0;
}
