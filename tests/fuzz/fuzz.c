// SPDX-License-Identifier: Apache-2.0
/* What the targets insist with. */
#include "fuzz.h"

#include <keepfs/base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_must(bool condition, const char *what, const char *detail)
{
	if (condition)
		return;
	fprintf(stderr, "not so: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
	abort();
}

void fuzz_must_refuse(int r, const struct error *err)
{
	fuzz_must(r < 0 && r == -err->errnum, "a refusal returns the error's number", err->message);
	fuzz_must(err->class != ERROR_NONE, "a refusal has a class", err->message);
	fuzz_must(err->message[0], "a refusal has a message", NULL);
}

char *fuzz_text(const uint8_t *data, size_t size)
{
	size_t len = strnlen((const char *)data, size);
	char *text = mem_alloc(len + 1);

	memcpy(text, data, len);
	return text;
}
