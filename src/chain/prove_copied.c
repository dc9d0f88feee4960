// SPDX-License-Identifier: Apache-2.0
/* A store of copies is proven by what it says of itself, signed: what it never had is not missing there, and what was removed in the first store may still be there. */
#include "prove_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_believed_copied(struct proof *p, const struct copied *c, const char *text, size_t len)
{
	for (size_t i = 0; i < p->result.key_count; i++)
		if (copied_is_signed_by(c, &p->result.keys[i].key, text, len))
			return true;
	return false;
}

static void judge_copied(struct proof *p, const char *text, size_t len)
{
	struct error why = {0};
	struct copied c = {0};

	if (copied_decode(text, len, &c, &why) < 0) {
		proof_find(p, PROVE_CHANGED, "%s", why.message);
		return;
	}
	if (!is_believed_copied(p, &c, text, len))
		proof_find(
		        p, PROVE_CHANGED,
		        COPIED_KEY
		        ": its signature does not fit, or is of a key that was not given, and for which none of those has vouched");
	else if (p->result.id[0] && strcmp(p->result.id, c.chain) != 0)
		proof_find(p, PROVE_ADDED, COPIED_KEY ": it is signed, but of another chain, %s", c.chain);
	else {
		p->copied = c;
		c = (struct copied){0};
		p->result.copied_sequence = p->copied.sequence;
		p->result.copied_at_us = p->copied.at_us;
		str_copy(p->result.copied_store, sizeof(p->result.copied_store), p->copied.store);
	}
	copied_finish(&c);
}

int proof_read_copied(struct proof *p, struct error *err)
{
	_cleanup(free) char *text = NULL;
	struct store_object there;
	struct error why = {0};
	size_t len = 0;
	int r;

	if (!p->options->copy) {
		p->result.is_copy = store_head(p->store, &p->call, COPIED_KEY, &there, &why) == 0;
		return 0;
	}
	r = store_get_all(p->store, &p->call, COPIED_KEY, COPIED_MAX_BYTES, &text, &len, err);
	if (r == -ENOENT || r == -EFBIG) {
		proof_find(
		        p, PROVE_MISSING,
		        COPIED_KEY
		        " is not there, or is none: nothing says what this store of copies should have, so everything that it does not have counts as missing");
		return 0;
	}
	if (r == 0) {
		p->result.is_copy = true;
		judge_copied(p, text, len);
	}
	return r;
}
