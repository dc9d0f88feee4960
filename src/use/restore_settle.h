// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a restore is about to change at a server, is kept before it does; and when it fails, what can be put away is, and it is said what
 * is where. */
#include "restore_target.h"

#include <keepfs/catalog/restores.h>

/** restore_settle_begin() - from now on it is in this phase: durable before anything is done. */
int restore_settle_begin(struct restore_target *t, enum restore_phase phase, struct error *err);
/** restore_settle_end() - nothing of it is left, or all of it is well. */
void restore_settle_end(const struct restore_target *t);
/**
 * restore_settle_swap() - the exchange of names failed with @r and @err: were they exchanged all the same? The answer may have got lost.
 * Return: 0: they were. Else @r; t->swap_is_unclear is set when it could not be found out.
 */
int restore_settle_swap(struct restore_target *t, int r, struct error *err);
/** restore_settle_failure() - what was made here is dropped, when it is of no use and surely ours; @err gets what is where, on which
 * server. */
void restore_settle_failure(struct restore_target *t, struct error *err);
/** restore_settle_earlier() - all of it was restored well: what earlier restores have left of that database on that server is settled. */
void restore_settle_earlier(const struct restore_target *t);
