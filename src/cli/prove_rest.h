// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a store has beside backups and their chain, held against what it says of itself: part of 'keepfs verify --key --objects'. */
#include <keepfs/chain/prove.h>
#include <keepfs/store.h>

struct conf;

struct prove_rest {
	uint64_t records, checkpoints, copies; /* out: that were read */
	uint64_t
	        locked; /* out: copies of the catalog that are encrypted, and that no identity of @conf opens */
	void (*problem)(void *arg, enum prove_kind kind, const char *text);
	void *arg;
};

/** prove_rest() - @proof: of the same store; problems are counted there, too. Blocks on the store. Return: 0; negative errno when the store fails. */
int prove_rest(struct store *store, const struct conf *conf, struct prove_result *proof,
               struct prove_rest *rest, struct error *err);
