// SPDX-License-Identifier: Apache-2.0
#include "path_filter.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>

#define LEAST_BITS ((uint64_t)64 << 13)
#define MOST_BITS  ((uint64_t)32 << 23)
#define HASHES     8

void path_filter_init(struct path_filter *f, uint64_t paths)
{
	uint64_t bits = LEAST_BITS;

	while (bits < MOST_BITS && bits / 32 < paths)
		bits *= 2;
	f->mask = bits - 1;
	f->bits = mem_alloc(bits / 8);
}

void path_filter_finish(struct path_filter *f)
{
	free(f->bits);
	f->bits = NULL;
}

/* FNV-1a, and the finalizer of MurmurHash3, since FNV's lower bits alone are not independent of one another. */
static uint64_t hash_of_path(const char *path)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
	hash ^= hash >> 33;
	hash *= UINT64_C(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	hash *= UINT64_C(0xc4ceb9fe1a85ec53);
	return hash ^ hash >> 33;
}

/* Two halves of one hash are as good as many (Kirsch and Mitzenmacher). */
static uint64_t bit_of(const struct path_filter *f, uint64_t hash, unsigned i)
{
	return (hash + i * (hash >> 32 | 1) * UINT64_C(0x9e3779b97f4a7c15)) & f->mask;
}

void path_filter_add(struct path_filter *f, const char *path)
{
	uint64_t hash = hash_of_path(path);

	for (unsigned i = 0; i < HASHES; i++) {
		uint64_t bit = bit_of(f, hash, i);

		f->bits[bit / 8] |= (uint8_t)(1U << bit % 8);
	}
}

bool path_filter_has(const struct path_filter *f, const char *path)
{
	uint64_t hash = hash_of_path(path);

	for (unsigned i = 0; i < HASHES; i++) {
		uint64_t bit = bit_of(f, hash, i);

		if (!(f->bits[bit / 8] & 1U << bit % 8))
			return false;
	}
	return true;
}
