// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as an object of age: its header is read or refused, with and without a key, in the same place; nothing shorter is
 * taken for one; and all of it is decrypted or refused. (Without a passphrase: one costs a second.)
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>

#include <errno.h>
#include <string.h>

/* Of the published vectors, and of the format's description. */
static const char secrets[] = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0\n"
                              "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n";

static void must_be_one_header(const uint8_t *data, size_t size, const struct age_header_facts *facts)
{
	struct age_header_facts again;
	struct error err = {0};

	fuzz_must(facts->head_bytes > AGE_NONCE_BYTES && facts->head_bytes <= size &&
	                  facts->head_bytes <= AGE_HEAD_MAX_BYTES,
	          "a header is within the bytes", NULL);
	fuzz_must(facts->stanzas > 0 && facts->stanzas <= AGE_STANZAS_MAX, "it has recipients", NULL);
	fuzz_must(!facts->passphrase || facts->stanzas == 1, "a passphrase stands alone", NULL);
	fuzz_must(age_is_header(data, size), "it looks like one", NULL);
	fuzz_must(age_header_look(data, facts->head_bytes, &again, &err) == 0 &&
	                  again.head_bytes == facts->head_bytes,
	          "what is behind it does not matter", err.message);
	fuzz_must(age_header_look(data, facts->head_bytes - 1, &again, &err) == -EAGAIN,
	          "one byte less is not enough", err.message);
}

static void must_open(const uint8_t *data, size_t size, const struct age_identities *with)
{
	_cleanup(str) struct str plain = {0};
	struct age_header_facts facts;
	struct error looked = {0}, opened = {0}, decrypted = {0};
	struct age_key key;
	int r = age_header_look(data, size, &facts, &looked),
	    o = age_header_open(data, size, with, &key, &opened);

	if (r < 0)
		fuzz_must_refuse(r, &looked);
	else
		must_be_one_header(data, size, &facts);
	fuzz_must(o != 0 || (r == 0 && key.head_bytes == facts.head_bytes), "with a key it is the same",
	          opened.message);
	if (o < 0)
		fuzz_must_refuse(o, &opened);
	r = age_decrypt(data, size, with, &plain, &decrypted);
	if (r < 0) {
		fuzz_must_refuse(r, &decrypted);
		fuzz_must(plain.len == 0, "what is refused gives nothing", NULL);
		fuzz_must(r != -EAGAIN, "all there is is all there is", decrypted.message);
	}
	fuzz_must(r < 0 || o == 0 || age_is_armor(data, size), "what is decrypted has a right header",
	          opened.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(age_identities) struct age_identities *with = age_identities_new();
	/* Of its own size: what is read behind it is noticed. */
	_cleanup(free) uint8_t *own = mem_alloc(size ? size : 1);

	if (size > 0)
		memcpy(own, data, size);
	fuzz_must(age_identities_add(with, secrets, NULL) == 0, "the identities are right", NULL);
	must_open(own, size, with);
	return 0;
}
