// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What base backups need of the write-ahead log: a row comes with each artifact of the kind "base", from its manifest alone (keepfs/codec/base_facts.h), and goes with it; so what is
 * in the trash still needs its WAL. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/codec/base_facts.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

struct catalog_base {
	uint64_t ino;
	char path[512]; /* "backups/main/20261120T020000Z" */
	struct base_facts facts;
	bool is_removed; /* it is in the trash, or being removed */
	bool is_damaged;
	uint64_t content_bytes; /* of its files; 0: not known */
};
/** catalog_each_base() - call @row for each base of @job, in the order of the LSNs at which they start; what @row returns but 0 ends it, and is returned. */
int catalog_each_base(struct catalog *c, const char *job, int (*row)(void *arg, const struct catalog_base *b),
                      void *arg);
