// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * An intake: bytes that somebody else hands over piece by piece, in order, and that one reader takes, where the two must not wait for one another in the same way. Who hands
 * over (a file that is written into the mount: src/fs/incoming.h) never blocks: he offers a piece, and is called when it was used up. The reader blocks, with its cancel token. No
 * byte is copied, and not more than one piece is under way, so an intake has no memory of its own: whoever offers is held up until the reader has got so far.
 *
 *   writer    intake_offer() of one piece after the other, each when the one before is done; at last of an end. intake_give_up() when there will be none.
 *   reader    intake_next() until it returns 0; then what the end is to be told is known: intake_finish(), or intake_answer() when more is to be said.
 *
 * What comes behind intake_finish() is answered at once. Both sides have a reference. Any thread; no lock is held while done() is called.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>

/** struct intake_piece - the writer's own, until done() is called */
struct intake_piece {
	const void *data; /* borrowed until then */
	size_t len;
	bool is_end; /* there is nothing in it: this was all, and the writer waits for what became of it */
	/* It was used up (0), or is of no use: negative errno. On the thread of the reader, or of whoever ends the intake, or within intake_offer(). Must not block. */
	void (*done)(struct intake_piece *piece, int r);
};

struct intake;
struct intake *intake_new(void);
struct intake *intake_ref(struct intake *in);
/** intake_unref() - NULL allowed; returns NULL. A piece that is under way must be done by the last one. */
struct intake *intake_unref(struct intake *in);

/** intake_offer() - @piece comes next; no other one may be under way. Never blocks. */
void intake_offer(struct intake *in, struct intake_piece *piece);
/** intake_give_up() - the writer has gone without an end: the reader gets -EPIPE, and @why (static text). A piece that is under way is done soon, at once where the reader
 * has not begun with it. After intake_finish() it does nothing. */
void intake_give_up(struct intake *in, const char *why);

#define INTAKE_END   0
#define INTAKE_PIECE 1
/**
 * intake_next() - the piece that was given before is done; wait for the next
 * @timeout_ms: -1: for ever
 * Return: INTAKE_PIECE with bytes that are there until the next call; INTAKE_END; -EPIPE (ERROR_CANCELLED): the writer has given up; -ECANCELED; -ETIMEDOUT; with @err.
 */
int intake_next(struct intake *in, struct cancel *cancel, int64_t timeout_ms, const void **ret_data,
                size_t *ret_len, struct error *err);
/** intake_answer() - the end that was taken is told @r, and another one may come. */
void intake_answer(struct intake *in, int r);
/** intake_finish() - whatever is under way, or comes, is told @r (0: it was taken) and for the writer @err says why. The first call counts. */
void intake_finish(struct intake *in, int r, const struct error *err);
/** intake_result() - what it was finished with: 0, or a negative errno with why; -EINPROGRESS: it was not. */
int intake_result(struct intake *in, struct error *err);
