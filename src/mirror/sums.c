// SPDX-License-Identifier: Apache-2.0
/* The digest of the SHA256SUMS of a state, by which the SHA256SUMS of its job proves it. */
#include "mirror_private.h"

#include <keepfs/base/cancel.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/mirror/tree.h>

#include <errno.h>
#include <string.h>

#define SUMS_FILE "SHA256SUMS"

struct summing {
	struct sha256 *digest;
	struct str line;
	char own[SHA256_HEX_BYTES]; /* of an object that has the name, and is shown in its place; "": there is none */
};

static int add_to_sums(void *arg, const struct mirror_item *item, struct error *err)
{
	struct summing *s = arg;

	(void)err;
	str_clear(&s->line);
	listing_append_sum(&s->line, item->entry.sha256, item->path);
	sha256_update(s->digest, s->line.data, s->line.len);
	if (strcmp(item->path, SUMS_FILE) == 0)
		str_copy(s->own, sizeof(s->own), item->entry.sha256);
	return 0;
}

static int read_spooled_listing(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len,
                                struct error *err)
{
	if (cancel_is_set(cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return spool_get(arg, buf, len, at, err);
}

int mirror_sums_digest(struct spool *listing, const struct str *index, struct cancel *cancel,
                       char ret[static SHA256_HEX_BYTES], struct error *err)
{
	const struct mirror_tree_source source = {.read = read_spooled_listing, .arg = listing};
	_cleanup(listing_index) struct listing_index x = {0};
	_cleanup(mirror_tree) struct mirror_tree *tree = NULL;
	struct summing s = {.digest = sha256_new()};
	const struct mirror_each each = {.item = add_to_sums, .arg = &s};
	uint8_t digest[SHA256_BYTES];
	int r = listing_index_decode(str_text(index), index->len, &x, err);

	if (r == 0)
		r = mirror_tree_new(&x, &source, 0, &tree, err);
	if (r == 0)
		r = mirror_tree_each(tree, cancel, &each, err);
	if (r == 0) {
		sha256_final(s.digest, digest);
		hex_encode(digest, sizeof(digest), ret);
	}
	if (r == 0 && s.own[0])
		memcpy(ret, s.own, SHA256_HEX_BYTES);
	sha256_free(s.digest);
	str_finish(&s.line);
	return r;
}
