// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Decisions about backups, and nothing else: facts in, a decision with its reason out. Pure: no I/O, no clock, no
 * state, so that each rule can be read, and tested with every combination, in one place. Whoever asks gathers the
 * facts within the transaction in which he acts on the answer.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>

/** struct policy_removal - what is known of an artifact that somebody wants to remove. */
struct policy_removal {
	const char *directory; /* "backups/full" */
	const char *name;
	bool damaged;      /* it is known that the store does not hold its bytes */
	bool partial;      /* less than its job asks for */
	bool other_whole;  /* the directory has another one that is neither damaged nor partial */
	bool other_usable; /* … another one that is not damaged */
};

/** policy_check_removal() - may it go? The last good one of its directory stays, whoever asks; a partial one is no
 * other for one that is whole. Return: 0; -EPERM (ERROR_DENIED) with the reason. */
int policy_check_removal(const struct policy_removal *facts, struct error *err);
