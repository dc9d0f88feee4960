// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a link of a chain from a bucket that others may write to. What is refused leaves nothing behind and names its source; what is
 * taken is written as a link that is taken again, and is the same.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/link.h>

#include <errno.h>
#include <string.h>

#define SOURCE "chain/the source"

static void encode_with_signatures(const struct link *l, struct str *out)
{
	link_encode(l, out);
	signature_append(out, &l->signature, &l->second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(link) struct link l = {0}, again = {0};
	_cleanup(str) struct str text = {0}, text_again = {0};
	struct error err = {0};
	int r = link_decode(SOURCE, (const char *)data, size, &l, &err);

	if (r != 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(r == -EBADMSG || r == -ENOTSUP, "the contract's errors", err.message);
		fuzz_must(strstr(err.message, SOURCE), "the message names the source", err.message);
		fuzz_must(l.count == 0 && l.entries == NULL, "a refused link is untouched", err.message);
		return 0;
	}
	encode_with_signatures(&l, &text);
	r = link_decode(SOURCE, text.data, text.len, &again, &err);
	fuzz_must(r == 0, "what was taken is taken again", err.message);
	fuzz_must(again.type == l.type && again.count == l.count, "the same link", text.data);
	encode_with_signatures(&again, &text_again);
	fuzz_must(str_equal(text.data, text_again.data), "it is written the same again", text_again.data);
	return 0;
}
