// SPDX-License-Identifier: Apache-2.0
#pragma once
/** For whom the artifacts that are listed are encrypted. See keepfs/catalog.h for what is true of every function. */
#include <stdint.h>

struct catalog;

/** struct catalog_keys - artifacts that have the same recipients. */
struct catalog_keys {
	const char *encrypted_to; /* as the manifest has it: "age1…, age1…"; "": they are not encrypted */
	uint64_t artifacts;
	uint64_t stored_bytes;       /* with all that belongs to them */
	int64_t first_us, newest_us; /* when the first and the last of them were completed */
};

/** catalog_each_keys() - in the order of their texts, so that what is not encrypted comes first. Reads a row of each artifact. Return: 0; negative
 * errno; what @each returned, when that was not 0. */
int catalog_each_keys(struct catalog *c, int (*each)(void *arg, const struct catalog_keys *keys), void *arg);
