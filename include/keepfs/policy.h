// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Decisions about backups, and nothing else: facts in, a decision with its reason out. Pure: no I/O, no clock, no
 * state, so that each rule can be read, and tested with every combination, in one place. Whoever asks gathers the
 * facts within the transaction in which he acts on the answer.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

/** struct policy_removal - what is known of an artifact that somebody, or the rules of what is kept, want to remove. */
struct policy_removal {
	const char *directory; /* "backups/full" */
	const char *name;
	bool damaged; /* it is known that the store does not hold its bytes */
	bool partial; /* less than its job asks for */
	bool newest;  /* of the whole ones of its directory that are not damaged it was made last */
	unsigned
	        others_whole; /* how many others the directory has that are neither damaged nor partial; min_keep is as good
	                          as more */
	bool other_usable;       /* … has another one that is not damaged */
	unsigned min_keep;       /* so many good ones stay in any case; less than 1 is 1 */
	bool is_gone;            /* its database is gone, for longer than its backups have to stay */
	const char *held;        /* who holds it, and why; NULL: nobody does */
	int64_t keep_until_us;   /* it was promised until then; 0: nothing was */
	int64_t locked_until_us; /* the store lets nobody delete it before; 0: it does */
	int64_t now_us;          /* for the promise and the lock alone */
};

/**
 * policy_check_removal() - may it go? Whoever asks: rm and the rules are judged alike
 *
 * What is locked, held, or promised, stays. Of the good ones, which are neither damaged nor partial, the newest stays, and as many
 * as min_keep; a partial one goes while there is another one that can be used. Return: 0; -EPERM (ERROR_DENIED) with the
 * reason, and what to do.
 */
int policy_check_removal(const struct policy_removal *facts, struct error *err);
