// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Backups, one after the other, are read and held against what was sent: by whoever asks for it (verify), and again and again (scrub). */
#include "prove.h"

struct copied;

struct proving {
	const struct make_context
	        *ctx; /* borrowed, as all of these; its pool is used for nothing else meanwhile */
	const struct make_order *order; /* who is told, what is counted, what cancels */
	const struct copied
	        *copy;    /* of which ctx is the context: what is wrong is told of it; NULL: it is no copy */
	const char *name; /* what all of it is about, of which failures need not tell again; NULL: nothing */
	enum proof_level level;           /* that is wanted */
	struct rate *rate;                /* NULL: no limit */
	uint64_t right, damaged, unknown; /* backups; unknown: it could not be found out */
	uint64_t frozen;         /* that cannot be read before they are thawed: neither right nor wrong */
	uint64_t unkept;         /* results that could not be written */
	uint64_t lowest;         /* of the right ones, proven less than was wanted */
	struct error why_frozen; /* of the last of the frozen ones */
	struct error first;      /* failure */
	int result;              /* of that; 0: there was none */
};

/** PROVING_POOL_BYTES - of the pool that a proving has for itself: it may take hours, and those who make backups must not wait for its
 * memory. */
#define PROVING_THREADS    2U                   /* that decompress */
#define PROVING_POOL_BYTES ((uint64_t)16 << 20) /* half is for what is read ahead, half for them */

/** proving_mark_damaged() - what backup_is_wrong() says is kept with the backup, told, and in the audit. Of @p ctx and order are used. */
void proving_mark_damaged(struct proving *p, const struct backup *b, const struct error *why);
/** proving_backup() - false: it was cancelled, and nothing more is to be looked at. While a run does it the backup is kept
 * (artifact_keep()). */
bool proving_backup(struct proving *p, uint64_t ino);
/**
 * proving_copy() - the same of what is read with the help of its copies in further stores, where its own is wrong, or does not answer
 *
 * Nothing is kept of it, since it says nothing of its own store. Return: 0; -ENOENT: there is no whole copy; else what is wrong, or why it could not be found out.
 */
int proving_copy(struct proving *p, uint64_t ino, struct error *err);
/** proving_again() - something read the backup @ino and found bytes that are not those that were sent (error.damage): if reading all of them says so, too, that is
 * marked. The pool of @ctx is used for nothing else meanwhile. */
void proving_again(const struct make_context *ctx, const struct make_order *order, const struct copied *copy,
                   uint64_t ino);
