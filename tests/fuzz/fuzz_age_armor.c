// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as armor: refused, and nothing comes out; or there is no other text for the same bytes, but for white space around
 * it and the ends of lines. As bytes they are put into armor and come out again.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>

#include <ctype.h>
#include <string.h>

/* The text without what may differ. */
static void append_strict(struct str *out, const char *text, size_t len)
{
	while (len > 0 && isspace((unsigned char)text[0])) {
		text++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\r' || i + 1 == len || text[i + 1] != '\n')
			str_append_char(out, text[i]);
	str_append_char(out, '\n');
}

static void must_be_the_only_text(const char *data, size_t size, const struct str *bytes)
{
	_cleanup(str) struct str strict = {0}, again = {0};

	append_strict(&strict, data, size);
	age_armor(bytes->data, bytes->len, &again);
	fuzz_must(strict.len == again.len && memcmp(strict.data, again.data, again.len) == 0,
	          "there is one text for these bytes", again.data);
	fuzz_must(age_is_armor(data, size), "it looks like armor", again.data);
}

static void must_come_out(const uint8_t *data, size_t size)
{
	_cleanup(str) struct str text = {0}, bytes = {0};
	struct error err = {0};

	age_armor(data, size, &text);
	fuzz_must(age_dearmor(text.data, text.len, &bytes, &err) == 0, "armor is taken off", err.message);
	fuzz_must(bytes.len == size && (size == 0 || memcmp(bytes.data, data, size) == 0),
	          "and there are the same bytes", text.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(str) struct str bytes = {0};
	_cleanup(free) char *own = mem_alloc(size ? size : 1);
	struct error err = {0};
	int r;

	if (size > 0)
		memcpy(own, data, size);
	r = age_dearmor(own, size, &bytes, &err);
	if (r == 0) {
		must_be_the_only_text(own, size, &bytes);
	} else {
		fuzz_must_refuse(r, &err);
		fuzz_must(bytes.len == 0, "what is refused gives nothing", NULL);
	}
	must_come_out(data, size);
	return 0;
}
