// SPDX-License-Identifier: Apache-2.0
/*
 * The SHA-256 of a file that is read from beginning to end. Every byte was checked before by its CRC-32C;
 * this one is of the whole, and costs no transfer. Blocks are hashed in their order, each as soon as it is
 * there, by the thread that brought it or the one before it. Until then it is kept, so that hashing that
 * falls behind slows read-ahead down, and is not given up. What comes last, wherever in the file it is, waits
 * for the verdict, so that whoever reads all of the file and gets no error has the right file.
 *
 * Blocks are kept only while the next one to hash is there or on its way; what is on its way holds its buffer
 * already, so this ends. whole_go_on() is called after each fetch, whole_lost() for each block that is
 * forgotten or not wanted any more; then they are kept no longer, until somebody reads the missing block
 * again. What waits for the verdict waits for nothing but the hashing of what is there.
 *
 * All of it is called with the lock. Hashing releases it: meanwhile the artifact's state is WHOLE_BUSY, which says that
 * its hash and whole_next are that thread's alone, and that it will look for more itself; so at most one fetcher
 * hashes a file, and others who bring a block of it do not wait for it.
 */
#include "reader_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <errno.h>

static bool is_going_on(const struct artifact *a)
{
	return a->whole == WHOLE_ON || a->whole == WHOLE_BUSY;
}

static void unkeep(struct reader *reader, struct block *b)
{
	if (!b->kept)
		return;
	b->kept = false;
	b->artifact->whole_kept--;
	block_unpin(reader, b);
}

/* With @parts of @b, is all there that is not hashed yet? What is there is kept: this looks at no more blocks
 * than there are buffers. */
static bool is_complete(struct reader *reader, const struct artifact *a, const struct block *b, parts_t parts)
{
	uint64_t at = a->whole_next;

	while (at < a->bytes) {
		struct span span = block_span(&a->extents, a->cells, at);
		const struct block *here = block_find(reader, a, span.first);

		if (!here || (here->ready | (here == b ? parts : 0)) != span_parts(&span))
			return false;
		at += span.bytes;
	}
	return true;
}

bool whole_arrived(struct reader *reader, struct block *b, parts_t parts)
{
	struct artifact *a = b->artifact;

	if (!is_going_on(a) || a->files == 0 || b->span.offset < a->whole_next)
		return true;
	if (!b->kept) {
		b->kept = true;
		a->whole_kept++;
		block_pin(reader, b);
	}
	/* One is enough for who reads all. It may have been hashed while another one, which nobody kept, went
	 * and came again. */
	if (a->whole_held || !is_complete(reader, a, b, parts))
		return true;
	a->whole_held = b;
	a->whole_held_parts = parts;
	return false;
}

/* Nothing is held or kept any more; @err: why what was held is wrong, or NULL. */
static void give_up_whole(struct reader *reader, struct artifact *a, const struct error *err,
                          struct answers *answers)
{
	struct block *b = a->whole_held;
	parts_t parts = a->whole_held_parts;

	a->whole_held = NULL;
	a->whole_held_parts = 0;
	if (b) {
		b->loading &= ~parts;
		if (err) {
			request_parts_failed(reader, b, parts, -EIO, err, answers);
		} else if (a->files > 0) { /* else nothing of @a may stay */
			b->ready |= parts;
			request_parts_ready(b, parts, answers);
		}
	}
	/* What is held is kept as well. */
	for (size_t i = 0; i < reader->block_count && a->whole_kept > 0; i++)
		if (reader->blocks[i].artifact == a)
			unkeep(reader, &reader->blocks[i]);
}

void whole_lost(struct reader *reader, struct block *b)
{
	struct artifact *a = b->artifact;

	if (a->whole == WHOLE_ON && b->span.offset == a->whole_next)
		give_up_whole(reader, a, NULL, &reader->late);
}

void whole_end(struct reader *reader, struct artifact *a, struct answers *answers)
{
	if (a->whole != WHOLE_BUSY)
		give_up_whole(reader, a, NULL, answers);
	if (is_going_on(a))
		a->whole = a->whole == WHOLE_BUSY ? WHOLE_ENDING : WHOLE_OFF;
}

static void judge_whole(struct reader *reader, struct artifact *a)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_final(a->whole_hash, digest);
	a->whole_hash = sha256_free(a->whole_hash);
	hex_encode(digest, sizeof(digest), hex);
	a->whole = str_equal(hex, a->sha256) ? WHOLE_RIGHT : WHOLE_WRONG;
	atomic_fetch_add(&reader->metrics->whole, 1);
	if (a->whole == WHOLE_RIGHT) {
		a->verified_at_us = a->whole_cached ? 0 : clock_now_us();
		return;
	}
	atomic_fetch_add(&reader->metrics->whole_wrong, 1);
	error_set(
	        &a->wrong, ERROR_CORRUPT, EIO,
	        "%s is damaged: the SHA-256 of its %llu bytes is %s, its manifest says %s; do not rely on this backup",
	        a->key, (unsigned long long)a->bytes, hex, a->sha256);
}

/* The block at whole_next, when all of it is there; in *@ret_coming, whether it will be without being asked
 * for again. */
static struct block *next_block(struct reader *reader, struct artifact *a, bool *ret_coming)
{
	struct span span = block_span(&a->extents, a->cells, a->whole_next);
	struct block *b = block_find(reader, a, span.first);
	parts_t all = span_parts(&span), there;

	*ret_coming = false;
	if (!b)
		return NULL;
	there = b->ready | (b == a->whole_held ? a->whole_held_parts : 0);
	*ret_coming = ((there | b->loading | b->wanted | b->ahead) & all) == all;
	return there == all ? b : NULL;
}

static void hash_bytes(struct sha256 *hash, const struct block *b)
{
	struct iovec iov[REQUEST_IOV_MAX];
	int count = layout_iov(b, b->span.offset, b->span.offset + b->span.bytes, iov);

	for (int i = 0; i < count; i++)
		sha256_update(hash, iov[i].iov_base, iov[i].iov_len);
}

static void hash_block(struct reader *reader, struct artifact *a, struct block *b)
{
	a->whole = WHOLE_BUSY;
	block_pin(reader, b);
	a->users++;
	pthread_mutex_unlock(&reader->lock);
	if (!a->whole_hash)
		a->whole_hash = sha256_new();
	hash_bytes(a->whole_hash, b);
	pthread_mutex_lock(&reader->lock);
	a->users--;
	a->whole = a->whole == WHOLE_ENDING ? WHOLE_OFF : WHOLE_ON;
	a->whole_next += b->span.bytes;
	if (a->whole_held != b)
		unkeep(reader, b);
	block_unpin(reader, b);
}

void whole_go_on(struct reader *reader, struct artifact *a, struct answers *answers)
{
	bool coming = false;

	while (a->whole == WHOLE_ON) {
		struct block *b = next_block(reader, a, &coming);

		if (!b)
			break;
		hash_block(reader, a, b);
		if (a->whole_next == a->bytes)
			judge_whole(reader, a);
	}
	/* It may be long in coming, and other files need buffers, too. What is let go can still be hashed as
	 * long as nobody takes its buffer. */
	if (a->whole_kept > reader->block_count / 2)
		coming = false;
	if (a->whole != WHOLE_BUSY && a->whole != WHOLE_ENDING && !(a->whole == WHOLE_ON && coming))
		give_up_whole(reader, a, a->whole == WHOLE_WRONG ? &a->wrong : NULL, answers);
}
