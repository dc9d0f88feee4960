// SPDX-License-Identifier: Apache-2.0
/* Is every object that of the state? Each is read to its end: an ETag, or the time of a file, says what somebody has written, and not what is there. */
#include "back_run.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

size_t back_piece_at(const struct task *t, uint64_t at)
{
	uint64_t left = t->entry.bytes - at;

	return left < t->piece ? (size_t)left : t->piece;
}

bool back_is_of_entry(struct sha256 *h, const struct listing_entry *e)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_final(h, digest);
	hex_encode(digest, sizeof(digest), hex);
	return strcmp(hex, e->sha256) == 0;
}

static int read_checked(const struct task *t, const struct iovec *piece, uint64_t at, struct error *err)
{
	const struct mirror_back *b = t->run->b;

	return b->target
	               ? source_get(b->target, &b->call, t->entry.key, t->etag, at, piece, 1, NULL, err)
	               : back_packs_read(t->run->packs, &t->entry, at, piece->iov_base, piece->iov_len, err);
}

static int hash_checked(const struct task *t, char *buf, struct sha256 *h, struct error *err)
{
	const struct make_order *order = t->run->b->options.order;

	for (uint64_t at = 0; at < t->entry.bytes;) {
		const struct iovec piece = {.iov_base = buf, .iov_len = back_piece_at(t, at)};
		int r = read_checked(t, &piece, at, err);

		if (r < 0)
			return r;
		sha256_update(h, buf, piece.iov_len);
		if (order && order->progress)
			atomic_fetch_add(&order->progress->read_bytes, piece.iov_len);
		at += piece.iov_len;
	}
	return 0;
}

int back_check_object(const struct task *t, bool *ret_of_state, struct error *err)
{
	_cleanup(free) char *buf = mem_resize(NULL, t->memory + 1, 1);
	struct sha256 *h = sha256_new();
	int r = hash_checked(t, buf, h, err);

	*ret_of_state = !t->run->b->target;
	if (r == 0 && !back_is_of_entry(h, &t->entry))
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "its SHA-256 is another one than was backed up");
	sha256_free(h);
	return r < 0 ? r : TASK_SAME;
}

int back_judge_check(const struct running *run, struct error *err)
{
	const struct mirror_back_counts *c = run->counts;
	const struct {
		const struct mirror_back_names *names;
		const char *what;
	} wrong[] = {{&c->missing, "are missing"},
	             {&c->different, "have another size"},
	             {&c->extra, "are there, and not in the backup"},
	             {&c->refused, "cannot be there, because of their names"}};

	if (c->failed.count > 0)
		return error_set(err, run->first.class, run->first.errnum ? run->first.errnum : EIO,
		                 "%" PRIu64
		                 " objects are not those that were backed up: %.300s; the first: %s",
		                 c->failed.count, str_text(&c->failed.first), run->first.message);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (wrong[i].names->count > 0)
			return error_set(err, ERROR_CONFLICT, EEXIST, "%" PRIu64 " objects %s: %.300s",
			                 wrong[i].names->count, wrong[i].what,
			                 str_text(&wrong[i].names->first));
	return 0;
}
