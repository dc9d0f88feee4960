// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A set of paths of which only this can be asked: was it put in? No is certain; yes is wrong for some six in a million
 * where there is memory enough for how many there are (a Bloom filter). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct path_filter { /* path_filter_finish() */
	uint8_t *bits;
	uint64_t mask;
};

/** path_filter_init() - for about @paths of them: 32 bits for each, from 64 KiB to 32 MiB. */
void path_filter_init(struct path_filter *f, uint64_t paths);
void path_filter_finish(struct path_filter *f);
void path_filter_add(struct path_filter *f, const char *path);
bool path_filter_has(const struct path_filter *f, const char *path);
